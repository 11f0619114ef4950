//! What readers in other processes are told of damage in files that a writer may be changing.

use super::damage::{directory, log_name};
use super::*;
use crate::log::checkpoint::{Checkpoint, RecoveryPoint};
use crate::segment::walk::{Next, next_at};

fn open_read_only(disk: &SimDisk) -> Log {
    Log::open(directory(disk), &LogOptions { mode: OpenMode::ReadOnly, ..options(UNCLEAN, 10_000) }).unwrap()
}

/// A log of 20 records in one segment that was killed. `is_synced`: all of them are below its recovery point, or none.
fn killed(disk: &SimDisk, is_synced: bool) {
    let directory = disk.root().create_subdirectory("a-0").unwrap();
    disk.root().sync().unwrap();
    let log = Log::open(directory, &options(UNCLEAN, 10_000)).unwrap();
    fill(&log, 0..20);
    log.sync().unwrap();
    assert_eq!(log.segments().len(), 1);
    let size = log.segments()[0].size();
    log.shut();
    if is_synced { state(disk, 20, size, 0) } else { state(disk, 0, 0, 0) }
}

/// Says in the checkpoint where the recovery point is, and how often the log was cut.
fn state(disk: &SimDisk, synced: u64, position: u64, cuts: u64) {
    let point = RecoveryPoint { offset: Offset::new(synced), base: Offset::ZERO, position };
    Checkpoint { recovery_point: point, cuts, ..Checkpoint::default() }.write(directory(disk).as_ref()).unwrap();
}

/// Fills the sixth and seventh batch with zeros. Answers where they began, and where the last one ends.
fn lose_two_batches(disk: &SimDisk) -> (u64, u64) {
    let name = log_name(Offset::ZERO);
    let mut bytes = directory(disk).read(&name, 1 << 20).unwrap();
    let (mut ends, mut end) = (Vec::new(), 0);
    while let Next::Batch(header) = next_at(&bytes, end) {
        end += header.size();
        ends.push(end);
    }
    assert_eq!(ends.len(), 20);
    bytes[ends[4]..ends[6]].fill(0);
    directory(disk).put(&name, &bytes).unwrap();
    (ends[4] as u64, end as u64)
}

fn told(log: &Log, offset: u64) -> String {
    let error = log.read(Offset::new(offset), FetchLimit::bytes(10_000).up_to(ReadUpTo::Written)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error:?}");
    error.to_string()
}

/// A page of zeros in the last segment of a log that was not closed. The writer told of it; a reader of another process
/// answered nothing, as if the log ended there, and `consume` printed the first records and reported success.
#[test]
fn zeros_below_the_recovery_point_are_told_to_a_read_only_log() {
    let disk = SimDisk::new();
    killed(&disk, true);
    let (position, _) = lose_two_batches(&disk);
    let reader = open_read_only(&disk);
    assert_eq!(reader.end(ReadUpTo::Written), Offset::new(20));
    let first = reader.read(Offset::ZERO, FetchLimit::bytes(10_000)).unwrap();
    assert_eq!(first.next_offset, Offset::new(5));
    let damage = reader.recovery().damage[0].to_string();
    assert!(damage.contains("zeros instead of a batch"), "{damage}");
    let by_reader: Vec<String> = (5..20).map(|offset| told(&reader, offset)).collect();
    assert!(by_reader[0].contains(&format!("byte {position}:")), "{}", by_reader[0]);
    let writer = open(&disk, UNCLEAN);
    let by_writer: Vec<String> = (5..20).map(|offset| told(&writer, offset)).collect();
    assert_eq!(by_reader, by_writer);
}

/// Above the recovery point a writer may have cut what is missing, so nothing is answered. That was the answer for ever:
/// a reader that looked again kept the recovery point that he had begun with.
#[test]
fn a_read_only_log_that_looks_again_decides_again_what_may_be_missing() {
    let disk = SimDisk::new();
    killed(&disk, false);
    let reader = open_read_only(&disk);
    let (_, end) = lose_two_batches(&disk);
    let fetch = |reader: &Log| reader.read(Offset::new(5), FetchLimit::bytes(10_000)).unwrap();
    assert!(fetch(&reader).is_empty());
    state(&disk, 20, end, 0);
    assert!(fetch(&reader).is_empty());
    reader.refresh(UNCLEAN).unwrap();
    told(&reader, 5);
}

/// A cut lowers the recovery point before it takes anything: what is missing then is missing by right, until the reader
/// looks again.
#[test]
fn what_a_writer_has_just_cut_is_no_damage_to_a_read_only_log() {
    let disk = SimDisk::new();
    killed(&disk, true);
    let reader = open_read_only(&disk);
    let (position, _) = lose_two_batches(&disk);
    told(&reader, 5);
    state(&disk, 5, position, 1);
    let fetched = reader.read(Offset::new(5), FetchLimit::bytes(10_000)).unwrap();
    assert_eq!((fetched.is_empty(), fetched.next_offset), (true, Offset::new(5)));
    reader.refresh(UNCLEAN).unwrap();
    assert_eq!(reader.end(ReadUpTo::Written), Offset::new(5));
}
