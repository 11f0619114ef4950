//! Bytes of deleted files whose space waits for those who still read them.

use crate::sync::{Arc, AtomicU64, Ordering};

/// What is counted for a directory, and for all directories in it.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    bytes: AtomicU64,
    above: Option<Arc<Doomed>>,
}

impl Doomed {
    /// The count for a directory in the one that `above` counts for.
    pub(super) fn below(above: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), above: Some(Arc::clone(above)) })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// This directory and those around it.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |doomed| doomed.above.as_deref())
    }
}

/// The space of one file: shared by the handle and its maps, and with that by every slice.
#[derive(Debug)]
pub(super) struct Space {
    directory: Arc<Doomed>,
    /// Bytes that were counted; none while the file has its name.
    counted: AtomicU64,
}

impl Space {
    /// The space of a file in the directory that `directory` counts for.
    pub(super) fn new(directory: &Arc<Doomed>) -> Self {
        Self { directory: Arc::clone(directory), counted: AtomicU64::new(0) }
    }

    /// The file has lost its name: its `bytes` count from now on until this is dropped.
    pub(super) fn doom(&self, bytes: u64) {
        if self.counted.compare_exchange(0, bytes, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            for doomed in self.directory.chain() {
                doomed.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let bytes = self.counted.load(Ordering::Acquire);
        for doomed in self.directory.chain().filter(|_| bytes > 0) {
            doomed.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}
