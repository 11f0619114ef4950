//! The same work for each of many partitions, several at a time: nearly all of it waits for the disk, and syncs that are
//! asked for together are made together.

use std::panic;

use crate::sync::thread::{self, Builder};
use crate::sync::{AtomicUsize, Ordering};

/// How many threads work at most, the calling one included.
const THREADS: usize = 16;
/// For fewer items than this a thread, one more is not started.
const ITEMS: usize = 16;
/// How many descriptors a thread may need.
const DESCRIPTORS: usize = 8;

/// What `work` answers for each of `items`, in their order. `descriptors` is how many may be open, so that the work does
/// not lack one only because much of it is done at a time.
pub(super) fn each<T: Sync, R: Send>(items: &[T], descriptors: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let threads = THREADS.min(items.len() / ITEMS).min(descriptors / DESCRIPTORS);
    let mut done = thread::scope(|scope| {
        // One that cannot be started leaves its part to the others.
        let start = |_| Builder::new().name("riverbed-work".to_owned()).spawn_scoped(scope, take).ok();
        let others: Vec<_> = (1..threads).filter_map(start).collect();
        let mut done = take();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)));
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, Condvar, Mutex};

    #[test]
    fn answers_stand_in_the_order_of_the_items() {
        for len in [0, 1, ITEMS * 2 - 1, 1000] {
            let items: Vec<usize> = (0..len).collect();
            let doubled: Vec<usize> = items.iter().map(|item| item * 2).collect();
            assert_eq!(each(&items, 100, |item| item * 2), doubled);
        }
    }

    #[test]
    fn many_items_are_worked_on_together_and_few_by_the_caller_alone() {
        let (count, changed) = (Arc::new(Mutex::new(0)), Condvar::new());
        each(&[(); ITEMS * 2], DESCRIPTORS * 2, |()| {
            // Returns only once two are here at a time.
            *count.lock() += 1;
            changed.notify_all();
            changed.wait_while(&mut count.lock(), |here| *here < 2);
        });
        let caller = thread::current().id();
        let alone = |items: &[()], descriptors| {
            each(items, descriptors, |()| thread::current().id()).into_iter().all(|id| id == caller)
        };
        assert!(alone(&[(); ITEMS * 2 - 1], 1000));
        assert!(alone(&[(); 1000], DESCRIPTORS * 2 - 1));
    }
}
