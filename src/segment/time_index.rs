//! The time index: from a timestamp to an offset.
//!
//! An entry (T, o) says that no record up to offset o is later than T, and that the batch that ends at o was the first
//! to reach T. Kafka's `TimeIndex`.

use crate::error::{CorruptionReason, Error, Result};
use crate::segment::offset_index::relative_offset;
use crate::types::{Offset, Timestamp};

/// Length of an entry: 8 bytes of timestamp, then 4 of offset minus the segment's base.
pub(crate) const TIME_ENTRY_LEN: usize = 12;

/// One entry of a time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// The largest timestamp of all records up to `offset`.
    pub(crate) timestamp: Timestamp,
    /// Last offset of the batch that first reached it.
    pub(crate) offset: Offset,
}

impl TimeEntry {
    /// Whether this entry goes behind `last`, or into an empty index: only one with a later timestamp does, and only a
    /// time from 0 on is one.
    pub(crate) fn extends(self, last: Option<TimeEntry>) -> bool {
        match last {
            Some(last) => self.timestamp > last.timestamp && self.offset > last.offset,
            None => self.timestamp.is_some(),
        }
    }

    /// The entry as stored, or `None` if the offset is too far from `base` for one.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn encode(self, base: Offset) -> Option<[u8; TIME_ENTRY_LEN]> {
        let mut bytes = [0; TIME_ENTRY_LEN];
        bytes[..8].copy_from_slice(&self.timestamp.millis().to_be_bytes());
        bytes[8..].copy_from_slice(&relative_offset(self.offset, base)?.to_be_bytes());
        Some(bytes)
    }

    /// The entry that the bytes stand for, or `None` if no writer wrote them.
    pub(crate) fn decode(bytes: [u8; TIME_ENTRY_LEN], base: Offset) -> Option<Self> {
        let (timestamp, relative) = fields(bytes);
        let relative = i32::try_from(relative).ok()?;
        let offset = base.checked_add(u64::from(relative.cast_unsigned()))?;
        Some(Self { timestamp: Timestamp::from_millis(timestamp), offset }).filter(|entry| entry.timestamp.is_some())
    }
}

fn fields(bytes: [u8; TIME_ENTRY_LEN]) -> (i64, u32) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
    (i64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]))
}

/// The bytes of a time index file. Whatever they are, look-ups end and answer; an entry that cannot be is no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeIndex<'a> {
    base: Offset,
    entries: &'a [[u8; TIME_ENTRY_LEN]],
    rest: usize,
}

impl<'a> TimeIndex<'a> {
    /// The index in `bytes`, of the segment at `base`. Bytes behind the last whole entry are not looked at.
    pub(crate) fn new(bytes: &'a [u8], base: Offset) -> Self {
        let (entries, rest) = bytes.as_chunks();
        Self { base, entries, rest: rest.len() }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entry `place`, counted from 0.
    pub(crate) fn entry(&self, place: usize) -> Option<TimeEntry> {
        self.entries.get(place).and_then(|bytes| TimeEntry::decode(*bytes, self.base))
    }

    /// The last entry, which in a closed segment has the segment's largest timestamp.
    pub(crate) fn last(&self) -> Option<TimeEntry> {
        self.len().checked_sub(1).and_then(|place| self.entry(place))
    }

    /// All entries in order, up to the first that cannot be.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TimeEntry> + use<'a> {
        let base = self.base;
        self.entries.iter().map_while(move |bytes| TimeEntry::decode(*bytes, base))
    }

    /// The entry with the greatest timestamp at or below `target`. Without one, a search starts at the segment's start.
    pub(crate) fn floor(&self, target: Timestamp) -> Option<TimeEntry> {
        let above = self.entries.partition_point(|bytes| fields(*bytes).0 <= target.millis());
        above.checked_sub(1).and_then(|place| self.entry(place))
    }

    /// How many entries stay when the log is cut at `offset`: those of smaller offsets.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn len_below(&self, offset: Offset) -> usize {
        let relative = offset.since(self.base).unwrap_or(0);
        self.entries.partition_point(|bytes| u64::from(fields(*bytes).1) < relative)
    }

    /// Checks in constant time what can be checked so: length, first and last entry, and that the last one is in the
    /// segment, which ends in front of `end`. The zeroes behind a crashed writer's entries are found so.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption): the index is to be rebuilt.
    pub(crate) fn check(&self, end: Offset) -> Result<()> {
        self.check_len()?;
        let Some(place) = self.len().checked_sub(1) else {
            return Ok(());
        };
        let (first, last) = (self.check_entry(0, end)?, self.check_entry(place, end)?);
        if place > 0 { Self::check_order(first, last, place) } else { Ok(()) }
    }

    /// Checks every entry: timestamps and offsets grow, and all offsets are in the segment, which ends in front of
    /// `end`.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) at the first entry that does not fit.
    #[cfg_attr(not(any(test, feature = "fuzzing")), expect(dead_code, reason = "tests alone ask for it"))]
    pub(crate) fn check_all(&self, end: Offset) -> Result<()> {
        self.check_len()?;
        let mut last: Option<TimeEntry> = None;
        for place in 0..self.len() {
            let entry = self.check_entry(place, end)?;
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
        let whole = self.len() * TIME_ENTRY_LEN;
        Err(damage(whole, format!("time index has {} bytes behind its last entry", self.rest)))
    }

    fn check_entry(&self, place: usize, end: Offset) -> Result<TimeEntry> {
        self.entry(place).filter(|entry| entry.offset < end).ok_or_else(|| {
            let message = format!("time index entry {place} is no offset of the segment from {} to {end}", self.base);
            damage(place * TIME_ENTRY_LEN, message)
        })
    }

    fn check_order(before: TimeEntry, entry: TimeEntry, place: usize) -> Result<()> {
        if entry.extends(Some(before)) {
            return Ok(());
        }
        let (timestamp, offset) = (before.timestamp, before.offset);
        let message =
            format!("time index goes from ({timestamp}, {offset}) to ({}, {})", entry.timestamp, entry.offset);
        Err(damage(place * TIME_ENTRY_LEN, message))
    }
}

fn damage(position: usize, message: String) -> Error {
    Error::corrupt(position as u64, CorruptionReason::SideFile(message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::record::vectors::documented;

    const BASE: Offset = Offset::new(45);

    fn entry(timestamp: i64, offset: u64) -> TimeEntry {
        TimeEntry { timestamp: Timestamp::from_millis(timestamp), offset: Offset::new(offset) }
    }

    fn file(entries: &[(i64, u64)]) -> Vec<u8> {
        entries.iter().flat_map(|(timestamp, offset)| entry(*timestamp, *offset).encode(BASE).unwrap()).collect()
    }

    #[test]
    fn an_entry_is_timestamp_and_relative_offset() {
        let bytes = [0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x05, 0x00, 0x00, 0x00, 0x0c];
        assert_eq!(entry(1_700_000_000_005, 57).encode(BASE), Some(bytes));
        assert_eq!(documented("time-index"), bytes);
        assert_eq!(TimeEntry::decode(bytes, BASE), Some(entry(1_700_000_000_005, 57)));
        assert_eq!(TimeEntry::decode([0xff; TIME_ENTRY_LEN], BASE), None);
        assert_eq!(entry(0, 44).encode(BASE), None);
        assert_eq!(entry(0, 45 + (1 << 31)).encode(BASE), None);
    }

    #[test]
    fn an_entry_follows_only_an_earlier_one() {
        for (next, last, expected) in [
            (entry(-1, 50), None, false),
            (entry(0, 50), None, true),
            (entry(10, 50), Some(entry(10, 45)), false),
            (entry(9, 50), Some(entry(10, 45)), false),
            (entry(11, 44), Some(entry(10, 45)), false),
            (entry(11, 46), Some(entry(10, 45)), true),
        ] {
            assert_eq!(next.extends(last), expected, "{next:?} behind {last:?}");
        }
    }

    #[test]
    fn a_look_up_answers_the_entry_at_or_before() {
        let bytes = file(&[(100, 47), (200, 50), (300, 60)]);
        let index = TimeIndex::new(&bytes, BASE);
        for (target, expected) in [
            (i64::MIN, None),
            (99, None),
            (100, Some(entry(100, 47))),
            (199, Some(entry(100, 47))),
            (200, Some(entry(200, 50))),
            (i64::MAX, Some(entry(300, 60))),
        ] {
            assert_eq!(index.floor(Timestamp::from_millis(target)), expected, "{target}");
        }
        assert_eq!(TimeIndex::new(&[], BASE).floor(Timestamp::from_millis(0)), None);
        assert_eq!(TimeIndex::new(&[], BASE).last(), None);
        assert_eq!((index.len(), index.last()), (3, Some(entry(300, 60))));
        assert_eq!((index.entry(2), index.entry(3)), (Some(entry(300, 60)), None));
        assert_eq!(index.iter().count(), 3);
    }

    #[test]
    fn a_cut_keeps_the_entries_of_smaller_offsets() {
        let bytes = file(&[(100, 47), (200, 50), (300, 60)]);
        let index = TimeIndex::new(&bytes, BASE);
        for (cut, kept) in [(0, 0), (47, 0), (48, 1), (50, 1), (51, 2), (60, 2), (61, 3)] {
            assert_eq!(index.len_below(Offset::new(cut)), kept, "{cut}");
        }
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let good = file(&[(100, 47), (200, 50), (300, 60)]);
        TimeIndex::new(&good, BASE).check_all(Offset::new(61)).unwrap();
        TimeIndex::new(&[], BASE).check_all(BASE).unwrap();
        let mut padded = good.clone();
        padded.extend([0; 24]);
        let mut negative = good.clone();
        negative[32] = 0x80;
        for (what, bytes, end, quick, position) in [
            ("torn", &good[..30], 61, true, 24),
            ("behind the segment", &good[..], 60, true, 24),
            ("in front of the base", &negative[..], 61, true, 24),
            ("padded with zeroes", &padded[..], 61, true, 36),
            ("last time before the first", &file(&[(100, 47), (99, 50)])[..], 61, true, 12),
            ("order", &file(&[(100, 47), (300, 50), (200, 60)])[..], 61, false, 24),
            ("order of offsets", &file(&[(100, 50), (150, 47), (200, 60)])[..], 61, false, 12),
        ] {
            let index = TimeIndex::new(bytes, BASE);
            assert_eq!(index.check(Offset::new(end)).is_err(), quick, "{what}");
            let error = index.check_all(Offset::new(end)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{what}");
            assert_eq!(error.corruption().unwrap().position, position, "{what}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn look_ups_agree_with_a_linear_search(steps in prop::collection::vec((1i64..50, 1u64..90), 0..200), target in 0i64..6000) {
            let (mut time, mut offset) = (-1, BASE.get());
            let entries: Vec<_> = steps.into_iter().map(|(by_time, by_offset)| {
                time += by_time;
                offset += by_offset;
                (time, offset)
            }).collect();
            let bytes = file(&entries);
            let index = TimeIndex::new(&bytes, BASE);
            let expected = entries.iter().rfind(|(t, _)| *t <= target).map(|(t, o)| entry(*t, *o));
            prop_assert_eq!(index.floor(Timestamp::from_millis(target)), expected);
            index.check_all(Offset::new(offset + 1)).unwrap();
        }

        #[test]
        fn look_ups_in_any_bytes_end_and_answer_what_can_be(bytes in prop::collection::vec(any::<u8>(), 0..200), target in any::<i64>()) {
            let index = TimeIndex::new(&bytes, BASE);
            let _ = index.check_all(Offset::MAX);
            prop_assert!(index.len_below(Offset::new(target.unsigned_abs() >> 1)) <= index.len());
            if let Some(found) = index.floor(Timestamp::from_millis(target)) {
                prop_assert!(found.timestamp.millis() <= target && found.offset >= BASE);
            }
        }
    }
}
