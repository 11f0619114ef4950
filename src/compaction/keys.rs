//! The first pass: through the dirty part of a log, for the last offset of each key.

use crate::compaction::meter::Meter;
use crate::compaction::offset_map::{KeyHash, OffsetMap};
use crate::compaction::plan::Cleanable;
use crate::compaction::transactions::{Control, Transactions};
use crate::error::{Error, Result};
use crate::log::cleaning::Cleaning;
use crate::log::segment_set::SegmentSet;
use crate::record::{ControlRecord, DecompressionLimits, RecordBatch};
use crate::types::Offset;

/// So many keys are looked up together.
pub(super) const TOGETHER: usize = 32;

/// What a control batch holds.
pub(super) fn control_of(batch: &RecordBatch<&[u8]>) -> Result<Control> {
    let payload = batch.payload(&DecompressionLimits::default())?;
    let Some(record) = payload.records().next().transpose()? else { return Ok(Control::Empty) };
    Ok(match ControlRecord::parse(&record)? {
        ControlRecord::EndTransaction { result, .. } => Control::End(result),
        ControlRecord::Other(_) => Control::Other,
    })
}

/// The last offset of each key in what is dirty of `set`; up to where a map of `bytes` bytes is full.
///
/// # Errors
/// Damage, and records that cannot be decoded.
pub(super) fn last_offsets(
    cleaning: &Cleaning<'_>,
    set: &SegmentSet,
    plan: &Cleanable,
    bytes: usize,
    meter: &mut Meter<'_>,
) -> Result<OffsetMap> {
    let span = plan.first_uncleanable.since(plan.first_dirty).unwrap_or(0);
    let mut keys =
        Keys { map: OffsetMap::new(bytes, span), from: plan.first_dirty, found: Vec::with_capacity(TOGETHER) };
    if let Some(last) = plan.first_dirty.get().checked_sub(1) {
        keys.map.seen_to(Offset::new(last));
    }
    let mut transactions = Transactions::default();
    let first = set.floor(plan.first_dirty).unwrap_or(0);
    for (index, segment) in set.segments().iter().enumerate().skip(first) {
        if segment.base_offset() >= plan.first_uncleanable {
            break;
        }
        let end = set.end_of(index, plan.first_uncleanable);
        transactions.expect(cleaning.aborted_in(set, index, plan.first_dirty)?);
        let view = segment.region().window(0..cleaning.valid_len(segment))?;
        for batch in segment.scan(&view, plan.first_dirty, end, cleaning.may_have_gaps())? {
            let (place, batch) = batch?;
            meter.count(batch.size())?;
            if batch.last_offset() < plan.first_dirty {
                continue;
            }
            let at_place = |error: Error| error.located(segment.region().path(), place as u64);
            if batch.attributes().is_control() {
                transactions.on_control(batch.header(), control_of(&batch).map_err(at_place)?);
            } else if !transactions.on_records(batch.header()) && !keys.take(&batch).map_err(at_place)? {
                return Ok(keys.map);
            }
            keys.map.seen_to(batch.last_offset());
        }
        // What is left out in front of the next segment was seen, too.
        if let Some(last) = end.get().checked_sub(1) {
            keys.map.seen_to(Offset::new(last));
        }
    }
    Ok(keys.map)
}

/// Keys on their way into the map.
struct Keys {
    map: OffsetMap,
    /// Records below it are clean.
    from: Offset,
    found: Vec<(KeyHash, Offset)>,
}

impl Keys {
    /// Takes the keys of a batch. Answers whether there was room for all.
    fn take(&mut self, batch: &RecordBatch<&[u8]>) -> Result<bool> {
        let payload = batch.payload(&DecompressionLimits::default())?;
        self.found.clear();
        for record in payload.records() {
            let record = record?;
            let Some(key) = record.key().filter(|_| record.offset() >= self.from) else { continue };
            self.found.push((self.map.hash(key), record.offset()));
            if self.found.len() == TOGETHER && !self.put() {
                return Ok(false);
            }
        }
        Ok(self.put())
    }

    fn put(&mut self) -> bool {
        std::hint::black_box(self.found.iter().fold(0, |sum, (hash, _)| sum ^ self.map.touch(*hash)));
        for (hash, offset) in self.found.drain(..) {
            if !self.map.put(hash, offset) {
                return false;
            }
            self.map.seen_to(offset);
        }
        true
    }
}
