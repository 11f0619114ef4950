//! Opens the data directory.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use riverbed::{Error, ErrorKind, Recovery, Result, Store, StoreConfig};

use crate::failure::Failure;
use crate::files::read_failed;
use crate::numbers::counted;

/// Opens it read-only: beside a running writer, and Kafka's own as it stands.
pub fn open_to_read(dir: &Path) -> Result<Store> {
    Store::open_read_only(dir)
}

/// Opens it for writing, and makes it if it is not there yet; nobody else may have opened it so. What is not asked for is
/// not done: nothing is removed or compacted in the background.
pub fn open_to_write(dir: &Path) -> Result<Store> {
    StoreConfig::default().maintenance(false).open(dir).inspect(tell_recovery)
}

/// Tells on standard error what opening cut or found damaged: a line a partition, and none where there was nothing.
pub fn tell_recovery(store: &Store) {
    for (partition, recovery) in store.recovery() {
        if let Some(what) = recovered(&recovery) {
            let _unheard = writeln!(io::stderr(), "recovered: {partition}: {what}");
        }
    }
}

fn recovered(recovery: &Recovery) -> Option<String> {
    let mut parts = Vec::new();
    if recovery.cut_bytes > 0 {
        let reason = recovery.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let bytes = counted(recovery.cut_bytes, "byte", "bytes");
        let batches = counted(recovery.cut_batches, "batch", "batches");
        parts.push(format!("{bytes} ({batches}) of an unfinished tail were cut{reason}"));
    }
    parts.extend(recovery.damage.iter().map(|damage| format!("damage was found and left: {damage}")));
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Opens it for writing, if it is there: what is to be changed cannot be in a directory that is not.
pub fn open_to_change(dir: &Path) -> Result<Store, Failure> {
    fs::metadata(dir).map_err(|error| read_failed(dir, &error))?;
    Ok(open_to_write(dir)?)
}

/// The file that tells riverbed's directories from Kafka's.
pub const REGISTRY: &str = "riverbed.topics";

/// Whether a partition that could not be opened is one that another broker has: a directory of Kafka's holds only those
/// partitions of a topic that were assigned to it.
pub fn is_elsewhere(dir: &Path, error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && !dir.join(REGISTRY).exists()
}
