//! What becomes of each batch: kept as it is, rebuilt of what is left of it, left without records, or gone.
//!
//! Kafka's `Cleaner.cleanInto` and `MemoryRecords.filterTo`. A batch that nothing goes of stays as it is, byte for byte.
//! One that is rebuilt keeps its place, its codec, its producer and its last offset.

use std::collections::HashMap;

use crate::compaction::keys::{TOGETHER, control_of};
use crate::compaction::offset_map::{KeyHash, OffsetMap};
use crate::compaction::transactions::Transactions;
use crate::error::Result;
use crate::log::checkpoint::Cleaned;
use crate::log::cleaning::LastRecord;
use crate::record::{BatchBuilder, BatchHeader, Compression, DecompressionLimits, Payload, RecordBatch, empty_batch};
use crate::segment::AbortedTransaction;
use crate::types::{Offset, ProducerId, Timestamp, TimestampType};

/// What holds for all batches of one cleaning.
pub(super) struct Rules {
    /// The last offsets of the keys that were dirty.
    pub(super) map: OffsetMap,
    /// What keeps each producer known.
    pub(super) producers: HashMap<ProducerId, LastRecord>,
    /// Where the cleaning ends: the batch that ends there stays, if without records, so that the log's end is known.
    pub(super) upper_bound: Offset,
    /// When the cleaning began.
    pub(super) now: Timestamp,
    /// `delete.retention.ms`.
    pub(super) delete_retention: i64,
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    /// It stays as it is.
    Same,
    /// These bytes take its place.
    Changed(&'a [u8]),
    /// It goes.
    Gone,
}

/// A record, as far as its fate is concerned.
#[derive(Clone, Copy)]
struct Seen {
    key: Option<KeyHash>,
    offset: Offset,
    has_value: bool,
}

/// What was found about the records of a batch.
#[derive(Clone, Copy, Default)]
struct Judged {
    kept: usize,
    all: usize,
    /// One that is kept deletes its key.
    has_tombstone: bool,
}

/// Takes batches in the order of their offsets, all of a cleaning.
pub(super) struct Rewriter {
    rules: Rules,
    pub(super) transactions: Transactions,
    builder: BatchBuilder,
    empty: Vec<u8>,
    kept: Vec<bool>,
    seen: Vec<Seen>,
    /// The first delete horizon of what stays.
    pub(super) next_horizon: Timestamp,
    /// Records that went.
    pub(super) records_removed: u64,
}

impl Rewriter {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            transactions: Transactions::default(),
            builder: BatchBuilder::new(),
            empty: Vec::new(),
            kept: Vec::new(),
            seen: Vec::with_capacity(TOGETHER),
            next_horizon: Cleaned::NEVER,
            records_removed: 0,
        }
    }

    /// Where the cleaning ends.
    pub(super) fn upper_bound(&self) -> Offset {
        self.rules.upper_bound
    }

    /// The offset behind the last that the map tells of, or `otherwise`.
    pub(super) fn cleaned_to(&self, otherwise: Offset) -> Offset {
        self.rules.map.latest().map_or(otherwise, Offset::next)
    }

    /// What becomes of the batch that comes next; and the aborted transaction that ends with it, if batches of it stay.
    ///
    /// # Errors
    /// What decoding its records can answer.
    pub(super) fn batch(&mut self, batch: &RecordBatch<&[u8]>) -> Result<(Fate<'_>, Option<AbortedTransaction>)> {
        let header = *batch.header();
        let horizon = header.delete_horizon();
        let (mut is_void, mut may_go, mut aborted) = (false, false, None);
        if header.attributes.is_control() {
            let fate = self.transactions.on_control(&header, control_of(batch)?);
            is_void = fate.discard && horizon.is_some_and(|horizon| horizon <= self.rules.now);
            (may_go, aborted) = (fate.discard, fate.aborted);
        } else {
            is_void |= self.transactions.on_records(&header);
        }
        if is_void && !self.keeps_header(&header) {
            self.records_removed += u64::from(header.record_count.cast_unsigned());
            return Ok((Fate::Gone, aborted));
        }
        if is_void {
            self.records_removed += u64::from(header.record_count.cast_unsigned());
            return Ok((self.without_records(batch), aborted));
        }
        let payload = batch.payload(&DecompressionLimits::default())?;
        let judged = self.judge(&payload, &header)?;
        self.records_removed += (judged.all - judged.kept) as u64;
        let fate = match judged.kept {
            0 if self.keeps_header(&header) => self.without_records(batch),
            0 => Fate::Gone,
            kept => {
                let is_new = (judged.has_tombstone || may_go) && horizon.is_none();
                let horizon = if is_new { Some(self.horizon()) } else { horizon };
                if judged.has_tombstone || header.attributes.is_control() {
                    self.next_horizon = self.next_horizon.min(horizon.unwrap_or(Cleaned::NEVER));
                }
                if kept == judged.all && !is_new { Fate::Same } else { self.rebuilt(&header, &payload, horizon)? }
            }
        };
        Ok((fate, aborted))
    }

    /// When tombstones that this cleaning meets first may go.
    fn horizon(&self) -> Timestamp {
        let (now, retention) = (self.rules.now.millis(), self.rules.delete_retention);
        Timestamp::from_millis(now.saturating_add(retention))
    }

    /// Whether the batch's header tells something that nothing else does: the last of a producer that is known, or where
    /// the log goes on.
    fn keeps_header(&self, header: &BatchHeader) -> bool {
        let last = self.rules.producers.get(&header.producer_id).filter(|_| header.producer_id.is_some());
        let is_last = last.is_some_and(|last| match last.offset {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes.is_control() && header.producer_epoch == last.epoch,
        });
        is_last || header.next_offset() == self.rules.upper_bound
    }

    /// Finds out which records stay.
    fn judge(&mut self, payload: &Payload<'_>, header: &BatchHeader) -> Result<Judged> {
        self.kept.clear();
        let mut judged = Judged::default();
        let is_control = header.attributes.is_control();
        let tombstones_go = header.delete_horizon().is_some_and(|horizon| horizon <= self.rules.now);
        let mut records = payload.records();
        loop {
            self.seen.clear();
            let mut touched = 0;
            for record in records.by_ref().take(TOGETHER) {
                let record = record?;
                let key = record.key().map(|key| self.rules.map.hash(key));
                touched ^= key.map_or(0, |key| self.rules.map.touch(key));
                self.seen.push(Seen { key, offset: record.offset(), has_value: record.value().is_some() });
            }
            std::hint::black_box(touched);
            if self.seen.is_empty() {
                return Ok(judged);
            }
            for seen in &self.seen {
                let keep = is_control || self.rules.keep(seen, tombstones_go);
                self.kept.push(keep);
                judged.all += 1;
                judged.kept += usize::from(keep);
                judged.has_tombstone |= keep && !seen.has_value;
            }
        }
    }

    /// The batch of the records that stay.
    fn rebuilt(&mut self, header: &BatchHeader, payload: &Payload<'_>, horizon: Option<Timestamp>) -> Result<Fate<'_>> {
        let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        self.builder.clear();
        self.builder
            .compression(Compression::from_codec(header.attributes.codec())?)
            .append_time(append_time.then_some(header.max_timestamp))
            .producer(header.producer_id, header.producer_epoch, header.base_sequence)
            .transactional(header.attributes.is_transactional())
            .control(header.attributes.is_control())
            .base_offset(header.base_offset)
            .leader_epoch(header.leader_epoch)
            .delete_horizon(horizon)
            .last_offset(Some(header.last_offset()));
        for (record, keep) in payload.records().zip(&self.kept) {
            let record = record?;
            if *keep {
                self.builder.push_view(&record)?;
            }
        }
        Ok(self.builder.finish()?.map_or(Fate::Gone, Fate::Changed))
    }

    /// The batch's header alone.
    fn without_records(&mut self, batch: &RecordBatch<&[u8]>) -> Fate<'_> {
        self.empty = empty_batch(batch.header());
        if self.empty == batch.bytes() { Fate::Same } else { Fate::Changed(&self.empty) }
    }
}

impl Rules {
    /// Whether a record stays. One without a key has no place in a compacted log.
    #[inline]
    fn keep(&self, seen: &Seen, tombstones_go: bool) -> bool {
        if self.map.latest().is_none_or(|latest| seen.offset > latest) {
            return true;
        }
        let Some(key) = seen.key else { return false };
        self.map.get(key).is_none_or(|last| seen.offset >= last) && (seen.has_value || !tombstones_go)
    }
}
