//! Many topics in one data directory, and the care for them.

mod adopt;
mod backup;
mod changes;
pub(crate) mod clean_mark;
mod close;
mod compact;
mod config;
mod deletion;
mod fields;
mod flusher;
mod foreign;
mod identity;
mod inner;
mod maintenance;
mod partitions;
mod refresh;
pub(crate) mod registry;
mod retention;
mod side_by_side;
mod stats;
mod topic;
mod unsynced;
mod worker;

pub use backup::Backup;
pub use config::StoreConfig;
pub use maintenance::WorkerStats;
pub use retention::Removal;
pub use stats::{PartitionStats, StoreStats};
pub use topic::{Topic, TopicConfig};

use std::fmt;
use std::path::Path;

use crate::compaction::{Cleanable, Compacted};
use crate::error::Result;
use crate::log::{DueSegment, OpenMode, Recovery, Removed};
use crate::store::inner::Inner;
use crate::sync::Arc;
use crate::types::{TopicName, TopicPartition};

/// An event log in a directory: a handle, cheap to clone, for any number of threads.
///
/// The directory belongs to one store at a time, which holds a lock on it; others may open it read-only. When the last
/// clone is dropped the store closes; then topics and partitions answer
/// [`ErrorKind::Closed`](crate::ErrorKind::Closed), and what was fetched stays readable.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir()?;
/// use riverbed::{FetchLimit, Offset, Record, Store, TopicConfig};
///
/// let store = Store::open(dir.path())?;
/// let orders = store.create_topic("orders", TopicConfig::default().partitions(3))?;
/// let partition = orders.partition(0)?;
/// partition.append_record(&Record::new().key("customer-7").value("two apples"))?;
/// let fetched = partition.fetch(Offset::ZERO, FetchLimit::bytes(1 << 20))?;
/// assert_eq!(fetched.batches().count(), 1);
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Store(Arc<Handle>);

/// The last one of these closes the store.
struct Handle(Arc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        // Handles of topics are told when they ask; what could not be finished, the next opening recovers.
        drop(self.0.close());
    }
}

impl Store {
    /// Opens the store in `directory` for writing, wherever that is.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn open_on(directory: Arc<dyn crate::io::Directory>, config: StoreConfig) -> Result<Self> {
        let inner = Inner::open_for_writing(directory, config, crate::io::Budget::new(1000, 1000))?;
        Ok(Self(Arc::new(Handle(inner))))
    }

    /// Opens the store in `directory` read-only, wherever that is.
    #[cfg(test)]
    pub(crate) fn open_read_only_on(directory: Arc<dyn crate::io::Directory>, config: StoreConfig) -> Result<Self> {
        let inner = Inner::open_for_reading(directory, config, crate::io::Budget::new(1000, 1000))?;
        Ok(Self(Arc::new(Handle(inner))))
    }

    /// Does on the calling thread what the store's own would have done by now.
    #[cfg(test)]
    pub(crate) fn run_background(&self) {
        self.0.0.flusher.run_queued();
    }

    /// Opens the store in the directory at `path` for writing, with default settings; creates it if there is none.
    ///
    /// After a crash every partition is recovered: see [`Store::recovery`].
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyOpen`](crate::ErrorKind::AlreadyOpen),
    /// [`ErrorKind::ForeignDirectory`](crate::ErrorKind::ForeignDirectory) for Kafka's,
    /// [`ErrorKind::NotADirectory`](crate::ErrorKind::NotADirectory),
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied),
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly),
    /// [`ErrorKind::UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion),
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) of the list of topics; what the operating system can
    /// answer. Damage in a partition is no error here.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        StoreConfig::default().open(path)
    }

    /// Opens the store at `path` read-only: takes no lock, writes nothing, recovers in memory. Works beside a running
    /// writer, and on Kafka's own directories as they stand. Sees what is written; [`Store::refresh`] looks again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), and as [`Store::open`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        StoreConfig::default().open_read_only(path)
    }

    fn open_with(path: &Path, config: StoreConfig) -> Result<Self> {
        Inner::open(path, config, OpenMode::Write).map(|inner| Self(Arc::new(Handle(inner))))
    }

    fn open_read_only_with(path: &Path, config: StoreConfig) -> Result<Self> {
        Inner::open(path, config, OpenMode::ReadOnly).map(|inner| Self(Arc::new(Handle(inner))))
    }

    /// Makes a directory of Kafka's one of ours: writes the list of its topics, with default configurations. One that
    /// Kafka did not close cleanly is recovered first. Returns the topics' names.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a directory that is ours already, or holds
    /// no partition; [`ErrorKind::AlreadyOpen`](crate::ErrorKind::AlreadyOpen) while a broker runs on it; otherwise as
    /// [`Store::open`].
    pub fn adopt(path: impl AsRef<Path>) -> Result<Vec<TopicName>> {
        adopt::adopt(path.as_ref())
    }

    /// Creates a topic. Durable when it returns. Besides what Kafka refuses, no name may end as the directories do that
    /// Kafka sets aside: with `-delete`, `-stray` or `-future`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTopic`](crate::ErrorKind::InvalidTopic),
    /// [`ErrorKind::TopicExists`](crate::ErrorKind::TopicExists),
    /// [`ErrorKind::TopicCollision`](crate::ErrorKind::TopicCollision),
    /// [`ErrorKind::InvalidConfig`](crate::ErrorKind::InvalidConfig),
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for no partitions;
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly), [`ErrorKind::Closed`](crate::ErrorKind::Closed),
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull); what the operating system can answer. Then there is
    /// no such topic.
    pub fn create_topic(&self, name: &str, config: TopicConfig) -> Result<Topic> {
        self.0.0.create_topic(&TopicName::new(name)?, config)
    }

    /// The topic of this name; created if it is not there yet. One that is there stays as it is, whatever `config` says.
    /// Threads that ask at once get the same topic.
    ///
    /// # Errors
    /// As [`Store::create_topic`], without [`ErrorKind::TopicExists`](crate::ErrorKind::TopicExists).
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use riverbed::{Store, TopicConfig};
    ///
    /// let store = Store::open(dir.path())?;
    /// let orders = store.topic_or_create("orders", TopicConfig::default().partitions(3))?;
    /// let again = store.topic_or_create("orders", TopicConfig::default())?;
    /// assert_eq!((again.id(), again.partition_count()), (orders.id(), 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn topic_or_create(&self, name: &str, config: TopicConfig) -> Result<Topic> {
        loop {
            match self.topic(name) {
                Err(error) if error.kind() == crate::error::ErrorKind::UnknownTopic => {}
                found => return found,
            }
            match self.create_topic(name, config.clone()) {
                // Somebody else was faster.
                Err(error) if error.kind() == crate::error::ErrorKind::TopicExists => {}
                created => return created,
            }
        }
    }

    /// The topic of this name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTopic`](crate::ErrorKind::InvalidTopic),
    /// [`ErrorKind::UnknownTopic`](crate::ErrorKind::UnknownTopic), [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn topic(&self, name: &str) -> Result<Topic> {
        self.0.0.topic(&TopicName::new(name)?)
    }

    /// All topics, by name, internal ones too.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn topics(&self) -> Result<Vec<Topic>> {
        self.0.0.topics()
    }

    /// Deletes a topic with all that is in it. Durable when it returns. What was fetched stays readable. Works on a
    /// full disk, too.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTopic`](crate::ErrorKind::UnknownTopic),
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly), [`ErrorKind::Closed`](crate::ErrorKind::Closed); what the
    /// operating system can answer: then the topic is gone if it can no longer be found, and its space comes back with
    /// the next opening.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.0.0.delete_topic(&TopicName::new(name)?)
    }

    /// What opening cut, rebuilt or found damaged: only partitions where there was something.
    #[must_use]
    pub fn recovery(&self) -> Vec<(TopicPartition, Recovery)> {
        self.0.0.recovery()
    }

    /// Compacts all partitions of compacted topics, now: see [`Partition::compact`](crate::Partition::compact).
    ///
    /// # Errors
    /// The first failure, as of [`Partition::compact`](crate::Partition::compact); the other partitions are compacted all
    /// the same.
    pub fn compact(&self) -> Result<Compacted> {
        self.0.0.compact()
    }

    /// What [`Store::compact`] could clean now, of each partition of a compacted topic.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), and as of
    /// [`Partition::cleanable`](crate::Partition::cleanable).
    pub fn cleanable(&self) -> Result<Vec<(TopicPartition, Cleanable)>> {
        self.0.0.cleanable()
    }

    /// Sizes and counts, as values.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed).
    pub fn stats(&self) -> Result<StoreStats> {
        self.0.0.stats()
    }

    /// Removes now what retention no longer wants of all topics, on the calling thread:
    /// see [`Log::due_segments`](crate::Log::due_segments) for what that is.
    /// [`StoreConfig::before_removal`] is told.
    ///
    /// # Errors
    /// The first failure, as of [`Partition::retain`](crate::Partition::retain); the other partitions have been cared for
    /// all the same.
    pub fn retain(&self) -> Result<Removed> {
        self.0.0.retain()
    }

    /// What [`Store::retain`] would remove now: by topic and number, oldest first, only partitions where that is
    /// something. Changes nothing, and works on a store that is open read-only.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); what reading a time index can answer.
    pub fn due_segments(&self) -> Result<Vec<(TopicPartition, Vec<DueSegment>)>> {
        self.0.0.due_segments()
    }

    /// Makes a copy of the store, all that is written when it is called and perhaps more, in the directory at `path`, which
    /// must be empty or not there, outside of the store and on the same file system. It opens as a store that was closed
    /// cleanly. Appends go on meanwhile.
    ///
    /// What never changes any more is linked, not copied; of each partition the segment that takes appends is copied. So
    /// it takes little time and room at first; the room of what both share comes back when both have removed it. To have
    /// the bytes on another disk, copy the backup there: nothing changes in it. Each partition is as it was at a moment of
    /// its own.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a directory that is not empty,
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) on another file system, or one without hard links;
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) where a partition is damaged so that it takes no appends,
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly), [`ErrorKind::Closed`](crate::ErrorKind::Closed),
    /// [`ErrorKind::PreviousFailure`](crate::ErrorKind::PreviousFailure),
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull); what the operating system can answer. Then there is no
    /// backup.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use riverbed::{Record, Store, TopicConfig};
    ///
    /// let store = Store::open(dir.path().join("data"))?;
    /// let orders = store.create_topic("orders", TopicConfig::default())?.partition(0)?;
    /// orders.append_record(&Record::new().value("two apples"))?;
    /// store.backup(dir.path().join("backup"))?;
    ///
    /// let copy = Store::open_read_only(dir.path().join("backup"))?;
    /// assert_eq!(copy.topic("orders")?.partition(0)?.offsets().1.end.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<Backup> {
        self.0.0.backup(path.as_ref())
    }

    /// Does, on the calling thread, what has become due by the store's clock: the syncs of topics with `flush.ms`,
    /// recovery points that have been behind for a second, and the care that [`StoreConfig::maintenance`] is about. For a
    /// clock that is moved by hand; with the operating system's the store's own threads do it.
    pub fn run_due(&self) {
        self.0.0.run_due();
    }

    /// Makes a read-only store look again: at topics, segments and records that a writer has added since.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); what reading the directory can answer.
    pub fn refresh(&self) -> Result<()> {
        self.0.0.refresh()
    }

    /// Closes cleanly: syncs every partition, trims and indexes it, writes the clean mark, and what Kafka needs to take
    /// the directory over. All handles answer [`ErrorKind::Closed`](crate::ErrorKind::Closed) from then on.
    ///
    /// # Errors
    /// The first failure; everything else is closed all the same, and the next opening recovers what is not clean.
    pub fn close(self) -> Result<()> {
        self.0.0.close()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.0.0.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
