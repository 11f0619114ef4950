//! A file of a simulated disk.

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::directory::{refused_name, sync_file};
use super::disk::{SimDisk, State, errno, full};
use super::faults::Call;
use super::file::{File, PAGE, Part};
use super::image::{Event, NodeId};
use crate::error::{Corruption, CorruptionReason, Error, ErrorKind, Result};
use crate::io::doomed::Space;
use crate::io::view::{Mapping, Source};
use crate::io::{FileRange, Region, View, Way, sealed};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// Room is allocated in steps of this many bytes.
const STEP: u64 = PAGE as u64;

/// Zeros are written ahead in pieces of this many bytes.
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// A file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimRegion {
    disk: SimDisk,
    path: PathBuf,
    published: AtomicU64,
    space: Arc<Space>,
    handle: Mutex<Handle>,
}

/// What a process knows of its open file.
#[derive(Debug)]
struct Handle {
    /// `None` until it is opened.
    file: Option<NodeId>,
    /// The end of the address range; `None` if it takes no appends.
    capacity: Option<u64>,
    /// How far room is allocated.
    reserved: u64,
    /// How many failed write-backs this handle was told of, or opened after.
    told: u32,
}

impl SimRegion {
    /// A file to append to behind `range.start`, up to `range.end`.
    pub(super) fn growing(disk: SimDisk, path: PathBuf, file: NodeId, range: Range<u64>, space: Space) -> Self {
        let told = failures(&disk.lock(), file);
        let handle = Handle { file: Some(file), capacity: Some(range.end), reserved: range.start, told };
        let (published, space) = (AtomicU64::new(range.start), Arc::new(space));
        Self { disk, path, published, space, handle: Mutex::new(handle) }
    }

    /// A finished file, opened when it is first read.
    pub(super) fn finished(disk: SimDisk, path: PathBuf, len: u64, space: Space) -> Self {
        let handle = Handle { file: None, capacity: None, reserved: len, told: 0 };
        Self { disk, path, published: AtomicU64::new(len), space: Arc::new(space), handle: Mutex::new(handle) }
    }

    /// The file, opened now if it was not.
    fn open(&self, handle: &mut Handle, state: &mut State) -> Result<NodeId> {
        if let Some(file) = handle.file {
            return Ok(file);
        }
        refused_name(&self.path)?;
        state.call(Call::Open, "open", &self.path)?;
        let file = state.find(&self.path)?;
        let found = state.image().file(file).ok_or_else(|| errno("open", &self.path, libc::EISDIR))?.len();
        let expected = self.len();
        if found < expected {
            let reason = CorruptionReason::Truncated { expected, found };
            return Err(Corruption { path: Some(self.path.clone()), position: found, reason }.into());
        }
        handle.told = failures(state, file);
        handle.file = Some(file);
        Ok(file)
    }

    fn growing_file(&self, handle: &Handle) -> Result<(NodeId, u64)> {
        match (handle.file, handle.capacity) {
            (Some(file), Some(capacity)) => Ok((file, capacity)),
            _ => {
                let message = format!("{} is finished and takes no appends", self.path.display());
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    fn refuse(&self, why: &str) -> Error {
        Error::new(ErrorKind::InvalidArgument, format!("{} {why}", self.path.display()))
    }

    fn reserve_in(&self, handle: &mut Handle, state: &mut State, end: u64) -> Result<()> {
        let (file, capacity) = self.growing_file(handle)?;
        if end > capacity {
            return Err(self.refuse(&format!("has an address range of {capacity} bytes, {end} were asked for")));
        }
        if end <= handle.reserved {
            return Ok(());
        }
        let end = end.next_multiple_of(STEP).min(capacity);
        let failed = state.call(Call::Reserve, "allocate", &self.path);
        let more = end - handle.reserved;
        if failed.is_ok() && state.has_room(more) {
            state.perform(Event::SetLen { file, len: end });
            handle.reserved = end;
            return Ok(());
        }
        // A real allocation that fails leaves the file grown by what there was room for, which is given back.
        let grown = handle.reserved + state.room().unwrap_or(more / 2).min(more);
        state.perform(Event::SetLen { file, len: grown });
        state.perform(Event::SetLen { file, len: handle.reserved });
        failed.and(Err(full("allocate", &self.path)))
    }
}

fn failures(state: &State, file: NodeId) -> u32 {
    state.image().file(file).map_or(0, File::failures)
}

impl sealed::Sealed for SimRegion {}

impl Region for SimRegion {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    fn reserve(&self, end: u64) -> Result<()> {
        let mut handle = self.handle.lock();
        self.reserve_in(&mut handle, &mut self.disk.lock(), end)
    }

    fn append(&self, head: &[u8], body: &[u8], way: Way) -> Result<()> {
        let mut handle = self.handle.lock();
        let mut state = self.disk.lock();
        let at = self.len();
        let end = at + (head.len() + body.len()) as u64;
        self.reserve_in(&mut handle, &mut state, end)?;
        let (file, _) = self.growing_file(&handle)?;
        let failed = state.call(Call::Append, "write", &self.path);
        let mut store = |at, bytes: &[u8], part| {
            if !bytes.is_empty() {
                state.perform(Event::Store { file, at, bytes: Bytes::copy_from_slice(bytes), part, way });
            }
        };
        store(at, head, Part::Head);
        let body_at = at + head.len() as u64;
        if failed.is_err() {
            store(body_at, &body[..body.len() / 2], Part::Body);
            return failed;
        }
        store(body_at, body, Part::Body);
        self.published.store(end, Ordering::Release);
        Ok(())
    }

    fn view(&self) -> Result<View> {
        let mut handle = self.handle.lock();
        let mut state = self.disk.lock();
        let file = self.open(&mut handle, &mut state)?;
        let len = usize::try_from(self.len()).unwrap_or(usize::MAX);
        let bytes = state.image().file(file).map(|file| file.snapshot(len)).unwrap_or_default();
        // One mapping as long as there is the handle: what a real one would show.
        let reach = handle.capacity.map_or(len, |capacity| usize::try_from(capacity).unwrap_or(len).max(len));
        let (source, space) = (Some(Source { number: 1, len: reach }), Some(Arc::clone(&self.space)));
        Ok(View::new(Arc::new(Snapshot { bytes, source, _space: space }), len))
    }

    fn doom(&self) {
        let handle = self.handle.lock();
        self.space.doom(handle.reserved.max(self.len()));
    }

    fn sync(&self) -> Result<()> {
        let mut handle = self.handle.lock();
        let mut state = self.disk.lock();
        let file = self.open(&mut handle, &mut state)?;
        let told = handle.told == failures(&state, file);
        let synced = sync_file(&mut state, file, &self.path);
        handle.told = failures(&state, file);
        if told { synced } else { Err(errno("sync", &self.path, libc::EIO)) }
    }

    fn zero_ahead(&self) -> Result<()> {
        let mut handle = self.handle.lock();
        let mut state = self.disk.lock();
        let (file, capacity) = self.growing_file(&handle)?;
        let from = self.len();
        let end = (from + ZEROS.len() as u64).min(capacity);
        self.reserve_in(&mut handle, &mut state, end)?;
        let len = usize::try_from(end - from).unwrap_or(0);
        let bytes = Bytes::from_static(&ZEROS[..len]);
        state.perform(Event::Store { file, at: from, bytes, part: Part::Zeros, way: Way::Positioned });
        sync_file(&mut state, file, &self.path)
    }

    fn finish(&self) -> Result<()> {
        let mut handle = self.handle.lock();
        let mut state = self.disk.lock();
        let Ok((file, _)) = self.growing_file(&handle) else { return Ok(()) };
        state.call(Call::Truncate, "shorten", &self.path)?;
        let len = self.len();
        if state.image().file(file).is_some_and(|file| file.len() != len) {
            state.perform(Event::SetLen { file, len });
        }
        handle.capacity = None;
        handle.reserved = len;
        Ok(())
    }

    fn file_range(&self, range: Range<u64>) -> Result<FileRange> {
        let view = self.view()?;
        if range.start > range.end || range.end > view.len() as u64 {
            return Err(self.refuse(&format!("holds {} bytes, {range:?} were asked for", view.len())));
        }
        let copied = memory_file(&view).map_err(|error| Error::io("copy", &self.path, error))?;
        Ok(FileRange { file: Arc::new(copied), range })
    }
}

fn memory_file(contents: &[u8]) -> std::io::Result<std::fs::File> {
    let file = rustix::fs::memfd_create("riverbed-sim", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(contents)?;
    Ok(file)
}

/// A view of the first `len` bytes of a file as they are now: later stores go to a copy.
pub(super) fn snapshot_view(bytes: Arc<Vec<u8>>, len: usize) -> View {
    View::new(Arc::new(Snapshot { bytes, source: None, _space: None }), len)
}

struct Snapshot {
    bytes: Arc<Vec<u8>>,
    source: Option<Source>,
    _space: Option<Arc<Space>>,
}

impl Mapping for Snapshot {
    fn bytes(&self, end: usize) -> &[u8] {
        &self.bytes[..end]
    }

    fn source(&self) -> Option<Source> {
        self.source
    }
}
