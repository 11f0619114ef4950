//! A file of a simulated disk that another process may be writing.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::directory::refused_name;
use super::disk::{SimDisk, State, errno};
use super::faults::Call;
use super::image::NodeId;
use super::region::snapshot_view;
use crate::error::{Error, ErrorKind, Result};
use crate::io::look::{Pinned, Window};
use crate::io::{FileRange, Look, Region, View, Way, sealed};
use crate::sync::Arc;

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

    /// The file's bytes as they are now, and how many of them it has.
    fn snapshot(&self) -> Result<(Arc<Vec<u8>>, usize)> {
        let mut state = self.disk.lock();
        let (node, len) = self.file(&mut state)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok((state.image().file(node).map(|file| file.snapshot(len)).unwrap_or_default(), len))
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
        let (bytes, len) = self.snapshot()?;
        Ok(snapshot_view(bytes, len))
    }

    fn look(&self) -> Result<Look> {
        let (bytes, len) = self.snapshot()?;
        Ok(Look::Window(Window::new(Box::new(Snapshot(bytes)), len as u64)))
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

/// The file as it was at one moment.
struct Snapshot(Arc<Vec<u8>>);

impl Pinned for Snapshot {
    fn read_at(&self, position: u64, bytes: &mut [u8]) -> Result<usize> {
        let rest = usize::try_from(position).ok().and_then(|position| self.0.get(position..)).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
