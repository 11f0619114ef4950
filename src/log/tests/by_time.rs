//! Look-ups by time where records were lost: what they had to pass over is told.

use super::damage::{directory, log_name};
use super::*;
use crate::log::checkpoint::{self, Checkpoint, RecoveryPoint};
use crate::segment::walk::{Next, next_at};

/// How the sixth and seventh of 20 batches are lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Zeros,
    Length,
    BaseOffset,
    /// All that follows, too.
    End,
}

const LOSSES: [Loss; 4] = [Loss::Zeros, Loss::Length, Loss::BaseOffset, Loss::End];

fn settings(mode: OpenMode, last_close: LastClose, interval: u32) -> LogOptions {
    let mut options = LogOptions { mode, ..options(last_close, 10_000) };
    Arc::make_mut(&mut options.config).set("index.interval.bytes", &interval.to_string()).unwrap();
    options
}

fn open_as(disk: &SimDisk, mode: OpenMode, last_close: LastClose, interval: u32) -> Log {
    Log::open(directory(disk), &settings(mode, last_close, interval)).unwrap()
}

/// A log of 20 records, one every 10 ms, but for the sixth and seventh, which have the largest timestamps. All of it is
/// synced, and the process killed.
fn killed(disk: &SimDisk, interval: u32) {
    disk.root().create_subdirectory("a-0").unwrap();
    disk.root().sync().unwrap();
    let log = open_as(disk, OpenMode::Write, UNCLEAN, interval);
    for number in 0..20 {
        let time = if [5, 6].contains(&number) { 5000 + number } else { 10 * number };
        log.append(&batch_at(time), AppendOrigin::Client).unwrap();
    }
    log.sync().unwrap();
    assert_eq!(log.segments().len(), 1);
    let recovery_point =
        RecoveryPoint { offset: Offset::new(20), base: Offset::ZERO, position: log.segments()[0].size() };
    log.shut();
    Checkpoint { recovery_point, ..Checkpoint::default() }.write(directory(disk).as_ref()).unwrap();
}

/// Where the batches begin, and where the last one ends.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Next::Batch(header) = next_at(bytes, starts[starts.len() - 1]) {
        starts.push(starts[starts.len() - 1] + header.size());
    }
    assert_eq!(starts.len(), 21);
    starts
}

fn lose(disk: &SimDisk, loss: Loss) {
    let name = log_name(Offset::ZERO);
    let mut bytes = directory(disk).read(&name, 1 << 20).unwrap();
    let starts = starts(&bytes);
    match loss {
        Loss::Zeros => bytes[starts[5]..starts[7]].fill(0),
        Loss::Length => bytes[starts[5] + 8..starts[5] + 12].fill(0xff),
        Loss::BaseOffset => bytes[starts[5] + 6] = 1,
        Loss::End => bytes.truncate(starts[5]),
    }
    directory(disk).put(&name, &bytes).unwrap();
}

fn ask(log: &Log, time: i64) -> Result<Option<u64>> {
    let found = log.offset_for_time(Timestamp::from_millis(time), ReadUpTo::Written)?;
    Ok(found.map(|found| found.offset.get()))
}

fn told<T: std::fmt::Debug>(answer: Result<T>, context: &str) {
    let error = answer.expect_err(context);
    assert_eq!(error.kind(), ErrorKind::Corruption, "{context}: {error:?}");
}

/// What is asked of a log that lost its sixth and seventh batch.
fn check(log: &Log, context: &str) {
    for time in 0..=40 {
        assert_eq!(ask(log, time).unwrap(), Some(time.cast_unsigned().div_ceil(10)), "{context}: {time}");
    }
    for time in [41, 70, 195, 5000, 5006, 6000] {
        told(ask(log, time), &format!("{context}: {time}"));
    }
    told(log.offset_of_max_timestamp(ReadUpTo::Written), context);
}

/// A log that was opened after the loss searched an index without the lost records. It answered a record behind them, or
/// that there is none, as if nothing were missing.
#[test]
fn what_opening_found_lost_is_told_to_look_ups_by_time() {
    for (loss, interval) in LOSSES.into_iter().flat_map(|loss| [(loss, 100), (loss, 4096)]) {
        let disk = SimDisk::new();
        killed(&disk, interval);
        lose(&disk, loss);
        let context = format!("{loss:?}, interval {interval}");
        check(&open_as(&disk, OpenMode::ReadOnly, UNCLEAN, interval), &format!("{context}, read-only"));
        let log = open_as(&disk, OpenMode::Write, UNCLEAN, interval);
        check(&log, &format!("{context}, the writer"));
        let beside = open_as(&disk, OpenMode::ReadOnly, UNCLEAN, interval);
        check(&beside, &format!("{context}, read-only beside the writer"));
        let ends = log.close().unwrap().unwrap();
        for mode in [OpenMode::ReadOnly, OpenMode::Write] {
            let log = open_as(&disk, mode, LastClose::Clean(ends), interval);
            check(&log, &format!("{context}, closed, {mode:?}"));
        }
    }
}

/// The index of a reader from before the loss knows of what is lost, and what it knows is believed.
#[test]
fn what_is_lost_while_a_log_is_open_read_only_is_told_to_look_ups_by_time() {
    for interval in [100, 4096] {
        let disk = SimDisk::new();
        killed(&disk, interval);
        let reader = open_as(&disk, OpenMode::ReadOnly, UNCLEAN, interval);
        lose(&disk, Loss::Zeros);
        assert_eq!(ask(&reader, 40).unwrap(), Some(4));
        assert_eq!(ask(&reader, 6000).unwrap(), None);
        told(ask(&reader, 195), "behind the loss");
        told(ask(&reader, 5006), "lost");
        told(reader.offset_of_max_timestamp(ReadUpTo::Written), "lost");
        let cut = Checkpoint { cuts: 1, ..Checkpoint::default() };
        cut.write(directory(&disk).as_ref()).unwrap();
        assert_eq!(ask(&reader, 195).unwrap(), None, "a writer may have cut it");
    }
}

/// A sealed segment whose indexes are from before the loss, and are made anew when one of them is found to lie.
#[test]
fn an_index_that_is_made_anew_does_not_forget_what_was_lost() {
    for loss in LOSSES {
        let disk = SimDisk::new();
        killed(&disk, 100);
        let ends = open_as(&disk, OpenMode::Write, UNCLEAN, 100).close().unwrap().unwrap();
        lose(&disk, loss);
        let last_len = directory(&disk).read(&log_name(Offset::ZERO), 1 << 20).unwrap().len() as u64;
        let log = open_as(&disk, OpenMode::ReadOnly, LastClose::Clean(Ends { last_len, ..ends }), 100);
        for _ in 0..2 {
            assert_eq!(ask(&log, 40).unwrap(), Some(4), "{loss:?}");
            told(ask(&log, 195), &format!("{loss:?}"));
            told(ask(&log, 5005), &format!("{loss:?}"));
            log.segments()[0].rebuild_indexes().unwrap();
        }
    }
}

/// Kafka's own directory has no checkpoint of ours, which was taken for a cut: what Kafka had synced was passed over in
/// silence, and zeros in front of it ended the log.
#[test]
fn damage_below_kafkas_recovery_point_is_told_read_only() {
    let kafkas = |synced| LastClose::Kafka {
        clean: false,
        recovery_point: Offset::new(synced),
        log_start: None,
        high_watermark: None,
        cleaned_to: None,
    };
    for loss in [Loss::Zeros, Loss::Length] {
        let disk = SimDisk::new();
        killed(&disk, 4096);
        directory(&disk).unlink(checkpoint::FILE).unwrap();
        let reader = open_as(&disk, OpenMode::ReadOnly, kafkas(20), 4096);
        lose(&disk, loss);
        let read = |log: &Log, offset| log.read(Offset::new(offset), FetchLimit::bytes(1).up_to(ReadUpTo::Written));
        for log in [reader, open_as(&disk, OpenMode::ReadOnly, kafkas(20), 4096)] {
            assert_eq!(log.end(ReadUpTo::Written), Offset::new(20), "{loss:?}");
            assert_eq!(read(&log, 4).unwrap().next_offset, Offset::new(5), "{loss:?}");
            told(read(&log, 5), &format!("{loss:?}"));
            told(ask(&log, 195), &format!("{loss:?}"));
            told(log.offset_of_max_timestamp(ReadUpTo::Written), &format!("{loss:?}"));
        }
        let log = open_as(&disk, OpenMode::ReadOnly, kafkas(5), 4096);
        assert_eq!(log.end(ReadUpTo::Written), Offset::new(5), "{loss:?}: nothing behind it was synced");
        assert_eq!(ask(&log, 195).unwrap(), None, "{loss:?}");
    }
}

/// What a crash of Kafka's tore stands behind the log end, and is neither read nor told.
#[test]
fn reads_of_kafkas_unclean_directory_end_in_front_of_a_torn_tail() {
    let disk = SimDisk::new();
    killed(&disk, 4096);
    directory(&disk).unlink(checkpoint::FILE).unwrap();
    let name = log_name(Offset::ZERO);
    let mut bytes = directory(&disk).read(&name, 1 << 20).unwrap();
    bytes.truncate(starts(&bytes)[20] - 10);
    directory(&disk).put(&name, &bytes).unwrap();
    let kafkas = LastClose::Kafka {
        clean: false,
        recovery_point: Offset::new(5),
        log_start: None,
        high_watermark: None,
        cleaned_to: None,
    };
    let log = open_as(&disk, OpenMode::ReadOnly, kafkas, 4096);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(19));
    assert_eq!(log.recovery().damage, []);
    let limit = FetchLimit::bytes(10_000).up_to(ReadUpTo::Written);
    assert_eq!(log.read(Offset::ZERO, limit).unwrap().next_offset, Offset::new(19));
    assert!(log.read(Offset::new(19), limit).unwrap().is_empty());
    assert_eq!(ask(&log, 175).unwrap(), Some(5), "the first at or after it");
    assert_eq!(ask(&log, 6000).unwrap(), None);
    assert_eq!(log.offset_of_max_timestamp(ReadUpTo::Written).unwrap().unwrap().offset, Offset::new(6));
    assert_eq!(directory(&disk).read(&name, 1 << 20).unwrap(), bytes);
}
