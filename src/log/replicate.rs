//! What a replica asks of its log, beyond appending and cutting: epochs, and a high watermark set from outside.

use crate::error::{Error, ErrorKind, Result};
use crate::log::watermarks::Marks;
use crate::log::{HighMark, Log};
use crate::types::{LeaderEpoch, Offset};

impl Log {
    /// Where `epoch` ended here: the largest epoch at or below it, and the offset behind its last batch. `None` for an
    /// epoch that is newer than all here, or if none is known. (`LeaderEpochFileCache.endOffsetFor`)
    ///
    /// # Errors
    /// What reading the epochs can answer; [`ErrorKind::Closed`].
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Result<Option<(LeaderEpoch, Offset)>> {
        let mut writer = self.lock_state()?;
        let end = writer.marks.end;
        Ok(self.tail(&mut writer)?.epochs.end_offset_for(epoch, end))
    }

    /// The epoch of the batch at `offset`, `None` below the first one that is known.
    ///
    /// # Errors
    /// As [`Log::epoch_end`].
    pub fn epoch_at(&self, offset: Offset) -> Result<Option<LeaderEpoch>> {
        let mut writer = self.lock_state()?;
        Ok(self.tail(&mut writer)?.epochs.epoch_for_offset(offset))
    }

    /// Begins a new epoch at the log end: what this node appends from now on as the leader carries it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an epoch that is not newer than all before; what [`Log::append`] answers about
    /// the log.
    pub(crate) fn begin_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        let mut writer = self.lock_writer()?;
        let end = writer.marks.end;
        let tail = self.tail(&mut writer)?;
        if tail.epochs.latest().is_some_and(|latest| latest.epoch >= epoch) || epoch < LeaderEpoch::ZERO {
            let message = format!("epoch {epoch} does not follow {}", tail.current_epoch());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        tail.change_epochs(|epochs| epochs.assign(epoch, end));
        Ok(())
    }

    /// From now on the high watermark moves only by [`Log::set_high_watermark`], whatever `high.watermark` says: for a
    /// log that a replica writes.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`].
    pub(crate) fn hold_high_watermark(&self) -> Result<()> {
        self.lock_state()?.high_mark = HighMark::Held;
        Ok(())
    }

    /// Moves the high watermark to `offset`, or as far in that direction as the log reaches. Returns where it is.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] unless [`Log::hold_high_watermark`] was called; [`ErrorKind::Closed`].
    pub(crate) fn set_high_watermark(&self, offset: Offset) -> Result<Offset> {
        let mut writer = self.lock_state()?;
        if writer.high_mark == HighMark::Follows {
            let message = "the high watermark follows the log by itself: hold it first";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let high = offset.min(writer.marks.end).max(self.log_start());
        let marks = Marks { high, ..writer.marks };
        self.set_marks(&mut writer, marks);
        drop(writer);
        self.moved();
        Ok(high)
    }

    /// Empties the log and goes on at `offset`: what a follower does whose leader no longer has what would come next.
    /// Durable when it returns.
    ///
    /// # Errors
    /// As [`Log::truncate`].
    pub(crate) fn reset_to(&self, offset: Offset) -> Result<()> {
        let _turn = self.rounds.lock();
        let mut writer = self.lock_writer()?;
        self.tail(&mut writer)?;
        self.start_over_at(&mut writer, offset)?;
        drop(writer);
        self.moved();
        Ok(())
    }
}
