//! A log with the right to write it: what a replica is given.

use std::fmt;
use std::ops::{Deref, RangeTo};
use std::path::Path;

use super::options::{Opened, PartitionOptions};
use crate::error::Result;
use crate::io::DirectoryLock;
use crate::log::{AppendOrigin, Appended, DeletedRecords, Log, LogConfig, Removed, VerificationGuard, single_batch};
use crate::sync::Mutex;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicPartition};

/// A log, and the only way to write it: for whoever implements [`Replica`](crate::Replica).
///
/// What reads, and waits, is the [`Log`]'s, to which this dereferences; so a replica shows its log to others without
/// letting them write. It has no thread: who waits for durability leads the sync, and a roll is synced by the next
/// [`Log::sync`].
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use riverbed::{AppendOrigin, BatchBuilder, LogWriter, PartitionOptions, ReadUpTo, Record, Timestamp};
///
/// let (id, log) = LogWriter::open(dir.path().join("orders-0"), PartitionOptions::default())?;
/// assert_eq!(id.to_string(), "orders-0");
/// log.hold_high_watermark()?;
/// let mut builder = BatchBuilder::new();
/// builder.push(&Record::new().value("two apples"), Timestamp::from_millis(1_700_000_000_000))?;
/// if let Some(batch) = builder.finish()? {
///     let appended = log.append(batch, AppendOrigin::Client)?;
///     // … the others have it as well:
///     log.set_high_watermark(appended.offsets.end().next())?;
/// }
/// assert_eq!(log.end(ReadUpTo::HighWatermark).get(), 1);
/// log.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogWriter {
    log: Log,
    locks: Mutex<Vec<Box<dyn DirectoryLock>>>,
}

impl LogWriter {
    /// Opens the log in the directory at `path`, as [`Partition::open`](crate::Partition::open) does, and tells which
    /// partition it is.
    ///
    /// # Errors
    /// As [`Partition::open`](crate::Partition::open).
    pub fn open(path: impl AsRef<Path>, options: PartitionOptions) -> Result<(TopicPartition, Self)> {
        let Opened { id, log, locks } = Opened::at(path.as_ref(), options)?;
        Ok((id, Self { log, locks: Mutex::new(locks) }))
    }

    /// Appends a batch as the leader: checks it, gives it the next offsets, and publishes it.
    ///
    /// # Errors
    /// As [`Partition::append`](crate::Partition::append), but for those of a sync.
    pub fn append(&self, batch: &[u8], origin: AppendOrigin) -> Result<Appended> {
        self.log.append(&single_batch(batch)?, origin)
    }

    /// Appends a batch of a client, which belongs to a transaction only if `guard` still stands.
    ///
    /// # Errors
    /// As [`Partition::append_verified`](crate::Partition::append_verified), but for those of a sync.
    pub fn append_verified(&self, batch: &[u8], guard: Option<VerificationGuard>) -> Result<Appended> {
        self.log.append_verified(&single_batch(batch)?, guard)
    }

    /// Says that `producer` wants to append a batch of a transaction: see
    /// [`Partition::begin_verification`](crate::Partition::begin_verification).
    ///
    /// # Errors
    /// As [`Partition::begin_verification`](crate::Partition::begin_verification).
    pub fn begin_verification(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
    ) -> Result<Option<VerificationGuard>> {
        self.log.begin_verification(producer, epoch, sequence)
    }

    /// Appends batches as a follower: verbatim, with the offsets and epochs that they carry, up to the first that is not
    /// as it must be.
    ///
    /// # Errors
    /// As [`Partition::append_as_follower`](crate::Partition::append_as_follower), but for those of a sync.
    pub fn append_as_follower(&self, batches: &[u8]) -> Result<Option<Appended>> {
        self.log.append_as_follower(batches)
    }

    /// Starts a new segment, unless the active one is empty. Returns the active segment's base.
    ///
    /// # Errors
    /// As [`LogWriter::append`] about the log.
    pub fn roll(&self) -> Result<Offset> {
        self.log.roll()
    }

    /// Removes all records from `offset` on, durably: see [`Partition::truncate`](crate::Partition::truncate).
    ///
    /// # Errors
    /// As [`Partition::truncate`](crate::Partition::truncate).
    pub fn truncate(&self, offset: Offset) -> Result<Offset> {
        self.log.truncate(offset)
    }

    /// Removes all records before the end of `range`, durably: see
    /// [`Partition::delete_records`](crate::Partition::delete_records).
    ///
    /// # Errors
    /// As [`Partition::delete_records`](crate::Partition::delete_records).
    pub fn delete_records(&self, range: RangeTo<Offset>) -> Result<DeletedRecords> {
        self.log.delete_records(range)
    }

    /// Removes the segments that retention no longer wants: see [`Partition::retain`](crate::Partition::retain).
    ///
    /// # Errors
    /// As [`Partition::retain`](crate::Partition::retain).
    pub fn retain(&self) -> Result<Removed> {
        self.log.retain_all()
    }

    /// Empties the log and goes on at `offset`: what a follower does whose leader no longer has what would come next.
    /// Durable when it returns.
    ///
    /// # Errors
    /// As [`LogWriter::truncate`].
    pub fn reset_to(&self, offset: Offset) -> Result<()> {
        self.log.reset_to(offset)
    }

    /// Begins a new epoch at the log end: what this node appends from now on as the leader carries it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for an epoch that is not newer than all before;
    /// otherwise as [`LogWriter::append`] about the log.
    pub fn begin_epoch(&self, epoch: LeaderEpoch) -> Result<()> {
        self.log.begin_epoch(epoch)
    }

    /// From now on the high watermark moves only by [`LogWriter::set_high_watermark`], whatever `high.watermark` says.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn hold_high_watermark(&self) -> Result<()> {
        self.log.hold_high_watermark()
    }

    /// Moves the high watermark to `offset`, or as far in that direction as the log reaches. Returns where it is.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) unless [`LogWriter::hold_high_watermark`] was called;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn set_high_watermark(&self, offset: Offset) -> Result<Offset> {
        self.log.set_high_watermark(offset)
    }

    /// Puts another configuration in force, from the next append or roll on.
    pub fn set_config(&self, config: LogConfig) {
        self.log.set_config(config);
    }

    /// Syncs, trims and indexes everything, closes the log and gives its lock back. Whoever still has it is answered
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); what was fetched stays readable. Dropping it does the same.
    ///
    /// # Errors
    /// What a sync can answer. The log is closed all the same; the next opening recovers it.
    pub fn close(&self) -> Result<()> {
        let closed = self.log.close().map(|_| ());
        if !self.log.is_forked() {
            self.locks.lock().clear();
        }
        closed
    }
}

impl Deref for LogWriter {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.log
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // Nobody is left to tell; the next opening recovers what this could not do.
        self.log.close().ok();
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogWriter").field(&self.log).finish()
    }
}
