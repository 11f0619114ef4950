//! When the active segment is rolled: decided before an append, from plain values.

use crate::types::{Offset, Timestamp};

/// The largest distance of an offset from its segment's base that indexes can store.
const RELATIVE_OFFSET_MAX: u64 = i32::MAX as u64;

/// The active segment, as far as rolling is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentAge {
    /// Its base offset.
    pub(crate) base: Offset,
    /// Its bytes.
    pub(crate) size: u64,
    /// The largest timestamp of its first batch, [`Timestamp::NONE`] if that has none.
    pub(crate) first_timestamp: Timestamp,
    /// When it was started, for segments without timestamps.
    pub(crate) created: Timestamp,
    /// Whether one of its indexes has no room for another entry.
    pub(crate) index_full: bool,
}

/// What is about to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Its bytes.
    pub(crate) size: u64,
    /// Its last offset.
    pub(crate) last_offset: Offset,
    /// Its largest timestamp.
    pub(crate) max_timestamp: Timestamp,
}

/// The limits that hold for the active segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RollLimits {
    /// `segment.bytes`.
    pub(crate) segment_bytes: u64,
    /// `segment.ms`, less the jitter drawn for this segment. On a compacted topic not above the compaction lag.
    pub(crate) segment_ms: i64,
}

/// Why a segment is rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RollReason {
    /// The append has no room in it.
    Size,
    /// It is old.
    Age,
    /// An index has no room for another entry.
    IndexFull,
    /// The offset is too far from its base.
    OffsetRange,
}

/// Whether the segment has to be rolled before `arrival` is appended, and why.
///
/// Its age is that of the records: a jump of their time rolls at once, and old ones that come late never do. Where the
/// first batch has no time, it is that of the clock. An empty segment is rolled only if its base is too far away: any
/// other reason would hold for the next one as well.
pub(crate) fn should_roll(
    segment: &SegmentAge,
    arrival: &Arrival,
    limits: &RollLimits,
    now: Timestamp,
) -> Option<RollReason> {
    let relative = arrival.last_offset.since(segment.base);
    if relative.is_none_or(|relative| relative > RELATIVE_OFFSET_MAX) {
        return Some(RollReason::OffsetRange);
    }
    if segment.size == 0 {
        return None;
    }
    if segment.size.saturating_add(arrival.size) > limits.segment_bytes {
        return Some(RollReason::Size);
    }
    if waited(segment, arrival.max_timestamp, now) > limits.segment_ms {
        return Some(RollReason::Age);
    }
    segment.index_full.then_some(RollReason::IndexFull)
}

fn waited(segment: &SegmentAge, arrival: Timestamp, now: Timestamp) -> i64 {
    let (from, to) =
        if segment.first_timestamp.is_some() { (segment.first_timestamp, arrival) } else { (segment.created, now) };
    to.millis().saturating_sub(from.millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(10_000);
    const LIMITS: RollLimits = RollLimits { segment_bytes: 1_000, segment_ms: 500 };
    const SEGMENT: SegmentAge = SegmentAge {
        base: Offset::new(100),
        size: 400,
        first_timestamp: Timestamp::from_millis(5_000),
        created: Timestamp::from_millis(9_000),
        index_full: false,
    };
    const ARRIVAL: Arrival =
        Arrival { size: 600, last_offset: Offset::new(120), max_timestamp: Timestamp::from_millis(5_500) };

    fn roll(segment: SegmentAge, arrival: Arrival) -> Option<RollReason> {
        should_roll(&segment, &arrival, &LIMITS, NOW)
    }

    #[test]
    fn a_segment_is_rolled_when_the_append_does_not_fit() {
        assert_eq!(roll(SEGMENT, ARRIVAL), None);
        assert_eq!(roll(SEGMENT, Arrival { size: 601, ..ARRIVAL }), Some(RollReason::Size));
        assert_eq!(roll(SegmentAge { size: 401, ..SEGMENT }, ARRIVAL), Some(RollReason::Size));
        assert_eq!(roll(SegmentAge { size: u64::MAX, ..SEGMENT }, ARRIVAL), Some(RollReason::Size));
    }

    #[test]
    fn its_age_is_that_of_the_records() {
        let at = |millis| Arrival { max_timestamp: Timestamp::from_millis(millis), ..ARRIVAL };
        for (time, expected) in
            [(5_501, Some(RollReason::Age)), (i64::MAX, Some(RollReason::Age)), (5_500, None), (0, None), (-1, None)]
        {
            assert_eq!(roll(SEGMENT, at(time)), expected, "{time}");
        }
    }

    #[test]
    fn its_age_is_that_of_the_clock_where_the_first_batch_has_no_time() {
        let timeless = SegmentAge { first_timestamp: Timestamp::NONE, ..SEGMENT };
        let created = |millis| SegmentAge { created: Timestamp::from_millis(millis), ..timeless };
        assert_eq!(roll(timeless, ARRIVAL), Some(RollReason::Age));
        assert_eq!(roll(created(9_500), ARRIVAL), None);
        assert_eq!(roll(created(9_499), ARRIVAL), Some(RollReason::Age));
        assert_eq!(roll(created(i64::MAX), ARRIVAL), None);
    }

    #[test]
    fn it_is_rolled_when_an_index_is_full_or_the_offset_too_far() {
        assert_eq!(roll(SegmentAge { index_full: true, ..SEGMENT }, ARRIVAL), Some(RollReason::IndexFull));
        let ends_at = |offset| Arrival { last_offset: Offset::new(offset), ..ARRIVAL };
        let last = 100 + (1 << 31) - 1;
        assert_eq!(roll(SEGMENT, ends_at(last)), None);
        assert_eq!(roll(SEGMENT, ends_at(last + 1)), Some(RollReason::OffsetRange));
        assert_eq!(roll(SEGMENT, ends_at(99)), Some(RollReason::OffsetRange));
    }

    #[test]
    fn an_empty_segment_is_rolled_only_for_its_base() {
        let empty = SegmentAge { size: 0, index_full: true, first_timestamp: Timestamp::NONE, ..SEGMENT };
        assert_eq!(roll(empty, Arrival { size: 5_000, ..ARRIVAL }), None);
        let far = Arrival { last_offset: Offset::MAX, ..ARRIVAL };
        assert_eq!(roll(empty, far), Some(RollReason::OffsetRange));
    }
}
