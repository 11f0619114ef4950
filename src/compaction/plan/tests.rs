//! Tables of logs and of what can be cleaned of them. Names begin with the numbers of `tests/kafka-behaviours.md`.

#![allow(clippy::single_range_in_vec_init, reason = "lists of groups, which are ranges")]

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LIMITS: Limits = Limits { lag_min: 0, lag_max: i64::MAX, ratio_min: 0.5 };

/// Segments at 0, 10, 20 … of 100 bytes each, the last one active. Record 0 has time 500,000, and each is 1,000 younger.
fn log(segments: u64) -> LogFacts {
    let segment = |n: u64| SegmentFacts {
        base: Offset::new(n * 10),
        bytes: 100,
        first_timestamp: time(n * 10),
        largest_timestamp: time(n * 10 + 9),
    };
    let end = Offset::new(segments * 10);
    LogFacts {
        segments: (0..segments).map(segment).collect(),
        log_start: Offset::ZERO,
        log_end: end,
        last_stable: end,
        cleaned_to: None,
    }
}

fn time(offset: u64) -> Timestamp {
    Timestamp::from_millis(500_000 + 1_000 * i64::try_from(offset).unwrap())
}

fn cleaned_to(segments: u64, to: u64) -> LogFacts {
    LogFacts { cleaned_to: Some(Offset::new(to)), ..log(segments) }
}

/// First dirty and first uncleanable offset, clean and cleanable bytes.
fn parts(log: &LogFacts, limits: &Limits) -> (u64, u64, u64, u64) {
    let found = Cleanable::of(log, limits, NOW);
    (found.first_dirty.get(), found.first_uncleanable.get(), found.clean_bytes, found.cleanable_bytes)
}

#[test]
fn clm_07_the_active_segment_and_what_lies_behind_the_stable_offset_stay() {
    assert_eq!(parts(&log(5), &LIMITS), (0, 40, 0, 400));
    assert_eq!(parts(&cleaned_to(5, 20), &LIMITS), (20, 40, 200, 200));
    assert_eq!(parts(&cleaned_to(5, 40), &LIMITS), (40, 40, 400, 0));
    let stable = |at| LogFacts { last_stable: Offset::new(at), ..log(5) };
    assert_eq!(parts(&stable(30), &LIMITS), (0, 30, 0, 300));
    assert_eq!(parts(&stable(29), &LIMITS), (0, 20, 0, 200));
    assert_eq!(parts(&stable(9), &LIMITS), (0, 0, 0, 0));
    assert_eq!(parts(&LogFacts { last_stable: Offset::new(15), ..cleaned_to(5, 20) }, &LIMITS), (20, 20, 200, 0));
    assert_eq!(parts(&log(1), &LIMITS), (0, 0, 0, 0));
    let none = LogFacts { segments: Vec::new(), ..log(0) };
    assert_eq!(parts(&none, &LIMITS), (0, 0, 0, 0));
}

#[test]
fn clm_07_records_younger_than_the_lag_stay() {
    let lag = |lag_min| Limits { lag_min, ..LIMITS };
    // The youngest record of segment 10 is 481,000 old, that of segment 20 471,000.
    assert_eq!(parts(&log(5), &lag(1)), (0, 40, 0, 400));
    assert_eq!(parts(&log(5), &lag(471_000)), (0, 30, 0, 300));
    assert_eq!(parts(&log(5), &lag(471_001)), (0, 20, 0, 200));
    assert_eq!(parts(&log(5), &lag(i64::MAX)), (0, 0, 0, 0));
    // What is clean already is not asked for its age.
    assert_eq!(parts(&cleaned_to(5, 20), &lag(i64::MAX)), (20, 20, 200, 0));
    let early = Cleanable::of(&log(5), &lag(600_000), Timestamp::from_millis(0));
    assert_eq!(early.cleanable_bytes, 0);
}

#[test]
fn clm_03_a_checkpoint_outside_of_the_log_counts_for_nothing() {
    assert_eq!(parts(&cleaned_to(5, 51), &LIMITS), (0, 40, 0, 400));
    let deleted = LogFacts { log_start: Offset::new(15), ..cleaned_to(5, 10) };
    assert_eq!(parts(&deleted, &LIMITS), (15, 40, 200, 300), "whole segments count");
}

#[test]
fn clm_04_nothing_is_cleanable_from_the_active_segment_on() {
    assert_eq!(parts(&cleaned_to(5, 45), &LIMITS), (45, 40, 400, 0));
    let deleted = LogFacts { log_start: Offset::new(47), ..log(5) };
    assert_eq!(parts(&deleted, &LIMITS), (47, 40, 400, 0));
}

/// After a map that was too small the first dirty offset lies inside a segment, which counts as both.
#[test]
fn a_segment_half_clean_counts_as_clean_and_as_cleanable() {
    assert_eq!(parts(&cleaned_to(5, 25), &LIMITS), (25, 40, 300, 200));
    assert_eq!(Cleanable::of(&cleaned_to(5, 25), &LIMITS, NOW).dirty_ratio(), 0.4);
}

#[test]
fn clm_05_the_ratio_must_be_exceeded_but_for_what_has_waited_too_long() {
    let due = |to, limits: Limits| Cleanable::of(&cleaned_to(5, to), &limits, NOW).is_due(&limits);
    assert!(due(10, LIMITS), "300 of 400 are dirty");
    assert!(!due(20, LIMITS), "200 of 400");
    assert!(due(20, Limits { ratio_min: 0.49, ..LIMITS }));
    // The first record that is dirty is 480,000 old.
    assert!(due(20, Limits { lag_max: 479_999, ..LIMITS }));
    assert!(!due(20, Limits { lag_max: 480_000, ..LIMITS }));
    assert!(!due(40, Limits { lag_max: 1, ratio_min: 0.0, ..LIMITS }), "there is nothing to clean");
    let timeless = |n: u64| SegmentFacts {
        first_timestamp: Timestamp::NONE,
        largest_timestamp: Timestamp::NONE,
        ..log(5).segments[usize::try_from(n).unwrap()]
    };
    let timeless = LogFacts { segments: (0..5).map(timeless).collect(), ..cleaned_to(5, 20) };
    assert!(!Cleanable::of(&timeless, &Limits { lag_max: 1, ..LIMITS }, NOW).overdue);
}

#[test]
fn clm_01_the_filthiest_log_that_is_due_comes_first() {
    let with = |name, to, limits: Limits| (name, Cleanable::of(&cleaned_to(5, to), &limits, NOW), limits);
    let eager = Limits { ratio_min: 0.1, ..LIMITS };
    let choice = |logs: &[(&'static str, Cleanable, Limits)]| filthiest_first(logs.iter().copied());
    assert_eq!(choice(&[with("a", 30, eager), with("b", 10, eager), with("c", 20, eager)]), ["b", "c", "a"]);
    assert_eq!(choice(&[with("a", 30, LIMITS), with("b", 20, eager)]), ["b"], "a is not due");
    let overdue = Limits { lag_max: 1, ..LIMITS };
    assert_eq!(choice(&[with("a", 30, overdue), with("b", 20, LIMITS)]), ["a"], "a is overdue");
    assert_eq!(choice(&[with("a", 30, overdue), with("b", 10, LIMITS)]), ["b", "a"], "overdue is no rank");
    assert_eq!(choice(&[with("a", 40, overdue)]), [""; 0]);
    assert_eq!(choice(&[]), [""; 0]);
}

fn source(base: u64, bytes: u64) -> SourceFacts {
    SourceFacts { base: Offset::new(base), bytes, offset_index_bytes: 8, time_index_bytes: 12 }
}

#[test]
fn cln_26_neighbours_become_one_segment_as_long_as_they_fit() {
    let sources: Vec<SourceFacts> = (0..5).map(|n| source(n * 10, 100)).collect();
    let grouped =
        |segment_bytes, index_bytes| groups(&sources, Offset::new(50), &GroupLimits { segment_bytes, index_bytes });
    assert_eq!(grouped(1_000, 1_000), [0..5]);
    assert_eq!(grouped(99, 1_000), [0..1, 1..2, 2..3, 3..4, 4..5], "one that is too large stands alone");
    assert_eq!(grouped(200, 1_000), [0..2, 2..4, 4..5]);
    assert_eq!(grouped(1_000, 36), [0..3, 3..5], "by the time index");
    assert_eq!(grouped(1_000, 11), [0..1, 1..2, 2..3, 3..4, 4..5]);
    let wide: Vec<SourceFacts> =
        sources.iter().map(|source| SourceFacts { offset_index_bytes: 20, ..*source }).collect();
    let limits = GroupLimits { segment_bytes: 1_000, index_bytes: 40 };
    assert_eq!(groups(&wide, Offset::new(50), &limits), [0..2, 2..4, 4..5], "by the offset index");
    assert_eq!(groups(&[], Offset::ZERO, &limits), []);
}

#[test]
fn cln_27_no_group_spans_more_offsets_than_an_index_can_tell() {
    const FAR: u64 = RELATIVE_OFFSET_MAX;
    let limits = GroupLimits { segment_bytes: 1_000, index_bytes: 1_000 };
    let grouped = |sources: &[SourceFacts], end| groups(sources, Offset::new(end), &limits);
    assert_eq!(grouped(&[source(0, 1), source(5, 1)], FAR + 1), [0..2]);
    assert_eq!(grouped(&[source(0, 1), source(5, 1)], FAR + 2), [0..1, 1..2]);
    assert_eq!(grouped(&[source(7, 1), source(9, 1)], FAR + 8), [0..2], "the distance counts, not the offset");
    assert_eq!(grouped(&[source(0, 1), source(5, 1), source(FAR + 1, 1)], FAR + 9), [0..2, 2..3]);
    assert_eq!(grouped(&[source(0, 0), source(FAR, 0), source(3 * FAR, 0)], 4 * FAR), [0..3], "empty ones do merge");
    assert_eq!(grouped(&[source(0, 0), source(3 * FAR, 1)], 4 * FAR), [0..1, 1..2]);
}
