//! Whether a partition's directory is its topic's.

use crate::error::{Corruption, CorruptionReason, ErrorKind, Result};
use crate::io::Directory;
use crate::log::{OpenMode, partition_metadata};
use crate::types::TopicId;

/// More than any `partition.metadata` has.
const FILE_MAX: u64 = 1 << 20;

/// Checks that a partition's `directory` is one of the topic `id`. One that does not say, or whose file cannot be
/// understood, is; where it may be written it is made to say so.
///
/// # Errors
/// [`ErrorKind::Corruption`] for another topic's; what reading and writing can answer.
pub(super) fn check(directory: &dyn Directory, id: TopicId, mode: OpenMode) -> Result<()> {
    let name = partition_metadata::FILE_NAME;
    let found = match directory.read(name, FILE_MAX) {
        Ok(bytes) => partition_metadata::parse(&bytes).ok(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corruption) => None,
        Err(error) => return Err(error),
    };
    match found {
        Some(found) if found == id => Ok(()),
        Some(found) => {
            let reason = CorruptionReason::SideFile(format!("the directory is of topic {found}, not of {id}"));
            Err(Corruption { path: Some(directory.path().join(name)), position: 0, reason }.into())
        }
        None if mode == OpenMode::Write => {
            directory.put(name, partition_metadata::format(id).as_bytes()).or_else(crate::error::Error::unless_full)
        }
        None => Ok(()),
    }
}
