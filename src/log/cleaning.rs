//! What a log offers to whoever compacts it: what there is to clean, and the exchange of its segments.
//!
//! A log is cleaned by one at a time, beside appends, reads, cuts and deletions. Only the exchange itself takes the turn
//! of those that change files; and it asks first whether what was read for it is still the log's.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::io::Directory;
use crate::log::checkpoint::{Cleaned, RecoveryPoint};
use crate::log::open::unlink_segment;
use crate::log::segment_set::SegmentSet;
use crate::log::{Log, Writer};
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::{AbortedTransaction, NewSegment, Segment};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use crate::types::{Offset, ProducerEpoch, ProducerId, Timestamp};

/// The seat of the one who cleans a log.
#[derive(Debug, Default)]
pub(super) struct CleanerSeat {
    /// Held by who cleans.
    taken: Mutex<()>,
    /// Whether whoever cleans is to stop.
    halted: Mutex<bool>,
    told: Condvar,
    /// Why the log is not cleaned until it is opened again.
    refused: OnceLock<Error>,
}

impl CleanerSeat {
    /// Tells who cleans to stop, and waits until that is done.
    pub(super) fn halt(&self) {
        self.tell();
        drop(self.taken.lock());
    }

    fn tell(&self) {
        *self.halted.lock() = true;
        self.told.notify_all();
    }
}

/// The last that is known of a producer: what keeps it known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// The offset of the last record of its epoch; `None` if only a marker came.
    pub(crate) offset: Option<Offset>,
    /// Its epoch.
    pub(crate) epoch: ProducerEpoch,
}

/// A log that is being cleaned.
pub(crate) struct Cleaning<'a> {
    log: &'a Log,
    /// How often the tail had been cut when this began: a cut may take what superseded something.
    cuts: u64,
    _taken: MutexGuard<'a, ()>,
}

impl Log {
    /// Where its files are.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far the log is compacted.
    pub(crate) fn cleaned(&self) -> Cleaned {
        self.checkpoint.get().cleaned
    }

    /// Tells whoever cleans it, now or later, to stop: the log is about to be closed. Does not wait for that.
    pub(crate) fn stop_cleaning(&self) {
        self.cleaner.tell();
    }

    /// Why it is not cleaned until it is opened again.
    pub(crate) fn refuses_cleaning(&self) -> Option<&Error> {
        self.cleaner.refused.get()
    }

    /// Whether somebody cleans it.
    #[cfg(test)]
    pub(crate) fn is_cleaned_now(&self) -> bool {
        self.cleaner.taken.is_locked()
    }

    /// Begins to clean, once nobody else does.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::ReadOnly`], [`ErrorKind::PreviousFailure`]; what an earlier cleaning met with
    /// that opening again may mend, and what opening found damaged.
    pub(crate) fn begin_cleaning(&self) -> Result<Cleaning<'_>> {
        drop(self.lock_writer()?);
        let taken = self.cleaner.taken.lock();
        let writer = self.lock_writer()?;
        if let Some(error) = self.cleaner.refused.get().or(writer.damage.as_ref()) {
            return Err(error.clone());
        }
        Ok(Cleaning { log: self, cuts: self.checkpoint.get().cuts, _taken: taken })
    }
}

impl<'a> Cleaning<'a> {
    /// The log.
    pub(crate) fn log(&self) -> &'a Log {
        self.log
    }

    /// The time since some start, which only grows.
    pub(crate) fn monotonic(&self) -> Duration {
        self.log.clock.monotonic()
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.log.clock.now()
    }

    /// Makes names in the log's directory durable.
    pub(crate) fn sync_directory(&self) -> Result<()> {
        self.log.directory.sync().map_err(|error| self.log.latch.trip_unless_full(error))
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &'a Arc<dyn Directory> {
        &self.log.directory
    }

    /// The segments as they are now.
    pub(crate) fn segments(&self) -> Arc<SegmentSet> {
        self.log.segments.load_full()
    }

    /// Whether offsets may be left out.
    pub(crate) fn may_have_gaps(&self) -> bool {
        self.log.checkpoint.may_have_gaps()
    }

    /// How many bytes of a segment's file count.
    pub(crate) fn valid_len(&self, segment: &Segment) -> u64 {
        let cut = self.log.checkpoint.get().cut_of(segment.base_offset()).map(|cut| cut.position);
        cut.unwrap_or(u64::MAX).min(segment.size())
    }

    /// How a segment is set up that begins at `base`.
    pub(crate) fn new_segment(&self, base: Offset) -> NewSegment {
        self.log.new_segment(base)
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::UnknownTopic`]; [`ErrorKind::PreviousFailure`] if a write failed meanwhile.
    pub(crate) fn check(&self) -> Result<()> {
        self.log.check_open()?;
        if *self.log.cleaner.halted.lock() {
            let message = format!("{} is about to be closed", self.log.directory.path().display());
            return Err(Error::new(ErrorKind::Closed, message));
        }
        self.log.latch.check()
    }

    /// Whether nothing was cut since this began.
    pub(crate) fn is_uncut(&self) -> bool {
        self.log.checkpoint.get().cuts == self.cuts
    }

    /// Waits so long, or until the log is closed.
    pub(crate) fn pause(&self, time: Duration) {
        let mut halted = self.log.cleaner.halted.lock();
        if !*halted {
            self.log.cleaner.told.wait_for(&mut halted, time);
        }
    }

    /// Says that the log is not to be cleaned again before it is reopened, and hands `error` back.
    pub(crate) fn refuse_from_now_on(&self, error: Error) -> Error {
        drop(self.log.cleaner.refused.set(error.clone()));
        error
    }

    /// What keeps each producer known.
    pub(crate) fn last_records(&self) -> Result<HashMap<ProducerId, LastRecord>> {
        let mut writer = self.log.lock_writer()?;
        let now = self.log.clock.now();
        let tail = self.log.tail(&mut writer)?;
        tail.expire_producers(now);
        let last = tail.producers.producers().map(|(id, entry)| {
            let offset = entry.last_batch().map(|batch| batch.last_offset);
            (id, LastRecord { offset, epoch: entry.epoch })
        });
        Ok(last.collect())
    }

    /// Aborted transactions with records in the segment at `index` that end at `from` or behind it. The segment's own transaction
    /// index is in memory from then on: who reads the segment while it is exchanged is not told by another's file.
    pub(crate) fn aborted_in(&self, set: &SegmentSet, index: usize, from: Offset) -> Result<Vec<AbortedTransaction>> {
        let Some(segment) = set.segments().get(index) else { return Ok(Vec::new()) };
        let range = segment.base_offset().max(from)..set.end_of(index, self.log.marks.end());
        self.log.aborted_in(set, index, &range)
    }

    /// The transactions whose abort marker lies in the segment at `index`.
    pub(crate) fn aborted_by(&self, set: &SegmentSet, index: usize) -> Result<Vec<AbortedTransaction>> {
        let known = self.log.aborted_of(set, index)?;
        Ok(known.as_ref().as_ref().map(|index| index.iter().collect()).unwrap_or_default())
    }

    /// Sees to it that all that was looked at is durable: what it supersedes may go then. That is more than what is to be
    /// cleaned, as the end of a transaction may lie behind that.
    pub(crate) fn settle(&self) -> Result<()> {
        self.log.sync()?;
        // What is durable may still be without its files: those for which there was no room wait there.
        let lacks_files = !self.log.lock_writer()?.unsealed.is_empty();
        if lacks_files {
            self.log.sync_round()?;
        }
        Ok(())
    }

    /// Writes down, before the first segment below `end` is exchanged, that offsets may be left out; and takes the
    /// recovery point to `end`, below which all is durable, if it names a place in a segment that will not be there.
    pub(crate) fn make_way(&self, end: Offset) -> Result<()> {
        let _turn = self.log.rounds.lock();
        let mut writer = self.log.lock_writer()?;
        if !self.is_uncut() {
            // Nothing will be exchanged.
            return Ok(());
        }
        let is_behind = self.log.checkpoint.get().recovery_point.base < end;
        if is_behind {
            self.check_derived(&writer, end)?;
            if let Some(epochs) = writer.tail.as_mut().and_then(|tail| tail.take_dirty_epochs()) {
                let written = self.log.directory.put(crate::log::epoch_cache::FILE, &epochs);
                if let (Err(_), Some(tail)) = (&written, writer.tail.as_mut()) {
                    tail.change_epochs(|_| true);
                }
                written?;
                writer.names.add();
            }
        }
        self.log.sync_names(&mut writer)?;
        drop(writer);
        let update = self.log.checkpoint.update(self.log.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.may_have_gaps = true;
            if is_behind {
                checkpoint.recovery_point = RecoveryPoint { offset: end, base: end, position: 0 };
            }
            if state.synced.base < end {
                state.synced = checkpoint.recovery_point;
            }
            Some(checkpoint)
        });
        update.map_err(|error| self.log.latch.trip_unless_full(error))
    }

    /// Whether all segments below `end` have their files on disk: there may have been no room for them.
    fn check_derived(&self, writer: &MutexGuard<'_, Writer>, end: Offset) -> Result<()> {
        match writer.unsealed.iter().find(|sealing| sealing.segment.base_offset() < end) {
            None => Ok(()),
            Some(sealing) => {
                let name = sealing.segment.file_name(FileKind::Log);
                let path = self.log.directory.path().join(name);
                let message = format!("there was no room for the indexes of {}", path.display());
                Err(Error::new(ErrorKind::StorageFull, message))
            }
        }
    }

    /// Notes how far the log is compacted now; on a full disk it is found out again.
    pub(crate) fn keep(&self, cleaned: Cleaned) -> Result<()> {
        let _turn = self.log.rounds.lock();
        self.check()?;
        let is_uncut = self.is_uncut();
        let kept = self.log.checkpoint.update(self.log.directory.as_ref(), |state| {
            let changes = is_uncut && state.checkpoint.cleaned != cleaned;
            changes.then(|| crate::log::checkpoint::Checkpoint { cleaned, ..state.checkpoint.clone() })
        });
        kept.or_else(Error::unless_full).map_err(|error| self.log.latch.trip_unless_full(error))
    }

    /// The turn to exchange `sources` for another segment, if they are the log's still and nothing was cut meanwhile.
    /// No sync, cut, deletion or close goes on while it lasts.
    pub(crate) fn turn(&self, sources: &[Arc<Segment>]) -> Result<Option<Turn<'_>>> {
        let rounds = self.log.rounds.lock();
        let writer = self.log.lock_writer()?;
        let is_same = self.log.segments.load().place_of(sources).is_some() && self.is_uncut();
        let Some(last) = sources.last().filter(|_| is_same) else { return Ok(None) };
        self.check_derived(&writer, last.base_offset().next())?;
        drop(writer);
        Ok(Some(Turn { log: self.log, _rounds: rounds }))
    }
}

/// The turn to exchange segments.
pub(crate) struct Turn<'a> {
    log: &'a Log,
    _rounds: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Does what may not stop half way: where it does, nothing more is written until the log is opened again, which
    /// finishes or reverts it.
    pub(crate) fn whole<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let step = self.log.latch.begin()?;
        match work() {
            Ok(done) => {
                step.done();
                Ok(done)
            }
            Err(error) => {
                let error = step.failed(error);
                self.log.moved();
                Err(error)
            }
        }
    }

    /// Forgets where cuts had ended segments whose files are about to be replaced.
    pub(crate) fn forget_cuts(&self, sources: &[Arc<Segment>]) -> Result<()> {
        let is_source = |base: Offset| sources.iter().any(|source| source.base_offset() == base);
        self.log.checkpoint.update(self.log.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.cut_segments.retain(|cut| !is_source(cut.base));
            (checkpoint != state.checkpoint).then_some(checkpoint)
        })
    }

    /// Shows readers `new` in the place of `old`.
    pub(crate) fn publish(&self, old: &[Arc<Segment>], new: &Arc<Segment>) -> Result<()> {
        let writer = self.log.writer.lock();
        let set = self.log.segments.load_full();
        let Some(place) = set.place_of(old) else {
            return Err(Error::new(ErrorKind::Io, "segments changed in the turn of who exchanges them"));
        };
        self.log.publish(&writer, set.with_replaced(place, Arc::clone(new)));
        Ok(())
    }

    /// Where the log's files are.
    pub(crate) fn directory(&self) -> &Arc<dyn Directory> {
        &self.log.directory
    }

    /// Whether each batch is checked whenever it is read.
    pub(crate) fn verify_always(&self) -> bool {
        self.log.verify_always
    }

    /// Removes the files of a segment, and the producers' state in front of it.
    pub(crate) fn unlink(&self, segment: &Segment) -> Result<()> {
        let base = segment.base_offset();
        unlink_segment(self.log.directory.as_ref(), base)?;
        self.log.directory.unlink(&file_name(base, FileKind::Snapshot))
    }
}
