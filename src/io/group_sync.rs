//! One leader syncs for all who wait; the first failure is the last.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// A mark that only syncs move, and those who wait for it.
///
/// Whoever waits while nobody syncs leads: his sync covers all that was written before it, also for those who came to
/// wait meanwhile. Those who wrote after it began wait for the next one.
pub(crate) struct GroupSync {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// All below is durable.
    synced: u64,
    /// Somebody leads.
    leading: bool,
    /// How often the mark was lowered: a sync that began before says nothing of what is above.
    lowered: u64,
    failure: Option<Error>,
}

impl GroupSync {
    /// All below `synced` is durable already.
    pub(crate) fn new(synced: u64) -> Self {
        let state = State { synced, leading: false, lowered: 0, failure: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The mark.
    pub(crate) fn synced(&self) -> u64 {
        self.state.lock().synced
    }

    /// Returns once the mark has reached `target`, which must be written, and tells where it is. `sync` makes all
    /// durable that was written before it was called, and returns where that ended. It is run for all who wait, or not
    /// at all if somebody else's run covers `target`; never twice at a time, and under no lock.
    ///
    /// # Errors
    /// What the first failed `sync` failed with, for those who waited for it; [`ErrorKind::PreviousFailure`] for all who
    /// come later. [`ErrorKind::OffsetOutOfRange`] if `target` was cut off meanwhile. An error that passes is the leader's alone: those who wait try themselves.
    pub(crate) fn wait(&self, target: u64, sync: impl Fn() -> Result<u64>) -> Result<u64> {
        let mut state = self.state.lock();
        let (mut waited, mut led) = (false, None);
        loop {
            if state.synced >= target {
                return Ok(state.synced);
            }
            if let Some(first) = &state.failure {
                return Err(if waited { first.clone() } else { previous(first) });
            }
            if led == Some(state.lowered) {
                return Err(beyond(target, state.synced));
            }
            waited = true;
            if state.leading {
                self.changed.wait(&mut state);
                continue;
            }
            led = Some(state.lowered);
            state = self.lead(state, &sync)?;
        }
    }

    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        sync: impl Fn() -> Result<u64>,
    ) -> Result<MutexGuard<'a, State>> {
        state.leading = true;
        let mut leader = Leader { group: self, lowered: state.lowered, answer: None };
        let synced = state.synced;
        drop(state);
        match sync() {
            Err(error) if error.is_passing() => {
                leader.answer = Some(Ok(synced));
                return Err(error);
            }
            answer => leader.answer = Some(answer),
        }
        drop(leader);
        Ok(self.state.lock())
    }

    /// Takes the mark back to `to`, if it is above: what lies there was cut off.
    pub(crate) fn lower(&self, to: u64) {
        let mut state = self.state.lock();
        state.synced = state.synced.min(to);
        state.lowered += 1;
    }

    /// Ends all waiting with `error`, now and later: after a failed write, or at closing. Only the first one counts.
    pub(crate) fn fail(&self, error: Error) {
        self.state.lock().failure.get_or_insert(error);
        self.changed.notify_all();
    }
}

/// Tells everybody what came of the leader's sync, also if he panicked: nobody knows then what he did.
struct Leader<'a> {
    group: &'a GroupSync,
    lowered: u64,
    answer: Option<Result<u64>>,
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        let mut state = self.group.state.lock();
        state.leading = false;
        match self.answer.take() {
            Some(Ok(_)) if state.failure.is_some() || state.lowered != self.lowered => {}
            Some(Ok(end)) => state.synced = state.synced.max(end),
            Some(Err(e)) => _ = state.failure.get_or_insert(e),
            None => {
                let error = Error::new(ErrorKind::PreviousFailure, "a thread panicked while it synced");
                state.failure.get_or_insert(error);
            }
        }
        drop(state);
        self.group.changed.notify_all();
    }
}

#[cold]
fn previous(first: &Error) -> Error {
    match first.kind() {
        ErrorKind::Closed | ErrorKind::UnknownTopic | ErrorKind::PreviousFailure => first.clone(),
        _ => Error::new(ErrorKind::PreviousFailure, format!("an earlier sync failed: {first}")),
    }
}

#[cold]
fn beyond(target: u64, synced: u64) -> Error {
    let message = format!("{target} is not written yet: all that is, up to {synced}, is durable");
    Error::new(ErrorKind::OffsetOutOfRange, message)
}

impl fmt::Debug for GroupSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupSync").field("synced", &self.synced()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};

    fn io_error() -> Error {
        Error::new(ErrorKind::Io, "could not sync")
    }

    #[test]
    fn many_waiters_share_few_syncs_and_none_returns_before_one_that_covers_it() {
        let (group, written, syncs) = (GroupSync::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (durable, syncing) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let target = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let end = group.wait(target, || {
                            assert!(!syncing.swap(true, Ordering::SeqCst), "one sync at a time");
                            let end = written.load(Ordering::SeqCst);
                            thread::yield_now();
                            durable.fetch_max(end, Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                            syncing.store(false, Ordering::SeqCst);
                            Ok(end)
                        });
                        assert!(end.unwrap() >= target);
                        assert!(durable.load(Ordering::SeqCst) >= target);
                    }
                });
            }
        });
        assert_eq!(group.synced(), 1600);
        assert!(syncs.into_inner() <= 1600);
    }

    #[test]
    fn a_follower_leads_when_the_sync_under_way_began_before_his_bytes() {
        let group = Arc::new(GroupSync::new(0));
        let (in_sync, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let first = thread::spawn({
            let (group, in_sync, go_on) = (group.clone(), in_sync.clone(), go_on.clone());
            move || {
                group.wait(1, || {
                    in_sync.store(true, Ordering::SeqCst);
                    while !go_on.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    Ok(1)
                })
            }
        });
        while !in_sync.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let second = thread::spawn({
            let group = group.clone();
            move || group.wait(2, || Ok(2))
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!second.is_finished(), "he waits for the sync under way");
        go_on.store(true, Ordering::SeqCst);
        assert!(first.join().unwrap().unwrap() >= 1);
        assert_eq!(second.join().unwrap().unwrap(), 2, "he led the next one");
    }

    #[test]
    fn the_first_failure_is_the_last() {
        let group = GroupSync::new(5);
        assert_eq!(group.wait(6, || Err(io_error())).unwrap_err().kind(), ErrorKind::Io);
        let later = group.wait(6, || panic!("never tried again")).unwrap_err();
        assert_eq!(later.kind(), ErrorKind::PreviousFailure);
        assert_eq!(group.wait(5, || panic!("not needed")).unwrap(), 5, "what was durable stays so");
        assert_eq!(group.synced(), 5);
    }

    #[test]
    fn a_panic_of_the_leader_stops_everybody() {
        let group = GroupSync::new(0);
        let panicked = catch_unwind(AssertUnwindSafe(|| group.wait(1, || panic!("in a test"))));
        assert!(panicked.is_err());
        assert_eq!(group.wait(1, || Ok(1)).unwrap_err().kind(), ErrorKind::PreviousFailure);
    }

    #[test]
    fn a_sync_that_began_before_a_cut_says_nothing_of_what_came_after() {
        let group = GroupSync::new(0);
        let runs = AtomicU64::new(0);
        let end = group.wait(3, || {
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                group.lower(2);
                return Ok(10);
            }
            assert_eq!(group.synced(), 0);
            Ok(4)
        });
        assert_eq!((end.unwrap(), runs.into_inner()), (4, 2));
        group.lower(1);
        assert_eq!(group.synced(), 1);
    }

    #[test]
    fn what_is_not_written_is_refused_and_a_close_wakes_those_who_wait() {
        let group = Arc::new(GroupSync::new(0));
        assert_eq!(group.wait(9, || Ok(3)).unwrap_err().kind(), ErrorKind::OffsetOutOfRange);
        assert_eq!(group.synced(), 3);
        let answer = group.wait(9, || {
            group.fail(Error::new(ErrorKind::Closed, "closed"));
            Ok(9)
        });
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(group.wait(10, || Ok(10)).unwrap_err().kind(), ErrorKind::Closed);
    }
}
