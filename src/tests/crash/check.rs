//! The invariants that hold of every open log.

use super::expect::{Expect, Expected};
use crate::error::ErrorKind;
use crate::log::{FetchLimit, Log};
use crate::record::DecompressionLimits;
use crate::types::{Offset, ReadUpTo};

/// What is wrong.
pub(in crate::tests) type Checked<T = ()> = Result<T, String>;

/// Turns a condition that does not hold into what is wrong.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(in crate::tests) use ensure;

/// Says what was attempted when an error came that must not.
pub(in crate::tests) fn works<T>(what: &str, result: crate::Result<T>) -> Checked<T> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

fn offset(index: usize) -> Offset {
    Offset::new(index as u64)
}

fn index(offset: Offset) -> usize {
    usize::try_from(offset.get()).unwrap_or(usize::MAX)
}

/// Checks a log that was just opened against what may be found. Returns where it starts and ends.
pub(super) fn opened(log: &Log, expect: &Expect) -> Checked<(usize, usize)> {
    let (start, end) = (index(log.log_start()), index(log.end(ReadUpTo::Written)));
    ensure!(log.recovery().damage.is_empty(), "no bit has rotted, and yet: {:?}", log.recovery().damage);
    ensure!(end >= expect.written, "ends at {end}, but {} were promised", expect.written);
    ensure!(end <= expect.records.len(), "ends at {end}, but only {} were ever appended", expect.records.len());
    ensure!(expect.may_end_at(end), "ends at {end}, in the middle of a batch");
    let (low, high) = expect.start;
    ensure!((low..=high).contains(&start), "starts at {start}, which is not in {low}..={high}");
    contents(log, &expect.records)?;
    Ok((start, end))
}

/// Checks marks, records, and every way to look one up.
pub(super) fn contents(log: &Log, records: &[Expected]) -> Checked {
    marks(log)?;
    let (start, end) = (index(log.log_start()), index(log.end(ReadUpTo::Written)));
    ensure!(start <= end && end <= records.len(), "the log is {start}..{end} of {} records", records.len());
    scan(log, start, end, records)?;
    for at in start..end {
        look_up(log, at, end)?;
    }
    for at in (start..end).step_by(3) {
        look_up_time(log, at, start, end, records)?;
    }
    limits(log, start)
}

/// I7: the marks are in order.
fn marks(log: &Log) -> Checked {
    let (start, durable, high, stable, end) = (
        log.log_start(),
        log.end(ReadUpTo::Durable),
        log.end(ReadUpTo::HighWatermark),
        log.last_stable_offset(),
        log.end(ReadUpTo::Written),
    );
    let ordered = start <= durable && durable <= end && stable <= high && high <= end && start <= high;
    ensure!(ordered, "marks: start {start}, stable {stable}, high {high}, durable {durable}, end {end}");
    Ok(())
}

/// I1, I3, I4: from the start to the end, batch by batch, each record is the one that was appended there.
fn scan(log: &Log, start: usize, end: usize, records: &[Expected]) -> Checked {
    let mut next = start;
    while next < end {
        let fetched = works("read", log.read(offset(next), FetchLimit::bytes(300).up_to(ReadUpTo::Written)))?;
        ensure!(!fetched.is_empty(), "nothing at {next}, though the log ends at {end}");
        for batch in fetched.batches() {
            works("check", batch.check())?;
            let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
            let mut last = index(batch.base_offset());
            ensure!(last <= next, "batch {last} follows {next}");
            for record in payload.records() {
                let record = works("decode", record)?;
                let at = index(record.offset());
                ensure!(at == last && at < end, "record {at} instead of {last}, before {end}");
                let expected = &records[at];
                ensure!(record.value() == Some(&*expected.value), "record {at} holds another value");
                ensure!(record.timestamp() == expected.timestamp, "record {at} has time {}", record.timestamp());
                last += 1;
            }
            ensure!(last == index(batch.next_offset()), "batch ends at {last}");
            next = last;
        }
        ensure!(index(fetched.next_offset) == next, "goes on at {}, not {next}", fetched.next_offset);
    }
    Ok(())
}

/// I5: the index leads to the batch that holds the offset.
fn look_up(log: &Log, at: usize, end: usize) -> Checked {
    let fetched = works("look up", log.read(offset(at), FetchLimit::bytes(1).up_to(ReadUpTo::Written)))?;
    let Some(first) = fetched.batches().next() else { return Err(format!("look-up of {at} finds nothing")) };
    let (base, last) = (index(first.base_offset()), index(first.last_offset()));
    ensure!(base <= at && at <= last && last < end, "look-up of {at} leads to {base}..={last}");
    Ok(())
}

/// I6: looking up a time finds what a scan finds.
fn look_up_time(log: &Log, at: usize, start: usize, end: usize, records: &[Expected]) -> Checked {
    let target = records[at].timestamp;
    let scanned = (start..end).find(|&at| records[at].timestamp >= target);
    let found = works("look up a time", log.offset_for_time(target, ReadUpTo::Written))?;
    let found = found.map(|found| index(found.offset));
    ensure!(found == scanned, "time {target} is at {found:?}, a scan finds {scanned:?}");
    Ok(())
}

/// I9: no reader sees what lies at its mark or above.
fn limits(log: &Log, start: usize) -> Checked {
    for up_to in [ReadUpTo::Durable, ReadUpTo::HighWatermark] {
        let mark = log.end(up_to);
        if offset(start) > mark {
            continue;
        }
        let mut next = offset(start);
        loop {
            let fetched = works("read", log.read(next, FetchLimit::bytes(1 << 20).up_to(up_to)))?;
            if fetched.is_empty() {
                break;
            }
            next = fetched.next_offset;
        }
        ensure!(next <= mark, "a reader up to {up_to:?} saw {next}, above {mark}");
    }
    Ok(())
}

/// P6: each record that is answered is the one that was appended there; all else answers that it is damaged.
pub(super) fn right_or_corrupt(log: &Log, records: &[Expected]) -> Checked {
    let end = index(log.end(ReadUpTo::Written));
    let mut next = index(log.log_start());
    while next < end {
        let fetched = match log.read(offset(next), FetchLimit::bytes(1).up_to(ReadUpTo::Written)) {
            Ok(fetched) => fetched,
            Err(error) => {
                // A damaged magic cannot be told from that of another format.
                let is_typed = matches!(error.kind(), ErrorKind::Corruption | ErrorKind::UnsupportedMagic);
                ensure!(is_typed, "read of {next}: {error:?}");
                next += 1;
                continue;
            }
        };
        for batch in fetched.batches() {
            let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
            for record in payload.records() {
                let record = works("decode", record)?;
                let expected = records.get(index(record.offset())).map(|expected| &*expected.value);
                ensure!(record.value() == expected, "record {} holds another value", record.offset());
            }
        }
        next = index(fetched.next_offset).max(next + 1);
    }
    Ok(())
}
