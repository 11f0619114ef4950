//! Retention of one partition, and what holds it back.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::log::holds::Holds;
use crate::log::{DueSegment, Removed};
use crate::partition::{Partition, Role, WeakPartition, trim};
use crate::segment::Segment;
use crate::sync::Arc;
use crate::types::Offset;

impl Partition {
    /// The segments that retention would remove now, oldest first: see [`Log::due_segments`](crate::Log::due_segments).
    ///
    /// # Errors
    /// As [`Log::due_segments`](crate::Log::due_segments).
    pub fn due_segments(&self) -> Result<Vec<DueSegment>> {
        self.log().due_segments()
    }

    /// Removes the segments that are due, oldest first, each durably gone before the next. A last one that is due is
    /// rolled first. Writes nothing else, so that this works on a full disk, and may be interrupted anywhere by a crash.
    ///
    /// Does not ask the store's [`StoreConfig::before_removal`](crate::StoreConfig::before_removal).
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`], [`ErrorKind::Closed`], [`ErrorKind::PreviousFailure`];
    /// [`ErrorKind::StorageFull`] if the last segment is due and there is no room to begin another; what the operating
    /// system can answer.
    pub fn retain(&self) -> Result<Removed> {
        let mut all = Removed::default();
        loop {
            let (removed, more) = self.retain_some(usize::MAX, |_, _| {})?;
            all.add(removed);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Removes at most `most` segments that are due; `announce` is told of each, and may take a hold. Answers whether
    /// there may be more.
    pub(crate) fn retain_some(
        &self,
        most: usize,
        announce: impl FnMut(&DueSegment, &Arc<Segment>),
    ) -> Result<(Removed, bool)> {
        match &self.0.role {
            Role::Alone(log) => {
                let retained = log.retain(most, announce);
                if log.has_unsealed() {
                    self.after_roll(log)?;
                }
                retained
            }
            Role::Replicated(replica) => {
                let due = self.due_segments()?;
                let Some(last) = due.last() else { return Ok((Removed::default(), false)) };
                let trimmed = trim(replica.as_ref(), last.end_offset)?;
                Ok((Removed { segments: trimmed.segments, bytes: trimmed.bytes }, false))
            }
        }
    }

    /// Keeps retention from removing records at `offset` or above, for as long as the answer lives: for an archive that
    /// is behind, or a reader that is slow. Costs nothing but room on the disk; any number may be taken.
    ///
    /// A hold is against retention only: [`Partition::delete_records`], [`Partition::truncate`], compaction and the
    /// deletion of the topic do what they are told. It does not survive the process.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] below the log start: those records are gone. [`ErrorKind::Closed`].
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use riverbed::{Offset, Record, Store, TopicConfig};
    ///
    /// let store = Store::open(dir.path())?;
    /// let topic = store.create_topic("orders", TopicConfig::default().set("retention.ms", "0")?)?;
    /// let partition = topic.partition(0)?;
    /// let hold = partition.hold(Offset::ZERO)?; // before the first record, so that none is missed
    /// let end = partition.append_record(&Record::new().value("two apples"))?.offsets.end().next();
    /// assert_eq!(partition.retain()?.segments, 0);
    /// // ... copy what is there to the archive ...
    /// hold.advance(end);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hold(&self, offset: Offset) -> Result<Hold> {
        let log = self.log();
        log.check_open()?;
        let holds = Arc::clone(log.holds());
        let hold = Hold { key: holds.add(offset), holds, partition: self.downgrade() };
        // Asked under the writer lock: what retention has begun to remove lies below the start by then.
        let (log_start, _) = log.offsets();
        if offset < log_start {
            let message = format!("cannot hold {offset}, below log start {log_start}");
            return Err(Error::new(ErrorKind::OffsetOutOfRange, message));
        }
        Ok(hold)
    }
}

/// Keeps records from being removed by retention, until it is dropped: see [`Partition::hold`].
///
/// Does not keep the partition open. Where retention was waiting for it, the store's worker is woken.
#[must_use = "a hold that is dropped holds nothing"]
pub struct Hold {
    holds: Arc<Holds>,
    key: u64,
    partition: WeakPartition,
}

impl Hold {
    /// The first offset that it keeps.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.holds.offset(self.key).unwrap_or(Offset::ZERO)
    }

    /// Moves it forward: what lies below `offset` may go now. It never moves back.
    pub fn advance(&self, offset: Offset) {
        if self.holds.advance(self.key, offset) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(partition) = self.partition.upgrade()
            && let Some(flusher) = &partition.0.flusher
        {
            flusher.retain_soon(&partition);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.holds.remove(self.key) {
            self.wake();
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("offset", &self.offset()).finish_non_exhaustive()
    }
}
