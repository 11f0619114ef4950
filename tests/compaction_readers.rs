//! Readers while segments are exchanged under them: in the writer's process, and as another process that opened the
//! directory read-only.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "readers run beside the writer")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use riverbed::{
    DecompressionLimits, ErrorKind, FetchLimit, Offset, Partition, PartitionOptions, ReadUpTo, Record, StoreConfig,
    Timestamp, TopicConfig,
};
use support::TestDir;
use support::partition::{bases, config, open};
use support::random::Random;

const SETTINGS: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "2000"), ("index.interval.bytes", "200")];
const KEYS: u64 = 7;

fn reader(dir: &TestDir) -> Partition {
    Partition::open(dir.join("orders-0"), PartitionOptions::default().config(config(&SETTINGS)).read_only()).unwrap()
}

/// Appends records whose key tells their offset modulo [`KEYS`], and whose value tells the offset.
fn append(partition: &Partition, records: u64) {
    for _ in 0..records {
        let offset = partition.offsets().1.end.get();
        let (key, value) = ((offset % KEYS).to_be_bytes(), offset.to_be_bytes());
        let time = Timestamp::from_millis(1_000_000 + offset.cast_signed());
        partition.append_record(&Record::new().key(&key).value(&value).timestamp(time)).unwrap();
    }
}

/// Reads all there is, looking again at the end: of each key the last offset. What was superseded behind the end that a
/// reader knew may be gone by then.
fn last_offsets(partition: &Partition, limit: usize) -> BTreeMap<u64, u64> {
    let (mut next, mut found) = (Offset::ZERO, BTreeMap::new());
    loop {
        let fetched = partition.fetch(next, FetchLimit::bytes(limit).up_to(ReadUpTo::Written)).unwrap();
        if fetched.is_empty() {
            // A store's partition looks again with all others.
            partition
                .refresh()
                .or_else(|error| if error.kind() == ErrorKind::Unsupported { Ok(()) } else { Err(error) })
                .unwrap();
            if partition.offsets().1.end == next {
                return found;
            }
        }
        for batch in fetched.batches() {
            batch.check().unwrap();
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            for record in payload.records() {
                let record = record.unwrap();
                let number = |bytes: Option<&[u8]>| u64::from_be_bytes(bytes.unwrap().try_into().unwrap());
                let offset = record.offset().get();
                assert_eq!((number(record.key()), number(record.value())), (offset % KEYS, offset));
                assert!(found.insert(offset % KEYS, offset).is_none_or(|before| before < offset), "{offset} again");
            }
        }
        next = fetched.next_offset;
    }
}

/// Every key is there, with a record that is none of those in front of `end` that were superseded in front of it.
fn assert_whole(found: &BTreeMap<u64, u64>, end: u64) {
    for key in 0..KEYS.min(end) {
        let last = (end - 1) - (end - 1 - key) % KEYS;
        assert!(found.get(&key).is_some_and(|offset| *offset >= last), "{key} of {end}: {found:?}");
    }
}

/// A reader that had not opened a segment before it was exchanged was told that it is not found, or damaged.
#[test]
fn a_read_only_partition_goes_on_over_segments_that_were_exchanged_under_it() {
    for rounds in 1..4 {
        let dir = TestDir::scratch("exchanged");
        let writer = open(&dir, &SETTINGS);
        let mut readers = Vec::new();
        for _ in 0..rounds {
            append(&writer, 60);
            writer.roll().unwrap();
            readers.extend((0..4).map(|_| reader(&dir)));
            // This one has mapped the first segment, which begins the first of what comes.
            readers[0].fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap();
            writer.compact().unwrap();
        }
        let end = 60 * rounds;
        for (number, reader) in readers.iter().enumerate() {
            let known = reader.offsets().1.end.get();
            let is_whole = reader.offsets().1.end.get() == end;
            if number % 4 == 1 {
                let found = reader.offset_for_time(Timestamp::from_millis(1_000_000), ReadUpTo::Written).unwrap();
                assert!(!is_whole || found.unwrap().offset.get() == end - KEYS, "{found:?}");
                let latest = reader.log().offset_of_max_timestamp(ReadUpTo::Written).unwrap();
                assert!(!is_whole || latest.unwrap().offset.get() == end - 1, "{latest:?}");
            }
            if number % 4 == 2 {
                let middle = reader.fetch(Offset::new(known / 2), FetchLimit::bytes(1)).unwrap();
                assert!(!is_whole || middle.next_offset.get() > known / 2);
            }
            if number % 4 == 3 {
                reader.refresh().unwrap();
                assert_eq!(bases(reader), bases(&writer));
            }
            assert_whole(&last_offsets(reader, 300), known);
        }
        assert_eq!(last_offsets(&writer, 10_000).len() as u64, KEYS);
        assert_eq!(writer.offsets().1.end.get(), end);
        writer.close().unwrap();
        readers.iter().for_each(|reader| assert_whole(&last_offsets(reader, 10_000), reader.offsets().1.end.get()));
    }
}

/// The same while it goes on: read-only partitions that look again now and then, and readers of the writer's own.
#[test]
fn readers_of_all_kinds_go_on_while_a_log_is_compacted() {
    let seed = support::random::seed();
    println!("RIVERBED_SEED={seed} cargo test --test compaction_readers readers_of_all_kinds");
    let dir = TestDir::scratch("exchanging");
    let writer = open(&dir, &SETTINGS);
    append(&writer, 60);
    let (done, passes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 0..3 {
            let (done, passes, dir, own) = (&done, &passes, &dir, &writer);
            scope.spawn(move || {
                let mut random = Random::new(seed + number);
                let mut reading = (number > 0).then(|| reader(dir));
                while !done.load(Ordering::SeqCst) {
                    let partition = reading.as_ref().unwrap_or(own);
                    if number > 0 && random.one_in(2) {
                        partition.refresh().unwrap();
                    }
                    let end = partition.offsets().1.end.get();
                    assert_whole(&last_offsets(partition, 1 + usize::try_from(random.below(3_000)).unwrap()), end);
                    let time = Timestamp::from_millis(1_000_000);
                    while partition.offset_for_time(time, ReadUpTo::Written).unwrap().is_none() {
                        partition.refresh().unwrap();
                    }
                    passes.fetch_add(1, Ordering::SeqCst);
                    if number > 0 && random.one_in(8) {
                        reading = Some(reader(dir));
                    }
                }
            });
        }
        let mut rounds = 0;
        while rounds < 60 || passes.load(Ordering::SeqCst) < 200 {
            append(&writer, 40);
            if rounds % 3 == 0 {
                writer.roll().unwrap();
            }
            writer.compact().unwrap();
            rounds += 1;
        }
        done.store(true, Ordering::SeqCst);
        println!("{rounds} rounds, {passes:?} passes");
    });
    assert_whole(&last_offsets(&writer, 1_000), writer.offsets().1.end.get());
    writer.close().unwrap();
}

/// Backup after backup is taken while segments are exchanged: each opens as one that was closed cleanly, is whole, and can
/// be compacted itself.
#[test]
fn each_backup_of_a_log_that_is_compacted_meanwhile_is_whole() {
    let dir = TestDir::scratch("exchanged-backup");
    let settings = SETTINGS.iter().try_fold(TopicConfig::default(), |config, (name, value)| config.set(name, value));
    let store = StoreConfig::default().maintenance(false).open(dir.join("data")).unwrap();
    let partition = store.create_topic("t", settings.unwrap()).unwrap().partition(0).unwrap();
    append(&partition, 60);
    let done = AtomicBool::new(false);
    let backups = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                append(&partition, 40);
                partition.roll().unwrap();
                partition.compact().unwrap();
            }
        });
        let take = |number: u32| {
            let (path, end) = (dir.join(format!("backup-{number}")), partition.offsets().1.end.get());
            store.backup(&path).unwrap();
            (path, end)
        };
        let backups = (0..20).map(take).collect::<Vec<_>>();
        done.store(true, Ordering::SeqCst);
        backups
    });
    for (path, end) in backups {
        let copy = StoreConfig::default().maintenance(false).open(path).unwrap();
        assert_eq!(copy.recovery(), []);
        let partition = copy.topic("t").unwrap().partition(0).unwrap();
        assert!(partition.offsets().1.end.get() >= end);
        assert_whole(&last_offsets(&partition, 1_000), partition.offsets().1.end.get());
        append(&partition, 40);
        partition.roll().unwrap();
        partition.compact().unwrap();
        assert_eq!(last_offsets(&partition, 1_000).len() as u64, KEYS);
        copy.close().unwrap();
    }
    assert_whole(&last_offsets(&partition, 1_000), partition.offsets().1.end.get());
    store.close().unwrap();
}
