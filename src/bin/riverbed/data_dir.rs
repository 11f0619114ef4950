//! Opens the data directory.

use std::path::Path;

use riverbed::{Result, Store};

/// Opens it read-only: beside a running writer, and Kafka's own as it stands.
pub fn open_to_read(dir: &Path) -> Result<Store> {
    Store::open_read_only(dir)
}

/// Opens it for writing; nobody else may have done so.
pub fn open_to_write(dir: &Path) -> Result<Store> {
    Store::open(dir)
}
