//! A store through its public interface: many topics, the flusher behind them, and readers beside the writer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    reason = "tests choose their numbers, and may wait"
)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use riverbed::{
    Acks, ErrorKind, ManualClock, Offset, Partition, ReadUpTo, Store, StoreConfig, Timestamp, Topic, TopicConfig,
};
use support::partition::{batch, counted, fill, values};
use support::{TestDir, copy_dir, golden};

fn topic(store: &Store, name: &str, settings: &[(&str, &str)]) -> Topic {
    let config = settings.iter().fold(TopicConfig::default(), |config, (name, value)| config.set(name, value).unwrap());
    store.create_topic(name, config).unwrap()
}

fn durable(partition: &Partition) -> u64 {
    partition.log().end(ReadUpTo::Durable).get()
}

fn within(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Handles go from thread to thread, and are cheap to copy.
#[test]
fn handles_are_for_any_thread() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Store>();
    shared::<Topic>();
    shared::<Partition>();
}

/// Many waiters share a sync, and each thought that it had to take the same bytes off the count: it fell below zero,
/// which read as the limit, and appends waited for room that was there.
#[test]
fn however_many_wait_for_a_sync_each_byte_is_counted_off_once() {
    let dir = TestDir::new("counted-once");
    let store = Store::open(&dir).unwrap();
    let partition = topic(&store, "a", &[]).partition(0).unwrap();
    let one = batch(&[("value", 1)]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    partition.append_with(&one, Acks::Durable).unwrap();
                }
            });
        }
    });
    partition.sync().unwrap();
    assert_eq!(store.stats().unwrap().unsynced_bytes, 0);
    assert_eq!(partition.unsynced_bytes(), 0);
    store.close().unwrap();
}

/// An interval set while bytes wait was never looked at: nothing was due, and the next append found the partition dirty
/// already and left it to the one before.
#[test]
fn an_interval_that_is_set_later_holds_for_what_waits_already() {
    let dir = TestDir::new("set-later");
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let store = StoreConfig::default().clock(Arc::new(clock.clone())).open(&dir).unwrap();
    let topic = topic(&store, "a", &[]);
    let partition = topic.partition(0).unwrap();
    fill(&partition, 3);
    topic.alter([("flush.ms", "1000")]).unwrap();
    clock.advance(Duration::from_millis(999));
    store.run_due();
    assert_eq!(durable(&partition), 0, "not yet");
    clock.advance(Duration::from_millis(1));
    store.run_due();
    assert_eq!(durable(&partition), 3);
    store.close().unwrap();
}

/// Each interval counts from the first append behind a sync, whatever else syncs in between.
#[test]
fn an_interval_flushes_again_and_again() {
    let dir = TestDir::new("again");
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let store = StoreConfig::default().clock(Arc::new(clock.clone())).open(&dir).unwrap();
    let partition = topic(&store, "a", &[("flush.ms", "100")]).partition(0).unwrap();
    for round in 1..=5 {
        fill(&partition, round * 2 - 1);
        partition.sync().unwrap();
        fill(&partition, round * 2);
        assert_eq!(durable(&partition), round * 2 - 1);
        clock.advance(Duration::from_millis(100));
        store.run_due();
        assert_eq!(durable(&partition), round * 2, "round {round}");
    }
    store.close().unwrap();
}

/// What was appended while the flusher was syncing the partition was on no list any more, and no later append put it
/// there: it waited for ever.
#[test]
fn what_is_appended_during_a_background_sync_is_synced_by_the_next() {
    let dir = TestDir::new("during");
    let store = Store::open(&dir).unwrap();
    // Short segments with few entries: Kafka's tool reads the rest of a segment for each entry of its time index.
    let short = [("flush.ms", "1"), ("segment.bytes", "262144"), ("index.interval.bytes", "65536")];
    let partition = topic(&store, "a", &short).partition(0).unwrap();
    let until = Instant::now() + Duration::from_millis(300);
    let mut appended = 0;
    while Instant::now() < until {
        appended += 1;
        fill(&partition, appended);
    }
    within(Duration::from_secs(20), "the last flush", || durable(&partition) == appended);
    // The mark moves first, the count a moment later.
    within(Duration::from_secs(20), "the count", || store.stats().unwrap().unsynced_bytes == 0);
    store.close().unwrap();
}

/// One writer, alone with the flusher, appends far more than may be unsynced: it waits now and then, and goes on.
#[test]
fn a_single_writer_gets_past_the_limit_of_unsynced_bytes() {
    let dir = TestDir::new("past-the-limit");
    let limit = 64 << 10;
    let config = StoreConfig::default().max_unsynced_bytes(limit).max_unsynced_wait(Duration::from_secs(20));
    let store = config.open(&dir).unwrap();
    let partition = topic(&store, "a", &[]).partition(0).unwrap();
    let one = batch(&[(&"x".repeat(1000), 1)]);
    for _ in 0..1000 {
        partition.append(&one).unwrap();
        let unsynced = store.stats().unwrap().unsynced_bytes;
        assert!(unsynced < limit + one.len() as u64, "{unsynced} bytes are unsynced");
    }
    assert!(durable(&partition) > 0, "nobody but the flusher syncs here");
    let large = batch(&[(&"x".repeat(200_000), 1)]);
    partition.append(&large).unwrap();
    partition.append(&large).unwrap();
    store.close().unwrap();
}

/// Bytes of a topic that is gone were never taken off the count, until it stood at the limit for everybody.
#[test]
fn a_deleted_topic_gives_its_unsynced_bytes_back() {
    let dir = TestDir::new("given-back");
    let store = Store::open(&dir).unwrap();
    for _ in 0..3 {
        let partition = topic(&store, "a", &[]).partition(0).unwrap();
        fill(&partition, 10);
        assert!(store.stats().unwrap().unsynced_bytes > 0);
        store.delete_topic("a").unwrap();
        assert_eq!(store.stats().unwrap().unsynced_bytes, 0);
        assert_eq!(partition.sync().unwrap_err().kind(), ErrorKind::UnknownTopic);
    }
    store.close().unwrap();
}

/// A handle tells its own topic from another that has its name.
#[test]
fn handles_of_a_deleted_topic_answer_so_for_ever() {
    let dir = TestDir::new("deleted");
    let store = Store::open(&dir).unwrap();
    let old = topic(&store, "a", &[]);
    let partition = old.partition(0).unwrap();
    fill(&partition, 3);
    let slice = partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(1000)).unwrap();
    store.delete_topic("a").unwrap();
    let check = || {
        let unknown = [
            old.partition(0).map(|_| ()).unwrap_err(),
            old.partitions().map(|_| ()).unwrap_err(),
            old.alter([("flush.ms", "5")]).unwrap_err(),
            old.grow(2).unwrap_err(),
            partition.append(&batch(&[("v", 1)])).map(|_| ()).unwrap_err(),
            partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(10)).map(|_| ()).unwrap_err(),
            partition.sync().map(|_| ()).unwrap_err(),
            partition.roll().map(|_| ()).unwrap_err(),
        ];
        for error in unknown {
            assert_eq!(error.kind(), ErrorKind::UnknownTopic, "{error}");
        }
    };
    check();
    let new = topic(&store, "a", &[]);
    assert_ne!(new.id(), old.id());
    fill(&new.partition(0).unwrap(), 1);
    check();
    assert_eq!(slice.batches().count(), 3, "what was fetched stays readable");
    store.close().unwrap();
    let store = Store::open(&dir).unwrap();
    assert_eq!(values(&store.topic("a").unwrap().partition(0).unwrap(), 0), counted(0, 1));
    store.close().unwrap();
}

/// Deleting stopped at the first directory that was not there, and left the other partitions open.
#[test]
fn a_topic_with_a_missing_partition_is_deleted_whole() {
    let dir = TestDir::new("missing-one");
    let store = Store::open(&dir).unwrap();
    store.create_topic("a", TopicConfig::default().partitions(3)).unwrap();
    store.close().unwrap();
    std::fs::remove_dir_all(dir.join("a-0")).unwrap();
    let store = Store::open(&dir).unwrap();
    let partition = store.topic("a").unwrap().partition(2).unwrap();
    fill(&partition, 2);
    store.delete_topic("a").unwrap();
    assert_eq!(partition.append(&batch(&[("v", 1)])).unwrap_err().kind(), ErrorKind::UnknownTopic);
    assert!(!dir.join("a-1").exists() && !dir.join("a-2").exists());
    store.close().unwrap();
}

/// One thing wrong with one partition made the whole store unopenable.
#[test]
fn what_is_wrong_with_one_partition_is_that_partitions_answer() {
    let dir = TestDir::scratch("one-wrong");
    let store = Store::open(&dir).unwrap();
    for name in ["file", "link", "fifo", "good"] {
        fill(&topic(&store, name, &[]).partition(0).unwrap(), 3);
    }
    store.close().unwrap();
    for name in ["file", "link"] {
        std::fs::remove_dir_all(dir.join(format!("{name}-0"))).unwrap();
    }
    std::fs::write(dir.join("file-0"), b"no directory").unwrap();
    std::os::unix::fs::symlink(dir.join("good-0"), dir.join("link-0")).unwrap();
    let log = dir.join("fifo-0/00000000000000000000.log");
    std::fs::remove_file(&log).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    // Doomed, but it holds what cannot be removed.
    let doomed = dir.join(format!("gone-0.{}-delete", "0".repeat(32)));
    std::fs::create_dir_all(doomed.join("below")).unwrap();
    // Nobody's.
    std::fs::create_dir_all(dir.join("please-delete")).unwrap();
    for read_only in [true, false] {
        let store = if read_only { Store::open_read_only(&dir) } else { Store::open(&dir) }.unwrap();
        let answer = |name: &str| store.topic(name).unwrap().partition(0).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(answer("file"), Err(ErrorKind::NotADirectory));
        assert!(answer("link").is_err());
        assert_eq!(answer("fifo"), Err(ErrorKind::Corruption));
        assert_eq!(values(&store.topic("good").unwrap().partition(0).unwrap(), 0), counted(0, 3));
        store.close().unwrap();
    }
    assert!(dir.join("please-delete").exists());
}

/// What a directory that Kafka closed looks like: ours, without what is ours.
fn kafkas(from: &TestDir) {
    for entry in std::fs::read_dir(from.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("riverbed.") {
            std::fs::remove_file(path).unwrap();
        } else if path.is_dir() {
            std::fs::remove_file(path.join("log-checkpoint")).ok();
        }
    }
}

fn trimmed(store: &Store) -> Partition {
    store.topic("trimmed").unwrap().partition(0).unwrap()
}

/// Where an adopted log started stood in the clean mark alone: a crash after the first opening brought back what had been
/// deleted, and trusted nothing that Kafka had synced.
#[test]
fn an_adopted_log_keeps_its_start_through_a_crash() {
    let dir = TestDir::scratch("adopted-start");
    copy_dir(&golden().join("log"), dir.path());
    let start = trimmed(&Store::open_read_only(&dir).unwrap()).offsets().0;
    assert!(start.get() > 0);
    Store::adopt(&dir).unwrap();
    let store = Store::open(&dir).unwrap();
    let partition = trimmed(&store);
    assert_eq!(partition.offsets().0, start);
    let end = partition.append(&batch(&[("more", 1)])).unwrap().offsets.end().next();
    partition.sync().unwrap();
    let crashed = TestDir::scratch("adopted-crashed");
    copy_dir(dir.path(), crashed.path());
    store.close().unwrap();
    let store = Store::open(&crashed).unwrap();
    assert_eq!(trimmed(&store).offsets().0, start);
    assert_eq!(trimmed(&store).offsets().1.end, end);
    store.close().unwrap();
}

/// A directory that went back to Kafka has checkpoints of ours in it, which are from before.
#[test]
fn a_checkpoint_of_ours_says_nothing_in_a_directory_of_kafkas() {
    let dir = TestDir::scratch("went-back");
    let store = Store::open(&dir).unwrap();
    let partition = topic(&store, "a", &[("segment.bytes", "500")]).partition(0).unwrap();
    fill(&partition, 30);
    partition.delete_records(..Offset::new(20)).unwrap();
    store.close().unwrap();
    let stale = std::fs::read(dir.join("a-0/log-checkpoint")).unwrap();
    kafkas(&dir);
    std::fs::write(dir.join("a-0/log-checkpoint"), stale).unwrap();
    // Kafka let go of more.
    std::fs::write(dir.join("log-start-offset-checkpoint"), "0\n1\na 0 25\n").unwrap();
    let store = Store::open_read_only(&dir).unwrap();
    assert_eq!(store.topic("a").unwrap().partition(0).unwrap().offsets().0, Offset::new(25));
    store.close().unwrap();
    Store::adopt(&dir).unwrap();
    let store = Store::open(&dir).unwrap();
    assert_eq!(store.topic("a").unwrap().partition(0).unwrap().offsets().0, Offset::new(25));
    store.close().unwrap();
}

/// A second look forgot that the directory is Kafka's: it took the start for the first segment's base, and a gap that
/// compaction left for the end.
#[test]
fn a_second_look_at_kafkas_directory_sees_what_the_first_did() {
    for clean in [true, false] {
        let dir = TestDir::scratch("second-look");
        copy_dir(&golden().join("log"), dir.path());
        if !clean {
            std::fs::remove_file(dir.join(".kafka_cleanshutdown")).unwrap();
        }
        let store = Store::open_read_only(&dir).unwrap();
        let look = || -> Vec<_> {
            let all = store.topics().unwrap().into_iter().flat_map(|topic| topic.partitions().unwrap());
            all.filter_map(|(_, partition)| partition.ok()).map(|p| (p.id().clone(), p.offsets())).collect()
        };
        let first = look();
        store.refresh().unwrap();
        assert_eq!(look(), first, "clean: {clean}");
        store.close().unwrap();
    }
}

/// One odd name made as many partitions as its number says.
#[test]
fn a_number_that_no_partition_has_is_no_partition() {
    let dir = TestDir::scratch("odd-number");
    for name in ["a-0", "a-3", "b-2000000000", "c-2147483647"] {
        std::fs::create_dir_all(dir.join(name)).unwrap();
    }
    let store = Store::open_read_only(&dir).unwrap();
    let names: Vec<_> = store.topics().unwrap().iter().map(|topic| topic.name().to_string()).collect();
    assert_eq!(names, ["a"]);
    let topic = store.topic("a").unwrap();
    assert_eq!(topic.partition_count(), 4);
    let here: Vec<_> = topic.partitions().unwrap().iter().map(|(_, partition)| partition.is_ok()).collect();
    assert_eq!(here, [true, false, false, true]);
    assert_eq!(topic.partition(1).unwrap_err().kind(), ErrorKind::NotFound);
    store.close().unwrap();
}

/// A directory of Kafka's need not hold all partitions of a topic; what it holds goes back to Kafka all the same.
#[test]
fn an_adopted_directory_with_missing_partitions_is_left_for_kafka_again() {
    let dir = TestDir::scratch("partial");
    let store = Store::open(&dir).unwrap();
    let partitions = store.create_topic("a", TopicConfig::default().partitions(4)).unwrap().partitions().unwrap();
    for (_, partition) in &partitions {
        fill(partition.as_ref().unwrap(), 3);
    }
    store.close().unwrap();
    kafkas(&dir);
    std::fs::remove_dir_all(dir.join("a-1")).unwrap();
    Store::adopt(&dir).unwrap();
    let store = Store::open(&dir).unwrap();
    assert!(!dir.join(".kafka_cleanshutdown").exists(), "open for writing");
    fill(&store.topic("a").unwrap().partition(3).unwrap(), 5);
    store.close().unwrap();
    assert!(dir.join(".kafka_cleanshutdown").exists());
    let points = std::fs::read_to_string(dir.join("recovery-point-offset-checkpoint")).unwrap();
    assert_eq!(points.lines().skip(2).collect::<std::collections::BTreeSet<_>>(), ["a 0 3", "a 2 3", "a 3 5"].into());
}

/// A reader looks again: at topics that came, grew, changed and went, and at records behind those it knew.
#[test]
fn a_reader_that_looks_again_sees_what_the_writer_did() {
    let dir = TestDir::new("looks-again");
    let writer = Store::open(&dir).unwrap();
    let stays = topic(&writer, "stays", &[("segment.bytes", "500")]);
    topic(&writer, "goes", &[]);
    fill(&stays.partition(0).unwrap(), 5);
    let reader = Store::open_read_only(&dir).unwrap();
    let gone = reader.topic("goes").unwrap();
    let gone_partition = gone.partition(0).unwrap();
    let seen = reader.topic("stays").unwrap();
    let partition = seen.partition(0).unwrap();
    assert_eq!(values(&partition, 0), counted(0, 5));

    fill(&stays.partition(0).unwrap(), 60);
    stays.grow(3).unwrap();
    stays.alter([("retention.ms", "77")]).unwrap();
    fill(&stays.partition(2).unwrap(), 2);
    writer.delete_topic("goes").unwrap();
    topic(&writer, "comes", &[]);
    stays.partition(0).unwrap().delete_records(..Offset::new(30)).unwrap();
    reader.refresh().unwrap();

    assert_eq!(partition.offsets().0, Offset::new(30));
    assert_eq!(values(&partition, 30), counted(30, 60));
    assert_eq!((seen.partition_count(), seen.config().get("retention.ms").unwrap().as_str()), (3, "77"));
    assert_eq!(values(&seen.partition(2).unwrap(), 0), counted(0, 2));
    assert_eq!(gone.partition(0).unwrap_err().kind(), ErrorKind::UnknownTopic);
    let fetched = gone_partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(10));
    assert_eq!(fetched.unwrap_err().kind(), ErrorKind::UnknownTopic);
    assert_eq!(reader.topics().unwrap().len(), 2);
    let refused = reader.create_topic("x", TopicConfig::default()).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    reader.close().unwrap();
    writer.close().unwrap();
}

/// A reader beside a writer that rolls, deletes and is trimmed all the time never fails, and never sees anything but a
/// run of what was written.
#[test]
fn a_reader_beside_a_busy_writer_sees_a_run_of_records_at_every_look() {
    let dir = TestDir::new("busy");
    let writer = Store::open(&dir).unwrap();
    let written = topic(&writer, "a", &[("segment.bytes", "700"), ("flush.ms", "1")]).partition(0).unwrap();
    fill(&written, 1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..600 {
                fill(&written, n * 5);
                if n % 10 == 0 {
                    written.delete_records(..Offset::new(n * 5 - 20)).unwrap();
                }
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let reader = Store::open_read_only(&dir).unwrap();
        let mut last = Offset::ZERO;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            reader.refresh().unwrap();
            let partition = reader.topic("a").unwrap().partition(0).unwrap();
            let (start, marks) = partition.offsets();
            assert!(start <= marks.end && last <= marks.end, "{start} {last} {marks:?}");
            last = marks.end;
            let fetched = match partition.fetch(start, riverbed::FetchLimit::bytes(300)) {
                // Deleted since the look: the read has looked again.
                Err(error) if error.kind() == ErrorKind::OffsetOutOfRange => {
                    assert!(start < partition.offsets().0, "{error}");
                    continue;
                }
                fetched => fetched.unwrap(),
            };
            assert!(fetched.batches().all(|batch| batch.check().is_ok()));
        }
        reader.close().unwrap();
    });
    writer.close().unwrap();
}

/// After the last store handle is gone the others answer so, and what was waiting wakes.
#[test]
fn a_store_dropped_under_live_handles_closes_them() {
    let dir = TestDir::new("dropped");
    let config = StoreConfig::default().max_unsynced_bytes(1);
    let store = config.open(&dir).unwrap();
    let topic = topic(&store, "a", &[]);
    let partition = topic.partition(0).unwrap();
    fill(&partition, 2);
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| partition.wait_readable(Offset::new(7), ReadUpTo::Written, Duration::from_secs(20)));
        std::thread::sleep(Duration::from_millis(10));
        drop(store);
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
    assert_eq!(topic.partition(0).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(partition.append(&batch(&[("v", 1)])).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(partition.sync().unwrap_err().kind(), ErrorKind::Closed);
    drop((topic, partition));
    let store = Store::open(&dir).unwrap();
    assert_eq!(values(&store.topic("a").unwrap().partition(0).unwrap(), 0), counted(0, 2));
    assert!(store.recovery().is_empty());
    store.close().unwrap();
}

/// Changes of the list wait for each other; one that comes behind a close changes nothing.
#[test]
fn nothing_is_created_behind_a_close() {
    for round in 0..20 {
        let dir = TestDir::scratch("behind-a-close");
        let store = Store::open(&dir).unwrap();
        let created = std::thread::scope(|scope| {
            let creating = scope.spawn(|| store.create_topic("a", TopicConfig::default()).map(|_| ()));
            store.clone().close().unwrap();
            creating.join().unwrap()
        });
        let again = Store::open(&dir).unwrap();
        assert_eq!(again.topics().unwrap().len(), usize::from(created.is_ok()), "round {round}");
        again.close().unwrap();
    }
}
