//! The offset index: from an offset to the position of a batch, one entry about every `index.interval.bytes`.
//!
//! An entry pairs the *last* offset of a batch with the position of that batch's *start*. Kafka's `OffsetIndex`.

use crate::error::{CorruptionReason, Error, Result};
use crate::types::{Offset, Position};

/// Length of an entry: offset minus the segment's base, then position, 4 bytes each.
pub(crate) const OFFSET_ENTRY_LEN: usize = 8;

/// One entry of an offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// Last offset of the batch at `position`.
    pub(crate) offset: Offset,
    /// Where the batch starts.
    pub(crate) position: Position,
}

impl OffsetEntry {
    /// The entry as stored, or `None` if the offset is too far from `base` for one.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn encode(self, base: Offset) -> Option<[u8; OFFSET_ENTRY_LEN]> {
        let relative = relative_offset(self.offset, base)?;
        Some((u64::from(relative) << 32 | u64::from(self.position.get())).to_be_bytes())
    }

    /// The entry that the bytes stand for, or `None` if no writer wrote them.
    pub(crate) fn decode(bytes: [u8; OFFSET_ENTRY_LEN], base: Offset) -> Option<Self> {
        let (relative, position) = halves(bytes);
        let relative = i32::try_from(relative).ok()?;
        let offset = base.checked_add(u64::from(relative.cast_unsigned()))?;
        Some(Self { offset, position: Position::new(u64::from(position))? })
    }
}

/// `offset` counted from `base` as indexes store it, or `None` where that is not possible.
pub(crate) fn relative_offset(offset: Offset, base: Offset) -> Option<u32> {
    offset.since(base).and_then(|relative| u32::try_from(relative).ok()).filter(|r| i32::try_from(*r).is_ok())
}

fn halves(bytes: [u8; OFFSET_ENTRY_LEN]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = bytes;
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// The bytes of an offset index file. Whatever they are, look-ups end and answer; an entry that cannot be is no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffsetIndex<'a> {
    base: Offset,
    entries: &'a [[u8; OFFSET_ENTRY_LEN]],
    rest: usize,
}

impl<'a> OffsetIndex<'a> {
    /// The index in `bytes`, of the segment at `base`. Bytes behind the last whole entry are not looked at.
    pub(crate) fn new(bytes: &'a [u8], base: Offset) -> Self {
        let (entries, rest) = bytes.as_chunks();
        Self { base, entries, rest: rest.len() }
    }

    /// The segment's base offset.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entry `place`, counted from 0.
    pub(crate) fn entry(&self, place: usize) -> Option<OffsetEntry> {
        self.entries.get(place).and_then(|bytes| OffsetEntry::decode(*bytes, self.base))
    }

    /// The last entry.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn last(&self) -> Option<OffsetEntry> {
        self.len().checked_sub(1).and_then(|place| self.entry(place))
    }

    /// All entries in order, up to the first that cannot be.
    pub(crate) fn iter(&self) -> impl Iterator<Item = OffsetEntry> + use<'a> {
        let base = self.base;
        self.entries.iter().map_while(move |bytes| OffsetEntry::decode(*bytes, base))
    }

    /// The entry with the greatest offset at or below `target`. Without one, a search starts at the segment's start.
    pub(crate) fn floor(&self, target: Offset) -> Option<OffsetEntry> {
        let relative = target.since(self.base)?;
        let above = self.entries.partition_point(|bytes| u64::from(halves(*bytes).0) <= relative);
        above.checked_sub(1).and_then(|place| self.entry(place))
    }

    /// The first offset that certainly lies behind the bytes up to `end`: that of the first entry at or past it.
    /// `None` means that the index does not tell. Kafka's `fetchUpperBoundOffset`.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn upper_bound(&self, end: u64) -> Option<Offset> {
        let place = self.entries.partition_point(|bytes| u64::from(halves(*bytes).1) < end);
        self.entry(place).map(|entry| entry.offset)
    }

    /// How many entries stay when the log is cut at `offset`: those of smaller offsets.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn len_below(&self, offset: Offset) -> usize {
        let relative = offset.since(self.base).unwrap_or(0);
        self.entries.partition_point(|bytes| u64::from(halves(*bytes).0) < relative)
    }

    /// Checks in constant time what can be checked so: length, first and last entry, and that they point
    /// into the segment's `log_len` bytes. The zeroes behind a crashed writer's entries are found so.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption): the index is to be rebuilt.
    pub(crate) fn check(&self, log_len: u64) -> Result<()> {
        self.check_len()?;
        let Some(place) = self.len().checked_sub(1) else {
            return Ok(());
        };
        let (first, last) = (self.check_entry(0, log_len)?, self.check_entry(place, log_len)?);
        if place > 0 { Self::check_order(first, last, place) } else { Ok(()) }
    }

    /// Checks every entry: offsets and positions grow, and all positions lie inside the segment's `log_len` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) at the first entry that does not fit.
    pub(crate) fn check_all(&self, log_len: u64) -> Result<()> {
        self.check_len()?;
        let mut last: Option<OffsetEntry> = None;
        for place in 0..self.len() {
            let entry = self.check_entry(place, log_len)?;
            if let Some(last) = last {
                Self::check_order(last, entry, place)?;
            }
            last = Some(entry);
        }
        Ok(())
    }

    fn check_len(&self) -> Result<()> {
        if self.rest == 0 {
            return Ok(());
        }
        let whole = self.len() * OFFSET_ENTRY_LEN;
        Err(damage(whole, format!("offset index has {} bytes behind its last entry", self.rest)))
    }

    fn check_order(before: OffsetEntry, entry: OffsetEntry, place: usize) -> Result<()> {
        if entry.offset > before.offset && entry.position > before.position {
            return Ok(());
        }
        let (offset, position) = (before.offset, before.position);
        let message =
            format!("offset index goes from ({offset}, {position}) to ({}, {})", entry.offset, entry.position);
        Err(damage(place * OFFSET_ENTRY_LEN, message))
    }

    fn check_entry(&self, place: usize, log_len: u64) -> Result<OffsetEntry> {
        let entry = self.entry(place).filter(|entry| u64::from(entry.position.get()) < log_len);
        entry.ok_or_else(|| {
            let message = format!("offset index entry {place} does not point into the segment's {log_len} bytes");
            damage(place * OFFSET_ENTRY_LEN, message)
        })
    }
}

fn damage(position: usize, message: String) -> Error {
    Error::corrupt(position as u64, CorruptionReason::SideFile(message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::record::vectors::documented;

    const BASE: Offset = Offset::new(45);

    fn entry(offset: u64, position: u64) -> OffsetEntry {
        OffsetEntry { offset: Offset::new(offset), position: Position::new(position).unwrap() }
    }

    fn file(entries: &[(u64, u64)]) -> Vec<u8> {
        entries.iter().flat_map(|(offset, position)| entry(*offset, *position).encode(BASE).unwrap()).collect()
    }

    #[test]
    fn an_entry_is_relative_offset_and_position() {
        let bytes = [0, 0, 0, 12, 0, 0, 16, 0];
        assert_eq!(entry(57, 4096).encode(BASE), Some(bytes));
        assert_eq!(documented("offset-index"), bytes);
        assert_eq!(OffsetEntry::decode(bytes, BASE), Some(entry(57, 4096)));
        assert_eq!(entry(44, 0).encode(BASE), None);
        assert_eq!(entry(45 + (1 << 31), 0).encode(BASE), None);
        assert!(entry(45 + (1 << 31) - 1, 0).encode(BASE).is_some());
        assert_eq!(OffsetEntry::decode([0x80, 0, 0, 0, 0, 0, 0, 0], BASE), None);
        assert_eq!(OffsetEntry::decode([0, 0, 0, 0, 0x80, 0, 0, 0], BASE), None);
        assert_eq!(OffsetEntry::decode([0, 0, 0, 1, 0, 0, 0, 0], Offset::MAX), None);
    }

    #[test]
    fn a_look_up_answers_the_entry_at_or_below() {
        let bytes = file(&[(46, 10), (50, 30), (55, 40)]);
        let index = OffsetIndex::new(&bytes, BASE);
        for (target, expected) in [
            (0, None),
            (45, None),
            (46, Some(entry(46, 10))),
            (49, Some(entry(46, 10))),
            (50, Some(entry(50, 30))),
            (54, Some(entry(50, 30))),
            (55, Some(entry(55, 40))),
            (Offset::MAX.get(), Some(entry(55, 40))),
        ] {
            assert_eq!(index.floor(Offset::new(target)), expected, "{target}");
        }
        assert_eq!(OffsetIndex::new(&[], BASE).floor(Offset::new(50)), None);
        assert_eq!(index.entry(1), Some(entry(50, 30)));
        assert_eq!(index.entry(3), None);
        assert_eq!(index.last(), Some(entry(55, 40)));
        assert_eq!(index.iter().count(), index.len());
    }

    #[test]
    fn the_upper_bound_is_the_first_entry_at_or_past_the_end() {
        let bytes = file(&[(46, 10), (50, 30), (55, 40)]);
        let index = OffsetIndex::new(&bytes, BASE);
        for (end, expected) in
            [(0, Some(46)), (10, Some(46)), (11, Some(50)), (30, Some(50)), (40, Some(55)), (41, None)]
        {
            assert_eq!(index.upper_bound(end), expected.map(Offset::new), "{end}");
        }
        assert_eq!(OffsetIndex::new(&[], BASE).upper_bound(0), None);
    }

    #[test]
    fn a_cut_keeps_the_entries_below_it() {
        let bytes = file(&[(46, 10), (50, 30), (55, 40)]);
        let index = OffsetIndex::new(&bytes, BASE);
        for (cut, kept) in [(0, 0), (45, 0), (46, 0), (47, 1), (50, 1), (51, 2), (55, 2), (56, 3), (1 << 40, 3)] {
            assert_eq!(index.len_below(Offset::new(cut)), kept, "{cut}");
        }
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = file(&[(45, 10), (50, 30), (55, 40)]);
        OffsetIndex::new(&good, BASE).check_all(41).unwrap();
        OffsetIndex::new(&[], BASE).check_all(0).unwrap();
        let mut padded = good.clone();
        padded.extend([0; 16]);
        let mut negative = good.clone();
        negative[16] = 0x80;
        for (what, bytes, len, quick, position) in [
            ("torn", &good[..20], 41, true, 16),
            ("points behind the log", &good[..], 40, true, 16),
            ("negative offset", &negative[..], 41, true, 16),
            ("padded with zeroes", &padded[..], 41, true, 24),
            ("order", &file(&[(45, 10), (55, 30), (50, 40)])[..], 41, false, 16),
            ("order of positions", &file(&[(45, 10), (50, 5), (55, 40)])[..], 41, false, 8),
        ] {
            let index = OffsetIndex::new(bytes, BASE);
            assert_eq!(index.check(len).is_err(), quick, "{what}");
            let error = index.check_all(len).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{what}");
            assert_eq!(error.corruption().unwrap().position, position, "{what}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn look_ups_agree_with_an_ordered_map(steps in prop::collection::vec((1u64..50, 1u64..9000), 0..200), target in 0u64..6000) {
            let mut map = BTreeMap::new();
            let (mut offset, mut position) = (BASE.get(), 0);
            for (by_offset, by_position) in steps {
                offset += by_offset;
                position += by_position;
                map.insert(offset, position);
            }
            let entries: Vec<_> = map.iter().map(|(o, p)| (*o, *p)).collect();
            let bytes = file(&entries);
            let index = OffsetIndex::new(&bytes, BASE);
            let expected = map.range(..=target).next_back().map(|(o, p)| entry(*o, *p));
            prop_assert_eq!(index.floor(Offset::new(target)), expected);
            prop_assert_eq!(index.len_below(Offset::new(target)), map.range(..target).count());
            index.check_all(position + 1).unwrap();
        }

        #[test]
        fn look_ups_in_any_bytes_end_and_answer_what_can_be(bytes in prop::collection::vec(any::<u8>(), 0..200), target in any::<u32>()) {
            let index = OffsetIndex::new(&bytes, BASE);
            let _ = index.check_all(u64::from(target));
            let _ = index.upper_bound(u64::from(target));
            prop_assert!(index.len_below(Offset::from(target)) <= index.len());
            if let Some(found) = index.floor(Offset::from(target)) {
                prop_assert!(found.offset <= Offset::from(target) && found.offset >= BASE);
            }
        }
    }
}
