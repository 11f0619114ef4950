//! Which batches of a segment have passed their checksum since the segment was opened.

use crate::sync::{AtomicU64, OnceLock, Ordering};

/// A bit for every 32 bytes of the log file, set for the place where a verified batch starts.
///
/// No two batches start in the same 32 bytes, as the smallest has 61. Memory comes in chunks of 4 KiB for each MiB of
/// log that was looked at.
pub(crate) struct Verified {
    chunks: Box<[OnceLock<Box<[AtomicU64; CHUNK_WORDS]>>]>,
}

const GRAIN: usize = 32;
const CHUNK_WORDS: usize = 512;
const CHUNK_BYTES: usize = CHUNK_WORDS * 64 * GRAIN;

impl Verified {
    /// For a log file that may grow to `capacity` bytes: nothing is verified.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { chunks: (0..capacity.div_ceil(CHUNK_BYTES).max(1)).map(|_| OnceLock::new()).collect() }
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
        let verified = Verified::new(3 * CHUNK_BYTES);
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
