//! What a region, its maps and the `SIGBUS` guard know in common.

use super::doomed::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use std::path::Path;

#[derive(Debug)]
pub(crate) struct RegionState {
    /// Bytes that readers may see. Stored with `Release` after they are written, loaded with `Acquire` before they are
    /// read. Bytes below it never change again; it never goes down: a cut of the tail goes on in a new file.
    published: AtomicUsize,
    /// A page could not be read, and shows zeros in its place. Set by a signal handler.
    poisoned: AtomicBool,
    space: Space,
}

impl RegionState {
    pub(super) fn new(published: usize, space: Space) -> Self {
        Self { published: AtomicUsize::new(published), poisoned: AtomicBool::new(false), space }
    }

    #[inline]
    pub(super) fn published(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// The writer alone calls this, after the bytes below `end` are written. It never goes down.
    #[inline]
    pub(super) fn publish(&self, end: usize) {
        self.published.store(end, Ordering::Release);
    }

    #[inline]
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// The file has lost its name: its `bytes` count until the last of handle, maps and slices is gone.
    pub(super) fn doom(&self, bytes: u64) {
        self.space.doom(bytes);
    }

    /// # Errors
    /// [`ErrorKind::Io`] once poisoned.
    #[inline]
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        if self.is_poisoned() { Err(poisoned(path)) } else { Ok(()) }
    }
}

#[cold]
fn poisoned(path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("a page of {} could not be read", path.display()))
}
