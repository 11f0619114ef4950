//! The operating system's directories.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fstat, fstatfs, fsync, ftruncate, linkat, mkdirat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::budget::Budget;
use super::directory::{Directory, DirectoryLock, Entry, EntryKind, Region, sealed};
use super::handle::Handle;
use super::lock::OsLock;
use super::os_region::{OsRegion, Start};
use super::replace;
use super::root::{DirectoryFd, OpenMode, Place, Root, check_name, retry};
use super::sealed_region::SealedRegion;
use super::tail_region::TailRegion;
use crate::error::{Corruption, CorruptionReason, Error, ErrorKind, Result};
use crate::sync::Arc;
use crate::types::Timestamp;

/// File systems on which an allocated block stays where it is, whoever copies the file: `f_type` of `statfs`.
/// Elsewhere a copy made by a reflink or a snapshot makes a store into allocated space ask for new room, which on a
/// full disk is `SIGBUS`.
const STAYS_IN_PLACE: [i64; 2] = [0xEF53 /* ext4 */, 0x0102_1994 /* tmpfs */];

/// A directory of the operating system. Its subdirectories share one descriptor.
#[derive(Debug)]
pub struct OsDirectory {
    place: Place,
}

impl OsDirectory {
    /// Opens the directory `path`, which may be a symbolic link.
    pub fn open(path: &Path, mode: OpenMode, budget: Arc<Budget>) -> Result<Arc<dyn Directory>> {
        let place = Place::new(Root::open(path, mode, budget)?);
        Ok(Arc::new(Self { place }))
    }

    /// Opens the directory `path` for writing. Creates it, and those above it, durably, where there is none.
    pub fn create(path: &Path, budget: Arc<Budget>) -> Result<Arc<dyn Directory>> {
        create_durably(path).map_err(|e| Error::io("create", path, e))?;
        Self::open(path, OpenMode::Write, budget)
    }

    /// Keeps a store from opening the directory around `path` for writing, for as long as the answer lives.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyOpen`] if one has it open.
    pub(crate) fn keep_stores_out(path: &Path, budget: Arc<Budget>) -> Result<Option<Box<dyn DirectoryLock>>> {
        Ok(OsLock::around(path, budget)?.map(|lock| Box::new(lock) as _))
    }

    fn failed(&self, operation: &'static str, name: &str, e: impl Into<io::Error>) -> Error {
        Error::io(operation, &self.place.path.join(name), e.into())
    }

    fn remove(&self, name: &str, flags: AtFlags) -> Result<()> {
        self.place.check_writable()?;
        check_name(name)?;
        let directory = self.place.open_self(OFlags::PATH)?;
        match retry(|| unlinkat(&directory, name, flags)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", name, e)),
            _ => Ok(()),
        }
    }

    fn sync_through(&self, directory: &DirectoryFd<'_>) -> Result<()> {
        retry(|| fsync(directory)).map_err(|e| Error::io("sync", &self.place.path, e).with_kind(ErrorKind::Io))
    }
}

fn create_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_durably(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => fs::File::open(parent)?.sync_all(),
    }
}

impl sealed::Sealed for OsDirectory {}

impl Directory for OsDirectory {
    fn path(&self) -> &Path {
        &self.place.path
    }

    fn list(&self) -> Result<Vec<Entry>> {
        let directory = self.place.open_self(OFlags::RDONLY)?;
        let listed = || -> rustix::io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => entries.push(entry_of(&name.to_string_lossy(), &stat)),
                    // Removed since it was listed.
                    Err(Errno::NOENT) => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(entries)
        };
        listed().map_err(|e| Error::io("list", &self.place.path, e.into()))
    }

    fn create(&self, name: &str, capacity: u64) -> Result<Arc<dyn Region>> {
        self.place.check_writable()?;
        check_name(name)?;
        let capacity = to_usize(capacity)?;
        let map_stores = stays_in_place(&self.place)?;
        let handle = Handle::new(&self.place, name, OFlags::RDWR, 0);
        let region = OsRegion::new(handle, &Start { published: 0, capacity, map_stores });
        region.open(OFlags::CREATE | OFlags::EXCL)?;
        Ok(region)
    }

    fn open_append(&self, name: &str, published: u64, capacity: u64) -> Result<Arc<dyn Region>> {
        self.place.check_writable()?;
        let (published, capacity) = (to_usize(published)?, to_usize(capacity)?);
        let handle = Handle::new(&self.place, name, OFlags::RDWR, published);
        let map_stores = handle.with_file(|file| {
            let size = fstat(file).map_err(|e| handle.failed("stat", e))?.st_size;
            if u64::try_from(size).unwrap_or(0) > published as u64 {
                retry(|| ftruncate(file, published as u64)).map_err(|e| handle.failed("shorten", e))?;
            }
            // Whoever set this length may have died before he synced it.
            retry(|| fsync(file)).map_err(|e| handle.failed("sync", e).with_kind(ErrorKind::Io))?;
            let kind = fstatfs(file).map_err(|e| handle.failed("stat", e))?.f_type;
            Ok(STAYS_IN_PLACE.contains(&kind))
        })?;
        Ok(OsRegion::new(handle, &Start { published, capacity, map_stores }))
    }

    fn open_sealed(&self, name: &str, len: u64) -> Arc<dyn Region> {
        // No address range is longer; such a file is found to be shorter when it is opened.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        SealedRegion::new(Handle::new(&self.place, name, OFlags::RDONLY, len))
    }

    fn open_tail(&self, name: &str) -> Result<Arc<dyn Region>> {
        Ok(TailRegion::open(&self.place, name)?)
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        let _slot = self.place.root.budget().acquire_briefly()?;
        let file = self.place.open_file(name, OFlags::RDONLY)?;
        let mut contents = Vec::new();
        let read = file.take(max.saturating_add(1)).read_to_end(&mut contents);
        read.map_err(|e| self.failed("read", name, e))?;
        if contents.len() as u64 <= max {
            return Ok(contents);
        }
        let reason = CorruptionReason::SideFile(format!("more than {max} bytes, which is the most there can be"));
        Err(Corruption { path: Some(self.place.path.join(name)), position: max, reason }.into())
    }

    fn modified(&self, name: &str) -> Result<Timestamp> {
        check_name(name)?;
        let directory = self.place.open_self(OFlags::PATH)?;
        let stat = retry(|| statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW));
        let stat = stat.map_err(|e| self.failed("stat", name, e))?;
        let millis = i64::try_from(stat.st_mtime_nsec).unwrap_or(0) / 1_000_000;
        Ok(Timestamp::from_millis(stat.st_mtime.saturating_mul(1000).saturating_add(millis)))
    }

    fn has_other_names(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        let directory = self.place.open_self(OFlags::PATH)?;
        let stat = retry(|| statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW));
        Ok(stat.map_err(|e| self.failed("stat", name, e))?.st_nlink > 1)
    }

    fn replace(&self, name: &str, contents: &[u8]) -> Result<()> {
        self.place.check_writable()?;
        check_name(name)?;
        // If none is to be had for the sync, nothing has changed yet.
        let directory = self.place.open_self(OFlags::RDONLY)?;
        replace::put(&self.place, &directory, name, contents)?;
        self.sync_through(&directory)
    }

    fn put(&self, name: &str, contents: &[u8]) -> Result<()> {
        self.place.check_writable()?;
        check_name(name)?;
        replace::put(&self.place, &self.place.open_self(OFlags::PATH)?, name, contents)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.place.check_writable()?;
        check_name(from)?;
        check_name(to)?;
        let directory = self.place.open_self(OFlags::PATH)?;
        retry(|| renameat(&directory, from, &directory, to)).map_err(|e| self.failed("rename", from, e))
    }

    fn link(&self, name: &str, into: &dyn Directory) -> Result<()> {
        check_name(name)?;
        let refused = |why: &str| {
            let message =
                format!("cannot link {} into {}: {why}", self.place.path.join(name).display(), into.path().display());
            Error::new(ErrorKind::Unsupported, message)
        };
        let Some(other) = into.descriptor()? else { return Err(refused("it is no directory of the system's")) };
        let directory = self.place.open_self(OFlags::PATH)?;
        match linkat(&directory, name, &other, name, AtFlags::empty()) {
            Err(Errno::XDEV) => Err(refused("it lies on another file system")),
            Err(Errno::PERM | Errno::OPNOTSUPP) => Err(refused("the file system has no hard links")),
            linked => linked.map_err(|e| self.failed("link", name, e)),
        }
    }

    fn descriptor(&self) -> Result<Option<OwnedFd>> {
        let own = self.place.open_self(OFlags::PATH)?;
        own.as_fd().try_clone_to_owned().map(Some).map_err(|e| Error::io("open", &self.place.path, e))
    }

    fn unlink(&self, name: &str) -> Result<()> {
        self.remove(name, AtFlags::empty())
    }

    fn doomed_bytes(&self) -> u64 {
        self.place.doomed.bytes()
    }

    fn sync(&self) -> Result<()> {
        self.place.check_writable()?;
        self.sync_through(&self.place.open_self(OFlags::RDONLY)?)
    }

    fn subdirectory(&self, name: &str) -> Result<Arc<dyn Directory>> {
        Ok(Arc::new(Self { place: self.place.below(name)? }))
    }

    fn create_subdirectory(&self, name: &str) -> Result<Arc<dyn Directory>> {
        self.place.check_writable()?;
        let below = self.place.below(name)?;
        let directory = self.place.open_self(OFlags::PATH)?;
        match retry(|| mkdirat(&directory, name, Mode::from_raw_mode(0o755))) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(self.failed("create", name, e)),
            _ => {}
        }
        // Something else than a directory may have the name.
        below.open_self(OFlags::PATH)?;
        Ok(Arc::new(Self { place: below }))
    }

    fn remove_subdirectory(&self, name: &str) -> Result<()> {
        self.place.check_writable()?;
        let below = Self { place: self.place.below(name)? };
        match below.list() {
            Ok(entries) => entries.iter().try_for_each(|entry| below.unlink(&entry.name))?,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
        self.remove(name, AtFlags::REMOVEDIR)
    }

    fn lock(&self) -> Result<Box<dyn DirectoryLock>> {
        Ok(Box::new(OsLock::take(&self.place)?))
    }
}

fn entry_of(name: &str, stat: &rustix::fs::Stat) -> Entry {
    let (kind, len) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (EntryKind::File, u64::try_from(stat.st_size).unwrap_or(0)),
        FileType::Directory => (EntryKind::Directory, 0),
        _ => (EntryKind::Other, 0),
    };
    Entry { name: name.to_owned(), kind, len }
}

fn stays_in_place(place: &Place) -> Result<bool> {
    let directory = place.open_self(OFlags::PATH)?;
    let kind = fstatfs(&directory).map_err(|e| Error::io("stat", &place.path, e.into()))?.f_type;
    Ok(STAYS_IN_PLACE.contains(&kind))
}

fn to_usize(len: u64) -> Result<usize> {
    // Half of the address space is more than there is, and sums of two such lengths do not overflow.
    usize::try_from(len)
        .ok()
        .filter(|len| *len <= usize::MAX / 2)
        .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, format!("{len} bytes are more than a file can have")))
}

#[cfg(test)]
mod tests;
