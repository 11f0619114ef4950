//! That a sync failed is remembered beside the log, for the next opening.
//!
//! After a failed sync the kernel may count pages as clean that never reached the disk, and still show what they hold:
//! who opens the log again reads them, their checksums are right, and a sync of them answers success and writes nothing.
//! So they are written again, as files of their own, which nobody has failed to sync yet.

use crate::error::{Error, Result};
use crate::io::Directory;

/// An empty file: it is there, or it is not. It need not survive the power, which takes the pages with it.
pub(super) const FILE: &str = "sync-failed";

/// Notes that a sync failed. On a disk that takes not even a name nothing is noted.
pub(super) fn note(directory: &dyn Directory) {
    directory.create(FILE, 0).ok();
}

/// Notes it if that is what `error` says.
pub(super) fn note_if_lost(directory: &dyn Directory, error: &Error) {
    if error.is_failed_sync() {
        note(directory);
    }
}

/// Forgets it, once all is written again and synced.
pub(super) fn forget(directory: &dyn Directory) -> Result<()> {
    directory.sync()?;
    directory.unlink(FILE)?;
    directory.sync()
}
