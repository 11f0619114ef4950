//! What is known of transactions and producers goes with the records that say so.

use super::*;
use crate::io::sim::{Call, Failure, Fault};
use crate::record::{EndMarker, TransactionResult};
use crate::segment::file_name::{FileKind, file_name};
use crate::types::{ProducerEpoch, ProducerId, Sequence};

const PRODUCER: ProducerId = ProducerId::new(7);
const EPOCH: ProducerEpoch = ProducerEpoch::new(0);

/// A record of producer 7's transaction.
pub(super) fn record(sequence: i32) -> RecordBatch<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    builder.producer(PRODUCER, EPOCH, Sequence::new(sequence)).transactional(true);
    let time = Timestamp::from_millis(1_000_000);
    builder.push(&Record::new().value("in a transaction").timestamp(time), time).unwrap();
    RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap()
}

/// The same with sequence 0, as a leader stored it at `offset`.
pub(super) fn stored(offset: u64) -> Vec<u8> {
    let mut bytes = record(0).bytes().to_vec();
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes[12..16].fill(0);
    bytes
}

/// Begins producer 7's transaction at the log end.
pub(super) fn begin_one(log: &Log) {
    append_of(log, 0);
}

fn append_of(log: &Log, sequence: i32) {
    log.append(&record(sequence), AppendOrigin::Client).unwrap();
}

fn end(log: &Log, result: TransactionResult) {
    try_end(log, result).unwrap();
}

fn try_end(log: &Log, result: TransactionResult) -> Result<Appended> {
    let timestamp = Timestamp::from_millis(1_000_000);
    let marker = EndMarker { result, producer_id: PRODUCER, producer_epoch: EPOCH, coordinator_epoch: 0, timestamp };
    log.append(&RecordBatch::parse(marker.encode().unwrap()).unwrap(), AppendOrigin::Coordinator)
}

/// A record of producer 7 at the log end, and the marker that aborts it.
pub(super) fn abort_one(log: &Log) {
    append_of(log, 0);
    end(log, TransactionResult::Abort);
}

/// The same behind it, as often as it takes: the record is a duplicate the second time.
pub(super) fn try_abort_another(log: &Log) -> Result<Appended> {
    append_of(log, 1);
    try_end(log, TransactionResult::Abort)
}

/// The producers of aborted transactions that a reader from the start is told of.
pub(super) fn aborted(log: &Log) -> Vec<i64> {
    let fetched = log.read(Offset::ZERO, FetchLimit::bytes(1000).isolation(Isolation::ReadCommitted)).unwrap();
    fetched.aborted.iter().map(|transaction| transaction.producer_id.get()).collect()
}

/// The abort is cut off, and the transaction commits instead. The transaction index on disk still tells of the abort,
/// and would hide what is committed.
#[test]
fn a_transaction_whose_abort_was_cut_off_can_commit() {
    for is_crash in [false, true] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        abort_one(&log);
        log.roll().unwrap();
        log.sync().unwrap();
        log.truncate(Offset::new(1)).unwrap();
        end(&log, TransactionResult::Commit);
        let last_close = if is_crash {
            log.sync().unwrap();
            log.shut();
            UNCLEAN
        } else {
            LastClose::Clean(log.close().unwrap().unwrap())
        };
        let log = open(&disk, last_close);
        assert_eq!(aborted(&log), [0; 0], "crash: {is_crash}");
    }
}

/// A segment is sealed and cut before it is synced. Its snapshot tells of producers behind the cut, and must never be
/// written: recovery would take the newest one that is not above the log end.
#[test]
fn a_snapshot_that_waits_to_be_written_does_not_outlive_a_cut() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.roll().unwrap();
    log.truncate(Offset::new(1)).unwrap();
    log.sync().unwrap();
    let names = disk.root().subdirectory("a-0").unwrap().list().unwrap();
    let snapshot = file_name(Offset::new(3), FileKind::Snapshot);
    assert!(names.iter().all(|entry| entry.name != snapshot), "{names:?}");
}

/// IDM-13: what was checked and could not be written has changed nothing.
#[test]
fn a_batch_for_which_there_was_no_room_can_come_again() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.roll().unwrap();
    disk.fail(Fault::next(Call::Reserve, Failure::Full).on(".log"));
    assert_eq!(log.append(&record(0), AppendOrigin::Client).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(log.last_stable_offset(), Offset::new(3), "no transaction has begun");
    let appended = log.append(&record(0), AppendOrigin::Client).unwrap();
    assert_eq!((*appended.offsets.start(), appended.duplicate), (Offset::new(3), false));
    assert_eq!(log.last_stable_offset(), Offset::new(3));
}

/// TXN-13: the marker is written, and what cannot be told to readers is not stable. The next opening makes it good.
#[test]
fn an_abort_whose_index_cannot_be_written_is_not_stable() {
    let disk = SimDisk::new();
    let directory = || disk.root().create_subdirectory("a-0").unwrap();
    let mut durable = options(UNCLEAN, 1000);
    let mut config = LogConfig::clone(&durable.config);
    config.set("high.watermark", "durable").unwrap();
    durable.config = Arc::new(config);
    let log = Log::open(directory(), &durable).unwrap();
    abort_one(&log);
    log.roll().unwrap();
    disk.fail(Fault::next(Call::Create, Failure::Device).on(".txnindex.tmp"));
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Io);
    let (_, marks) = log.offsets();
    assert_eq!((marks.end, marks.last_stable), (Offset::new(2), Offset::ZERO));
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::PreviousFailure);
    log.shut();
    let log = Log::open(directory(), &durable).unwrap();
    log.sync().unwrap();
    assert_eq!((log.last_stable_offset(), aborted(&log)), (Offset::new(2), vec![7]));
}

/// A snapshot told of an open transaction; its end, behind the snapshot, was deleted with its records. Whoever took the
/// snapshot up again, a cut or a recovery, took the transaction for open, and readers of committed records waited for ever.
#[test]
fn a_transaction_that_was_deleted_is_not_open_again() {
    for cuts in [false, true] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        begin_one(&log);
        let ends = log.close().unwrap().unwrap();
        let log = open(&disk, LastClose::Clean(ends));
        end(&log, TransactionResult::Abort);
        log.delete_records(..Offset::new(2)).unwrap();
        append(&log, &["x"]);
        let log = if cuts {
            log.truncate(Offset::new(2)).unwrap();
            log
        } else {
            log.shut();
            open(&disk, UNCLEAN)
        };
        append(&log, &["y"]);
        assert_eq!(log.last_stable_offset(), log.end(ReadUpTo::Written), "cut: {cuts}");
        append_of(&log, 0);
        assert!(log.last_stable_offset() < log.end(ReadUpTo::Written), "one that begins is open");
    }
}

/// A cut at a log start inside of a batch leaves nothing of the log. What a snapshot told of the producers before what
/// was deleted is no longer where they are: the next batch of one of them was refused as out of order.
#[test]
fn a_producer_whose_last_batches_were_deleted_goes_on() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    append_of(&log, 0);
    end(&log, TransactionResult::Commit);
    log.roll().unwrap();
    log.sync().unwrap();
    append_of(&log, 1);
    end(&log, TransactionResult::Commit);
    append(&log, &["x", "y", "z"]);
    log.delete_records(..Offset::new(5)).unwrap();
    assert_eq!(log.truncate(Offset::new(5)).unwrap(), Offset::new(5));
    append_of(&log, 2);
}
