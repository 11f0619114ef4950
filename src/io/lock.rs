//! One writer a data directory, by an open-file-description lock on `.lock`.
#![expect(unsafe_code, reason = "a lock that only fcntl gives")]

use std::fmt;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, fstat, fsync, statat};

use super::budget::{Budget, Slot};
use super::directory::{DirectoryLock, PowerIdentity, sealed};
use super::fork;
use super::power::{self, Kept};
use super::root::{OpenMode, Place, Root, retry};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;

const NAME: &str = ".lock";

/// Holds the lock until it is dropped.
///
/// The lock belongs to the open file description: a second handle in this process does not get it, nor does what Java
/// takes with `fcntl`. A forked child has a copy of the descriptor, through which it must not unlock; `fork` closes it.
pub(super) struct OsLock {
    place: Place,
    /// Leaked in a forked child.
    file: Arc<File>,
    generation: u64,
    current: Option<PowerIdentity>,
    same_power: bool,
    _slot: Slot,
}

impl OsLock {
    pub(super) fn take(place: &Place) -> Result<Self> {
        place.check_writable()?;
        let path = place.path.join(NAME);
        let slot = place.root.budget().acquire_briefly()?;
        let file = place.open_file(NAME, OFlags::RDWR | OFlags::CREATE)?;
        set_lock(file.as_raw_fd(), libc::F_WRLCK).map_err(|e| refused(&path, e))?;
        fork::close_in_children(file.as_raw_fd());
        let generation = fork::generation();
        let mut lock = Self {
            place: place.clone(),
            file: Arc::new(file),
            generation,
            current: None,
            same_power: false,
            _slot: slot,
        };
        lock.check_still_named()?;
        lock.current = power::current(&*lock.file);
        lock.same_power = match lock.read_kept()? {
            Kept::Nothing => false,
            Kept::Identity(kept) => lock.current == Some(kept),
            Kept::Newer(version) => {
                let message = format!("{} has version {version}, which is newer than this program", path.display());
                return Err(Error::new(ErrorKind::UnsupportedVersion, message));
            }
        };
        Ok(lock)
    }

    /// Shares the lock of the directory around `path` with others of its kind, against a store that has it for itself.
    /// `None` where no store has ever been, or may not be asked.
    pub(super) fn around(path: &Path, budget: Arc<Budget>) -> Result<Option<Self>> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let outer = real.parent().filter(|outer| !outer.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let opened = Root::open(outer, OpenMode::ReadOnly, Arc::clone(&budget)).map(Place::new).and_then(|place| {
            let slot = budget.acquire_briefly()?;
            let file = place.open_file(NAME, OFlags::RDONLY)?;
            Ok((place, file, slot))
        });
        let (place, file, slot) = match opened {
            Ok(opened) => opened,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(None),
            Err(error) => return Err(error),
        };
        set_lock(file.as_raw_fd(), libc::F_RDLCK).map_err(|e| refused(&place.path.join(NAME), e))?;
        fork::close_in_children(file.as_raw_fd());
        let (file, generation) = (Arc::new(file), fork::generation());
        Ok(Some(Self { place, file, generation, current: None, same_power: false, _slot: slot }))
    }

    /// Somebody may have replaced the file between its opening and its locking: then another has a lock of that name.
    fn check_still_named(&self) -> Result<()> {
        let directory = self.place.open_self(OFlags::PATH)?;
        let named = statat(&directory, NAME, AtFlags::SYMLINK_NOFOLLOW);
        let same = fstat(&*self.file).and_then(|ours| Ok((ours, named?)));
        match same {
            Ok((ours, named)) if (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::AlreadyOpen, format!("{NAME} was replaced while it was being locked"))),
            Err(e) => Err(self.failed("stat", e.into())),
        }
    }

    fn read_kept(&self) -> Result<Kept> {
        let mut bytes = [0; 64];
        let len = self.file.read_at(&mut bytes, 0).map_err(|e| self.failed("read", e))?;
        Ok(power::decode(bytes.get(..len.min(power::LEN)).unwrap_or(&[])))
    }

    fn failed(&self, operation: &'static str, e: io::Error) -> Error {
        Error::io(operation, &self.place.path.join(NAME), e)
    }
}

fn refused(path: &Path, e: io::Error) -> Error {
    match e.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => {
            let message = format!("{} is locked by another handle or process", path.display());
            Error::new(ErrorKind::AlreadyOpen, message)
        }
        _ => Error::io("lock", path, e),
    }
}

fn set_lock(fd: RawFd, kind: libc::c_int) -> io::Result<()> {
    let short = |number: libc::c_int| libc::c_short::try_from(number).map_err(|_| io::ErrorKind::InvalidInput);
    let (l_type, l_whence) = (short(kind)?, short(libc::SEEK_SET)?);
    // All of the file, as its length is 0.
    let lock = libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 };
    loop {
        // SAFETY: `lock` is a valid `flock`, which the call only reads; what `fd` means is the kernel's to check.
        if unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const lock) } == 0 {
            return Ok(());
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}

impl sealed::Sealed for OsLock {}

impl DirectoryLock for OsLock {
    fn same_power(&self) -> bool {
        self.same_power
    }

    fn keep_power(&self) -> Result<()> {
        fork::check(self.generation)?;
        // Without an identity nothing is kept, and what an older kernel or mount left there matches none.
        let Some(current) = &self.current else { return Ok(()) };
        self.file.write_all_at(&power::encode(current), 0).map_err(|e| self.failed("write", e))?;
        retry(|| fsync(&*self.file)).map_err(|e| self.failed("sync", e).with_kind(ErrorKind::Io))
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        if fork::generation() != self.generation {
            // A child's copy: its descriptor is closed already, and unlocking would unlock the parent.
            mem::forget(Arc::clone(&self.file));
            return;
        }
        fork::forget(self.file.as_raw_fd());
        // Closing would do, but for copies of the descriptor that a child made before it runs another program.
        set_lock(self.file.as_raw_fd(), libc::F_UNLCK).ok();
    }
}

impl fmt::Debug for OsLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OsLock").field("path", &self.place.path).field("same_power", &self.same_power).finish()
    }
}

#[cfg(test)]
mod tests;
