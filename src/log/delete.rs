//! Moving the log start: records below it are hidden at once, and segments wholly below it go.

use std::ops::RangeTo;

use crate::error::{Error, ErrorKind, Result};
use crate::log::open::unlink_segment;
use crate::log::segment_set::SegmentSet;
use crate::log::{Log, Writer};
use crate::segment::Segment;
use crate::segment::file_name::{FileKind, file_name};
use crate::sync::{Arc, MutexGuard, Ordering};
use crate::types::Offset;

/// What a deletion of records did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletedRecords {
    /// The first offset that can still be read.
    pub log_start: Offset,
    /// Segments that are gone.
    pub segments: u64,
    /// Their bytes. The space comes back when nobody holds a slice of them.
    pub bytes: u64,
}

impl Log {
    /// Removes all records before the end of `range`.
    ///
    /// ```text
    /// segments   [0..9] [10..19] [20..]        delete_records(..15)
    /// after             [10..19] [20..]        log start is 15; 10..14 are hidden
    /// ```
    ///
    /// Returns once whole segments below the new start are gone and the start is durable. One at or below the present
    /// start changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] above the high watermark. [`ErrorKind::StorageFull`] if there is no room to write
    /// down the new start: whole segments are freed all the same, and the log starts at the first one that is left.
    pub(crate) fn delete_records(&self, range: RangeTo<Offset>) -> Result<DeletedRecords> {
        let to = range.end;
        let (_turn, mut writer) = self.lock_durable(to)?;
        let high = self.marks.high();
        if to > high {
            let message = format!("cannot delete up to {to}, above the high watermark {high}");
            return Err(Error::new(ErrorKind::OffsetOutOfRange, message));
        }
        if to <= self.log_start() {
            return Ok(DeletedRecords { log_start: self.log_start(), segments: 0, bytes: 0 });
        }
        let rolled = self.roll_if_wholly_below(&mut writer, to);
        let mut deleted = self.drop_segments_below(&mut writer, to)?;
        rolled.and_then(|()| self.raise_log_start(&mut writer, to))?;
        deleted.log_start = self.log_start();
        drop(writer);
        self.moved();
        Ok(deleted)
    }

    /// The turn for rounds and the writer lock, with all records below `to` durable that there are: the log never starts above what is, or a
    /// power cut might take its end below its start.
    pub(super) fn lock_durable(&self, to: Offset) -> Result<(MutexGuard<'_, ()>, MutexGuard<'_, Writer>)> {
        loop {
            let turn = self.rounds.lock();
            let writer = self.lock_writer()?;
            let wanted = to.min(self.marks.high());
            if writer.marks.durable >= wanted {
                return Ok((turn, writer));
            }
            drop(writer);
            drop(turn);
            self.wait_durable(wanted)?;
        }
    }

    /// An active segment that holds nothing else is rolled, so that it can go.
    pub(super) fn roll_if_wholly_below(&self, writer: &mut MutexGuard<'_, Writer>, to: Offset) -> Result<()> {
        let log_end = writer.marks.end;
        if to < log_end || self.segments.load().last().is_none_or(|last| last.size() == 0) {
            return Ok(());
        }
        self.open_active(writer)?;
        self.roll_writer(writer, log_end, 0)
    }

    /// Removes the segments that hold only records below `to`, oldest first, each durably gone before the next. Freeing
    /// space allocates nothing, so this comes before the checkpoint.
    fn drop_segments_below(&self, writer: &mut MutexGuard<'_, Writer>, to: Offset) -> Result<DeletedRecords> {
        let doomed = self.segments.load().wholly_below(to);
        let mut deleted = DeletedRecords { log_start: self.log_start(), segments: 0, bytes: 0 };
        for _ in 0..doomed {
            let gone = self.take_oldest(writer)?;
            self.unlink_oldest(&gone)?;
            deleted.segments += 1;
            deleted.bytes += gone.size();
        }
        Ok(deleted)
    }

    /// Hides the oldest of several segments from readers. The caller, whose turn for rounds it is, unlinks its files.
    pub(super) fn take_oldest(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<Arc<Segment>> {
        self.sync_names(writer)?;
        let set = self.segments.load_full();
        let [oldest, next, ..] = set.segments() else {
            return Err(Error::new(ErrorKind::InvalidArgument, "the only segment of a log stays"));
        };
        let log_start = set.log_start().max(next.base_offset());
        writer.unsealed.retain(|sealing| !Arc::ptr_eq(&sealing.segment, oldest));
        self.has_unsealed.store(!writer.unsealed.is_empty(), Ordering::Release);
        self.show_start(writer, set.with_start(log_start, 1));
        Ok(Arc::clone(oldest))
    }

    /// Removes the files of a segment that is hidden, durably. Writes nothing: this works on a full disk, too.
    pub(super) fn unlink_oldest(&self, segment: &Segment) -> Result<()> {
        let base = segment.base_offset();
        unlink_segment(self.directory.as_ref(), base).map_err(|error| self.latch.trip(error))?;
        segment.region().doom();
        self.directory.unlink(&file_name(base, FileKind::Snapshot)).map_err(|error| self.latch.trip(error))?;
        self.removed.add(segment);
        Ok(())
    }

    /// Shows readers a later start, which a transaction that began below it no longer holds back.
    fn show_start(&self, writer: &mut MutexGuard<'_, Writer>, set: SegmentSet) {
        let log_start = set.log_start();
        self.publish(writer, set);
        let marks = writer.marks;
        self.set_marks(writer, marks);
        if let Some(tail) = writer.tail.as_mut() {
            tail.change_epochs(|epochs| epochs.truncate_from_start(log_start));
        }
    }

    /// Writes the new start down, then shows it.
    fn raise_log_start(&self, writer: &mut MutexGuard<'_, Writer>, to: Offset) -> Result<()> {
        self.checkpoint
            .update(self.directory.as_ref(), |state| {
                let mut checkpoint = state.checkpoint.clone();
                checkpoint.log_start = to;
                Some(checkpoint)
            })
            .map_err(|error| self.latch.trip_unless_full(error))?;
        let set = self.segments.load_full();
        self.show_start(writer, set.with_start(to, 0));
        Ok(())
    }
}
