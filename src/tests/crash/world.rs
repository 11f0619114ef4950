//! What a store may hold after a crash: topics, their records, and who of the transactions has ended how.

use std::collections::BTreeMap;

use super::check::{Checked, ensure, works};
use crate::error::Corruption;
use crate::log::FetchLimit;
use crate::partition::Partition;
use crate::record::{ControlRecord, DecompressionLimits, RecordBatch, TransactionResult};
use crate::sim::CrashMode;
use crate::types::{Isolation, Offset, ProducerId, ReadUpTo};

/// What one offset holds: a batch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A record of nobody.
    Plain(u64),
    /// A record in a producer's transaction, and its sequence.
    InTransaction { id: u64, producer: i64, sequence: i32 },
    /// The end of a producer's transaction.
    Marker { producer: i64, result: TransactionResult },
}

/// What the log of a topic's partition may hold, and what it must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// The longest log there can be. The index is the offset.
    pub(super) entries: Vec<Entry>,
    /// So many of them survive the process.
    pub(super) written: usize,
    /// So many of them survive a power cut.
    pub(super) durable: usize,
    /// The lowest and the highest log start there can be.
    pub(super) start: (usize, usize),
    /// Whether the topic may just as well not be there: its creation or deletion failed.
    pub(super) may_be_gone: bool,
}

/// The topics by name.
pub(super) type World = BTreeMap<&'static str, Expected>;

impl Expected {
    /// What is found may be either.
    pub(super) fn or(&self, other: &Self) -> Self {
        let longer = if other.entries.len() > self.entries.len() { other } else { self };
        Self {
            entries: longer.entries.clone(),
            written: self.written.min(other.written),
            durable: self.durable.min(other.durable),
            start: (self.start.0.min(other.start.0), self.start.1.max(other.start.1)),
            may_be_gone: self.may_be_gone || other.may_be_gone,
        }
    }

    /// What holds after a crash.
    pub(super) fn after(&self, mode: CrashMode) -> Self {
        let written = if mode == CrashMode::Kill { self.written } else { self.durable };
        Self { written, ..self.clone() }
    }

    /// The sequence that the producer's next record has, if all up to `end` are there.
    pub(super) fn next_sequence(&self, producer: i64) -> i32 {
        let of = |entry: &Entry| match entry {
            Entry::InTransaction { producer: by, sequence, .. } if *by == producer => Some(*sequence + 1),
            _ => None,
        };
        self.entries.iter().rev().find_map(of).unwrap_or(0)
    }

    /// Whether the producer's transaction is open.
    pub(super) fn is_open(&self, producer: i64) -> bool {
        let of = |entry: &Entry| match entry {
            Entry::InTransaction { producer: by, .. } if *by == producer => Some(true),
            Entry::Marker { producer: by, .. } if *by == producer => Some(false),
            _ => None,
        };
        self.entries.iter().rev().find_map(of).unwrap_or(false)
    }

    /// What a reader of committed records may see of the log from `start` to `end`, by offset; and between which offsets
    /// the last stable one lies. Of a transaction that began below the start the log may know no more than is left.
    fn committed(&self, start: usize, end: usize) -> (BTreeMap<usize, u64>, (usize, usize)) {
        let mut open: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        let mut visible = BTreeMap::new();
        for (offset, entry) in self.entries[..end].iter().enumerate() {
            match *entry {
                Entry::Plain(id) => _ = visible.insert(offset, id),
                Entry::InTransaction { producer, .. } => open.entry(producer).or_default().push(offset),
                Entry::Marker { producer, result } => {
                    for offset in open.remove(&producer).unwrap_or_default() {
                        if let (Entry::InTransaction { id, .. }, TransactionResult::Commit) =
                            (self.entries[offset], result)
                        {
                            visible.insert(offset, id);
                        }
                    }
                }
            }
        }
        let known = open.values().filter_map(|offsets| offsets.first()).min().copied().unwrap_or(end);
        let left = open.values().flatten().filter(|offset| **offset >= start).min().copied().unwrap_or(end);
        (visible, (known.max(start), left))
    }
}

fn index(offset: Offset) -> usize {
    usize::try_from(offset.get()).unwrap_or(usize::MAX)
}

/// P1, P2, P9: the partition is a prefix of what was appended, all that was promised in it; who reads committed records
/// sees each committed transaction whole and nothing of the others. Returns where it starts and ends.
pub(super) fn check_partition(partition: &Partition, expected: &Expected) -> Checked<(usize, usize)> {
    let damage = &partition.recovery().damage;
    let of_checkpoint = |damage: &Corruption| damage.path.as_ref().is_some_and(|path| path.ends_with("log-checkpoint"));
    ensure!(damage.iter().all(of_checkpoint), "no bit has rotted: {damage:?}");
    let (start, marks) = partition.offsets();
    let (start, end) = (index(start), index(marks.end));
    ensure!(end >= expected.written, "ends at {end}, but {} were promised", expected.written);
    ensure!(end <= expected.entries.len(), "ends at {end}, but only {} were appended", expected.entries.len());
    // Without its checkpoint a log does not know where it started.
    let (low, high) = (if damage.is_empty() { expected.start.0 } else { 0 }, expected.start.1);
    ensure!((low..=high).contains(&start), "starts at {start}, which is not in {low}..={high}");
    let mut next = start;
    while next < end {
        let limit = FetchLimit::bytes(400).up_to(ReadUpTo::Written);
        let fetched = works("read", partition.fetch(Offset::new(next as u64), limit))?;
        ensure!(!fetched.is_empty(), "nothing at {next}, though the log ends at {end}");
        for batch in fetched.batches() {
            ensure!(index(batch.base_offset()) == next, "{} follows {next}", batch.base_offset());
            let found = entry_of(&batch)?;
            ensure!(found == expected.entries[next], "{next} holds {found:?}, not {:?}", expected.entries[next]);
            next += 1;
        }
    }
    let (visible, (low, high)) = expected.committed(start, end);
    let stable = index(marks.last_stable);
    ensure!((low..=high).contains(&stable), "stable up to {stable}, which is not in {low}..={high}");
    let visible: Vec<u64> = visible.range(start..stable).map(|(_, id)| *id).collect();
    let seen = committed(partition, start)?;
    ensure!(seen == visible, "committed records are {seen:?}, not {visible:?}");
    Ok((start, end))
}

fn entry_of(batch: &RecordBatch<&[u8]>) -> Checked<Entry> {
    works("check", batch.check())?;
    let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
    let record = payload.records().next().ok_or("an empty batch")?;
    let record = works("decode", record)?;
    let producer = batch.header().producer_id.get();
    if batch.attributes().is_control() {
        return match works("decode", ControlRecord::parse(&record))? {
            ControlRecord::EndTransaction { result, .. } => Ok(Entry::Marker { producer, result }),
            other => Err(format!("{other:?}")),
        };
    }
    let id = record.value().and_then(|value| value.first_chunk()).map(|bytes| u64::from_be_bytes(*bytes));
    let id = id.ok_or("a value that nobody appended")?;
    if batch.attributes().is_transactional() {
        return Ok(Entry::InTransaction { id, producer, sequence: batch.header().base_sequence.get() });
    }
    Ok(Entry::Plain(id))
}

/// What a consumer of committed records makes of the answers. (`CompletedFetch.nextFetchedRecord`)
fn committed(partition: &Partition, start: usize) -> Checked<Vec<u64>> {
    let mut seen = Vec::new();
    let mut next = Offset::new(start as u64);
    loop {
        let limit = FetchLimit::bytes(400).isolation(Isolation::ReadCommitted);
        let fetched = works("read committed", partition.fetch(next, limit))?;
        if fetched.is_empty() {
            return Ok(seen);
        }
        let mut waiting = fetched.aborted.clone();
        waiting.sort_by_key(|transaction| transaction.first_offset);
        let mut waiting = waiting.into_iter().peekable();
        let mut aborted: Vec<ProducerId> = Vec::new();
        for batch in fetched.batches() {
            while let Some(begun) = waiting.next_if(|aborted| aborted.first_offset <= batch.last_offset()) {
                aborted.push(begun.producer_id);
            }
            let producer = batch.header().producer_id;
            match entry_of(&batch)? {
                Entry::Marker { result: TransactionResult::Abort, .. } => aborted.retain(|id| *id != producer),
                Entry::InTransaction { id, .. } if !aborted.contains(&producer) => seen.push(id),
                Entry::Plain(id) => seen.push(id),
                _ => {}
            }
        }
        next = fetched.next_offset;
    }
}
