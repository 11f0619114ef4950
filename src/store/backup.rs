//! A copy of a store while it is written.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, OsDirectory};
use crate::log::partition_metadata;
use crate::partition::Partition;
use crate::store::clean_mark::CleanMark;
use crate::store::inner::Inner;
use crate::store::registry::Registry;
use crate::store::topic::TopicState;
use crate::sync::Arc;
use crate::types::TopicName;

/// What [`Store::backup`](crate::Store::backup) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Topics in it.
    pub topics: u64,
    /// Partitions in it.
    pub partitions: u64,
    /// Bytes of log files that it shares with the store: they cost nothing until the store removes them.
    pub linked_bytes: u64,
    /// Bytes of log files that were copied.
    pub copied_bytes: u64,
}

impl Inner {
    pub(super) fn backup(&self, path: &Path) -> Result<Backup> {
        self.check_writable()?;
        let into = OsDirectory::create(path, Arc::clone(&self.budget))?;
        if !into.list()?.is_empty() {
            let message = format!("{} is not empty: a backup is made in a directory of its own", path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        self.backup_into(into.as_ref()).inspect_err(|_| remove_all(into.as_ref()))
    }

    /// The list of topics is written last: until then what is there is no store.
    fn backup_into(&self, into: &dyn Directory) -> Result<Backup> {
        let (mut registry, topics) = {
            let admin = self.administer()?;
            let topics = self.topics.read().clone();
            (Registry { deleted: Vec::new(), ..self.registry(&admin) }, topics)
        };
        let (mut backup, mut mark) = (Backup::default(), CleanMark { generation: 1, ..CleanMark::default() });
        for (name, state) in &topics {
            match self.backup_topic(state, into, &mut mark) {
                Ok(done) => {
                    backup.topics += 1;
                    backup.partitions += done.partitions;
                    backup.linked_bytes += done.linked_bytes;
                    backup.copied_bytes += done.copied_bytes;
                }
                Err(error) if error.kind() == ErrorKind::UnknownTopic => {
                    forget(name, into, &mut mark)?;
                    registry.topics.remove(name);
                }
                Err(error) => return Err(error),
            }
        }
        mark.write(into)?;
        registry.write(into)?;
        Ok(backup)
    }

    fn backup_topic(&self, state: &TopicState, into: &dyn Directory, mark: &mut CleanMark) -> Result<Backup> {
        let partitions = {
            let changing = state.changing.read();
            if changing.deleted {
                return Err(crate::store::topic::unknown(&state.name));
            }
            changing.partitions.clone()
        };
        let mut backup = Backup::default();
        for (_, opened) in partitions.here() {
            self.check_open()?;
            let partition: &Partition = opened.as_ref().map_err(Error::clone)?;
            let directory = into.create_subdirectory(&partition.id().to_string())?;
            directory.put(partition_metadata::FILE_NAME, partition_metadata::format(state.id).as_bytes())?;
            // So that most is sealed, trimmed and has its index files, and need not be copied.
            match partition.sync() {
                // The tail was cut meanwhile.
                Err(error) if error.kind() == ErrorKind::OffsetOutOfRange => {}
                synced => drop(synced?),
            }
            let done = partition.log().backup(directory.as_ref())?;
            backup.partitions += 1;
            backup.linked_bytes += done.linked;
            backup.copied_bytes += done.copied;
            mark.ends.insert(partition.id().clone(), done.ends);
        }
        Ok(backup)
    }
}

/// Takes out of a backup what is of a topic that was deleted meanwhile.
fn forget(topic: &TopicName, into: &dyn Directory, mark: &mut CleanMark) -> Result<()> {
    mark.ends.retain(|partition, _| partition.topic != *topic);
    for entry in into.list()? {
        let of = crate::types::TopicPartition::from_directory_name(&entry.name);
        if of.is_some_and(|partition| partition.topic == *topic) {
            into.remove_subdirectory(&entry.name)?;
        }
    }
    Ok(())
}

/// Removes what an unfinished backup left, as far as that is possible: it is no store.
fn remove_all(into: &dyn Directory) {
    for entry in into.list().unwrap_or_default() {
        into.remove_subdirectory(&entry.name).or_else(|_| into.unlink(&entry.name)).ok();
    }
}
