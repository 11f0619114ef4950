//! Retention at work: what is due, and its removal, one segment at a time.

use crate::error::{ErrorKind, Result};
use crate::log::retention::{Candidate, LogState, Retention, RetentionLimits, RetentionReason};
use crate::log::segment_set::SegmentSet;
use crate::log::{Log, LogConfig, Writer};
use crate::segment::Segment;
use crate::span;
use crate::sync::{Arc, AtomicU64, MutexGuard, Ordering};
use crate::types::Offset;

/// A segment that retention removes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueSegment {
    /// Its base offset.
    pub base_offset: Offset,
    /// The offset behind its last record: the log starts there, or above, once it is gone.
    pub end_offset: Offset,
    /// Bytes of its log file.
    pub bytes: u64,
    /// Why it goes.
    pub reason: RetentionReason,
}

/// What retention removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Segments that are gone.
    pub segments: u64,
    /// Bytes of their log files. The space comes back when nobody holds a slice of them.
    pub bytes: u64,
}

impl Removed {
    /// Counts what another removal did, too.
    pub(crate) fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.bytes += other.bytes;
    }
}

/// What was removed from the start of a log since it was opened.
#[derive(Debug, Default)]
pub(super) struct RemovedSoFar {
    segments: AtomicU64,
    bytes: AtomicU64,
}

impl RemovedSoFar {
    /// One more segment is gone.
    pub(super) fn add(&self, segment: &Segment) {
        self.segments.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(segment.size(), Ordering::Relaxed);
    }

    /// The sum.
    pub(super) fn get(&self) -> Removed {
        Removed { segments: self.segments.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// What is due, as of one look.
struct Plan {
    config: Arc<LogConfig>,
    set: Arc<SegmentSet>,
    /// Oldest first: of each segment at the same place in `set`.
    due: Vec<DueSegment>,
}

impl Plan {
    /// Whether every segment goes, so that another has to be begun first.
    fn is_all(&self) -> bool {
        self.due.len() == self.set.segments().len() && !self.due.is_empty()
    }
}

impl Log {
    /// The segments that retention would remove now, oldest first. Changes nothing.
    ///
    /// Kafka's rules: what lies below the log start goes; on a topic whose `cleanup.policy` has `delete` in it then the
    /// oldest segments, while the log keeps `retention.bytes` without them, and those whose newest record is older than
    /// `retention.ms`. The first that stays keeps all behind it. Nothing goes above the high watermark, or that is
    /// [held](crate::Partition::hold).
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; what reading a segment's time index can answer.
    pub fn due_segments(&self) -> Result<Vec<DueSegment>> {
        self.check_open()?;
        Ok(self.plan(usize::MAX)?.due)
    }

    /// At most `most` of the segments that are due.
    fn plan(&self, most: usize) -> Result<Plan> {
        let config = self.config.load_full();
        let limits = limits_of(&config);
        let set = self.segments.load_full();
        let mut plan = Plan { config, set, due: Vec::new() };
        let (set, log_end, high) = (&plan.set, self.marks.end(), self.marks.high());
        // Most partitions have one segment, and in it nothing, or nothing that must ever go.
        let is_kept = |only: &Segment| limits == RetentionLimits::NONE || only.size() == 0;
        if matches!(set.segments(), [only] if is_kept(only)) || set.segments().is_empty() {
            return Ok(plan);
        }
        let sizes = self.sizes(set)?;
        let state = LogState {
            log_start: set.log_start(),
            barrier: self.holds.lower(high),
            bytes: sizes.iter().sum(),
            now: self.clock.now(),
        };
        let mut retention = Retention::new(limits, state);
        for (index, (segment, bytes)) in set.segments().iter().zip(sizes).enumerate().take(most) {
            let is_last = index + 1 == set.segments().len();
            let candidate = Candidate { end: set.end_of(index, log_end), bytes, is_last };
            let Some(reason) = retention.next(&candidate, || segment.newest())? else { break };
            if reason == RetentionReason::Age && !segment.confirm_newest()? {
                break;
            }
            plan.due.push(DueSegment { base_offset: segment.base_offset(), end_offset: candidate.end, bytes, reason });
        }
        Ok(plan)
    }

    /// Removes segments that are due, oldest first, at most `most` of them. Answers what went, and whether there may be
    /// more. `announce` is told of each before it goes, and may take a hold on it: then it stays.
    ///
    /// The writer lock is taken for a moment for each segment; neither `announce` nor the removal of files is under it.
    pub(crate) fn retain(
        &self,
        most: usize,
        mut announce: impl FnMut(&DueSegment, &Arc<Segment>),
    ) -> Result<(Removed, bool)> {
        self.check_open()?;
        if self.read_only {
            return Err(self.is_read_only());
        }
        let mut plan = self.plan(most)?;
        let mut removed = Removed::default();
        if plan.due.is_empty() {
            return Ok((removed, false));
        }
        let _span = span::retain(self.directory.path());
        let mut rolled = Ok(());
        if plan.is_all() {
            rolled = self.roll_all_due(&plan);
            plan = self.plan(most)?;
            if plan.is_all() {
                // There was no room, or something was appended meanwhile.
                plan.due.pop();
            }
        }
        let full = plan.due.len() == most;
        for (index, due) in plan.due.iter().enumerate() {
            let segment = &plan.set.segments()[index];
            announce(due, segment);
            if !self.remove_oldest(&plan, due, segment)? {
                return Ok((removed, true));
            }
            removed.add(Removed { segments: 1, bytes: due.bytes });
        }
        match rolled {
            // With the others gone there may be room now.
            Err(error) if error.kind() == ErrorKind::StorageFull && removed.segments > 0 => Ok((removed, true)),
            rolled => rolled.map(|()| (removed, full)),
        }
    }

    /// Removes all segments that are due.
    pub(crate) fn retain_all(&self) -> Result<Removed> {
        let mut all = Removed::default();
        loop {
            let (removed, more) = self.retain(usize::MAX, |_, _| {})?;
            all.add(removed);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Begins another segment, so that all that are due can go. Not if something was appended since they were found due.
    fn roll_all_due(&self, plan: &Plan) -> Result<()> {
        let end = plan.due.last().map_or(Offset::ZERO, |last| last.end_offset);
        let mut writer = self.lock_writer()?;
        if writer.marks.end == end { self.roll_if_wholly_below(&mut writer, end) } else { Ok(()) }
    }

    /// Removes the oldest segment, if it is the one that was found due and nothing speaks against it by now.
    fn remove_oldest(&self, plan: &Plan, due: &DueSegment, segment: &Arc<Segment>) -> Result<bool> {
        let (turn, mut writer) = self.lock_durable(due.end_offset)?;
        if !self.is_still_due(&writer, plan, due, segment) {
            return Ok(false);
        }
        let gone = self.take_oldest(&mut writer)?;
        drop(writer);
        self.moved();
        // Who appends goes on meanwhile; who syncs, cuts or closes waits for its turn.
        self.unlink_oldest(&gone)?;
        drop(turn);
        Ok(true)
    }

    fn is_still_due(
        &self,
        writer: &MutexGuard<'_, Writer>,
        plan: &Plan,
        due: &DueSegment,
        segment: &Arc<Segment>,
    ) -> bool {
        let set = self.segments.load();
        let is_oldest = set.segments().first().is_some_and(|oldest| Arc::ptr_eq(oldest, segment));
        let ends_there = set.segments().get(1).is_some_and(|next| next.base_offset() == due.end_offset);
        let barrier = self.holds.lower(writer.marks.high);
        is_oldest && ends_there && due.end_offset <= barrier && Arc::ptr_eq(&writer.config, &plan.config)
    }
}

/// What a topic's configuration allows a log to keep.
fn limits_of(config: &LogConfig) -> RetentionLimits {
    if !config.cleanup_policy.delete {
        return RetentionLimits::NONE;
    }
    let millis = Some(config.retention_ms).filter(|millis| *millis >= 0);
    RetentionLimits { delete: true, bytes: u64::try_from(config.retention_bytes).ok(), millis }
}
