//! The care for partitions in the background: a worker for each kind of it, which is woken rather than sleeps, and takes
//! one partition at a time.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::partition::{Partition, WeakPartition};
use crate::store::inner::Inner;
use crate::store::worker::{ItsThread, Worker};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering, Weak};

/// When care begins after a store was opened: Kafka's `log.initial.task.delay.ms`.
const FIRST_AFTER: Duration = Duration::from_secs(30);

/// The shortest interval: a worker is not to spin.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// How often at most somebody who asks for it brings all partitions' turns forward: asking is not to become spinning.
const HURRY_MIN: Duration = Duration::from_secs(1);

/// What has become of a partition's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing is left to do.
    Done,
    /// There is more, after the others have had their turns.
    Again,
}

/// One kind of care.
pub(super) struct Care {
    /// Of the worker, and its thread.
    pub(super) name: &'static str,
    /// Who needs it now, in which order.
    pub(super) choose: fn(&Chore, Vec<Partition>) -> Vec<Partition>,
    /// What is done for one partition: a bounded piece of the work.
    pub(super) tend: fn(&Inner, &Partition) -> Result<Turn>,
}

/// What a background worker has done since the store was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WorkerStats {
    /// How often it went through the partitions: through all at its interval, through some when it was woken.
    pub passes: u64,
    /// How often a partition's turn failed. The others had theirs all the same, and this one has another in the next
    /// pass.
    pub failures: u64,
    /// The first of these failures.
    pub first_error: Option<Error>,
    /// The last of these failures.
    pub last_error: Option<Error>,
    /// How long it was at work, by the store's clock.
    pub busy: Duration,
}

/// One kind of care for all partitions: when it is due, who asks for it, and what came of it.
pub(super) struct Chore {
    care: Care,
    clock: Arc<dyn Clock>,
    interval: Duration,
    state: Mutex<State>,
    /// There is something to do.
    changed: Condvar,
    /// The worker has done what it took.
    idle: Condvar,
    stopped: AtomicBool,
    thread: ItsThread,
}

#[derive(Default)]
struct State {
    /// Whether a worker does it: without, nobody is asked for anything.
    running: bool,
    /// When all partitions have their turn, by the monotonic clock.
    due: Duration,
    /// When they last had it.
    began: Option<Duration>,
    /// Who asked to have a turn before.
    asked: Vec<WeakPartition>,
    /// Passes under way.
    busy: usize,
    stats: WorkerStats,
}

/// Whose turn it is.
enum Whose {
    All,
    Some(Vec<WeakPartition>),
}

impl Chore {
    /// Care that every partition needs once an interval.
    pub(super) fn new(care: Care, clock: Arc<dyn Clock>, interval: Duration) -> Arc<Self> {
        let interval = interval.max(INTERVAL_MIN);
        let due = clock.monotonic().saturating_add(interval.min(FIRST_AFTER));
        Arc::new(Self {
            care,
            clock,
            interval,
            state: Mutex::new(State { due, ..State::default() }),
            changed: Condvar::new(),
            idle: Condvar::new(),
            stopped: AtomicBool::new(false),
            thread: ItsThread::default(),
        })
    }

    /// Starts the worker.
    ///
    /// # Errors
    /// What starting a thread can answer.
    pub(super) fn start(self: &Arc<Self>, store: Weak<Inner>) -> Result<Worker> {
        self.state.lock().running = true;
        let chore = Arc::clone(self);
        Worker::start(self.care.name, move || chore.run(&store)).inspect_err(|_| self.stop())
    }

    fn run(&self, store: &Weak<Inner>) {
        self.thread.is_this();
        while let Some(whose) = self.next() {
            let _busy = Busy(self);
            let Some(store) = store.upgrade() else { return };
            self.pass(&store, whose);
        }
    }

    /// Tells the worker to return, after the piece of work under way at most.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // Under the lock, so that the worker is either waiting by now or yet to look.
        self.state.lock().running = false;
        self.changed.notify_all();
    }

    /// Whether the worker is to return.
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether this is the worker's own thread.
    pub(super) fn is_own_thread(&self) -> bool {
        self.thread.is_current()
    }

    /// Gives a partition a turn as soon as possible, if there is a worker.
    pub(super) fn ask(&self, partition: &Partition) {
        let mut state = self.state.lock();
        if state.running {
            state.asked.push(partition.downgrade());
            self.changed.notify_all();
        }
    }

    /// Gives all partitions a turn as soon as possible, if there is a worker: at most once a second.
    pub(super) fn hurry(&self) {
        let mut state = self.state.lock();
        let soonest = state.began.map_or(Duration::ZERO, |began| began.saturating_add(HURRY_MIN));
        if state.running && soonest < state.due {
            state.due = soonest;
            self.changed.notify_all();
        }
    }

    /// Does what is due by the clock, on the calling thread. What the worker has begun is done too when this returns.
    pub(super) fn run_due(&self, store: &Inner) {
        if self.is_own_thread() {
            return;
        }
        let whose = {
            let mut state = self.state.lock();
            if state.running { state.take(self.clock.monotonic(), self.interval) } else { None }
        };
        if let Some(whose) = whose {
            let _busy = Busy(self);
            self.pass(store, whose);
        }
        let mut state = self.state.lock();
        while state.busy > 0 && state.running {
            self.idle.wait(&mut state);
        }
    }

    /// What came of it so far.
    pub(super) fn stats(&self) -> WorkerStats {
        self.state.lock().stats.clone()
    }

    fn next(&self) -> Option<Whose> {
        let mut state = self.state.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            let now = self.clock.monotonic();
            if let Some(whose) = state.take(now, self.interval) {
                return Some(whose);
            }
            let left = state.due.saturating_sub(now);
            self.changed.wait_for(&mut state, left);
        }
    }

    /// Each partition in turn, and those with much to do again behind the others.
    fn pass(&self, store: &Inner, whose: Whose) {
        let mut began = self.clock.monotonic();
        let partitions = match whose {
            Whose::All => store.partitions(),
            Whose::Some(asked) => asked.iter().filter_map(WeakPartition::upgrade).collect(),
        };
        let mut queue = VecDeque::from((self.care.choose)(self, partitions));
        while let Some(partition) = queue.pop_front() {
            if self.is_stopped() {
                break;
            }
            match catch_unwind(AssertUnwindSafe(|| (self.care.tend)(store, &partition))) {
                Ok(Ok(Turn::Again)) => queue.push_back(partition),
                Ok(Ok(Turn::Done)) => {}
                Ok(Err(error)) => self.note(error),
                // What panicked was the host's code, or a fault of ours: this partition's turn is over, no more.
                Err(_) => {
                    let message = format!("{} of {} panicked", self.care.name, partition.id());
                    self.note(Error::new(ErrorKind::Unknown, message));
                }
            }
            began = self.count_busy(began);
        }
        self.count_busy(began);
        self.state.lock().stats.passes += 1;
    }

    /// Counts the time since `began`, and answers the time.
    fn count_busy(&self, began: Duration) -> Duration {
        let now = self.clock.monotonic();
        let stats = &mut self.state.lock().stats;
        stats.busy = stats.busy.saturating_add(now.saturating_sub(began));
        now
    }

    /// Keeps a failure.
    pub(super) fn note(&self, error: Error) {
        // The topic was deleted, or the partition closed, since the pass began.
        if matches!(error.kind(), ErrorKind::UnknownTopic | ErrorKind::Closed) {
            return;
        }
        let stats = &mut self.state.lock().stats;
        stats.failures += 1;
        stats.first_error.get_or_insert_with(|| error.clone());
        stats.last_error = Some(error);
    }
}

impl State {
    /// Whose turn it is now, if anybody's.
    fn take(&mut self, now: Duration, interval: Duration) -> Option<Whose> {
        let whose = if self.due <= now {
            self.due = now.saturating_add(interval);
            self.began = Some(now);
            self.asked.clear();
            Whose::All
        } else if self.asked.is_empty() {
            return None;
        } else {
            Whose::Some(std::mem::take(&mut self.asked))
        };
        self.busy += 1;
        Some(whose)
    }
}

/// A pass is under way. Ends with it, also by a panic.
struct Busy<'a>(&'a Chore);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state.lock().busy -= 1;
        self.0.idle.notify_all();
    }
}
