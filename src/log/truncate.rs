//! Cutting the tail: what a follower does that diverged, and what an operator does to a damaged log.

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{Cleaned, CutSegment, RecoveryPoint};
use crate::log::durability::Sealing;
use crate::log::open::unlink_segment;
use crate::log::replay::Replay;
use crate::log::segment_set::SegmentSet;
use crate::log::tail::Tail;
use crate::log::watermarks::Marks;
use crate::log::{Log, Writer};
use crate::segment::file_name::{FileKind, Suffix, file_name, parse_file_name, suffixed_file_name};
use crate::segment::{ActiveSegment, Segment};
use crate::span;
use crate::sync::{Arc, MutexGuard, Ordering};
use crate::types::Offset;

/// Where a cut falls.
struct Cut {
    /// The log end after it: the start of a batch.
    at: Offset,
    /// How many segments stay, the one that is cut included.
    kept: usize,
    /// Where in the last of these its bytes end.
    position: u64,
}

impl Log {
    /// Removes all records from `offset` on, durably. The log end is then `offset`; or, where that lies inside of a
    /// batch, the start of this batch, as batches are never taken apart.
    ///
    /// ```text
    /// segments   [0..9] [10..19] [20..]        truncate(15)
    /// after      [0..9] [10..14] [15..]        a new segment ends the old one, whatever its file still holds
    /// ```
    ///
    /// Readers that hold slices of what was cut keep them. An offset at or above the log end changes nothing. Damage
    /// above the cut that opening had found is gone with the rest, and appends are taken again.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] below the log start. [`ErrorKind::Corruption`] if the place cannot be found for
    /// damage in front of it; the error says where a cut would be possible. What writing can answer: after a failure half way the
    /// partition takes no more writes until it is reopened.
    pub(crate) fn truncate(&self, offset: Offset) -> Result<Offset> {
        let _turn = self.rounds.lock();
        let mut writer = self.lock_writer()?;
        let log_start = self.log_start();
        if offset < log_start {
            let message = format!("cannot cut at {offset}, below log start {log_start}");
            return Err(Error::new(ErrorKind::OffsetOutOfRange, message));
        }
        if offset >= writer.marks.end && writer.damage.is_none() {
            let log_end = writer.marks.end;
            if let Some(tail) = writer.tail.as_mut() {
                tail.change_epochs(|epochs| epochs.truncate_from_end(log_end));
            }
            return Ok(writer.marks.end);
        }
        let _span = span::cut(self.directory.path());
        self.load_tail(&mut writer)?;
        let cut = self.find_cut(offset.min(writer.marks.end))?;
        // Half way through it nothing may fail that can be seen before.
        self.aborted_of(&self.segments.load(), cut.kept.wrapping_sub(1))?;
        self.lower_marks(&mut writer, &cut)?;
        let step = self.latch.begin()?;
        match self.cut(&mut writer, &cut) {
            Ok(()) => step.done(),
            Err(error) => return Err(step.failed(error)),
        }
        drop(writer);
        self.moved();
        Ok(cut.at)
    }

    /// Removes everything and begins at `offset`, wherever that lies. Where there is no room to write that down, nothing is
    /// removed.
    pub(super) fn start_over_at(&self, writer: &mut MutexGuard<'_, Writer>, offset: Offset) -> Result<()> {
        let cut = Cut { at: offset, kept: 0, position: 0 };
        self.note_emptied(&cut).map_err(|error| self.latch.trip_unless_full(error))?;
        let step = self.latch.begin()?;
        let emptied = self.empty(writer, &cut);
        match emptied {
            Ok(()) => step.done(),
            Err(error) => return Err(step.failed(error)),
        }
        Ok(())
    }

    fn note_emptied(&self, cut: &Cut) -> Result<()> {
        self.sync.lower(cut.at.get());
        self.checkpoint.update(self.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.recovery_point = RecoveryPoint { offset: cut.at, base: cut.at, position: 0 };
            checkpoint.high_watermark = checkpoint.high_watermark.min(cut.at);
            checkpoint.log_start = cut.at;
            checkpoint.cuts += 1;
            checkpoint.cleaned = Cleaned::default();
            Some(checkpoint)
        })?;
        self.checkpoint.update(self.directory.as_ref(), |state| {
            state.synced = state.checkpoint.recovery_point;
            None
        })
    }

    fn empty(&self, writer: &mut MutexGuard<'_, Writer>, cut: &Cut) -> Result<()> {
        let set = self.segments.load_full();
        self.unlink_behind(&set, cut)?;
        for snapshot in self.snapshots()? {
            self.directory.unlink(&file_name(snapshot, FileKind::Snapshot))?;
        }
        let active = self.start_behind(writer, &set, cut)?;
        let segments = active.iter().map(|active| Arc::clone(active.segment())).collect();
        writer.damage = None;
        writer.unsealed.clear();
        self.has_unsealed.store(false, Ordering::Release);
        let mut tail = Tail::new(Replay::empty(cut.at), active);
        tail.change_epochs(|_| true);
        writer.tail = Some(tail);
        let marks = Marks { end: cut.at, durable: cut.at, high: cut.at, last_stable: cut.at };
        if cut.at < writer.marks.end {
            self.set_marks(writer, marks);
            self.publish(writer, SegmentSet::new(segments, cut.at));
        } else {
            self.publish(writer, SegmentSet::new(segments, cut.at));
            self.set_marks(writer, marks);
        }
        Ok(())
    }

    fn find_cut(&self, offset: Offset) -> Result<Cut> {
        let set = self.segments.load();
        let Some(index) = set.floor(offset) else { return Ok(Cut { at: offset, kept: 0, position: 0 }) };
        let place = set.segments()[index].cut_place(offset, self.checkpoint.may_have_gaps())?;
        if place.at < set.log_start() {
            // Nothing that may be read is left in front of the cut.
            return Ok(Cut { at: set.log_start(), kept: 0, position: 0 });
        }
        Ok(Cut { at: place.at, kept: index + 1, position: place.position })
    }

    /// Takes the durable mark down to the cut, in memory and on disk. Where there is no room for that, nothing is cut.
    fn lower_marks(&self, writer: &mut MutexGuard<'_, Writer>, cut: &Cut) -> Result<()> {
        self.sync.lower(cut.at.get());
        let durable = writer.marks.durable.min(cut.at);
        self.set_marks(writer, Marks { durable, ..writer.marks });
        self.lower_checkpoint(&self.segments.load(), cut).map_err(|error| self.latch.trip_unless_full(error))
    }

    /// The cut itself. Each step is durable before the next, so that a crash in between leaves a log that ends at the
    /// cut or above it, never one with a hole.
    fn cut(&self, writer: &mut MutexGuard<'_, Writer>, cut: &Cut) -> Result<()> {
        let set = self.segments.load_full();
        self.unlink_behind(&set, cut)?;
        let active = self.start_behind(writer, &set, cut)?;
        let kept = self.kept_segments(&set, cut)?;
        let replay = self.replay_to(&kept, cut.at, writer)?;
        let mut segments = kept;
        segments.extend(active.iter().map(|active| Arc::clone(active.segment())));
        writer.damage = None;
        self.settle_unsealed(writer, &segments, cut);
        let mut tail = Tail::new(replay, active);
        tail.is_ended = tail.active.is_none();
        writer.tail = Some(tail);
        let marks = Marks { end: cut.at, ..writer.marks };
        self.set_marks(writer, marks);
        self.publish(writer, SegmentSet::new(segments, set.log_start()));
        Ok(())
    }

    /// The recovery point goes down first, synced: a crash right after must not take the cut part for durable.
    fn lower_checkpoint(&self, set: &SegmentSet, cut: &Cut) -> Result<()> {
        let kept = |back: usize| cut.kept.checked_sub(back).and_then(|index| set.segments().get(index));
        let (last_kept, before) = (kept(1), kept(2));
        let base = last_kept.map_or(cut.at, |segment| segment.base_offset());
        self.checkpoint.update(self.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.cuts += 1;
            for point in [&mut checkpoint.recovery_point, &mut state.synced] {
                if point.offset > cut.at {
                    *point = RecoveryPoint { offset: cut.at, base, position: cut.position };
                    // Nothing of that segment stays, its file goes for a while: the point is the end of the one before.
                    if let (0, Some(before)) = (cut.position, before) {
                        let base = before.base_offset();
                        let position = checkpoint.cut_segments.iter().find(|cut| cut.base == base);
                        let position = position.map_or(before.size(), |cut| cut.position);
                        *point = RecoveryPoint { offset: cut.at, base, position };
                    }
                }
            }
            checkpoint.high_watermark = checkpoint.high_watermark.min(cut.at);
            checkpoint.cleaned.to = checkpoint.cleaned.to.min(cut.at);
            if last_kept.is_some_and(|segment| cut.position < segment.size()) {
                checkpoint.cut_segments.retain(|known| known.base != base);
                checkpoint.cut_segments.push(CutSegment { base, end: cut.at, position: cut.position });
            }
            Some(checkpoint)
        })
    }

    /// Removes the segments behind the cut, newest first, each durably gone before the next; and the snapshots that
    /// tell of what is cut.
    fn unlink_behind(&self, set: &SegmentSet, cut: &Cut) -> Result<()> {
        let last_kept = cut.kept.checked_sub(1).map(|index| set.segments()[index].base_offset());
        let is_log = |kind, suffix| kind == FileKind::Log && suffix == Suffix::None;
        // Also those that opening left out, behind damage: they would be taken for what comes next.
        let names = self.directory.list()?.into_iter().filter_map(|entry| parse_file_name(&entry.name));
        let logs = names.filter(|(_, kind, suffix)| is_log(*kind, *suffix)).map(|(base, _, _)| base);
        let mut behind: Vec<Offset> = logs.filter(|base| Some(*base) > last_kept).collect();
        behind.sort_unstable();
        for base in behind.into_iter().rev() {
            unlink_segment(self.directory.as_ref(), base)?;
            if let Some(segment) = set.at(base) {
                segment.region().doom();
            }
            self.directory.sync()?;
        }
        for snapshot in self.snapshots()?.into_iter().filter(|offset| *offset > cut.at) {
            self.directory.unlink(&file_name(snapshot, FileKind::Snapshot))?;
        }
        Ok(())
    }

    /// Starts the segment that ends the old one, durably. Where the old one would have the same name, as nothing of it
    /// stays, its file is renamed first. `None` where there is no room for it: what is gone is gone all the same, and the
    /// next append starts it.
    fn start_behind(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        set: &SegmentSet,
        cut: &Cut,
    ) -> Result<Option<ActiveSegment>> {
        if cut.kept > 0 && set.segments()[cut.kept - 1].base_offset() == cut.at {
            let doomed = suffixed_file_name(cut.at, FileKind::Log, Suffix::Deleted);
            self.directory.rename(&file_name(cut.at, FileKind::Log), &doomed)?;
            unlink_segment(self.directory.as_ref(), cut.at)?;
            self.directory.unlink(&doomed)?;
            set.segments()[cut.kept - 1].region().doom();
            self.directory.sync()?;
        }
        let active = match self.create_segment(writer, cut.at, 0) {
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(None),
            created => created?,
        };
        active.segment().region().sync()?;
        writer.names.add();
        match self.sync_names(writer) {
            Err(error) if error.kind() != ErrorKind::StorageFull => Err(error),
            _ => Ok(Some(active)),
        }
    }

    /// The segments in front of the cut. The one that was cut gets indexes that know nothing behind it.
    fn kept_segments(&self, set: &SegmentSet, cut: &Cut) -> Result<Vec<Arc<Segment>>> {
        let mut kept: Vec<Arc<Segment>> = set.segments()[..cut.kept].to_vec();
        if let Some(last) = kept.pop_if(|last| last.base_offset() < cut.at) {
            last.cut_indexes(cut.at, cut.position)?;
            kept.push(last);
        }
        kept.retain(|segment| segment.base_offset() < cut.at);
        Ok(kept)
    }

    /// Producers and epochs as they were at the cut.
    fn replay_to(&self, kept: &[Arc<Segment>], end: Offset, writer: &mut MutexGuard<'_, Writer>) -> Result<Replay> {
        let first = kept.first().map_or(end, |first| first.base_offset());
        let mut replay = Replay::start(self.directory.as_ref(), &self.snapshots()?, &(first..=end), self.clock.now())?;
        if let Some(tail) = writer.tail.as_ref() {
            replay.epochs = tail.epochs.clone();
            replay.epochs_dirty = true;
        }
        replay.epochs.truncate_from_end(end);
        for (index, segment) in kept.iter().enumerate() {
            replay.segment(segment, kept.get(index + 1).map_or(end, |next| next.base_offset()))?;
        }
        replay.producers.advance(end);
        Ok(replay)
    }

    /// What waits to be synced behind the cut waits no longer, and no snapshot that tells of what is cut. The segment
    /// that was cut now does, for its bytes if it was the active one, and for its index files.
    fn settle_unsealed(&self, writer: &mut MutexGuard<'_, Writer>, segments: &[Arc<Segment>], cut: &Cut) {
        let active = writer.tail.as_mut().and_then(|tail| tail.active.take());
        drop(active.map(ActiveSegment::seal));
        let is_kept = |segment: &Arc<Segment>| segments.iter().any(|kept| Arc::ptr_eq(kept, segment));
        writer.unsealed.retain(|sealing| is_kept(&sealing.segment));
        for sealing in &mut writer.unsealed {
            sealing.snapshot.take_if(|(offset, _)| *offset > cut.at);
        }
        let last = segments.iter().rfind(|segment| segment.base_offset() < cut.at);
        let waits = |last: &Arc<Segment>| writer.unsealed.iter().any(|sealing| Arc::ptr_eq(&sealing.segment, last));
        if let Some(segment) = last.filter(|last| !waits(last)).cloned() {
            writer.unsealed.push(Sealing { segment, snapshot: None, trim: false });
        }
        self.has_unsealed.store(!writer.unsealed.is_empty(), Ordering::Release);
    }
}
