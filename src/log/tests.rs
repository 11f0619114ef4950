//! The log as a whole, on the simulated disk.

use super::*;
use crate::clock::ManualClock;
use crate::io::sim::SimDisk;
use crate::record::{BatchBuilder, DecompressionLimits, Record, RecordBatch};
use crate::types::{Isolation, LeaderEpoch, Timestamp};

fn options(last_close: LastClose, segment_bytes: u32) -> LogOptions {
    let mut config = LogConfig::default();
    config.set("segment.bytes", &segment_bytes.to_string()).unwrap();
    LogOptions {
        config: Arc::new(config),
        clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000))),
        mode: OpenMode::Write,
        last_close,
        verify_always: false,
    }
}

pub(super) const UNCLEAN: LastClose = LastClose::Unclean { same_power: true };

pub(super) fn open(disk: &SimDisk, last_close: LastClose) -> Log {
    let directory = disk.root().create_subdirectory("a-0").unwrap();
    disk.root().sync().unwrap();
    Log::open(directory, &options(last_close, 1000)).unwrap()
}

fn batch(values: &[&str]) -> RecordBatch<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    for value in values {
        let time = Timestamp::from_millis(1_000_000);
        builder.push(&Record::new().key("k").value(*value).timestamp(time), time).unwrap();
    }
    RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap()
}

fn batch_at(millis: i64) -> RecordBatch<Vec<u8>> {
    let (mut builder, time) = (BatchBuilder::new(), Timestamp::from_millis(millis));
    builder.push(&Record::new().value("x").timestamp(time), time).unwrap();
    RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap()
}

fn append(log: &Log, values: &[&str]) -> Appended {
    log.append(&batch(values), AppendOrigin::Client).unwrap()
}

/// All records that a reader `up_to` a mark sees: offset and value.
fn values(log: &Log, up_to: ReadUpTo) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut offset = log.log_start();
    loop {
        let fetched = log.read(offset, FetchLimit::bytes(300).up_to(up_to)).unwrap();
        if fetched.is_empty() {
            return found;
        }
        for batch in fetched.batches() {
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            for record in payload.records().map(Result::unwrap).filter(|record| record.offset() >= log.log_start()) {
                found.push((record.offset().get(), String::from_utf8_lossy(record.value().unwrap()).into_owned()));
            }
        }
        offset = fetched.next_offset;
    }
}

fn numbered(range: std::ops::Range<u64>) -> Vec<(u64, String)> {
    range.map(|number| (number, format!("value {number}"))).collect()
}

pub(super) fn fill(log: &Log, range: std::ops::Range<u64>) {
    for number in range {
        append(log, &[&format!("value {number}")]);
    }
}

#[test]
fn what_is_appended_is_read_across_segments_and_after_a_clean_close() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..50);
    assert!(log.segments().len() > 3, "{:?}", log.segments());
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..50));
    assert_eq!(values(&log, ReadUpTo::Durable), []);
    let ends = log.close().unwrap().unwrap();
    assert_eq!(ends.log_end, Offset::new(50));
    assert_eq!(log.read(Offset::ZERO, FetchLimit::bytes(1)).unwrap_err().kind(), ErrorKind::Closed);

    let log = open(&disk, LastClose::Clean(ends));
    assert_eq!(*log.recovery(), Recovery::default());
    assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..50));
    fill(&log, 50..60);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..60));
    log.close().unwrap().unwrap();
}

#[test]
fn a_killed_process_loses_nothing_that_returned() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..50);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..50));
    assert_eq!(log.recovery().cut_bytes, 0);
    fill(&log, 50..70);
    log.close().unwrap().unwrap();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..70));
}

#[test]
fn a_cut_ends_the_log_and_appends_go_on_there() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..50);
    log.sync().unwrap();
    assert_eq!(log.truncate(Offset::new(33)).unwrap(), Offset::new(33));
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..33));
    assert_eq!(log.end(ReadUpTo::Durable), Offset::new(33));
    append(&log, &["other"]);
    let mut expected = numbered(0..33);
    expected.push((33, "other".to_owned()));
    assert_eq!(values(&log, ReadUpTo::Written), expected);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), expected);
    log.close().unwrap().unwrap();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), expected);
}

#[test]
fn deleted_records_are_hidden_and_whole_segments_go() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..50);
    let deleted = log.delete_records(..Offset::new(25)).unwrap();
    assert_eq!(deleted.log_start, Offset::new(25));
    assert!(deleted.segments > 0);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(25..50));
    let below = log.read(Offset::new(24), FetchLimit::bytes(1)).unwrap_err();
    assert_eq!(below.kind(), ErrorKind::OffsetOutOfRange);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(25..50));
    log.delete_records(..Offset::new(50)).unwrap();
    assert_eq!(log.segments().len(), 1);
    assert_eq!(values(&log, ReadUpTo::Written), []);
    fill(&log, 50..52);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(50..52));
}

/// RET-08. That the log end is a limit was shown, and the mark below it was not: what no majority has could be deleted.
#[test]
fn records_above_the_high_watermark_cannot_be_deleted() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..10);
    log.hold_high_watermark().unwrap();
    log.set_high_watermark(Offset::new(4)).unwrap();
    let error = log.delete_records(..Offset::new(5)).unwrap_err();
    assert_eq!((error.kind(), log.log_start()), (ErrorKind::OffsetOutOfRange, Offset::ZERO));
    assert_eq!(log.delete_records(..Offset::new(4)).unwrap().log_start, Offset::new(4));
    assert_eq!(values(&log, ReadUpTo::Written), numbered(4..10));
}

#[test]
fn a_look_up_by_time_finds_the_first_record_at_or_after_it() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    for time in [1000, 3000, 2000, 5000, 4000] {
        log.append(&batch_at(time), AppendOrigin::Client).unwrap();
        log.roll().unwrap();
    }
    let ask = |time| {
        let found = log.offset_for_time(Timestamp::from_millis(time), ReadUpTo::Written).unwrap();
        found.map(|found| (found.offset.get(), found.timestamp.millis()))
    };
    assert_eq!(ask(0), Some((0, 1000)));
    assert_eq!(ask(1001), Some((1, 3000)));
    assert_eq!(ask(3001), Some((3, 5000)));
    assert_eq!(ask(5001), None);
    let max = log.offset_of_max_timestamp(ReadUpTo::Written).unwrap().unwrap();
    assert_eq!((max.offset.get(), max.timestamp.millis()), (3, 5000));
}

#[test]
fn read_committed_ends_at_the_last_stable_offset() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    let fetched = log.read(Offset::ZERO, FetchLimit::bytes(1000).isolation(Isolation::ReadCommitted)).unwrap();
    assert_eq!(fetched.next_offset, Offset::new(3));
    assert!(fetched.aborted.is_empty());
}

mod by_time;
mod damage;
mod derived;
mod failures;
mod forked;
mod full_disk;
mod gaps;
mod kafkas;
mod larger;
mod linked;
mod marks;
mod read_only;
mod recovery;
mod remapped;
mod transaction_model;
mod transactions;
