//! From one batch to the next in a log file, and what makes a batch the one that follows.

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::io::Look;
use crate::record::batch_header::{self, CRC_START, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, MAGIC_V2};
use crate::record::{self, BatchHeader, checksum, next_batch};
use crate::types::{LeaderEpoch, Offset};

/// What stands at a position of a log file.
#[derive(Debug)]
pub(crate) enum Next {
    /// A batch whose header is possible and whose bytes are all there. Its checksum has not been looked at.
    Batch(BatchHeader),
    /// Nothing: the file ends here, or holds only zeros from here on as far as a header reaches.
    End,
    /// Something that is no batch. The position in the error is that of the batch's start in the file.
    Broken(Error),
}

/// Looks at what `bytes`, a log file up to where it counts, hold at `position`.
pub(crate) fn next_at(bytes: &[u8], position: usize) -> Next {
    let broken = |error: Error| Next::Broken(error.moved(position as u64));
    match next_batch(bytes.get(position..).unwrap_or_default()) {
        record::Next::Batch(header, _) => Next::Batch(header),
        record::Next::EndOfData => Next::End,
        record::Next::Torn { expected, found } => {
            broken(Error::corrupt(0, CorruptionReason::Truncated { expected, found }))
        }
        record::Next::Invalid(error) => broken(as_damage(is_old_message(bytes, position), error)),
    }
}

/// Looks at what stands at `position` of a log file. Of a batch only the header need be in view.
pub(crate) fn next_in(look: &mut Look, position: usize) -> Next {
    if let Look::Whole(view) = look {
        return next_at(view, position);
    }
    next_in_window(look, position).unwrap_or_else(Next::Broken)
}

fn next_in_window(look: &mut Look, position: usize) -> Result<Next> {
    let rest = look.len().saturating_sub(position);
    let bytes = look.at(position, HEADER_LEN)?;
    let needed = match BatchHeader::parse(bytes) {
        Ok(header) if header.size() <= rest => return Ok(Next::Batch(header)),
        Ok(header) => {
            let reason = CorruptionReason::Truncated { expected: header.size() as u64, found: rest as u64 };
            return Ok(Next::Broken(Error::corrupt(position as u64, reason)));
        }
        Err(_) => old_message_len(bytes).unwrap_or(HEADER_LEN),
    };
    Ok(match next_at(look.at(position, needed)?, 0) {
        Next::Broken(error) => Next::Broken(error.moved(position as u64)),
        found => found,
    })
}

/// Whether something stands there that is no batch, rather than that it could not be read.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corruption | ErrorKind::UnsupportedMagic)
}

/// The length that a message of magic 0 or 1 states, if that may be one.
fn old_message_len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<{ MAGIC.end }>()?;
    let [_, _, _, _, _, _, _, _, a, b, c, d, _, _, _, _, magic] = *head;
    let length = usize::try_from(i32::from_be_bytes([a, b, c, d])).ok()?;
    (magic <= 1).then_some(length + LENGTH_OVERHEAD)
}

/// A header that breaks a rule of the format is damage where it stands in a file, and so is another magic, but in a
/// message from before there were batches.
fn as_damage(is_old: bool, error: Error) -> Error {
    match error.kind() {
        ErrorKind::UnsupportedMagic if is_old => error,
        ErrorKind::InvalidRecord | ErrorKind::UnsupportedMagic => {
            Error::corrupt(0, CorruptionReason::Header(error.to_string()))
        }
        _ => error,
    }
}

/// Goes from the front of `bytes` over batches that end below `offset`, by the three header fields that this takes. Stops at the
/// first that does not, and wherever anything looks odd: [`next_at`] says what it is. Unless `gaps`, odd is also a batch
/// that does not go on where the one before ended, the first one at `next`. Answers where it stopped, and what offset is
/// to come there, if that is known.
pub(crate) fn skip_below(bytes: &[u8], next: Option<Offset>, offset: Offset, gaps: bool) -> (usize, Option<Offset>) {
    let mut place = 0;
    let mut next = next.map(Offset::as_i64);
    while let Some(head) = bytes.get(place..).and_then(<[u8]>::first_chunk::<HEADER_LEN>) {
        let (base, length, delta) = batch_header::skim(head);
        let last = base.checked_add(i64::from(delta)).filter(|last| delta >= 0 && *last >= 0);
        let size = usize::try_from(length).map_or(0, |length| length + LENGTH_OVERHEAD);
        let is_odd = head[MAGIC.start] != MAGIC_V2.cast_unsigned()
            || size < HEADER_LEN
            || size > bytes.len() - place
            || next.is_some_and(|next| next != base && !gaps);
        let Some(last) = last.filter(|last| !is_odd && *last < offset.as_i64()) else { break };
        next = Some(last + 1);
        place += size;
    }
    (place, next.and_then(Offset::from_i64))
}

/// Whether a whole message of magic 0 or 1 stands at `position`, from before there were batches.
pub(crate) fn is_old_message(bytes: &[u8], position: usize) -> bool {
    let head = bytes.get(position..).and_then(<[u8]>::first_chunk::<{ MAGIC.end }>);
    let Some(&[_, _, _, _, _, _, _, _, a, b, c, d, crc_a, crc_b, crc_c, crc_d, magic]) = head else { return false };
    let size = usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap_or(0);
    let from = position + MAGIC.start;
    let to = position.saturating_add(LENGTH_OVERHEAD).saturating_add(size);
    let expected = u32::from_be_bytes([crc_a, crc_b, crc_c, crc_d]);
    magic <= 1 && bytes.get(from..to).is_some_and(|message| checksum::crc32(message) == expected)
}

/// Checks the checksum of the batch with `header` at `position`.
pub(crate) fn check_crc(bytes: &[u8], position: usize, header: &BatchHeader) -> Result<()> {
    check_batch(&bytes[position..position + header.size()], position, header)
}

/// Checks the checksum of `batch`, which has `header` and stands at `position`.
pub(crate) fn check_batch(batch: &[u8], position: usize, header: &BatchHeader) -> Result<()> {
    let expected = checksum::crc32c(&batch[CRC_START..]);
    if expected == header.crc {
        return Ok(());
    }
    Err(Error::corrupt(position as u64, CorruptionReason::Crc { expected, found: header.crc }))
}

/// The bytes of the batch with `header` at `position`.
pub(crate) fn batch_in<'a>(look: &'a mut Look, position: usize, header: &BatchHeader) -> Result<&'a [u8]> {
    let size = header.size();
    look.at(position, size)?.get(..size).ok_or_else(|| {
        let reason = CorruptionReason::Truncated { expected: size as u64, found: 0 };
        Error::corrupt(position as u64, reason)
    })
}

/// What a batch must continue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// The offset behind the batch before.
    pub(crate) offset: Offset,
    /// The epoch of the batch before.
    pub(crate) epoch: LeaderEpoch,
    /// Whether offsets may be left out, as compaction does.
    pub(crate) gaps: bool,
}

impl Expected {
    /// Whether the batch with `header` is one that may come next. Base offset and epoch lie outside of the checksum:
    /// a torn or misdirected write can leave that right.
    pub(crate) fn check(&self, position: usize, header: &BatchHeader) -> Result<()> {
        let found = header.base_offset;
        if found < self.offset || (found > self.offset && !self.gaps) {
            let reason = CorruptionReason::BaseOffset { expected: self.offset.as_i64(), found: found.as_i64() };
            return Err(Error::corrupt(position as u64, reason));
        }
        if header.leader_epoch < self.epoch {
            let reason = CorruptionReason::Epoch { last: self.epoch.get(), found: header.leader_epoch.get() };
            return Err(Error::corrupt(position as u64, reason));
        }
        Ok(())
    }

    /// What must come behind the batch with `header`.
    #[must_use]
    pub(crate) fn after(&self, header: &BatchHeader) -> Self {
        Self { offset: header.next_offset(), epoch: header.leader_epoch, gaps: self.gaps }
    }
}
