//! Retention: by size, by age, below the log start; what holds it back, and who does it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use riverbed::{
    Clock, ErrorKind, FetchLimit, LeaderEpoch, LogWriter, ManualClock, Offset, Partition, PartitionOptions, ReadUpTo,
    Record, Removed, RetentionReason, Timestamp,
};
use support::TestDir;
use support::partition::{append, bases, config, counted, fill, from_producer, open_at, range, values};

/// Seven or six of the records of `fill` make a segment.
const SMALL: (&str, &str) = ("segment.bytes", "500");

/// When the clock of these tests starts.
const START: i64 = 1_000_000;

fn clock() -> (ManualClock, Arc<dyn Clock>) {
    let clock = ManualClock::at(Timestamp::from_millis(START));
    (clock.clone(), Arc::new(clock))
}

/// A partition with these settings whose `end` records `v0`, `v1` ... have the times 0, 10, 20 ... and which no time
/// has made due yet.
fn filled(dir: &TestDir, settings: &[(&str, &str)], end: u64) -> (ManualClock, Partition) {
    let (manual, clock) = clock();
    let settings = [&[SMALL, ("retention.ms", "-1")], settings].concat();
    let partition = open_at(dir, &settings, &clock);
    fill(&partition, end);
    (manual, partition)
}

fn sizes(partition: &Partition) -> Vec<u64> {
    partition.segment_infos().unwrap().iter().map(|info| info.bytes).collect()
}

fn start(partition: &Partition) -> u64 {
    partition.offsets().0.get()
}

fn removed(segments: u64, bytes: u64) -> (u64, u64) {
    (segments, bytes)
}

fn retain(partition: &Partition) -> (u64, u64) {
    let Removed { segments, bytes, .. } = partition.retain().unwrap();
    removed(segments, bytes)
}

/// RET-01, RET-02, RET-18.
#[test]
fn a_log_that_is_due_as_a_whole_is_empty_and_goes_on_at_its_end() {
    let dir = TestDir::new("retain-all");
    let (manual, partition) = filled(&dir, &[("retention.ms", "0")], 20);
    let before = sizes(&partition);
    assert_eq!(bases(&partition), [0, 7, 13, 19]);
    manual.advance(Duration::from_millis(1));
    assert_eq!(retain(&partition), removed(4, before.iter().sum()));
    assert_eq!((bases(&partition), sizes(&partition)), (vec![20], vec![0]));
    let (log_start, marks) = partition.offsets();
    assert_eq!([log_start, marks.end, marks.high, marks.durable, marks.last_stable].map(Offset::get), [20; 5]);
    assert_eq!(retain(&partition), removed(0, 0), "an empty segment never goes");
    assert_eq!(append(&partition, "v20", 200), 20);
    assert_eq!(values(&partition, 20), counted(20, 21));
    partition.close().unwrap();
    let partition = open_at(&dir, &[SMALL], &clock().1);
    assert_eq!((start(&partition), values(&partition, 20)), (20, counted(20, 21)));
    partition.close().unwrap();
}

/// RET-03.
#[test]
fn size_keeps_at_least_what_may_be_kept() {
    let dir = TestDir::new("retain-size");
    let (_, mut partition) = filled(&dir, &[], 40);
    let all = sizes(&partition);
    let total: u64 = all.iter().sum();
    for (keep, gone) in
        [(total + 1, 0), (total, 0), (total - all[0] + 1, 0), (total - all[0], 1), (total - all[0] - all[1], 2)]
    {
        partition.close().unwrap();
        let settings = [SMALL, ("retention.ms", "-1"), ("retention.bytes", &keep.to_string())];
        partition = open_at(&dir, &settings, &clock().1);
        partition.retain().unwrap();
        assert_eq!(partition.segments().len(), all.len() - gone, "{keep}");
        assert!(sizes(&partition).iter().sum::<u64>() >= keep.min(total));
    }
    partition.close().unwrap();
}

/// RET-04, RET-11.
#[test]
fn age_removes_segments_whose_newest_record_is_too_old_and_nothing_twice() {
    let dir = TestDir::new("retain-age");
    let (_, mut partition) = filled(&dir, &[], 40);
    let newest_of_first = 60;
    for (limit, first) in [(START - newest_of_first, 0), (START - newest_of_first - 1, 7), (START - 140, 13)] {
        partition.close().unwrap();
        partition = open_at(&dir, &[SMALL, ("retention.ms", &limit.to_string())], &clock().1);
        let due = partition.due_segments().unwrap();
        let counted = retain(&partition);
        assert_eq!(counted, removed(due.len() as u64, due.iter().map(|due| due.bytes).sum()), "as was told before");
        assert!(due.iter().all(|due| due.reason == RetentionReason::Age));
        assert_eq!(start(&partition), first, "{limit}");
        assert_eq!(retain(&partition), removed(0, 0), "a second time there is nothing to do");
        assert_eq!(values(&partition, first).len() as u64, 40 - first);
    }
    partition.close().unwrap();
}

/// RET-05, RET-06, RET-09.
#[test]
fn a_compacted_topic_keeps_all_but_what_is_below_the_log_start() {
    for (policy, left) in [("compact", 40), ("compact,delete", 0)] {
        let dir = TestDir::new("retain-compacted");
        let (manual, partition) =
            filled(&dir, &[("cleanup.policy", policy), ("retention.ms", "1"), ("retention.bytes", "1")], 40);
        manual.advance(Duration::from_secs(60));
        partition.retain().unwrap();
        assert_eq!(partition.offsets().1.end.get() - start(&partition), left, "{policy}");
        partition.close().unwrap();
    }
    let dir = TestDir::new("retain-log-start");
    let (_, partition) = filled(&dir, &[("cleanup.policy", "compact,delete")], 40);
    partition.delete_records(..Offset::new(10)).unwrap();
    assert_eq!((start(&partition), bases(&partition)[0]), (10, 7), "what lies inside of a segment is only hidden");
    assert_eq!(retain(&partition), removed(0, 0));
    partition.close().unwrap();
}

/// RET-07.
#[test]
fn nothing_goes_above_the_high_watermark() {
    let dir = TestDir::new("retain-watermark");
    let (manual, partition) = filled(&dir, &[("retention.ms", "1")], 21);
    partition.close().unwrap();
    let options = PartitionOptions::default().config(config(&[SMALL, ("retention.ms", "1")])).clock(Arc::new(manual));
    let (_, log) = LogWriter::open(dir.join("orders-0"), options).unwrap();
    log.hold_high_watermark().unwrap();
    log.set_high_watermark(Offset::new(0)).unwrap();
    assert_eq!(log.due_segments().unwrap(), []);
    for (high, first) in [(6, 0), (7, 7), (12, 7), (18, 13), (21, 21)] {
        log.set_high_watermark(Offset::new(high)).unwrap();
        log.retain().unwrap();
        assert_eq!(log.log_start().get(), first, "{high}");
    }
    log.close().unwrap();
}

/// RET-15.
#[test]
fn epochs_below_the_new_start_go_and_the_one_there_begins_at_it() {
    let dir = TestDir::new("retain-epochs");
    let (_, partition) = filled(&dir, &[("retention.bytes", "500")], 10);
    partition.begin_epoch(LeaderEpoch::new(4)).unwrap();
    fill(&partition, 40);
    partition.retain().unwrap();
    let first = partition.offsets().0;
    assert!(first.get() > 14);
    let end = |epoch| partition.log().epoch_end(LeaderEpoch::new(epoch)).unwrap().unwrap();
    assert_eq!(end(0), (LeaderEpoch::new(0), first), "of epoch 0 nothing is left");
    assert_eq!(end(4), (LeaderEpoch::new(4), Offset::new(40)));
    assert_eq!(partition.log().epoch_at(first).unwrap(), Some(LeaderEpoch::new(4)));
    partition.close().unwrap();
    let file = std::fs::read_to_string(dir.join("orders-0/leader-epoch-checkpoint")).unwrap();
    assert_eq!(file, format!("0\n1\n4 {first}\n"));
}

/// RET-16: a producer whose batches are gone still cannot append one of them again.
#[test]
fn snapshots_go_with_their_segments_and_producers_do_not() {
    let dir = TestDir::new("retain-producers");
    let (manual, partition) = filled(&dir, &[("retention.ms", "100")], 0);
    let batch = |sequence| from_producer(7, 0, sequence, &[("v", START)]);
    for sequence in 0..20 {
        partition.append(&batch(sequence)).unwrap();
    }
    partition.sync().unwrap();
    let snapshots = || {
        let names = std::fs::read_dir(dir.join("orders-0")).unwrap();
        names.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "snapshot")).count()
    };
    assert!(snapshots() >= 2);
    manual.advance(Duration::from_millis(101));
    assert!(retain(&partition).0 > 2);
    assert_eq!(values(&partition, start(&partition)), []);
    let again = partition.append(&batch(19)).unwrap();
    assert!(again.duplicate, "{again:?}");
    assert_eq!(range(&partition.append(&batch(20)).unwrap()), (20, 20));
    partition.close().unwrap();
    assert!(snapshots() <= 2, "that of the segment's base, and that of the close");
    let partition = open_at(&dir, &[SMALL], &clock().1);
    assert!(partition.append(&batch(20)).unwrap().duplicate, "known after a reopening, too");
    partition.close().unwrap();
}

/// RET-14.
#[test]
fn a_closed_and_a_read_only_partition_refuse() {
    let dir = TestDir::new("retain-closed");
    let (manual, partition) = filled(&dir, &[("retention.ms", "1")], 20);
    manual.advance(Duration::from_secs(1));
    let options = PartitionOptions::default().config(config(&[SMALL, ("retention.ms", "1")])).read_only();
    partition.sync().unwrap();
    let reader = Partition::open(dir.join("orders-0"), options.clock(Arc::new(manual))).unwrap();
    assert_eq!(reader.due_segments().unwrap(), partition.due_segments().unwrap());
    assert_eq!(reader.retain().unwrap_err().kind(), ErrorKind::ReadOnly);
    partition.close().unwrap();
    assert_eq!(partition.retain().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(partition.due_segments().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(partition.hold(Offset::ZERO).unwrap_err().kind(), ErrorKind::Closed);
}

fn log_file(dir: &TestDir, base: u64) -> PathBuf {
    dir.join(format!("orders-0/{base:020}.log"))
}

/// RET-20.
#[test]
fn where_no_record_has_a_time_that_of_the_file_counts() {
    let dir = TestDir::scratch("retain-timeless");
    let (_, partition) = filled(&dir, &[("retention.ms", "1000")], 0);
    for n in 0..20 {
        append(&partition, &format!("v{n}"), -1);
    }
    partition.sync().unwrap();
    assert_eq!(bases(&partition), [0, 7, 13, 19]);
    assert_eq!(partition.due_segments().unwrap(), [], "written just now, when the clock of the test is long past");
    let at = |millis: i64| SystemTime::UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs());
    let modified = |base, millis| File::open(log_file(&dir, base)).unwrap().set_modified(at(millis)).unwrap();
    modified(0, START - 1000);
    assert_eq!(partition.due_segments().unwrap(), []);
    modified(0, START - 1001);
    modified(7, START - 2000);
    assert_eq!(retain(&partition).0, 2);
    partition.close().unwrap();
}

/// Index files have no checksum. One that says that a segment is old is not enough to remove it.
#[test]
fn a_time_index_that_lies_removes_nothing() {
    let dir = TestDir::scratch("retain-lies");
    let (_, partition) = filled(&dir, &[], 0);
    for n in 0..20 {
        append(&partition, &format!("v{n}"), START);
    }
    partition.close().unwrap();
    let index = dir.join("orders-0/00000000000000000000.timeindex");
    let mut bytes = std::fs::read(&index).unwrap();
    assert_eq!(bytes.len(), 12, "one entry: time, and offset less the base");
    bytes[..8].copy_from_slice(&5u64.to_be_bytes());
    std::fs::write(&index, bytes).unwrap();
    let settings = [SMALL, ("retention.ms", "1000")];
    let partition = open_at(&dir, &settings, &clock().1);
    for _ in 0..3 {
        assert_eq!(partition.due_segments().unwrap(), []);
        assert_eq!(retain(&partition), removed(0, 0));
    }
    assert_eq!(values(&partition, 0).len(), 20);
    partition.close().unwrap();
}

/// A record stamped in the future keeps its segment until it is old, as in Kafka, and all segments behind it.
#[test]
fn a_record_from_the_future_holds_its_segment() {
    let dir = TestDir::new("retain-future");
    let (manual, partition) = filled(&dir, &[("retention.ms", "1000")], 3);
    let future = START + 500_000;
    append(&partition, "v3", future);
    fill(&partition, 30);
    assert_eq!(partition.due_segments().unwrap(), []);
    assert_eq!(retain(&partition), removed(0, 0));
    manual.set(Timestamp::from_millis(future + 1000));
    assert_eq!(retain(&partition), removed(0, 0));
    manual.set(Timestamp::from_millis(future + 1001));
    partition.retain().unwrap();
    assert_eq!(start(&partition), 30);
    partition.close().unwrap();
}

/// Who reads keeps what it has: the space goes with the last slice.
#[test]
fn what_was_fetched_stays_readable() {
    let dir = TestDir::new("retain-readers");
    let (_, partition) = filled(&dir, &[("retention.ms", "1")], 20);
    let fetched = partition.fetch(Offset::ZERO, FetchLimit::bytes(1 << 20).up_to(ReadUpTo::Written)).unwrap();
    assert!(retain(&partition).0 > 0);
    fetched.batches().for_each(|batch| batch.check().unwrap());
    let gone = partition.fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::OffsetOutOfRange);
    partition.close().unwrap();
}

#[test]
fn a_hold_keeps_all_from_its_offset_on_until_it_is_let_go() {
    let dir = TestDir::new("retain-hold");
    let (_, partition) = filled(&dir, &[("retention.ms", "1")], 40);
    let (slow, archive) = (partition.hold(Offset::new(16)).unwrap(), partition.hold(Offset::new(8)).unwrap());
    partition.retain().unwrap();
    assert_eq!(start(&partition), 7);
    assert_eq!(partition.hold(Offset::new(6)).unwrap_err().kind(), ErrorKind::OffsetOutOfRange);
    archive.advance(Offset::new(30));
    archive.advance(Offset::new(3));
    assert_eq!(archive.offset().get(), 30, "never back");
    partition.retain().unwrap();
    assert_eq!(start(&partition), 13);
    drop(slow);
    partition.retain().unwrap();
    assert_eq!(start(&partition), 25);
    assert_eq!(partition.delete_records(..Offset::new(36)).unwrap().log_start.get(), 36, "a person's word counts more");
    drop(archive);
    partition.retain().unwrap();
    assert_eq!(start(&partition), 40);
    partition.close().unwrap();
}

#[test]
fn a_record_of_the_last_second_keeps_an_active_segment() {
    let dir = TestDir::new("retain-active");
    let (manual, partition) = filled(&dir, &[("retention.ms", "1000")], 0);
    append(&partition, "old", START - 5_000);
    partition.append_record(&Record::new().key("k").value("new")).unwrap();
    manual.advance(Duration::from_millis(1000));
    assert_eq!(retain(&partition), removed(0, 0));
    manual.advance(Duration::from_millis(1));
    assert_eq!(retain(&partition).0, 1);
    partition.close().unwrap();
}
