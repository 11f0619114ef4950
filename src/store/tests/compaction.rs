//! Compaction in the background: when, in which order, and what becomes of failures.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::error::Error;

const HOUR: Duration = Duration::from_secs(3_600);

/// A store, and the clock that it goes by.
fn store(disk: &SimDisk, change: impl FnOnce(StoreConfig) -> StoreConfig) -> (Store, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let config = change(StoreConfig::default().clock(Arc::new(clock.clone())));
    (Store::open_on(disk.root(), config).unwrap(), clock)
}

/// A compacted topic of one partition. `clean` records of as many keys are compacted, and then come `dirty` records of one
/// key; all are of one size.
fn filled(store: &Store, name: &str, clean: u64, dirty: u64) -> Partition {
    let config = TopicConfig::default().set("cleanup.policy", "compact").unwrap();
    let partition = store.create_topic(name, config).unwrap().partition(0).unwrap();
    let put = |key: u64| {
        partition.append_record(&Record::new().key(&key.to_be_bytes()).value("v")).unwrap();
    };
    (0..clean).for_each(put);
    partition.roll().unwrap();
    partition.compact().unwrap();
    (0..dirty).for_each(|_| put(clean));
    partition.roll().unwrap();
    partition
}

fn to(partition: &Partition) -> u64 {
    partition.log().cleaned().to.get()
}

#[test]
fn a_log_that_is_dirty_enough_is_compacted_after_fifteen_seconds_and_another_is_not() {
    let disk = SimDisk::new();
    let (store, clock) = store(&disk, |config| config);
    let (filthy, fair) = (filled(&store, "filthy", 4, 5), filled(&store, "fair", 5, 4));
    let stats = |name: &str| {
        let stats = store.stats().unwrap().partitions;
        stats.into_iter().find(|stats| stats.partition.topic.as_str() == name).unwrap()
    };
    clock.advance(Duration::from_secs(14));
    store.run_due();
    assert_eq!((to(&filthy), to(&fair)), (4, 5));
    let ratio = |name: &str| (stats(name).cleanable.unwrap().dirty_ratio() * 9.0).round();
    assert_eq!((ratio("filthy"), ratio("fair")), (5.0, 4.0));
    clock.advance(Duration::from_secs(1));
    store.run_due();
    assert_eq!((to(&filthy), to(&fair)), (9, 5));
    assert_eq!((ratio("filthy"), stats("filthy").compacted.records_removed), (0.0, 4));
    assert_eq!(stats("fair").compacted.records_removed, 0);
    store.topic("fair").unwrap().alter([("min.cleanable.dirty.ratio", "0.4")]).unwrap();
    clock.advance(Duration::from_secs(15));
    store.run_due();
    assert_eq!(to(&fair), 9);
    let stats = store.stats().unwrap().compaction;
    assert_eq!((stats.passes, stats.failures), (2, 0));
    store.close().unwrap();
}

#[test]
fn a_log_with_more_keys_than_there_is_memory_for_is_compacted_in_turns() {
    let disk = SimDisk::new();
    let (store, clock) = store(&disk, |config| config.compaction_memory(0));
    let topic = store.create_topic("t", TopicConfig::default().set("cleanup.policy", "compact").unwrap()).unwrap();
    let partition = topic.partition(0).unwrap();
    for n in 0..40_u64 {
        partition.append_record(&Record::new().key(&(n % 20).to_be_bytes()).value("v")).unwrap();
    }
    partition.roll().unwrap();
    clock.advance(HOUR);
    store.run_due();
    assert_eq!(to(&partition), 40);
    let stats = store.stats().unwrap();
    assert_eq!((stats.compaction.passes, stats.partitions[0].compacted.records_removed), (1, 20));
    assert!(stats.partitions[0].compacted.segments > 1, "{:?}", stats.partitions[0].compacted);
    store.close().unwrap();
}

/// Which one comes first is seen by a rate at which it is never done with. A close waited until it was.
#[test]
fn the_filthiest_log_comes_first_and_a_close_does_not_wait_for_it() {
    for filthiest in ["a", "b"] {
        let disk = SimDisk::new();
        let (fast, _) = store(&disk, |config| config);
        for name in ["a", "b"] {
            filled(&fast, name, 4, if name == filthiest { 9 } else { 7 });
        }
        fast.close().unwrap();
        let often = Duration::from_millis(1);
        let slow = |config: StoreConfig| config.compaction_bytes_per_second(1).compaction_check_interval(often);
        let (slow, clock) = store(&disk, slow);
        let partition = |name| slow.topic(name).unwrap().partition(0).unwrap();
        let partitions = ["a", "b"].map(partition);
        clock.advance(HOUR);
        while !partitions.iter().any(|partition| partition.log().is_cleaned_now()) {
            std::thread::yield_now();
        }
        let first = partitions.iter().find(|partition| partition.log().is_cleaned_now());
        assert_eq!(first.map(|partition| partition.id().topic.as_str()), Some(filthiest));
        slow.clone().close().unwrap();
        assert_eq!(partitions.each_ref().map(to), [4, 4]);
        assert!(slow.stats().is_err());
    }
}

/// CLM-02.
#[test]
fn damage_in_one_log_is_told_once_and_the_others_are_compacted() {
    let disk = SimDisk::new();
    let (store, clock) = store(&disk, |config| config);
    let partitions = ["a", "b", "c"].map(|name| filled(&store, name, 1, 9));
    let file = PathBuf::from("b-0/00000000000000000001.log");
    disk.flip_bit(&disk.root().path().join(file), 70, 3).unwrap();
    for _ in 0..3 {
        clock.advance(HOUR);
        store.run_due();
    }
    assert_eq!(partitions.each_ref().map(to), [10, 1, 10]);
    let stats = store.stats().unwrap();
    assert_eq!((stats.compaction.passes, stats.compaction.failures), (3, 1));
    assert_eq!(stats.compaction.first_error.unwrap().kind(), ErrorKind::Corruption);
    let why = stats.partitions.iter().map(|stats| stats.uncleanable.as_ref().map(Error::kind)).collect::<Vec<_>>();
    assert_eq!(why, [None, Some(ErrorKind::Corruption), None]);
    append(&partitions[1], "goes on");
    store.close().unwrap();
}

#[test]
fn a_store_without_maintenance_compacts_only_when_it_is_told_to() {
    let disk = SimDisk::new();
    let (store, clock) = store(&disk, |config| config.maintenance(false));
    let partition = filled(&store, "t", 1, 9);
    clock.advance(HOUR);
    store.run_due();
    assert_eq!((to(&partition), store.stats().unwrap().compaction.passes), (1, 0));
    assert_eq!(store.compact().unwrap().records_removed, 8);
    assert_eq!(to(&partition), 10);
    store.close().unwrap();
}
