//! Backups of a store that is being written, each opened and held against what may be in it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "writers run beside the test")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use riverbed::{
    AppendOrigin, BatchBuilder, DecompressionLimits, EndMarker, ErrorKind, FetchLimit, Isolation, Offset, Partition,
    ProducerEpoch, ProducerId, Record, Sequence, Store, StoreConfig, Timestamp, TopicConfig, TransactionResult,
};
use support::TestDir;
use support::partition::{bases, values};

/// Topics that are written, with their settings: one that is retained, one that is synced, one that is cut now and then.
const TOPICS: [(&str, &str, &str); 3] =
    [("retained", "retention.bytes", "3000"), ("synced", "flush.messages", "1"), ("cut", "retention.ms", "-1")];

fn create(store: &Store) -> Vec<Partition> {
    let create = |(name, setting, value): (&str, &str, &str)| {
        let config = TopicConfig::default().set("segment.bytes", "1000").unwrap().set(setting, value).unwrap();
        store.create_topic(name, config).unwrap().partition(0).unwrap()
    };
    TOPICS.into_iter().map(create).collect()
}

fn append(partition: &Partition) {
    let next = partition.offsets().1.end;
    partition.append_record(&Record::new().key("k").value(format!("v{next}"))).unwrap();
}

/// All records are those that were appended at their offsets, and none is left out.
fn check(partition: &Partition) -> (u64, u64) {
    let (start, marks) = partition.offsets();
    let (start, end) = (start.get(), marks.end.get());
    let expected: Vec<_> = (start..end).map(|offset| (offset, format!("v{offset}"))).collect();
    assert_eq!(values(partition, start), expected, "{}", partition.id());
    (start, end)
}

/// Ends the writers, also where the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writers append, roll, sync and cut, and retention removes, while backup after backup is taken.
#[test]
fn each_backup_under_writers_is_a_prefix_without_holes() {
    let dir = TestDir::scratch("backup-live");
    let config = StoreConfig::default().retention_check_interval(Duration::from_millis(2));
    let store = config.open(dir.join("data")).unwrap();
    let partitions = create(&store);
    let done = AtomicBool::new(false);
    let backups = thread::scope(|scope| {
        for partition in &partitions {
            let done = &done;
            scope.spawn(move || {
                for n in 0u64.. {
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    append(partition);
                    thread::sleep(Duration::from_micros(300));
                    if partition.id().topic.as_str() == "cut" && n % 50 == 49 {
                        let (start, marks) = partition.offsets();
                        partition.truncate(Offset::new(start.get().max(marks.end.get() - 7))).unwrap();
                    }
                }
            });
        }
        let _done = Done(&done);
        let mut backups = Vec::new();
        for n in 0..12 {
            thread::sleep(Duration::from_millis(20));
            let durable: Vec<u64> = partitions.iter().map(|partition| partition.offsets().1.durable.get()).collect();
            let path = dir.join(format!("backup-{n}"));
            let backup = store.backup(&path).unwrap();
            assert_eq!((backup.topics, backup.partitions), (3, 3));
            backups.push((path, durable, backup));
        }
        backups
    });
    assert!(backups.iter().any(|(.., backup)| backup.linked_bytes > backup.copied_bytes), "{backups:?}");
    store.retain().unwrap();
    let ends: Vec<_> = partitions.iter().map(check).collect();
    let mut starts = Vec::new();
    for (path, durable, _) in &backups {
        let copy = StoreConfig::default().maintenance(false).open(path).unwrap();
        assert_eq!(copy.recovery(), [], "it opens as one that was closed cleanly");
        for ((name, ..), durable) in TOPICS.iter().zip(durable) {
            let partition = copy.topic(name).unwrap().partition(0).unwrap();
            let (start, end) = check(&partition);
            let least = if *name == "cut" { durable.saturating_sub(7) } else { *durable };
            assert!(end >= least, "{name}: {end}, and {durable} were durable before");
            starts.push((*name, start));
            (0..30).for_each(|_| append(&partition));
            partition.truncate(Offset::new(start + (end - start) / 2)).unwrap();
            (0..30).for_each(|_| append(&partition));
            check(&partition);
        }
        copy.close().unwrap();
        let copy = Store::open_read_only(path).unwrap();
        TOPICS.iter().for_each(|(name, ..)| _ = check(&copy.topic(name).unwrap().partition(0).unwrap()));
    }
    assert!(starts.iter().any(|(name, start)| *name == "retained" && *start > 0), "{starts:?}");
    let unchanged: Vec<_> = partitions.iter().map(check).collect();
    assert_eq!(unchanged, ends, "nothing that was done to the copies shows in the store");
    drop(partitions);
    store.close().unwrap();
    Store::open(dir.join("data")).unwrap().close().unwrap();
}

/// What is removed from the store stays in the backup, and takes no room twice.
#[test]
fn a_backup_shares_what_is_sealed_and_keeps_what_the_store_removes() {
    let dir = TestDir::new("backup-shared");
    let store = Store::open(dir.join("data")).unwrap();
    let partition = create(&store).remove(2);
    (0..100).for_each(|_| append(&partition));
    let backup = store.backup(dir.join("backup")).unwrap();
    let sealed: u64 = partition.segments().iter().rev().skip(1).map(|segment| segment.size()).sum();
    assert_eq!((backup.linked_bytes, backup.copied_bytes), (sealed, partition.segments().last().unwrap().size()));
    let links = |base: u64| fs::metadata(dir.join(format!("data/cut-0/{base:020}.log"))).unwrap().nlink();
    let all = bases(&partition);
    assert!(all.split_last().unwrap().1.iter().all(|base| links(*base) == 2));
    assert_eq!(links(*all.last().unwrap()), 1, "what is still written is not shared");
    partition.delete_records(..Offset::new(90)).unwrap();
    (0..50).for_each(|_| append(&partition));
    let copy = Store::open_read_only(dir.join("backup")).unwrap();
    assert_eq!(check(&copy.topic("cut").unwrap().partition(0).unwrap()), (0, 100));
    assert_eq!(check(&partition), (90, 150));
    drop(partition);
    store.close().unwrap();
    Store::open(dir.join("backup")).unwrap().close().unwrap();
}

fn in_transaction(producer: i64, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.producer(ProducerId::new(producer), ProducerEpoch::new(0), Sequence::new(sequence)).transactional(true);
    builder.push(&Record::new().key("k").value("in transaction"), Timestamp::from_millis(1)).unwrap();
    builder.finish().unwrap().unwrap().to_vec()
}

fn end(partition: &Partition, producer: i64, result: TransactionResult) {
    let (producer_id, producer_epoch) = (ProducerId::new(producer), ProducerEpoch::new(0));
    let timestamp = Timestamp::from_millis(1);
    let marker = EndMarker { result, producer_id, producer_epoch, coordinator_epoch: 0, timestamp };
    partition.append_as(&marker.encode().unwrap(), AppendOrigin::Coordinator).unwrap();
}

/// Transactions that are over and one that is open, duplicates of before, the log start in the middle of a segment.
#[test]
fn a_backup_knows_of_transactions_producers_and_the_log_start() {
    let dir = TestDir::new("backup-transactions");
    let store = Store::open(dir.join("data")).unwrap();
    let partition = create(&store).remove(2);
    for (producer, result) in [(1, TransactionResult::Abort), (2, TransactionResult::Commit)] {
        partition.append(&in_transaction(producer, 0)).unwrap();
        end(&partition, producer, result);
    }
    partition.append(&in_transaction(3, 0)).unwrap();
    partition.delete_records(..Offset::new(1)).unwrap();
    store.backup(dir.join("backup")).unwrap();
    let copy = Store::open(dir.join("backup")).unwrap();
    let copied = copy.topic("cut").unwrap().partition(0).unwrap();
    partition.sync().unwrap();
    assert_eq!(copied.offsets(), partition.offsets());
    let committed = FetchLimit::bytes(10_000).isolation(Isolation::ReadCommitted);
    let aborted = |partition: &Partition| partition.fetch(Offset::new(1), committed).unwrap().aborted;
    assert_eq!(aborted(&copied), aborted(&partition));
    assert_eq!(aborted(&copied).len(), 1);
    let again = copied.append(&in_transaction(3, 0)).unwrap();
    assert!(again.duplicate, "{again:?}");
    end(&copied, 3, TransactionResult::Commit);
    let seen = copied.fetch(Offset::new(4), committed).unwrap();
    assert_eq!(seen.batches().next().unwrap().payload(&DecompressionLimits::default()).unwrap().records().count(), 1);
    drop((partition, copied));
    copy.close().unwrap();
    store.close().unwrap();
}

#[test]
fn a_backup_is_made_where_nothing_is_and_on_the_same_file_system() {
    let dir = TestDir::scratch("backup-refused");
    let store = Store::open(dir.join("data")).unwrap();
    let partition = create(&store).remove(2);
    (0..100).for_each(|_| append(&partition));
    fs::create_dir(dir.join("full")).unwrap();
    fs::write(dir.join("full/file"), "somebody's").unwrap();
    assert_eq!(store.backup(dir.join("full")).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(fs::read(dir.join("full/file")).unwrap(), b"somebody's");
    assert_eq!(store.backup(dir.join("full/file")).unwrap_err().kind(), ErrorKind::NotADirectory);
    let reader = Store::open_read_only(dir.join("data")).unwrap();
    assert_eq!(reader.backup(dir.join("by-reader")).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert!(!dir.join("by-reader").exists());
    let elsewhere = std::path::Path::new("/dev/shm").join(format!("riverbed-backup-{}", std::process::id()));
    let device = |path: &std::path::Path| fs::metadata(path).map(|found| found.dev()).ok();
    match (device(std::path::Path::new("/dev/shm")), device(dir.path())) {
        (Some(shm), Some(here)) if shm != here => {
            assert_eq!(store.backup(&elsewhere).unwrap_err().kind(), ErrorKind::Unsupported);
            assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing is left of it");
            fs::remove_dir(elsewhere).unwrap();
        }
        _ => eprintln!("skipped: no other file system to be had"),
    }
    store.backup(dir.join("good")).unwrap();
    store.close().unwrap();
}
