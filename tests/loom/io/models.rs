//! Bytes of a file, maps of it, and syncs.
#![expect(unsafe_code, reason = "loom's cell tells who reads what is being written")]

use loom::cell::UnsafeCell;
use loom::thread;

use super::budget::{Ask, Budget, Holder, Outcome, Resource, Slot};
use super::doomed::{Doomed, Space};
use super::group_sync::GroupSync;
use super::kept::Kept;
use super::state::RegionState;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, Weak};

/// The bytes of a file. Who reads what is being written is found out.
pub(crate) struct Bytes<const N: usize>([UnsafeCell<u8>; N]);

impl<const N: usize> Bytes<N> {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| UnsafeCell::new(0)))
    }

    pub(crate) fn write(&self, at: usize, value: u8) {
        // SAFETY: the model has one writer, and loom stops it where a reader is at the same byte.
        self.0[at].with_mut(|byte| unsafe { *byte = value });
    }

    pub(crate) fn read(&self, at: usize) -> u8 {
        // SAFETY: loom stops it where the writer is at the same byte.
        self.0[at].with(|byte| unsafe { *byte })
    }
}

/// A file of so many published bytes.
fn region(published: usize) -> RegionState {
    RegionState::new(published, Space::new(&Arc::new(Doomed::default())))
}

/// How much of a segment's file is published.
pub(crate) struct Published(RegionState);

impl Published {
    pub(crate) fn new(records: usize) -> Self {
        Self(region(records))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.published() as u64
    }

    pub(crate) fn set(&self, records: usize) {
        self.0.publish(records);
    }
}

/// The writer keeps its own length, and never loads what it publishes.
pub(crate) fn published_bytes() {
    let file = Arc::new((region(0), Bytes::<2>::new()));
    let shared = Arc::clone(&file);
    let writer = thread::spawn(move || {
        for at in 0..2_u8 {
            shared.1.write(at.into(), at + 1);
            shared.0.publish(usize::from(at) + 1);
        }
    });
    let mut seen = 0;
    for _ in 0..2 {
        let end = file.0.published();
        assert!(end >= seen, "it never goes down");
        for at in 0..end {
            assert_eq!(usize::from(file.1.read(at)), at + 1);
        }
        seen = end;
    }
    writer.join().unwrap();
    assert_eq!(file.0.published(), 2);
}

/// A map, of which there may be one at a time.
struct Map {
    mapped: Arc<AtomicU64>,
    is_there: AtomicBool,
    _slot: Slot,
}

impl Drop for Map {
    fn drop(&mut self) {
        self.is_there.store(false, Ordering::SeqCst);
        self.mapped.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A file that is mapped when it is read.
struct File {
    map: Kept<Map>,
    used: AtomicBool,
}

impl Holder for File {
    fn give_back(&self, _resource: Resource, ask: Ask) -> Outcome {
        if self.used.swap(false, Ordering::Relaxed) && ask == Ask::IfIdle {
            return Outcome::InUse;
        }
        if self.map.let_go() { Outcome::GivenBack } else { Outcome::InUse }
    }
}

impl File {
    /// As `Handle::mapped`.
    fn mapped(self: &Arc<Self>, budget: &Budget, mapped: &Arc<AtomicU64>) -> Result<Arc<Map>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let holder: Weak<Self> = Arc::downgrade(self);
        let slot = budget.acquire(Resource::Map, holder)?;
        self.map.get_or_make(|| {
            assert_eq!(mapped.fetch_add(1, Ordering::SeqCst), 0, "the budget is one map");
            Ok(Map { mapped: Arc::clone(mapped), is_there: AtomicBool::new(true), _slot: slot })
        })
    }
}

/// Two files, and a budget of one map.
pub(crate) fn asked_back() {
    let (budget, mapped) = (Budget::new(1, 1), Arc::new(AtomicU64::new(0)));
    let file = || Arc::new(File { map: Kept::nothing(), used: AtomicBool::new(false) });
    let files = [file(), file()];
    let read = |file: &Arc<File>, budget: &Arc<Budget>, mapped: &Arc<AtomicU64>| {
        let (file, budget, mapped) = (Arc::clone(file), Arc::clone(budget), Arc::clone(mapped));
        move || match file.mapped(&budget, &mapped) {
            Ok(map) => assert!(map.is_there.load(Ordering::SeqCst), "it goes while it is looked at"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::MapLimit),
        }
    };
    let other = thread::spawn(read(&files[1], &budget, &mapped));
    read(&files[0], &budget, &mapped)();
    other.join().unwrap();
    let kept = files.iter().filter(|file| file.map.get().is_some()).count();
    assert_eq!((budget.stats().maps, mapped.load(Ordering::SeqCst)), (kept, kept as u64));
}

/// What two writers, who wait for their bytes, have in common.
struct Group {
    sync: GroupSync,
    written: AtomicU64,
    durable: AtomicU64,
    syncing: AtomicBool,
}

impl Group {
    fn new() -> Arc<Self> {
        let (written, durable) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { sync: GroupSync::new(0), written, durable, syncing: AtomicBool::new(false) })
    }

    fn append_durably(&self) {
        let target = self.written.fetch_add(1, Ordering::SeqCst) + 1;
        let end = self.sync.wait(target, || {
            assert!(!self.syncing.swap(true, Ordering::SeqCst), "one sync at a time");
            let end = self.written.load(Ordering::SeqCst);
            self.durable.store(end, Ordering::SeqCst);
            self.syncing.store(false, Ordering::SeqCst);
            Ok(end)
        });
        assert!(end.unwrap() >= target && self.durable.load(Ordering::SeqCst) >= target);
    }
}

pub(crate) fn group_sync() {
    let group = Group::new();
    let other = Arc::clone(&group);
    let writer = thread::spawn(move || other.append_durably());
    group.append_durably();
    writer.join().unwrap();
    assert_eq!(group.sync.synced(), 2);
}

/// One leads a sync that fails, or follows; another ends all waiting.
pub(crate) fn group_failure() {
    let group = Group::new();
    let (other, third) = (Arc::clone(&group), Arc::clone(&group));
    let fails = || Err(Error::new(ErrorKind::Io, "could not sync"));
    let waiting = thread::spawn(move || other.sync.wait(1, fails).unwrap_err().kind());
    let closing = thread::spawn(move || third.sync.fail(Error::new(ErrorKind::Closed, "closed")));
    let kind = group.sync.wait(1, fails).unwrap_err().kind();
    let kinds = [kind, waiting.join().unwrap()];
    closing.join().unwrap();
    let typed = |kind: &ErrorKind| matches!(kind, ErrorKind::Io | ErrorKind::Closed | ErrorKind::PreviousFailure);
    assert!(kinds.iter().all(typed), "{kinds:?}");
    assert_eq!(group.sync.synced(), 0);
}
