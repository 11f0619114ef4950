//! A log that has a role: appended to with an acknowledgement, read up to a mark, replicated or not.

mod append;
mod block_on;
mod compact;
#[cfg(test)]
pub(crate) use block_on::block_on;
mod flush;
mod follow;
mod log_writer;
mod options;
mod replica;
mod retain;
mod waiters;

pub(crate) use flush::{Flusher, List};
pub use log_writer::LogWriter;
pub use options::PartitionOptions;
pub use replica::{AppendRefused, BoxFuture, NodeId, Replica, ReplicaRole, ReplicaState, Replication};
pub use retain::Hold;

use std::fmt;
use std::ops::RangeTo;

use crate::clock::{Clock, SystemClock};
use crate::compaction::{Cleaner, Compacted};
use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, DirectoryLock};
use crate::log::{
    DeletedRecords, Ends, FetchLimit, Fetched, LastClose, Log, LogOptions, Marks, OffsetTimestamp, Recovery,
    SegmentInfo,
};
use crate::segment::Segment;
use crate::sync::{Arc, Mutex, Weak};
use crate::types::{Offset, ReadUpTo, Timestamp, TopicPartition};

/// One partition: a handle, cheap to clone, for any number of threads.
///
/// Comes from [`Topic::partition`](crate::Topic::partition), or stands alone: [`Partition::open`].
#[derive(Clone)]
pub struct Partition(Arc<Inner>);

struct Inner {
    id: TopicPartition,
    role: Role,
    clock: Arc<dyn Clock>,
    /// Who syncs in the background, if anybody.
    flusher: Option<Arc<dyn Flusher>>,
    /// Who compacts the log: one for all partitions of a store.
    cleaner: Arc<Cleaner>,
    compacted: Mutex<Compacted>,
    /// Whether a partition on its own was promised syncs by its host.
    host_syncs: bool,
    unsynced: flush::Unsynced,
    /// The locks of a partition that stands alone: on its directory, and on the one around it if that is a store's.
    locks: Mutex<Vec<Box<dyn DirectoryLock>>>,
    /// Whether a store looks after it.
    of_store: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all partitions are alone, and then there is one pointer less to follow"
)]
/// Who writes the log. Alone is no implementation of a trait: a plain call, without future or allocation.
enum Role {
    Alone(Log),
    Replicated(Arc<dyn Replica>),
}

impl Partition {
    /// The partition of a store, whose flusher syncs in the background.
    pub(crate) fn of_store(
        id: TopicPartition,
        directory: Arc<dyn Directory>,
        options: &LogOptions,
        flusher: Option<Arc<dyn Flusher>>,
        cleaner: Arc<Cleaner>,
    ) -> Result<Self> {
        let log = Log::open(directory, options)?;
        let partition = Self(Arc::new(Inner {
            id,
            role: Role::Alone(log),
            clock: Arc::clone(&options.clock),
            flusher,
            cleaner,
            compacted: Mutex::default(),
            host_syncs: false,
            unsynced: flush::Unsynced::default(),
            locks: Mutex::default(),
            of_store: true,
        }));
        partition.after_sync(partition.log())?;
        Ok(partition)
    }

    /// A partition whose log only `replica` writes.
    ///
    /// Appends go to the replica, which decides; reads ask its log.
    #[must_use]
    pub fn replicated(id: TopicPartition, replica: Arc<dyn Replica>) -> Self {
        Self(Arc::new(Inner {
            id,
            role: Role::Replicated(replica),
            clock: Arc::new(SystemClock::coarse()),
            flusher: None,
            cleaner: Arc::default(),
            compacted: Mutex::default(),
            host_syncs: true,
            unsynced: flush::Unsynced::default(),
            locks: Mutex::default(),
            of_store: false,
        }))
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> &TopicPartition {
        &self.0.id
    }

    /// The log, for reads of all kinds. It is written through the partition, or, where there is one, by the replica that
    /// has the [`LogWriter`].
    #[must_use]
    pub fn log(&self) -> &Log {
        match &self.0.role {
            Role::Alone(log) => log,
            Role::Replicated(replica) => replica.log(),
        }
    }

    /// The log, if nobody else writes it.
    fn own_log(&self) -> Result<&Log> {
        match &self.0.role {
            Role::Alone(log) => Ok(log),
            Role::Replicated(_) => {
                let message = format!("{} is replicated: only its replica changes the log", self.0.id);
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    /// Reads from `offset` on, up to the mark and the size that `limit` says.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn fetch(&self, offset: Offset, limit: FetchLimit) -> Result<Fetched> {
        self.log().read(offset, limit)
    }

    /// The first record at or after `time`, as far as a reader `up_to` a mark sees.
    ///
    /// # Errors
    /// As [`Log::offset_for_time`].
    pub fn offset_for_time(&self, time: Timestamp, up_to: ReadUpTo) -> Result<Option<OffsetTimestamp>> {
        self.log().offset_for_time(time, up_to)
    }

    /// Log start and all marks, consistent with each other.
    #[must_use]
    pub fn offsets(&self) -> (Offset, Marks) {
        self.log().offsets()
    }

    /// The segments, ascending; the last one is active. For `sendfile`: [`Segment::file_range`].
    #[must_use]
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.log().segments()
    }

    /// The segments as numbers.
    ///
    /// # Errors
    /// As [`Log::segment_infos`].
    pub fn segment_infos(&self) -> Result<Vec<SegmentInfo>> {
        self.log().segment_infos()
    }

    /// Bytes of log files that were deleted, by [`Partition::delete_records`], [`Partition::truncate`] or with the topic,
    /// and whose space comes back once the last slice of what was fetched from them, and the last [`Segment`], is
    /// dropped. Who keeps a [`FileRange`](crate::FileRange) keeps the space too, and is not counted.
    #[must_use]
    pub fn doomed_bytes(&self) -> u64 {
        self.log().doomed_bytes()
    }

    /// What opening cut, rebuilt or found damaged.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        self.log().recovery()
    }

    /// Makes durable all that is written when it is called. Returns the durable end.
    ///
    /// # Errors
    /// As [`Log::wait_durable`].
    pub fn sync(&self) -> Result<Offset> {
        self.log().check_open()?;
        self.settling(Log::sync)
    }

    /// Looks again, if the partition stands alone and was opened [read-only](PartitionOptions::read_only): at what a
    /// writer in another process has appended, rolled, deleted and cut since. Waiters for a mark are told.
    ///
    /// Costs what is new. Where the writer cut the tail the log end goes back, and the log is read anew. What was fetched
    /// stays readable. For the partition's writer there is nothing to look at.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a partition of a store, all of which [`Store::refresh`](crate::Store::refresh) looks
    /// at; [`ErrorKind::Closed`]; what opening can answer.
    pub fn refresh(&self) -> Result<()> {
        let log = self.own_log()?;
        log.check_open()?;
        if self.0.of_store {
            let message = format!("{} is a store's, which looks again at all its partitions", self.0.id);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if !log.is_open_read_only() {
            return Ok(());
        }
        log.refresh(LastClose::Unclean { same_power: false })
    }

    /// Starts a new segment, unless the active one is empty. Returns the active segment's base.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if a replica writes the log; and as [`Partition::append`] about the log.
    pub fn roll(&self) -> Result<Offset> {
        let log = self.own_log()?;
        let base = log.roll()?;
        self.after_roll(log)?;
        Ok(base)
    }

    /// Removes all records from `offset` on, durably. The log end is then `offset`; or, where that lies inside of a
    /// batch, the start of this batch, as batches are never taken apart.
    ///
    /// Readers that hold slices of what was cut keep them. An offset at or above the log end changes nothing. Damage
    /// above the cut that opening had found is gone with the rest, and appends are taken again.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] below the log start. [`ErrorKind::Corruption`] if the place cannot be found for
    /// damage in front of it; the error says where a cut would be possible. [`ErrorKind::Unsupported`] if a replica
    /// writes the log. What writing can answer: after a failure half way the partition takes no more writes until it is
    /// reopened.
    pub fn truncate(&self, offset: Offset) -> Result<Offset> {
        let end = self.own_log()?.truncate(offset)?;
        if let Some(flusher) = &self.0.flusher {
            // What was cut is counted as unsynced until the next sync.
            flusher.sync_soon(self);
        }
        Ok(end)
    }

    /// Removes all records before the end of `range`. Returns once whole segments below the new start are gone and the
    /// start is durable. One at or below the present start changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] above the high watermark. [`ErrorKind::StorageFull`] if there is no room to write
    /// down the new start: whole segments are freed all the same, and the log starts at the first one that is left.
    /// [`ErrorKind::InvalidConfig`] on a topic that is only compacted; what writing can answer.
    pub fn delete_records(&self, range: RangeTo<Offset>) -> Result<DeletedRecords> {
        let log = self.log();
        let policy = log.config().cleanup_policy;
        if policy.compact && !policy.delete {
            let message = format!("{} is only compacted: its cleanup.policy does not allow deletion", self.0.id);
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        match &self.0.role {
            Role::Alone(log) => {
                let deleted = log.delete_records(range)?;
                self.after_sync(log)?;
                Ok(deleted)
            }
            Role::Replicated(replica) => trim(replica.as_ref(), range.end),
        }
    }

    /// Syncs, trims and indexes everything and closes the partition, for all copies of the handle: they answer
    /// [`ErrorKind::Closed`]. What was fetched stays readable.
    ///
    /// # Errors
    /// What a sync can answer. The partition is closed all the same; the next opening recovers it.
    pub fn close(&self) -> Result<()> {
        if let Role::Replicated(replica) = &self.0.role {
            return block_on::block_on(replica.close());
        }
        let closed = self.finish().map(|_| ());
        if !self.log().is_forked() {
            self.0.locks.lock().clear();
        }
        closed
    }

    pub(crate) fn finish(&self) -> Result<Option<Ends>> {
        let log = self.own_log()?;
        if log.is_forked() {
            return Ok(None);
        }
        let ends = log.close();
        self.settle_all();
        ends
    }

    /// Ends all handles because the topic was deleted. When this returns no sync of the partition is under way.
    pub(crate) fn shut_deleted(&self) {
        self.log().shut_deleted();
        self.settle_all();
    }

    /// A handle that does not keep the partition open.
    pub(crate) fn downgrade(&self) -> WeakPartition {
        WeakPartition(Arc::downgrade(&self.0))
    }
}

/// Asks a replica to let go of what lies below `to`, and counts what went.
fn trim(replica: &dyn Replica, to: Offset) -> Result<DeletedRecords> {
    let size = |log: &Log| log.segments().iter().fold((0, 0), |(n, bytes), segment| (n + 1, bytes + segment.size()));
    let before: (u64, u64) = size(replica.log());
    let log_start = block_on::block_on(replica.trim(to))?;
    let after = size(replica.log());
    Ok(DeletedRecords {
        log_start,
        segments: before.0.saturating_sub(after.0),
        bytes: before.1.saturating_sub(after.1),
    })
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Role::Alone(log) = &self.role {
            // The last handle is gone, so nobody is left to tell; the next opening recovers what this one could not do.
            drop(log.close());
        }
    }
}

/// A handle that does not keep the partition open.
#[derive(Clone)]
pub(crate) struct WeakPartition(Weak<Inner>);

impl WeakPartition {
    pub(crate) fn upgrade(&self) -> Option<Partition> {
        self.0.upgrade().map(Partition)
    }

    /// Whether all other handles are gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("id", &self.0.id).finish_non_exhaustive()
    }
}
