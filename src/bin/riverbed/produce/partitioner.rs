//! Which partition a record goes to, as Kafka's Java producer chooses.

/// Chooses partitions of one topic.
#[derive(Clone, Debug)]
pub struct Partitioner {
    count: u32,
    /// Where records without a key go now.
    sticky: u32,
}

impl Partitioner {
    /// For a topic of `count` partitions.
    pub fn new(count: u32) -> Self {
        Self { count: count.max(1), sticky: 0 }
    }

    /// The partition of a record: by its key, or where records without one go at the moment.
    pub fn choose(&self, key: Option<&[u8]>) -> u32 {
        key.map_or(self.sticky, |key| (murmur2(key) & 0x7fff_ffff) % self.count)
    }

    /// Sends records without a key elsewhere from now on.
    pub fn turn(&mut self) {
        self.sticky = (self.sticky + 1) % self.count;
    }
}

/// MurmurHash2 with Kafka's seed. (`Utils.murmur2`)
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // The length is mixed in modulo 2^32.
    let length = u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or_default();
    let mut hash = SEED ^ length;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = word.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte)).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_test() {
        let table: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in table {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn records_without_a_key_go_round_by_turns() {
        let mut partitioner = Partitioner::new(3);
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push((partitioner.choose(None), partitioner.choose(Some(b"21"))));
            partitioner.turn();
        }
        let of_21 = ((-973_932_308_i32).cast_unsigned() & 0x7fff_ffff) % 3;
        assert_eq!(turns, [(0, of_21), (1, of_21), (2, of_21), (0, of_21)]);
    }
}
