//! A log that has a role: appended to with an acknowledgement, read up to a mark, replicated or not.

mod block_on;
#[cfg(test)]
pub(crate) use block_on::block_on;
mod flush;
mod replica;
mod waiters;

pub(crate) use flush::{Flusher, List};
pub use replica::{AppendRefused, BoxFuture, NodeId, Replica, ReplicaRole, ReplicaState, Replication};

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeTo;
use std::path::Path;

use bytes::Bytes;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind, Result};
use crate::io::{Budget, Directory, DirectoryLock, OpenMode as IoMode, OsDirectory};
use crate::log::{
    AppendOrigin, Appended, DeletedRecords, Ends, FetchLimit, Fetched, LastClose, Log, LogConfig, LogOptions, Marks,
    OffsetTimestamp, OpenMode, Recovery, SegmentInfo, single_batch,
};
use crate::record::{BatchBuilder, Record, encode_single};
use crate::segment::Segment;
use crate::sync::{Arc, Mutex, Weak};
use crate::types::{Acks, Offset, ReadUpTo, Timestamp, TopicPartition};

/// One partition: a handle, cheap to clone, for any number of threads.
///
/// Comes from [`crate::Topic::partition`], or stands alone: [`Partition::open`].
#[derive(Clone)]
pub struct Partition(Arc<Inner>);

struct Inner {
    id: TopicPartition,
    role: Role,
    clock: Arc<dyn Clock>,
    /// Who syncs in the background, if anybody.
    flusher: Option<Arc<dyn Flusher>>,
    /// Whether a partition on its own was promised syncs by its host.
    host_syncs: bool,
    unsynced: flush::Unsynced,
    /// The lock on the directory of a partition that stands alone.
    lock: Mutex<Option<Box<dyn DirectoryLock>>>,
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

/// How a partition on its own is opened.
#[derive(Clone, Debug)]
#[must_use]
pub struct PartitionOptions {
    config: LogConfig,
    clock: Arc<dyn Clock>,
    host_syncs: bool,
    verify_always: bool,
    read_only: bool,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self {
            config: LogConfig::default(),
            clock: Arc::new(SystemClock::coarse()),
            host_syncs: false,
            verify_always: false,
            read_only: false,
        }
    }
}

impl PartitionOptions {
    /// With this configuration instead of Kafka's defaults.
    pub fn config(mut self, config: LogConfig) -> Self {
        self.config = config;
        self
    }

    /// With another clock than the operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Promises that the host calls [`Partition::sync`] now and then: without, waiting for durability in a future is
    /// [`ErrorKind::Unsupported`], as a partition on its own has no thread.
    pub fn host_syncs(mut self) -> Self {
        self.host_syncs = true;
        self
    }

    /// Checks every batch each time it is read, rather than once.
    pub fn verify_always(mut self) -> Self {
        self.verify_always = true;
        self
    }

    /// Takes no lock and writes nothing; another process may be writing.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl Partition {
    /// Opens the partition in the directory at `path`, which is named `<topic>-<partition>` and created if it is not
    /// there. Takes the writer's lock on it first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another name, [`ErrorKind::AlreadyOpen`], [`ErrorKind::Corruption`] for files
    /// that cannot be a log's; what the operating system can answer. Damaged batches are no error: see
    /// [`Partition::recovery`].
    pub fn open(path: impl AsRef<Path>, options: PartitionOptions) -> Result<Self> {
        let path = path.as_ref();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(id) = TopicPartition::from_directory_name(name) else {
            let message = format!("{} is not named <topic>-<partition>", path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        };
        let budget = Budget::of_process();
        let directory = match options.read_only {
            true => OsDirectory::open(path, IoMode::ReadOnly, budget)?,
            false => OsDirectory::create(path, budget)?,
        };
        let lock = if options.read_only { None } else { Some(directory.lock()?) };
        let same_power = lock.as_ref().is_some_and(|lock| lock.same_power());
        let log_options = LogOptions {
            config: Arc::new(options.config),
            clock: Arc::clone(&options.clock),
            mode: if options.read_only { OpenMode::ReadOnly } else { OpenMode::Write },
            last_close: LastClose::Unclean { same_power },
            verify_always: options.verify_always,
        };
        let log = Log::open(directory, &log_options)?;
        if let Some(lock) = &lock {
            lock.keep_power()?;
        }
        Ok(Self(Arc::new(Inner {
            id,
            role: Role::Alone(log),
            clock: options.clock,
            flusher: None,
            host_syncs: options.host_syncs,
            unsynced: flush::Unsynced::default(),
            lock: Mutex::new(lock),
        })))
    }

    /// The partition of a store, whose flusher syncs in the background.
    pub(crate) fn of_store(
        id: TopicPartition,
        directory: Arc<dyn Directory>,
        options: &LogOptions,
        flusher: Option<Arc<dyn Flusher>>,
    ) -> Result<Self> {
        let log = Log::open(directory, options)?;
        Ok(Self(Arc::new(Inner {
            id,
            role: Role::Alone(log),
            clock: Arc::clone(&options.clock),
            flusher,
            host_syncs: false,
            unsynced: flush::Unsynced::default(),
            lock: Mutex::new(None),
        })))
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
            host_syncs: true,
            unsynced: flush::Unsynced::default(),
            lock: Mutex::new(None),
        }))
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> &TopicPartition {
        &self.0.id
    }

    /// The log, for reads of all kinds.
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

    /// Appends an encoded record batch, checked like a client's. When this returns it has the durability of the topic's
    /// flush policy; see [`Partition::append_with`] for more.
    ///
    /// # Errors
    /// As [`Log::append`]; and, where the flush policy syncs, as [`Log::wait_durable`]: then the batch is in the log, but
    /// not known to be durable.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use riverbed::{BatchBuilder, Partition, PartitionOptions, Record, Timestamp};
    ///
    /// let partition = Partition::open(dir.path().join("orders-0"), PartitionOptions::default())?;
    /// let mut builder = BatchBuilder::new();
    /// builder.push(&Record::new().key("customer-7").value("two apples"), Timestamp::from_millis(1_700_000_000_000))?;
    /// if let Some(batch) = builder.finish()? {
    ///     let appended = partition.append(batch)?;
    ///     assert_eq!(appended.offsets.start().get(), 0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append(&self, batch: &[u8]) -> Result<Appended> {
        match &self.0.role {
            Role::Alone(_) => self.append_as(batch, AppendOrigin::Client),
            Role::Replicated(_) => self.append_with(batch, Acks::Leader),
        }
    }

    /// Appends an encoded record batch of a client or of a coordinator, which may write markers.
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_as(&self, batch: &[u8], origin: AppendOrigin) -> Result<Appended> {
        let log = self.own_log()?;
        let checked = single_batch(batch)?;
        self.admit()?;
        let appended = log.append(&checked, origin)?;
        self.after_append(log, &appended, batch.len())?;
        Ok(appended)
    }

    /// Appends an encoded record batch and waits until `acks` have it.
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_with(&self, batch: &[u8], acks: Acks) -> Result<Appended> {
        if let Role::Replicated(replica) = &self.0.role {
            let appended = block_on::block_on(replica.append(Bytes::copy_from_slice(batch), acks));
            return appended.map_err(Error::from);
        }
        let appended = self.append(batch)?;
        let behind = appended.offsets.end().next();
        match acks {
            Acks::None | Acks::Leader => {}
            Acks::Durable => self.wait_durable(behind)?,
            Acks::All => self.wait_committed(behind)?,
        }
        Ok(appended)
    }

    /// Appends one record as a batch of its own. Its timestamp is the wall clock's, unless it has one.
    ///
    /// The cheapest way for single records: many in one batch cost less a record, see [`Partition::append_records`].
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_record(&self, record: &Record<'_>) -> Result<Appended> {
        let now = self.0.clock.now();
        let time = record.time().unwrap_or(now);
        // Taken out, not borrowed: a replica may append other records of its own on this thread.
        let mut buffer = BUFFER.take();
        let appended =
            encode_single(&mut buffer, record, now).and_then(|()| self.append_encoded(&buffer, time, record));
        if buffer.capacity() <= BUFFER_KEPT {
            BUFFER.set(buffer);
        }
        appended
    }

    fn append_encoded(&self, batch: &[u8], time: Timestamp, record: &Record<'_>) -> Result<Appended> {
        if let Role::Alone(log) = &self.0.role {
            self.admit()?;
            if let Some(appended) = log.append_single(batch, time, record.key_bytes().is_some())? {
                self.after_append(log, &appended, batch.len())?;
                return Ok(appended);
            }
        }
        self.append(batch)
    }

    /// Appends records as one batch, uncompressed unless the topic says otherwise: all of them, or none.
    ///
    /// # Errors
    /// As [`Partition::append`]; [`ErrorKind::InvalidArgument`] without a record.
    pub fn append_records<'r>(&self, records: impl IntoIterator<Item = &'r Record<'r>>) -> Result<Appended> {
        let now = self.0.clock.now();
        let mut builder = BatchBuilder::new();
        for record in records {
            builder.push(record, now)?;
        }
        match builder.finish()? {
            Some(batch) => self.append(batch),
            None => Err(Error::new(ErrorKind::InvalidArgument, "there is no record to append")),
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

    /// Starts a new segment, unless the active one is empty. Returns the active segment's base.
    ///
    /// # Errors
    /// As [`Log::roll`].
    pub fn roll(&self) -> Result<Offset> {
        let log = self.own_log()?;
        let base = log.roll()?;
        self.after_roll(log)?;
        Ok(base)
    }

    /// Removes all records from `offset` on: see [`Log::truncate`].
    ///
    /// # Errors
    /// As [`Log::truncate`].
    pub fn truncate(&self, offset: Offset) -> Result<Offset> {
        let end = self.own_log()?.truncate(offset)?;
        if let Some(flusher) = &self.0.flusher {
            // What was cut is counted as unsynced until the next sync.
            flusher.sync_soon(self);
        }
        Ok(end)
    }

    /// Removes all records before the end of `range`: see [`Log::delete_records`].
    ///
    /// # Errors
    /// As [`Log::delete_records`]; [`ErrorKind::InvalidConfig`] on a topic that is only compacted.
    pub fn delete_records(&self, range: RangeTo<Offset>) -> Result<DeletedRecords> {
        let log = self.log();
        let policy = log.config().cleanup_policy;
        if policy.compact && !policy.delete {
            let message = format!("{} is only compacted: its cleanup.policy does not allow deletion", self.0.id);
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        match &self.0.role {
            Role::Alone(log) => log.delete_records(range),
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
        self.0.lock.lock().take();
        closed
    }

    pub(crate) fn finish(&self) -> Result<Option<Ends>> {
        let ends = self.own_log()?.close();
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

/// The largest buffer that a thread keeps.
const BUFFER_KEPT: usize = 1 << 20;

thread_local! {
    /// Where single records are encoded: each thread keeps its buffer, so that an append allocates nothing.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
