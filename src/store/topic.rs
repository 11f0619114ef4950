//! A topic: a name, a configuration, and partitions.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::log::LogConfig;
use crate::partition::Partition;
use crate::store::inner::Inner;
use crate::store::partitions::Partitions;
use crate::sync::{Arc, RwLock};
use crate::types::{PartitionId, TopicId, TopicName};

/// What a topic is created with: a number of partitions, and settings by Kafka's names.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct TopicConfig {
    pub(super) partitions: u32,
    pub(super) log: LogConfig,
}

impl Default for TopicConfig {
    /// One partition, and Kafka's defaults.
    fn default() -> Self {
        Self { partitions: 1, log: LogConfig::default() }
    }
}

impl TopicConfig {
    /// With this many partitions.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// With another value for a setting, by Kafka's name of it (`segment.bytes`, `retention.ms`, …).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a name that does not exist, or a value that is not allowed.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self> {
        self.log.set(name, value)?;
        Ok(self)
    }

    /// The settings.
    #[must_use]
    pub fn log(&self) -> &LogConfig {
        &self.log
    }
}

/// A topic of a store: a handle, cheap to clone. One of a deleted topic answers [`ErrorKind::UnknownTopic`] for ever,
/// also when another topic takes its name.
#[derive(Clone)]
pub struct Topic {
    pub(super) store: Arc<Inner>,
    pub(super) state: Arc<TopicState>,
}

/// A topic as the store holds it.
pub(super) struct TopicState {
    pub(super) name: TopicName,
    pub(super) id: TopicId,
    pub(super) changing: RwLock<Changing>,
}

/// What of a topic may change.
pub(super) struct Changing {
    pub(super) config: LogConfig,
    pub(super) partitions: Partitions,
    pub(super) deleted: bool,
}

impl Topic {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.state.name
    }

    /// The id, which tells it from other topics that have had its name.
    #[must_use]
    pub fn id(&self) -> TopicId {
        self.state.id
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        self.state.changing.read().partitions.count()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.state.changing.read().config.clone()
    }

    /// Partition number `partition`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownPartition`], [`ErrorKind::UnknownTopic`] if the topic was deleted, [`ErrorKind::Closed`]; and
    /// what opening the partition answered, if its files cannot be a log's.
    pub fn partition(&self, partition: u32) -> Result<Partition> {
        self.store.check_open()?;
        let changing = self.state.changing.read();
        if changing.deleted {
            return Err(unknown(&self.state.name));
        }
        changing.partitions.get(&self.state.name, partition).unwrap_or_else(|| {
            let (name, count) = (&self.state.name, changing.partitions.count());
            let message = format!("topic {name} has {count} partitions, number {partition} is none of them");
            Err(Error::new(ErrorKind::UnknownPartition, message))
        })
    }

    /// All partitions, in order; with what opening answered where one's files cannot be a log's.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTopic`] if the topic was deleted, [`ErrorKind::Closed`].
    pub fn partitions(&self) -> Result<Vec<(PartitionId, Result<Partition>)>> {
        self.store.check_open()?;
        let changing = self.state.changing.read();
        if changing.deleted {
            return Err(unknown(&self.state.name));
        }
        let all = (0..changing.partitions.count()).map(|number| {
            let opened = changing.partitions.get(&self.state.name, number)?;
            Some((PartitionId::new(number), opened))
        });
        Ok(all.flatten().collect())
    }

    /// Puts other settings in force, from the next append or roll on: those in `settings`, by Kafka's names.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`]; [`ErrorKind::UnknownTopic`], [`ErrorKind::ReadOnly`], [`ErrorKind::Closed`]; what
    /// writing the registry can answer. Then nothing has changed.
    pub fn alter<'s>(&self, settings: impl IntoIterator<Item = (&'s str, &'s str)>) -> Result<()> {
        self.store.alter_topic(&self.state, settings)
    }

    /// Adds partitions, so that there are `partitions` of them. They are never taken away.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for fewer than there are; otherwise as [`Topic::alter`].
    pub fn grow(&self, partitions: u32) -> Result<()> {
        self.store.grow_topic(&self.state, partitions)
    }
}

/// That there is no such topic.
pub(super) fn unknown(name: impl fmt::Display) -> Error {
    Error::new(ErrorKind::UnknownTopic, format!("there is no topic {name}"))
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("name", &self.state.name).field("id", &self.state.id).finish_non_exhaustive()
    }
}
