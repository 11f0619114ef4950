//! Kafka's own directories: told from ours, read as they stand, and what a clean close of ours leaves for Kafka.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, Entry, EntryKind};
use crate::log::{LastClose, LogConfig, partition_metadata, text_checkpoint};
use crate::store::registry::{self, PARTITIONS_MAX, Registry, TopicEntry};
use crate::types::{Offset, TopicId, TopicPartition};

const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
const METADATA: &str = "meta.properties";
const FILE_MAX: u64 = 256 << 20;

/// Kafka's log of its own metadata: a partition directory that belongs to no topic.
const CLUSTER_METADATA: &str = "__cluster_metadata-0";

/// Whose a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody's yet.
    New,
    /// Ours.
    Riverbed,
    /// Kafka's, or at least not ours: it holds partitions, or Kafka's properties, and no registry.
    Kafka,
}

/// Whose the directory with these entries is.
pub(super) fn owner(entries: &[Entry]) -> Owner {
    if entries.iter().any(|entry| entry.name == registry::FILE) {
        return Owner::Riverbed;
    }
    let is_partition = |entry: &Entry| {
        entry.kind == EntryKind::Directory && TopicPartition::from_directory_name(&entry.name).is_some()
    };
    if entries.iter().any(|entry| entry.name == METADATA || is_partition(entry)) { Owner::Kafka } else { Owner::New }
}

/// What Kafka's files say about the partitions of a directory.
#[derive(Debug, Default)]
pub(super) struct KafkaState {
    /// Closed cleanly.
    pub(super) clean: bool,
    recovery_points: HashMap<TopicPartition, Offset>,
    log_starts: HashMap<TopicPartition, Offset>,
    high_watermarks: HashMap<TopicPartition, Offset>,
    cleaned: HashMap<TopicPartition, Offset>,
}

impl KafkaState {
    /// Reads the checkpoints. Kafka takes a broken one for empty, and so do we.
    pub(super) fn read(directory: &dyn Directory, entries: &[Entry]) -> Result<Self> {
        Ok(Self {
            clean: entries.iter().any(|entry| entry.name == CLEAN_SHUTDOWN),
            recovery_points: read_offsets(directory, RECOVERY_POINTS)?,
            log_starts: read_offsets(directory, LOG_STARTS)?,
            high_watermarks: read_offsets(directory, HIGH_WATERMARKS)?,
            cleaned: read_offsets(directory, CLEANER_OFFSETS)?,
        })
    }

    /// How a partition was left.
    pub(super) fn last_close(&self, partition: &TopicPartition) -> LastClose {
        LastClose::Kafka {
            clean: self.clean,
            recovery_point: self.recovery_points.get(partition).copied().unwrap_or_default(),
            log_start: self.log_starts.get(partition).copied(),
            high_watermark: self.high_watermarks.get(partition).copied(),
            cleaned_to: self.cleaned.get(partition).copied(),
        }
    }
}

fn read_offsets(directory: &dyn Directory, name: &str) -> Result<HashMap<TopicPartition, Offset>> {
    match directory.read(name, FILE_MAX) {
        Ok(bytes) => Ok(text_checkpoint::parse_offsets(&bytes).unwrap_or_default().into_iter().collect()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corruption) => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

/// The topics that Kafka's directory holds, with default configurations: a topic has as many partitions as the highest
/// number here says, some of which may lie on other brokers. Its id is all zero if none of them states it.
pub(super) fn topics(directory: &dyn Directory, entries: &[Entry]) -> Registry {
    let mut registry = Registry::default();
    let mut known_ids = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Directory && entry.name != CLUSTER_METADATA) {
        let Some(partition) = TopicPartition::from_directory_name(&entry.name) else { continue };
        // One number that no broker gives would make as many partitions here.
        let Some(partitions) = partition.partition.get().checked_add(1).filter(|n| *n <= PARTITIONS_MAX) else {
            continue;
        };
        if let Some(id) = read_topic_id(directory, &entry.name) {
            known_ids.entry(partition.topic.clone()).or_insert(id);
        }
        let known = registry.topics.entry(partition.topic);
        let unknown = || TopicEntry { id: TopicId::from_bytes([0; 16]), partitions, config: LogConfig::default() };
        let topic = known.or_insert_with(unknown);
        topic.partitions = topic.partitions.max(partitions);
    }
    for (name, id) in known_ids {
        registry.topics.entry(name).and_modify(|topic| topic.id = id);
    }
    registry
}

/// The topic id that the partition's directory `name` states, if it can be read.
pub(super) fn read_topic_id(directory: &dyn Directory, name: &str) -> Option<TopicId> {
    let bytes = directory.subdirectory(name).and_then(|below| below.read(partition_metadata::FILE_NAME, FILE_MAX));
    partition_metadata::parse(&bytes.ok()?).ok()
}

/// An id that no topic has.
pub(super) fn random_id() -> TopicId {
    use std::hash::{BuildHasher, RandomState};
    let half = |salt: u64| RandomState::new().hash_one(salt).to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&half(1));
    bytes[8..].copy_from_slice(&half(2));
    // Version 4 and the RFC's variant, as Kafka's random ids have. A first hex digit of 0 would be reserved.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    TopicId::from_bytes(bytes)
}

/// Removes the sign that the directory was closed cleanly, so that no broker takes over what a crash of ours left.
/// Durable once the directory is synced.
pub(super) fn unlink_clean_shutdown(directory: &dyn Directory) -> Result<()> {
    directory.unlink(CLEAN_SHUTDOWN)
}

/// Where a partition ended, for Kafka's checkpoints.
#[derive(Clone, Debug)]
pub(super) struct LeftForKafka {
    pub(super) partition: TopicPartition,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) high_watermark: Offset,
    /// Where compaction goes on; 0 if nothing was compacted.
    pub(super) cleaned_to: Offset,
    /// Base of the first segment: Kafka lists only log starts above it.
    pub(super) first_base: Offset,
}

/// Writes Kafka's four checkpoints, and then the sign of a clean close, so that a broker can take over.
pub(super) fn leave_for_kafka(directory: &dyn Directory, partitions: &[LeftForKafka]) -> Result<()> {
    let write = |name: &str, list: Vec<(&TopicPartition, Offset)>| {
        directory.put(name, text_checkpoint::format_offsets(list.into_iter()).as_bytes())
    };
    write(RECOVERY_POINTS, partitions.iter().map(|left| (&left.partition, left.log_end)).collect())?;
    let started = partitions.iter().filter(|left| left.log_start > left.first_base);
    write(LOG_STARTS, started.map(|left| (&left.partition, left.log_start)).collect())?;
    write(HIGH_WATERMARKS, partitions.iter().map(|left| (&left.partition, left.high_watermark)).collect())?;
    let cleaned = partitions.iter().filter(|left| left.cleaned_to > Offset::ZERO);
    write(CLEANER_OFFSETS, cleaned.map(|left| (&left.partition, left.cleaned_to)).collect())?;
    directory.sync()?;
    directory.put(CLEAN_SHUTDOWN, br#"{"version":0,"brokerEpoch":-1}"#)?;
    directory.sync()
}

/// That this directory must be adopted first.
pub(super) fn refuse(directory: &dyn Directory) -> Error {
    let message = format!(
        "{} holds partitions but no {}: open it read-only, or adopt it",
        directory.path().display(),
        registry::FILE
    );
    Error::new(ErrorKind::ForeignDirectory, message)
}
