//! A file that another process writes: read by `pread`, since that process may make it shorter.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::View;
use super::directory::{FileRange, Region, Way, sealed};
use super::root::Place;
use super::view::Mapping;
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
        region.with_file(|_, _| Ok(()))?;
        Ok(Arc::new(region))
    }

    fn with_file<T>(&self, job: impl FnOnce(File, u64) -> Result<T>) -> Result<T> {
        let _slot = self.place.root.budget().acquire_briefly()?;
        let file = self.place.open_file(&self.name, OFlags::RDONLY)?;
        let len = file.metadata().map_err(|e| Error::io("stat", &self.path, e))?.len();
        self.len.store(len, Ordering::Relaxed);
        job(file, len)
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
        self.with_file(|_, len| Ok(len)).unwrap_or_else(|_| self.len.load(Ordering::Relaxed))
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
        self.with_file(|file, len| {
            let end = range.end.min(len);
            let bytes = read_range(&file, range.start.min(end)..end).map_err(|e| Error::io("read", &self.path, e))?;
            let len = bytes.len();
            Ok(View::new(Arc::new(Copied(bytes)), len))
        })
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
        self.with_file(|file, len| {
            super::os_region::check_range(&range, len, &self.path)?;
            Ok(FileRange { file: Arc::new(file), range })
        })
    }
}

/// The bytes in `range`, or fewer where the file has become shorter.
fn read_range(file: &File, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let wanted = usize::try_from(range.end - range.start).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(wanted).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
    bytes.resize(wanted, 0);
    let mut found = 0;
    while found < wanted {
        match file.read_at(&mut bytes[found..], range.start + found as u64) {
            Ok(0) => break,
            Ok(read) => found += read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(found);
    Ok(bytes)
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
