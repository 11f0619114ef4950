//! Deleting a topic. Replacing the registry is the commit point, as of every change; on a disk that has no room for that
//! it is the renaming of one partition's directory, which stays until there is.

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, Entry, EntryKind};
use crate::log::partition_metadata;
use crate::partition::Partition;
use crate::store::changes::{aside, directory_name};
use crate::store::foreign;
use crate::store::inner::Inner;
use crate::store::registry::Registry;
use crate::store::topic::{TopicState, unknown};
use crate::types::{TopicId, TopicName, TopicPartition};

/// Ends the name of a directory that is about to be removed. Kafka's.
pub(super) const DOOMED: &str = "-delete";
/// Ends the name of a directory that says that its whole topic goes. Not Kafka's, which gives up single partitions, too.
const MARKER: &str = "-topic-delete";

impl Inner {
    /// Commits, tells the handles, then removes the directories.
    pub(super) fn delete_topic(&self, name: &TopicName) -> Result<()> {
        let mut admin = self.administer()?;
        let state = self.topics.read().get(name).cloned().ok_or_else(|| unknown(name))?;
        let mut registry = self.registry(&admin);
        registry.topics.remove(name);
        registry.deleted.push(state.id);
        let (marker, unsure) = match self.replace_registry(&registry) {
            Ok(unsure) => (None, unsure),
            Err(full) => (Some(self.mark_deleted(&state, full)?), None),
        };
        admin.deleted.push(state.id);
        self.topics.write().remove(name);
        let partitions = state.shut_deleted();
        if let Some(error) = unsure {
            // The directories stay for the next opening, which knows whether it came to that.
            return Err(error);
        }
        if let Some(marker) = &marker {
            self.empty(marker)?;
        }
        self.remove_deleted(name, partitions)?;
        registry.deleted.retain(|id| *id != state.id);
        if let Err(error) = registry.write(self.directory.as_ref()) {
            // Done all the same. What still says that it is to be done goes with the next opening.
            return error.unless_full();
        }
        admin.deleted.retain(|id| *id != state.id);
        marker.map_or(Ok(()), |marker| self.directory.remove_subdirectory(&marker))
    }

    /// Commits without room: a directory of a partition gets the name of those that go, and the topic's id in it stands
    /// for the topic. `full` is the answer where not even that can be done.
    fn mark_deleted(&self, state: &TopicState, full: Error) -> Result<String> {
        full.clone().unless_full()?;
        let partitions = state.changing.read().partitions.count();
        for number in 0..partitions {
            let (partition, marker) = (directory_name(&state.name, number), aside(&state.name, number, MARKER));
            if foreign::read_topic_id(self.directory.as_ref(), &partition) != Some(state.id) {
                continue;
            }
            self.directory.rename(&partition, &marker)?;
            return match self.directory.sync() {
                Ok(()) => Ok(marker),
                Err(error) => {
                    self.directory.rename(&marker, &partition).ok();
                    Err(error)
                }
            };
        }
        Err(full)
    }

    /// Removes all files of a marker but the one that tells the topic.
    fn empty(&self, marker: &str) -> Result<()> {
        let directory = self.directory.subdirectory(marker)?;
        let entries = directory.list()?;
        let mut others = entries.iter().filter(|entry| entry.name != partition_metadata::FILE_NAME);
        others.try_for_each(|entry| directory.unlink(&entry.name))
    }

    /// Removes the directories of a deleted topic: all that can be, whatever becomes of the others. Their new names are
    /// durable before anything in them goes: without the file that tells the topic, nobody would know the old ones.
    fn remove_deleted(&self, name: &TopicName, partitions: u32) -> Result<()> {
        let (mut doomed, mut first_error) = (Vec::new(), None);
        for number in 0..partitions {
            let aside = aside(name, number, DOOMED);
            match self.directory.rename(&directory_name(name, number), &aside) {
                Ok(()) => doomed.push(aside),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        self.directory.sync()?;
        for aside in doomed {
            first_error = first_error.or(self.directory.remove_subdirectory(&aside).err());
        }
        let synced = self.directory.sync();
        first_error.or(synced.err()).map_or(Ok(()), Err)
    }

    /// Gives directories that go and are still called what they were the names of those that go, as
    /// [`Inner::remove_deleted`] does. Answers those that can be removed, and whether these are all.
    fn put_aside(&self, found: &Found) -> (Vec<String>, bool) {
        let (mut doomed, mut renamed, mut is_whole) = (Vec::new(), Vec::new(), true);
        for name in &found.doomed {
            match TopicPartition::from_directory_name(name) {
                None => doomed.push(name.clone()),
                Some(of) => {
                    let aside = aside(&of.topic, of.partition.get(), DOOMED);
                    match self.directory.rename(name, &aside) {
                        Ok(()) => renamed.push(aside),
                        Err(_) => is_whole = false,
                    }
                }
            }
        }
        match renamed.is_empty() || self.directory.sync().is_ok() {
            true => doomed.append(&mut renamed),
            false => is_whole = false,
        }
        (doomed, is_whole)
    }

    /// Removes directories of deleted topics that a crash left. Answers the topics of which not all could be removed:
    /// the next opening tries again.
    pub(super) fn finish_deletions(&self, registry: &Registry, found: &Found) -> Result<Vec<TopicId>> {
        let mut left = false;
        for name in &found.markers {
            left |= self.empty(name).is_err();
        }
        let (doomed, renamed) = self.put_aside(found);
        left |= !renamed;
        for name in &doomed {
            left |= self.directory.remove_subdirectory(name).is_err();
        }
        if registry.deleted.is_empty() {
            return Ok(Vec::new());
        }
        self.directory.sync()?;
        if left {
            return Ok(registry.deleted.clone());
        }
        let done = Registry { deleted: Vec::new(), ..registry.clone() };
        if let Err(error) = done.write(self.directory.as_ref()) {
            return error.unless_full().map(|()| registry.deleted.clone());
        }
        for marker in &found.markers {
            // Nothing refers to it any more.
            self.directory.remove_subdirectory(marker).ok();
        }
        Ok(Vec::new())
    }
}

/// What deletions left in a data directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Directories that stand for the deletion of a topic on the list.
    markers: Vec<String>,
    /// Directories that go.
    doomed: Vec<String>,
}

impl Found {
    /// Looks for them, and takes topics off the list that a marker says are deleted.
    pub(super) fn among(entries: &[Entry], directory: &dyn Directory, registry: &mut Registry) -> Self {
        let mut found = Self::default();
        let directories: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Directory)
            .map(|entry| entry.name.as_str())
            .collect();
        for name in directories.iter().filter(|name| is_doomed(name)) {
            let id = foreign::read_topic_id(directory, name).filter(|_| name.ends_with(MARKER));
            match id.filter(|id| registry.topics.values().any(|entry| entry.id == *id)) {
                Some(id) => {
                    registry.topics.retain(|_, entry| entry.id != id);
                    registry.deleted.push(id);
                    found.markers.push((*name).to_owned());
                }
                None => found.doomed.push((*name).to_owned()),
            }
        }
        let is_of_deleted = |name: &str| {
            !registry.deleted.is_empty()
                && TopicPartition::from_directory_name(name).is_some()
                && foreign::read_topic_id(directory, name).is_some_and(|id| registry.deleted.contains(&id))
        };
        found.doomed.extend(directories.iter().filter(|name| is_of_deleted(name)).map(|name| (*name).to_owned()));
        found
    }
}

impl TopicState {
    /// Tells all handles that the topic was deleted. Answers how many partitions it had.
    pub(super) fn shut_deleted(&self) -> u32 {
        let partitions = {
            let mut changing = self.changing.write();
            changing.deleted = true;
            std::mem::take(&mut changing.partitions)
        };
        partitions.open().for_each(Partition::shut_deleted);
        partitions.count()
    }
}

/// Whether a directory of this name waits for its removal.
fn is_doomed(name: &str) -> bool {
    let rest = name.strip_suffix(MARKER).or_else(|| name.strip_suffix(DOOMED));
    let parts = rest.and_then(|rest| rest.rsplit_once('.'));
    parts.is_some_and(|(partition, unique)| {
        TopicPartition::from_directory_name(partition).is_some()
            && unique.len() == 32
            && unique.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_kept_aside_fits_and_only_doomed_ones_are_removed() {
        let topic = TopicName::new(&"x".repeat(249)).unwrap();
        for suffix in [DOOMED, MARKER] {
            let doomed = aside(&topic, 1_234_567, suffix);
            assert_eq!(doomed.len(), 255);
            assert!(is_doomed(&doomed));
        }
        for kept in [aside(&topic, 0, "-stray").as_str(), "please-delete", "a-0.b-delete", "orders-0", "-delete"] {
            assert!(!is_doomed(kept), "{kept}");
        }
    }
}
