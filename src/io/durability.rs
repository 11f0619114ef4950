//! How much of a file is durable. The first failed sync is the last one.

use std::fs::File;
use std::path::Path;

use rustix::fs::{fdatasync, fsync};

use super::root::retry;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicBool, AtomicUsize, Mutex, MutexGuard, OnceLock, Ordering};

pub(super) struct Durability {
    /// One sync at a time: the kernel reports a failed write-back to just one of several callers.
    turn: Mutex<()>,
    /// Published bytes that a sync has covered.
    synced: AtomicUsize,
    /// Something else than published bytes waits for a sync: the file's creation, or its length.
    changed: AtomicBool,
    failure: OnceLock<Error>,
}

impl Durability {
    /// Nothing is known to be durable: the file is new, or a process that wrote it may have died before a sync.
    pub(super) fn new() -> Self {
        Self {
            turn: Mutex::new(()),
            synced: AtomicUsize::new(0),
            changed: AtomicBool::new(true),
            failure: OnceLock::new(),
        }
    }

    /// Says that more than published bytes must become durable.
    pub(super) fn mark_changed(&self) {
        self.changed.store(true, Ordering::Release);
    }

    pub(super) fn is_clean(&self, published: usize) -> bool {
        self.synced.load(Ordering::Acquire) >= published && !self.changed.load(Ordering::Acquire)
    }

    /// # Errors
    /// [`ErrorKind::PreviousFailure`] after a failed sync or write.
    #[inline]
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(first) => Err(stopped(path, first)),
        }
    }

    /// Stops all further writes and syncs, and hands `error` back.
    pub(super) fn fail(&self, error: Error) -> Error {
        // Only the first failure counts.
        self.failure.set(error.clone()).ok();
        error
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    pub(super) fn try_turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.try_lock()
    }

    /// Syncs `file`, of which `published` bytes were published before the call.
    pub(super) fn sync(&self, _turn: &MutexGuard<'_, ()>, file: &File, published: usize, path: &Path) -> Result<()> {
        self.check(path)?;
        let answer =
            if self.changed.swap(false, Ordering::AcqRel) { retry(|| fsync(file)) } else { retry(|| fdatasync(file)) };
        answer.map_err(|e| {
            self.changed.store(true, Ordering::Release);
            // No kind but this: what the disk holds is unknown, even if all that it said was that it is full.
            self.fail(Error::io("sync", path, e).with_kind(ErrorKind::Io))
        })?;
        self.synced.fetch_max(published, Ordering::AcqRel);
        Ok(())
    }
}

#[cold]
fn stopped(path: &Path, first: &Error) -> Error {
    let message = format!("{} takes no more writes after an earlier failure: {first}", path.display());
    Error::new(ErrorKind::PreviousFailure, message)
}
