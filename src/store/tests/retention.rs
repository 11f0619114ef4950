//! Retention on disks that fail, fill up and crash.

use super::*;
use crate::log::FetchLimit;

/// A store whose topics `a` and `b` have three segments each of which all are due.
fn due(disk: &SimDisk) -> (Store, Vec<Partition>) {
    due_in(disk, StoreConfig::default())
}

fn due_in(disk: &SimDisk, config: StoreConfig) -> (Store, Vec<Partition>) {
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let config = config.clock(Arc::new(clock.clone()));
    let store = Store::open_on(disk.root(), config).unwrap();
    let settings = TopicConfig::default().set("retention.ms", "1000").unwrap();
    let mut partitions = Vec::new();
    for name in ["a", "b"] {
        let partition = store.create_topic(name, settings.clone()).unwrap().partition(0).unwrap();
        for _ in 0..3 {
            append(&partition, "v");
            partition.roll().unwrap();
        }
        partition.sync().unwrap();
        partitions.push(partition);
    }
    clock.advance(std::time::Duration::from_secs(30));
    (store, partitions)
}

fn starts(partitions: &[Partition]) -> Vec<u64> {
    partitions.iter().map(|partition| partition.offsets().0.get()).collect()
}

/// RET-13.
#[test]
fn a_failed_removal_stops_its_partition_and_is_kept_in_the_stats() {
    let disk = SimDisk::new();
    let (store, partitions) = due(&disk);
    disk.fail(Fault::next(Call::Unlink, Failure::Device).on(".log"));
    store.run_due();
    assert_eq!(starts(&partitions), [1, 3], "of the other partition all went");
    let stats = store.stats().unwrap().retention;
    assert_eq!((stats.failures, stats.first_error.unwrap().kind()), (1, ErrorKind::Io));
    let refused = partitions[0].append_record(&Record::new()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PreviousFailure);
    assert!(partitions[0].fetch(Offset::new(1), FetchLimit::bytes(100)).is_ok(), "and it can be read");
    assert!(store.close().is_err());
    let store = open(&disk);
    let partition = store.topic("a").unwrap().partition(0).unwrap();
    assert!(partition.offsets().0.get() <= 1);
    append(&partition, "goes on");
    store.close().unwrap();
}

/// Not one byte of room is left, and yet retention frees what is due: the segments that were closed, and the active one
/// as soon as they are gone. Nothing goes by itself here: the append that finds no room would wake the store's own
/// retention, and now and then that was first.
#[test]
fn retention_needs_no_room() {
    let disk = SimDisk::new();
    let (store, partitions) = due_in(&disk, StoreConfig::default().maintenance(false));
    append(&partitions[0], "in the active segment");
    disk.set_capacity(Some(disk.used()));
    assert_eq!(
        partitions[0].append_record(&Record::new().value(vec![7; 100_000])).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    disk.set_capacity(Some(disk.used()));
    let removed = store.retain().unwrap();
    assert_eq!(removed.segments, 6, "the record in the active segment is young");
    store.topic("a").unwrap().alter([("retention.bytes", "0")]).unwrap();
    assert_eq!(store.retain().unwrap().segments, 1);
    assert_eq!(starts(&partitions), [4, 3]);
    append(&partitions[0], "there is room again");
    store.close().unwrap();
}

/// No space for the name of a new segment: what is due goes but for the last one, which holds what was appended last.
#[test]
fn the_last_segment_stays_where_no_other_can_be_begun() {
    let disk = SimDisk::new();
    let (store, partitions) = due(&disk);
    append(&partitions[0], "old by then");
    store.topic("a").unwrap().alter([("retention.bytes", "0")]).unwrap();
    for _ in 0..3 {
        disk.fail(Fault::next(Call::Create, Failure::Full).on("00000000000000000004.log"));
    }
    assert_eq!(store.retain().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(starts(&partitions), [3, 3]);
    disk.heal();
    assert_eq!(store.retain().unwrap().segments, 1);
    assert_eq!(starts(&partitions), [4, 3]);
    store.close().unwrap();
}

/// Looking for what is due opens nothing for good, and a second look asks the disk nothing at all.
#[test]
fn a_look_at_partitions_that_have_nothing_due_is_remembered() {
    let disk = SimDisk::new();
    let (store, partitions) = due(&disk);
    for name in ["a", "b"] {
        store.topic(name).unwrap().alter([("retention.ms", "100000000")]).unwrap();
    }
    store.close().unwrap();
    drop(partitions);
    let store = open(&disk);
    assert_eq!(store.due_segments().unwrap(), []);
    let calls = disk.calls(None);
    for _ in 0..3 {
        assert_eq!(store.due_segments().unwrap(), []);
        assert_eq!(store.retain().unwrap().segments, 0);
    }
    assert_eq!(disk.calls(None), calls);
    store.close().unwrap();
}

/// An append that found no room was refused for the minutes until retention came by itself.
#[test]
fn an_append_that_finds_no_room_wakes_retention() {
    let disk = SimDisk::new();
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let store = Store::open_on(disk.root(), StoreConfig::default().clock(Arc::new(clock.clone()))).unwrap();
    let settings = TopicConfig::default().set("retention.bytes", "0").unwrap();
    let due = store.create_topic("due", settings).unwrap().partition(0).unwrap();
    let other = store.create_topic("other", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&other, "first");
    let fill = || {
        due.append_record(&Record::new().value(vec![7; 100_000])).unwrap();
        due.roll().unwrap();
        store.clone().run_due();
    };
    let passes = || store.stats().unwrap().retention.passes;
    fill();
    assert_eq!(passes(), 0, "not due by the clock");
    disk.set_capacity(Some(disk.used()));
    let large = || other.append_record(&Record::new().value(vec![7; 90_000]));
    assert_eq!(large().unwrap_err().kind(), ErrorKind::StorageFull);
    while due.offsets().0 == Offset::ZERO {
        std::thread::yield_now();
    }
    large().unwrap();
    assert_eq!(large().unwrap_err().kind(), ErrorKind::StorageFull, "there was room for one");
    store.run_due();
    assert_eq!(passes(), 1, "at most once a second");
    clock.advance(std::time::Duration::from_secs(1));
    store.run_due();
    assert_eq!(passes(), 2);
    store.close().unwrap();
}
