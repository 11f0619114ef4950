//! A finished file: opened and mapped when it is first read.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use rustix::fs::OFlags;

use super::budget::{Ask, Holder, Outcome, Resource};
use super::directory::{FileRange, Region, Way, sealed};
use super::durability::Durability;
use super::handle::Handle;
use super::map::{Access, Nothing};
use super::os_region::check_range;
use super::{View, fork};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Weak};

/// A file that nobody writes to any more. Its map allows no stores.
pub(super) struct SealedRegion {
    me: Weak<Self>,
    handle: Handle,
    generation: u64,
    durability: Durability,
}

impl SealedRegion {
    /// All that `handle` counts as published is in the file.
    pub(super) fn new(handle: Handle) -> Arc<Self> {
        let generation = handle.generation();
        Arc::new_cyclic(|me| Self { me: me.clone(), handle, generation, durability: Durability::new() })
    }

    fn refused<T>(&self) -> Result<T> {
        Err(Error::new(ErrorKind::Unsupported, format!("{} is finished and takes no appends", self.path().display())))
    }
}

impl sealed::Sealed for SealedRegion {}

impl Region for SealedRegion {
    fn path(&self) -> &Path {
        self.handle.path()
    }

    fn len(&self) -> u64 {
        self.handle.state.published() as u64
    }

    fn reserve(&self, _end: u64) -> Result<()> {
        self.refused()
    }

    fn append(&self, _head: &[u8], _body: &[u8], _way: Way) -> Result<()> {
        self.refused()
    }

    fn view(&self) -> Result<View> {
        let len = self.handle.state.published();
        if len == 0 {
            return Ok(View::new(Arc::new(Nothing), 0));
        }
        let map = self.handle.mapped(&self.me, len, Access::Read)?;
        self.handle.state.check(self.path())?;
        Ok(View::new(map, len))
    }

    fn poisoned(&self) -> bool {
        self.handle.state.is_poisoned()
    }

    fn doom(&self) {
        self.handle.state.doom(self.len());
    }

    fn sync(&self) -> Result<()> {
        fork::check(self.generation)?;
        let turn = self.durability.turn();
        self.durability.check(self.path())?;
        let len = self.handle.state.published();
        if self.durability.is_clean(len) {
            return Ok(());
        }
        self.handle.with_file(|file| self.durability.sync(&turn, file, len, self.path()))
    }

    fn zero_ahead(&self) -> Result<()> {
        self.refused()
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn file_range(&self, range: Range<u64>) -> Result<FileRange> {
        check_range(&range, self.len(), self.path())?;
        Ok(FileRange { file: self.handle.descriptor(&self.me, OFlags::empty())?, range })
    }
}

impl Holder for SealedRegion {
    fn give_back(&self, resource: Resource, ask: Ask) -> Outcome {
        match resource {
            _ if !self.handle.is_idle() && ask == Ask::IfIdle => Outcome::InUse,
            Resource::Descriptor => self.handle.close(|_| true),
            Resource::Map => self.handle.unmap(),
        }
    }
}

impl fmt::Debug for SealedRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRegion").field("path", &self.path()).field("len", &self.len()).finish_non_exhaustive()
    }
}
