//! `.snapshot`: what the log knew of its producers, in Kafka's schema `ProducerSnapshot`.

use riverbed::{Sequence, crc32c};

use super::entry::Entry;
use super::report::Report;
use crate::failure::Outcome;
use crate::files::Fields;

const VERSION: i16 = 1;
/// Version and checksum, which the checksum leaves out.
const CHECKED_FROM: usize = 6;

/// Prints every producer that can be read from `bytes`.
pub fn dump(bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    let mut fields = Fields(bytes);
    let (Some(version), Some(crc), Some(count)) = (fields.i16(), fields.u32(), fields.i32()) else {
        report.damage(0_u64, format!("a snapshot has at least 10 bytes, not {}", bytes.len()));
        return Ok(());
    };
    if version != VERSION {
        report.damage(0_u64, format!("snapshot has version {version}, only {VERSION} is known"));
        return Ok(());
    }
    let computed = crc32c(bytes.get(CHECKED_FROM..).unwrap_or_default());
    if computed != crc {
        report.damage(0_u64, format!("CRC is no longer valid: stored {crc}, computed {computed}"));
    }
    let mut found: i32 = 0;
    while let Some(entry) = producer(&mut fields) {
        report.entry(&entry)?;
        found += 1;
    }
    if found != count || !fields.0.is_empty() {
        let position = bytes.len() - fields.0.len();
        let rest = fields.0.len();
        report.damage(position, format!("{count} producers announced, {found} found, {rest} bytes behind them"));
    }
    Ok(())
}

fn producer(fields: &mut Fields<'_>) -> Option<Entry<'static>> {
    let mut rest = *fields;
    let (producer_id, epoch, last_sequence) = (rest.i64()?, rest.i16()?, rest.i32()?);
    let (last_offset, offset_delta, timestamp) = (rest.i64()?, rest.i32()?, rest.i64()?);
    let (coordinator_epoch, transaction_start) = (rest.i32()?, rest.i64()?);
    *fields = rest;
    let entry = Entry::new()
        .with("producerId", producer_id)
        .with("producerEpoch", epoch)
        .with("coordinatorEpoch", coordinator_epoch)
        .with("currentTxnFirstOffset", Some(transaction_start).filter(|start| *start >= 0))
        .with("lastTimestamp", timestamp);
    if last_offset < 0 {
        return Some(entry);
    }
    let delta = u32::try_from(offset_delta).unwrap_or(0);
    let first_sequence = Sequence::new(last_sequence).decrement(delta);
    let batch = entry
        .with("firstSequence", first_sequence.get())
        .with("lastSequence", last_sequence)
        .with("lastOffset", last_offset)
        .with("offsetDelta", offset_delta)
        .with("timestamp", timestamp);
    Some(batch)
}
