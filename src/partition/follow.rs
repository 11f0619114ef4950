//! What a partition on its own does on behalf of somebody else: follow a leader, or a coordinator's word.

use super::Partition;
use crate::error::Result;
use crate::log::{Appended, VerificationGuard};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

impl Partition {
    /// Appends batches as a follower: verbatim, with the offsets and epochs that they carry. Batches that are whole are
    /// appended up to the first that is not as it must be.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) for a batch that is damaged, or does not lie behind the log
    /// end and those before it: then batches before the refused one stay appended.
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if a replica writes the log; and as
    /// [`Partition::append`] about the log.
    pub fn append_as_follower(&self, batches: &[u8]) -> Result<Option<Appended>> {
        let log = self.own_log()?;
        self.admit()?;
        let appended = log.append_as_follower(batches)?;
        if let Some(appended) = &appended {
            self.after_append(log, appended, batches.len())?;
        }
        Ok(appended)
    }

    /// Begins a new epoch at the log end: what is appended from now on carries it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for an epoch that is not newer than all before;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if a replica writes the log; and as
    /// [`Partition::append`] about the log.
    pub fn begin_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        self.own_log()?.begin_epoch(epoch)
    }

    /// Empties the partition and goes on at `offset`: what a follower does whose leader no longer has what would come
    /// next. Durable when it returns.
    ///
    /// # Errors
    /// As [`Partition::truncate`].
    pub fn reset_to(&self, offset: Offset) -> Result<()> {
        self.own_log()?.reset_to(offset)?;
        self.settle_all();
        Ok(())
    }

    /// Says that `producer` wants to append a batch of a transaction, with this sequence. Answers the guard that the
    /// append has to show, or `None` if a transaction of it is open here and nothing has to be shown.
    ///
    /// ```text
    /// guard = partition.begin_verification(producer, epoch, sequence)
    /// if there is one: ask the coordinator whether this partition is part of the transaction
    /// partition.append_verified(batch, guard)
    /// ```
    ///
    /// Whoever asks before the append gets the same guard. The first record of the transaction, and any marker, ends its
    /// force: if the transaction was ended while the coordinator was asked, the append is refused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) without a producer;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if a replica writes the log; and as
    /// [`Partition::append`] about the log.
    pub fn begin_verification(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
    ) -> Result<Option<VerificationGuard>> {
        self.own_log()?.begin_verification(producer, epoch, sequence)
    }
}
