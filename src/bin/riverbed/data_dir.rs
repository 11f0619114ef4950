//! Opens the data directory.

use std::fs;
use std::path::Path;

use riverbed::{Error, ErrorKind, Result, Store};

use crate::failure::Failure;
use crate::files::read_failed;

/// Opens it read-only: beside a running writer, and Kafka's own as it stands.
pub fn open_to_read(dir: &Path) -> Result<Store> {
    Store::open_read_only(dir)
}

/// Opens it for writing, and makes it if it is not there yet; nobody else may have opened it so.
pub fn open_to_write(dir: &Path) -> Result<Store> {
    Store::open(dir)
}

/// Opens it for writing, if it is there: what is to be changed cannot be in a directory that is not.
pub fn open_to_change(dir: &Path) -> Result<Store, Failure> {
    fs::metadata(dir).map_err(|error| read_failed(dir, &error))?;
    Ok(open_to_write(dir)?)
}

/// The file that tells riverbed's directories from Kafka's.
const REGISTRY: &str = "riverbed.topics";

/// Whether a partition that could not be opened is one that another broker has: a directory of Kafka's holds only those
/// partitions of a topic that were assigned to it.
pub fn is_elsewhere(dir: &Path, error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && !dir.join(REGISTRY).exists()
}
