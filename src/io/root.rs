//! Opening files below one root descriptor: subdirectories cost none of their own, and no symbolic link is followed.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::budget::{Budget, Slot};
use super::doomed::Doomed;
use super::fork;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, Ordering};

/// What a directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading and writing.
    Write,
    /// For reading beside a writer. Every call that would change something answers [`ErrorKind::ReadOnly`].
    ReadOnly,
}

/// An open directory, below which all files of a store lie.
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    mode: OpenMode,
    budget: Arc<Budget>,
    generation: u64,
    /// Set once the kernel said that it does not know `openat2`.
    walk: AtomicBool,
    _slot: Slot,
}

impl Root {
    pub(crate) fn open(path: &Path, mode: OpenMode, budget: Arc<Budget>) -> Result<Arc<Self>> {
        fork::watch();
        let slot = budget.acquire_briefly()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry(|| fs::open(path, flags, Mode::empty())).map_err(|e| Error::io("open", path, e))?;
        let (path, generation) = (path.to_owned(), fork::generation());
        Ok(Arc::new(Self { fd, path, mode, budget, generation, walk: AtomicBool::new(false), _slot: slot }))
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Behaves as on a kernel without `openat2`.
    #[cfg(test)]
    pub(super) fn forget_openat2(&self) {
        self.walk.store(true, Ordering::Relaxed);
    }

    /// Opens `relative`, no component of which may be a symbolic link.
    fn open_beneath(&self, relative: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o644) } else { Mode::empty() };
        if !self.walk.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let answer = retry(|| fs::openat2(&self.fd, relative, flags, mode, resolve));
            // Some sandboxes answer EPERM to system calls that they do not know.
            match answer.as_ref().map_err(io::Error::raw_os_error) {
                Err(Some(libc::ENOSYS | libc::EPERM)) => self.walk.store(true, Ordering::Relaxed),
                _ => return answer,
            }
        }
        self.open_by_walking(relative, flags, mode)
    }

    /// The same for kernels without `openat2`, one component after the other.
    fn open_by_walking(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let mut at = None;
        let mut components = relative.components().peekable();
        while let Some(name) = components.next() {
            let parent = at.as_ref().map_or(self.fd.as_fd(), OwnedFd::as_fd);
            let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (flags, mode) = if components.peek().is_some() { (step, Mode::empty()) } else { (flags, mode) };
            at = Some(retry(|| fs::openat(parent, name.as_os_str(), flags, mode))?);
        }
        at.ok_or_else(|| Errno::NOENT.into())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("path", &self.path).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Calls again for as long as a signal interrupts.
pub(super) fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            answer => return answer.map_err(io::Error::from),
        }
    }
}

/// One directory below a root.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) root: Arc<Root>,
    /// Empty for the root itself.
    relative: PathBuf,
    /// For messages.
    pub(super) path: PathBuf,
    pub(super) doomed: Arc<Doomed>,
}

/// A descriptor of a directory, for one call.
pub(super) enum DirectoryFd<'a> {
    Root(BorrowedFd<'a>),
    Own(OwnedFd, #[expect(dead_code, reason = "counts the descriptor")] Slot),
}

impl AsFd for DirectoryFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(fd) => *fd,
            Self::Own(fd, _) => fd.as_fd(),
        }
    }
}

impl Place {
    pub(super) fn new(root: Arc<Root>) -> Self {
        let path = root.path.clone();
        Self { root, relative: PathBuf::new(), path, doomed: Arc::default() }
    }

    /// The directory `name` in this one.
    pub(super) fn below(&self, name: &str) -> Result<Self> {
        check_name(name)?;
        let (relative, path) = (self.relative.join(name), self.path.join(name));
        Ok(Self { root: Arc::clone(&self.root), relative, path, doomed: Doomed::below(&self.doomed) })
    }

    /// Whether this handle may change anything.
    pub(super) fn check_writable(&self) -> Result<()> {
        fork::check(self.root.generation)?;
        match self.root.mode {
            OpenMode::Write => Ok(()),
            OpenMode::ReadOnly => {
                Err(Error::new(ErrorKind::ReadOnly, format!("{} is open for reading only", self.path.display())))
            }
        }
    }

    /// The directory itself. `flags` tell what for: `PATH` to name files in it, `RDONLY` to list or sync it.
    pub(super) fn open_self(&self, flags: OFlags) -> Result<DirectoryFd<'_>> {
        fork::check(self.root.generation)?;
        if self.relative.as_os_str().is_empty() {
            return Ok(DirectoryFd::Root(self.root.fd.as_fd()));
        }
        let slot = self.root.budget.acquire_briefly()?;
        let fd = self.root.open_beneath(&self.relative, flags | OFlags::DIRECTORY);
        Ok(DirectoryFd::Own(fd.map_err(|e| Error::io("open", &self.path, e))?, slot))
    }

    /// Opens the regular file `name`. A fifo or device is looked at, without waiting, and let go.
    pub(super) fn open_file(&self, name: &str, flags: OFlags) -> Result<File> {
        fork::check(self.root.generation)?;
        check_name(name)?;
        let failed = |operation, e| Error::io(operation, &self.path.join(name), e);
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let operation = if flags.contains(OFlags::CREATE) { "create" } else { "open" };
        let fd = self.root.open_beneath(&self.relative.join(name), flags).map_err(|e| failed(operation, e))?;
        let kind = fs::fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind.map_err(|e| failed("stat", e.into()))? {
            FileType::RegularFile => Ok(File::from(fd)),
            other => Err(failed("open", io::Error::other(format!("not a regular file but a {other:?}")))),
        }
    }
}

/// A name is one component that cannot lead elsewhere.
pub(super) fn check_name(name: &str) -> Result<()> {
    let bad = name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(['/', '\0']);
    if bad { Err(Error::new(ErrorKind::InvalidArgument, format!("{name:?} is not a file name"))) } else { Ok(()) }
}
