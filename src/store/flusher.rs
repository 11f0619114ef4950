//! Syncs in the background: what somebody awaits or was rolled, what has waited for its interval, and the dirtiest when
//! much is dirty. And zeros ahead of those who sync as they append.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Result;
use crate::log::CHECKPOINT_AFTER;
use crate::partition::{self, List, Partition, WeakPartition};
use crate::store::maintenance::Chore;
use crate::store::unsynced::Unsynced;
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

/// When a sync is tried again for which there was no descriptor.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What is to be synced when. One partition at a time, each kind in its turn, so that none waits for ever.
pub(super) struct Flusher {
    clock: Arc<dyn Clock>,
    unsynced: Unsynced,
    /// Who is asked to look after partitions that were held back.
    retention: Arc<Chore>,
    queue: Mutex<Queue>,
    /// There is something to do.
    changed: Condvar,
    /// The thread has done what it took.
    idle: Condvar,
    /// Half of what may be unsynced is, and the thread has not yet taken up what is dirty.
    pressed: AtomicBool,
}

/// What the thread does for a partition.
#[derive(Clone, Copy)]
enum Job {
    Sync,
    Zero,
    Checkpoint,
}

impl Job {
    /// The list that it is on while it waits for a time.
    fn list(self) -> List {
        match self {
            Self::Sync => List::Due,
            Self::Zero => List::Zeros,
            Self::Checkpoint => List::Behind,
        }
    }
}

#[derive(Default)]
struct Queue {
    /// As soon as possible.
    soon: VecDeque<WeakPartition>,
    /// By the monotonic time at which it is due: a sync, or the recovery point.
    due: BTreeMap<(Duration, u64), (Job, WeakPartition)>,
    /// To have room zero-filled ahead.
    zeros: VecDeque<WeakPartition>,
    /// Tells entries with the same time apart.
    count: u64,
    /// Partitions with unsynced bytes, for when much is.
    dirty: Vec<WeakPartition>,
    /// Those of them that are to be synced now, the dirtiest last.
    urgent: Vec<WeakPartition>,
    /// Which kind has its turn.
    turn: usize,
    /// How often the thread took something.
    taken: u64,
    busy: bool,
    stopped: bool,
    /// How long the lists may grow before those on them that are gone are dropped.
    prune_at: usize,
}

impl Flusher {
    pub(super) fn new(clock: Arc<dyn Clock>, unsynced: Unsynced, retention: Arc<Chore>) -> Self {
        Self {
            clock,
            unsynced,
            retention,
            queue: Mutex::new(Queue::default()),
            changed: Condvar::new(),
            idle: Condvar::new(),
            pressed: AtomicBool::new(false),
        }
    }

    /// The work of the store's thread: syncs until it is told to stop.
    ///
    /// A failed sync trips its partition's latch, which keeps the error and tells it to everybody who comes; the other
    /// partitions go on.
    pub(super) fn run(&self) {
        while let Some((job, partition)) = self.next() {
            let _busy = Busy(self);
            match job {
                Job::Sync => self.sync(&partition),
                // Without room the next append tells; any other failure stays with the file.
                Job::Zero => drop(partition.zero_ahead()),
                Job::Checkpoint => self.checkpoint(&partition),
            }
        }
    }

    /// Syncs a partition. One for which there was no descriptor has lost nothing, and comes again: somebody may wait.
    fn sync(&self, partition: &Partition) {
        if partition.sync().is_err_and(|error| error.is_passing()) {
            partition::Flusher::sync_after(self, partition, AGAIN_AFTER);
        }
    }

    /// Writes a partition's recovery point down, now or, where one was written meanwhile, when that has become a second
    /// old. A failure stays with the partition.
    fn checkpoint(&self, partition: &Partition) {
        if let Ok(Some(left)) = partition.checkpoint_if_due() {
            self.put_due(Job::Checkpoint, partition, left);
        }
    }

    fn put_due(&self, job: Job, partition: &Partition, after: Duration) {
        if !partition.enter(job.list()) {
            return;
        }
        let at = self.clock.monotonic().saturating_add(after);
        let mut queue = self.queue.lock();
        queue.count += 1;
        let count = queue.count;
        queue.due.insert((at, count), (job, partition.downgrade()));
        queue.prune();
        if queue.due.first_key_value().is_some_and(|((_, first), _)| *first == count) {
            self.changed.notify_all();
        }
    }

    /// Tells [`Flusher::run`] to return, after the sync under way at most.
    pub(super) fn stop(&self) {
        self.queue.lock().stopped = true;
        self.changed.notify_all();
        self.unsynced.stop();
    }

    /// Syncs what is due by the clock, on the calling thread. What the store's own thread has begun is done too when this
    /// returns.
    pub(super) fn run_due(&self) {
        loop {
            let due = self.queue.lock().pop_due(self.clock.monotonic());
            match due {
                Some((Job::Checkpoint, partition)) => self.checkpoint(&partition),
                Some((_, partition)) => self.sync(&partition),
                None => break,
            }
        }
        let mut queue = self.queue.lock();
        let taken = queue.taken;
        while queue.busy && queue.taken == taken {
            self.idle.wait(&mut queue);
        }
    }

    /// Does all that there is to do now, where there is no thread for it.
    #[cfg(test)]
    pub(super) fn run_queued(&self) {
        loop {
            let next = self.queue.lock().pop(self.clock.monotonic());
            match next {
                Some((Job::Sync, partition)) => self.sync(&partition),
                Some((Job::Zero, partition)) => drop(partition.zero_ahead()),
                Some((Job::Checkpoint, partition)) => self.checkpoint(&partition),
                None => return,
            }
        }
    }

    /// Bytes that are written and not synced.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.unsynced.bytes()
    }

    fn next(&self) -> Option<(Job, Partition)> {
        let mut queue = self.queue.lock();
        loop {
            if queue.stopped {
                return None;
            }
            if self.pressed.swap(false, Ordering::SeqCst) {
                queue.take_dirty();
            }
            if let Some(next) = queue.pop(self.clock.monotonic()) {
                queue.taken += 1;
                queue.busy = true;
                return Some(next);
            }
            self.wait(&mut queue);
        }
    }

    fn wait(&self, queue: &mut MutexGuard<'_, Queue>) {
        match queue.due.first_key_value() {
            Some(((at, _), _)) => {
                let left = at.saturating_sub(self.clock.monotonic());
                self.changed.wait_for(queue, left);
            }
            None => self.changed.wait(queue),
        }
    }
}

/// The thread syncs what it took. Ends with it, also by a panic.
struct Busy<'a>(&'a Flusher);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().busy = false;
        self.0.idle.notify_all();
    }
}

impl Queue {
    /// What is to be synced now, of each kind in turn.
    fn pop(&mut self, now: Duration) -> Option<(Job, Partition)> {
        for _ in 0..4 {
            self.turn = (self.turn + 1) % 4;
            let popped = match self.turn {
                0 => self.pop_soon().map(|partition| (Job::Sync, partition)),
                1 => self.pop_due(now),
                2 => self.pop_urgent().map(|partition| (Job::Sync, partition)),
                _ => self.pop_zeros().map(|partition| (Job::Zero, partition)),
            };
            if popped.is_some() {
                return popped;
            }
        }
        None
    }

    fn pop_zeros(&mut self) -> Option<Partition> {
        std::iter::from_fn(|| self.zeros.pop_front()).find_map(|weak| taken(&weak, List::Zeros))
    }

    fn pop_soon(&mut self) -> Option<Partition> {
        std::iter::from_fn(|| self.soon.pop_front()).find_map(|weak| taken(&weak, List::Soon))
    }

    fn pop_due(&mut self, now: Duration) -> Option<(Job, Partition)> {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            let (job, weak) = first.remove();
            if let Some(partition) = taken(&weak, job.list()) {
                return Some((job, partition));
            }
        }
        None
    }

    fn pop_urgent(&mut self) -> Option<Partition> {
        std::iter::from_fn(|| self.urgent.pop()).find_map(|weak| taken(&weak, List::Dirty))
    }

    fn take_dirty(&mut self) {
        self.urgent.append(&mut self.dirty);
        let bytes = |weak: &WeakPartition| weak.upgrade().map_or(0, |partition| partition.unsynced_bytes());
        self.urgent.sort_by_cached_key(bytes);
    }

    /// Drops entries of partitions that are gone, each time the lists have doubled.
    fn prune(&mut self) {
        let len = self.dirty.len() + self.due.len();
        if len < self.prune_at.max(64) {
            return;
        }
        self.dirty.retain(|weak| !weak.is_gone());
        self.due.retain(|_, (_, weak)| !weak.is_gone());
        self.prune_at = 2 * (self.dirty.len() + self.due.len());
    }
}

/// The partition, if it is still there, taken off the list: from now on it may be put there again.
fn taken(weak: &WeakPartition, list: List) -> Option<Partition> {
    let partition = weak.upgrade()?;
    partition.leave(list);
    Some(partition)
}

impl partition::Flusher for Flusher {
    fn admit(&self) -> Result<()> {
        self.unsynced.admit()
    }

    fn add(&self, bytes: u64) {
        self.unsynced.add(bytes);
    }

    fn remove(&self, bytes: u64) {
        self.unsynced.remove(bytes);
    }

    fn note_dirty(&self, partition: &Partition) {
        if partition.enter(List::Dirty) {
            let mut queue = self.queue.lock();
            queue.dirty.push(partition.downgrade());
            queue.prune();
        }
        if self.unsynced.is_much() && !self.pressed.swap(true, Ordering::SeqCst) {
            // Under the lock, so that the thread is either waiting by now or yet to look.
            let _queue = self.queue.lock();
            self.changed.notify_all();
        }
    }

    fn sync_soon(&self, partition: &Partition) {
        if partition.enter(List::Soon) {
            self.queue.lock().soon.push_back(partition.downgrade());
            self.changed.notify_all();
        }
    }

    fn zero_soon(&self, partition: &Partition) {
        if partition.enter(List::Zeros) {
            self.queue.lock().zeros.push_back(partition.downgrade());
            self.changed.notify_all();
        }
    }

    fn retain_soon(&self, partition: &Partition) {
        self.retention.ask(partition);
    }

    fn retain_all_soon(&self) {
        self.retention.hurry();
    }

    fn sync_after(&self, partition: &Partition, after: Duration) {
        self.put_due(Job::Sync, partition, after);
    }

    fn checkpoint_later(&self, partition: &Partition) {
        self.put_due(Job::Checkpoint, partition, CHECKPOINT_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};

    use crate::record::{BatchBuilder, Record};
    use crate::store::{Store, TopicConfig};
    use crate::types::{Acks, Timestamp};

    /// Where the file's first byte lies that was set aside, but never written.
    fn first_hole(path: &Path) -> u64 {
        seek(File::open(path).unwrap(), SeekFrom::Hole(0)).unwrap()
    }

    #[test]
    fn a_topic_that_syncs_as_it_appends_has_zeros_written_ahead_and_others_have_not() {
        let directory = tempfile::tempdir_in(".").unwrap();
        let probe = directory.path().join("probe");
        fallocate(File::create(&probe).unwrap(), FallocateFlags::empty(), 0, 1 << 20).unwrap();
        if first_hole(&probe) != 0 {
            return eprintln!("skipped: this file system does not tell holes from zeros");
        }
        std::fs::remove_file(probe).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut builder = BatchBuilder::new();
        builder.push(&Record::new().value("v"), Timestamp::from_millis(0)).unwrap();
        let batch = builder.finish().unwrap().unwrap();
        let cases = [("lazy", None, Acks::Leader), ("asked", None, Acks::Durable), ("always", Some("1"), Acks::Leader)];
        for (name, messages, acks) in cases {
            let config = TopicConfig::default();
            let config = messages.into_iter().fold(config, |config, n| config.set("flush.messages", n).unwrap());
            let partition = store.create_topic(name, config).unwrap().partition(0).unwrap();
            let file = directory.path().join(format!("{name}-0/00000000000000000000.log"));
            let is_ahead = || first_hole(&file) > 128 << 10;
            let appends = if name == "lazy" { 200 } else { 900 };
            for _ in 0..appends {
                partition.append_with(batch, acks).unwrap();
                if is_ahead() {
                    break;
                }
            }
            assert_eq!(is_ahead(), name != "lazy", "{name}");
        }
        store.close().unwrap();
    }
}
