//! Drawn workloads beside a plain list of all that was appended: what compaction may take, what it must, and what not.
//!
//! A failure prints its seed; `RIVERBED_SEED` replays it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::io::sim::Random;

const RETENTION: i64 = 1_000;
const CODECS: [Compression; 5] = Compression::ALL;

/// A record, and by whom.
#[derive(Clone, Debug)]
struct Written {
    got: Got,
    transaction: Option<i64>,
    /// `None` as long as its transaction is open.
    is_committed: Option<bool>,
}

struct Pair {
    host: Host,
    random: Random,
    written: BTreeMap<u64, Written>,
    /// When a compaction met each tombstone first.
    met: BTreeMap<u64, i64>,
    sequences: BTreeMap<i64, i32>,
    compactions: u64,
    removed: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let segment = random.pick(&["300", "1000", "4000"]).copied().unwrap();
        let interval = random.pick(&["1", "200"]).copied().unwrap();
        let settings =
            [("segment.bytes", segment), ("index.interval.bytes", interval), ("delete.retention.ms", "1000")];
        let mut host = Host::new(&settings);
        if random.one_in(3) {
            let keys = 1 + random.index(6);
            host = host.with_keys(keys);
        }
        Self {
            host,
            random,
            written: BTreeMap::new(),
            met: BTreeMap::new(),
            sequences: BTreeMap::new(),
            compactions: 0,
            removed: 0,
        }
    }

    fn step(&mut self) {
        match self.random.index(20) {
            0..=7 => self.append(),
            8..=9 => self.end(),
            10..=12 => self.host.roll(),
            13 => self.host.wait(200 + self.random.below(700)),
            14 if self.random.one_in(2) => self.host.reopen(),
            14 => self.host.kill(),
            15 if self.random.one_in(4) => self.delete_records(),
            _ => self.compact(),
        }
    }

    fn append(&mut self) {
        let producer = Some(self.random.below(4) as i64).filter(|id| *id > 0);
        // Producer 1 is idempotent, those above write in transactions, nobody does neither.
        let transaction = producer.filter(|id| *id > 1);
        let mut builder = BatchBuilder::new();
        builder.compression(CODECS[self.random.index(CODECS.len())]);
        let records = 1 + self.random.index(4);
        if let Some(id) = producer {
            let sequence = self.sequences.entry(id).or_insert(0);
            builder.producer(ProducerId::new(id), ProducerEpoch::new(0), Sequence::new(*sequence));
            builder.transactional(transaction.is_some());
            *sequence += records as i32;
        }
        let mut new = Vec::new();
        for _ in 0..records {
            let key = format!("k{}", self.random.below(8));
            let value = (!self.random.one_in(4)).then(|| format!("v{}", self.random.below(1_000_000)));
            let time = self.host.clock.now().millis() - self.random.below(50) as i64;
            new.push(Got { offset: 0, key, value, time });
        }
        for got in &new {
            let record = Record::new().key(&got.key).value(got.value.as_deref()).header("h", &got.key);
            let time = Timestamp::from_millis(got.time);
            builder.push(&record.timestamp(time), time).unwrap();
        }
        let batch = RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap();
        let first = self.host.log.append(&batch, AppendOrigin::Client).unwrap().offsets.start().get();
        for (place, got) in new.into_iter().enumerate() {
            let offset = first + place as u64;
            let is_committed = if transaction.is_some() { None } else { Some(true) };
            self.written.insert(offset, Written { got: Got { offset, ..got }, transaction, is_committed });
        }
    }

    fn end(&mut self) {
        let producer = 2 + self.random.below(2) as i64;
        let is_open = |written: &Written| written.transaction == Some(producer) && written.is_committed.is_none();
        let start = self.host.log.log_start().get();
        if !self.written.values().any(|written| is_open(written) && written.got.offset >= start) {
            return;
        }
        let commits = self.random.one_in(2);
        let result = if commits { TransactionResult::Commit } else { TransactionResult::Abort };
        self.host.end(producer, result);
        for written in self.written.values_mut().filter(|written| is_open(written)) {
            written.is_committed = Some(commits);
        }
    }

    /// Not into a transaction, of which the log would forget the start.
    fn delete_records(&mut self) {
        let (start, stable) = (self.host.log.log_start().get(), self.host.log.last_stable_offset().get());
        let to = start + (stable - start) * self.random.below(11) / 10;
        let is_cut = |written: &Written| {
            written.transaction.is_some() && written.got.offset < to && written.is_committed.is_none()
        };
        if !self.written.values().any(is_cut) {
            self.host.log.delete_records(..Offset::new(to)).unwrap();
        }
    }

    fn compact(&mut self) {
        let now = self.host.clock.now().millis();
        let producers = self.host.log.producers().unwrap();
        let before = self.host.read(Isolation::ReadUncommitted);
        let done = self.host.compact();
        self.compactions += 1;
        self.removed += done.records_removed;
        let again = self.host.files();
        assert_eq!(self.host.compact(), Compacted::default(), "nothing is left to do");
        assert_eq!(self.host.files(), again, "nothing has changed");
        self.check(&before, now);
        // The state of the producers does not need the snapshots.
        let mut killed = self.host.log.snapshots().unwrap();
        if self.random.one_in(2) {
            killed.clear();
        }
        assert_eq!(self.host.log.producers().unwrap(), producers);
        if self.host.log.log_start() == Offset::ZERO && self.random.one_in(3) {
            self.host.log.shut();
            for snapshot in killed {
                self.host.directory().unlink(&format!("{:020}.snapshot", snapshot.get())).unwrap();
            }
            self.host.kill();
            let names = |list: &[crate::log::ProducerInfo]| {
                list.iter()
                    .map(|known| (known.id, known.epoch, known.last_sequence, known.transaction_start))
                    .collect::<Vec<_>>()
            };
            assert_eq!(names(&self.host.log.producers().unwrap()), names(&producers));
        }
        self.look_up_times();
    }

    fn check(&mut self, before: &[Got], now: i64) {
        let (start, to) = (self.host.log.log_start().get(), self.host.log.cleaned().to.get());
        let after = self.host.read(Isolation::ReadUncommitted);
        for got in &after {
            assert_eq!(*got, self.written[&got.offset].got, "what stays is what was written");
        }
        let left: BTreeSet<u64> = after.iter().map(|got| got.offset).collect();
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for written in self.written.values().filter(|written| written.is_committed == Some(true)) {
            if written.got.offset < to {
                last.insert(&written.got.key, written.got.offset);
            }
        }
        for got in before {
            let written = &self.written[&got.offset];
            let is_left = left.contains(&got.offset);
            if got.offset >= to {
                assert!(is_left, "{got:?} is behind {to}");
                continue;
            }
            let is_last = last.get(got.key.as_str()) == Some(&got.offset);
            match written.is_committed {
                None => panic!("{got:?} is undecided, and below {to}"),
                Some(false) => assert!(!is_left, "{got:?} was aborted"),
                Some(true) if !is_last => {
                    let by = &self.written[&last[got.key.as_str()]];
                    assert!(!is_left, "{got:?} was superseded by {by:?}, cleaned to {to}, {:?}", self.host.batches());
                }
                Some(true) if got.value.is_some() => assert!(is_left, "{got:?} is the last of its key"),
                Some(true) => {
                    let met = *self.met.entry(got.offset).or_insert(now);
                    assert_eq!(is_left, now < met + RETENTION, "{got:?} was met at {met}, and it is {now}");
                }
            }
        }
        let committed = self.host.read(Isolation::ReadCommitted);
        let stable = self.host.log.last_stable_offset().get();
        let expected: Vec<Got> = after
            .into_iter()
            .filter(|got| got.offset < stable && self.written[&got.offset].is_committed == Some(true))
            .collect();
        assert_eq!(committed, expected, "what is committed, from {start} to {stable}");
    }

    fn look_up_times(&mut self) {
        let after = self.host.read(Isolation::ReadUncommitted);
        for _ in 0..5 {
            let target = START.millis() - 60 + self.random.below(3_000) as i64;
            let found = self.host.log.offset_for_time(Timestamp::from_millis(target), ReadUpTo::Written).unwrap();
            // Markers have times, too.
            if let Some(found) = found {
                let scanned = after.iter().find(|got| got.time >= target).map_or(u64::MAX, |got| got.offset);
                assert!(found.offset.get() <= scanned, "{target}: {found:?}, a scan finds {scanned}");
                assert!(found.timestamp.millis() >= target);
            } else {
                assert!(!after.iter().any(|got| got.time >= target), "{target} is not found");
            }
        }
    }
}

#[test]
fn compaction_takes_what_it_must_and_no_more() {
    let given: Option<u64> = std::env::var("RIVERBED_SEED").ok().map(|seed| seed.parse().unwrap());
    let (mut compactions, mut removed) = (0, 0);
    for seed in given.map_or(0..150, |seed| seed..seed + 1) {
        let run = std::panic::AssertUnwindSafe(|| {
            let mut pair = Pair::new(seed);
            for _ in 0..120 {
                pair.step();
            }
            (pair.compactions, pair.removed)
        });
        match std::panic::catch_unwind(run) {
            Ok((some, records)) => (compactions, removed) = (compactions + some, removed + records),
            Err(panic) => {
                eprintln!("RIVERBED_SEED={seed} cargo test --lib compaction_takes_what_it_must");
                std::panic::resume_unwind(panic);
            }
        }
    }
    if given.is_none() {
        assert!(compactions > 2_000 && removed > 10_000, "{compactions} compactions, {removed} records");
    }
}
