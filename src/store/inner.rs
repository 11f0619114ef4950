//! The store behind its handles, and its opening.

use std::collections::BTreeMap;
use std::path::Path;

use crate::compaction::Cleaner;
use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::io::{Budget, Directory, DirectoryLock, OpenMode as IoMode, OsDirectory, generation};
use crate::log::{LastClose, LogConfig, LogOptions, OpenMode, Recovery};
use crate::partition::{self, Partition};
use crate::store::StoreConfig;
use crate::store::clean_mark::CleanMark;
use crate::store::compact::COMPACTION;
use crate::store::deletion::Found;
use crate::store::flusher::Flusher;
use crate::store::foreign::{self, KafkaState, Owner};
use crate::store::identity;
use crate::store::maintenance::Chore;
use crate::store::partitions::{Numbers, Partitions};
use crate::store::registry::{Registry, TopicEntry};
use crate::store::retention::RETENTION;
use crate::store::topic::{Changing, Topic, TopicState, unknown};
use crate::store::unsynced::Unsynced;
use crate::store::worker::Worker;
use crate::sync::{Arc, AtomicBool, Mutex, OnceLock, Ordering, RwLock};
use crate::types::{PartitionId, TopicId, TopicName, TopicPartition};

/// A store that is open.
pub(super) struct Inner {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) config: StoreConfig,
    pub(super) budget: Arc<Budget>,
    pub(super) mode: OpenMode,
    pub(super) topics: RwLock<BTreeMap<TopicName, Arc<TopicState>>>,
    /// Held by whoever changes the list of topics, and then before `topics`.
    pub(super) admin: Mutex<Admin>,
    pub(super) flusher: Arc<Flusher>,
    pub(super) retention: Arc<Chore>,
    pub(super) compaction: Arc<Chore>,
    /// Held by whoever closes the store, and then before `admin`.
    pub(super) closing: Mutex<()>,
    cleaner: Arc<Cleaner>,
    pub(super) closed: AtomicBool,
    /// What closing could not do.
    pub(super) close_error: OnceLock<Error>,
    /// Which process opened it, told by forks.
    forks: u64,
}

/// What only who changes the list of topics needs.
pub(super) struct Admin {
    pub(super) lock: Option<Box<dyn DirectoryLock>>,
    pub(super) workers: Vec<Worker>,
    pub(super) generation: u64,
    /// Topics that are deleted, but whose directories could not all be removed.
    pub(super) deleted: Vec<TopicId>,
}

/// How the partitions of a directory were left.
pub(super) enum Left {
    Ours { mark: CleanMark, same_power: bool },
    Kafkas(KafkaState),
}

impl Left {
    pub(super) fn of(&self, partition: &TopicPartition) -> LastClose {
        match self {
            Self::Kafkas(state) => state.last_close(partition),
            Self::Ours { mark, same_power } => match mark.ends.get(partition) {
                Some(ends) => LastClose::Clean(*ends),
                None => LastClose::Unclean { same_power: *same_power },
            },
        }
    }
}

impl Inner {
    pub(super) fn open(path: &Path, config: StoreConfig, mode: OpenMode) -> Result<Arc<Self>> {
        let budget = config.budget();
        let directory = match mode {
            OpenMode::Write => OsDirectory::create(path, Arc::clone(&budget))?,
            OpenMode::ReadOnly => OsDirectory::open(path, IoMode::ReadOnly, Arc::clone(&budget))?,
        };
        match mode {
            OpenMode::Write => Self::open_for_writing(directory, config, budget),
            OpenMode::ReadOnly => Self::open_for_reading(directory, config, budget),
        }
    }

    pub(super) fn open_for_writing(
        directory: Arc<dyn Directory>,
        config: StoreConfig,
        budget: Arc<Budget>,
    ) -> Result<Arc<Self>> {
        let lock = directory.lock()?;
        let entries = directory.list()?;
        if foreign::owner(&entries) == Owner::Kafka {
            return Err(foreign::refuse(directory.as_ref()));
        }
        let registry = Registry::read(directory.as_ref())?;
        let mark = CleanMark::read(directory.as_ref())?;
        let generation = mark.generation.saturating_add(1);
        foreign::unlink_clean_shutdown(directory.as_ref())?;
        CleanMark::overwrite(directory.as_ref(), generation)?;
        let mut registry = match registry {
            Some(registry) => registry,
            None => {
                Registry::default().write(directory.as_ref())?;
                Registry::default()
            }
        };
        let numbers = Numbers::of(&entries, Some(&mark));
        let left = Left::Ours { mark, same_power: lock.same_power() };
        let inner = Self::new(directory, config, budget, OpenMode::Write);
        let found = Found::among(&entries, inner.directory.as_ref(), &mut registry);
        let deleted = inner.finish_deletions(&registry, &found)?;
        if inner.open_topics(&registry, &left, &numbers)? {
            // Only then every cut of this opening is durable. Without room what the file said before stays, or nothing.
            lock.keep_power().or_else(Error::unless_full)?;
        }
        *inner.admin.lock() = Admin { lock: Some(lock), workers: Vec::new(), generation, deleted };
        let inner = Arc::new(inner);
        inner.start_workers()?;
        Ok(inner)
    }

    /// Starts the store's threads. The last step of an opening: where one cannot be started, the store is closed.
    fn start_workers(self: &Arc<Self>) -> Result<()> {
        let started = self.workers();
        if started.is_err() {
            // The answer is that of the thread; what closing could not do, the next opening recovers.
            self.close().ok();
        }
        started
    }

    fn workers(self: &Arc<Self>) -> Result<()> {
        let mut admin = self.admin.lock();
        let flusher = Arc::clone(&self.flusher);
        if self.config.has_flusher() {
            admin.workers.push(Worker::start("riverbed-flush", move || flusher.run())?);
        }
        if self.config.maintenance {
            for chore in self.chores() {
                admin.workers.push(chore.start(Arc::downgrade(self))?);
            }
        }
        Ok(())
    }

    pub(super) fn open_for_reading(
        directory: Arc<dyn Directory>,
        config: StoreConfig,
        budget: Arc<Budget>,
    ) -> Result<Arc<Self>> {
        let inner = Self::new(directory, config, budget, OpenMode::ReadOnly);
        let (registry, left, numbers) = inner.look()?;
        inner.open_topics(&registry, &left, &numbers)?;
        Ok(Arc::new(inner))
    }

    /// What a read-only opening finds: ours, Kafka's, or nothing yet.
    pub(super) fn look(&self) -> Result<(Registry, Left, Numbers)> {
        let directory = self.directory.as_ref();
        let entries = directory.list()?;
        // The file itself is asked, as the list may miss it while a writer replaces it.
        if let Some(mut registry) = Registry::read(directory)? {
            Found::among(&entries, directory, &mut registry);
            let mark = CleanMark::read(directory)?;
            // Listed again: a topic on the list has its directories.
            let numbers = Numbers::of(&directory.list()?, Some(&mark));
            return Ok((registry, Left::Ours { mark, same_power: false }, numbers));
        }
        match foreign::owner(&entries) {
            Owner::Kafka => {
                let state = KafkaState::read(directory, &entries)?;
                Ok((foreign::topics(directory, &entries), Left::Kafkas(state), Numbers::of(&entries, None)))
            }
            Owner::New | Owner::Riverbed => {
                let left = Left::Ours { mark: CleanMark::default(), same_power: false };
                Ok((Registry::default(), left, Numbers::default()))
            }
        }
    }

    pub(super) fn new(directory: Arc<dyn Directory>, config: StoreConfig, budget: Arc<Budget>, mode: OpenMode) -> Self {
        let unsynced = Unsynced::new(config.max_unsynced_bytes, config.max_unsynced_wait);
        let chore = |care, interval| Chore::new(care, Arc::clone(&config.clock), interval);
        let retention = chore(RETENTION, config.retention_check_interval);
        let compaction = chore(COMPACTION, config.compaction_check_interval);
        let flusher = Arc::new(Flusher::new(Arc::clone(&config.clock), unsynced, Arc::clone(&retention)));
        let cleaner = Arc::new(Cleaner::new(config.cleaner));
        let admin = Admin { lock: None, workers: Vec::new(), generation: 0, deleted: Vec::new() };
        Self {
            directory,
            config,
            budget,
            mode,
            topics: RwLock::new(BTreeMap::new()),
            admin: Mutex::new(admin),
            flusher,
            retention,
            compaction,
            closing: Mutex::new(()),
            cleaner,
            closed: AtomicBool::new(false),
            close_error: OnceLock::new(),
            forks: generation(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) || self.is_forked() {
            return Err(self.is_closed());
        }
        Ok(())
    }

    #[cold]
    fn is_closed(&self) -> Error {
        let mut message = format!("the store at {} is closed", self.path().display());
        if let Some(error) = self.close_error.get() {
            message = format!("{message}, not cleanly: {error}");
        }
        Error::new(ErrorKind::Closed, message)
    }

    /// Whether this is a forked child's copy of the parent's store: it has none of the threads, and nobody in it releases
    /// a lock that one of them held.
    pub(super) fn is_forked(&self) -> bool {
        self.forks != generation()
    }

    pub(super) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match self.mode {
            OpenMode::Write => Ok(()),
            OpenMode::ReadOnly => {
                let message = format!("the store at {} is open read-only", self.path().display());
                Err(Error::new(ErrorKind::ReadOnly, message))
            }
        }
    }

    /// Opens all topics. Answers whether all partitions that are here could be opened.
    pub(super) fn open_topics(&self, registry: &Registry, left: &Left, numbers: &Numbers) -> Result<bool> {
        let mut all = true;
        for (name, entry) in &registry.topics {
            let state = self.open_topic(name, entry, left, numbers)?;
            all &= state.changing.read().partitions.are_open();
            self.topics.write().insert(name.clone(), Arc::new(state));
        }
        Ok(all)
    }

    pub(super) fn open_topic(
        &self,
        name: &TopicName,
        entry: &TopicEntry,
        left: &Left,
        numbers: &Numbers,
    ) -> Result<TopicState> {
        let config = Arc::new(entry.config.clone());
        let open = |number| {
            let id = TopicPartition::new(name.clone(), PartitionId::new(number));
            let last_close = left.of(&id);
            Ok((number, self.open_partition(id, entry.id, Arc::clone(&config), last_close)?))
        };
        let here = numbers.below(name, entry.partitions).map(open).collect::<Result<_>>()?;
        let partitions = Partitions::new(entry.partitions, here);
        let changing = Changing { config: entry.config.clone(), partitions, deleted: false };
        Ok(TopicState { name: name.clone(), id: entry.id, changing: RwLock::new(changing) })
    }

    /// Opens a partition. What is wrong with its files is its own answer; what is not, is an error.
    pub(super) fn open_partition(
        &self,
        id: TopicPartition,
        topic: TopicId,
        config: Arc<LogConfig>,
        last_close: LastClose,
    ) -> Result<Result<Partition>> {
        let directory = self.directory.subdirectory(&id.to_string())?;
        let options = LogOptions {
            config,
            clock: Arc::clone(&self.config.clock),
            mode: self.mode,
            last_close,
            verify_always: self.config.verify_always,
        };
        let flusher: Option<Arc<dyn partition::Flusher>> = match self.mode {
            OpenMode::Write => Some(Arc::clone(&self.flusher) as _),
            OpenMode::ReadOnly => None,
        };
        let checked = identity::check(directory.as_ref(), topic, self.mode);
        let cleaner = Arc::clone(&self.cleaner);
        let opened = checked.and_then(|()| Partition::of_store(id, Arc::clone(&directory), &options, flusher, cleaner));
        match (lenient(opened)?, last_close) {
            (Err(error), LastClose::Clean(_)) if error.kind() == ErrorKind::NotFound => {
                let reason = CorruptionReason::Layout("it was there when the store was closed, and is gone".to_owned());
                Ok(Err(Error::corrupt(0, reason).located(directory.path(), 0)))
            }
            (opened, _) => Ok(opened),
        }
    }

    pub(super) fn topic(self: &Arc<Self>, name: &TopicName) -> Result<Topic> {
        self.check_open()?;
        let state = self.topics.read().get(name).cloned().ok_or_else(|| unknown(name))?;
        Ok(Topic { store: Arc::clone(self), state })
    }

    pub(super) fn topics(self: &Arc<Self>) -> Result<Vec<Topic>> {
        self.check_open()?;
        let topics = self.topics.read();
        Ok(topics.values().map(|state| Topic { store: Arc::clone(self), state: Arc::clone(state) }).collect())
    }

    /// All partitions that are open.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        let topics = self.topics.read();
        let open = |state: &Arc<TopicState>| state.changing.read().partitions.open().cloned().collect::<Vec<_>>();
        topics.values().flat_map(open).collect()
    }

    /// All partitions that are here and could not be opened, with what opening them answered.
    pub(super) fn not_open(&self) -> Vec<(TopicPartition, Error)> {
        let mut list = Vec::new();
        for (name, state) in self.topics.read().iter() {
            for (number, opened) in state.changing.read().partitions.here() {
                let error = opened.as_ref().err().filter(|error| error.kind() != ErrorKind::NotFound);
                list.extend(
                    error.map(|error| (TopicPartition::new(name.clone(), PartitionId::new(number)), error.clone())),
                );
            }
        }
        list
    }

    pub(super) fn recovery(&self) -> Vec<(TopicPartition, Recovery)> {
        if self.is_forked() {
            return Vec::new();
        }
        let listed = |partition: &Partition| (partition.id().clone(), partition.recovery().clone());
        let mut all = self.partitions().iter().map(listed).collect::<Vec<_>>();
        all.retain(|(_, recovery)| *recovery != Recovery::default());
        for (id, error) in self.not_open() {
            let path = self.path().join(id.to_string());
            all.push((id, Recovery::of_unopened(&path, &error)));
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// What is done in the background, but for syncs: a worker each.
    pub(super) fn chores(&self) -> [&Arc<Chore>; 2] {
        [&self.retention, &self.compaction]
    }

    pub(super) fn run_due(&self) {
        if !self.is_forked() {
            self.flusher.run_due();
            self.chores().into_iter().for_each(|chore| chore.run_due(self));
        }
    }

    /// Bytes of all topics that are written and not synced.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.flusher.unsynced_bytes()
    }
}

/// Damage to one partition's files, or a disk too full to mend them, is that partition's answer; anything else is the
/// store's.
fn lenient(opened: Result<Partition>) -> Result<Result<Partition>> {
    use ErrorKind::{Corruption, Io, NotADirectory, NotFound, PermissionDenied, StorageFull};
    match opened.map_err(|error| (error.kind(), error)) {
        Err((Corruption | NotFound | NotADirectory | PermissionDenied | Io | StorageFull, error)) => Ok(Err(error)),
        Err((_, error)) => Err(error),
        Ok(partition) => Ok(Ok(partition)),
    }
}
