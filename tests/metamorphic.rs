//! How a log is kept makes no difference to what is in it: the same script under other segment sizes, index intervals,
//! codecs, flush policies and budgets of maps and descriptors gives the same records, marks and look-ups.
//!
//! A failure prints its seed. `RIVERBED_SEED` replays one, `RIVERBED_CASES` asks for more.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use riverbed::{
    AppendOrigin, BatchBuilder, Compression, DecompressionLimits, EndMarker, FetchLimit, Isolation, ManualClock,
    Offset, Partition, ProducerEpoch, ProducerId, ReadUpTo, Record, Sequence, Store, StoreConfig, Timestamp,
    TopicConfig, TransactionResult,
};
use support::TestDir;
use support::random::Random;

const NOW: i64 = 1_700_000_000_000;
const PARTITIONS: u32 = 3;

/// One step of a script. Places are in sixteenths of what is there.
#[derive(Clone, Debug)]
enum Step {
    Append { codec: Compression, values: Vec<(usize, i64)> },
    InTransaction { producer: i64, values: Vec<(usize, i64)> },
    End { producer: i64, commit: bool },
    DeleteRecords(u64),
    Truncate(u64),
    Roll,
    Sync,
    Reopen,
}

fn script(random: &mut Random) -> Vec<(u32, Step)> {
    let values = |random: &mut Random| -> Vec<(usize, i64)> {
        let count = 1 + random.below(6);
        let draw =
            |random: &mut Random| (usize::try_from(random.below(300)).unwrap(), random.below(10_000).cast_signed());
        (0..count).map(|_| draw(random)).collect()
    };
    let step = |random: &mut Random| match random.below(40) {
        0..=19 => {
            let codecs =
                [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
            let codec = codecs[usize::try_from(random.below(5)).unwrap()];
            Step::Append { codec, values: values(random) }
        }
        20..=27 => Step::InTransaction { producer: random.below(3).cast_signed(), values: values(random) },
        28..=33 => Step::End { producer: random.below(3).cast_signed(), commit: random.one_in(2) },
        34 => Step::DeleteRecords(random.below(8)),
        35 => Step::Truncate(12 + random.below(5)),
        36 | 37 => Step::Roll,
        38 => Step::Sync,
        _ => Step::Reopen,
    };
    let steps = 60 + random.below(60);
    (0..steps).map(|_| (u32::try_from(random.below(PARTITIONS.into())).unwrap(), step(random))).collect()
}

/// How a log is kept.
#[derive(Debug)]
struct Way {
    settings: Vec<(&'static str, &'static str)>,
    maps: usize,
    descriptors: usize,
    verify_always: bool,
}

impl Way {
    fn drawn(random: &mut Random) -> Self {
        let all: [(&str, &[&str]); 5] = [
            ("segment.bytes", &["2500", "5000", "20000", "1073741824"]),
            ("index.interval.bytes", &["0", "1", "700", "4096"]),
            ("compression.type", &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
            ("flush.messages", &["1", "7", "9223372036854775807"]),
            ("flush.ms", &["0", "1", "9223372036854775807"]),
        ];
        let mut pick = |values: &[&'static str]| values[usize::try_from(random.below(values.len() as u64)).unwrap()];
        let settings = all.iter().map(|(name, values)| (*name, pick(values))).collect();
        let maps = 4 + usize::try_from(random.below(30)).unwrap();
        let descriptors = 16 + usize::try_from(random.below(60)).unwrap();
        Self { settings, maps, descriptors, verify_always: random.one_in(2) }
    }

    fn open(&self, dir: &TestDir) -> Store {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NOW)));
        let config = StoreConfig::default().clock(clock).max_maps(self.maps).max_descriptors(self.descriptors);
        if self.verify_always { config.verify_always() } else { config }.open(dir.path()).unwrap()
    }

    /// What the script leaves, as readers see it.
    fn run(&self, script: &[(u32, Step)]) -> Vec<Seen> {
        let dir = TestDir::scratch("metamorphic");
        let mut store = self.open(&dir);
        let config = TopicConfig::default().partitions(PARTITIONS);
        let set = |config: TopicConfig, (name, value): &(&str, &str)| config.set(name, value).unwrap();
        store.create_topic("orders", self.settings.iter().fold(config, set)).unwrap();
        let mut sequences = vec![[0; 3]; PARTITIONS as usize];
        for (number, (place, step)) in script.iter().enumerate() {
            if let Step::Reopen = step {
                store.close().unwrap();
                store = self.open(&dir);
                continue;
            }
            let partition = store.topic("orders").unwrap().partition(*place).unwrap();
            perform(&partition, step, number, &mut sequences[*place as usize]);
        }
        let seen = |number| Seen::of(&store.topic("orders").unwrap().partition(number).unwrap());
        let all = (0..PARTITIONS).map(seen).collect();
        store.close().unwrap();
        all
    }
}

fn perform(partition: &Partition, step: &Step, number: usize, sequences: &mut [i32; 3]) {
    let (start, marks) = partition.offsets();
    let place = |sixteenths: u64| Offset::new(start.get() + (marks.end.get() - start.get()) * sixteenths / 16);
    let known = || partition.log().producers().unwrap();
    let mut builder = BatchBuilder::new();
    match step {
        Step::Append { codec, values } => {
            fill(builder.compression(*codec), number, values);
            partition.append(builder.finish().unwrap().unwrap()).unwrap();
        }
        Step::InTransaction { producer, values } => {
            // A cut takes sequences back; what is deleted may be forgotten.
            let last = known().iter().find(|known| known.id.get() == *producer).map(|known| known.last_sequence.get());
            let sequence = last.map_or(sequences[usize::try_from(*producer).unwrap()], |last| last + 1);
            builder.producer(ProducerId::new(*producer), ProducerEpoch::new(0), Sequence::new(sequence));
            fill(builder.transactional(true), number, values);
            partition.append(builder.finish().unwrap().unwrap()).unwrap();
            sequences[usize::try_from(*producer).unwrap()] = sequence + i32::try_from(values.len()).unwrap();
        }
        Step::End { producer, commit } => {
            let marker = EndMarker {
                result: if *commit { TransactionResult::Commit } else { TransactionResult::Abort },
                producer_id: ProducerId::new(*producer),
                producer_epoch: ProducerEpoch::new(0),
                coordinator_epoch: 0,
                timestamp: Timestamp::from_millis(NOW),
            };
            partition.append_as(&marker.encode().unwrap(), AppendOrigin::Coordinator).unwrap();
        }
        // Not beyond the start of a transaction: whether a log then knows that it is open is not said.
        Step::DeleteRecords(sixteenths) => {
            _ = partition.delete_records(..place(*sixteenths).min(marks.last_stable)).unwrap();
        }
        Step::Truncate(sixteenths) => _ = partition.truncate(place(*sixteenths).max(marks.last_stable)).unwrap(),
        Step::Roll => _ = partition.roll().unwrap(),
        Step::Sync => _ = partition.sync().unwrap(),
        Step::Reopen => {}
    }
}

fn fill(builder: &mut BatchBuilder, number: usize, values: &[(usize, i64)]) {
    for (place, (bytes, age)) in values.iter().enumerate() {
        let value: String =
            (0..*bytes).map(|at| char::from(b'a' + u8::try_from((at * 7 + number) % 26).unwrap())).collect();
        let (key, time) = (format!("{number}-{place}"), Timestamp::from_millis(NOW - age));
        builder.push(&Record::new().key(key).value(value).header("n", "h").timestamp(time), time).unwrap();
    }
}

/// A record: offset, time, producer, key and value.
type Row = (u64, i64, i64, Vec<u8>, Vec<u8>);

/// A partition as readers see it.
#[derive(Debug, PartialEq)]
struct Seen {
    start: u64,
    end: u64,
    stable: u64,
    records: Vec<Row>,
    /// Offsets that a reader of committed records sees.
    committed: Vec<u64>,
    /// What is found at or after each time.
    by_time: Vec<Option<(u64, i64)>>,
    latest: Option<(u64, i64)>,
}

impl Seen {
    fn of(partition: &Partition) -> Self {
        let (start, marks) = partition.offsets();
        let found = |found: Option<riverbed::OffsetTimestamp>| {
            found.map(|found| (found.offset.get(), found.timestamp.millis()))
        };
        let by_time = (0..60).map(|step| {
            let time = Timestamp::from_millis(NOW - 10_100 + step * 170);
            found(partition.offset_for_time(time, ReadUpTo::Written).unwrap())
        });
        Self {
            start: start.get(),
            end: marks.end.get(),
            stable: marks.last_stable.get(),
            records: rows(partition, start, Isolation::ReadUncommitted),
            committed: rows(partition, start, Isolation::ReadCommitted).into_iter().map(|row| row.0).collect(),
            by_time: by_time.collect(),
            latest: found(partition.log().offset_of_max_timestamp(ReadUpTo::Written).unwrap()),
        }
    }
}

fn rows(partition: &Partition, start: Offset, isolation: Isolation) -> Vec<Row> {
    let (mut next, mut rows) = (start, Vec::new());
    let limit = FetchLimit::bytes(3000).up_to(ReadUpTo::Written).isolation(isolation);
    loop {
        let fetched = partition.fetch(next, limit).unwrap();
        if fetched.is_empty() {
            return rows;
        }
        let mut waiting: Vec<_> = fetched.aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
        waiting.sort_unstable();
        let (mut waiting, mut hidden) = (waiting.into_iter().peekable(), BTreeSet::new());
        for batch in fetched.batches() {
            let header = *batch.header();
            while let Some((_, id)) = waiting.next_if(|(first, _)| *first <= batch.last_offset()) {
                hidden.insert(id);
            }
            if header.attributes.is_control() {
                hidden.remove(&header.producer_id);
            } else if header.attributes.is_transactional() && hidden.contains(&header.producer_id) {
                continue;
            }
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            for record in payload.records().map(Result::unwrap).filter(|record| record.offset() >= start) {
                let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or(b"null").to_vec();
                let (time, id) = (record.timestamp().millis(), header.producer_id.get());
                rows.push((record.offset().get(), time, id, bytes(record.key()), bytes(record.value())));
            }
        }
        next = fetched.next_offset;
    }
}

#[test]
fn how_a_log_is_kept_makes_no_difference_to_what_is_in_it() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let seed = number("RIVERBED_SEED");
    let cases = number("RIVERBED_CASES").unwrap_or(if seed.is_some() { 1 } else { 8 });
    let first = seed.unwrap_or(0);
    let plain = Way { settings: Vec::new(), maps: 1000, descriptors: 1000, verify_always: false };
    for seed in first..first + cases {
        let mut random = Random::new(seed);
        let script = script(&mut random);
        let expected = plain.run(&script);
        assert!(expected.iter().any(|seen| !seen.records.is_empty()));
        for _ in 0..3 {
            let way = Way::drawn(&mut random);
            let found = way.run(&script);
            assert!(
                found == expected,
                "seed {seed}, {way:?}: {found:?}\ninstead of {expected:?}\nof {script:?}\n\
                 RIVERBED_SEED={seed} cargo test --test metamorphic"
            );
        }
    }
}
