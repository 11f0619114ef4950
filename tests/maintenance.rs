//! The care that a store takes of its partitions by itself: when, how fairly, and what becomes of failures.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the tests wait for the store's own threads")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use riverbed::{
    ErrorKind, ManualClock, Offset, Partition, Record, RetentionReason, Store, StoreConfig, Timestamp, TopicConfig,
};
use support::TestDir;

const START: Timestamp = Timestamp::from_millis(1_000_000);

fn clock() -> ManualClock {
    ManualClock::at(START)
}

fn config(clock: &ManualClock) -> StoreConfig {
    StoreConfig::default().clock(Arc::new(clock.clone()))
}

/// A topic of so many partitions, each with `records` records in segments of two.
fn filled(store: &Store, partitions: u32, records: usize) -> Vec<Partition> {
    let config = TopicConfig::default().partitions(partitions).set("retention.ms", "1000").unwrap();
    let topic = store.create_topic("t", config.set("segment.bytes", "200").unwrap()).unwrap();
    let partitions: Vec<_> = (0..partitions).map(|number| topic.partition(number).unwrap()).collect();
    for partition in &partitions {
        for _ in 0..records {
            partition.append_record(&Record::new().key("k").value("v")).unwrap();
        }
    }
    partitions
}

fn start(partition: &Partition) -> u64 {
    partition.offsets().0.get()
}

/// Waits for what another thread does. A test that waits for ever is stopped from outside.
fn wait_for(what: impl Fn() -> bool) {
    while !what() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn retention_begins_after_half_a_minute_and_comes_again_every_five() {
    let dir = TestDir::new("maintenance-interval");
    let clock = clock();
    let store = config(&clock).open(&dir).unwrap();
    let partition = filled(&store, 1, 10).remove(0);
    let looked = |after: u64| {
        clock.advance(Duration::from_secs(after));
        store.run_due();
        start(&partition)
    };
    assert_eq!(looked(29), 0);
    assert_eq!(looked(1), 10, "30 s after opening");
    partition.append_record(&Record::new().key("k").value("v")).unwrap();
    assert_eq!(looked(299), 10);
    assert_eq!(looked(1), 11, "300 s after that");
    let stats = store.stats().unwrap();
    assert_eq!((stats.retention.passes, stats.retention.failures), (2, 0));
    let removed = stats.partitions[0].removed;
    assert_eq!((removed.segments, stats.partitions[0].segments), (6, 1));
    assert!(removed.bytes > 0);
    store.close().unwrap();
}

#[test]
fn a_store_without_maintenance_removes_only_what_it_is_told_to() {
    let dir = TestDir::new("maintenance-off");
    let clock = clock();
    let store = config(&clock).maintenance(false).open(&dir).unwrap();
    let partitions = filled(&store, 3, 10);
    clock.advance(Duration::from_secs(3_600));
    store.run_due();
    assert!(partitions.iter().all(|partition| start(partition) == 0));
    assert_eq!(store.stats().unwrap().retention.passes, 0);
    let due = store.due_segments().unwrap();
    assert_eq!(due.iter().map(|(_, due)| due.len()).collect::<Vec<_>>(), [5, 5, 5]);
    assert!(due.iter().flat_map(|(_, due)| due).all(|due| due.reason == RetentionReason::Age));
    let removed = store.retain().unwrap();
    let bytes: u64 = due.iter().flat_map(|(_, due)| due).map(|due| due.bytes).sum();
    assert_eq!((removed.segments, removed.bytes), (15, bytes));
    assert_eq!(store.due_segments().unwrap(), []);
    store.close().unwrap();
    let reader = config(&clock).open_read_only(&dir).unwrap();
    assert_eq!(reader.retain().unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(reader.due_segments().unwrap(), []);
}

/// The worker's thread, rather than that of the test, does it: by the operating system's clock.
#[test]
fn a_store_left_alone_retains() {
    let dir = TestDir::new("maintenance-thread");
    let threads: Arc<Mutex<Vec<ThreadId>>> = Arc::default();
    let noted = Arc::clone(&threads);
    let store = StoreConfig::default()
        .retention_check_interval(Duration::from_millis(5))
        .before_removal(move |_| noted.lock().unwrap().push(thread::current().id()))
        .open(&dir)
        .unwrap();
    let topic = store.create_topic("t", TopicConfig::default().set("retention.ms", "0").unwrap()).unwrap();
    let partition = topic.partition(0).unwrap();
    partition.append_record(&Record::new().value("v")).unwrap();
    wait_for(|| start(&partition) == 1);
    assert!(threads.lock().unwrap().iter().all(|id| *id != thread::current().id()));
    store.close().unwrap();
}

#[test]
fn partitions_take_turns() {
    let dir = TestDir::new("maintenance-fair");
    let clock = clock();
    let order: Arc<Mutex<Vec<u32>>> = Arc::default();
    let noted = Arc::clone(&order);
    let store = config(&clock)
        .before_removal(move |removal| noted.lock().unwrap().push(removal.partition().id().partition.get()))
        .open(&dir)
        .unwrap();
    filled(&store, 3, 60);
    clock.advance(Duration::from_secs(30));
    store.run_due();
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 90);
    let turns: Vec<u32> = order.chunk_by(|a, b| a == b).map(|turn| turn[0]).collect();
    assert!(turns.len() >= 9 && turns[..6] == [0, 1, 2, 0, 1, 2], "{turns:?}");
    store.close().unwrap();
}

/// The host takes a hold on what it has not archived yet. When it lets go the worker is woken, long before its interval.
#[test]
fn what_is_announced_may_be_held_and_goes_when_it_is_let_go() {
    let dir = TestDir::new("maintenance-hold");
    let clock = clock();
    let (held, holds) = channel();
    let archived = Arc::new(AtomicBool::new(false));
    let is_archived = Arc::clone(&archived);
    let store = config(&clock)
        .before_removal(move |removal| {
            if removal.due().base_offset == Offset::new(4) && !is_archived.load(Ordering::SeqCst) {
                held.send((removal.hold().unwrap(), Arc::clone(removal.segment()))).unwrap();
            }
        })
        .open(&dir)
        .unwrap();
    let partition = filled(&store, 1, 10).remove(0);
    clock.advance(Duration::from_secs(30));
    store.run_due();
    assert_eq!(start(&partition), 4);
    let (hold, segment) = holds.recv().unwrap();
    assert_eq!((hold.offset().get(), segment.base_offset().get()), (4, 4));
    archived.store(true, Ordering::SeqCst);
    hold.advance(Offset::new(6));
    wait_for(|| start(&partition) == 6);
    drop(hold);
    wait_for(|| start(&partition) == 10);
    assert!(holds.try_recv().is_err(), "announced as archived");
    store.close().unwrap();
}

#[test]
fn a_panic_of_the_hosts_code_keeps_the_segment_and_is_told() {
    let dir = TestDir::new("maintenance-panic");
    let clock = clock();
    let panics = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&panics);
    let store = config(&clock)
        .before_removal(move |removal| {
            let is_first = removal.partition().id().partition.get() == 0;
            assert!(!(is_first && asked.load(Ordering::SeqCst)), "no archive today");
        })
        .open(&dir)
        .unwrap();
    let partitions = filled(&store, 2, 4);
    clock.advance(Duration::from_secs(30));
    store.run_due();
    assert_eq!((start(&partitions[0]), start(&partitions[1])), (0, 4));
    let stats = store.stats().unwrap().retention;
    assert_eq!((stats.failures, stats.first_error.unwrap().kind()), (1, ErrorKind::Unknown));
    panics.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(300));
    store.run_due();
    assert_eq!(start(&partitions[0]), 4);
    let stats = store.stats().unwrap().retention;
    assert_eq!((stats.failures, stats.passes, stats.last_error.is_some()), (1, 2, true), "the error is kept");
    store.close().unwrap();
}

/// A close does not wait for the whole pass: only for the segment that is being removed.
#[test]
fn a_close_ends_a_pass_that_is_under_way() {
    let dir = TestDir::new("maintenance-close");
    let clock = clock();
    let (begun, begins) = channel();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let store = config(&clock)
        .retention_check_interval(Duration::from_millis(1))
        .before_removal(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            begun.send(()).ok();
            thread::sleep(Duration::from_millis(2));
        })
        .open(&dir)
        .unwrap();
    filled(&store, 1, 400);
    clock.advance(Duration::from_secs(30));
    begins.recv().unwrap();
    store.close().unwrap();
    assert!(count.load(Ordering::SeqCst) < 100, "{count:?} of 200 segments");
    let store = config(&clock).maintenance(false).open(&dir).unwrap();
    assert_eq!(store.recovery(), []);
    let removed = store.retain().unwrap().segments + count.load(Ordering::SeqCst) as u64;
    assert!(removed == 200 || removed == 201, "{removed}: one may have been announced twice");
    store.close().unwrap();
}

/// The host's code may use the store, also to change it, while somebody closes it.
#[test]
fn the_hosts_code_may_use_the_store_while_it_is_closed() {
    let dir = TestDir::new("maintenance-reentrant");
    let clock = clock();
    let (begun, begins) = channel();
    let handle: Arc<Mutex<Option<Store>>> = Arc::default();
    let inside = Arc::clone(&handle);
    let store = config(&clock)
        .retention_check_interval(Duration::from_millis(1))
        .before_removal(move |_| {
            if let Some(store) = inside.lock().unwrap().take() {
                begun.send(()).unwrap();
                while store.create_topic("other", TopicConfig::default()).is_ok() {
                    drop(store.delete_topic("other"));
                }
                assert_eq!(store.topics().unwrap_err().kind(), ErrorKind::Closed);
                drop(store.close());
            }
        })
        .open(&dir)
        .unwrap();
    *handle.lock().unwrap() = Some(store.clone());
    filled(&store, 1, 10);
    clock.advance(Duration::from_secs(30));
    begins.recv().unwrap();
    store.close().unwrap();
    config(&clock).open(&dir).unwrap().close().unwrap();
}
