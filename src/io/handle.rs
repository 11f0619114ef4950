//! One file by its name: opened and mapped when first used, closed and unmapped when the budget needs it back.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fstat};

use super::budget::{Holder, Outcome, Resource, Slot};
use super::doomed::Space;
use super::kept::Kept;
use super::map::{Access, Map};
use super::root::Place;
use super::state::RegionState;
use crate::error::{Corruption, CorruptionReason, Error, Result};
use crate::sync::{Arc, AtomicBool, Mutex, OnceLock, Ordering, Weak};

/// A descriptor and its place in the budget.
struct Held {
    file: Arc<File>,
    _slot: Slot,
}

/// Lock order: `held`, that of `map`. Both are held for moments only, and never while the budget is asked.
pub(super) struct Handle {
    place: Place,
    name: String,
    path: PathBuf,
    flags: OFlags,
    pub(super) state: Arc<RegionState>,
    /// Device and inode: a name that came to mean another file is noticed.
    identity: OnceLock<(u64, u64)>,
    held: Mutex<Option<Held>>,
    map: Kept<Map>,
    used_lately: AtomicBool,
}

impl Handle {
    pub(super) fn new(place: &Place, name: &str, flags: OFlags, published: usize) -> Self {
        Self {
            place: place.clone(),
            name: name.to_owned(),
            path: place.path.join(name),
            flags,
            state: Arc::new(RegionState::new(published, Space::new(&place.doomed))),
            identity: OnceLock::new(),
            held: Mutex::new(None),
            map: Kept::nothing(),
            used_lately: AtomicBool::new(false),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn generation(&self) -> u64 {
        self.place.root.generation()
    }

    /// What the operating system answered to `operation`.
    pub(super) fn failed(&self, operation: &'static str, e: impl Into<std::io::Error>) -> Error {
        Error::io(operation, &self.path, e.into())
    }

    /// Opens the file for one call, `more` flags added, and checks that it is still the one it was, and long enough.
    pub(super) fn open(&self, more: OFlags) -> Result<File> {
        let file = self.place.open_file(&self.name, self.flags | more)?;
        let stat = fstat(&file).map_err(|e| self.failed("stat", e))?;
        let identity = (stat.st_dev, stat.st_ino);
        if *self.identity.get_or_init(|| identity) != identity {
            return Err(self.corrupt(CorruptionReason::Layout("the file was replaced by another".to_owned())));
        }
        let (expected, found) = (self.state.published() as u64, u64::try_from(stat.st_size).unwrap_or(0));
        if found < expected {
            return Err(self.corrupt(CorruptionReason::Truncated { expected, found }));
        }
        Ok(file)
    }

    fn corrupt(&self, reason: CorruptionReason) -> Error {
        Corruption { path: Some(self.path.clone()), position: self.state.published() as u64, reason }.into()
    }

    /// The file's descriptor, which stays open until it is idle.
    pub(super) fn descriptor(&self, holder: &Weak<impl Holder + 'static>, more: OFlags) -> Result<Arc<File>> {
        self.used_lately.store(true, Ordering::Relaxed);
        if let Some(held) = &*self.held.lock() {
            return Ok(Arc::clone(&held.file));
        }
        let slot = self.place.root.budget().acquire(Resource::Descriptor, holder.clone())?;
        let file = Arc::new(self.open(more)?);
        let mut held = self.held.lock();
        let held = held.get_or_insert(Held { file, _slot: slot });
        Ok(Arc::clone(&held.file))
    }

    /// Calls `job` with a descriptor that is not kept, unless it already was.
    pub(super) fn with_file<T>(&self, job: impl FnOnce(&File) -> Result<T>) -> Result<T> {
        let held = self.held.lock().as_ref().map(|held| Arc::clone(&held.file));
        if let Some(file) = held {
            return job(&file);
        }
        let _slot = self.place.root.budget().acquire_briefly()?;
        job(&self.open(OFlags::empty())?)
    }

    /// The map of the file's first `len` bytes, which stays until it is idle, and for as long as a view lives.
    pub(super) fn mapped(&self, holder: &Weak<impl Holder + 'static>, len: usize, access: Access) -> Result<Arc<Map>> {
        if !self.used_lately.load(Ordering::Relaxed) {
            self.used_lately.store(true, Ordering::Relaxed);
        }
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let slot = self.place.root.budget().acquire(Resource::Map, holder.clone())?;
        self.with_file(|file| {
            self.map.get_or_make(|| Map::new(file, len, access, &self.state, slot).map_err(|e| self.no_map(e)))
        })
    }

    fn no_map(&self, e: std::io::Error) -> Error {
        let out_of_maps = e.raw_os_error() == Some(libc::ENOMEM);
        let error = self.failed("map", e);
        if out_of_maps { error.with_kind(crate::error::ErrorKind::MapLimit) } else { error }
    }

    /// The map, if there is one.
    pub(super) fn map(&self) -> Option<Arc<Map>> {
        self.map.get()
    }

    /// Whether the file was not used since this was last asked.
    pub(super) fn is_idle(&self) -> bool {
        !self.used_lately.swap(false, Ordering::Relaxed)
    }

    /// Forgets the map. Views keep it alive.
    pub(super) fn unmap(&self) -> Outcome {
        if self.map.let_go() { Outcome::GivenBack } else { Outcome::InUse }
    }

    /// Closes the descriptor if nobody else uses it and `settle` says that nothing is lost with it.
    pub(super) fn close(&self, settle: impl FnOnce(&File) -> bool) -> Outcome {
        let Some(mut held) = self.held.try_lock() else { return Outcome::InUse };
        match &*held {
            Some(inner) if Arc::strong_count(&inner.file) > 1 || !settle(&inner.file) => Outcome::InUse,
            _ => {
                *held = None;
                Outcome::GivenBack
            }
        }
    }
}
