//! The partitions of a topic: as many as it has, and those of them that are here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::error::{Error, ErrorKind, Result};
use crate::io::Entry;
use crate::partition::Partition;
use crate::store::clean_mark::CleanMark;
use crate::types::{PartitionId, TopicName, TopicPartition};

/// A topic's partitions. Only those that are here take room: a number is quickly written, and hostile bytes could make
/// millions of partitions that are not.
#[derive(Clone, Default)]
pub(super) struct Partitions {
    count: u32,
    here: BTreeMap<u32, Result<Partition>>,
}

impl Partitions {
    /// `count` partitions, of which `here` have a directory: each open, or with what its opening answered.
    pub(super) fn new(count: u32, here: BTreeMap<u32, Result<Partition>>) -> Self {
        Self { count, here }
    }

    /// How many the topic has.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Partition number `number` of `topic`; `None` if the topic has none of that number.
    pub(super) fn get(&self, topic: &TopicName, number: u32) -> Option<Result<Partition>> {
        if number >= self.count {
            return None;
        }
        let not_here = || {
            let partition = TopicPartition::new(topic.clone(), PartitionId::new(number));
            Err(Error::new(ErrorKind::NotFound, format!("{partition} has no directory here")))
        };
        Some(self.here.get(&number).cloned().unwrap_or_else(not_here))
    }

    /// Those that are here, by number.
    pub(super) fn here(&self) -> impl Iterator<Item = (u32, &Result<Partition>)> {
        self.here.iter().map(|(number, opened)| (*number, opened))
    }

    /// Those that are open.
    pub(super) fn open(&self) -> impl Iterator<Item = &Partition> {
        self.here.values().flatten()
    }

    /// Whether all that are here are open. A directory of Kafka's need not hold all partitions of a topic.
    pub(super) fn are_open(&self) -> bool {
        self.here.values().all(|opened| opened.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::NotFound))
    }

    /// Adds partitions at the end, all of which are here.
    pub(super) fn extend(&mut self, added: Vec<Result<Partition>>) {
        for opened in added {
            self.here.insert(self.count, opened);
            self.count += 1;
        }
    }
}

/// Which partitions to open: those that have a directory, and those that had one when the store was closed.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<TopicName, BTreeSet<u32>>);

impl Numbers {
    /// The numbers in the names of directories, or of what has taken their place, and in a clean mark.
    pub(super) fn of(entries: &[Entry], mark: Option<&CleanMark>) -> Self {
        let named = entries.iter().filter_map(|entry| TopicPartition::from_directory_name(&entry.name));
        let marked = mark.into_iter().flat_map(|mark| mark.ends.keys().cloned());
        let mut numbers = Self::default();
        for partition in named.chain(marked) {
            numbers.0.entry(partition.topic).or_default().insert(partition.partition.get());
        }
        numbers
    }

    /// Those of a topic that has `count` partitions.
    pub(super) fn below(&self, topic: &TopicName, count: u32) -> impl Iterator<Item = u32> {
        self.0.get(topic).into_iter().flat_map(move |numbers| numbers.range(..count).copied())
    }
}
