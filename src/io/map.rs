//! A mapped file: what views keep alive.
#![expect(unsafe_code, reason = "slices of mapped memory")]

use std::fs::File;
use std::io;
use std::slice;

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::mm::{MprotectFlags, mprotect};

use super::budget::Slot;
use super::sigbus::Watch;
use super::state::RegionState;
use super::view::{Mapping, Source};
use crate::sync::{Arc, AtomicU64, Ordering};

/// Whether bytes may be stored through a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Store,
}

/// How many mappings there were, and one.
static MAPPED: AtomicU64 = AtomicU64::new(1);

/// A shared mapping of a file.
///
/// 1. `published <= raw.len()`, where `published` is that of `state`.
/// 2. Bytes below `published` never change while a map of them lives, and the file is not made shorter than that.
/// 3. Stores go to bytes above `published` only, and come from one writer.
pub(super) struct Map {
    /// Before `raw`, as it must go first.
    _watch: Option<Watch>,
    raw: MmapRaw,
    access: Access,
    state: Arc<RegionState>,
    /// Which mapping of the process it is.
    number: u64,
    _slot: Slot,
}

impl Map {
    /// Maps the first `len` bytes of `file`, which may be shorter: only what is published is read, only what is
    /// allocated stored to.
    pub(super) fn new(
        file: &File,
        len: usize,
        access: Access,
        state: &Arc<RegionState>,
        slot: Slot,
    ) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(len);
        let raw = match access {
            Access::Read => options.map_raw_read_only(file)?,
            Access::Store => options.map_raw(file)?,
        };
        let watch = Watch::over(raw.as_ptr(), raw.len(), state);
        let number = MAPPED.fetch_add(1, Ordering::Relaxed);
        Ok(Self { _watch: watch, raw, access, state: Arc::clone(state), number, _slot: slot })
    }

    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    pub(super) fn is_writable(&self) -> bool {
        self.access == Access::Store
    }

    /// Where the writer stores.
    pub(super) fn start(&self) -> *mut u8 {
        self.raw.as_mut_ptr()
    }

    /// Takes the right to store away, after the last store.
    pub(super) fn forbid_stores(&self) {
        // SAFETY: the range is that of the mapping, which lives as long as `self`. Only reads of it follow, as its only
        // writer has stopped.
        let answer = unsafe { mprotect(self.raw.as_mut_ptr().cast(), self.raw.len(), MprotectFlags::READ) };
        // It only guards against our own mistakes: without it, all is as before.
        answer.ok();
    }

    /// Has the kernel bring in the pages of `len` bytes from `from`, ready for stores.
    pub(super) fn populate(&self, from: usize, len: usize) -> io::Result<()> {
        self.raw.advise_range(Advice::PopulateWrite, from, len)
    }
}

impl Mapping for Map {
    fn bytes(&self, end: usize) -> &[u8] {
        assert!(end <= self.state.published() && end <= self.raw.len(), "only published bytes are shown");
        // SAFETY: the assertion keeps `end` inside the mapping, which lives as long as `self`. By (2) and (3) nobody
        // changes these bytes, and the load in `published` pairs with the writer's `Release` store, so that they are
        // fully written.
        unsafe { slice::from_raw_parts(self.raw.as_ptr(), end) }
    }

    fn lacks_pages(&self) -> bool {
        self.state.is_poisoned()
    }

    fn source(&self) -> Option<Source> {
        Some(Source { number: self.number, len: self.raw.len() })
    }
}

/// What a view of nothing keeps alive.
pub(super) struct Nothing;

impl Mapping for Nothing {
    fn bytes(&self, end: usize) -> &[u8] {
        assert_eq!(end, 0, "nothing is published");
        &[]
    }
}
