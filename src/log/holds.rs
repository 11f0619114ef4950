//! What may not go yet: offsets that somebody still needs, whatever retention says.

use std::collections::BTreeMap;

use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::types::Offset;

/// The holds on a log.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    list: Mutex<List>,
    /// Retention found something that only a hold keeps.
    keeping: AtomicBool,
}

#[derive(Debug, Default)]
struct List {
    offsets: BTreeMap<u64, Offset>,
    count: u64,
}

impl Holds {
    /// Holds back all from `offset` on. Answers the key of the hold.
    pub(crate) fn add(&self, offset: Offset) -> u64 {
        let mut list = self.list.lock();
        list.count += 1;
        let key = list.count;
        list.offsets.insert(key, offset);
        key
    }

    /// Moves a hold forward. Answers whether retention waits for somebody to do so.
    pub(crate) fn advance(&self, key: u64, to: Offset) -> bool {
        let mut list = self.list.lock();
        match list.offsets.get_mut(&key) {
            Some(offset) if *offset < to => *offset = to,
            _ => return false,
        }
        self.keeping.swap(false, Ordering::SeqCst)
    }

    /// Ends a hold. Answers whether retention waits for somebody to do so.
    pub(crate) fn remove(&self, key: u64) -> bool {
        self.list.lock().offsets.remove(&key);
        self.keeping.swap(false, Ordering::SeqCst)
    }

    /// Where a hold is.
    pub(crate) fn offset(&self, key: u64) -> Option<Offset> {
        self.list.lock().offsets.get(&key).copied()
    }

    /// The lowest offset that is held back, if that is below `barrier`; notes then that holds keep something.
    pub(crate) fn lower(&self, barrier: Offset) -> Offset {
        let list = self.list.lock();
        match list.offsets.values().min() {
            Some(held) if *held < barrier => {
                // Under the lock, so that who moves a hold from now on is sure to see it.
                self.keeping.store(true, Ordering::SeqCst);
                *held
            }
            _ => barrier,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_hold_counts_and_who_lets_go_is_told_whether_it_mattered() {
        let at = Offset::new;
        let holds = Holds::default();
        assert_eq!(holds.lower(at(50)), at(50));
        let (low, high) = (holds.add(at(10)), holds.add(at(70)));
        assert!(!holds.advance(low, at(20)), "nobody waits yet");
        assert_eq!(holds.lower(at(50)), at(20));
        assert!(!holds.advance(low, at(15)), "never back");
        assert_eq!(holds.offset(low), Some(at(20)));
        assert!(holds.advance(low, at(30)));
        assert!(!holds.remove(low), "nobody has looked since");
        assert_eq!(holds.lower(at(50)), at(50));
        assert!(!holds.remove(high), "it kept nothing");
    }
}
