//! One partition's log: segments without end, the marks that readers may not pass, one writer.

mod append;
mod backup;
pub(crate) mod checkpoint;
pub(crate) mod cleaning;
mod close;
mod config;
mod delete;
mod durability;
pub(crate) mod epoch_cache;
mod follow;
mod found;
pub(crate) mod holds;
mod latch;
mod layout;
mod lost_sync;
mod moved;
mod names;
mod open;
pub(crate) mod origin;
pub(crate) mod partition_metadata;
mod producer_check;
mod producer_entry;
pub(crate) mod producer_snapshot;
pub(crate) mod producer_state;
mod producers;
mod read;
mod recover;
mod refresh;
mod replay;
mod replicate;
mod resume;
mod retain;
mod retention;
mod roll;
pub(crate) mod segment_set;
mod settled;
mod tail;
pub(crate) mod text_checkpoint;
mod tidying;
mod truncate;
mod validate;
mod verification;
mod watermarks;

pub use append::{AppendOrigin, Appended};
pub(crate) use close::Ends;
pub use config::{CleanupPolicy, FlushPolicy, HighWatermark, LogConfig, TopicCompression};
pub use delete::DeletedRecords;
pub(crate) use durability::CHECKPOINT_AFTER;
pub use found::{CutReason, Recovery};
pub(crate) use open::{LastClose, LogOptions, OpenMode};
pub use producers::ProducerInfo;
pub use read::{FetchLimit, Fetched, OffsetTimestamp};
pub use retain::{DueSegment, Removed};
pub use retention::RetentionReason;
pub(crate) use validate::single_batch;
pub use verification::VerificationGuard;
pub use watermarks::Marks;

use std::fmt;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, GroupSync, generation};
use crate::log::checkpoint::CheckpointFile;
use crate::log::cleaning::CleanerSeat;
use crate::log::follow::Following;
use crate::log::holds::Holds;
use crate::log::latch::FailureLatch;
use crate::log::moved::Moved;
use crate::log::names::NewNames;
use crate::log::retain::RemovedSoFar;
use crate::log::segment_set::SegmentSet;
use crate::log::tail::Tail;
use crate::log::watermarks::Watermarks;
use crate::segment::Segment;
use crate::sync::{Arc, ArcSwap, AtomicBool, CachePadded, Mutex, MutexGuard, Ordering};
use crate::types::{Isolation, Offset, ReadUpTo};

/// One partition's log.
///
/// Appends, cuts and deletions take the writer lock; readers take none. Durability is a watermark: an append returns
/// when its bytes are published, [`Log::wait_durable`] when they are synced.
pub struct Log {
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    config: ArcSwap<LogConfig>,
    /// Whether the configuration's flush policy asks for syncs at all: told without loading the configuration.
    flushes: AtomicBool,
    verify_always: bool,
    read_only: bool,
    /// How it was left, as far as who opened it, or last looked again, knows.
    left: Mutex<LastClose>,
    /// What readers see, log start included: replaced as a whole under `writer`, never edited.
    segments: ArcSwap<SegmentSet>,
    /// Stored under `writer`, loaded without it; on cache lines of their own, as readers spin on them.
    marks: CachePadded<Watermarks>,
    /// Held by whoever appends, rolls, truncates or deletes. No reader takes it; no sync runs under it, but those of a
    /// cut.
    writer: Mutex<Writer>,
    /// Lock order: `rounds`, `writer`, then this one.
    checkpoint: CheckpointFile,
    /// Held through a round of syncs, a cut, a deletion and a close: a round writes files beside the log, which must
    /// not come back behind those who remove them. Lock order: this one, then `writer`.
    rounds: Mutex<()>,
    sync: GroupSync,
    /// Held while room is zero-filled ahead, so that a close can wait for the end of it.
    zeroing: Mutex<()>,
    /// Who compacts the log. Lock order: the seat, then `rounds`.
    cleaner: CleanerSeat,
    /// Whether few appends came between the last two syncs: the writer's answer, for others.
    syncs_often: AtomicBool,
    /// What retention may not remove yet.
    holds: Arc<Holds>,
    removed: RemovedSoFar,
    latch: FailureLatch,
    closed: AtomicBool,
    /// Closed because its topic was deleted.
    deleted: AtomicBool,
    /// Which process opened it, told by forks: a child's handles are closed.
    generation: u64,
    /// Whether segments were rolled that are not yet synced.
    has_unsealed: AtomicBool,
    /// Notified when a mark moves and when the log closes.
    moved: Moved,
    recovery: Recovery,
}

/// A segment in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// The base offset.
    pub base_offset: Offset,
    /// Bytes of its log file that hold batches of the segment.
    pub bytes: u64,
    /// Whether appends go to it.
    pub active: bool,
}

/// Who moves the high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HighMark {
    /// It follows the log, as the topic's `high.watermark` says.
    Follows,
    /// A replica moves it.
    Held,
}

/// What only the holder of the writer lock sees.
struct Writer {
    /// The configuration in force: the writer's own copy.
    config: Arc<LogConfig>,
    /// The marks: these are the ones that count, readers see copies.
    marks: Marks,
    /// Who moves the high watermark.
    high_mark: HighMark,
    /// What appending needs; loaded by the first append.
    tail: Option<Tail>,
    /// Where a read-only log goes on when it looks again; `None` where it is opened anew then.
    following: Option<Following>,
    /// Segments that were rolled and are not yet synced, oldest first.
    unsealed: Vec<durability::Sealing>,
    /// Appends since the last round of syncs began.
    appends: u32,
    /// Whether few appends came between the last two rounds: then bytes do not go through the map.
    syncs_often: bool,
    /// Names that were created, and which of them are durable.
    names: NewNames,
    /// The base of a segment whose creation failed: its name may be there still, and must not be once its offset is
    /// given out in another segment.
    leftover: Option<Offset>,
    /// How many verification guards were given out.
    guards: u64,
    /// Damage above the recovery point that opening did not cut: nothing is appended behind it.
    damage: Option<Error>,
}

impl Log {
    /// The offset of the first record that may be read.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.segments.load().log_start()
    }

    /// The mark up to which a reader of this kind sees: an exclusive end.
    #[must_use]
    pub fn end(&self, up_to: ReadUpTo) -> Offset {
        self.marks.limit(up_to, Isolation::ReadUncommitted)
    }

    /// The last stable offset: below it no transaction is open.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        self.marks.last_stable()
    }

    /// Log start and all marks, consistent with each other. Takes the writer lock for a moment.
    #[must_use]
    pub fn offsets(&self) -> (Offset, Marks) {
        if self.is_forked() {
            return (self.log_start(), self.marks.load());
        }
        let writer = self.writer.lock();
        (self.log_start(), writer.marks)
    }

    /// Bytes of deleted log files whose space waits for who still reads them.
    pub(crate) fn doomed_bytes(&self) -> u64 {
        self.directory.doomed_bytes()
    }

    /// What retention and [`Log::delete_records`] have removed since the log was opened.
    #[must_use]
    pub fn removed(&self) -> Removed {
        self.removed.get()
    }

    /// What retention may not remove yet.
    pub(crate) fn holds(&self) -> &Arc<Holds> {
        &self.holds
    }

    /// What opening cut, rebuilt or found damaged.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    /// Puts another configuration in force, from the next append or roll on.
    pub(crate) fn set_config(&self, config: LogConfig) {
        if self.is_forked() {
            return;
        }
        if config.cleanup_policy.compact {
            self.checkpoint.note_gaps();
        }
        let config = Arc::new(config);
        let mut writer = self.writer.lock();
        writer.config = Arc::clone(&config);
        self.flushes.store(config.flush_policy().is_some(), Ordering::Release);
        self.config.store(config);
    }

    /// When the log is synced without being asked.
    pub(crate) fn flush_policy(&self) -> FlushPolicy {
        self.config.load().flush_policy()
    }

    /// Whether the log is synced without being asked, now and then at least.
    #[inline]
    pub(crate) fn flushes(&self) -> bool {
        self.flushes.load(Ordering::Acquire)
    }

    /// Base of the last segment: everything below it is sealed.
    pub(crate) fn active_base(&self) -> Offset {
        let set = self.segments.load();
        set.last().map_or(set.log_start(), |last| last.base_offset())
    }

    /// Whether segments were rolled that are not yet synced.
    #[inline]
    pub(crate) fn has_unsealed(&self) -> bool {
        self.has_unsealed.load(Ordering::Acquire)
    }

    /// The segments that readers see, ascending. The last one is active.
    #[must_use]
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.load().segments().to_vec()
    }

    /// The segments as numbers.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; what mapping the last segment can answer, where another process may be writing it.
    pub fn segment_infos(&self) -> Result<Vec<SegmentInfo>> {
        self.check_open()?;
        let set = self.segments.load();
        let sizes = self.sizes(&set)?;
        let info = |(index, (segment, bytes)): (usize, (&Arc<Segment>, u64))| SegmentInfo {
            base_offset: segment.base_offset(),
            bytes,
            active: index + 1 == set.segments().len(),
        };
        Ok(set.segments().iter().zip(sizes).enumerate().map(info).collect())
    }

    /// Bytes of each segment that hold batches of it.
    fn sizes(&self, set: &SegmentSet) -> Result<Vec<u64>> {
        let log_end = self.marks.end();
        let checkpoint = self.checkpoint.get();
        let size = |(index, segment): (usize, &Arc<Segment>)| {
            let is_last = index + 1 == set.segments().len();
            // The writer has not trimmed those yet that lie above the recovery point.
            let may_be_long = is_last || segment.base_offset() >= checkpoint.recovery_point.base;
            match checkpoint.cut_of(segment.base_offset()) {
                Some(cut) => Ok(cut.position),
                None if may_be_long && self.read_only => segment.len_below(set.end_of(index, log_end)),
                None => Ok(segment.size()),
            }
        };
        set.segments().iter().enumerate().map(size).collect()
    }

    /// Whether the handle still works.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], in a forked child too; [`ErrorKind::UnknownTopic`] if the topic was deleted.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) || self.is_forked() {
            return Err(self.not_open());
        }
        Ok(())
    }

    /// Whether this is a forked child's copy: nobody in it releases a lock that was held when it was made.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        self.generation != generation()
    }

    #[cold]
    fn not_open(&self) -> Error {
        let (kind, what) = match self.deleted.load(Ordering::Acquire) {
            true => (ErrorKind::UnknownTopic, "was deleted"),
            false => (ErrorKind::Closed, "is closed"),
        };
        Error::new(kind, format!("{} {what}", self.directory.path().display()))
    }

    /// Whether the log is open and no write to it has failed.
    pub(crate) fn takes_writes(&self) -> bool {
        !self.read_only && self.check_open().is_ok() && self.latch.check().is_ok()
    }

    /// The writer lock, if the log takes writes at all.
    #[inline]
    fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        if self.read_only {
            return Err(self.is_read_only());
        }
        // Asked before too: in a forked child nobody may be left to release the lock.
        self.check_open()?;
        let writer = self.writer.lock();
        self.check_open()?;
        self.latch.check()?;
        Ok(writer)
    }

    #[cold]
    fn is_read_only(&self) -> Error {
        Error::new(ErrorKind::ReadOnly, format!("{} is open read-only", self.directory.path().display()))
    }

    /// The writer lock, for who only looks at what it protects, or moves a mark.
    fn lock_state(&self) -> Result<MutexGuard<'_, Writer>> {
        self.check_open()?;
        let writer = self.writer.lock();
        self.check_open()?;
        Ok(writer)
    }

    /// Replaces what readers see. The guard shows that the caller is the writer.
    fn publish(&self, _writer: &MutexGuard<'_, Writer>, next: SegmentSet) {
        self.segments.store(Arc::new(next));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut log = f.debug_struct("Log");
        log.field("path", &self.directory.path()).field("start", &self.log_start()).field("end", &self.marks.end());
        log.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
