//! A file that grows: its address range, the room really allocated in it, the bytes published.
#![expect(unsafe_code, reason = "keeps the promises that stores to mapped memory ask for")]

use std::fmt;
use std::ops::Range;
use std::path::Path;

use rustix::fs::{OFlags, fstat, ftruncate};

use super::budget::{Ask, Holder, Outcome, Resource};
use super::directory::{FileRange, Region, Way, sealed};
use super::durability::Durability;
use super::handle::Handle;
use super::map::{Access, Map, Nothing};
use super::mapped_write::{self, Populated};
use super::room::{Room, is_full};
use super::root::retry;
use super::{View, fork, positioned_write};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, Weak};

/// A file being written.
///
/// 1. `published <= reserved <= capacity`, and the map is as long as the capacity.
/// 2. Bytes below `published` never change, and the file is never made shorter than that.
/// 3. Stores through the map go to bytes from `published` to `reserved`, which are really allocated, from whoever
///    holds `writer`, and only while a descriptor is open: a sync through it tells whether they arrived.
///
/// Lock order: `writer`, `room`, `turn` of `durability`, then those of `handle`. Whoever appends without room, pages or
/// descriptor at hand holds `writer` through system calls; an append that has them takes this one lock, which nobody
/// contends for, and makes none.
pub(crate) struct OsRegion {
    me: Weak<Self>,
    handle: Handle,
    capacity: usize,
    /// Whether the file system lets bytes go through a map.
    map_stores: bool,
    generation: u64,
    durability: Durability,
    /// Where allocated room ends. Written under `room`.
    reserved: AtomicUsize,
    /// Published bytes above which little room is left. Written under `room`.
    scarce_above: AtomicUsize,
    finished: AtomicBool,
    room: Mutex<Room>,
    writer: Mutex<Writer>,
}

struct Writer {
    /// The published end: the writer's own copy of it, so that it never loads what it publishes.
    len: usize,
    /// Stores below this need nothing but the copy: there are room, pages and a descriptor.
    ready: usize,
    map: Option<Arc<Map>>,
    populated: Populated,
    /// `len` when the budget last asked.
    len_asked: usize,
}

impl Writer {
    fn stop_stores(&mut self) {
        self.ready = 0;
        self.map = None;
        self.populated = Populated::none(self.len);
    }
}

/// How a file comes to be open for appending.
pub(super) struct Start {
    pub(super) published: usize,
    pub(super) capacity: usize,
    pub(super) map_stores: bool,
}

impl OsRegion {
    pub(super) fn new(handle: Handle, start: &Start) -> Arc<Self> {
        let (published, capacity) = (start.published, start.capacity.max(start.published));
        let (len, populated) = (published, Populated::none(published));
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            capacity,
            map_stores: start.map_stores,
            generation: handle.generation(),
            durability: Durability::new(),
            reserved: AtomicUsize::new(published),
            scarce_above: AtomicUsize::new(0),
            finished: AtomicBool::new(false),
            room: Mutex::new(Room::new(published as u64, capacity as u64)),
            writer: Mutex::new(Writer { len, ready: 0, map: None, populated, len_asked: len }),
            handle,
        })
    }

    /// Opens the descriptor now, creating the file where `more` says so.
    pub(super) fn open(&self, more: OFlags) -> Result<()> {
        self.handle.descriptor(&self.me, more).map(|_| ())
    }

    #[inline]
    fn check(&self) -> Result<()> {
        fork::check(self.generation)?;
        self.durability.check(self.path())?;
        self.handle.state.check(self.path())
    }

    #[inline]
    fn make_room(&self, end: usize) -> Result<()> {
        if end <= self.reserved.load(Ordering::Relaxed) { Ok(()) } else { self.grow(end) }
    }

    #[cold]
    fn grow(&self, end: usize) -> Result<()> {
        self.check_unfinished()?;
        if end > self.capacity {
            let message = format!("{} bytes do not fit into {}", end, self.path().display());
            return Err(Error::new(ErrorKind::InvalidArgument, format!("{message}, made for {}", self.capacity)));
        }
        let file = self.handle.descriptor(&self.me, OFlags::empty())?;
        let mut room = self.room.lock();
        room.grow(&file, end as u64).map_err(|e| self.handle.failed("allocate room in", e))?;
        self.show_room(&room);
        Ok(())
    }

    fn show_room(&self, room: &Room) {
        let allocated = usize::try_from(room.allocated()).unwrap_or(self.capacity);
        self.reserved.store(allocated, Ordering::Relaxed);
        let scarce_above = room.scarce_above().and_then(|above| usize::try_from(above).ok()).unwrap_or(usize::MAX);
        self.scarce_above.store(scarce_above, Ordering::Relaxed);
    }

    fn check_unfinished(&self) -> Result<()> {
        if !self.finished.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unsupported, format!("{} is finished and takes no appends", self.path().display())))
    }

    /// The append that has something missing: room, pages, a map, a descriptor; or that goes by a system call.
    #[inline(never)]
    fn append_slowly(&self, writer: &mut Writer, parts: (&[u8], &[u8]), way: Way) -> Result<()> {
        self.check_unfinished()?;
        let end = end_of(writer.len, parts);
        self.make_room(end)?;
        if way == Way::Map && self.prepare_map(writer, end) {
            self.store(writer, parts);
            return Ok(());
        }
        let file = self.handle.descriptor(&self.me, OFlags::empty())?;
        let answer = positioned_write::write(&file, parts.0, parts.1, writer.len as u64);
        answer.map_err(|e| self.failed_write("write", e))
    }

    /// A full disk stops nothing: the next append writes the same place again. Anything else does.
    fn failed_write(&self, operation: &'static str, e: std::io::Error) -> Error {
        let full = is_full(&e);
        let error = self.handle.failed(operation, e);
        if full { error } else { self.durability.fail(error) }
    }

    /// Makes the map ready for stores up to `end`, if the file and the budget allow for that.
    fn prepare_map(&self, writer: &mut Writer, end: usize) -> bool {
        if !self.map_stores || !self.room.lock().is_real() {
            return false;
        }
        // The descriptor first: bytes may not wait for a sync without one.
        let ready = self.handle.descriptor(&self.me, OFlags::empty()).and_then(|_| self.map());
        let Ok(map) = ready else { return false };
        let reserved = self.reserved.load(Ordering::Relaxed);
        // Pages that cannot be had: the system call tells why.
        let populated = writer.populated.advance(&map, writer.len, (end, reserved));
        if populated.is_err() {
            return false;
        }
        writer.ready = writer.populated.end().min(reserved);
        writer.map = Some(map);
        end <= writer.ready
    }

    fn map(&self) -> Result<Arc<Map>> {
        let stores = self.map_stores && !self.finished.load(Ordering::Acquire);
        self.handle.mapped(&self.me, self.capacity, if stores { Access::Store } else { Access::Read })
    }

    #[inline]
    fn store(&self, writer: &Writer, (head, body): (&[u8], &[u8])) {
        if let Some(map) = &writer.map {
            // SAFETY: `writer.len` is the published end, and holding the guard makes the caller the only writer (3).
            // Room up to `ready`, which the caller compared with, is really allocated.
            unsafe { mapped_write::store(map, writer.len, head, body) };
        }
    }

    /// Syncs what is published, and the file's length, unless that was done.
    fn sync_published(&self) -> Result<()> {
        let turn = self.durability.turn();
        self.durability.check(self.path())?;
        let published = self.handle.state.published();
        if self.durability.is_clean(published) {
            return Ok(());
        }
        let file = self.handle.descriptor(&self.me, OFlags::empty())?;
        self.durability.sync(&turn, &file, published, self.path())
    }

    fn close_idle(&self, writer: &mut Writer) -> Outcome {
        let Some(turn) = self.durability.try_turn() else { return Outcome::InUse };
        let published = writer.len;
        let outcome = self.handle.close(|file| {
            self.durability.is_clean(published) || self.durability.sync(&turn, file, published, self.path()).is_ok()
        });
        if outcome == Outcome::GivenBack {
            writer.ready = 0;
        }
        outcome
    }
}

#[inline]
fn end_of(start: usize, (head, body): (&[u8], &[u8])) -> usize {
    start.saturating_add(head.len()).saturating_add(body.len())
}

impl sealed::Sealed for OsRegion {}

impl Region for OsRegion {
    fn path(&self) -> &Path {
        self.handle.path()
    }

    fn len(&self) -> u64 {
        self.handle.state.published() as u64
    }

    fn reserve(&self, end: u64) -> Result<()> {
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if end <= self.reserved.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.check()?;
        self.grow(end)
    }

    fn append(&self, head: &[u8], body: &[u8], way: Way) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check()?;
        let end = end_of(writer.len, (head, body));
        if way == Way::Map && end <= writer.ready {
            self.store(&writer, (head, body));
        } else {
            self.append_slowly(&mut writer, (head, body), way)?;
        }
        // A page that could not be had while it was stored to.
        self.handle.state.check(self.path())?;
        writer.len = end;
        self.handle.state.publish(end);
        Ok(())
    }

    fn view(&self) -> Result<View> {
        if self.is_empty() {
            return Ok(View::new(Arc::new(Nothing), 0));
        }
        let map = self.map()?;
        self.handle.state.check(self.path())?;
        Ok(View::new(map, self.handle.state.published()))
    }

    fn poisoned(&self) -> bool {
        self.handle.state.is_poisoned()
    }

    fn doom(&self) {
        let allocated = self.reserved.load(Ordering::Relaxed) as u64;
        self.handle.state.doom(allocated.max(self.len()));
    }

    fn sync(&self) -> Result<()> {
        fork::check(self.generation)?;
        self.sync_published()?;
        if self.finished.load(Ordering::Acquire) {
            // Nothing is appended any more: whether it is closed now or by the budget makes no difference.
            let _ = self.handle.close(|_| self.durability.is_clean(self.handle.state.published()));
        }
        Ok(())
    }

    fn wants_zeros(&self) -> bool {
        self.handle.state.published() > self.scarce_above.load(Ordering::Relaxed)
    }

    fn zero_ahead(&self) -> Result<()> {
        self.check()?;
        let goal = {
            let mut room = self.room.lock();
            let is_scarce = room.scarce_above().is_some_and(|above| self.len() >= above);
            if !is_scarce || self.finished.load(Ordering::Acquire) {
                return Ok(());
            }
            room.zero_goal()
        };
        let file = self.handle.descriptor(&self.me, OFlags::empty())?;
        loop {
            let mut room = self.room.lock();
            if room.allocated() >= goal || self.finished.load(Ordering::Acquire) {
                return Ok(());
            }
            room.zero(&file, goal).map_err(|e| self.failed_write("zero-fill", e))?;
            // Written out before the writer gets to know of it: his next sync shall not find a megabyte to write.
            self.durability.mark_changed();
            let turn = self.durability.turn();
            self.durability.sync(&turn, &file, self.handle.state.published(), self.path())?;
            self.show_room(&room);
        }
    }

    fn finish(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        self.check()?;
        if self.finished.load(Ordering::Acquire) {
            return Ok(());
        }
        let file = self.handle.descriptor(&self.me, OFlags::empty())?;
        writer.stop_stores();
        let mut room = self.room.lock();
        let published = writer.len as u64;
        retry(|| ftruncate(&file, published)).map_err(|e| self.handle.failed("shorten", e))?;
        self.durability.mark_changed();
        room.shrink(published);
        self.show_room(&room);
        self.finished.store(true, Ordering::Release);
        drop(room);
        if let Some(map) = self.handle.map() {
            map.forbid_stores();
        }
        Ok(())
    }

    fn file_range(&self, range: Range<u64>) -> Result<FileRange> {
        check_range(&range, self.len(), self.path())?;
        Ok(FileRange { file: self.handle.descriptor(&self.me, OFlags::empty())?, range })
    }
}

pub(super) fn check_range(range: &Range<u64>, len: u64, path: &Path) -> Result<()> {
    if range.start <= range.end && range.end <= len {
        return Ok(());
    }
    let message = format!("bytes {} to {} of {}, which has {len}", range.start, range.end, path.display());
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

impl Holder for OsRegion {
    fn give_back(&self, resource: Resource, ask: Ask) -> Outcome {
        let Some(mut writer) = self.writer.try_lock() else { return Outcome::InUse };
        let len = writer.len;
        let written = std::mem::replace(&mut writer.len_asked, len) != len;
        if (!self.handle.is_idle() || written) && ask == Ask::IfIdle {
            return Outcome::InUse;
        }
        match resource {
            Resource::Descriptor => self.close_idle(&mut writer),
            Resource::Map => {
                writer.stop_stores();
                self.handle.unmap()
            }
        }
    }
}

/// Whoever drops a file with unsynced bytes and still has its name would find, on opening it again, a descriptor that
/// reports no failure of theirs. So they are synced, here as everywhere.
impl Drop for OsRegion {
    fn drop(&mut self) {
        if fork::generation() != self.generation || self.durability.is_clean(self.handle.state.published()) {
            return;
        }
        let _ = self.handle.close(|file| {
            if fstat(file).is_ok_and(|stat| stat.st_nlink > 0) {
                let turn = self.durability.turn();
                // There is nobody left to tell, and the next opening checks what it finds.
                self.durability.sync(&turn, file, self.handle.state.published(), self.path()).ok();
            }
            true
        });
    }
}

impl fmt::Debug for OsRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OsRegion").field("path", &self.path()).field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
