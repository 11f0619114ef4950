//! A file that another process writes: read by `pread`, since that process may make it shorter.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::budget::Slot;
use super::directory::{FileRange, Region, Way, sealed};
use super::look::{Pinned, Window};
use super::root::Place;
use super::view::Mapping;
use super::{Look, View};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicU64, Ordering};

/// Opened anew for each reading, as the name may have come to mean another file.
pub(super) struct TailRegion {
    place: Place,
    name: String,
    path: PathBuf,
    /// The size when it was last asked for, for when it cannot be.
    len: AtomicU64,
}

impl TailRegion {
    pub(super) fn open(place: &Place, name: &str) -> Result<Arc<Self>> {
        let (path, len) = (place.path.join(name), AtomicU64::new(0));
        let region = Self { place: place.clone(), name: name.to_owned(), path, len };
        region.open_now()?;
        Ok(Arc::new(region))
    }

    /// The file that has the name now, and its length.
    fn open_now(&self) -> Result<(Opened, u64)> {
        let slot = self.place.root.budget().acquire_briefly()?;
        let file = self.place.open_file(&self.name, OFlags::RDONLY)?;
        let len = file.metadata().map_err(|e| Error::io("stat", &self.path, e))?.len();
        self.len.store(len, Ordering::Relaxed);
        Ok((Opened { file, path: self.path.clone(), _slot: slot }, len))
    }

    fn refused<T>(&self) -> Result<T> {
        Err(Error::new(ErrorKind::ReadOnly, format!("{} is open for reading only", self.path.display())))
    }
}

impl sealed::Sealed for TailRegion {}

impl Region for TailRegion {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.open_now().map_or_else(|_| self.len.load(Ordering::Relaxed), |(_, len)| len)
    }

    fn reserve(&self, _end: u64) -> Result<()> {
        self.refused()
    }

    fn append(&self, _head: &[u8], _body: &[u8], _way: Way) -> Result<()> {
        self.refused()
    }

    fn view(&self) -> Result<View> {
        self.window(0..u64::MAX)
    }

    fn window(&self, range: Range<u64>) -> Result<View> {
        let (file, len) = self.open_now()?;
        let end = range.end.min(len);
        let start = range.start.min(end);
        let wanted = usize::try_from(end - start).map_err(|_| no_memory(usize::MAX))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(wanted).map_err(|_| no_memory(wanted))?;
        bytes.resize(wanted, 0);
        let found = file.read_at(start, &mut bytes)?;
        bytes.truncate(found);
        Ok(View::new(Arc::new(Copied(bytes)), found))
    }

    fn look(&self) -> Result<Look> {
        let (file, len) = self.open_now()?;
        Ok(Look::Window(Window::new(Box::new(file), len)))
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

    fn file_range(&self, range: Range<u64>) -> Result<FileRange> {
        let (opened, len) = self.open_now()?;
        super::os_region::check_range(&range, len, &self.path)?;
        Ok(FileRange { file: Arc::new(opened.file), range })
    }
}

/// The file that had the name at one moment.
struct Opened {
    file: File,
    path: PathBuf,
    _slot: Slot,
}

impl Pinned for Opened {
    fn read_at(&self, position: u64, bytes: &mut [u8]) -> Result<usize> {
        let mut found = 0;
        while found < bytes.len() {
            match self.file.read_at(&mut bytes[found..], position + found as u64) {
                Ok(0) => break,
                Ok(read) => found += read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", &self.path, e)),
            }
        }
        Ok(found)
    }
}

/// That so many bytes of a file cannot be held.
pub(super) fn no_memory(bytes: usize) -> Error {
    Error::new(ErrorKind::Io, format!("no memory for {bytes} bytes of a file"))
}

struct Copied(Vec<u8>);

impl Mapping for Copied {
    fn bytes(&self, end: usize) -> &[u8] {
        &self.0[..end]
    }
}

impl fmt::Debug for TailRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TailRegion").field("path", &self.path).finish_non_exhaustive()
    }
}
