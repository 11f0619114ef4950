//! What a compacted log may hold, read as a table: the last value of each key, as far as compaction and cuts leave one.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Checked, ensure};
use crate::record::TransactionResult;

/// What stands at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Record { key: u64, value: Option<u64>, producer: Option<i64> },
    Marker { producer: i64, result: TransactionResult },
}

/// The log as it was appended, and how much of it is sure.
#[derive(Clone, Debug, Default)]
pub(super) struct Expect {
    pub(super) entries: Vec<Entry>,
    pub(super) written: usize,
    pub(super) durable: usize,
    /// What a record that is cut by now has superseded, or aborted: compaction may have removed it.
    pub(super) void: BTreeSet<usize>,
    /// Keys of which such a record is known.
    pub(super) void_keys: BTreeSet<u64>,
}

impl Expect {
    /// What a cut at `end` leaves.
    pub(super) fn cut(&self, end: usize) -> Self {
        let mut cut = self.cutting(end);
        cut.entries.truncate(end);
        cut.void.retain(|offset| *offset < end);
        cut
    }

    /// What there may be while all from `end` on is cut.
    pub(super) fn cutting(&self, end: usize) -> Self {
        let decided = self.decided(self.entries.len());
        let mut cut = Self { written: self.written.min(end), durable: self.durable.min(end), ..self.clone() };
        let last = self.last_of_keys(&decided);
        for (offset, entry) in self.entries.iter().enumerate() {
            let Entry::Record { key, value, .. } = entry else { continue };
            let may_go = match decided[offset] {
                None => false,
                Some(false) => true,
                Some(true) => last[key] > offset || value.is_none(),
            };
            if may_go {
                cut.void.insert(offset);
                cut.void_keys.insert(*key);
            }
        }
        cut
    }

    /// Where the last record of each key stands that counts.
    fn last_of_keys(&self, decided: &[Option<bool>]) -> BTreeMap<u64, usize> {
        let mut last = BTreeMap::new();
        for (offset, (entry, decided)) in self.entries.iter().zip(decided).enumerate() {
            if let (Entry::Record { key, .. }, Some(true)) = (entry, decided) {
                last.insert(*key, offset);
            }
        }
        last
    }

    /// What becomes of the records below `end`, by offset: whether each counts, is void, or is undecided.
    fn decided(&self, end: usize) -> Vec<Option<bool>> {
        let mut open: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        let mut decided = vec![Some(true); end];
        for (offset, entry) in self.entries[..end].iter().enumerate() {
            match entry {
                Entry::Record { producer: Some(producer), .. } => {
                    decided[offset] = None;
                    open.entry(*producer).or_default().push(offset);
                }
                Entry::Record { .. } => {}
                Entry::Marker { producer, result } => {
                    for record in open.remove(producer).unwrap_or_default() {
                        decided[record] = Some(*result == TransactionResult::Commit);
                    }
                }
            }
        }
        decided
    }

    /// What is there of `found` is right, and what is not there may be missing.
    pub(super) fn check(&self, found: &BTreeMap<usize, Entry>, end: usize) -> Checked {
        let decided = self.decided(end);
        let last = self.last_of_keys(&decided);
        for (offset, entry) in found {
            ensure!(*offset < end && self.entries[*offset] == *entry, "{offset} holds {entry:?}");
        }
        for offset in (0..end).filter(|offset| !found.contains_key(offset)) {
            let Entry::Record { key, value, .. } = self.entries[offset] else { continue };
            let may_go = match decided[offset] {
                None => false,
                Some(false) => true,
                Some(true) => last[&key] > offset || value.is_none(),
            } || self.void.contains(&offset);
            ensure!(
                may_go,
                "{offset} of {end} is gone: {:?} of {:?}, there are {found:?}",
                self.entries[offset],
                self.entries
            );
        }
        // A value whose tombstone is gone must not be there.
        let mut table: BTreeMap<u64, Option<u64>> = BTreeMap::new();
        for (offset, entry) in found {
            if let (Entry::Record { key, value, .. }, Some(true)) = (entry, decided[*offset]) {
                table.insert(*key, *value);
            }
        }
        for (key, offset) in last {
            let Entry::Record { value, .. } = self.entries[offset] else { continue };
            if self.void_keys.contains(&key) {
                continue;
            }
            let seen = table.get(&key).copied().flatten();
            ensure!(seen == value, "key {key} is {seen:?}, and not {value:?}");
        }
        Ok(())
    }

    /// What holds while `other` comes after this.
    pub(super) fn or(&self, other: &Self) -> Self {
        if self.entries.len() > other.entries.len() {
            return self.cutting(other.entries.len());
        }
        Self {
            entries: other.entries.clone(),
            written: self.written.min(other.written),
            durable: self.durable.min(other.durable),
            void: &self.void | &other.void,
            void_keys: &self.void_keys | &other.void_keys,
        }
    }
}
