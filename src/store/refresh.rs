//! A read-only store looks again at what a writer has changed since.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{ErrorKind, Result};
use crate::log::OpenMode;
use crate::store::inner::{Inner, Left};
use crate::store::partitions::{Numbers, Partitions};
use crate::store::registry::{Registry, TopicEntry};
use crate::store::topic::TopicState;
use crate::sync::Arc;
use crate::types::{PartitionId, TopicPartition};

/// How often the directory is looked at while a writer changes it.
const TRIES: usize = 5;

impl Inner {
    pub(super) fn refresh(&self) -> Result<()> {
        self.check_open()?;
        if self.mode == OpenMode::Write {
            return Ok(());
        }
        let _admin = self.admin.lock();
        self.check_open()?;
        for _ in 1..TRIES {
            match self.refresh_once() {
                // A topic was deleted between the looks at the list and at its directories.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                refreshed => return refreshed,
            }
        }
        self.refresh_once()
    }

    fn refresh_once(&self) -> Result<()> {
        let (registry, left, numbers) = self.look()?;
        self.drop_deleted(&registry);
        let mut first_error = None;
        for (name, entry) in &registry.topics {
            let known = self.topics.read().get(name).cloned();
            let refreshed = match known {
                Some(state) => self.refresh_topic(&state, entry, &left, &numbers),
                None => self.open_topic(name, entry, &left, &numbers).map(|state| {
                    self.topics.write().insert(name.clone(), Arc::new(state));
                }),
            };
            first_error = first_error.or(refreshed.err());
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Handles of topics that are no longer there answer so.
    fn drop_deleted(&self, registry: &Registry) {
        let is_there = |state: &TopicState| registry.topics.get(&state.name).is_some_and(|entry| entry.id == state.id);
        let gone: Vec<_> = self.topics.read().values().filter(|state| !is_there(state)).cloned().collect();
        for state in gone {
            self.topics.write().remove(&state.name);
            state.shut_deleted();
        }
    }

    /// Opens what is new, and lets the others look again: without a lock that anybody else takes.
    fn refresh_topic(&self, state: &TopicState, entry: &TopicEntry, left: &Left, numbers: &Numbers) -> Result<()> {
        let known = state.changing.read().partitions.clone();
        let config = Arc::new(entry.config.clone());
        let (open, mut partitions) = (known.here().filter(|(_, opened)| opened.is_ok()), BTreeMap::new());
        let here: BTreeSet<u32> =
            open.map(|(number, _)| number).chain(numbers.below(&state.name, entry.partitions)).collect();
        let mut first_error = None;
        for number in here {
            let id = TopicPartition::new(state.name.clone(), PartitionId::new(number));
            let last_close = left.of(&id);
            match known.get(&state.name, number) {
                Some(Ok(partition)) => {
                    partition.log().set_config(entry.config.clone());
                    first_error = first_error.or(partition.log().refresh(last_close).err());
                    partitions.insert(number, Ok(partition));
                }
                _ => {
                    let opened = self.open_partition(id, entry.id, Arc::clone(&config), last_close)?;
                    partitions.insert(number, opened);
                }
            }
        }
        let mut changing = state.changing.write();
        changing.config = entry.config.clone();
        changing.partitions = Partitions::new(entry.partitions, partitions);
        first_error.map_or(Ok(()), Err)
    }
}
