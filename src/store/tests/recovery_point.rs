//! What keeping the recovery points up costs.

use std::time::Duration;

use super::*;

fn replaced(disk: &SimDisk) -> u64 {
    disk.calls(Some(Call::Replace))
}

/// One writing a second for a partition that is synced all the time, one for each that was left alone, and then no call
/// at all.
#[test]
fn it_is_written_once_a_second_and_by_partitions_left_alone_once() {
    let disk = SimDisk::new();
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let store = Store::open_on(disk.root(), StoreConfig::default().clock(Arc::new(clock.clone()))).unwrap();
    let topic = store.create_topic("a", TopicConfig::default().partitions(20)).unwrap();
    let partitions: Vec<Partition> = (0..20).map(|number| topic.partition(number).unwrap()).collect();
    for partition in &partitions {
        append(partition, "v");
        partition.sync().unwrap();
    }
    let before = replaced(&disk);
    for _ in 0..50 {
        append(&partitions[0], "v");
        partitions[0].sync().unwrap();
        clock.advance(Duration::from_millis(20));
        store.run_due();
    }
    assert_eq!(replaced(&disk) - before, 20);
    clock.advance(Duration::from_secs(1));
    store.run_due();
    let idle = disk.calls(None);
    for _ in 0..10 {
        clock.advance(Duration::from_secs(60));
        store.run_due();
    }
    assert_eq!(disk.calls(None), idle);
    store.close().unwrap();
}

/// On a full disk it stays where it was, and follows once there is room.
#[test]
fn without_room_it_is_tried_again() {
    let disk = SimDisk::new();
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let store = Store::open_on(disk.root(), StoreConfig::default().clock(Arc::new(clock.clone()))).unwrap();
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "v");
    partition.sync().unwrap();
    disk.fail(Fault::next(Call::Create, Failure::Full).on("log-checkpoint.tmp").times(3));
    for _ in 0..4 {
        assert!(!disk.root().subdirectory("a-0").unwrap().list().unwrap().iter().any(|e| e.name == "log-checkpoint"));
        clock.advance(Duration::from_secs(1));
        store.run_due();
    }
    assert!(disk.root().subdirectory("a-0").unwrap().list().unwrap().iter().any(|e| e.name == "log-checkpoint"));
    append(&partition, "v");
    store.close().unwrap();
}
