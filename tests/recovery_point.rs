//! How far the recovery point on disk may stay behind what is durable: one second, and 64 MiB.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use riverbed::{
    Acks, BatchBuilder, Clock, ManualClock, Offset, Partition, ReadUpTo, Record, StoreConfig, Timestamp, TopicConfig,
};
use support::TestDir;
use support::partition::{append, batch, open_at};

fn clocks() -> (ManualClock, Arc<dyn Clock>) {
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    (clock.clone(), Arc::new(clock))
}

/// The first number in the file's body: see `docs/format.md`.
fn recovery_point(directory: &Path) -> u64 {
    match std::fs::read(directory.join("log-checkpoint")) {
        Ok(bytes) => u64::from_be_bytes(bytes[18..26].try_into().unwrap()),
        Err(_) => 0,
    }
}

fn append_durable(partition: &Partition) -> u64 {
    let appended = partition.append_with(&batch(&[("v", 0)]), Acks::Durable).unwrap();
    appended.offsets.end().next().get()
}

/// It was raised by syncs alone: a partition that nobody wrote to any more kept it behind for ever, and whoever opened
/// it after a crash checked again what had been durable for days.
#[test]
fn in_a_store_it_follows_within_a_second_whether_or_not_anybody_comes() {
    let dir = TestDir::new("recovery-point-store");
    let (clock, shared) = clocks();
    let store = StoreConfig::default().clock(shared).open(&dir).unwrap();
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    let point = || recovery_point(&dir.join("a-0"));
    let advance = |millis| {
        clock.advance(Duration::from_millis(millis));
        store.run_due();
    };
    assert_eq!((append_durable(&partition), point()), (1, 0), "not with each sync");
    advance(999);
    assert_eq!(point(), 0);
    advance(1);
    assert_eq!(point(), 1);

    append_durable(&partition);
    advance(600);
    append_durable(&partition);
    assert_eq!(point(), 1);
    advance(400);
    assert_eq!(point(), 3, "counted from the first that was behind");

    append_durable(&partition);
    advance(900);
    partition.roll().unwrap();
    partition.wait_durable(Offset::new(4)).unwrap();
    append_durable(&partition);
    assert_eq!(point(), 5, "each roll raises it, and then the second starts anew");
    append_durable(&partition);
    advance(100);
    assert_eq!(point(), 5);
    advance(900);
    assert_eq!(point(), 6);
    store.close().unwrap();
}

#[test]
fn a_partition_on_its_own_raises_it_with_the_next_call() {
    let dir = TestDir::new("recovery-point-alone");
    let (clock, shared) = clocks();
    let partition = open_at(&dir, &[], &shared);
    let point = || recovery_point(&dir.join("orders-0"));
    append_durable(&partition);
    clock.advance(Duration::from_millis(999));
    partition.sync().unwrap();
    append(&partition, "v", 0);
    assert_eq!(point(), 0);
    clock.advance(Duration::from_millis(1));
    assert_eq!(point(), 0, "it has no thread");
    append(&partition, "v", 0);
    assert_eq!(point(), 1, "by an append, as far as was synced");
    partition.sync().unwrap();
    assert_eq!(point(), 1);
    clock.advance(Duration::from_secs(1));
    partition.sync().unwrap();
    assert_eq!(point(), 3, "by a sync that has nothing to sync");
    append_durable(&partition);
    partition.close().unwrap();
    assert_eq!(point(), 4, "by a close");
}

#[test]
fn it_stays_less_than_64_mib_behind_whatever_the_time() {
    let dir = TestDir::new("recovery-point-bytes");
    let (_, shared) = clocks();
    let partition = open_at(&dir, &[("max.message.bytes", "2000000")], &shared);
    let mut builder = BatchBuilder::new();
    builder.push(&Record::new().value(vec![7; 1 << 20]), Timestamp::from_millis(0)).unwrap();
    let large = builder.finish().unwrap().unwrap();
    let mut behind = Vec::new();
    for end in 1..=140 {
        partition.append_with(large, Acks::Durable).unwrap();
        assert_eq!(partition.log().end(ReadUpTo::Durable).get(), end);
        behind.push((end - recovery_point(&dir.join("orders-0"))) * large.len() as u64);
    }
    assert!(behind.iter().all(|bytes| *bytes < 64 << 20), "{behind:?}");
    let raised = behind.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_eq!(raised, 2, "and not with each sync: {behind:?}");
    partition.close().unwrap();
}

/// A tail that is cut takes with it what was to be written down.
#[test]
fn a_cut_below_what_was_synced_is_not_undone() {
    let dir = TestDir::new("recovery-point-cut");
    let (clock, shared) = clocks();
    let partition = open_at(&dir, &[], &shared);
    for _ in 0..5 {
        append_durable(&partition);
    }
    partition.truncate(Offset::new(2)).unwrap();
    clock.advance(Duration::from_secs(2));
    partition.sync().unwrap();
    assert_eq!(recovery_point(&dir.join("orders-0")), 2);
    partition.close().unwrap();
}

/// What opening synced counts as well.
#[test]
fn what_an_opening_made_durable_follows_too() {
    let dir = TestDir::new("recovery-point-opening");
    let (clock, shared) = clocks();
    let store = StoreConfig::default().clock(Arc::clone(&shared)).open(&dir).unwrap();
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "v", 0);
    let killed = TestDir::scratch("recovery-point-killed");
    support::copy_dir(dir.path(), killed.path());
    store.close().unwrap();
    let store = StoreConfig::default().clock(shared).open(&killed).unwrap();
    let durable = store.topic("a").unwrap().partition(0).unwrap().log().end(ReadUpTo::Durable);
    assert_eq!((durable.get(), recovery_point(&killed.join("a-0"))), (1, 0));
    clock.advance(Duration::from_secs(1));
    store.run_due();
    assert_eq!(recovery_point(&killed.join("a-0")), 1);
    store.close().unwrap();
}
