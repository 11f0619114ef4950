//! Cuts of the tail, and of the start.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use riverbed::{Clock, ErrorKind, FetchLimit, ManualClock, Offset, ReadUpTo, Timestamp};
use support::TestDir;
use support::partition::{append, bases, counted, fill, from_producer, open, open_at, range, stored, values};

const SMALL: [(&str, &str); 2] = [("segment.bytes", "500"), ("index.interval.bytes", "100")];

/// TRU-01.
#[test]
fn a_cut_at_the_log_end_or_above_changes_nothing() {
    let dir = TestDir::new("cut-nothing");
    let partition = open(&dir, &SMALL);
    fill(&partition, 30);
    for offset in [30, 31, 1_000] {
        assert_eq!(partition.truncate(Offset::new(offset)).unwrap().get(), 30);
    }
    assert_eq!(values(&partition, 0), counted(0, 30));
    partition.close().unwrap();
}

/// TRU-02, TRU-03, TRU-07, REC-17: at every offset, before and after reopening.
#[test]
fn a_cut_anywhere_leaves_what_is_before_it_and_takes_appends() {
    let dir = TestDir::new("cut-anywhere");
    for cut in (0..30).rev() {
        let partition = open(&dir, &SMALL);
        fill(&partition, 30);
        assert_eq!(partition.truncate(Offset::new(cut)).unwrap().get(), cut);
        assert_eq!(values(&partition, 0), counted(0, cut), "cut at {cut}");
        assert!(bases(&partition).iter().all(|base| *base <= cut));
        let error = partition.fetch(Offset::new(cut + 1), FetchLimit::bytes(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
        fill(&partition, cut + 3);
        assert_eq!(values(&partition, 0), counted(0, cut + 3), "behind a cut at {cut}");
        partition.close().unwrap();
        let partition = open(&dir, &SMALL);
        assert_eq!(values(&partition, 0), counted(0, cut + 3), "reopened after a cut at {cut}");
        assert_eq!(partition.recovery().cut_bytes, 0);
        partition.close().unwrap();
    }
}

/// TRU-05.
#[test]
fn the_marks_come_down_with_the_cut() {
    let dir = TestDir::new("cut-marks");
    let partition = open(&dir, &[("high.watermark", "durable")]);
    fill(&partition, 20);
    partition.sync().unwrap();
    partition.truncate(Offset::new(12)).unwrap();
    let (_, marks) = partition.offsets();
    assert_eq!([marks.end, marks.durable, marks.high, marks.last_stable].map(Offset::get), [12; 4]);
    let error = partition.truncate(Offset::new(0)).map(Offset::get);
    assert_eq!(error.unwrap(), 0);
    partition.close().unwrap();
}

/// TRU-08.
#[test]
fn a_cut_in_a_gap_removes_what_is_above_it() {
    let dir = TestDir::scratch("cut-gap");
    let partition = open(&dir, &[]);
    for base in [0, 10, 20] {
        partition.append_as_follower(&stored(base, 0, &[("x", 1)])).unwrap();
    }
    partition.truncate(Offset::new(15)).unwrap();
    let offsets: Vec<_> = values(&partition, 0).iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 10]);
    partition.close().unwrap();
}

/// TRU-10, IDM-16, SNP-07: what is cut is forgotten, what is left is known.
#[test]
fn producers_are_as_if_the_cut_part_had_never_been() {
    let dir = TestDir::new("cut-producers");
    let partition = open(&dir, &[]);
    for n in 0..6 {
        partition.append(&from_producer(1, 0, n, &[("x", 1)])).unwrap();
        if n == 2 {
            partition.roll().unwrap();
        }
    }
    partition.close().unwrap();
    let snapshot = |offset: u64| dir.join(format!("orders-0/{offset:020}.snapshot")).exists();
    assert_eq!([3, 6].map(snapshot), [true, true]);
    let partition = open(&dir, &[]);
    partition.truncate(Offset::new(4)).unwrap();
    assert_eq!([3, 6].map(snapshot), [true, false]);
    let again = partition.append(&from_producer(1, 0, 3, &[("x", 1)])).unwrap();
    assert_eq!((range(&again), again.duplicate), ((3, 3), true));
    let gap = partition.append(&from_producer(1, 0, 5, &[("x", 1)])).unwrap_err();
    assert_eq!(gap.kind(), ErrorKind::OutOfOrderSequence);
    let next = partition.append(&from_producer(1, 0, 4, &[("x", 1)])).unwrap();
    assert_eq!((range(&next), next.duplicate), ((4, 4), false));
    partition.close().unwrap();
}

/// TRU-04: what a follower does whose leader no longer has what would come next.
#[test]
fn a_log_starts_anew_where_it_is_told_to() {
    let dir = TestDir::new("start-anew");
    let partition = open(&dir, &SMALL);
    for start in [100, 40, 40] {
        fill(&partition, partition.offsets().1.end.get() + 20);
        partition.reset_to(Offset::new(start)).unwrap();
        let (log_start, marks) = partition.offsets();
        let all = [log_start, marks.last_stable, marks.high, marks.durable, marks.end].map(Offset::get);
        assert_eq!(all, [start; 5]);
        assert_eq!(bases(&partition), [start]);
        for offset in [start - 1, start + 1] {
            let error = partition.fetch(Offset::new(offset), FetchLimit::bytes(100)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
        }
        partition.append_as_follower(&stored(start, 1, &[("x", 1)])).unwrap();
    }
    partition.close().unwrap();
    let partition = open(&dir, &SMALL);
    assert_eq!(partition.offsets().0.get(), 40);
    assert_eq!(values(&partition, 40), [(40, "x".to_string())]);
    partition.close().unwrap();
}

/// TRU-09: without times a segment's age is that of the clock, since the cut that emptied it.
#[test]
fn a_cut_to_nothing_starts_the_age_anew() {
    let dir = TestDir::new("cut-age");
    let hands = ManualClock::at(Timestamp::from_millis(1_000_000));
    let clock: Arc<dyn Clock> = Arc::new(hands.clone());
    let partition = open_at(&dir, &[("segment.ms", "1000")], &clock);
    append(&partition, "v0", -1);
    hands.advance(Duration::from_millis(900));
    partition.truncate(Offset::ZERO).unwrap();
    append(&partition, "v0", -1);
    hands.advance(Duration::from_millis(900));
    append(&partition, "v1", -1);
    assert_eq!(bases(&partition), [0], "1800 ms since the log began, 900 since the cut");
    hands.advance(Duration::from_millis(101));
    append(&partition, "v2", -1);
    assert_eq!(bases(&partition), [0, 2]);
    partition.close().unwrap();
}

/// TRU-12, EPO-12.
#[test]
fn epochs_that_began_behind_the_cut_are_gone() {
    let dir = TestDir::new("cut-epochs");
    let partition = open(&dir, &[]);
    for (base, epoch) in [(0, 1), (1, 1), (2, 4), (3, 6)] {
        partition.append_as_follower(&stored(base, epoch, &[("x", 1)])).unwrap();
    }
    partition.truncate(Offset::new(3)).unwrap();
    fill(&partition, 4);
    partition.close().unwrap();
    let file = std::fs::read_to_string(dir.join("orders-0/leader-epoch-checkpoint")).unwrap();
    assert_eq!(file, "0\n2\n1 0\n4 2\n");
}

/// TRU-13, REC-34.
#[test]
fn the_greatest_time_comes_down_with_the_cut() {
    let dir = TestDir::new("cut-time");
    let partition = open(&dir, &[]);
    fill(&partition, 20);
    partition.truncate(Offset::new(11)).unwrap();
    for reopened in [false, true] {
        let partition = if reopened { open(&dir, &[]) } else { partition.clone() };
        let greatest = partition.log().offset_of_max_timestamp(ReadUpTo::Written).unwrap().unwrap();
        assert_eq!((greatest.offset.get(), greatest.timestamp.millis()), (10, 100));
        let none = partition.offset_for_time(Timestamp::from_millis(101), ReadUpTo::Written).unwrap();
        assert_eq!(none, None);
        partition.close().unwrap();
    }
}

/// SNP-08, REC-31: whole segments go, the log start moves, producers with data above it are still known.
#[test]
fn deleting_the_start_moves_the_log_start_and_frees_segments() {
    let dir = TestDir::new("delete-start");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let partition = open_at(&dir, &SMALL, &clock);
    partition.append(&from_producer(5, 0, 0, &[("v0", 0)])).unwrap();
    fill(&partition, 20);
    partition.append(&from_producer(5, 0, 1, &[("v20", 200)])).unwrap();
    fill(&partition, 40);
    let before = bases(&partition);
    let start = before[2] + 1;
    partition.delete_records(..Offset::new(start)).unwrap();
    for reopened in [false, true] {
        let partition = if reopened { open_at(&dir, &SMALL, &clock) } else { partition.clone() };
        assert_eq!(partition.offsets().0.get(), start);
        assert_eq!(bases(&partition), before[2..]);
        assert_eq!(values(&partition, start), counted(start, 40));
        let below = partition.fetch(Offset::new(start - 1), FetchLimit::bytes(100)).unwrap_err();
        assert_eq!(below.kind(), ErrorKind::OffsetOutOfRange);
        let repeat = partition.append(&from_producer(5, 0, 1, &[("v20", 200)])).unwrap();
        assert_eq!((range(&repeat), repeat.duplicate), ((20, 20), true), "reopened: {reopened}");
        partition.close().unwrap();
    }
    let names = std::fs::read_dir(dir.join("orders-0")).unwrap().map(|entry| entry.unwrap().file_name());
    let old = names
        .filter(|name| name.to_str().unwrap().starts_with('0'))
        .filter(|name| name.to_str().unwrap() < format!("{:020}", before[2]).as_str())
        .count();
    assert_eq!(old, 0, "no file of a deleted segment is left");
}
