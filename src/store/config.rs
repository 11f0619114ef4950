//! How a store is opened.

use std::path::Path;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::compaction::CleanerConfig;
use crate::error::Result;
use crate::io::Budget;
use crate::store::Store;
use crate::store::retention::{BeforeRemoval, Removal};
use crate::sync::Arc;

/// The settings of a store. Each has a default.
#[derive(Clone, Debug)]
#[must_use]
pub struct StoreConfig {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) max_unsynced_bytes: u64,
    pub(super) max_unsynced_wait: Duration,
    pub(super) verify_always: bool,
    pub(super) max_maps: Option<usize>,
    pub(super) max_descriptors: Option<usize>,
    pub(super) maintenance: bool,
    pub(super) retention_check_interval: Duration,
    pub(super) compaction_check_interval: Duration,
    pub(super) before_removal: BeforeRemoval,
    pub(super) cleaner: CleanerConfig,
    /// Whether there is nobody in the background: what is to be done there waits for the test to ask for it.
    #[cfg(test)]
    pub(super) threadless: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::coarse()),
            max_unsynced_bytes: 1 << 30,
            max_unsynced_wait: Duration::from_secs(30),
            verify_always: false,
            max_maps: None,
            max_descriptors: None,
            maintenance: true,
            retention_check_interval: Duration::from_secs(300),
            compaction_check_interval: Duration::from_secs(15),
            before_removal: BeforeRemoval::default(),
            cleaner: CleanerConfig::default(),
            #[cfg(test)]
            threadless: false,
        }
    }
}

impl StoreConfig {
    /// The descriptors and maps that a store with these settings may use.
    pub(super) fn budget(&self) -> Arc<Budget> {
        if self.max_maps.is_none() && self.max_descriptors.is_none() {
            return Budget::of_process();
        }
        let limits = Budget::of_process().stats();
        Budget::new(self.max_descriptors.unwrap_or(limits.descriptors_max), self.max_maps.unwrap_or(limits.maps_max))
    }

    /// Without threads of its own, so that a run can be repeated: see [`Store::run_background`].
    #[cfg(test)]
    pub(crate) fn threadless(mut self) -> Self {
        self.threadless = true;
        self.maintenance = false;
        self
    }

    /// Whether the store has a thread that syncs in the background.
    pub(super) fn has_flusher(&self) -> bool {
        #[cfg(test)]
        return !self.threadless;
        #[cfg(not(test))]
        true
    }

    /// Opens, or creates, the store in the directory at `path` for writing.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(path.as_ref(), self)
    }

    /// Opens the store at `path` read-only: as [`Store::open_read_only`].
    ///
    /// # Errors
    /// As [`Store::open_read_only`].
    pub fn open_read_only(self, path: impl AsRef<Path>) -> Result<Store> {
        Store::open_read_only_with(path.as_ref(), self)
    }

    /// The clock that stamps records and times flushes. Default: [`SystemClock::coarse`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Stamps records with the precise wall clock: without it a stamp may be one tick old (1 to 10 ms), and costs less.
    pub fn precise_time(mut self) -> Self {
        self.clock = Arc::new(SystemClock::precise());
        self
    }

    /// How many bytes of all topics together may be written and not yet synced. From half of it on the store syncs what
    /// is dirtiest; at it appends wait. Default: 1 GiB.
    pub fn max_unsynced_bytes(mut self, bytes: u64) -> Self {
        self.max_unsynced_bytes = bytes;
        self
    }

    /// How long an append waits at that limit before it answers [`ErrorKind::Timeout`](crate::ErrorKind::Timeout).
    /// Default: 30 s.
    pub fn max_unsynced_wait(mut self, wait: Duration) -> Self {
        self.max_unsynced_wait = wait;
        self
    }

    /// Checks every batch each time it is read, rather than once after its segment was opened.
    pub fn verify_always(mut self) -> Self {
        self.verify_always = true;
        self
    }

    /// How much memory compaction takes at most to remember keys, 24 bytes each; Kafka's
    /// `log.cleaner.dedupe.buffer.size`. A log with more dirty keys is compacted in several rounds. Default: 128 MiB: five
    /// million keys.
    pub fn compaction_memory(mut self, bytes: usize) -> Self {
        self.cleaner.dedupe_bytes = bytes;
        self
    }

    /// How many bytes compaction reads and writes in a second; Kafka's `log.cleaner.io.max.bytes.per.second`. Default: as
    /// many as it can.
    pub fn compaction_bytes_per_second(mut self, bytes: u64) -> Self {
        self.cleaner.bytes_per_second = Some(bytes);
        self
    }

    /// How many memory maps the store may use. Default: 30,000, of about 65,000 that the kernel allows a process.
    pub fn max_maps(mut self, maps: usize) -> Self {
        self.max_maps = Some(maps);
        self
    }

    /// How many file descriptors the store may use. Default: three quarters of the process's limit.
    pub fn max_descriptors(mut self, descriptors: usize) -> Self {
        self.max_descriptors = Some(descriptors);
        self
    }

    /// Whether the store cares for its partitions by itself, in threads of its own: removes what retention no longer
    /// wants, and compacts the topics that are to be. Default: yes. Without, the host calls [`Store::retain`] and
    /// [`Store::compact`] when it likes. A store that is open read-only never does.
    pub fn maintenance(mut self, by_itself: bool) -> Self {
        self.maintenance = by_itself;
        self
    }

    /// How often all partitions are looked at for what retention no longer wants; Kafka's
    /// `log.retention.check.interval.ms`. Default: 5 minutes. The first time is 30 seconds after opening, or an interval
    /// if that is shorter.
    pub fn retention_check_interval(mut self, interval: Duration) -> Self {
        self.retention_check_interval = interval;
        self
    }

    /// How often the store looks which of its compacted topics to compact; Kafka's `log.cleaner.backoff.ms`. Default: 15
    /// seconds. Those are due whose [dirty ratio](crate::Cleanable::dirty_ratio) is above `min.cleanable.dirty.ratio`, or
    /// that have waited for `max.compaction.lag.ms`. The filthiest comes first.
    pub fn compaction_check_interval(mut self, interval: Duration) -> Self {
        self.compaction_check_interval = interval;
        self
    }

    /// Has `told` be told of each segment before retention removes it: to copy it to an archive, say. Where that is not
    /// done by then it takes a [`Removal::hold`], which keeps the segment and all behind it until it is dropped; then
    /// retention looks again. So it may be told of one segment more than once.
    ///
    /// It is called on the store's retention thread, or on that of who calls [`Store::retain`], one segment at a time,
    /// and no lock is held: it may take its time, at the cost of the other partitions' retention, and may use the store,
    /// but must not wait for it to be closed. If it panics the segment stays, and [`WorkerStats`](crate::WorkerStats)
    /// tell. Segments that [`Partition::delete_records`](crate::Partition::delete_records) or the deletion of a topic
    /// removes are not announced.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use std::sync::mpsc::channel;
    ///
    /// use riverbed::StoreConfig;
    ///
    /// let (archive, to_copy) = channel();
    /// let store = StoreConfig::default()
    ///     .before_removal(move |removal| {
    ///         if let Ok(hold) = removal.hold() {
    ///             // Another thread copies the segment and then drops the hold.
    ///             archive.send((hold, removal.segment().clone())).ok();
    ///         }
    ///     })
    ///     .open(dir.path())?;
    /// # drop((store, to_copy));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn before_removal(mut self, told: impl Fn(&Removal<'_>) + Send + Sync + 'static) -> Self {
        self.before_removal = BeforeRemoval(Some(Arc::new(told)));
        self
    }
}
