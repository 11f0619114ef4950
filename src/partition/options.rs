//! Opening a partition that stands alone, with a directory and a lock of its own.

use std::path::Path;

use super::{Inner, Partition, Role, flush};
use crate::clock::{Clock, SystemClock};
use crate::compaction::{Cleaner, CleanerConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::io::{Budget, DirectoryLock, OpenMode as IoMode, OsDirectory};
use crate::log::{LastClose, Log, LogConfig, LogOptions, OpenMode};
use crate::sync::{Arc, Mutex};
use crate::types::TopicPartition;

/// How a partition on its own is opened.
#[derive(Clone, Debug)]
#[must_use]
pub struct PartitionOptions {
    config: LogConfig,
    clock: Arc<dyn Clock>,
    cleaner: CleanerConfig,
    host_syncs: bool,
    verify_always: bool,
    read_only: bool,
}

impl Default for PartitionOptions {
    fn default() -> Self {
        Self {
            config: LogConfig::default(),
            clock: Arc::new(SystemClock::coarse()),
            cleaner: CleanerConfig::default(),
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

    /// How much memory compaction takes at most to remember keys, 24 bytes each. Default: 128 MiB.
    pub fn compaction_memory(mut self, bytes: usize) -> Self {
        self.cleaner.dedupe_bytes = bytes;
        self
    }

    /// How many bytes compaction reads and writes in a second. Default: as many as it can.
    pub fn compaction_bytes_per_second(mut self, bytes: u64) -> Self {
        self.cleaner.bytes_per_second = Some(bytes);
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

    /// Takes no lock and writes nothing; another process may be writing. [`Partition::refresh`] looks again at what it
    /// has written.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl Partition {
    /// Opens the partition in the directory at `path`, which is named `<topic>-<partition>` and created if it is not
    /// there. Takes the writer's lock on it first; one that lies in a store's directory is not opened beside the store.
    ///
    /// It has no thread: what a store does in the background is left to the calls that come. So the recovery point on
    /// disk, from where on an opening after a crash checks everything, follows what is durable with the first append or
    /// [`Partition::sync`] after a second, and when the partition is closed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for another name, [`ErrorKind::AlreadyOpen`], [`ErrorKind::Corruption`] for files
    /// that cannot be a log's; what the operating system can answer. Damaged batches are no error: see
    /// [`Partition::recovery`].
    pub fn open(path: impl AsRef<Path>, options: PartitionOptions) -> Result<Self> {
        let (clock, host_syncs) = (Arc::clone(&options.clock), options.host_syncs);
        let cleaner = Arc::new(Cleaner::new(options.cleaner));
        let Opened { id, log, locks } = Opened::at(path.as_ref(), options)?;
        Ok(Self(Arc::new(Inner {
            id,
            role: Role::Alone(log),
            clock,
            flusher: None,
            cleaner,
            compacted: Mutex::default(),
            host_syncs,
            unsynced: flush::Unsynced::default(),
            locks: Mutex::new(locks),
            of_store: false,
        })))
    }
}

/// A log that stands alone, open and locked.
pub(super) struct Opened {
    pub(super) id: TopicPartition,
    pub(super) log: Log,
    pub(super) locks: Vec<Box<dyn DirectoryLock>>,
}

impl Opened {
    pub(super) fn at(path: &Path, options: PartitionOptions) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(id) = TopicPartition::from_directory_name(name) else {
            let message = format!("{} is not named <topic>-<partition>", path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        };
        let budget = Budget::of_process();
        let around = match options.read_only {
            true => None,
            false => OsDirectory::keep_stores_out(path, Arc::clone(&budget))?,
        };
        let directory = match options.read_only {
            true => OsDirectory::open(path, IoMode::ReadOnly, budget)?,
            false => OsDirectory::create(path, budget)?,
        };
        let lock = if options.read_only { None } else { Some(directory.lock()?) };
        let same_power = lock.as_ref().is_some_and(|lock| lock.same_power());
        let log_options = LogOptions {
            config: Arc::new(options.config),
            clock: options.clock,
            mode: if options.read_only { OpenMode::ReadOnly } else { OpenMode::Write },
            last_close: LastClose::Unclean { same_power },
            verify_always: options.verify_always,
        };
        let log = Log::open(directory, &log_options)?;
        if let Some(lock) = &lock {
            // Without room what the file said before stays, or nothing.
            lock.keep_power().or_else(Error::unless_full)?;
        }
        Ok(Self { id, log, locks: lock.into_iter().chain(around).collect() })
    }
}
