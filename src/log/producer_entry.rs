//! What a log knows of one producer: its epoch, its last few batches, its open transaction.

use crate::types::{Offset, ProducerEpoch, Sequence, Timestamp};

/// How many batches of a producer are remembered, and so how many it may have in flight. Kafka's
/// `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
pub(crate) const BATCHES_REMEMBERED: usize = 5;

/// The epoch of a coordinator that was never heard of.
pub(crate) const NO_COORDINATOR: i32 = -1;

/// A batch that a producer appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchMetadata {
    /// Sequence of its last record.
    pub(crate) last_sequence: Sequence,
    /// Last offset minus base offset.
    pub(crate) offset_delta: u32,
    /// Offset of its last record.
    pub(crate) last_offset: Offset,
    /// Its largest timestamp.
    pub(crate) timestamp: Timestamp,
}

impl BatchMetadata {
    /// Sequence of its first record.
    pub(crate) fn first_sequence(&self) -> Sequence {
        if self.last_sequence == Sequence::NONE {
            Sequence::NONE
        } else {
            self.last_sequence.decrement(self.offset_delta)
        }
    }

    /// Offset of its first record.
    pub(crate) fn first_offset(&self) -> Offset {
        Offset::new(self.last_offset.get().saturating_sub(u64::from(self.offset_delta)))
    }
}

/// The state of one producer in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    /// Oldest first; those that are known come first.
    batches: [Option<BatchMetadata>; BATCHES_REMEMBERED],
    /// Its latest incarnation, [`ProducerEpoch::NONE`] before the first batch or marker.
    pub(crate) epoch: ProducerEpoch,
    /// Epoch of the coordinator that wrote its last marker, or [`NO_COORDINATOR`].
    pub(crate) coordinator_epoch: i32,
    /// Time of its last batch or marker.
    pub(crate) last_timestamp: Timestamp,
    /// Where its open transaction begins.
    pub(crate) transaction_start: Option<Offset>,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            batches: [None; BATCHES_REMEMBERED],
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: NO_COORDINATOR,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
        }
    }
}

impl ProducerEntry {
    /// Whether it has a transaction open, in this epoch.
    pub(crate) fn has_transaction_in(&self, epoch: ProducerEpoch) -> bool {
        self.transaction_start.is_some() && self.epoch == epoch
    }

    /// The batches that are remembered, oldest first.
    pub(crate) fn batches(&self) -> impl DoubleEndedIterator<Item = &BatchMetadata> {
        self.batches.iter().flatten()
    }

    /// The last batch of the current epoch.
    pub(crate) fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches().next_back()
    }

    /// Sequence of the last record, [`Sequence::NONE`] without a batch in this epoch.
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.last_batch().map_or(Sequence::NONE, |batch| batch.last_sequence)
    }

    /// Goes over to `epoch`. Batches of another one are forgotten.
    pub(crate) fn enter(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches = [None; BATCHES_REMEMBERED];
        }
    }

    /// Remembers a batch, and forgets the oldest if there are too many.
    pub(crate) fn remember(&mut self, batch: BatchMetadata) {
        let free = self.batches.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.batches.rotate_left(1);
            BATCHES_REMEMBERED - 1
        });
        self.batches[place] = Some(batch);
        self.last_timestamp = batch.timestamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(last_sequence: i32, last_offset: u64, offset_delta: u32) -> BatchMetadata {
        let timestamp = Timestamp::from_millis(i64::from(last_sequence));
        BatchMetadata {
            last_sequence: Sequence::new(last_sequence),
            last_offset: Offset::new(last_offset),
            offset_delta,
            timestamp,
        }
    }

    #[test]
    fn the_last_five_batches_of_an_epoch_are_remembered() {
        let mut entry = ProducerEntry::default();
        entry.enter(ProducerEpoch::new(1));
        for number in 0..7 {
            entry.remember(batch(number, u64::from(number.cast_unsigned()), 0));
        }
        let sequences: Vec<_> = entry.batches().map(|batch| batch.last_sequence.get()).collect();
        assert_eq!(sequences, [2, 3, 4, 5, 6]);
        assert_eq!((entry.last_sequence(), entry.last_timestamp.millis()), (Sequence::new(6), 6));
        entry.enter(ProducerEpoch::new(1));
        assert_eq!(entry.batches().count(), 5);
        entry.enter(ProducerEpoch::new(2));
        assert_eq!((entry.batches().count(), entry.last_sequence()), (0, Sequence::NONE));
    }

    #[test]
    fn a_batch_knows_where_it_begins() {
        let spanning = batch(2, 100, 5);
        assert_eq!(spanning.first_sequence(), Sequence::new(i32::MAX - 2));
        assert_eq!(spanning.first_offset(), Offset::new(95));
        assert_eq!(batch(-1, 100, 5).first_sequence(), Sequence::NONE);
        assert_eq!(batch(1, 3, 5).first_offset(), Offset::ZERO, "a hostile snapshot does no harm");
    }
}
