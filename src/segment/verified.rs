//! Which batches of a segment have passed their checksum since the segment was mapped.

use crate::io::Source;
use crate::sync::{AtomicU64, OnceLock, Ordering};

/// A bit for every 32 bytes of the log file, set for the place where a verified batch starts.
///
/// No two batches start in the same 32 bytes, as the smallest has 61. Memory comes in chunks of 4 KiB for each MiB of
/// log that was looked at.
pub(crate) struct Verified {
    /// The mapping in which they were checked: what another one shows may have come from the disk anew.
    mapping: u64,
    chunks: Box<[OnceLock<Box<[AtomicU64; CHUNK_WORDS]>>]>,
}

const GRAIN: usize = 32;
const CHUNK_WORDS: usize = 512;
const CHUNK_BYTES: usize = CHUNK_WORDS * 64 * GRAIN;

impl Verified {
    /// Of no mapping at all.
    pub(crate) fn nothing() -> Self {
        Self { mapping: 0, chunks: Box::default() }
    }

    /// Of a mapping in which nothing is verified yet. It remembers for all bytes that this may come to show.
    pub(crate) fn of(source: Source) -> Self {
        let chunks = (0..source.len.div_ceil(CHUNK_BYTES)).map(|_| OnceLock::new()).collect();
        Self { mapping: source.number, chunks }
    }

    /// The mapping's number, or 0.
    pub(crate) fn mapping(&self) -> u64 {
        self.mapping
    }

    /// Whether the batch at `position` has passed.
    pub(crate) fn contains(&self, position: usize) -> bool {
        let (chunk, word, bit) = place(position);
        let words = self.chunks.get(chunk).and_then(OnceLock::get);
        words.is_some_and(|words| words[word].load(Ordering::Relaxed) & bit != 0)
    }

    /// Remembers that the batch at `position` has passed.
    pub(crate) fn insert(&self, position: usize) {
        let (chunk, word, bit) = place(position);
        if let Some(chunk) = self.chunks.get(chunk) {
            let words = chunk.get_or_init(|| Box::new([const { AtomicU64::new(0) }; CHUNK_WORDS]));
            words[word].fetch_or(bit, Ordering::Relaxed);
        }
    }
}

fn place(position: usize) -> (usize, usize, u64) {
    let grain = position / GRAIN;
    (position / CHUNK_BYTES, grain / 64 % CHUNK_WORDS, 1 << (grain % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_batches_do_not_share_a_bit() {
        let verified = Verified::of(Source { number: 1, len: 3 * CHUNK_BYTES });
        for position in (0..3 * CHUNK_BYTES).step_by(61 * 7) {
            assert!(!verified.contains(position), "{position}");
            verified.insert(position);
            assert!(verified.contains(position), "{position}");
            assert!(!verified.contains(position + 61), "{position}");
        }
        verified.insert(10 * CHUNK_BYTES);
        assert!(!verified.contains(10 * CHUNK_BYTES), "beyond the capacity nothing is remembered");
    }
}
