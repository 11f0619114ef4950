//! A clean close: everything synced, trimmed and indexed, so that the next opening has nothing to look for.

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{CutSegment, RecoveryPoint};
use crate::log::durability::{Derived, unless_full};
use crate::log::segment_set::SegmentSet;
use crate::log::{Log, Writer, durability};
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::{ActiveSegment, Segment};
use crate::sync::{Arc, MutexGuard, Ordering};
use crate::types::Offset;

/// Where a log ended when it was closed cleanly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The log start.
    pub(crate) log_start: Offset,
    /// The last stable offset.
    pub(crate) last_stable: Offset,
    /// The log end.
    pub(crate) log_end: Offset,
    /// Base of the last segment; the log end if there is none.
    pub(crate) last_base: Offset,
    /// Length of its file in bytes.
    pub(crate) last_len: u64,
}

impl Log {
    /// Syncs, trims and indexes everything, and closes the handle: it and all its copies answer
    /// [`ErrorKind::Closed`] from then on. Slices stay readable. Closing again does nothing.
    ///
    /// Returns the ends that a clean mark states, or `None` if the log cannot be called clean: it is damaged, or was
    /// opened read-only.
    ///
    /// # Errors
    /// What a sync can answer; the log is closed all the same, and the next opening recovers it.
    pub(crate) fn close(&self) -> Result<Option<Ends>> {
        if self.is_forked() {
            return Ok(None);
        }
        if self.read_only || self.closed.load(Ordering::Acquire) {
            self.shut();
            return Ok(None);
        }
        // Most of the work, while others may still append.
        let synced = self.latch.check().and_then(|()| self.sync());
        let turn = self.rounds.lock();
        let mut writer = self.writer.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(None);
        }
        let closed = synced.and_then(|_| self.latch.check()).and_then(|()| self.finish(&mut writer));
        self.let_go(writer);
        drop(turn);
        self.cleaner.halt();
        closed
    }

    /// Writes the checkpoint of a log that was Kafka's, whose own files say from now on where it starts and ends.
    ///
    /// # Errors
    /// As [`Log::sync`]; what writing the file can answer. What is wrong with a log that takes no appends for damage.
    pub(crate) fn take_over(&self) -> Result<()> {
        let offset = self.sync()?;
        if let Some(damage) = &self.lock_writer()?.damage {
            return Err(damage.clone());
        }
        let set = self.segments.load();
        let (base, position) = set.last().map_or((offset, 0), |last| (last.base_offset(), last.size()));
        let high_watermark = self.marks.high();
        self.checkpoint.update(self.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.recovery_point = RecoveryPoint { offset, base, position };
            state.synced = checkpoint.recovery_point;
            checkpoint.log_start = set.log_start();
            checkpoint.high_watermark = high_watermark;
            Some(checkpoint)
        })
    }

    /// Ends the handle without a word to the disk: what a crash does, but for the memory. When this returns no sync and
    /// no cleaning is under way: none touches a file that has another owner by now.
    pub(crate) fn shut(&self) {
        if self.is_forked() {
            return;
        }
        let turn = self.rounds.lock();
        self.let_go(self.writer.lock());
        drop(turn);
        self.cleaner.halt();
    }

    fn let_go(&self, mut writer: MutexGuard<'_, Writer>) {
        self.closed.store(true, Ordering::Release);
        writer.tail = None;
        writer.unsealed.clear();
        drop(writer);
        // Zeros written from now on could hit bytes of who opens the log next.
        drop(self.zeroing.lock());
        let told = self.check_open().err().unwrap_or_else(|| Error::new(ErrorKind::Closed, "the log was closed"));
        self.sync.fail(told);
        self.moved.tell();
    }

    /// Ends the handle because its topic was deleted: it answers [`ErrorKind::UnknownTopic`] from then on.
    pub(crate) fn shut_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.shut();
        if self.is_forked() {
            return;
        }
        // Only who reads holds the space of the files any longer, not whoever has a handle.
        let set = self.segments.load_full();
        set.segments().iter().for_each(|segment| segment.region().doom());
        self.segments.store(Arc::new(SegmentSet::new(Vec::new(), set.log_start())));
    }

    fn finish(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<Option<Ends>> {
        if writer.damage.is_some() {
            return Ok(None);
        }
        let was_written = writer.tail.as_ref().is_some_and(|tail| tail.active.is_some() || tail.has_dirty_epochs());
        let last = |log: &Self| log.segments.load().last().cloned();
        let cut = |log: &Self| last(log).and_then(|last| log.checkpoint.get().cut_of(last.base_offset()).copied());
        let cut_before = cut(self);
        let lacks_files = self.segments.load().segments().iter().any(|segment| segment.lacks_index_files());
        if was_written || lacks_files || !writer.unsealed.is_empty() {
            let finished = self.finish_files(writer).map_err(|error| self.stop(error))?;
            if finished == Derived::Lacking {
                return Ok(None);
            }
        }
        let set = self.segments.load();
        let trimmed = cut_before.filter(|_| cut(self).is_none());
        let len = |last: &Segment| trimmed.map_or(last.size(), |cut| cut.position);
        let last = set.last().map_or((writer.marks.end, 0), |last| (last.base_offset(), len(last)));
        Ok(Some(Ends {
            log_start: set.log_start(),
            last_stable: self.marks.last_stable(),
            log_end: writer.marks.end,
            last_base: last.0,
            last_len: last.1,
        }))
    }

    /// All that was written when the close began is synced: what is left is what came since, to trim, to index, and to
    /// say so.
    fn finish_files(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<Derived> {
        let mut lacking = false;
        for sealing in std::mem::take(&mut writer.unsealed) {
            lacking |= self.sync_sealed(&sealing)? == Derived::Lacking;
        }
        if let Some(active) = writer.tail.as_mut().and_then(|tail| tail.active.take()).map(ActiveSegment::seal) {
            active.region().finish()?;
            active.region().sync()?;
            lacking |= self.write_indexes(&active)? == Derived::Lacking;
        }
        if let Some(tail) = &writer.tail {
            let (snapshot, epochs) = (tail.snapshot(), tail.epochs.format());
            let name = file_name(writer.marks.end, FileKind::Snapshot);
            durability::ignore_full_disk(self.directory.put(&name, &snapshot))?;
            lacking |= !unless_full(self.directory.put(super::epoch_cache::FILE, epochs.as_bytes()))?;
        }
        let still_long = self.replace_long_files()?;
        lacking |= self.write_lacking_indexes()? == Derived::Lacking;
        self.directory.sync()?;
        if lacking {
            return Ok(Derived::Lacking);
        }
        self.close_checkpoint(writer.marks.end, still_long)?;
        Ok(Derived::Written)
    }

    /// All is durable: the recovery point is the log end.
    fn close_checkpoint(&self, log_end: Offset, still_long: Vec<CutSegment>) -> Result<()> {
        let set = self.segments.load();
        let cut_of = |base| self.checkpoint.get().cut_of(base).map(|cut| cut.position);
        let (base, position) = set
            .last()
            .map_or((log_end, 0), |last| (last.base_offset(), cut_of(last.base_offset()).unwrap_or(last.size())));
        let recovery_point = RecoveryPoint { offset: log_end, base, position };
        let high_watermark = self.marks.high();
        durability::ignore_full_disk(self.checkpoint.update(self.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.recovery_point = recovery_point;
            state.synced = recovery_point;
            checkpoint.high_watermark = high_watermark;
            checkpoint.cut_segments = still_long;
            Some(checkpoint)
        }))
    }

    /// Writes the index files that are not there: of segments whose indexes were built anew, or were missing. Kafka
    /// looks for them.
    fn write_lacking_indexes(&self) -> Result<Derived> {
        let mut lacking = false;
        for segment in self.segments.load().segments().iter().filter(|segment| segment.lacks_index_files()) {
            segment.build_indexes()?;
            lacking |= self.write_indexes(segment)? == Derived::Lacking;
        }
        Ok(if lacking { Derived::Lacking } else { Derived::Written })
    }

    /// Replaces each file that a cut left longer than its segment by a trimmed copy: shortening it in place would take
    /// the pages from under who holds a slice of them. Answers which ones there was no room for.
    fn replace_long_files(&self) -> Result<Vec<CutSegment>> {
        let set = self.segments.load();
        let mut still_long = Vec::new();
        for cut in self.checkpoint.get().cut_segments {
            let Some(segment) = set.at(cut.base) else { continue };
            let valid = segment.region().window(0..cut.position)?;
            match unless_full(self.directory.put(&segment.file_name(FileKind::Log), &valid))? {
                true => segment.region().doom(),
                false => still_long.push(cut),
            }
        }
        Ok(still_long)
    }
}
