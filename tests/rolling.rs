//! When a segment ends and the next begins.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use riverbed::{Clock, ErrorKind, ManualClock, Offset, Record, Timestamp};
use support::TestDir;
use support::partition::{append, bases, batch, counted, fill, open, open_at, stored, values};

fn clock() -> (ManualClock, Arc<dyn Clock>) {
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    (clock.clone(), Arc::new(clock))
}

/// ROLL-01: a batch goes where it fits whole.
#[test]
fn a_batch_that_does_not_fit_starts_a_segment() {
    let dir = TestDir::new("size");
    let size = batch(&[("v0", 0)]).len();
    let partition = open(&dir, &[("segment.bytes", &(3 * size).to_string())]);
    fill(&partition, 9);
    assert_eq!(bases(&partition), [0, 3, 6]);
    append(&partition, "longer than the others", 100);
    assert_eq!(bases(&partition), [0, 3, 6, 9]);
    partition.close().unwrap();
}

/// ROLL-02, ROLL-05: without times the clock counts, from the first append on.
#[test]
fn without_times_the_clock_rolls() {
    let dir = TestDir::new("clock");
    let (hands, clock) = clock();
    let partition = open_at(&dir, &[("segment.ms", "1000")], &clock);
    hands.advance(Duration::from_millis(5_000));
    append(&partition, "v0", -1);
    assert_eq!(bases(&partition), [0], "an empty segment never rolls");
    append(&partition, "v1", -1);
    hands.advance(Duration::from_millis(1_001));
    append(&partition, "v2", -1);
    assert_eq!(*bases(&partition).last().unwrap(), 2);
    partition.close().unwrap();
}

/// ROLL-03, ROLL-04, ROLL-19: with times the records' own count, whatever the clock, also after reopening.
#[test]
fn with_times_the_records_roll() {
    let dir = TestDir::new("record-time");
    let (hands, clock) = clock();
    let settings = [("segment.ms", "1000"), ("message.timestamp.before.max.ms", "9223372036854775807")];
    let partition = open_at(&dir, &settings, &clock);
    append(&partition, "v0", 500_000);
    hands.advance(Duration::from_millis(50_000));
    append(&partition, "v1", 501_000);
    append(&partition, "v2", 7);
    assert_eq!(bases(&partition), [0]);
    partition.close().unwrap();
    let partition = open_at(&dir, &settings, &clock);
    append(&partition, "v3", 500_999);
    assert_eq!(bases(&partition), [0]);
    append(&partition, "v4", 501_001);
    assert_eq!(bases(&partition), [0, 4]);
    partition.close().unwrap();
}

/// ROLL-06.
#[test]
fn jitter_brings_a_roll_forward_by_less_than_itself() {
    let dir = TestDir::new("jitter");
    let (_, clock) = clock();
    let settings = [("segment.ms", "1000"), ("segment.jitter.ms", "400")];
    let partition = open_at(&dir, &settings, &clock);
    for n in 0..30 {
        let base = append(&partition, "first", 900_000 + n * 10_000);
        append(&partition, "before all jitter", 900_000 + n * 10_000 + 600);
        assert_eq!(*bases(&partition).last().unwrap(), base, "round {n}");
        append(&partition, "behind all jitter", 900_000 + n * 10_000 + 1_001);
        assert_eq!(*bases(&partition).last().unwrap(), base + 2, "round {n}");
    }
    partition.close().unwrap();
}

/// ROLL-07, OIX-04.
#[test]
fn a_full_index_rolls() {
    let dir = TestDir::new("full-index");
    let partition = open(&dir, &[("index.interval.bytes", "1"), ("segment.index.bytes", "120")]);
    fill(&partition, 40);
    let bases = bases(&partition);
    assert!(bases.len() > 3, "{bases:?}");
    partition.close().unwrap();
    for base in bases {
        let index = dir.join(format!("orders-0/{base:020}.index"));
        assert!(std::fs::metadata(index).unwrap().len() <= 120);
    }
}

/// ROLL-10, ROLL-11, ROLL-12, ROLL-18.
#[test]
fn a_roll_by_hand_starts_at_the_log_end_and_only_once() {
    let dir = TestDir::new("by-hand");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    assert_eq!(partition.roll().unwrap(), Offset::new(3));
    assert_eq!(partition.roll().unwrap(), Offset::new(3));
    assert_eq!(bases(&partition), [0, 3]);
    assert_eq!(partition.offsets().1.end, Offset::new(3));
    fill(&partition, 5);
    assert_eq!(values(&partition, 0), counted(0, 5));
    partition.close().unwrap();
    let partition = open(&dir, &[]);
    assert_eq!(bases(&partition), [0, 3]);
    fill(&partition, 6);
    assert_eq!(values(&partition, 2), counted(2, 6));
    partition.close().unwrap();
}

/// ROLL-08: what a crash between creating and using a segment left.
#[test]
fn a_roll_replaces_a_stale_empty_file() {
    let dir = TestDir::new("stale");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    std::fs::write(dir.join("orders-0/00000000000000000003.log"), b"").unwrap();
    assert_eq!(partition.roll().unwrap(), Offset::new(3));
    fill(&partition, 6);
    assert_eq!(values(&partition, 0), counted(0, 6));
    partition.close().unwrap();
}

/// ROLL-08: a file with a batch in it was removed without a word.
#[test]
fn a_roll_onto_a_file_that_holds_something_fails() {
    let dir = TestDir::scratch("somebodys");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    let path = dir.join("orders-0/00000000000000000003.log");
    let bytes = stored(3, 0, &[("somebody's", 1)]);
    std::fs::write(&path, &bytes).unwrap();
    let error = partition.roll().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(error.corruption().unwrap().path.as_deref(), Some(path.as_path()));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    // An opening would take the file for where the segment ends: nothing is appended until it is gone.
    let error = partition.append_record(&Record::new().value("refused")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(values(&partition, 0), counted(0, 3));
    std::fs::rename(&path, dir.join("somebodys.log")).unwrap();
    fill(&partition, 5);
    assert_eq!(values(&partition, 0), counted(0, 5), "the segment goes on");
    assert_eq!(partition.roll().unwrap(), Offset::new(5));
    partition.close().unwrap();
}

/// ROLL-13, ROLL-17: the active segment stays, and files that somebody else removed are not missed.
#[test]
fn all_segments_but_the_active_one_can_go() {
    let dir = TestDir::new("all-but-active");
    let partition = open(&dir, &[]);
    for end in [3, 6, 9] {
        fill(&partition, end);
        partition.roll().unwrap();
    }
    fill(&partition, 12);
    partition.sync().unwrap();
    for gone in ["00000000000000000000.index", "00000000000000000003.log", "00000000000000000006.snapshot"] {
        std::fs::remove_file(dir.join("orders-0").join(gone)).unwrap();
    }
    let deleted = partition.delete_records(..Offset::new(11)).unwrap();
    assert_eq!((deleted.segments, deleted.log_start), (3, Offset::new(11)));
    assert_eq!(bases(&partition), [9]);
    partition.delete_records(..Offset::new(12)).unwrap();
    assert_eq!(bases(&partition), [12], "wholly due, it is rolled first");
    partition.delete_records(..Offset::new(12)).unwrap();
    assert_eq!(bases(&partition), [12], "and an empty one stays");
    fill(&partition, 13);
    partition.close().unwrap();
}

/// ROLL-14, ROLL-15.
#[test]
fn offsets_too_far_from_the_base_start_a_segment() {
    let dir = TestDir::scratch("far");
    let partition = open(&dir, &[]);
    let far = (1 << 31) + 5;
    for base in [0, (1 << 31) - 1, far] {
        partition.append_as_follower(&stored(base, 0, &[("x", 1)])).unwrap();
    }
    assert_eq!(bases(&partition), [0, far]);
    assert_eq!(values(&partition, 1).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [(1 << 31) - 1, far]);
    partition.close().unwrap();
}

/// ROLL-23.
#[test]
fn room_allocated_ahead_does_not_show_and_is_trimmed_at_close() {
    let dir = TestDir::new("trimmed");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    let size = batch(&[("v0", 0)]).len() as u64 * 3;
    assert_eq!(partition.segments()[0].size(), size);
    partition.close().unwrap();
    let path = dir.join("orders-0/00000000000000000000.log");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
    let partition = open(&dir, &[]);
    fill(&partition, 4);
    assert_eq!(values(&partition, 0), counted(0, 4));
    partition.close().unwrap();
}
