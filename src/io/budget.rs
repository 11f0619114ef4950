//! Descriptors and maps in use, held below the kernel's limits: at the limit somebody who can spare one gives it back.
#![expect(unsafe_code, reason = "asks for a limit")]

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use super::fork;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Mutex, OnceLock, Weak};

/// How many maps a process may have by default; the kernel's own limit is 65,530 for all of them.
const MAPS: usize = 30_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Descriptor,
    Map,
}

/// Has descriptors and maps, and gives them back when asked.
pub(crate) trait Holder: Send + Sync {
    /// Gives `resource` back if nobody is using it at this moment, and, for [`Ask::IfIdle`], nobody did since the last
    /// time. Never waits for a lock: whoever asks may hold others.
    fn give_back(&self, resource: Resource, ask: Ask) -> Outcome;
}

/// How urgently something is asked back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    IfIdle,
    Now,
}

/// What became of the request to give something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    GivenBack,
    InUse,
}

/// How many descriptors and maps may be open at once, and how many are.
///
/// A file that nobody used lately loses its descriptor, after a sync where it has unsynced bytes, or its map; both come
/// back when it is used again. Only where all are in use does a call fail.
pub struct Budget {
    descriptors: Arc<Pool>,
    maps: Arc<Pool>,
}

/// What is in use of a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStats {
    /// Descriptors in use.
    pub descriptors: usize,
    /// Descriptors allowed.
    pub descriptors_max: usize,
    /// Maps in use, those that only a reader's slice keeps alive included.
    pub maps: usize,
    /// Maps allowed.
    pub maps_max: usize,
}

impl Budget {
    /// A budget of its own.
    #[must_use]
    pub fn new(descriptors: usize, maps: usize) -> Arc<Self> {
        Arc::new(Self {
            descriptors: Pool::new(Resource::Descriptor, descriptors),
            maps: Pool::new(Resource::Map, maps),
        })
    }

    /// The budget of the process: three quarters of the descriptors it may open, and 30,000 maps.
    #[must_use]
    pub fn of_process() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Budget>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Self::new(descriptor_limit() / 4 * 3, MAPS)))
    }

    /// What is in use now.
    #[must_use]
    pub fn stats(&self) -> BudgetStats {
        BudgetStats {
            descriptors: self.descriptors.state.lock().used,
            descriptors_max: self.descriptors.limit,
            maps: self.maps.state.lock().used,
            maps_max: self.maps.limit,
        }
    }

    /// One more `resource`, which `holder` can be asked to give back.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyFiles`] or [`ErrorKind::MapLimit`] if all are in use.
    pub(crate) fn acquire(&self, resource: Resource, holder: Weak<dyn Holder>) -> Result<Slot> {
        self.pool(resource).acquire(Some(holder))
    }

    /// A descriptor for the duration of one call.
    pub(crate) fn acquire_briefly(&self) -> Result<Slot> {
        self.descriptors.acquire(None)
    }

    fn pool(&self, resource: Resource) -> &Arc<Pool> {
        match resource {
            Resource::Descriptor => &self.descriptors,
            Resource::Map => &self.maps,
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

struct Pool {
    resource: Resource,
    limit: usize,
    state: Mutex<State>,
}

struct State {
    used: usize,
    next: u64,
    /// Whom to ask next: the first one behind this.
    hand: u64,
    holders: BTreeMap<u64, Weak<dyn Holder>>,
}

impl Pool {
    fn new(resource: Resource, limit: usize) -> Arc<Self> {
        let state = State { used: 0, next: 1, hand: 0, holders: BTreeMap::new() };
        Arc::new(Self { resource, limit, state: Mutex::new(state) })
    }

    fn acquire(self: &Arc<Self>, holder: Option<Weak<dyn Holder>>) -> Result<Slot> {
        // Everybody is asked twice, the second time without a way out but that it is in use at this very moment.
        let mut patience = None;
        loop {
            let (next, ask) = {
                let mut state = self.state.lock();
                if state.used < self.limit {
                    return Ok(self.take(&mut state, holder));
                }
                let round = state.holders.len();
                let left = patience.get_or_insert(2 * round);
                if *left == 0 {
                    return Err(self.exhausted());
                }
                *left -= 1;
                (state.next_holder(), if *left < round { Ask::Now } else { Ask::IfIdle })
            };
            // Asked without our lock, since giving back takes it.
            if let Some(holder) = next.and_then(|weak| weak.upgrade()) {
                holder.give_back(self.resource, ask);
            }
        }
    }

    fn take(self: &Arc<Self>, state: &mut State, holder: Option<Weak<dyn Holder>>) -> Slot {
        let id = state.next;
        state.next += 1;
        state.used += 1;
        if let Some(holder) = holder {
            state.holders.insert(id, holder);
        }
        Slot { pool: Arc::clone(self), id, made: fork::generation() }
    }

    fn exhausted(&self) -> Error {
        let (kind, what) = match self.resource {
            Resource::Descriptor => (ErrorKind::TooManyFiles, "descriptors"),
            Resource::Map => (ErrorKind::MapLimit, "memory maps"),
        };
        Error::new(kind, format!("all {} {what} are in use", self.limit))
    }
}

impl State {
    fn next_holder(&mut self) -> Option<Weak<dyn Holder>> {
        let behind = self.holders.range((Bound::Excluded(self.hand), Bound::Unbounded)).next();
        let (id, holder) = behind.or_else(|| self.holders.iter().next())?;
        self.hand = *id;
        Some(Weak::clone(holder))
    }
}

/// One of what is counted; dropped together with it.
pub(crate) struct Slot {
    pool: Arc<Pool>,
    id: u64,
    /// Which process it belongs to, told by forks.
    made: u64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if fork::generation() != self.made {
            // A child's copy: nobody in it releases the lock if another thread held it.
            return;
        }
        let mut state = self.pool.state.lock();
        state.used -= 1;
        let holder = state.holders.remove(&self.id);
        drop(state);
        drop(holder);
    }
}

/// The number of descriptors that the process may open.
fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer, which the call fills or leaves.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if answer == 0 { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { 1024 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::child;

    /// Gives its slot back if it was never used, or it is urgent.
    #[derive(Default)]
    struct Idle(Mutex<(bool, Option<Slot>)>);

    impl Holder for Idle {
        fn give_back(&self, _resource: Resource, ask: Ask) -> Outcome {
            let mut inner = self.0.lock();
            if inner.0 && ask == Ask::IfIdle {
                return Outcome::InUse;
            }
            inner.1 = None;
            Outcome::GivenBack
        }
    }

    fn holder(budget: &Budget, used: bool) -> Arc<Idle> {
        let idle = Arc::new(Idle::default());
        let weak: Weak<Idle> = Arc::downgrade(&idle);
        let slot = budget.acquire(Resource::Map, weak).unwrap();
        *idle.0.lock() = (used, Some(slot));
        idle
    }

    #[test]
    fn who_was_not_used_lately_gives_back_first() {
        let budget = Budget::new(1, 3);
        let holders = [holder(&budget, true), holder(&budget, false), holder(&budget, true)];
        let _fourth = holder(&budget, false);
        assert_eq!(holders.each_ref().map(|h| h.0.lock().1.is_some()), [true, false, true]);
        assert_eq!(budget.stats().maps, 3);
    }

    #[test]
    fn those_in_use_give_back_in_the_second_round() {
        let budget = Budget::new(1, 2);
        let holders = [holder(&budget, true), holder(&budget, true)];
        let _third = holder(&budget, false);
        assert_eq!(holders.each_ref().map(|h| h.0.lock().1.is_some()), [false, true]);
    }

    #[test]
    fn a_full_budget_is_a_typed_error_and_room_comes_back() {
        let budget = Budget::new(2, 1);
        let slots = [budget.acquire_briefly().unwrap(), budget.acquire_briefly().unwrap()];
        assert_eq!(budget.acquire_briefly().err().map(|e| e.kind()), Some(ErrorKind::TooManyFiles));
        drop(slots);
        assert!(budget.acquire_briefly().is_ok());
        assert_eq!(budget.stats().descriptors, 0);
    }

    /// A handle that was dropped in a forked child waited for a lock that another thread of the parent had held.
    #[test]
    fn a_slot_that_a_forked_child_drops_asks_for_no_lock() {
        if child::succeeds("io::budget::tests::a_slot_that_a_forked_child_drops_asks_for_no_lock") {
            return;
        }
        let budget = Budget::new(2, 1);
        let mut slot = Some(budget.acquire_briefly().unwrap());
        let guard = budget.descriptors.state.lock();
        let status = child::forked(|| {
            slot = None;
            slot.is_none()
        });
        assert_eq!(status, 0);
        drop(guard);
        assert_eq!(budget.stats().descriptors, 1);
    }

    #[test]
    fn nothing_is_kept_of_holders_that_are_gone() {
        let budget = Budget::new(1, 10);
        for _ in 0..1000 {
            drop(holder(&budget, true));
        }
        assert_eq!(budget.stats().maps, 0);
        assert!(budget.maps.state.lock().holders.is_empty());
    }
}
