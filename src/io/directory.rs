//! The seam: two small traits at the bytes, with a real and a simulated implementation.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::error::Result;
use crate::io::{Look, View};
use crate::sync::Arc;
use crate::types::Timestamp;

pub(crate) mod sealed {
    /// Only this crate can keep the promises of [`super::Directory`] and [`super::Region`].
    pub trait Sealed {}
}

/// A directory, and the files in it. All durability promises of the crate are made here and in [`Region`].
///
/// Names are single path components; anything else is
/// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument). A symbolic link is never followed, and a file
/// that is neither regular nor a directory never opened.
pub trait Directory: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Everything in it, in no order.
    ///
    /// # Errors
    /// What the operating system answers: [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the directory is not
    /// there.
    fn list(&self) -> Result<Vec<Entry>>;

    /// Creates the file `name`, which must not exist, for appending. Its address range is `capacity` bytes; it has no
    /// room yet. Durable only after [`Region::sync`] and [`Directory::sync`].
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if it exists, [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull)
    /// if there is no room for a name.
    fn create(&self, name: &str, capacity: u64) -> Result<Arc<dyn Region>>;

    /// Opens `name` to append behind its first `published` bytes, which the caller has checked. What the file holds
    /// above them is cut off at once, and that cut is durable when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) if the file is shorter.
    fn open_append(&self, name: &str, published: u64, capacity: u64) -> Result<Arc<dyn Region>>;

    /// A handle on the finished file `name`, all of whose `len` bytes count as published. Opens and maps nothing until
    /// it is read; a file that turns out shorter is [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) then.
    fn open_sealed(&self, name: &str, len: u64) -> Arc<dyn Region>;

    /// A handle on a file that another process may still be writing: [`Region::len`] is its size at the time, and what
    /// it holds above the last whole batch may change from one reading to the next. Takes no appends. Its views are
    /// copies, read anew each time: ask for a [`Region::look`] or a [`Region::window`] rather than for all of it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    fn open_tail(&self, name: &str) -> Result<Arc<dyn Region>>;

    /// The whole of a small file. One larger than `max` is [`ErrorKind::Corruption`](crate::ErrorKind::Corruption).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>>;

    /// When the contents of `name` last changed, by the wall clock of the file system.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    fn modified(&self, name: &str) -> Result<Timestamp>;

    /// Whether the file `name` has names elsewhere, too: hard links, as a backup makes them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    fn has_other_names(&self, name: &str) -> Result<bool>;

    /// Replaces the contents of `name`, durably: readers see the old or the new, and so does a crash.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if there is no room, or
    /// [`ErrorKind::TooManyFiles`](crate::ErrorKind::TooManyFiles) without a descriptor, and then the old contents stay.
    fn replace(&self, name: &str, contents: &[u8]) -> Result<()>;

    /// Puts `contents` under `name`, synced, by way of a temporary file, but leaves it to the caller to sync the
    /// directory: for derived files, many of which become durable together.
    ///
    /// # Errors
    /// As for [`Directory::replace`].
    fn put(&self, name: &str, contents: &[u8]) -> Result<()>;

    /// Renames a file or directory, replacing a file. Durable after [`Directory::sync`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no `from`.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Gives the file `name` the same name in another directory, too: both are the same file from then on. Durable after
    /// [`Directory::sync`] of the other one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if that lies on another file system, or on one without
    /// such links; [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such file.
    fn link(&self, name: &str, into: &dyn Directory) -> Result<()>;

    /// A descriptor that stands for the directory, if it is one of the operating system's.
    ///
    /// # Errors
    /// What opening it can answer.
    fn descriptor(&self) -> Result<Option<OwnedFd>>;

    /// Removes a file's name. Views of it stay readable. A name that does not exist is no error.
    ///
    /// # Errors
    /// What the operating system answers.
    fn unlink(&self, name: &str) -> Result<()>;

    /// Bytes of files of this directory and those below it that have lost their name, and whose space waits for the last
    /// handle, view or slice: those that [`Region::doom`] was called for.
    fn doomed_bytes(&self) -> u64;

    /// Makes creations, renames and removals of names in this directory durable.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io). What is durable is unknown then, and trying again does not tell.
    /// [`ErrorKind::TooManyFiles`](crate::ErrorKind::TooManyFiles) changes nothing.
    fn sync(&self) -> Result<()>;

    /// The directory `name` in it, which need not exist.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if it is not a name.
    fn subdirectory(&self, name: &str) -> Result<Arc<dyn Directory>>;

    /// Creates the directory `name`. Durable after [`Directory::sync`]. One that exists is no error.
    ///
    /// # Errors
    /// What the operating system answers; an error too if something else has the name.
    fn create_subdirectory(&self, name: &str) -> Result<Arc<dyn Directory>>;

    /// Removes the directory `name` with the files in it.
    ///
    /// # Errors
    /// What the operating system answers: a directory in it is not removed.
    fn remove_subdirectory(&self, name: &str) -> Result<()>;

    /// Takes the writer's lock on `.lock`, which lasts as long as the guard.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyOpen`](crate::ErrorKind::AlreadyOpen) if another handle or process, a Java broker too, has
    /// it.
    fn lock(&self) -> Result<Box<dyn DirectoryLock>>;
}

/// The writer's lock on a directory.
pub trait DirectoryLock: sealed::Sealed + fmt::Debug + Send + Sync {
    /// Whether the power is sure not to have failed since the identity in the lock file was written.
    fn same_power(&self) -> bool;

    /// Writes and syncs this power's identity into the lock file: once every cut of this opening is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be written or synced.
    fn keep_power(&self) -> Result<()>;
}

/// Tells one uptime of the machine, and one mount of the file system, from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerIdentity {
    /// `/proc/sys/kernel/random/boot_id`.
    pub(crate) boot: [u8; 16],
    /// The directory's unique mount id (`STATX_MNT_ID_UNIQUE`).
    pub(crate) mount: u64,
}

/// One file that only grows: an address range, the room really allocated in it, the bytes published.
///
/// There is one writer at a time; the caller sees to that. Readers need no lock.
pub trait Region: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// The file, for messages.
    fn path(&self) -> &Path;

    /// How many bytes are published. Loads with `Acquire`: what lies below is written.
    fn len(&self) -> u64;

    /// Whether nothing is published.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sees to room up to `end`. What a failed attempt left behind is undone; nothing else has changed.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) if there is none.
    fn reserve(&self, end: u64) -> Result<()>;

    /// Puts `head`, then, behind a release fence, `body` at the end, below what is reserved, and publishes them.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) changes nothing: the next append writes the same place
    /// again. After any other error what the file holds above its published end is unknown.
    fn append(&self, head: &[u8], body: &[u8], way: Way) -> Result<()>;

    /// The published bytes, as long as the view or a slice of it lives.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) if the file is shorter than that,
    /// [`ErrorKind::MapLimit`](crate::ErrorKind::MapLimit) or
    /// [`ErrorKind::TooManyFiles`](crate::ErrorKind::TooManyFiles) if the budget is used up,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) once [`Region::poisoned`].
    fn view(&self) -> Result<View>;

    /// The published bytes in `range`, which is clipped at the published end.
    ///
    /// # Errors
    /// As for [`Region::view`].
    fn window(&self, range: Range<u64>) -> Result<View> {
        let place = |position| usize::try_from(position).unwrap_or(usize::MAX);
        Ok(self.view()?.window(place(range.start)..place(range.end)))
    }

    /// The published bytes for a search, which looks at few of them: mapped, or, where another process may be writing
    /// the file, read from one opening of it as far as they are looked at.
    ///
    /// # Errors
    /// As for [`Region::view`].
    fn look(&self) -> Result<Look> {
        self.view().map(Look::Whole)
    }

    /// Whether a page of the file could not be read and shows zeros instead (the guard against `SIGBUS` did that).
    /// Decoders ask before they return what they found, the writer before it publishes.
    fn poisoned(&self) -> bool {
        false
    }

    /// To be called once the file has lost its name: its bytes count in [`Directory::doomed_bytes`] from then on, until
    /// the last of handle, views and slices is gone.
    fn doom(&self) {}

    /// Returns once all bytes that were published before the call, and the file's length, are durable.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) for the first failure,
    /// [`ErrorKind::PreviousFailure`](crate::ErrorKind::PreviousFailure) ever after.
    fn sync(&self) -> Result<()>;

    /// Whether little room lies ahead of the published end: for [`Region::zero_ahead`].
    fn wants_zeros(&self) -> bool {
        false
    }

    /// Makes ready for appends that are synced each time: the next chunk is allocated and zero-filled in writes of
    /// 16 KiB, so that neither size nor extents change under a sync. May take long; call it off the appending thread.
    /// Does nothing where enough room is ready, or where no more appends are taken.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`](crate::ErrorKind::StorageFull) changes nothing. A failed sync is one as in
    /// [`Region::sync`].
    fn zero_ahead(&self) -> Result<()>;

    /// Gives back the room above the published end, and takes no more appends. Views stay valid.
    ///
    /// # Errors
    /// What the operating system answers.
    fn finish(&self) -> Result<()>;

    /// The bytes of `range` as a range of an open file, for `sendfile`. Unverified.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if the range is not published.
    fn file_range(&self, range: Range<u64>) -> Result<FileRange>;
}

/// Which way bytes take into the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A store into the map: best for small appends that are not synced. Where the file system makes that unsafe, a
    /// positioned write is done instead.
    Map,
    /// A positioned write: best for all others.
    Positioned,
}

/// A range of an open file, for `sendfile`. Whether its bytes have passed their checksum is for who hands it out to say:
/// those of [`Fetched::file_range`](crate::Fetched::file_range) have, those of
/// [`Segment::file_range`](crate::Segment::file_range) have not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileRange {
    /// The open file.
    pub file: Arc<File>,
    /// The bytes in it.
    pub range: Range<u64>,
}

/// What a directory holds under one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name. One that is not UTF-8 is shown with replacement characters, and cannot be opened.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// The file's length in bytes; 0 for all else.
    pub len: u64,
}

/// Kinds of directory entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a fifo, a device …: never opened.
    Other,
}
