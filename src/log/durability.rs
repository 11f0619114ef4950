//! Durability is a watermark: syncs, what they make durable, and the recovery point behind them.

use std::time::Duration;

use crate::clock::deadline_after;
use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::RecoveryPoint;
use crate::log::names::NamesSoFar;
use crate::log::watermarks::Marks;
use crate::log::{HighMark, HighWatermark, Log, Writer, lost_sync};
use crate::segment::Segment;
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::indexes::Indexes;
use crate::span;
use crate::sync::{Arc, MutexGuard, Ordering};
use crate::types::{Offset, ReadUpTo};

/// How long the recovery point may stay behind the durable end.
pub(crate) const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// How many bytes it may stay behind.
const CHECKPOINT_BYTES: u64 = 64 << 20;

/// Up to so many appends between two syncs the log counts as one that syncs as it appends: threads that wait for the
/// same sync are rarely more.
const OFTEN: u32 = 64;

/// A segment that was rolled and is not yet synced.
#[derive(Clone, Debug)]
pub(super) struct Sealing {
    /// The segment.
    pub(super) segment: Arc<Segment>,
    /// The producers' state behind it: offset and file contents.
    pub(super) snapshot: Option<(Offset, Vec<u8>)>,
    /// Whether room that it has beyond its batches is to be given back: not where a cut left more than that.
    pub(super) trim: bool,
}

/// What one sync takes on.
pub(super) struct Round {
    target: Offset,
    unsealed: Vec<Sealing>,
    active: Option<Arc<Segment>>,
    position: u64,
    epochs: Option<Vec<u8>>,
    /// Names that are durable once the directory is synced; `None` where all are.
    names: Option<NamesSoFar>,
}

/// What a sync wrote beside the bytes.
struct Written {
    /// Segments that are synced, but lack a file that recovery below them would miss.
    lacking: Vec<Arc<Segment>>,
    /// Whether the epochs are written, if they had to be.
    epochs: bool,
}

/// Whether a segment has the files beside it that cannot be done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Derived {
    /// It has.
    Written,
    /// There was no room for them.
    Lacking,
}

impl Log {
    /// Returns once every record below `offset` survives a power cut. Leads a sync, or follows one that is under way.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] above the log end. The first failed sync answers its error, [`ErrorKind::Io`] or
    /// another, and from then on everything answers [`ErrorKind::PreviousFailure`]: no retry ever reports success.
    pub fn wait_durable(&self, offset: Offset) -> Result<()> {
        if offset > self.marks.end() {
            let message = format!("offset {offset} is behind the log end {}", self.marks.end());
            return Err(Error::new(ErrorKind::OffsetOutOfRange, message));
        }
        while self.marks.durable() < offset {
            self.check_open()?;
            self.sync.wait(offset.get(), || self.sync_round().map(Offset::get))?;
            if self.marks.end() < offset {
                let message = format!("the log was cut to {} while waiting for {offset}", self.marks.end());
                return Err(Error::new(ErrorKind::OffsetOutOfRange, message));
            }
        }
        Ok(())
    }

    /// Makes everything durable that is written when it is called. Returns the durable end.
    ///
    /// # Errors
    /// As [`Log::wait_durable`].
    pub fn sync(&self) -> Result<Offset> {
        self.wait_durable(self.marks.end())?;
        self.checkpoint_if_due()?;
        Ok(self.marks.durable())
    }

    /// One sync of all that is written. Called by one thread at a time; takes the writer lock only to look and to
    /// publish. What it syncs is not cut, deleted or closed meanwhile.
    pub(super) fn sync_round(&self) -> Result<Offset> {
        let _span = span::sync(self.directory.path());
        let _turn = self.rounds.lock();
        let synced = self.begin_round().and_then(|round| match self.make_durable(&round) {
            Ok(written) => self.finish_round(&round, &written),
            Err(error) if error.is_passing() => {
                self.take_back(&round);
                Err(error)
            }
            Err(error) => Err(self.stop(error)),
        });
        // Whoever awaits a mark that will not move is told, whichever call tripped the latch.
        synced.inspect_err(|_| self.moved())
    }

    pub(super) fn begin_round(&self) -> Result<Round> {
        let mut writer = self.lock_writer()?;
        self.count_round(&mut writer);
        let (active, position, epochs) = match writer.tail.as_mut() {
            Some(tail) => {
                let active = tail.active.as_ref();
                let position = active.map_or(0, |active| active.len());
                (active.map(|active| Arc::clone(active.segment())), position, tail.take_dirty_epochs())
            }
            None => (None, 0, None),
        };
        Ok(Round {
            target: writer.marks.end,
            unsealed: writer.unsealed.clone(),
            active,
            position,
            epochs,
            names: (!writer.names.are_durable()).then(|| writer.names.so_far()),
        })
    }

    /// Stops all writes after a failed sync, and has the next opening know of it.
    pub(super) fn stop(&self, error: Error) -> Error {
        lost_sync::note(self.directory.as_ref());
        self.latch.trip(error)
    }

    /// A round that had no descriptor has lost nothing: the next one does what it did not.
    fn take_back(&self, round: &Round) {
        let mut writer = self.writer.lock();
        // Files beside the log may have got new names already.
        writer.names.add();
        if let (Some(_), Some(tail)) = (&round.epochs, writer.tail.as_mut()) {
            tail.change_epochs(|_| true);
        }
    }

    /// Notes whether the log syncs about as often as it appends.
    fn count_round(&self, writer: &mut MutexGuard<'_, Writer>) {
        let appends = std::mem::take(&mut writer.appends);
        if appends > 0 {
            writer.syncs_often = appends <= OFTEN;
            self.syncs_often.store(writer.syncs_often, Ordering::Relaxed);
        }
    }

    /// Whether the log syncs as it appends, and has not much zero-filled room for that: for [`Log::zero_ahead`].
    pub(crate) fn wants_zeros(&self) -> bool {
        self.syncs_often.load(Ordering::Relaxed)
            && self.segments.load().last().is_some_and(|last| last.region().wants_zeros())
    }

    /// Zero-fills the next chunk of the active segment's file, so that syncs change neither its size nor its extents.
    /// Not for a thread that appends.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`] changes nothing. Any other is kept: whoever appends or syncs next is told.
    pub(crate) fn zero_ahead(&self) -> Result<()> {
        let _zeroing = self.zeroing.lock();
        self.check_open()?;
        match self.segments.load_full().last() {
            Some(last) if !self.read_only && last.region().wants_zeros() => last.region().zero_ahead(),
            _ => Ok(()),
        }
    }

    /// Bytes first, then the names: a name that survives must have its bytes.
    fn make_durable(&self, round: &Round) -> Result<Written> {
        let mut written = Written { lacking: Vec::new(), epochs: true };
        for sealing in &round.unsealed {
            if self.sync_sealed(sealing)? == Derived::Lacking {
                written.lacking.push(Arc::clone(&sealing.segment));
            }
        }
        if let Some(active) = &round.active {
            active.region().sync()?;
        }
        if let Some(epochs) = &round.epochs {
            written.epochs = unless_full(self.directory.put(super::epoch_cache::FILE, epochs))?;
        }
        if round.names.is_some() || !round.unsealed.is_empty() || round.epochs.is_some() {
            self.directory.sync()?;
        }
        Ok(written)
    }

    /// Syncs a rolled segment and writes what is derived from it.
    pub(super) fn sync_sealed(&self, sealing: &Sealing) -> Result<Derived> {
        let segment = &sealing.segment;
        if sealing.trim {
            segment.region().finish()?;
        }
        segment.region().sync()?;
        let derived = self.write_indexes(segment)?;
        if let Some((offset, contents)) = &sealing.snapshot {
            ignore_full_disk(self.directory.put(&file_name(*offset, FileKind::Snapshot), contents))?;
        }
        Ok(derived)
    }

    /// Writes the index files of a segment whose indexes are in memory. The caller syncs the directory.
    ///
    /// On a full disk the offset and time index stay in memory, and nothing stands for them on disk: one that is missing
    /// is built anew, one that is out of date would be believed. A transaction index that is missing says that nothing
    /// was aborted, so this one must not be lacking below the recovery point.
    pub(super) fn write_indexes(&self, segment: &Segment) -> Result<Derived> {
        let indexes = segment.indexes();
        let Indexes::Memory(index) = indexes.as_ref() else { return Ok(Derived::Written) };
        let name = |kind| segment.file_name(kind);
        let has_aborted = match segment.aborted_bytes() {
            Some(aborted) if aborted.is_empty() => {
                self.directory.unlink(&name(FileKind::TransactionIndex))?;
                true
            }
            Some(aborted) => unless_full(self.directory.put(&name(FileKind::TransactionIndex), &aborted))?,
            None => true,
        };
        let (offsets, times) = (index.to_offset_index_bytes(), index.to_time_index_bytes());
        let has_indexes = unless_full(self.directory.put(&name(FileKind::OffsetIndex), &offsets))?
            && unless_full(self.directory.put(&name(FileKind::TimeIndex), &times))?;
        if !has_indexes {
            self.directory.unlink(&name(FileKind::OffsetIndex))?;
            self.directory.unlink(&name(FileKind::TimeIndex))?;
        } else if has_aborted {
            segment.use_index_files(offsets.len() as u64, times.len() as u64);
        }
        Ok(if has_aborted { Derived::Written } else { Derived::Lacking })
    }

    fn finish_round(&self, round: &Round, written: &Written) -> Result<Offset> {
        let mut writer = self.writer.lock();
        if let Some(names) = round.names {
            writer.names.synced(names);
        }
        let is_lacking = |segment: &Arc<Segment>| written.lacking.iter().any(|lacking| Arc::ptr_eq(lacking, segment));
        let is_taken = |segment: &Arc<Segment>| round.unsealed.iter().any(|taken| Arc::ptr_eq(&taken.segment, segment));
        let has_unsealed = writer.unsealed.iter().any(|sealing| !is_taken(&sealing.segment));
        self.has_unsealed.store(has_unsealed, Ordering::Release);
        writer.unsealed.retain(|sealing| !is_taken(&sealing.segment) || is_lacking(&sealing.segment));
        if let (false, Some(tail)) = (written.epochs, writer.tail.as_mut()) {
            tail.change_epochs(|_| true);
        }
        let durable = writer.marks.durable.max(round.target);
        let marks = Marks { durable, ..writer.marks };
        self.set_marks(&mut writer, marks);
        self.moved.tell_unlocking(writer);
        if written.lacking.is_empty() && written.epochs {
            self.try_to_raise(Some(round))?;
        }
        Ok(durable)
    }

    /// Moves the recovery point up to what is synced, if it is due: `round` is what was synced just now.
    fn raise_recovery_point(&self, round: Option<&Round>) -> Result<()> {
        let point = round.and_then(|round| {
            let base = round.active.as_ref()?.base_offset();
            Some(RecoveryPoint { offset: round.target, base, position: round.position })
        });
        let now = self.clock.monotonic();
        self.checkpoint.update(self.directory.as_ref(), |state| {
            let before = state.checkpoint.recovery_point;
            let point = point.unwrap_or(state.synced);
            // Only a cut takes it down: what is behind it may have been exchanged since.
            if point.offset < before.offset {
                state.synced = before;
                return None;
            }
            state.synced = point;
            let grown = point.position.saturating_sub(before.position) >= CHECKPOINT_BYTES;
            let waited = now.saturating_sub(state.written_at) >= CHECKPOINT_AFTER;
            let due = point.base != before.base || grown || waited;
            if point == before || !due {
                return None;
            }
            state.written_at = now;
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.recovery_point = point;
            checkpoint.high_watermark = self.marks.high().min(point.offset);
            Some(checkpoint)
        })
    }

    /// The same, and what its failure means: on a full disk, or without a descriptor, the recovery point says what it
    /// said before, and all is synced as it should be.
    fn try_to_raise(&self, round: Option<&Round>) -> Result<()> {
        match ignore_full_disk(self.raise_recovery_point(round)) {
            Err(error) if !error.is_passing() => Err(self.latch.trip(error)),
            _ => Ok(()),
        }
    }

    /// Whether more is durable than the recovery point on disk says.
    #[inline]
    pub(crate) fn is_checkpoint_behind(&self) -> bool {
        self.checkpoint.is_behind()
    }

    /// Writes the recovery point down if it has been behind for a second: what no sync does for a log that is left
    /// alone. Answers how long it may still stay behind.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]. A failure to write it, but for want of room, stops all writes.
    pub(crate) fn checkpoint_if_due(&self) -> Result<Option<Duration>> {
        if !self.checkpoint.is_behind() {
            return Ok(None);
        }
        self.checkpoint_in_turn(&self.rounds.lock())
    }

    /// The same for who appends, and waits for nobody: a sync under way looks to it itself.
    pub(crate) fn checkpoint_beside(&self) -> Result<()> {
        match self.rounds.try_lock() {
            Some(turn) => self.checkpoint_in_turn(&turn).map(drop),
            None => Ok(()),
        }
    }

    fn checkpoint_in_turn(&self, _turn: &MutexGuard<'_, ()>) -> Result<Option<Duration>> {
        self.check_open()?;
        self.latch.check()?;
        self.try_to_raise(None)?;
        let until = self.checkpoint.written_at().saturating_add(CHECKPOINT_AFTER);
        Ok(self.checkpoint.is_behind().then(|| until.saturating_sub(self.clock.monotonic())))
    }

    /// Stores the marks, with the high watermark and last stable offset that follow from the topic's rule.
    #[inline]
    pub(super) fn set_marks(&self, writer: &mut MutexGuard<'_, Writer>, to: Marks) {
        let high = match (writer.high_mark, writer.config.high_watermark) {
            (HighMark::Held, _) => to.high.min(to.end),
            (HighMark::Follows, HighWatermark::Written) => to.end,
            // Where the rule was another until now, the mark waits for the durable end: readers have seen it there.
            (HighMark::Follows, HighWatermark::Durable) => to.durable.max(writer.marks.high).min(to.end),
        };
        let mut last_stable = match writer.tail.as_mut() {
            Some(tail) => tail.last_stable(high),
            None => to.last_stable.min(high),
        };
        if last_stable < high {
            last_stable = last_stable.max(self.log_start()).min(high);
        }
        let to = Marks { high, last_stable, ..to };
        self.marks.store(&writer.marks, &to);
        // One by one: a copy of all at once would wait until those just computed have left the store buffer.
        let marks = &mut writer.marks;
        (marks.last_stable, marks.high, marks.durable, marks.end) = (last_stable, high, to.durable, to.end);
    }

    /// Blocks until the mark reaches `offset`, or `timeout` has passed. Leads no sync.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`], [`ErrorKind::Closed`]; [`ErrorKind::PreviousFailure`] once a write or sync has failed.
    pub fn wait_mark(&self, offset: Offset, up_to: ReadUpTo, timeout: Option<Duration>) -> Result<()> {
        let deadline = timeout.and_then(deadline_after);
        loop {
            if self.end(up_to) >= offset {
                return Ok(());
            }
            self.check_open()?;
            let listening = self.moved.listen();
            if self.end(up_to) >= offset {
                return Ok(());
            }
            self.check_open()?;
            self.latch.check()?;
            if !listening.wait(deadline) {
                return Err(Error::new(ErrorKind::Timeout, format!("offset {offset} was not reached in time")));
            }
        }
    }

    /// Returns once the mark reaches `offset`. Leads no sync.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] above the log end. [`ErrorKind::Closed`]. If a write or sync fails meanwhile, what
    /// it failed with; [`ErrorKind::PreviousFailure`] for who comes later.
    pub(crate) async fn mark_reached(&self, offset: Offset, up_to: ReadUpTo) -> Result<()> {
        self.await_mark(offset, up_to, || match self.marks.end() {
            end if end < offset => {
                let message = format!("offset {offset} is behind the log end {end}");
                Err(Error::new(ErrorKind::OffsetOutOfRange, message))
            }
            _ => Ok(()),
        })
        .await
    }

    /// As [`Log::mark_reached`], and waits for offsets above the log end, too.
    pub(crate) async fn mark_comes(&self, offset: Offset, up_to: ReadUpTo) -> Result<()> {
        self.await_mark(offset, up_to, || Ok(())).await
    }

    /// Returns once the mark reaches `offset`, or `allowed` says that it is not to be waited for.
    async fn await_mark(&self, offset: Offset, up_to: ReadUpTo, allowed: impl Fn() -> Result<()>) -> Result<()> {
        let mut waited = false;
        loop {
            self.check_open()?;
            let listening = self.moved.listen();
            if self.end(up_to) >= offset {
                return Ok(());
            }
            self.check_open()?;
            self.latch.check().map_err(|later| self.latch.first().filter(|_| waited).unwrap_or(later))?;
            allowed()?;
            waited = true;
            listening.told().await;
        }
    }
}

/// Derived files may wait for room: what they say can be found again in the log.
pub(super) fn ignore_full_disk(result: Result<()>) -> Result<()> {
    unless_full(result).map(drop)
}

/// Whether there was room.
pub(super) fn unless_full(result: Result<()>) -> Result<bool> {
    match result {
        Err(error) if error.kind() == ErrorKind::StorageFull => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
