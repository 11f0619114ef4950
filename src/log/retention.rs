//! Which segments retention removes: decided from plain values, oldest first, by Kafka's rules.
//! (`UnifiedLog.deleteOldSegments`)
//!
//! ```text
//! segments     [0..9] [10..19] [20..29] [30..39] [40..]
//!               below   too      too     young    active
//!             log start much     old     enough
//!              <-- these go, by one rule after another -->
//! ```

use crate::error::Result;
use crate::types::{Offset, Timestamp};

/// Why a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetentionReason {
    /// All of it lies below the log start.
    LogStart,
    /// Without it the log still has the `retention.bytes` that it may keep.
    Size,
    /// Its newest record is older than `retention.ms`.
    Age,
}

/// What a topic's configuration allows a log to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetentionLimits {
    /// Whether `cleanup.policy` has `delete` in it: without, size and age do not count.
    pub(crate) delete: bool,
    /// `retention.bytes`, if there is a limit.
    pub(crate) bytes: Option<u64>,
    /// `retention.ms`, if there is a limit.
    pub(crate) millis: Option<i64>,
}

impl RetentionLimits {
    /// Of a topic that may keep everything.
    pub(crate) const NONE: Self = Self { delete: false, bytes: None, millis: None };
}

/// The log, as far as retention is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogState {
    /// The first offset that may be read.
    pub(crate) log_start: Offset,
    /// No segment that ends above it goes: the high watermark, or less.
    pub(crate) barrier: Offset,
    /// Bytes of all segments.
    pub(crate) bytes: u64,
    /// The wall clock.
    pub(crate) now: Timestamp,
}

/// A segment, as far as retention is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Where it ends: the base of the next one, or the log end.
    pub(crate) end: Offset,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// Whether it is the last one.
    pub(crate) is_last: bool,
}

/// Judges a log's segments one by one, oldest first, up to the first that stays.
///
/// The rules take turns, and none comes again: what goes by its age does not make the log too large once more.
#[derive(Debug)]
pub(crate) struct Retention {
    limits: RetentionLimits,
    log: LogState,
    rule: RetentionReason,
    /// Bytes of the segments that have not gone.
    left: u64,
}

impl Retention {
    /// Of a log that may keep as much as `limits` says.
    pub(crate) fn new(limits: RetentionLimits, log: LogState) -> Self {
        Self { limits, log, rule: RetentionReason::LogStart, left: log.bytes }
    }

    /// Why the next segment goes, or `None` if it stays, and all behind it with it. `newest` is asked for the time of
    /// its newest record only where that decides.
    ///
    /// A last segment that is empty never goes. Where a last one goes, every one does: then a new one is begun first.
    pub(crate) fn next(
        &mut self,
        segment: &Candidate,
        mut newest: impl FnMut() -> Result<Timestamp>,
    ) -> Result<Option<RetentionReason>> {
        if segment.end > self.log.barrier || (segment.is_last && segment.bytes == 0) {
            return Ok(None);
        }
        loop {
            let goes = match self.rule {
                RetentionReason::LogStart => !segment.is_last && segment.end <= self.log.log_start,
                RetentionReason::Size => self.exceeds(segment.bytes),
                RetentionReason::Age => match self.limits.millis {
                    Some(limit) => self.log.now.millis().saturating_sub(newest()?.millis()) > limit,
                    None => false,
                },
            };
            if goes {
                self.left = self.left.saturating_sub(segment.bytes);
                return Ok(Some(self.rule));
            }
            self.rule = match self.rule {
                RetentionReason::LogStart if self.limits.delete => RetentionReason::Size,
                RetentionReason::Size => RetentionReason::Age,
                _ => return Ok(None),
            };
        }
    }

    /// Whether the limit is still reached without so many bytes.
    fn exceeds(&self, bytes: u64) -> bool {
        let left = self.left.checked_sub(bytes);
        self.limits.bytes.zip(left).is_some_and(|(limit, left)| left >= limit)
    }
}

#[cfg(test)]
mod tests;
