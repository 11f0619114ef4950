//! The flush policy: what happens to an append before it is answered, and what is left to the background.

use std::time::Duration;

use crate::error::Result;
use crate::log::{Appended, Log, LogConfig};
use crate::partition::Partition;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::types::ReadUpTo;

/// Who syncs partitions in the background: the store.
pub(crate) trait Flusher: Send + Sync {
    /// Waits until more may be unsynced.
    fn admit(&self) -> Result<()>;

    /// `bytes` more are unsynced. Called before the partition counts them itself.
    fn add(&self, bytes: u64);

    /// `bytes` fewer are unsynced, of those that were added.
    fn remove(&self, bytes: u64);

    /// The partition has unsynced bytes: for when much is unsynced.
    fn note_dirty(&self, partition: &Partition);

    /// Syncs the partition as soon as possible.
    fn sync_soon(&self, partition: &Partition);

    /// Zero-fills room ahead of the partition's writer, who syncs as he appends.
    fn zero_soon(&self, partition: &Partition);

    /// Syncs the partition when `after` has passed.
    fn sync_after(&self, partition: &Partition, after: Duration);

    /// Writes the partition's recovery point down once it has been behind for a second.
    fn checkpoint_later(&self, partition: &Partition);

    /// Has retention look at the partition: something that was held back no longer is.
    fn retain_soon(&self, partition: &Partition);

    /// Has retention look at all partitions: the disk is full.
    fn retain_all_soon(&self);
}

/// The flusher's lists. A partition is on each at most once: its flag is set by who puts it there, and cleared by the
/// flusher before the sync that is owed, so that bytes whose append found the flag set are in that sync.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    /// Has unsynced bytes.
    Dirty,
    /// To be synced at once.
    Soon,
    /// To be synced at a time.
    Due,
    /// To have room zero-filled ahead.
    Zeros,
    /// To have its recovery point written down at a time.
    Behind,
}

/// Bytes that were appended, and those of them that a sync has covered; and which lists of the flusher know of it.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    appended: AtomicU64,
    /// Never falls, and never passes `appended`: each byte is taken off once, however many syncs end at a time.
    settled: AtomicU64,
    lists: [AtomicBool; 5],
}

impl Unsynced {
    fn bytes(&self) -> u64 {
        let settled = self.settled.load(Ordering::SeqCst);
        self.appended.load(Ordering::SeqCst).saturating_sub(settled)
    }
}

impl Partition {
    /// Waits for permission to leave more unsynced.
    #[inline]
    pub(super) fn admit(&self) -> Result<()> {
        match &self.0.flusher {
            Some(flusher) => flusher.admit(),
            None => Ok(()),
        }
    }

    /// Does what the topic's flush policy asks for behind an append.
    #[inline]
    pub(super) fn after_append(&self, log: &Log, appended: &Appended, bytes: usize) -> Result<()> {
        // A repeat added nothing, but is answered with the durability that the first answer has, which may be on its way.
        if !appended.duplicate {
            self.count(log, bytes as u64);
            if log.has_unsealed() {
                self.after_roll(log)?;
            }
        }
        if log.is_checkpoint_behind() {
            self.after_sync(log)?;
        }
        if log.flushes() { self.flush_after(log, appended) } else { Ok(()) }
    }

    /// Has the recovery point on disk follow what was synced: in the background, or, for a partition on its own, by
    /// whoever comes once it is due.
    pub(super) fn after_sync(&self, log: &Log) -> Result<()> {
        match &self.0.flusher {
            Some(flusher) if log.is_checkpoint_behind() => flusher.checkpoint_later(self),
            None if log.is_checkpoint_behind() => log.checkpoint_beside()?,
            _ => {}
        }
        Ok(())
    }

    /// Writes the recovery point down if that is due. Answers when it will be.
    pub(crate) fn checkpoint_if_due(&self) -> Result<Option<Duration>> {
        self.own_log()?.checkpoint_if_due()
    }

    /// Does what the flush policy asks for, if it asks for something.
    fn flush_after(&self, log: &Log, appended: &Appended) -> Result<()> {
        let end = appended.offsets.end().next();
        let policy = log.flush_policy();
        let behind = end.since(log.end(ReadUpTo::Durable)).unwrap_or(0);
        if policy.is_every_append() || policy.records.is_some_and(|records| behind >= records) {
            self.wait_durable(end)?;
        } else if let (Some(interval), Some(flusher)) = (policy.interval, &self.0.flusher) {
            flusher.sync_after(self, interval);
        }
        Ok(())
    }

    #[inline]
    fn count(&self, log: &Log, bytes: u64) {
        if let Some(flusher) = &self.0.flusher {
            flusher.add(bytes);
        }
        let appended = self.0.unsynced.appended.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if let Some(flusher) = &self.0.flusher {
            flusher.note_dirty(self);
        }
        if !log.takes_writes() {
            // Closed or failed since: nobody will sync it.
            self.settle(appended);
        }
    }

    /// A segment was sealed: the store syncs it in the background; a partition on its own does it at once.
    pub(super) fn after_roll(&self, log: &Log) -> Result<()> {
        match &self.0.flusher {
            Some(flusher) => flusher.sync_soon(self),
            None if self.0.host_syncs => {}
            None => log.wait_durable(log.active_base())?,
        }
        Ok(())
    }

    /// Has room made ready for the next appends, if they are synced too. A partition on its own has no thread for that.
    pub(super) fn look_ahead(&self) {
        if let Some(flusher) = self.0.flusher.as_ref().filter(|_| self.log().wants_zeros()) {
            flusher.zero_soon(self);
        }
    }

    /// Zero-fills room ahead of the writer, on the calling thread.
    pub(crate) fn zero_ahead(&self) -> Result<()> {
        self.own_log()?.zero_ahead()
    }

    /// Runs what makes the log durable as far as it was written when this is called, and counts what came of it.
    pub(super) fn settling<T>(&self, sync: impl FnOnce(&Log) -> Result<T>) -> Result<T> {
        let log = self.log();
        let appended = self.0.unsynced.appended.load(Ordering::SeqCst);
        // Loaded second, so that all bytes counted lie below it.
        let written = log.end(ReadUpTo::Written);
        let answer = sync(log);
        if log.end(ReadUpTo::Durable) >= written || !log.takes_writes() {
            self.settle(appended);
        }
        let answer = answer?;
        self.after_sync(log)?;
        Ok(answer)
    }

    /// The first `appended` bytes are no longer unsynced, or never will be synced.
    fn settle(&self, appended: u64) {
        let before = self.0.unsynced.settled.fetch_max(appended, Ordering::SeqCst);
        let settled = appended.saturating_sub(before);
        if let Some(flusher) = self.0.flusher.as_ref().filter(|_| settled > 0) {
            flusher.remove(settled);
        }
    }

    /// All that was appended is no longer unsynced: the log is closed.
    pub(super) fn settle_all(&self) {
        self.settle(self.0.unsynced.appended.load(Ordering::SeqCst));
    }

    /// Puts another configuration in force, for the bytes too that wait to be synced.
    pub(crate) fn set_config(&self, config: LogConfig) {
        let interval = config.flush_policy().interval;
        self.log().set_config(config);
        if let (Some(interval), Some(flusher), 1..) = (interval, &self.0.flusher, self.unsynced_bytes()) {
            self.leave(List::Due);
            flusher.sync_after(self, interval);
        }
    }

    /// Whether the partition was not on this list, and now is.
    pub(crate) fn enter(&self, list: List) -> bool {
        let flag = &self.0.unsynced.lists[list as usize];
        !flag.load(Ordering::SeqCst) && !flag.swap(true, Ordering::SeqCst)
    }

    /// The partition is taken off this list.
    pub(crate) fn leave(&self, list: List) {
        self.0.unsynced.lists[list as usize].store(false, Ordering::SeqCst);
    }

    /// Bytes appended since the last sync.
    #[must_use]
    pub fn unsynced_bytes(&self) -> u64 {
        self.0.unsynced.bytes()
    }
}
