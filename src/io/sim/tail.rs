//! A file of a simulated disk that another process may be writing.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::directory::refused_name;
use super::disk::{SimDisk, State, errno};
use super::faults::Call;
use super::image::NodeId;
use super::region::snapshot_view;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{FileRange, Region, View, Way, sealed};

/// Opened anew for each reading, as the name may have come to mean another file.
#[derive(Debug)]
pub(super) struct SimTail {
    disk: SimDisk,
    path: PathBuf,
}

impl SimTail {
    pub(super) fn open(disk: SimDisk, path: PathBuf) -> Result<Self> {
        refused_name(&path)?;
        let tail = Self { disk, path };
        tail.file(&mut tail.disk.lock())?;
        Ok(tail)
    }

    fn file(&self, state: &mut State) -> Result<(NodeId, u64)> {
        state.call(Call::Open, "open", &self.path)?;
        let node = state.find(&self.path)?;
        let file = state.image().file(node).ok_or_else(|| errno("open", &self.path, libc::EISDIR))?;
        Ok((node, file.len()))
    }

    fn refused<T>(&self) -> Result<T> {
        Err(Error::new(ErrorKind::ReadOnly, format!("{} is open for reading only", self.path.display())))
    }
}

impl sealed::Sealed for SimTail {}

impl Region for SimTail {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.file(&mut self.disk.lock()).map_or(0, |(_, len)| len)
    }

    fn reserve(&self, _end: u64) -> Result<()> {
        self.refused()
    }

    fn append(&self, _head: &[u8], _body: &[u8], _way: Way) -> Result<()> {
        self.refused()
    }

    fn view(&self) -> Result<View> {
        let mut state = self.disk.lock();
        let (node, len) = self.file(&mut state)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = state.image().file(node).map(|file| file.snapshot(len)).unwrap_or_default();
        Ok(snapshot_view(bytes, len))
    }

    fn sync(&self) -> Result<()> {
        self.refused()
    }

    fn zero_ahead(&self) -> Result<()> {
        self.refused()
    }

    fn finish(&self) -> Result<()> {
        self.refused()
    }

    fn file_range(&self, _range: Range<u64>) -> Result<FileRange> {
        self.refused()
    }
}
