//! Bytes as batches, as they come and with a header that fits.

use super::{Checked, ensure, works};
use crate::error::{Error, ErrorKind};
use crate::record::batch_header::{BATCH_LENGTH, CRC, CRC_START, HEADER_LEN, LENGTH_OVERHEAD, MAGIC};
use crate::record::{
    BatchBuilder, Batches, Compression, ControlRecord, DecompressionLimits, Payload, RecordBatch, RecordView, crc32c,
};
use crate::types::TimestampType;

/// What decompression may make of an input.
const LIMITS: DecompressionLimits = DecompressionLimits { bytes_max: 1 << 20, ratio_max: 1_100 };

/// Any bytes are batches, or a typed error says where they are not; and so are they once length, magic and checksum of
/// the first batch fit. Records that can be read are the same in every way of reading them, and when encoded again.
///
/// # Errors
/// What is wrong.
pub fn batch(input: &[u8]) -> Checked {
    let mut batches = Batches::new(input);
    let mut behind = 0;
    for (position, batch) in batches.by_ref() {
        ensure!(position >= behind, "goes from {behind} back to {position}");
        behind = position;
        match batch {
            Ok(batch) => {
                behind += batch.size();
                whole(&batch)?;
            }
            Err(error) => refused(&error)?,
        }
    }
    ensure!(batches.position() <= input.len(), "walks to {} of {}", batches.position(), input.len());
    let Some(mended) = mended(input) else { return Ok(()) };
    match RecordBatch::parse(&mended[..]) {
        Ok(batch) => whole(&batch),
        Err(error) => {
            ensure!(error.kind() != ErrorKind::UnsupportedMagic, "the magic is right: {error:?}");
            refused(&error)
        }
    }
}

/// The bytes with a length, a magic and a checksum that fit them.
pub(super) fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let length = i32::try_from(bytes.len().checked_sub(LENGTH_OVERHEAD)?).ok()?;
    bytes.get_mut(BATCH_LENGTH)?.copy_from_slice(&length.to_be_bytes());
    bytes.get_mut(MAGIC)?.copy_from_slice(&[2]);
    let crc = crc32c(bytes.get(CRC_START..)?);
    bytes.get_mut(CRC)?.copy_from_slice(&crc.to_be_bytes());
    Some(bytes)
}

/// An error about bytes tells what is wrong with them, and nothing else.
pub(super) fn refused(error: &Error) -> Checked {
    let typed = matches!(
        error.kind(),
        ErrorKind::Corruption
            | ErrorKind::InvalidRecord
            | ErrorKind::InvalidTimestamp
            | ErrorKind::UnsupportedMagic
            | ErrorKind::UnsupportedCompression
            | ErrorKind::DecompressedTooLarge
    );
    ensure!(typed, "no error about bytes: {error:?}");
    Ok(())
}

/// A batch whose checksum holds.
fn whole(batch: &RecordBatch<&[u8]>) -> Checked {
    works("check", batch.check())?;
    ensure!(batch.header().encode() == batch.bytes()[..HEADER_LEN], "the header is encoded otherwise");
    let payload = match batch.payload(&LIMITS) {
        Ok(payload) => payload,
        Err(error) => return refused(&error),
    };
    let bytes_max = LIMITS.bytes_max.max(batch.size());
    ensure!(payload.bytes().len() <= bytes_max, "{} bytes are beyond the cap", payload.bytes().len());
    let records = payload.records().collect::<crate::Result<Vec<_>>>();
    let summary = payload.summary();
    let records = match (records, summary) {
        (Ok(records), Ok(summary)) => {
            let max = records.iter().map(RecordView::timestamp).max().unwrap_or(summary.max_timestamp);
            ensure!(summary.max_timestamp == max, "the quick walk finds {}, not {max}", summary.max_timestamp);
            let missing = records.iter().any(|record| record.key().is_none());
            ensure!(summary.key_missing == missing, "the quick walk says otherwise whether a key is missing");
            records
        }
        (Err(slow), Err(quick)) => {
            ensure!(slow.to_string() == quick.to_string(), "the quick walk says {quick}, not {slow}");
            return refused(&slow);
        }
        (slow, quick) => return Err(format!("the quick walk says {quick:?}, the slow one {slow:?}")),
    };
    ensure!(records.len() == batch.record_count(), "{} records of {}", records.len(), batch.record_count());
    for record in &records {
        let offset = record.offset();
        let inside = (batch.base_offset()..=batch.last_offset()).contains(&offset);
        ensure!(inside, "record {offset} in a batch from {} to {}", batch.base_offset(), batch.last_offset());
        ensure!(record.headers().count() <= batch.size().max(payload.bytes().len()), "headers without bytes");
        if batch.attributes().is_control()
            && let Err(error) = ControlRecord::parse(record)
        {
            refused(&error)?;
        }
    }
    renumbered(&payload, records.len())?;
    again(batch, &records)
}

/// Offsets counted anew change nothing about which records there are.
fn renumbered(payload: &Payload<'_>, count: usize) -> Checked {
    let renumbered = works("renumber", payload.renumbered_records().collect::<crate::Result<Vec<_>>>())?;
    ensure!(renumbered.len() == count, "{} records, renumbered {}", count, renumbered.len());
    Ok(())
}

/// The records in a new batch are the same records.
fn again(batch: &RecordBatch<&[u8]>, records: &[RecordView<'_>]) -> Checked {
    if batch.attributes().timestamp_type() == TimestampType::LogAppendTime {
        return Ok(());
    }
    let mut builder = BatchBuilder::new();
    builder.base_offset(batch.base_offset());
    for record in records {
        // What the format's widths have no room for is refused.
        if builder.push_view(record).is_err() {
            return Ok(());
        }
    }
    let Some(bytes) = works("encode", builder.finish())? else { return Ok(()) };
    let encoded = works("parse what was encoded", RecordBatch::parse(bytes))?;
    ensure!(encoded.attributes().codec() == Compression::None.codec(), "nobody asked for compression");
    let payload = works("decode what was encoded", encoded.payload(&LIMITS))?;
    let found = works("read what was encoded", payload.records().collect::<crate::Result<Vec<_>>>())?;
    let same = found.len() == records.len() && found.iter().zip(records).all(|(a, b)| is_same(a, b));
    ensure!(same, "{found:?} were {records:?}");
    Ok(())
}

/// Whether two records say the same, but for the sequence, which is the batch's.
pub(super) fn is_same(a: &RecordView<'_>, b: &RecordView<'_>) -> bool {
    (a.offset(), a.timestamp(), a.key(), a.value()) == (b.offset(), b.timestamp(), b.key(), b.value())
        && a.headers().eq(b.headers())
}
