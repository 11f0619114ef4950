//! Producers and transactions against a model that is a list: drawn workloads, through rolls, cuts, closes and kills.
//!
//! A failure prints its seed; `RIVERBED_SEED` replays it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::io::sim::Random;
use crate::record::{ControlRecord, EndMarker, TransactionResult};
use crate::types::{ProducerEpoch, ProducerId, Sequence};

const TIME: Timestamp = Timestamp::from_millis(1_000_000);

/// What stands at an offset: all batches have one record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry {
    Data { producer: i64, sequence: i32, transactional: bool },
    End { producer: i64, commit: bool },
}

/// A log beside the list of what it holds. What lies below the log start is still on the list.
struct Pair {
    disk: SimDisk,
    log: Log,
    entries: Vec<Entry>,
    start: usize,
}

impl Pair {
    fn new() -> Self {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        Self { disk, log, entries: Vec::new(), start: 0 }
    }

    /// Where each open transaction begins.
    fn open_transactions(&self) -> BTreeMap<i64, usize> {
        self.open_before(self.entries.len())
    }

    fn open_before(&self, end: usize) -> BTreeMap<i64, usize> {
        let mut open = BTreeMap::new();
        for (offset, entry) in self.entries[..end].iter().enumerate() {
            match entry {
                Entry::Data { producer, transactional: true, .. } => drop(open.entry(*producer).or_insert(offset)),
                Entry::Data { .. } => {}
                Entry::End { producer, .. } => drop(open.remove(producer)),
            }
        }
        open
    }

    /// Offset and sequence of a producer's last record.
    fn last_of(&self, wanted: i64) -> Option<(usize, i32, bool)> {
        let data = |(offset, entry): (usize, &Entry)| match entry {
            Entry::Data { producer, sequence, transactional } if *producer == wanted => {
                Some((offset, *sequence, *transactional))
            }
            _ => None,
        };
        self.entries.iter().enumerate().filter_map(data).next_back()
    }

    fn batch(producer: i64, sequence: i32, transactional: bool) -> RecordBatch<Vec<u8>> {
        let mut builder = BatchBuilder::new();
        builder.producer(ProducerId::new(producer), ProducerEpoch::new(0), Sequence::new(sequence));
        builder.transactional(transactional).push(&Record::new().value("some value").timestamp(TIME), TIME).unwrap();
        RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap()
    }

    /// The last sequence that the log knows of.
    fn known(&self, producer: i64) -> i32 {
        let known = self.log.producers().unwrap();
        known.iter().find(|known| known.id.get() == producer).map_or(-1, |known| known.last_sequence.get())
    }

    fn send(&mut self, producer: i64, transactional: bool) {
        let open = self.open_transactions().contains_key(&producer);
        let sequence = match self.last_of(producer) {
            Some((offset, sequence, _)) if offset >= self.start => sequence + 1,
            _ => self.known(producer) + 1,
        };
        let sent = self.log.append(&Self::batch(producer, sequence, transactional), AppendOrigin::Client);
        if open && !transactional {
            assert_eq!(sent.unwrap_err().kind(), ErrorKind::InvalidTxnState);
            return;
        }
        let appended = sent.unwrap();
        assert_eq!((appended.offsets.start().get(), appended.duplicate), (self.entries.len() as u64, false));
        self.entries.push(Entry::Data { producer, sequence, transactional });
    }

    /// The last record comes again, and one from the future.
    fn repeat(&self, producer: i64) {
        let Some((offset, sequence, transactional)) = self.last_of(producer).filter(|last| last.0 >= self.start) else {
            return;
        };
        let again = self.log.append(&Self::batch(producer, sequence, transactional), AppendOrigin::Client).unwrap();
        assert_eq!((again.offsets.start().get(), again.duplicate), (offset as u64, true));
        let gap = self.log.append(&Self::batch(producer, sequence + 2, transactional), AppendOrigin::Client);
        assert_eq!(gap.unwrap_err().kind(), ErrorKind::OutOfOrderSequence);
    }

    fn end(&mut self, producer: i64, commit: bool) {
        let marker = EndMarker {
            result: if commit { TransactionResult::Commit } else { TransactionResult::Abort },
            producer_id: ProducerId::new(producer),
            producer_epoch: ProducerEpoch::new(0),
            coordinator_epoch: 0,
            timestamp: TIME,
        };
        let batch = RecordBatch::parse(marker.encode().unwrap()).unwrap();
        self.log.append(&batch, AppendOrigin::Coordinator).unwrap();
        self.entries.push(Entry::End { producer, commit });
    }

    /// Not the end of a transaction whose start is deleted, as the log then need not know that it is open again.
    fn truncate(&mut self, to: usize) {
        if self.open_before(to).values().any(|first| *first < self.start) {
            return;
        }
        self.log.truncate(Offset::new(to as u64)).unwrap();
        self.entries.truncate(to);
    }

    /// Not beyond the start of an open transaction, of which the log then need not know where it began.
    fn delete(&mut self, to: usize) {
        let to = self.open_transactions().values().min().map_or(to, |first| to.min(*first));
        self.log.delete_records(..Offset::new(to as u64)).unwrap();
        self.start = self.start.max(to);
    }

    fn reopen(&mut self, clean: bool) {
        let last_close = if clean {
            LastClose::Clean(self.log.close().unwrap().unwrap())
        } else {
            self.log.shut();
            UNCLEAN
        };
        self.log = open(&self.disk, last_close);
    }

    fn step(&mut self, random: &mut Random) {
        let producer = 1 + i64::try_from(random.below(4)).unwrap();
        let len = self.entries.len();
        match random.below(100) {
            0..50 => self.send(producer, random.one_in(2)),
            50..55 => self.repeat(producer),
            55..75 => self.end(producer, random.one_in(2)),
            75..80 => drop(self.log.roll().unwrap()),
            80..85 => drop(self.log.sync().unwrap()),
            85..88 => self.truncate(self.start + random.index(len - self.start + 1)),
            88..91 => self.delete(self.start + random.index(len - self.start + 1)),
            91..96 => self.reopen(true),
            _ => self.reopen(false),
        }
    }

    fn check(&self) {
        let open = self.open_transactions();
        let first_open = open.values().min().copied().unwrap_or(self.entries.len());
        let stable = first_open.max(self.start);
        let (start, marks) = self.log.offsets();
        assert_eq!((start.get(), marks.end.get()), (self.start as u64, self.entries.len() as u64));
        assert_eq!(marks.last_stable.get(), stable as u64, "last stable offset");
        assert_eq!(self.committed(stable), self.expected(stable), "committed records");
        for known in self.log.producers().unwrap() {
            let id = known.id.get();
            let transaction = known.transaction_start.map(Offset::get);
            assert_eq!(transaction, open.get(&id).map(|first| *first as u64), "transaction of {id}");
            // What is deleted may be forgotten.
            if let Some((_, last, _)) = self.last_of(id).filter(|(offset, ..)| *offset >= self.start) {
                assert_eq!(known.last_sequence.get(), last, "last sequence of {id}");
            }
        }
    }

    /// The offsets that a reader of committed records is to see.
    fn expected(&self, stable: usize) -> BTreeSet<u64> {
        let is_committed = |offset: usize, id: i64| {
            let ends = |entry: &Entry| match entry {
                Entry::End { producer, commit } if *producer == id => Some(*commit),
                _ => None,
            };
            self.entries[offset..].iter().find_map(ends).unwrap_or(false)
        };
        let visible = |offset: &usize| match self.entries[*offset] {
            Entry::Data { producer, transactional: true, .. } => is_committed(*offset, producer),
            Entry::Data { .. } => true,
            Entry::End { .. } => false,
        };
        (self.start..stable).filter(visible).map(|offset| offset as u64).collect()
    }

    /// What it sees, by the rules of Kafka's consumers.
    fn committed(&self, stable: usize) -> BTreeSet<u64> {
        let limit = FetchLimit::bytes(400).isolation(Isolation::ReadCommitted);
        let (mut seen, mut next) = (BTreeSet::new(), Offset::new(self.start as u64));
        loop {
            let fetched = self.log.read(next, limit).unwrap();
            if fetched.is_empty() {
                assert_eq!(next.get(), stable as u64, "where committed reads end");
                return seen;
            }
            let mut queue: Vec<_> = fetched.aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
            queue.sort_unstable();
            let (mut queue, mut hidden) = (queue.into_iter().peekable(), BTreeSet::new());
            for batch in fetched.batches() {
                let header = *batch.header();
                while let Some((_, id)) = queue.next_if(|(first, _)| *first <= header.last_offset()) {
                    hidden.insert(id);
                }
                if header.attributes.is_control() {
                    let payload = batch.payload(&DecompressionLimits::default()).unwrap();
                    let record = payload.records().next().unwrap().unwrap();
                    let parsed = ControlRecord::parse(&record).unwrap();
                    if matches!(parsed, ControlRecord::EndTransaction { result: TransactionResult::Abort, .. }) {
                        hidden.remove(&header.producer_id);
                    }
                } else if !(header.attributes.is_transactional() && hidden.contains(&header.producer_id)) {
                    seen.insert(header.base_offset.get());
                }
            }
            next = fetched.next_offset;
        }
    }
}

#[test]
fn drawn_transactions_agree_with_a_list() {
    let given: Option<u64> = std::env::var("RIVERBED_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(0..120, |seed| seed..seed + 1);
    for seed in seeds {
        let run = || {
            let (mut random, mut pair) = (Random::new(seed), Pair::new());
            for _ in 0..150 {
                pair.step(&mut random);
                pair.check();
            }
        };
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("RIVERBED_SEED={seed} cargo test --lib drawn_transactions");
            std::panic::resume_unwind(panic);
        }
    }
}
