//! Bytes of all topics that are written and not yet synced: bounded, so that dirty memory is.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::io::generation;
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, Ordering};

/// Counts what is unsynced, and makes appends wait at the limit.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// Only what was added is removed, and never earlier: it cannot fall below zero.
    bytes: AtomicU64,
    limit: u64,
    wait: Duration,
    /// Nobody syncs any more, so nobody waits.
    stopped: AtomicBool,
    lock: Mutex<()>,
    sunk: Condvar,
    /// Which process it belongs to, told by forks.
    made: u64,
}

impl Unsynced {
    pub(super) fn new(limit: u64, wait: Duration) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            limit: limit.max(1),
            wait,
            stopped: AtomicBool::new(false),
            lock: Mutex::new(()),
            sunk: Condvar::new(),
            made: generation(),
        }
    }

    /// Waits until the limit is not reached.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if that takes too long: nothing was appended. [`ErrorKind::Closed`] in a forked child.
    pub(super) fn admit(&self) -> Result<()> {
        let full = || self.bytes() >= self.limit && !self.stopped.load(Ordering::SeqCst);
        if !full() {
            return Ok(());
        }
        if generation() != self.made {
            let message = "a forked child's copy of a store takes no appends".to_owned();
            return Err(Error::new(ErrorKind::Closed, message));
        }
        let mut guard = self.lock.lock();
        let timed_out = self.sunk.wait_while_for(&mut guard, |()| full(), self.wait).timed_out();
        if timed_out && full() {
            let message = format!("{} bytes wait to be synced, which is the limit", self.limit);
            return Err(Error::new(ErrorKind::Timeout, message));
        }
        Ok(())
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(super) fn remove(&self, bytes: u64) {
        if self.bytes.fetch_sub(bytes, Ordering::SeqCst) >= self.limit {
            self.wake();
        }
    }

    /// Lets everybody pass, now and later: what comes of their appends is for the closed logs to say.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        // Under the lock, so that whoever has just found the limit reached is waiting by now.
        let _guard = self.lock.lock();
        self.sunk.notify_all();
    }

    /// Whether half of the limit is reached: time to sync.
    pub(super) fn is_much(&self) -> bool {
        self.bytes() >= self.limit.div_ceil(2)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_appends_wait_and_then_time_out() {
        let unsynced = Unsynced::new(100, Duration::from_millis(1));
        unsynced.add(49);
        assert!(!unsynced.is_much());
        unsynced.add(51);
        assert!(unsynced.is_much(), "half is reached");
        assert_eq!(unsynced.admit().unwrap_err().kind(), ErrorKind::Timeout);
        unsynced.remove(1);
        unsynced.admit().unwrap();
        assert_eq!(unsynced.bytes(), 99);
    }

    #[test]
    fn a_waiting_append_goes_on_once_something_is_synced() {
        let unsynced = Unsynced::new(100, Duration::from_secs(60));
        unsynced.add(100);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| unsynced.admit());
            unsynced.remove(60);
            waiting.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_stop_lets_those_who_wait_pass() {
        let unsynced = Unsynced::new(100, Duration::from_secs(60));
        unsynced.add(100);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| unsynced.admit());
            unsynced.stop();
            waiting.join().unwrap().unwrap();
        });
    }
}
