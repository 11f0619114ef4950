//! Which part of a log can be cleaned, whether it is worth it, and which segments become one: pure.
//!
//! ```text
//! log start      first dirty              first uncleanable
//!    |----- clean -----|------- cleanable --------|--- active, undecided, or too young ---|
//! ```
//!
//! Kafka's `LogCleanerManager` and `Cleaner.groupSegmentsBySize`.

use std::ops::Range;

use crate::types::{Offset, Timestamp};

/// The largest distance of an offset from its segment's base that indexes can store.
const RELATIVE_OFFSET_MAX: u64 = i32::MAX as u64;

/// A segment, as far as planning is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    /// Its base offset.
    pub(crate) base: Offset,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// The largest timestamp of its records, or none.
    pub(crate) largest_timestamp: Timestamp,
    /// The largest timestamp of its first batch, or none.
    pub(crate) first_timestamp: Timestamp,
}

/// A log, as far as planning is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFacts {
    /// By base offset, ascending; the last one is active.
    pub(crate) segments: Vec<SegmentFacts>,
    /// The first offset that may be read.
    pub(crate) log_start: Offset,
    /// The log end.
    pub(crate) log_end: Offset,
    /// The last stable offset.
    pub(crate) last_stable: Offset,
    /// Where the last cleaning ended; `None` if there was none.
    pub(crate) cleaned_to: Option<Offset>,
}

/// A topic's settings about what may be cleaned when. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// `min.compaction.lag.ms`: younger records are not cleaned.
    pub(crate) lag_min: i64,
    /// `max.compaction.lag.ms`: a log with older records that are dirty is cleaned whatever its ratio.
    pub(crate) lag_max: i64,
    /// `min.cleanable.dirty.ratio`.
    pub(crate) ratio_min: f64,
}

/// What of a log can be cleaned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleanable {
    /// Below it each key that was not written again behind it has one record, or none.
    pub first_dirty: Offset,
    /// From it on nothing is cleaned: the active segment, what a transaction keeps undecided, what is too young.
    pub first_uncleanable: Offset,
    /// Bytes of the segments that begin below the first dirty offset.
    pub clean_bytes: u64,
    /// Bytes of the segments between the two offsets.
    pub cleanable_bytes: u64,
    /// Dirty records are older than `max.compaction.lag.ms` allows.
    pub overdue: bool,
}

impl Cleanable {
    /// Of a log with these facts, by these limits, at `now`.
    pub(crate) fn of(log: &LogFacts, limits: &Limits, now: Timestamp) -> Self {
        let Some((active, sealed)) = log.segments.split_last() else { return Self::default() };
        let known = log.cleaned_to.filter(|to| (log.log_start..=log.log_end).contains(to));
        let first_dirty = known.unwrap_or(log.log_start);
        let holding_first = sealed.partition_point(|segment| segment.base <= first_dirty).saturating_sub(1);
        let dirty = if first_dirty < active.base { sealed.get(holding_first..).unwrap_or_default() } else { &[] };
        let too_young = |segment: &&SegmentFacts| {
            let newest = now.millis().saturating_sub(limits.lag_min);
            segment.largest_timestamp.millis() > newest
        };
        let young = dirty.iter().find(too_young).filter(|_| limits.lag_min > 0).map_or(Offset::MAX, |found| found.base);
        let end = log.last_stable.min(active.base).min(young).max(first_dirty);
        // Whole segments only.
        let holding_end = log.segments.partition_point(|segment| segment.base <= end).saturating_sub(1);
        let first_uncleanable = log.segments.get(holding_end).map_or(active.base, |segment| segment.base);
        let bytes = |wanted: &dyn Fn(&SegmentFacts) -> bool| {
            sealed.iter().filter(|segment| wanted(segment)).map(|segment| segment.bytes).sum()
        };
        let from = dirty.first().map_or(first_uncleanable, |first| first.base);
        let waited = |first: i64| now.millis().saturating_sub(first).saturating_sub(limits.lag_max);
        let oldest = dirty.iter().map(|segment| segment.first_timestamp.millis()).filter(|time| *time > 0).min();
        Self {
            first_dirty,
            first_uncleanable,
            clean_bytes: bytes(&|segment| segment.base < first_dirty),
            cleanable_bytes: bytes(&|segment| segment.base >= from && segment.base < first_uncleanable),
            overdue: limits.lag_max < i64::MAX && oldest.is_some_and(|first| waited(first) > 0),
        }
    }

    /// How much of what a cleaning would read is dirty, from 0 to 1.
    #[must_use]
    pub fn dirty_ratio(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        #[expect(clippy::cast_precision_loss, reason = "a ratio of sizes")]
        let ratio = self.cleanable_bytes as f64 / total.max(1) as f64;
        ratio
    }

    /// Whether the log is to be cleaned without being asked.
    pub(crate) fn is_due(&self, limits: &Limits) -> bool {
        self.cleanable_bytes > 0 && (self.overdue || self.dirty_ratio() > limits.ratio_min)
    }
}

/// In which order to clean logs: those that are due, the filthiest first.
pub(crate) fn filthiest_first<T>(logs: impl IntoIterator<Item = (T, Cleanable, Limits)>) -> Vec<T> {
    let mut due: Vec<_> = logs.into_iter().filter(|(_, cleanable, limits)| cleanable.is_due(limits)).collect();
    due.sort_by(|(_, a, _), (_, b, _)| b.dirty_ratio().total_cmp(&a.dirty_ratio()));
    due.into_iter().map(|(log, _, _)| log).collect()
}

/// A segment that is to be rewritten, with its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceFacts {
    /// Its base offset.
    pub(crate) base: Offset,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// Bytes of its offset index.
    pub(crate) offset_index_bytes: u64,
    /// Bytes of its time index.
    pub(crate) time_index_bytes: u64,
}

/// How large a segment may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLimits {
    /// `segment.bytes`.
    pub(crate) segment_bytes: u64,
    /// `segment.index.bytes`.
    pub(crate) index_bytes: u64,
}

/// Which of `sources`, in order, become one segment each: as many neighbours as fit even if nothing in them goes. `end`
/// is where the last one ends.
pub(crate) fn groups(sources: &[SourceFacts], end: Offset, limits: &GroupLimits) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut first = 0;
    while let Some(head) = sources.get(first) {
        let mut sum = *head;
        let mut next = first + 1;
        while let Some(source) = sources.get(next) {
            let last_offset = sources.get(next + 1).map_or(end, |behind| behind.base).get().saturating_sub(1);
            let fits = sum.bytes + source.bytes <= limits.segment_bytes
                && sum.offset_index_bytes + source.offset_index_bytes <= limits.index_bytes
                && sum.time_index_bytes + source.time_index_bytes <= limits.index_bytes
                && (source.bytes == 0 || last_offset.saturating_sub(head.base.get()) <= RELATIVE_OFFSET_MAX);
            if !fits {
                break;
            }
            sum.bytes += source.bytes;
            sum.offset_index_bytes += source.offset_index_bytes;
            sum.time_index_bytes += source.time_index_bytes;
            next += 1;
        }
        groups.push(first..next);
        first = next;
    }
    groups
}

#[cfg(test)]
mod tests;
