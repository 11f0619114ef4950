//! The four marks of a log: how far each kind of reader may see.

use crate::sync::{AtomicU64, Ordering};
use crate::types::{Isolation, Offset, ReadUpTo};

/// The marks at one moment. All are exclusive ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marks {
    /// Below it no transaction is open, and none aborted that a reader could not know of.
    pub last_stable: Offset,
    /// Below it everything is committed.
    pub high: Offset,
    /// Below it everything survives a power cut.
    pub durable: Offset,
    /// The log end: below it everything is written.
    pub end: Offset,
}

impl Marks {
    /// All marks at one offset: a log that was opened, or emptied.
    #[cfg(test)]
    pub(crate) const fn at(offset: Offset) -> Self {
        Self { last_stable: offset, high: offset, durable: offset, end: offset }
    }

    /// Of each mark the lower one.
    pub(crate) fn lower_of(&self, other: &Self) -> Self {
        Self {
            last_stable: self.last_stable.min(other.last_stable),
            high: self.high.min(other.high),
            durable: self.durable.min(other.durable),
            end: self.end.min(other.end),
        }
    }

    /// How far a reader may see: the lower of both limits.
    pub(crate) fn limit(&self, up_to: ReadUpTo, isolation: Isolation) -> Offset {
        let limit = match up_to {
            ReadUpTo::Written => self.end,
            ReadUpTo::Durable => self.durable,
            ReadUpTo::HighWatermark => self.high,
        };
        match isolation {
            Isolation::ReadUncommitted => limit,
            Isolation::ReadCommitted => limit.min(self.last_stable),
        }
    }

    fn check(&self) {
        assert!(self.last_stable <= self.high, "the last stable offset passes the high watermark: {self:?}");
        assert!(self.high <= self.end, "the high watermark passes the log end: {self:?}");
        assert!(self.durable <= self.end, "the durable end passes the log end: {self:?}");
    }
}

/// The marks, for readers without a lock. Whoever holds the log's writer lock is the only one to store, and keeps the
/// [`Marks`] itself: it never loads from here.
///
/// `last_stable <= high <= end` and `durable <= end` hold whenever that lock is free. In between a reader may see some
/// of the new marks and some of the old ones, but each one alone is always true: what lies below it is there.
#[derive(Debug)]
pub(crate) struct Watermarks {
    last_stable: AtomicU64,
    high: AtomicU64,
    durable: AtomicU64,
    end: AtomicU64,
}

impl Watermarks {
    /// The marks of a log that was opened.
    pub(crate) fn new(marks: Marks) -> Self {
        marks.check();
        Self {
            last_stable: AtomicU64::new(marks.last_stable.get()),
            high: AtomicU64::new(marks.high.get()),
            durable: AtomicU64::new(marks.durable.get()),
            end: AtomicU64::new(marks.end.get()),
        }
    }

    /// Goes from the marks `from`, which were stored last, to `to`, up or down. Stores with `Release` what differs: on
    /// the way up first those that others may not pass, on the way down first those that may not pass others.
    ///
    /// # Panics
    /// If the marks contradict each other: no reader may ever see that.
    #[inline]
    pub(crate) fn store(&self, from: &Marks, to: &Marks) {
        to.check();
        let pairs = [
            (&self.end, from.end, to.end),
            (&self.durable, from.durable, to.durable),
            (&self.high, from.high, to.high),
            (&self.last_stable, from.last_stable, to.last_stable),
        ];
        for (mark, _, to) in pairs.iter().filter(|(_, from, to)| to > from) {
            mark.store(to.get(), Ordering::Release);
        }
        for (mark, _, to) in pairs.iter().rev().filter(|(_, from, to)| to < from) {
            mark.store(to.get(), Ordering::Release);
        }
    }

    /// The last stable offset.
    pub(crate) fn last_stable(&self) -> Offset {
        load(&self.last_stable)
    }

    /// The high watermark.
    pub(crate) fn high(&self) -> Offset {
        load(&self.high)
    }

    /// The durable end.
    pub(crate) fn durable(&self) -> Offset {
        load(&self.durable)
    }

    /// The log end.
    pub(crate) fn end(&self) -> Offset {
        load(&self.end)
    }

    /// All marks, from the lowest up. Where they are just moving, some are the old ones; none passes another.
    pub(crate) fn load(&self) -> Marks {
        let (last_stable, high, durable, end) = (self.last_stable(), self.high(), self.durable(), self.end());
        let high = high.min(end);
        Marks { last_stable: last_stable.min(high), high, durable: durable.min(end), end }
    }

    /// How far a reader may see now.
    pub(crate) fn limit(&self, up_to: ReadUpTo, isolation: Isolation) -> Offset {
        self.load().limit(up_to, isolation)
    }
}

fn load(mark: &AtomicU64) -> Offset {
    Offset::new(mark.load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    fn marks([last_stable, high, durable, end]: [u64; 4]) -> Marks {
        let [last_stable, high, durable, end] = [last_stable, high, durable, end].map(Offset::new);
        Marks { last_stable, high, durable, end }
    }

    #[test]
    fn readers_see_up_to_the_lower_of_two_limits() {
        let seen = marks([10, 30, 20, 40]);
        let watermarks = Watermarks::new(seen);
        for (up_to, uncommitted, committed) in
            [(ReadUpTo::Written, 40, 10), (ReadUpTo::Durable, 20, 10), (ReadUpTo::HighWatermark, 30, 10)]
        {
            for (isolation, expected) in
                [(Isolation::ReadUncommitted, uncommitted), (Isolation::ReadCommitted, committed)]
            {
                assert_eq!(seen.limit(up_to, isolation).get(), expected);
                assert_eq!(watermarks.limit(up_to, isolation).get(), expected);
            }
        }
        assert_eq!(marks([30, 30, 20, 40]).limit(ReadUpTo::Durable, Isolation::ReadCommitted).get(), 20);
    }

    #[test]
    fn marks_move_up_and_down() {
        let mut last = Marks::at(Offset::new(5));
        let watermarks = Watermarks::new(last);
        for next in [[5, 5, 5, 9], [5, 9, 7, 9], [9, 9, 9, 9], [2, 3, 3, 4], [0, 0, 0, 0]].map(marks) {
            watermarks.store(&last, &next);
            assert_eq!(watermarks.load(), next);
            last = next;
        }
        let each = [watermarks.last_stable(), watermarks.high(), watermarks.durable(), watermarks.end()];
        assert_eq!(each, [Offset::ZERO; 4]);
    }

    #[test]
    fn marks_that_contradict_each_other_are_never_stored() {
        for bad in [[2, 1, 1, 3], [1, 4, 1, 3], [1, 1, 4, 3]] {
            let stored = std::panic::catch_unwind(|| Watermarks::new(marks(bad)));
            assert!(stored.is_err(), "{bad:?}");
            let watermarks = Arc::new(Watermarks::new(Marks::default()));
            let shared = watermarks.clone();
            let stored = std::thread::spawn(move || shared.store(&Marks::default(), &marks(bad))).join();
            assert!(stored.is_err(), "{bad:?}");
            assert_eq!(watermarks.load(), Marks::default(), "{bad:?}");
        }
    }

    #[test]
    fn a_reader_beside_a_writer_that_goes_up_never_sees_a_mark_pass_another() {
        let watermarks = Arc::new(Watermarks::new(Marks::default()));
        let shared = watermarks.clone();
        let reader = std::thread::spawn(move || {
            let mut end = Offset::ZERO;
            while end < Offset::new(40_000) {
                let (last_stable, high) = (shared.last_stable(), shared.high());
                let durable = shared.durable();
                end = shared.end();
                Marks { last_stable, high, durable, end }.check();
            }
        });
        let mut last = Marks::default();
        for step in 1..=40_000 {
            let next = marks([step / 4, step / 2, step / 3, step]);
            watermarks.store(&last, &next);
            last = next;
        }
        reader.join().unwrap();
    }
}
