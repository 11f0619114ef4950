//! From the hash of a key to the last offset at which it was seen, in bounded memory.

use siphasher::sip128::SipHasher13;

use crate::types::Offset;

/// A key is its hash: 128 bits of SipHash-1-3 under a key that each map draws for itself.
///
/// Two keys with one hash would be one key, and the record of one of them lost. By chance that takes 2⁶⁴ keys; who would
/// have it happen on purpose does not know the key.
#[derive(Clone, Debug)]
struct KeyHasher(SipHasher13);

impl KeyHasher {
    fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let half = |salt: u64| RandomState::new().hash_one(salt);
        Self(SipHasher13::new_with_keys(half(1), half(2)))
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> KeyHash {
        let (high, low) = self.0.hash(key).as_u64();
        KeyHash { high, low }
    }
}

/// What stands for a key, in this map only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyHash {
    high: u64,
    low: u64,
}

/// A slot takes 24 bytes: two words of hash, and the offset plus one. The offset word of an empty one is 0.
type Slot = [u64; 3];

/// Bytes of a slot.
pub(crate) const SLOT_LEN: usize = size_of::<Slot>();

/// Of ten slots so many are used at most, as in Kafka.
const FILL_TENTHS: usize = 9;

/// Slots behind the last that a hash leads to: a run of neighbours may end there.
const OVERHANG: usize = 8_192;

/// An open-addressed table whose entries lie in the order of their hashes: a key stands at the place that its hash leads
/// to or behind it, and one that is not there is known to be missing as soon as a greater hash is met. So a table that is
/// nearly full is still searched in a few steps.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    /// Slots that a hash can lead to.
    homes: usize,
    len: usize,
    /// How many keys it takes.
    len_max: usize,
    hasher: KeyHasher,
    /// Of what lies behind this offset the map says nothing.
    latest: Option<Offset>,
}

impl OffsetMap {
    /// A map of at most `bytes` bytes, and of no more than it takes for `keys` keys. It takes at least one.
    pub(crate) fn new(bytes: usize, keys: u64) -> Self {
        let slots_max = (bytes / SLOT_LEN).max(3);
        let keys = usize::try_from(keys).unwrap_or(usize::MAX).max(1);
        let len_max = (slots_max * FILL_TENTHS / 10).min(keys);
        let wanted = len_max.saturating_mul(10) / FILL_TENTHS + len_max.min(OVERHANG) + 1;
        let slots = wanted.min(slots_max);
        let overhang = (slots / 8).clamp(1, OVERHANG).max(slots - (slots - 1).min(len_max * 10 / FILL_TENTHS));
        let slots = vec![[0; 3]; slots];
        Self { homes: slots.len() - overhang, slots, len: 0, len_max, hasher: KeyHasher::random(), latest: None }
    }

    /// How many keys it holds.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it takes no other key.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.len_max
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_LEN
    }

    /// The last offset up to which it tells of all keys; `None` before there is one.
    pub(crate) fn latest(&self) -> Option<Offset> {
        self.latest
    }

    /// Notes that all records up to `offset` were seen.
    pub(crate) fn seen_to(&mut self, offset: Offset) {
        self.latest = Some(offset);
    }

    /// What stands for `key` here.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> KeyHash {
        self.hasher.hash(key)
    }

    /// Notes that the key was seen at `offset`. Answers whether there was room: if not, nothing has changed.
    #[inline]
    pub(crate) fn put(&mut self, hash: KeyHash, offset: Offset) -> bool {
        let place = self.place(hash);
        match self.slots.get_mut(place) {
            None => false,
            Some(slot) if is_at(slot, hash) => {
                slot[2] = offset.get() + 1;
                true
            }
            Some(_) => self.insert(place, hash, offset),
        }
    }

    /// The last offset at which the key was seen.
    #[inline]
    pub(crate) fn get(&self, hash: KeyHash) -> Option<Offset> {
        let slot = self.slots.get(self.place(hash)).filter(|slot| is_at(slot, hash))?;
        slot[2].checked_sub(1).map(Offset::new)
    }

    /// Asks the memory for the slot of a key, and for nothing else: the look-ups of many keys then wait for it together.
    #[inline]
    pub(crate) fn touch(&self, hash: KeyHash) -> u64 {
        self.slots.get(self.home(hash)).map_or(0, |slot| slot[2])
    }

    /// Where the key stands, or would be inserted; the end if there is no such place.
    #[inline]
    fn place(&self, hash: KeyHash) -> usize {
        let home = self.home(hash);
        let behind = &self.slots[home..];
        let found = behind.iter().position(|slot| slot[2] == 0 || hash_of(slot) >= hash);
        found.map_or(self.slots.len(), |steps| home + steps)
    }

    /// Puts an entry at `place`, and those from there up to the next empty slot one further.
    fn insert(&mut self, place: usize, hash: KeyHash, offset: Offset) -> bool {
        if self.is_full() {
            return false;
        }
        let Some(run) = self.slots[place..].iter().position(|slot| slot[2] == 0) else { return false };
        self.slots.copy_within(place..place + run, place + 1);
        self.slots[place] = [hash.high, hash.low, offset.get() + 1];
        self.len += 1;
        true
    }

    /// The first slot that the hash leads to. It grows with the hash.
    #[inline]
    fn home(&self, hash: KeyHash) -> usize {
        let home = (u128::from(hash.high) * self.homes as u128) >> 64;
        usize::try_from(home).unwrap_or(0)
    }
}

#[inline]
fn hash_of(slot: &Slot) -> KeyHash {
    KeyHash { high: slot[0], low: slot[1] }
}

#[inline]
fn is_at(slot: &Slot, hash: KeyHash) -> bool {
    slot[2] != 0 && hash_of(slot) == hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn put(map: &mut OffsetMap, key: &[u8], offset: u64) -> bool {
        map.put(map.hash(key), Offset::new(offset))
    }

    fn get(map: &OffsetMap, key: &[u8]) -> Option<u64> {
        map.get(map.hash(key)).map(Offset::get)
    }

    #[test]
    fn clm_12_the_last_offset_of_a_key_counts() {
        let mut map = OffsetMap::new(1_000, 10);
        assert_eq!(get(&map, b"a"), None);
        assert!(put(&mut map, b"a", 0) && put(&mut map, b"b", 7) && put(&mut map, b"a", Offset::MAX.get()));
        assert_eq!((get(&map, b"a"), get(&map, b"b"), get(&map, b"")), (Some(Offset::MAX.get()), Some(7), None));
        assert_eq!(map.len(), 2);
        assert!(put(&mut map, b"", 9));
        assert_eq!(get(&map, b""), Some(9), "an empty key is a key");
    }

    #[test]
    fn clm_12_a_full_map_takes_the_keys_it_has_and_no_other() {
        for bytes in [0, 48, 240, 2_400, 1 << 20] {
            let mut map = OffsetMap::new(bytes, u64::MAX);
            let mut taken = 0;
            while put(&mut map, &u64::to_be_bytes(taken), taken) {
                taken += 1;
            }
            assert!(taken >= 1, "{bytes}");
            assert_eq!(map.len() as u64, taken);
            assert!(map.bytes() <= bytes.max(3 * SLOT_LEN), "{} of {bytes}", map.bytes());
            // A run that reached the end may end it early, in a small one.
            let part = if bytes < 1 << 20 { 1 } else { 8 };
            assert!(taken as usize >= bytes / SLOT_LEN * part / 10, "{taken} keys in {bytes} bytes");
            for key in 0..taken {
                assert_eq!(get(&map, &u64::to_be_bytes(key)), Some(key));
                assert!(put(&mut map, &u64::to_be_bytes(key), key + 1));
            }
            assert_eq!(get(&map, &u64::to_be_bytes(taken)), None);
        }
    }

    #[test]
    fn a_map_is_no_larger_than_its_keys_need() {
        assert!(OffsetMap::new(1 << 30, 10).bytes() < 1_000);
        assert!(OffsetMap::new(1 << 20, u64::MAX).bytes() <= 1 << 20);
    }

    #[test]
    fn no_two_maps_hash_alike() {
        let (a, b) = (OffsetMap::new(100, 1), OffsetMap::new(100, 1));
        assert_ne!(a.hash(b"key"), b.hash(b"key"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_map(
            slots in 2..200usize,
            ops in proptest::collection::vec((0..150u16, 0..10_000u64), 0..400),
        ) {
            let mut map = OffsetMap::new(slots * SLOT_LEN, u64::MAX);
            let mut model = HashMap::new();
            for (key, offset) in ops {
                let taken = put(&mut map, &key.to_be_bytes(), offset);
                prop_assert!(taken || !model.contains_key(&key), "a key that is there needs no room");
                if taken {
                    model.insert(key, offset);
                }
                prop_assert_eq!(map.len(), model.len());
            }
            for key in 0..150u16 {
                prop_assert_eq!(get(&map, &key.to_be_bytes()), model.get(&key).copied());
            }
        }
    }
}
