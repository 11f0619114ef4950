//! The transaction index: the aborted transactions whose marker lies in the segment. Kafka's `TransactionIndex`.

use std::ops::Range;

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::segment::series::Series;
use crate::types::{Offset, ProducerId};

/// Length of an entry: 2 bytes of version, then 8 each of producer id, first, last and last stable offset.
pub(crate) const TRANSACTION_ENTRY_LEN: usize = 34;

const VERSION: i16 = 0;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its abort marker.
    pub last_offset: Offset,
    /// The last stable offset when the marker was written: no later marker aborts anything below it.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    /// The entry as stored.
    pub(crate) fn encode(&self) -> [u8; TRANSACTION_ENTRY_LEN] {
        let mut bytes = [0; TRANSACTION_ENTRY_LEN];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [
            self.producer_id.get(),
            self.first_offset.as_i64(),
            self.last_offset.as_i64(),
            self.last_stable_offset.as_i64(),
        ];
        for (place, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// The entry that the bytes stand for.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedVersion`] for a newer version, [`ErrorKind::Corruption`] for what no version wrote.
    pub(crate) fn decode(bytes: &[u8; TRANSACTION_ENTRY_LEN]) -> Result<Self> {
        let (version, fields) = bytes.split_at(2);
        let version = i16::from_be_bytes([version[0], version[1]]);
        if version > VERSION {
            let message = format!("aborted transaction has version {version}, at most {VERSION} is supported");
            return Err(Error::new(ErrorKind::UnsupportedVersion, message));
        }
        let (fields, _) = fields.as_chunks();
        let field = |place: usize| fields.get(place).map_or(-1, |bytes| i64::from_be_bytes(*bytes));
        let entry = || {
            Some(Self {
                producer_id: Some(ProducerId::new(field(0))).filter(|id| id.is_some())?,
                first_offset: Offset::from_i64(field(1))?,
                last_offset: Offset::from_i64(field(2))?,
                last_stable_offset: Offset::from_i64(field(3))?,
            })
        };
        entry().filter(|entry| version == VERSION && entry.first_offset <= entry.last_offset).ok_or_else(|| {
            let (id, first, last, stable) = (field(0), field(1), field(2), field(3));
            damage(0, format!("aborted transaction ({version}, {id}, {first}, {last}, {stable}) is not possible"))
        })
    }
}

/// The aborted transactions of a segment, by the offset of their marker. One writer adds to it; readers need no lock.
#[derive(Debug)]
pub(crate) struct TransactionIndex {
    /// Producer id, first, last and last stable offset, the high half of each in front.
    entries: Series<8>,
}

impl TransactionIndex {
    /// The index without entries.
    pub(crate) fn new() -> Self {
        Self { entries: Series::new() }
    }

    /// The index in the bytes of a file, of the segment with these offsets. A torn last entry is damage: bytes appended behind
    /// it would be out of step.
    ///
    /// # Errors
    /// As of [`AbortedTransaction::decode`], and [`ErrorKind::Corruption`] for trailing bytes, for markers that do not
    /// ascend, or that lie outside of the segment.
    pub(crate) fn parse(bytes: &[u8], segment: Range<Offset>) -> Result<Self> {
        let (whole, rest) = bytes.as_chunks();
        let index = Self::new();
        for (place, bytes) in whole.iter().enumerate() {
            let position = place * TRANSACTION_ENTRY_LEN;
            let entry = AbortedTransaction::decode(bytes).map_err(|error| at(error, position))?;
            if !segment.contains(&entry.last_offset) {
                let (marker, Range { start, end }) = (entry.last_offset, &segment);
                let message = format!("abort marker at {marker} lies outside of the segment from {start} to {end}");
                return Err(damage(position, message));
            }
            index.push(entry).map_err(|error| at(error, position))?;
        }
        if rest.is_empty() {
            return Ok(index);
        }
        let message = format!("transaction index has {} bytes behind its last entry", rest.len());
        Err(damage(whole.len() * TRANSACTION_ENTRY_LEN, message))
    }

    /// Adds an entry. For the one writer.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`] unless its marker lies behind the last one.
    pub(crate) fn push(&self, entry: AbortedTransaction) -> Result<()> {
        let count = self.entries.len();
        let last = count.checked_sub(1).and_then(|last| self.entries.get(last)).map(from_words);
        if let Some(last) = last
            && entry.last_offset <= last.last_offset
        {
            let message = format!("abort marker at {} does not follow {}", entry.last_offset, last.last_offset);
            return Err(damage(count * TRANSACTION_ENTRY_LEN, message));
        }
        self.entries.push(count, to_words(&entry));
        Ok(())
    }

    /// Whether there are none.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// The entries, by the offset of their marker.
    pub(crate) fn iter(&self) -> impl Iterator<Item = AbortedTransaction> {
        self.entries.iter().map(from_words)
    }

    /// The entries whose marker lies below `offset`.
    #[must_use]
    pub(crate) fn below(&self, offset: Offset) -> Self {
        let kept = Self::new();
        for (count, entry) in self.iter().take_while(|entry| entry.last_offset < offset).enumerate() {
            kept.entries.push(count, to_words(&entry));
        }
        kept
    }

    /// Adds to `found` the transactions that may concern records in `range`. Answers whether that is all of them, so
    /// that later segments need not be asked.
    pub(crate) fn collect(&self, range: &Range<Offset>, found: &mut Vec<AbortedTransaction>) -> bool {
        let first = self.entries.partition_point(|words| from_words(words).last_offset < range.start);
        for place in first.. {
            let Some(entry) = self.entries.get(place).map(from_words) else { break };
            if entry.first_offset < range.end {
                found.push(entry);
            }
            if entry.last_stable_offset >= range.end {
                return true;
            }
        }
        false
    }

    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|entry| entry.encode()).collect()
    }
}

fn to_words(entry: &AbortedTransaction) -> [u32; 8] {
    let [id, first, last, stable] = [
        entry.producer_id.get(),
        entry.first_offset.as_i64(),
        entry.last_offset.as_i64(),
        entry.last_stable_offset.as_i64(),
    ]
    .map(halves);
    [id[0], id[1], first[0], first[1], last[0], last[1], stable[0], stable[1]]
}

fn from_words([id, id_low, first, first_low, last, last_low, stable, stable_low]: [u32; 8]) -> AbortedTransaction {
    let whole = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    AbortedTransaction {
        producer_id: ProducerId::new(whole(id, id_low).cast_signed()),
        first_offset: Offset::new(whole(first, first_low)),
        last_offset: Offset::new(whole(last, last_low)),
        last_stable_offset: Offset::new(whole(stable, stable_low)),
    }
}

fn halves(number: i64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

fn damage(position: usize, message: String) -> Error {
    Error::corrupt(position as u64, CorruptionReason::SideFile(message))
}

/// The same damage, `position` bytes further on.
fn at(error: Error, position: usize) -> Error {
    match error.corruption() {
        Some(found) => Error::corrupt(position as u64, found.reason.clone()),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::vectors::documented;

    fn aborted(producer: i64, first: u64, last: u64, stable: u64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId::new(producer),
            first_offset: Offset::new(first),
            last_offset: Offset::new(last),
            last_stable_offset: Offset::new(stable),
        }
    }

    fn four() -> TransactionIndex {
        let index = TransactionIndex::new();
        for (producer, first, last, stable) in [(0, 0, 10, 11), (1, 5, 15, 13), (2, 18, 35, 25), (3, 32, 50, 40)] {
            index.push(aborted(producer, first, last, stable)).unwrap();
        }
        index
    }

    #[test]
    fn an_entry_is_version_producer_and_three_offsets() {
        let mut bytes = [0; TRANSACTION_ENTRY_LEN];
        (bytes[8], bytes[9], bytes[17], bytes[25], bytes[33]) = (0x0f, 0xa0, 5, 12, 5);
        assert_eq!(aborted(4000, 5, 12, 5).encode(), bytes);
        assert_eq!(documented("transaction-index"), bytes);
        assert_eq!(AbortedTransaction::decode(&bytes).unwrap(), aborted(4000, 5, 12, 5));
    }

    #[test]
    fn a_range_gets_all_that_concern_it() {
        for (range, producers, complete) in [
            (0..100, vec![0, 1, 2, 3], false),
            (0..32, vec![0, 1, 2], true),
            (0..35, vec![0, 1, 2, 3], true),
            (10..35, vec![0, 1, 2, 3], true),
            (11..35, vec![1, 2, 3], true),
            (20..41, vec![2, 3], false),
        ] {
            let mut found = Vec::new();
            let all = four().collect(&(Offset::new(range.start)..Offset::new(range.end)), &mut found);
            let found: Vec<_> = found.iter().map(|entry| entry.producer_id.get()).collect();
            assert_eq!((found, all), (producers, complete), "{range:?}");
        }
    }

    #[test]
    fn a_file_holds_what_was_put_in() {
        let bytes = four().to_bytes();
        assert_eq!(bytes.len(), 4 * TRANSACTION_ENTRY_LEN);
        let parsed = TransactionIndex::parse(&bytes, Offset::ZERO..Offset::new(51)).unwrap();
        assert!(parsed.iter().eq(four().iter()));
        assert!(TransactionIndex::parse(&[], Offset::ZERO..Offset::ZERO).unwrap().is_empty());
    }

    #[test]
    fn a_cut_drops_the_markers_at_and_above_it() {
        for (cut, kept) in [(51, 4), (50, 3), (36, 3), (35, 2), (11, 1), (10, 0), (0, 0)] {
            let index = four().below(Offset::new(cut));
            assert!(index.iter().eq(four().iter().take(kept)), "{cut}");
            assert_eq!(index.is_empty(), kept == 0, "{cut}");
        }
    }

    #[test]
    fn markers_ascend() {
        for last in [50, 49] {
            assert_eq!(four().push(aborted(4, 1, last, 60)).unwrap_err().kind(), ErrorKind::Corruption);
        }
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = four().to_bytes();
        let changed = |place: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[place] = value;
            bytes
        };
        let twice = [&good[..34], &good[..34]].concat();
        for (what, bytes, from, kind, position) in [
            ("torn", good[..40].to_vec(), 0, ErrorKind::Corruption, Some(34)),
            ("torn first", good[..33].to_vec(), 0, ErrorKind::Corruption, Some(0)),
            ("in front of the base", good.clone(), 11, ErrorKind::Corruption, Some(0)),
            ("behind the end", changed(4 * 34 - 9, 51), 0, ErrorKind::Corruption, Some(3 * 34)),
            ("negative version", changed(34, 0x80), 0, ErrorKind::Corruption, Some(34)),
            ("newer version", changed(35, 1), 0, ErrorKind::UnsupportedVersion, None),
            ("negative producer", changed(36, 0x80), 0, ErrorKind::Corruption, Some(34)),
            ("negative offset", changed(68 + 10, 0x80), 0, ErrorKind::Corruption, Some(68)),
            ("first behind last", changed(17, 11), 0, ErrorKind::Corruption, Some(0)),
            ("order", twice, 0, ErrorKind::Corruption, Some(34)),
        ] {
            let error = TransactionIndex::parse(&bytes, Offset::new(from)..Offset::new(51)).unwrap_err();
            assert_eq!(error.kind(), kind, "{what}");
            assert_eq!(error.corruption().map(|found| found.position), position, "{what}");
        }
        TransactionIndex::parse(&good, Offset::new(10)..Offset::new(51)).unwrap();
    }
}
