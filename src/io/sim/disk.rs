//! The simulated disk: one tree of directories, its history, and what is to go wrong.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::SimDirectory;
use super::exhaustive::ExhaustiveStates;
use super::faults::{Call, Fault, Faults};
use super::history::{self, History};
use super::image::{Event, Image, NAME_COST, NodeId};
use super::mode::CrashMode;
use super::power;
use super::random::Random;
use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, PowerIdentity};
use crate::sync::{Arc, Mutex, MutexGuard, thread};
use crate::types::Timestamp;

/// A disk in memory that can crash, fill up and fail.
///
/// Clones are the same disk. It remembers everything that was done to it: [`SimDisk::crash_state`] makes new disks of
/// what a kill or a power cut may leave of this one, as often as asked, and does not change this one.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What is behind the disk's lock.
pub(super) struct State {
    image: Image,
    start: Image,
    events: Vec<Event>,
    faults: Faults,
    capacity: Option<u64>,
    locked: Vec<NodeId>,
    modified: Timestamp,
    /// What it draws its waits from, if it has any.
    waits: Option<Random>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty disk is made on purpose, not by default")]
    pub fn new() -> Self {
        Self::of(Image::empty(power::FIRST))
    }

    pub(super) fn of(image: Image) -> Self {
        let state = State {
            start: image.clone(),
            image,
            events: Vec::new(),
            faults: Faults::default(),
            capacity: None,
            locked: Vec::new(),
            modified: Timestamp::from_millis(0),
            waits: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> Arc<dyn Directory> {
        Arc::new(SimDirectory::root(self.clone()))
    }

    /// How many events changed the disk so far: where its history stands.
    #[must_use]
    pub fn position(&self) -> usize {
        self.lock().events.len()
    }

    /// All that happened so far.
    #[must_use]
    pub fn history(&self) -> History {
        let state = self.lock();
        History::new(state.start.clone(), state.events.as_slice().into())
    }

    /// Forgets what happened before: the history starts here, and takes no more memory for what was.
    pub fn forget_history(&self) {
        let mut state = self.lock();
        state.start = state.image.clone();
        state.events.clear();
    }

    /// A new disk as a crash at this moment may leave this one.
    #[must_use]
    pub fn crash_state(&self, random: &mut Random, mode: CrashMode) -> SimDisk {
        history::crash_state(&self.lock().image, None, random, mode)
    }

    /// All disks that a power cut at this moment may leave, at most `max`.
    #[must_use]
    pub fn exhaustive_states(&self, max: usize) -> ExhaustiveStates {
        ExhaustiveStates::new(self.lock().image.clone(), max)
    }

    /// Plans for calls to fail. Plans add up; of two that concern the same call the older one decides.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.plan(fault);
    }

    /// From now on no call is to fail.
    pub fn heal(&self) {
        self.lock().faults.forget();
    }

    /// While paused, no call fails and none is counted: for a test to look at what is there.
    pub fn pause_faults(&self, paused: bool) {
        self.lock().faults.pause(paused);
    }

    /// How many calls of a kind there were, failed ones too; of all kinds for `None`.
    #[must_use]
    pub fn calls(&self, call: Option<Call>) -> u64 {
        self.lock().faults.calls(call)
    }

    /// Gives the disk so many bytes; `None` takes the limit away. A call that needs more answers
    /// [`ErrorKind::StorageFull`]. Removing a file gives its room back at once.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// When all its files were last modified, as it tells from now on: it keeps no time of each.
    pub fn set_modified(&self, time: Timestamp) {
        self.lock().modified = time;
    }

    /// How many bytes are taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.lock().image.used()
    }

    /// Write-back in the background fails for all that is dirty now. It is told once, by the next sync through each
    /// handle that has the file open; a handle opened later is never told.
    pub fn fail_write_back(&self) {
        let mut state = self.lock();
        for file in state.image.files() {
            state.perform(Event::FailSyncFile { file });
        }
    }

    /// Whether something whose sync failed is still shown: it will never be durable, whatever later syncs answer.
    #[must_use]
    pub fn has_lost_writes(&self) -> bool {
        self.lock().image.has_lost()
    }

    /// Turns one bit of a file, durably.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file, [`ErrorKind::InvalidArgument`] if it is shorter.
    pub fn flip_bit(&self, path: &Path, position: u64, bit: u8) -> Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        if state.image.file(file).is_none_or(|file| position >= file.len()) {
            let message = format!("{} has no byte {position}", path.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        state.perform(Event::Flip { file, at: position, bit });
        Ok(())
    }

    /// From now on it keeps some callers waiting, up to a tenth of a millisecond, so that threads meet in other orders. A
    /// seed tells who waits how long, and not what the scheduler makes of it.
    pub fn keep_waiting(&self, seed: u64) {
        self.state.lock().waits = Some(Random::new(seed));
    }

    #[expect(clippy::disallowed_methods, reason = "a slow disk is what is simulated")]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        let Some(random) = state.waits.as_mut() else { return state };
        let wait = if random.one_in(16) { random.below(100) } else { random.below(2) };
        drop(state);
        match wait {
            0 => {}
            1 => thread::yield_now(),
            micros => thread::sleep(Duration::from_micros(micros)),
        }
        self.state.lock()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("SimDisk").field("events", &state.events.len()).field("power", &state.image.power()).finish()
    }
}

impl State {
    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    pub(super) fn modified(&self) -> Timestamp {
        self.modified
    }

    pub(super) fn power(&self) -> PowerIdentity {
        self.image.power()
    }

    pub(super) fn perform(&mut self, event: Event) {
        self.image.apply(&event);
        self.events.push(event);
    }

    /// Counts a call, which may be planned to fail.
    pub(super) fn call(&mut self, call: Call, operation: &'static str, path: &Path) -> Result<()> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self.faults.call(call, name) {
            Some(failure) => Err(Error::io(operation, path, failure.error())),
            None => Ok(()),
        }
    }

    /// Whether there is room for `more` bytes.
    pub(super) fn has_room(&self, more: u64) -> bool {
        self.capacity.is_none_or(|capacity| self.image.used().saturating_add(more) <= capacity)
    }

    /// Room that is left, if there is a limit.
    pub(super) fn room(&self) -> Option<u64> {
        self.capacity.map(|capacity| capacity.saturating_sub(self.image.used()))
    }

    /// Creates an empty file, which takes the room of its name.
    pub(super) fn create_file(&mut self, folder: NodeId, name: &str, path: &Path) -> Result<NodeId> {
        self.room_for_name(path)?;
        let file = self.image.next_node();
        self.perform(Event::CreateFile { folder, name: name.into() });
        Ok(file)
    }

    pub(super) fn room_for_name(&self, path: &Path) -> Result<()> {
        if self.has_room(NAME_COST) {
            return Ok(());
        }
        Err(full("create", path))
    }

    /// Locks a directory for writing; false if it is locked.
    pub(super) fn take_lock(&mut self, folder: NodeId) -> bool {
        let free = !self.locked.contains(&folder);
        if free {
            self.locked.push(folder);
        }
        free
    }

    pub(super) fn release_lock(&mut self, folder: NodeId) {
        self.locked.retain(|locked| *locked != folder);
    }

    /// The file or directory at `path`, from the root.
    pub(super) fn find(&self, path: &Path) -> Result<NodeId> {
        let mut node = NodeId::ROOT;
        for name in path.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        }) {
            let Some(folder) = self.image.folder(node) else {
                return Err(errno("open", path, libc::ENOTDIR));
            };
            node = folder.find(&name).ok_or_else(|| errno("open", path, libc::ENOENT))?;
        }
        Ok(node)
    }
}

/// What the operating system would answer.
pub(super) fn errno(operation: &'static str, path: &Path, code: i32) -> Error {
    Error::io(operation, path, std::io::Error::from_raw_os_error(code))
}

pub(super) fn full(operation: &'static str, path: &Path) -> Error {
    errno(operation, path, libc::ENOSPC)
}

/// Where disks show their files in messages.
pub(super) fn root_path() -> PathBuf {
    PathBuf::from("/")
}
