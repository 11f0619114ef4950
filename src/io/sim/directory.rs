//! A directory of a simulated disk.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::disk::{SimDisk, State, errno, full, root_path};
use super::faults::Call;
use super::file::{File, Part};
use super::image::{Event, Node, NodeId};
use super::region::SimRegion;
use super::tail::SimTail;
use crate::error::{Corruption, CorruptionReason, Error, ErrorKind, Result};
use crate::io::doomed::{Doomed, Space};
use crate::io::power::{self, Kept};
use crate::io::{Directory, DirectoryLock, Entry, EntryKind, Region, Way, sealed};
use crate::sync::Arc;
use crate::types::Timestamp;

const LOCK: &str = ".lock";

/// A directory of a [`SimDisk`]. Found by its path at each call, as a real one is.
#[derive(Clone, Debug)]
pub struct SimDirectory {
    disk: SimDisk,
    path: PathBuf,
    doomed: Arc<Doomed>,
}

impl SimDirectory {
    pub(super) fn root(disk: SimDisk) -> Self {
        Self { disk, path: root_path(), doomed: Arc::default() }
    }

    fn below(&self, name: &str) -> Self {
        Self { disk: self.disk.clone(), path: self.path.join(name), doomed: Doomed::below(&self.doomed) }
    }

    fn space(&self) -> Space {
        Space::new(&self.doomed)
    }

    /// The disk it is on.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The path of the file `name`; one that ends in `/` if that cannot be a name, which is noticed at opening.
    fn named(&self, name: &str) -> PathBuf {
        self.path.join(if check_name(name).is_ok() { name } else { "" })
    }

    /// Counts a call on `name` and finds this directory.
    fn enter(&self, state: &mut State, call: Call, operation: &'static str, name: &str) -> Result<NodeId> {
        check_name(name)?;
        state.call(call, operation, &self.path.join(name))?;
        self.folder(state)
    }

    fn folder(&self, state: &State) -> Result<NodeId> {
        let node = state.find(&self.path)?;
        match state.image().node(node) {
            Some(Node::Folder(_)) => Ok(node),
            _ => Err(errno("open", &self.path, libc::ENOTDIR)),
        }
    }

    /// The regular file `name` in `folder`.
    fn file(&self, state: &State, folder: NodeId, name: &str) -> Result<NodeId> {
        let path = self.path.join(name);
        let found = state.image().folder(folder).and_then(|folder| folder.find(name));
        let node = found.ok_or_else(|| errno("open", &path, libc::ENOENT))?;
        match state.image().node(node) {
            Some(Node::File(_)) => Ok(node),
            _ => Err(errno("open", &path, libc::EISDIR)),
        }
    }

    /// Writes and syncs a temporary file and renames it, each a step that can fail or be the last before a crash.
    fn put_in(&self, state: &mut State, folder: NodeId, name: &str, contents: &[u8]) -> Result<()> {
        let temporary = format!("{name}.tmp");
        let written = self.write_temporary(state, folder, &temporary, contents);
        let renamed = written.and_then(|()| self.rename_in(state, folder, &temporary, name));
        if renamed.is_err() && self.file(state, folder, &temporary).is_ok() {
            state.perform(Event::Remove { folder, name: temporary.as_str().into() });
        }
        renamed
    }

    fn write_temporary(&self, state: &mut State, folder: NodeId, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        state.call(Call::Create, "create", &path)?;
        if self.file(state, folder, name).is_ok() {
            state.perform(Event::Remove { folder, name: name.into() });
        }
        let file = state.create_file(folder, name, &path)?;
        let failed = state.call(Call::Append, "write", &path);
        let len = contents.len() as u64;
        if !state.has_room(len) {
            return Err(full("write", &path));
        }
        let written = if failed.is_ok() { contents } else { &contents[..contents.len() / 2] };
        state.perform(Event::SetLen { file, len: written.len() as u64 });
        let bytes = Bytes::copy_from_slice(written);
        state.perform(Event::Store { file, at: 0, bytes, part: Part::Whole, way: Way::Positioned });
        failed?;
        sync_file(state, file, &path)
    }

    fn rename_in(&self, state: &mut State, folder: NodeId, from: &str, to: &str) -> Result<()> {
        state.call(Call::Rename, "rename", &self.path.join(from))?;
        let source = state.image().folder(folder).and_then(|folder| folder.find(from));
        if source.is_none() {
            return Err(errno("rename", &self.path.join(from), libc::ENOENT));
        }
        if from != to {
            state.perform(Event::Rename { folder, from: from.into(), to: to.into() });
        }
        Ok(())
    }

    /// Opens this directory to sync it. Without a descriptor for that nothing is lost; the inner answer is what the sync
    /// will say.
    fn open_to_sync(&self, state: &mut State) -> Result<Result<()>> {
        match state.call(Call::SyncDirectory, "sync", &self.path) {
            Err(error) if error.kind() == ErrorKind::TooManyFiles => Err(error),
            answer => Ok(answer.map_err(|error| error.with_kind(ErrorKind::Io))),
        }
    }
}

/// Syncs a directory, or fails to and loses its changes.
fn sync_folder(state: &mut State, folder: NodeId, synced: Result<()>) -> Result<()> {
    state.perform(if synced.is_ok() { Event::SyncFolder { folder } } else { Event::FailSyncFolder { folder } });
    synced
}

/// Syncs a file, or fails to and forgets that it was dirty.
pub(super) fn sync_file(state: &mut State, file: NodeId, path: &Path) -> Result<()> {
    let synced = state.call(Call::Sync, "sync", path);
    state.perform(if synced.is_ok() { Event::SyncFile { file } } else { Event::FailSyncFile { file } });
    synced.map_err(|error| error.with_kind(ErrorKind::Io))
}

/// Whether `path` was made of a name that cannot be one.
pub(super) fn refused_name(path: &Path) -> Result<()> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") { check_name("") } else { Ok(()) }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(['/', '\0']) {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{name:?} is not the name of a file")));
    }
    Ok(())
}

impl sealed::Sealed for SimDirectory {}

impl Directory for SimDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> Result<Vec<Entry>> {
        let mut state = self.disk.lock();
        state.call(Call::List, "list", &self.path)?;
        let folder = self.folder(&state)?;
        let names = state.image().folder(folder).map(|folder| folder.names()).unwrap_or_default();
        let entry = |(name, node): &(Arc<str>, NodeId)| {
            let (kind, len) = match state.image().file(*node) {
                Some(file) => (EntryKind::File, file.len()),
                None => (EntryKind::Directory, 0),
            };
            Entry { name: name.to_string(), kind, len }
        };
        Ok(names.iter().map(entry).collect())
    }

    fn create(&self, name: &str, capacity: u64) -> Result<Arc<dyn Region>> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Create, "create", name)?;
        let path = self.path.join(name);
        if state.image().folder(folder).is_some_and(|folder| folder.find(name).is_some()) {
            return Err(errno("create", &path, libc::EEXIST));
        }
        let file = state.create_file(folder, name, &path)?;
        drop(state);
        Ok(Arc::new(SimRegion::growing(self.disk.clone(), path, file, 0..capacity, self.space())))
    }

    fn open_append(&self, name: &str, published: u64, capacity: u64) -> Result<Arc<dyn Region>> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Open, "open", name)?;
        let path = self.path.join(name);
        let file = self.file(&state, folder, name)?;
        let len = state.image().file(file).map_or(0, File::len);
        if len < published {
            return Err(short(&path, published, len));
        }
        if published > capacity {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("{published} bytes do not fit in {capacity}")));
        }
        if len > published {
            state.call(Call::Truncate, "truncate", &path)?;
            state.perform(Event::SetLen { file, len: published });
        }
        // Whoever set this length may have died before he synced it.
        sync_file(&mut state, file, &path)?;
        drop(state);
        Ok(Arc::new(SimRegion::growing(self.disk.clone(), path, file, published..capacity, self.space())))
    }

    fn open_sealed(&self, name: &str, len: u64) -> Arc<dyn Region> {
        Arc::new(SimRegion::finished(self.disk.clone(), self.named(name), len, self.space()))
    }

    fn open_tail(&self, name: &str) -> Result<Arc<dyn Region>> {
        Ok(Arc::new(SimTail::open(self.disk.clone(), self.named(name))?))
    }

    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Read, "read", name)?;
        let node = self.file(&state, folder, name)?;
        let len = state.image().file(node).map_or(0, File::len);
        if len > max {
            let reason = CorruptionReason::SideFile(format!("{len} bytes long, at most {max} are possible"));
            return Err(Corruption { path: Some(self.path.join(name)), position: max, reason }.into());
        }
        Ok(state.image().file(node).map(File::contents).unwrap_or_default())
    }

    fn modified(&self, name: &str) -> Result<Timestamp> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Open, "stat", name)?;
        self.file(&state, folder, name)?;
        Ok(state.modified())
    }

    fn has_other_names(&self, _name: &str) -> Result<bool> {
        Ok(false)
    }

    fn replace(&self, name: &str, contents: &[u8]) -> Result<()> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Replace, "replace", name)?;
        let synced = self.open_to_sync(&mut state)?;
        self.put_in(&mut state, folder, name, contents)?;
        sync_folder(&mut state, folder, synced)
    }

    fn put(&self, name: &str, contents: &[u8]) -> Result<()> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Replace, "replace", name)?;
        self.put_in(&mut state, folder, name, contents)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut state = self.disk.lock();
        let folder = self.folder(&state)?;
        self.rename_in(&mut state, folder, from, to)
    }

    fn link(&self, _name: &str, into: &dyn Directory) -> Result<()> {
        let message = format!("a simulated disk has no hard links: nothing is linked into {}", into.path().display());
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    fn descriptor(&self) -> Result<Option<OwnedFd>> {
        Ok(None)
    }

    fn unlink(&self, name: &str) -> Result<()> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Unlink, "unlink", name)?;
        match self.file(&state, folder, name) {
            Ok(_) => state.perform(Event::Remove { folder, name: name.into() }),
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }

    fn doomed_bytes(&self) -> u64 {
        self.doomed.bytes()
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.disk.lock();
        let folder = self.folder(&state)?;
        let synced = self.open_to_sync(&mut state)?;
        sync_folder(&mut state, folder, synced)
    }

    fn subdirectory(&self, name: &str) -> Result<Arc<dyn Directory>> {
        check_name(name)?;
        Ok(Arc::new(self.below(name)))
    }

    fn create_subdirectory(&self, name: &str) -> Result<Arc<dyn Directory>> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::CreateDirectory, "create", name)?;
        let path = self.path.join(name);
        match state.image().folder(folder).and_then(|folder| folder.find(name)) {
            None => {
                state.room_for_name(&path)?;
                state.perform(Event::CreateFolder { folder, name: name.into() });
            }
            Some(node) if state.image().folder(node).is_none() => return Err(errno("create", &path, libc::ENOTDIR)),
            Some(_) => {}
        }
        Ok(Arc::new(self.below(name)))
    }

    fn remove_subdirectory(&self, name: &str) -> Result<()> {
        let mut state = self.disk.lock();
        let parent = self.enter(&mut state, Call::RemoveDirectory, "remove", name)?;
        let path = self.path.join(name);
        let Some(folder) = state.image().folder(parent).and_then(|folder| folder.find(name)) else {
            return Ok(());
        };
        let Some(inside) = state.image().folder(folder).map(|folder| folder.names().to_vec()) else {
            return Err(errno("remove", &path, libc::ENOTDIR));
        };
        if inside.iter().any(|&(_, node)| state.image().folder(node).is_some()) {
            return Err(errno("remove", &path, libc::ENOTEMPTY));
        }
        for (name, _) in inside {
            state.perform(Event::Remove { folder, name });
        }
        state.perform(Event::Remove { folder: parent, name: name.into() });
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn DirectoryLock>> {
        let mut state = self.disk.lock();
        let folder = self.enter(&mut state, Call::Lock, "lock", LOCK)?;
        if !state.take_lock(folder) {
            let message = format!("{} is open for writing already", self.path.display());
            return Err(Error::new(ErrorKind::AlreadyOpen, message));
        }
        let written = match self.file(&state, folder, LOCK) {
            Ok(file) => Ok(state.image().file(file).map(File::contents).unwrap_or_default()),
            Err(_) => state.create_file(folder, LOCK, &self.path.join(LOCK)).map(|_| Vec::new()),
        };
        if written.is_err() {
            state.release_lock(folder);
        }
        let same_power = match power::decode(&written?) {
            Kept::Identity(kept) => kept == state.power(),
            Kept::Nothing | Kept::Newer(_) => false,
        };
        drop(state);
        Ok(Box::new(SimLock { directory: self.clone(), folder, same_power }))
    }
}

fn short(path: &Path, expected: u64, found: u64) -> Error {
    let reason = CorruptionReason::Truncated { expected, found };
    Corruption { path: Some(path.to_owned()), position: found, reason }.into()
}

/// Gives the lock back when it goes.
#[derive(Debug)]
struct SimLock {
    directory: SimDirectory,
    folder: NodeId,
    same_power: bool,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.directory.disk.lock().release_lock(self.folder);
    }
}

impl sealed::Sealed for SimLock {}

impl DirectoryLock for SimLock {
    fn same_power(&self) -> bool {
        self.same_power
    }

    fn keep_power(&self) -> Result<()> {
        let (directory, folder) = (&self.directory, self.folder);
        let path = directory.path.join(LOCK);
        let mut state = directory.disk.lock();
        state.call(Call::Lock, "write", &path)?;
        let file = directory.file(&state, folder, LOCK)?;
        let bytes = Bytes::copy_from_slice(&power::encode(&state.power()));
        if state.image().file(file).is_some_and(|file| file.len() != bytes.len() as u64) {
            if !state.has_room(bytes.len() as u64) {
                return Err(full("write", &path));
            }
            state.perform(Event::SetLen { file, len: bytes.len() as u64 });
        }
        state.perform(Event::Store { file, at: 0, bytes, part: Part::Whole, way: Way::Positioned });
        sync_file(&mut state, file, &path)
    }
}
