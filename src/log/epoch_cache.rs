//! Which leader wrote from where on: the list of leader epochs and the offsets at which they start.
//!
//! Kafka's `LeaderEpochFileCache`. It follows from the batches, but its file need not: an epoch may begin at the log's
//! end, and one whose batches are gone may still be listed.

use crate::error::Result;
use crate::log::text_checkpoint::{format_lines, parse_lines, words};
use crate::types::{LeaderEpoch, Offset};

/// The name of the file that holds it.
pub(crate) const FILE: &str = "leader-epoch-checkpoint";

/// An epoch and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochEntry {
    /// The epoch, from 0 on.
    pub(crate) epoch: LeaderEpoch,
    /// Its first offset.
    pub(crate) start: Offset,
}

/// The epochs of a log. Both epochs and start offsets strictly ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// The list without epochs.
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The list in a `leader-epoch-checkpoint`. Entries that do not ascend displace those before them, as they would
    /// when they are assigned one after the other.
    ///
    /// # Errors
    /// As of [`parse_lines`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let entries = parse_lines(bytes, |line| {
            let [epoch, start] = words(line)?;
            let epoch = epoch.parse().ok().filter(|epoch| *epoch >= 0).map(LeaderEpoch::new)?;
            Some(EpochEntry { epoch, start: start.parse().ok().and_then(Offset::from_i64)? })
        })?;
        let mut cache = Self::new();
        for entry in entries {
            cache.assign(entry.epoch, entry.start);
        }
        Ok(cache)
    }

    /// The text of a `leader-epoch-checkpoint`.
    pub(crate) fn format(&self) -> String {
        format_lines(self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start)))
    }

    /// The entries, ascending.
    #[cfg_attr(not(test), expect(dead_code, reason = "replication asks for it, which is not there yet"))]
    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Notes that `epoch` writes at `start`: for a new leader, and for every batch. Answers whether that was news, so
    /// that the list on disk has to follow. Entries that contradict it, from the end on, are dropped; a batch without
    /// an epoch tells nothing.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let known = self.entries.last().is_some_and(|latest| latest.epoch == epoch && latest.start <= start);
        if known || epoch < LeaderEpoch::ZERO {
            return false;
        }
        let kept = self.entries.iter().rposition(|entry| entry.epoch < epoch && entry.start < start);
        self.entries.truncate(kept.map_or(0, |place| place + 1));
        self.entries.push(EpochEntry { epoch, start });
        true
    }

    /// The latest epoch.
    pub(crate) fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The earliest epoch.
    #[cfg_attr(not(test), expect(dead_code, reason = "replication asks for it, which is not there yet"))]
    pub(crate) fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// Where the log stopped being written by `epoch` or one before it: the greatest epoch up to `epoch`, and where the
    /// next one starts. `None` for an epoch newer than any known, and for an empty list.
    ///
    /// The latest epoch ends at `log_end`. One older than the first known is answered itself, with the first one's
    /// start.
    pub(crate) fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if self.latest()?.epoch == epoch {
            return Some((epoch, log_end));
        }
        if epoch < LeaderEpoch::ZERO {
            return None;
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(above)?;
        let floor = above.checked_sub(1).and_then(|place| self.entries.get(place));
        Some((floor.map_or(epoch, |entry| entry.epoch), next.start))
    }

    /// The epoch that wrote `offset`, or `None` in front of the first.
    pub(crate) fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.start <= offset);
        above.checked_sub(1).and_then(|place| self.entries.get(place)).map(|entry| entry.epoch)
    }

    /// The entry of exactly this epoch.
    #[cfg_attr(not(test), expect(dead_code, reason = "replication asks for it, which is not there yet"))]
    pub(crate) fn entry(&self, epoch: LeaderEpoch) -> Option<EpochEntry> {
        let place = self.entries.binary_search_by_key(&epoch, |entry| entry.epoch).ok()?;
        self.entries.get(place).copied()
    }

    /// The greatest epoch before `epoch`.
    #[cfg_attr(not(test), expect(dead_code, reason = "replication asks for it, which is not there yet"))]
    pub(crate) fn previous(&self, epoch: LeaderEpoch) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.epoch < epoch);
        above.checked_sub(1).and_then(|place| self.entries.get(place)).map(|entry| entry.epoch)
    }

    /// The smallest epoch after `epoch`.
    #[cfg_attr(not(test), expect(dead_code, reason = "replication asks for it, which is not there yet"))]
    pub(crate) fn next(&self, epoch: LeaderEpoch) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        self.entries.get(above).map(|entry| entry.epoch)
    }

    /// Drops the epochs that start at or above `offset`: the log was cut there. Answers whether there were any.
    pub(crate) fn truncate_from_end(&mut self, offset: Offset) -> bool {
        let kept = self.entries.partition_point(|entry| entry.start < offset);
        let news = kept < self.entries.len();
        self.entries.truncate(kept);
        news
    }

    /// Drops the epochs that cannot have begun where they are said to, as `epoch` wrote `offset` and they are newer.
    /// Answers whether anything has changed.
    pub(crate) fn disprove(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        let newer = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let is_wrong = epoch >= LeaderEpoch::ZERO && self.entries.get(newer).is_some_and(|first| first.start <= offset);
        if is_wrong {
            self.entries.truncate(newer);
        }
        is_wrong
    }

    /// Drops the epochs in front of `offset`, the log's new start; the one that wrote it starts there now. Answers
    /// whether anything has changed.
    pub(crate) fn truncate_from_start(&mut self, offset: Offset) -> bool {
        let below = self.entries.partition_point(|entry| entry.start <= offset);
        let Some(covering) = below.checked_sub(1) else {
            return false;
        };
        self.entries.drain(..covering);
        let news = covering > 0 || self.entries.first().is_some_and(|entry| entry.start != offset);
        if let Some(entry) = self.entries.first_mut() {
            entry.start = offset;
        }
        news
    }

    /// Forgets all epochs.
    #[cfg_attr(not(test), expect(dead_code, reason = "replication asks for it, which is not there yet"))]
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests;
