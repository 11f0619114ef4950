//! Who waits for a mark to move. Telling them costs a load while nobody does.

use crate::clock::Deadline;
use crate::sync::{
    AtomicUsize, Event, EventListener, Listener, MutexGuard, Ordering, UNLOCK_FENCES, compiler_fence, fence,
};

/// Tells that marks moved, or that the log is closed or has failed.
///
/// A listener counts himself and then looks at the mark; whoever moves the mark then looks at the count. A fence of both
/// in between sees to it that at least one finds what the other did.
#[derive(Debug, Default)]
pub(super) struct Moved {
    event: Event,
    /// How many listen, or are about to.
    listening: AtomicUsize,
}

impl Moved {
    /// Listens from now on: to be called before looking at what is waited for.
    pub(super) fn listen(&self) -> Listening<'_> {
        self.listening.fetch_add(1, Ordering::SeqCst);
        let listener = self.event.listen();
        fence(Ordering::SeqCst);
        Listening { moved: self, listener: Some(listener) }
    }

    /// Tells everybody who listens.
    pub(super) fn tell(&self) {
        fence(Ordering::SeqCst);
        self.tell_behind_fence();
    }

    /// Releases a lock, under which a mark moved, and tells everybody who listens.
    #[inline]
    pub(super) fn tell_unlocking<T>(&self, guard: MutexGuard<'_, T>) {
        drop(guard);
        if UNLOCK_FENCES {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
        self.tell_behind_fence();
    }

    #[inline]
    fn tell_behind_fence(&self) {
        if self.listening.load(Ordering::Relaxed) > 0 {
            self.event.notify(usize::MAX);
        }
    }
}

/// One who listens.
#[derive(Debug)]
pub(super) struct Listening<'a> {
    moved: &'a Moved,
    listener: Option<EventListener>,
}

impl Listening<'_> {
    /// Waits until told, but not beyond `deadline`. Answers whether it was told.
    pub(super) fn wait(mut self, deadline: Option<Deadline>) -> bool {
        match (self.listener.take(), deadline) {
            (Some(listener), Some(deadline)) => listener.wait_deadline(deadline).is_some(),
            (Some(listener), None) => {
                listener.wait();
                true
            }
            (None, _) => true,
        }
    }

    /// Waits until told.
    pub(super) async fn told(mut self) {
        if let Some(listener) = self.listener.take() {
            listener.await;
        }
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.moved.listening.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicU64, Mutex, thread};

    /// Each mark is waited for as soon as the one before it was seen: a listener who is overlooked waits for ever.
    #[test]
    fn whoever_listens_is_told_however_close_it_gets() {
        let (moved, mark) = (Arc::new(Moved::default()), Arc::new(AtomicU64::new(0)));
        let (lock, seen) = (Mutex::new(()), Arc::new(AtomicU64::new(0)));
        let waiting = thread::spawn({
            let (moved, mark, seen) = (Arc::clone(&moved), Arc::clone(&mark), Arc::clone(&seen));
            move || {
                for next in 1..=20_000 {
                    while mark.load(Ordering::Acquire) < next {
                        let listening = moved.listen();
                        if mark.load(Ordering::Acquire) < next {
                            listening.wait(None);
                        }
                    }
                    seen.store(next, Ordering::Release);
                }
            }
        });
        for next in 1..=20_000 {
            let guard = lock.lock();
            mark.store(next, Ordering::Release);
            moved.tell_unlocking(guard);
            while seen.load(Ordering::Acquire) < next {
                thread::yield_now();
            }
        }
        waiting.join().unwrap();
        assert_eq!(moved.listening.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_listener_that_is_dropped_costs_nothing_any_more() {
        let moved = Moved::default();
        drop(moved.listen());
        assert_eq!(moved.listening.load(Ordering::SeqCst), 0);
        moved.tell();
        let listening = moved.listen();
        moved.tell();
        assert!(listening.wait(None));
    }
}
