//! What a log knows of its producers, and which transactions are open. Kafka's `ProducerStateManager`.
//!
//! It follows from the batches, in their order: [`ProducerState::check`] asks whether one may be appended and changes
//! nothing; [`ProducerState::apply`] counts one that was.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::error::Result;
use crate::log::origin::Origin;
use crate::log::producer_check::{Check, Marker, check_data, check_marker};
use crate::log::producer_entry::{BatchMetadata, ProducerEntry};
use crate::log::verification::{Proof, Verification, VerificationGuard};
use crate::record::{BatchHeader, TransactionResult};
use crate::segment::transaction_index::AbortedTransaction;
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// The default of `transaction.max.timeout.ms`: no transaction may take longer.
const TRANSACTION_TIMEOUT_MAX_MS: i64 = 900_000;
/// What a coordinator may need to end one that did. Kafka's `LATE_TRANSACTION_BUFFER_MS`.
const LATE_BUFFER_MS: i64 = 300_000;

/// The producers and transactions of a log, up to an offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerState {
    producers: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions, by their first offset.
    ongoing: BTreeSet<(Offset, ProducerId)>,
    /// Transactions whose marker is not below the high watermark yet, by their first offset.
    unreplicated: BTreeSet<(Offset, ProducerId)>,
    /// The same ones by their marker.
    markers: VecDeque<(Offset, (Offset, ProducerId))>,
    /// Transactions that are about to begin.
    verifications: HashMap<ProducerId, Verification>,
    end: Offset,
}

/// A transaction whose marker was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompletedTransaction {
    /// How it ended.
    pub(crate) result: TransactionResult,
    /// What the transaction index gets to know if it was aborted.
    pub(crate) transaction: AbortedTransaction,
}

impl ProducerState {
    /// Nothing known, as of `end`.
    pub(crate) fn new(end: Offset) -> Self {
        Self { end, ..Self::default() }
    }

    /// What a snapshot tells, as of `end`, less the producers that are [due to be forgotten](Self::expire) by now.
    pub(crate) fn load(
        entries: impl IntoIterator<Item = (ProducerId, ProducerEntry)>,
        end: Offset,
        now: Timestamp,
        expiration_ms: i64,
    ) -> Self {
        let mut state = Self { producers: entries.into_iter().collect(), ..Self::new(end) };
        state.expire(now, expiration_ms);
        let open = state.producers.iter().filter_map(|(id, entry)| Some((entry.transaction_start?, *id)));
        state.ongoing = open.collect();
        state
    }

    /// Whether a batch may be appended, or was before. Costs a comparison where the batch has no producer.
    ///
    /// `marker` is what the batch's control record says, `None` if it has none or another one.
    ///
    /// # Errors
    /// As of [`check_data`] and [`check_marker`].
    #[inline]
    pub(crate) fn check(
        &self,
        header: &BatchHeader,
        marker: Option<Marker>,
        origin: Origin,
        proof: Proof,
    ) -> Result<Check> {
        if !header.producer_id.is_some() {
            return Ok(Check::New);
        }
        let unknown = ProducerEntry::default();
        let entry = self.producers.get(&header.producer_id).unwrap_or(&unknown);
        match marker {
            Some(marker) => check_marker(entry, header, marker, origin),
            None if header.attributes.is_control() => Ok(Check::New),
            None => check_data(entry, header, origin, (proof, self.verifications.get(&header.producer_id))),
        }
    }

    /// Counts a batch that was appended, its base offset in the header. Answers the transaction that it ends.
    #[inline]
    pub(crate) fn apply(&mut self, header: &BatchHeader, marker: Option<Marker>) -> Option<CompletedTransaction> {
        self.end = header.next_offset();
        if !header.producer_id.is_some() {
            return None;
        }
        if marker.is_some() || header.attributes.is_transactional() && !header.attributes.is_control() {
            self.verifications.remove(&header.producer_id);
        }
        match marker {
            Some(marker) => self.apply_marker(header, marker),
            None if header.attributes.is_control() => None,
            None => {
                self.apply_data(header);
                None
            }
        }
    }

    fn apply_data(&mut self, header: &BatchHeader) {
        let entry = self.producers.entry(header.producer_id).or_default();
        entry.enter(header.producer_epoch);
        entry.remember(BatchMetadata {
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta.cast_unsigned(),
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
        if header.attributes.is_transactional() && entry.transaction_start.is_none() {
            entry.transaction_start = Some(header.base_offset);
            self.ongoing.insert((header.base_offset, header.producer_id));
        }
    }

    fn apply_marker(&mut self, header: &BatchHeader, marker: Marker) -> Option<CompletedTransaction> {
        let entry = self.producers.entry(header.producer_id).or_default();
        entry.enter(header.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = header.max_timestamp;
        let (producer_id, last_offset) = (header.producer_id, header.last_offset());
        let first_offset = entry.transaction_start.take()?;
        self.ongoing.remove(&(first_offset, producer_id));
        self.unreplicated.insert((first_offset, producer_id));
        self.markers.push_back((last_offset, (first_offset, producer_id)));
        let last_stable_offset = self.ongoing.first().map_or(last_offset.next(), |(first, _)| *first);
        let transaction = AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
        Some(CompletedTransaction { result: marker.result, transaction })
    }

    /// The guard that the first batch of a transaction has to show: the one there is, or that of `new`. `None` if the
    /// transaction is open.
    pub(crate) fn begin_verification(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
        new: Verification,
    ) -> Option<VerificationGuard> {
        if self.producers.get(&id).is_some_and(|entry| entry.has_transaction_in(epoch)) {
            return None;
        }
        Some(self.verifications.entry(id).or_insert(new).again(epoch, sequence))
    }

    /// Forgets completed transactions whose marker lies below `offset`: the high watermark, or the log start.
    #[inline]
    pub(crate) fn on_replicated(&mut self, offset: Offset) {
        while let Some((marker, first)) = self.markers.front()
            && *marker < offset
        {
            self.unreplicated.remove(first);
            self.markers.pop_front();
        }
    }

    /// The first offset that a transaction keeps unstable: it is open, or its end is not replicated. The last stable
    /// offset is never above it.
    #[inline]
    pub(crate) fn first_unstable_offset(&self) -> Option<Offset> {
        if self.ongoing.is_empty() && self.unreplicated.is_empty() {
            return None;
        }
        let (ongoing, unreplicated) = (self.ongoing.first(), self.unreplicated.first());
        ongoing.into_iter().chain(unreplicated).map(|(first, _)| *first).min()
    }

    /// How many open transactions nothing was heard of for longer than any may take: signs of one that hangs, as its
    /// coordinator should have ended it. (`ProducerStateManager.hasLateTransaction`)
    pub(crate) fn late_transactions(&self, now: Timestamp) -> usize {
        let is_late = |entry: &ProducerEntry| {
            let silent = now.millis().saturating_sub(entry.last_timestamp.millis());
            entry.last_timestamp.is_some() && silent > TRANSACTION_TIMEOUT_MAX_MS + LATE_BUFFER_MS
        };
        self.ongoing.iter().filter(|(_, id)| self.producers.get(id).is_some_and(is_late)).count()
    }

    /// The open transaction that began first.
    #[cfg_attr(not(test), expect(dead_code, reason = "transactions ask for it, which are not there yet"))]
    pub(crate) fn oldest_transaction(&self) -> Option<(ProducerId, &ProducerEntry)> {
        let (_, id) = self.ongoing.first()?;
        self.producers.get(id).map(|entry| (*id, entry))
    }

    /// Forgets producers without an open transaction of which nothing came for `expiration_ms`. Answers how many.
    ///
    /// Their time is that of their records, so one that writes old records is forgotten early.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.verifications.retain(|_, verification| !verification.is_over(now, expiration_ms));
        self.producers.retain(|_, entry| {
            let silent = now.millis().saturating_sub(entry.last_timestamp.millis());
            entry.transaction_start.is_some() || silent < expiration_ms
        });
        before - self.producers.len()
    }

    /// The offset up to which all batches are counted.
    #[cfg_attr(not(test), expect(dead_code, reason = "transactions ask for it, which are not there yet"))]
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Moves the end up over offsets at which there is no batch: a segment that begins behind a gap.
    pub(crate) fn advance(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// What is known of a producer.
    #[cfg_attr(not(test), expect(dead_code, reason = "transactions ask for it, which are not there yet"))]
    pub(crate) fn producer(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.producers.get(&id)
    }

    /// All producers, in no order.
    pub(crate) fn producers(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }
}

#[cfg(test)]
mod tests;
