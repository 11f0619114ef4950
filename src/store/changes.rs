//! Changing the list of topics. Replacing the registry is the commit point of each change: what was prepared before it is
//! nothing without it, and what follows it is made up for by the next opening.

use std::collections::HashSet;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::log::{LastClose, LogConfig, partition_metadata};
use crate::partition::Partition;
use crate::store::deletion::DOOMED;
use crate::store::foreign;
use crate::store::inner::{Admin, Inner};
use crate::store::partitions::Partitions;
use crate::store::registry::{PARTITIONS_MAX, Registry, TopicEntry};
use crate::store::side_by_side;
use crate::store::topic::{Changing, Topic, TopicConfig, TopicState, unknown};
use crate::sync::{Arc, MutexGuard, RwLock};
use crate::types::{PartitionId, TopicId, TopicName, TopicPartition};

/// Suffixes of directories that Kafka sets aside. A topic of Kafka's that ends so is read and adopted all the same.
const RESERVED: [&str; 3] = ["-delete", "-stray", "-future"];

impl Inner {
    /// The right to change the list of topics. Asked for an open store once it is there: a close may have had it.
    pub(super) fn administer(&self) -> Result<MutexGuard<'_, Admin>> {
        self.check_writable()?;
        let admin = self.admin.lock();
        self.check_writable()?;
        Ok(admin)
    }

    pub(super) fn create_topic(self: &Arc<Self>, name: &TopicName, config: TopicConfig) -> Result<Topic> {
        config.log.check()?;
        if config.partitions == 0 || config.partitions > PARTITIONS_MAX {
            let message = format!("a topic has 1 to {PARTITIONS_MAX} partitions, not {}", config.partitions);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let admin = self.administer()?;
        self.check_name(name)?;
        let entry = TopicEntry { id: foreign::random_id(), partitions: config.partitions, config: config.log };
        let mut partitions = Partitions::default();
        partitions.extend(self.create_partitions(&admin, name, &entry, 0)?);
        let changing = Changing { config: entry.config.clone(), partitions, deleted: false };
        let state = Arc::new(TopicState { name: name.clone(), id: entry.id, changing: RwLock::new(changing) });
        let mut registry = self.registry(&admin);
        registry.topics.insert(name.clone(), entry.clone());
        let unsure = self.replace_registry(&registry).inspect_err(|_| {
            state.shut_deleted();
            self.remove_created(name, 0..entry.partitions);
        })?;
        self.topics.write().insert(name.clone(), Arc::clone(&state));
        unsure.map_or(Ok(Topic { store: Arc::clone(self), state }), Err)
    }

    /// Replaces the registry. After an error it may be there all the same, and only not be known to be durable: then this
    /// answers the error as a value, and the change has happened, as the next opening will find. What a power cut that
    /// takes it back would need must stay.
    pub(super) fn replace_registry(&self, registry: &Registry) -> Result<Option<Error>> {
        let Err(error) = registry.write(self.directory.as_ref()) else { return Ok(None) };
        match Registry::read(self.directory.as_ref()) {
            Ok(Some(found)) if found == *registry => Ok(Some(error)),
            _ => Err(error),
        }
    }

    fn check_name(&self, name: &TopicName) -> Result<()> {
        if let Some(suffix) = RESERVED.iter().find(|suffix| name.as_str().ends_with(*suffix)) {
            let message = format!("topic name {name} ends with {suffix}, which names directories that are set aside");
            return Err(Error::new(ErrorKind::InvalidTopic, message));
        }
        let topics = self.topics.read();
        if topics.contains_key(name) {
            return Err(Error::new(ErrorKind::TopicExists, format!("topic {name} exists")));
        }
        match topics.keys().find(|other| name.collides_with(other)) {
            Some(other) => {
                let message = format!("topic {name} differs from {other} only in '.' and '_'");
                Err(Error::new(ErrorKind::TopicCollision, message))
            }
            None => Ok(()),
        }
    }

    /// Creates and opens the partitions from number `first` on. A failure leaves none of them.
    fn create_partitions(
        &self,
        admin: &Admin,
        name: &TopicName,
        entry: &TopicEntry,
        first: u32,
    ) -> Result<Vec<Result<Partition>>> {
        let config = Arc::new(entry.config.clone());
        let unclean = LastClose::Unclean { same_power: false };
        let open = |number| {
            let id = TopicPartition::new(name.clone(), PartitionId::new(number));
            self.open_partition(id, entry.id, Arc::clone(&config), unclean)?.map(Ok)
        };
        let numbers = first..entry.partitions;
        let created = self.create_directories(admin, name, entry.id, numbers.clone());
        let opened = created.and_then(|()| numbers.clone().map(open).collect());
        opened.inspect_err(|_| self.remove_created(name, numbers))
    }

    /// Creates the partitions' directories, durably, each with the topic's id in it. What a crash left under such a name
    /// is kept aside; what a deletion left goes with the next opening.
    fn create_directories(&self, admin: &Admin, name: &TopicName, id: TopicId, numbers: Range<u32>) -> Result<()> {
        let existing: HashSet<String> = self.directory.list()?.into_iter().map(|entry| entry.name).collect();
        let create = |number: &u32| -> Result<()> {
            let partition = directory_name(name, *number);
            if existing.contains(&partition) {
                let found = foreign::read_topic_id(self.directory.as_ref(), &partition);
                let is_deleted = found.is_some_and(|id| admin.deleted.contains(&id));
                let suffix = if is_deleted { DOOMED } else { "-stray" };
                self.directory.rename(&partition, &aside(name, *number, suffix))?;
            }
            let directory = self.directory.create_subdirectory(&partition)?;
            directory.put(partition_metadata::FILE_NAME, partition_metadata::format(id).as_bytes())?;
            directory.sync()
        };
        let numbers: Vec<u32> = numbers.collect();
        let descriptors = self.budget.stats().descriptors_max;
        side_by_side::each(&numbers, descriptors, create).into_iter().collect::<Result<()>>()?;
        self.directory.sync()
    }

    /// Undoes a creation that was not committed, as far as that is possible.
    fn remove_created(&self, name: &TopicName, numbers: Range<u32>) {
        for number in numbers {
            // What stays is nobody's: a later topic of this name keeps it aside.
            self.directory.remove_subdirectory(&directory_name(name, number)).ok();
        }
    }

    /// The list of topics as it stands.
    pub(super) fn registry(&self, admin: &Admin) -> Registry {
        let topics = self.topics.read();
        let entries = topics.iter().map(|(name, state)| {
            let changing = state.changing.read();
            let partitions = changing.partitions.count();
            (name.clone(), TopicEntry { id: state.id, partitions, config: changing.config.clone() })
        });
        Registry { topics: entries.collect(), deleted: admin.deleted.clone() }
    }

    pub(super) fn alter_topic<'s>(
        &self,
        state: &TopicState,
        settings: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<()> {
        // Collected before any lock is taken: it is the caller's code.
        let settings: Vec<_> = settings.into_iter().collect();
        let admin = self.administer()?;
        self.check_current(state)?;
        let config: LogConfig = state.changing.read().config.with_pairs(settings)?;
        let unsure = self.commit(&admin, state, |entry| entry.config = config.clone())?;
        let partitions = {
            let mut changing = state.changing.write();
            changing.config = config.clone();
            changing.partitions.clone()
        };
        for partition in partitions.open() {
            partition.set_config(config.clone());
        }
        unsure.map_or(Ok(()), Err)
    }

    pub(super) fn grow_topic(&self, state: &TopicState, partitions: u32) -> Result<()> {
        let admin = self.administer()?;
        self.check_current(state)?;
        let (config, before) = {
            let changing = state.changing.read();
            (changing.config.clone(), changing.partitions.count())
        };
        if partitions < before || partitions > PARTITIONS_MAX {
            let message = format!("topic {} has {before} partitions and cannot have {partitions}", state.name);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if partitions == before {
            return Ok(());
        }
        let entry = TopicEntry { id: state.id, partitions, config };
        let added = self.create_partitions(&admin, &state.name, &entry, before)?;
        let committed = self.commit(&admin, state, |entry| entry.partitions = partitions);
        let unsure = committed.inspect_err(|_| {
            added.iter().flatten().for_each(Partition::shut_deleted);
            self.remove_created(&state.name, before..partitions);
        })?;
        state.changing.write().partitions.extend(added);
        unsure.map_or(Ok(()), Err)
    }

    /// Replaces the registry by one with one topic's entry changed.
    fn commit(&self, admin: &Admin, state: &TopicState, change: impl FnOnce(&mut TopicEntry)) -> Result<Option<Error>> {
        let mut registry = self.registry(admin);
        registry.topics.get_mut(&state.name).map(change);
        self.replace_registry(&registry)
    }

    /// Whether the topic of a handle is still the one of its name.
    fn check_current(&self, state: &TopicState) -> Result<()> {
        match self.topics.read().get(&state.name) {
            Some(current) if current.id == state.id => Ok(()),
            _ => Err(unknown(&state.name)),
        }
    }
}

pub(super) fn directory_name(topic: &TopicName, number: u32) -> String {
    TopicPartition::new(topic.clone(), PartitionId::new(number)).to_string()
}

/// The name under which a partition's directory is kept aside: at most 255 bytes, as Kafka's.
pub(super) fn aside(topic: &TopicName, number: u32, suffix: &str) -> String {
    let hex: String = foreign::random_id().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let number = number.to_string();
    let room = 255 - (number.len() + hex.len() + suffix.len() + 2);
    let topic = topic.as_str();
    format!("{}-{number}.{hex}{suffix}", &topic[..topic.len().min(room)])
}
