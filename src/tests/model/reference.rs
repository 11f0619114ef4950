//! What a partition is to be: a list of batches, and what follows from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::record::Compression;
use crate::types::{Isolation, ReadUpTo};

/// A record as it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) timestamp: i64,
}

/// Who wrote a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct By {
    pub(super) producer: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
    pub(super) transactional: bool,
}

/// How a transaction was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) producer: i64,
    pub(super) epoch: i16,
    pub(super) commit: bool,
    pub(super) coordinator: i32,
}

/// What a batch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Records { by: Option<By>, codec: Compression, entries: Vec<Entry> },
    End(End, i64),
}

/// A batch in its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) base: u64,
    pub(super) count: u64,
    pub(super) batch: Stored,
}

impl Placed {
    pub(super) fn end(&self) -> u64 {
        self.base + self.count
    }
}

/// A partition's log as it is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    /// All that is there, and what lies below the log start. Offset follows on offset.
    pub(super) batches: Vec<Placed>,
    pub(super) start: u64,
    pub(super) end: u64,
    /// So much was promised to survive a power cut.
    pub(super) durable: u64,
    /// What lies below was read from the disk: a snapshot there tells of a producer's last batch alone.
    pub(super) replayed: u64,
}

/// The marks that a log showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) start: u64,
    pub(super) stable: u64,
    pub(super) high: u64,
    pub(super) durable: u64,
    pub(super) end: u64,
}

impl Seen {
    pub(super) fn limit(&self, up_to: ReadUpTo, isolation: Isolation) -> u64 {
        let limit = match up_to {
            ReadUpTo::Written => self.end,
            ReadUpTo::Durable => self.durable,
            ReadUpTo::HighWatermark => self.high,
        };
        if isolation == Isolation::ReadCommitted { limit.min(self.stable) } else { limit }
    }
}

/// What is to come of a batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    New,
    Duplicate(u64, u64),
    Refused(ErrorKind),
}

/// What is known of one producer.
#[derive(Clone, Debug, Default)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    pub(super) coordinator: i32,
    /// First and last sequence, base offset and end of the last five batches.
    batches: VecDeque<(i32, i32, u64, u64)>,
    /// Where its open transaction began.
    open: Option<u64>,
}

impl Producer {
    pub(super) fn next_sequence(&self) -> i32 {
        self.batches.back().map_or(0, |(_, last, ..)| last + 1)
    }

    /// First sequence and number of records of its last batch but `back`.
    pub(super) fn sent(&self, back: usize) -> Option<(i32, usize)> {
        let (first, last, ..) = self.batches.iter().rev().nth(back)?;
        Some((*first, usize::try_from(last - first + 1).unwrap_or(1)))
    }

    fn enter(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    /// Forgets all batches below `end` but the last of them.
    fn forget_all_but_one(&mut self, end: u64) {
        let below = self.batches.iter().take_while(|batch| batch.3 <= end).count();
        self.batches.drain(..below.saturating_sub(1));
    }

    fn judge(&self, by: &By, count: usize) -> Answer {
        let last = by.sequence + i32::try_from(count).unwrap_or(0) - 1;
        let same = self.batches.iter().find(|sent| (sent.0, sent.1) == (by.sequence, last));
        if let Some((_, _, base, end)) = same.filter(|_| by.epoch == self.epoch) {
            return Answer::Duplicate(*base, *end);
        }
        if by.epoch < self.epoch {
            return Answer::Refused(ErrorKind::ProducerFenced);
        }
        let expected = if by.epoch == self.epoch { self.next_sequence() } else { 0 };
        if by.sequence != expected {
            return Answer::Refused(ErrorKind::OutOfOrderSequence);
        }
        if self.open.is_some() && !by.transactional {
            return Answer::Refused(ErrorKind::InvalidTxnState);
        }
        Answer::New
    }
}

/// A transaction: where it began, and where its end stands.
struct Transaction {
    first: u64,
    ended: Option<u64>,
}

impl Reference {
    pub(super) fn push(&mut self, batch: Stored) {
        let count = match &batch {
            Stored::Records { entries, .. } => entries.len() as u64,
            Stored::End(..) => 1,
        };
        self.batches.push(Placed { base: self.end, count, batch });
        self.end += count;
    }

    /// The batches that may be read, the first of which may begin below the log start.
    pub(super) fn readable(&self) -> impl Iterator<Item = &Placed> {
        self.batches.iter().filter(|placed| placed.end() > self.start)
    }

    /// Where the batch that holds `offset` begins; `offset` itself at the end.
    pub(super) fn batch_start(&self, offset: u64) -> u64 {
        let holds = |placed: &&Placed| placed.base <= offset && offset < placed.end();
        self.batches.iter().find(holds).map_or(offset, |placed| placed.base)
    }

    /// Offsets at which a log may end that has lost some of its tail.
    pub(super) fn may_end_at(&self, end: u64) -> bool {
        self.batch_start(end) == end || end == self.start
    }

    /// Cuts everything from `end` on. A batch that begins before it, as the log start lies in it, is gone with the rest:
    /// only its offsets are left, and nobody reads them.
    pub(super) fn cut(&mut self, end: u64) {
        self.batches.retain(|placed| placed.base < end);
        if let Some(last) = self.batches.last_mut().filter(|last| last.end() > end) {
            last.count = end - last.base;
            last.batch = Stored::Records { by: None, codec: Compression::None, entries: Vec::new() };
        }
        self.end = end;
        self.replayed = end;
        self.durable = self.durable.min(end);
    }

    /// What is known of the producers by who has read the batches from `from` on.
    pub(super) fn producers(&self, from: u64) -> BTreeMap<i64, Producer> {
        let mut all: BTreeMap<i64, Producer> = BTreeMap::new();
        let new = || Producer { epoch: -1, coordinator: -1, ..Producer::default() };
        for placed in self.batches.iter().filter(|placed| placed.base >= from) {
            match &placed.batch {
                Stored::Records { by: Some(by), entries, .. } => {
                    let producer = all.entry(by.producer).or_insert_with(new);
                    producer.enter(by.epoch);
                    let last = by.sequence + i32::try_from(entries.len()).unwrap_or(0) - 1;
                    producer.batches.push_back((by.sequence, last, placed.base, placed.end()));
                    if producer.batches.len() > 5 {
                        producer.batches.pop_front();
                    }
                    if by.transactional {
                        producer.open.get_or_insert(placed.base);
                    }
                }
                Stored::Records { .. } => {}
                Stored::End(end, _) => {
                    let producer = all.entry(end.producer).or_insert_with(new);
                    producer.enter(end.epoch);
                    producer.coordinator = end.coordinator;
                    producer.open = None;
                }
            }
        }
        all
    }

    /// From where on the log may know its batches: what lies below its start it may have forgotten, or not.
    fn known_from(&self) -> BTreeSet<u64> {
        let first = self.readable().map(|placed| placed.base).next().unwrap_or(self.end);
        let below = self.batches.iter().map(|placed| placed.base).filter(|base| *base <= first);
        below
            .chain([0, first, self.start, self.end])
            .collect::<BTreeSet<_>>()
            .range(..=first.max(self.start))
            .copied()
            .collect()
    }

    /// What may be answered to a producer's batch.
    pub(super) fn judge(&self, by: &By, count: usize) -> Vec<Answer> {
        let mut answers = Vec::new();
        for from in self.known_from() {
            let Some(mut known) = self.producers(from).remove(&by.producer) else {
                answers.push(Answer::New);
                continue;
            };
            answers.push(known.judge(by, count));
            known.forget_all_but_one(self.replayed);
            answers.push(known.judge(by, count));
        }
        answers
    }

    /// What may be answered to the end of a transaction.
    pub(super) fn judge_end(&self, end: &End) -> Vec<Answer> {
        let judge = |from| match self.producers(from).get(&end.producer) {
            Some(known) if end.epoch < known.epoch || end.coordinator < known.coordinator => {
                Answer::Refused(ErrorKind::ProducerFenced)
            }
            _ => Answer::New,
        };
        self.known_from().into_iter().map(judge).collect()
    }

    /// The transactions of those batches from `from` on.
    fn transactions(&self, from: u64) -> Vec<Transaction> {
        let mut open: BTreeMap<i64, u64> = BTreeMap::new();
        let mut all = Vec::new();
        for placed in self.batches.iter().filter(|placed| placed.base >= from) {
            match &placed.batch {
                Stored::Records { by: Some(by), .. } if by.transactional => {
                    open.entry(by.producer).or_insert(placed.base);
                }
                Stored::Records { .. } => {}
                Stored::End(end, _) => {
                    let first = open.remove(&end.producer);
                    all.extend(first.map(|first| Transaction { first, ended: Some(placed.base) }));
                }
            }
        }
        all.extend(open.into_values().map(|first| Transaction { first, ended: None }));
        all
    }

    /// Where the first open transaction begins.
    pub(super) fn first_open(&self) -> Option<u64> {
        let all = self.transactions(0);
        all.iter().filter(|transaction| transaction.ended.is_none()).map(|transaction| transaction.first).min()
    }

    /// Whether a cut at `end` opens a transaction again whose first records are deleted.
    pub(super) fn reopens_deleted(&self, end: u64) -> bool {
        let mut cut = self.clone();
        cut.cut(end);
        cut.first_open().is_some_and(|first| first < self.start)
    }

    /// Where the last stable offset may be under this high watermark.
    pub(super) fn stable(&self, high: u64) -> Vec<u64> {
        let stable = |from| {
            let holds = |transaction: &&Transaction| transaction.ended.is_none_or(|ended| ended >= high);
            let first = self.transactions(from).iter().filter(holds).map(|transaction| transaction.first).min();
            first.map_or(high, |first| first.max(self.start).min(high))
        };
        self.known_from().into_iter().map(stable).collect()
    }

    /// Offsets of the records that a reader of committed ones is to see below `end`.
    pub(super) fn committed(&self, from: u64, end: u64) -> BTreeSet<u64> {
        let mut open: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        let mut visible = BTreeSet::new();
        for placed in &self.batches {
            let offsets = placed.base..placed.end();
            match &placed.batch {
                Stored::Records { by: Some(by), .. } if by.transactional => {
                    open.entry(by.producer).or_default().extend(offsets);
                }
                Stored::Records { .. } => visible.extend(offsets),
                Stored::End(end, _) => {
                    let ended = open.remove(&end.producer).unwrap_or_default();
                    if end.commit {
                        visible.extend(ended);
                    }
                }
            }
        }
        visible.range(from.min(end)..end).copied().collect()
    }

    /// Offset and time of each record and marker that may be read below `end`.
    pub(super) fn times(&self, end: u64) -> impl Iterator<Item = (u64, i64)> {
        let times = |placed: &Placed| match &placed.batch {
            Stored::Records { entries, .. } => entries.iter().map(|entry| entry.timestamp).collect(),
            Stored::End(_, time) => vec![*time],
        };
        let of = move |placed: &Placed| (placed.base..placed.end()).zip(times(placed)).collect::<Vec<_>>();
        self.readable().flat_map(of).filter(move |(offset, _)| (self.start..end).contains(offset))
    }
}
