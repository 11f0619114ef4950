//! A list that one writer appends to and many read without a lock.

use std::fmt;

use crate::sync::{AtomicU32, AtomicUsize, OnceLock, Ordering};

/// Entries in the first chunk. Each further one has twice as many as the one before.
const FIRST: usize = 8;
/// Room for 2²⁹ entries, more than the largest index file has.
const CHUNKS: usize = 26;

type Slots<const WORDS: usize> = Box<[[AtomicU32; WORDS]]>;

/// Entries of `WORDS` words each, which never move and never change once published.
pub(super) struct Series<const WORDS: usize> {
    chunks: [OnceLock<Slots<WORDS>>; CHUNKS],
    /// How many entries readers may see. Stored with `Release` after their words, loaded with `Acquire` before them;
    /// it never goes down. The words themselves can then be stored and loaded `Relaxed`.
    published: AtomicUsize,
}

impl<const WORDS: usize> Series<WORDS> {
    /// The list without entries.
    pub(super) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], published: AtomicUsize::new(0) }
    }

    /// Appends `entry` as number `count`, which must be how many there are. For the one writer, which counts itself:
    /// it does not load what it publishes.
    pub(super) fn push(&self, count: usize, entry: [u32; WORDS]) {
        let (chunk, place) = locate(count);
        let slots = self.chunks[chunk].get_or_init(|| slots(FIRST << chunk));
        for (slot, word) in slots[place].iter().zip(entry) {
            slot.store(word, Ordering::Relaxed);
        }
        self.published.store(count + 1, Ordering::Release);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    /// Entry `place`, counted from 0.
    pub(super) fn get(&self, place: usize) -> Option<[u32; WORDS]> {
        if place >= self.len() {
            return None;
        }
        let (chunk, place) = locate(place);
        self.chunks[chunk].get().map(|slots| load(&slots[place]))
    }

    /// All entries, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = [u32; WORDS]> {
        self.parts(self.len()).flatten().map(load)
    }

    /// How many entries from the first on are `below`, which is to hold for them and for none behind.
    pub(super) fn partition_point(&self, below: impl Fn([u32; WORDS]) -> bool) -> usize {
        let mut before = 0;
        let mut found = 0;
        for part in self.parts(self.len()) {
            if !part.first().is_some_and(|slot| below(load(slot))) {
                break;
            }
            found = before + part.partition_point(|slot| below(load(slot)));
            before += part.len();
        }
        found
    }

    /// The chunks' parts that hold the first `len` entries.
    fn parts(&self, len: usize) -> impl Iterator<Item = &[[AtomicU32; WORDS]]> {
        let full = self.chunks.iter().map_while(OnceLock::get);
        full.scan(len, |left, slots| {
            let part = slots.get(..*left).unwrap_or(slots);
            *left -= part.len();
            Some(part)
        })
    }
}

impl<const WORDS: usize> fmt::Debug for Series<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Chunk and place in it of entry `place`.
fn locate(place: usize) -> (usize, usize) {
    let place = place + FIRST;
    let chunk = (place / FIRST).ilog2() as usize;
    (chunk, place - (FIRST << chunk))
}

fn slots<const WORDS: usize>(len: usize) -> Slots<WORDS> {
    std::iter::repeat_with(|| std::array::from_fn(|_| AtomicU32::new(0))).take(len).collect()
}

fn load<const WORDS: usize>(slot: &[AtomicU32; WORDS]) -> [u32; WORDS] {
    slot.each_ref().map(|word| word.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;

    #[test]
    fn entries_lie_where_they_were_put() {
        let series = Series::<2>::new();
        assert_eq!(series.get(0), None);
        for count in 0..1000_u32 {
            series.push(count as usize, [count, 7 * count]);
            assert_eq!(series.len(), count as usize + 1);
        }
        for place in 0..1000_u32 {
            assert_eq!(series.get(place as usize), Some([place, 7 * place]));
            assert_eq!(series.partition_point(|[entry, _]| entry < place), place as usize);
        }
        assert_eq!(series.get(1000), None);
        assert_eq!(series.partition_point(|_| true), 1000);
        assert_eq!(series.iter().map(|[entry, _]| entry).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn chunks_double() {
        for (place, expected) in [(0, (0, 0)), (7, (0, 7)), (8, (1, 0)), (23, (1, 15)), (24, (2, 0)), (55, (2, 31))] {
            assert_eq!(locate(place), expected, "{place}");
        }
        assert!(locate((1 << 31) / 8).0 < CHUNKS);
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_entries() {
        let series = Arc::new(Series::<3>::new());
        let shared = series.clone();
        let reader = std::thread::spawn(move || {
            let mut seen = 0;
            while seen < 50_000 {
                seen = shared.len();
                assert!(
                    shared.iter().enumerate().skip(seen.saturating_sub(50)).all(|(n, entry)| entry == [n as u32; 3])
                );
                assert!(shared.partition_point(|[n, ..]| (n as usize) < seen) >= seen);
            }
        });
        for count in 0..50_000 {
            series.push(count as usize, [count; 3]);
        }
        reader.join().unwrap();
    }
}
