//! Making a directory of Kafka's one of ours.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Budget, Directory, Entry, OpenMode as IoMode, OsDirectory};
use crate::log::OpenMode;
use crate::store::StoreConfig;
use crate::store::clean_mark::CleanMark;
use crate::store::foreign::{self, KafkaState, Owner};
use crate::store::inner::{Inner, Left};
use crate::store::partitions::Numbers;
use crate::sync::Arc;
use crate::types::TopicName;

/// Writes the registry of a directory of Kafka's, after each partition was opened and closed as ours.
///
/// The registry is the commit point: until it is there the directory is Kafka's, and adopting starts over.
pub(super) fn adopt(path: &Path) -> Result<Vec<TopicName>> {
    let config = StoreConfig::default();
    let budget = config.budget();
    adopt_in(OsDirectory::open(path, IoMode::Write, Arc::clone(&budget))?, config, budget)
}

pub(super) fn adopt_in(
    directory: Arc<dyn Directory>,
    config: StoreConfig,
    budget: Arc<Budget>,
) -> Result<Vec<TopicName>> {
    // Looked at first, so that no lock file is left in a directory that is somebody else's.
    let entries = directory.list()?;
    if foreign::owner(&entries) == Owner::New {
        check_owner(directory.as_ref(), &entries)?;
    }
    let lock = directory.lock()?;
    let entries = directory.list()?;
    check_owner(directory.as_ref(), &entries)?;
    let mut registry = foreign::topics(directory.as_ref(), &entries);
    for topic in registry.topics.values_mut().filter(|topic| topic.id.is_zero()) {
        topic.id = foreign::random_id();
    }
    let left = Left::Kafkas(KafkaState::read(directory.as_ref(), &entries)?);
    let inner = Inner::new(Arc::clone(&directory), config, budget, OpenMode::Write);
    inner.open_topics(&registry, &left, &Numbers::of(&entries, None))?;
    take_over(&inner)?;
    let closed = inner.close_partitions();
    if let Some(error) = closed.first_error {
        return Err(error);
    }
    CleanMark { generation: 0, ends: closed.ends }.write(directory.as_ref())?;
    lock.keep_power()?;
    registry.write(directory.as_ref())?;
    Ok(registry.topics.into_keys().collect())
}

fn check_owner(directory: &dyn Directory, entries: &[Entry]) -> Result<()> {
    let what = match foreign::owner(entries) {
        Owner::Kafka => return Ok(()),
        Owner::Riverbed => "a riverbed store already",
        Owner::New => "no directory of Kafka's",
    };
    let message = format!("{} is {what}", directory.path().display());
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// Has each partition write down where it starts and ends, which Kafka's files do not say once the directory is ours.
fn take_over(inner: &Inner) -> Result<()> {
    for state in inner.topics.read().values() {
        for (_, partition) in state.changing.read().partitions.here() {
            match partition {
                Ok(partition) => partition.log().take_over()?,
                // On another broker.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.clone()),
            }
        }
    }
    Ok(())
}
