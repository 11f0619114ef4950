//! A partition beside its reference: records, marks and look-ups.

use std::collections::BTreeSet;

use super::reference::{By, End, Entry, Placed, Reference, Seen, Stored};
use crate::log::{FetchLimit, Fetched, HighWatermark};
use crate::partition::Partition;
use crate::record::{ControlRecord, DecompressionLimits, RecordBatch, TransactionResult};
use crate::tests::crash::check::{Checked, ensure, works};
use crate::types::{Isolation, Offset, ReadUpTo, Timestamp};

pub(super) const MARKS: [ReadUpTo; 3] = [ReadUpTo::Written, ReadUpTo::Durable, ReadUpTo::HighWatermark];

/// I7: the marks are in order, and where the reference says.
pub(super) fn marks(partition: &Partition, reference: &Reference) -> Checked<Seen> {
    let (start, marks) = partition.offsets();
    let [start, stable, high, durable, end] =
        [start, marks.last_stable, marks.high, marks.durable, marks.end].map(Offset::get);
    let seen = Seen { start, stable, high, durable, end };
    ensure!((start, end) == (reference.start, reference.end), "{seen:?}, not {}..{}", reference.start, reference.end);
    ensure!(start <= durable && durable <= end && stable <= high && high <= end, "{seen:?}");
    ensure!(durable >= reference.durable, "{seen:?}, but {} is durable", reference.durable);
    let expected = match partition.log().config().high_watermark {
        HighWatermark::Written => end,
        HighWatermark::Durable => durable,
    };
    ensure!(high == expected, "{seen:?}: the high watermark should be {expected}");
    let possible = reference.stable(high);
    ensure!(possible.contains(&stable), "{seen:?}: the last stable offset should be in {possible:?}");
    Ok(seen)
}

/// I1, I3, I4, I9, I11: everything up to each mark, as each kind of reader sees it.
pub(super) fn contents(partition: &Partition, reference: &Reference, seen: &Seen) -> Checked {
    for up_to in MARKS {
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            let limit = FetchLimit::bytes(500).up_to(up_to).isolation(isolation);
            let (mut next, end) = (seen.start, seen.limit(up_to, isolation));
            while next < end {
                next = fetch(partition, reference, (next, end), limit, isolation)?;
            }
            let behind = works("fetch at the mark", partition.fetch(Offset::new(next), limit))?;
            ensure!(behind.is_empty(), "a reader {up_to:?} {isolation:?} sees something at {next}");
        }
    }
    for (at, time) in reference.times(seen.end).step_by(5) {
        by_time(partition, reference, seen, ReadUpTo::Written, time)
            .map_err(|wrong| format!("{wrong}, asked for {at}"))?;
    }
    Ok(())
}

/// I5, I9: one fetch from an offset below the mark. Returns where to go on.
pub(super) fn fetch(
    partition: &Partition,
    reference: &Reference,
    (from, mark): (u64, u64),
    limit: FetchLimit,
    isolation: Isolation,
) -> Checked<u64> {
    let fetched = works("fetch", partition.fetch(Offset::new(from), limit))?;
    ensure!(!fetched.is_empty(), "nothing at {from}, below {mark}");
    let mut expected = reference.batches.iter().skip_while(|placed| placed.end() <= from);
    for batch in fetched.batches() {
        let placed = expected.next().ok_or("more batches than were appended")?;
        same(&batch, placed, reference.start)?;
        ensure!(placed.end() <= mark, "a batch that ends at {} was read up to {mark}", placed.end());
    }
    let next = expected.next().map_or(reference.end, |placed| placed.base);
    ensure!(fetched.next_offset.get() == next, "goes on at {} instead of {next}", fetched.next_offset);
    if isolation == Isolation::ReadCommitted {
        let (found, visible) = (committed(&fetched)?, reference.committed(reference.start, next));
        let found: BTreeSet<u64> = found.into_iter().filter(|offset| *offset >= from).collect();
        let visible: BTreeSet<u64> = visible.range(from..).copied().collect();
        ensure!(found == visible, "from {from} to {next} {found:?} are committed instead of {visible:?}");
    }
    Ok(next)
}

/// I4: the batch is the one that was appended there, in each field.
fn same(batch: &RecordBatch<&[u8]>, placed: &Placed, start: u64) -> Checked {
    works("check", batch.check())?;
    let found = (batch.base_offset().get(), batch.next_offset().get());
    // What a cut has left of a batch below the log start is never read.
    ensure!(found == (placed.base, placed.end()), "a batch at {found:?}, not at {}..{}", placed.base, placed.end());
    let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
    let header = batch.header();
    match &placed.batch {
        Stored::Records { by, codec, entries } => {
            let found = header.producer_id.is_some().then(|| By {
                producer: header.producer_id.get(),
                epoch: header.producer_epoch.get(),
                sequence: header.base_sequence.get(),
                transactional: header.attributes.is_transactional(),
            });
            ensure!(found == *by && !header.attributes.is_control(), "{found:?} at {}, not {by:?}", placed.base);
            let found = header.attributes.codec();
            ensure!(found == codec.codec(), "codec {found} at {}, not {codec:?}", placed.base);
            let mut count = 0;
            for (record, entry) in payload.records().zip(entries) {
                let record = works("decode", record)?;
                let found = Entry {
                    key: record.key().map(|key| key.to_vec().into()),
                    value: record.value().map(|value| value.to_vec().into()),
                    timestamp: record.timestamp().millis(),
                };
                ensure!(found == *entry, "{found:?} at {}, not {entry:?}; start {start}", record.offset());
                count += 1;
            }
            ensure!(count == entries.len(), "{count} records at {}", placed.base);
        }
        Stored::End(end, _) => {
            let record = works("decode", payload.records().next().ok_or("no record")?)?;
            let ControlRecord::EndTransaction { result, coordinator_epoch } =
                works("parse", ControlRecord::parse(&record))?
            else {
                return Err(format!("another control record at {}", placed.base));
            };
            let found = End {
                producer: header.producer_id.get(),
                epoch: header.producer_epoch.get(),
                commit: result == TransactionResult::Commit,
                coordinator: coordinator_epoch,
            };
            ensure!(found == *end, "{found:?} at {}, not {end:?}", placed.base);
        }
    }
    Ok(())
}

/// What a consumer of committed records makes of an answer. (`CompletedFetch.nextFetchedRecord`)
fn committed(fetched: &Fetched) -> Checked<Vec<u64>> {
    let mut waiting: Vec<_> = fetched.aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
    waiting.sort_unstable();
    let (mut waiting, mut hidden, mut found) = (waiting.into_iter().peekable(), BTreeSet::new(), Vec::new());
    for batch in fetched.batches() {
        let header = batch.header();
        while let Some((_, id)) = waiting.next_if(|(first, _)| *first <= batch.last_offset()) {
            hidden.insert(id);
        }
        if header.attributes.is_control() {
            let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
            let record = works("decode", payload.records().next().ok_or("no record")?)?;
            let parsed = works("parse", ControlRecord::parse(&record))?;
            if matches!(parsed, ControlRecord::EndTransaction { result: TransactionResult::Abort, .. }) {
                hidden.remove(&header.producer_id);
            }
        } else if !(header.attributes.is_transactional() && hidden.contains(&header.producer_id)) {
            found.extend(batch.base_offset().get()..batch.next_offset().get());
        }
    }
    Ok(found)
}

/// I6: a look-up by time finds what a scan finds.
pub(super) fn by_time(
    partition: &Partition,
    reference: &Reference,
    seen: &Seen,
    up_to: ReadUpTo,
    target: i64,
) -> Checked {
    let mark = seen.limit(up_to, Isolation::ReadUncommitted);
    let found = works("look up a time", partition.offset_for_time(Timestamp::from_millis(target), up_to))?;
    let found = found.map(|found| (found.offset.get(), found.timestamp.millis()));
    let scanned = reference.times(mark).find(|(_, time)| *time >= target);
    ensure!(found == scanned, "time {target} up to {mark} is at {found:?}, a scan finds {scanned:?}");
    let latest = works("look up the latest", partition.log().offset_of_max_timestamp(up_to))?;
    let latest = latest.map(|found| (found.offset.get(), found.timestamp.millis()));
    let scanned = reference.times(mark).reduce(|best, next| if next.1 > best.1 { next } else { best });
    ensure!(latest == scanned, "the latest up to {mark} is {latest:?}, a scan finds {scanned:?}");
    Ok(())
}
