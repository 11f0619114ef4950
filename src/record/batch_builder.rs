//! Records in, an encoded batch out.

use super::batch_header::{Attributes, BatchHeader, HEADER_LEN};
use super::compression::Compression;
use super::encode::{self, Fields};
use super::record::Record;
use super::record_view::RecordView;
use crate::error::{Error, ErrorKind, InvalidRecordReason, Result};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType};

/// Gathers records and encodes them as one batch, again and again: buffers and settings stay from batch to batch.
///
/// ```
/// use riverbed::{BatchBuilder, Record, RecordBatch, Timestamp};
///
/// let mut builder = BatchBuilder::new();
/// builder.push(&Record::new().key("k").value("v"), Timestamp::from_millis(1_000))?;
/// let batch = RecordBatch::parse(builder.finish()?.expect("a record was pushed"))?;
/// assert_eq!(batch.record_count(), 1);
/// assert!(builder.finish()?.is_none(), "a batch has at least one record");
/// # Ok::<(), riverbed::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    settings: Settings,
    /// The batch as it grows: room for the header, then the records.
    buffer: Vec<u8>,
    /// The buffer's other half while it is compressed.
    compressed: Vec<u8>,
    count: u32,
    next_delta: u32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

#[derive(Clone, Debug)]
struct Settings {
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    compression: Compression,
    level: Option<i32>,
    append_time: Option<Timestamp>,
    delete_horizon: Option<Timestamp>,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: Sequence,
    transactional: bool,
    control: bool,
    last_offset: Option<Offset>,
}

impl Settings {
    const DEFAULT: Settings = Settings {
        base_offset: Offset::ZERO,
        leader_epoch: LeaderEpoch::NONE,
        compression: Compression::None,
        level: None,
        append_time: None,
        delete_horizon: None,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: Sequence::NONE,
        transactional: false,
        control: false,
        last_offset: None,
    };

    /// Control batches stay as they are.
    fn compression(&self) -> Compression {
        if self.control { Compression::None } else { self.compression }
    }

    fn attributes(&self) -> Attributes {
        let timestamp_type =
            if self.append_time.is_some() { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
        Attributes::default()
            .with_codec(self.compression().codec())
            .with_timestamp_type(timestamp_type)
            .with_transactional(self.transactional)
            .with_control(self.control)
            .with_delete_horizon(self.delete_horizon.is_some())
    }

    /// The fields that do not go together, if any.
    fn check(&self) -> Result<()> {
        let refuse = |reason, message: String| Err(Error::invalid_record(reason, message));
        if self.transactional && !self.producer_id.is_some() {
            return refuse(InvalidRecordReason::ProducerId, "transactional batch without a producer id".into());
        }
        if self.producer_id.is_some() && self.producer_epoch < ProducerEpoch::new(0) {
            let message = format!("producer {} has epoch {}", self.producer_id, self.producer_epoch);
            return refuse(InvalidRecordReason::ProducerId, message);
        }
        if self.producer_id.is_some() && self.base_sequence < Sequence::ZERO && !self.control {
            let message = format!("producer {} has sequence {}", self.producer_id, self.base_sequence);
            return refuse(InvalidRecordReason::Sequence, message);
        }
        Ok(())
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// A builder of uncompressed batches with base offset 0, no epoch, no producer, and the producer's timestamps.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings::DEFAULT,
            buffer: Vec::new(),
            compressed: Vec::new(),
            count: 0,
            next_delta: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Sets the codec, at its default level.
    pub fn compression(&mut self, compression: Compression) -> &mut Self {
        self.settings.compression = compression;
        self.settings.level = None;
        self
    }

    /// Sets the codec and its level.
    ///
    /// # Errors
    /// Those of [`Compression::check_level`]; the settings stay as they were.
    pub fn compression_level(&mut self, compression: Compression, level: i32) -> Result<&mut Self> {
        compression.check_level(level)?;
        self.settings.compression = compression;
        self.settings.level = Some(level);
        Ok(self)
    }

    /// Sets the time of the append, which then stands for the times of all records; `None` lets them have their own.
    pub fn append_time(&mut self, time: Option<Timestamp>) -> &mut Self {
        self.settings.append_time = time;
        self
    }

    /// Sets the idempotent producer and the sequence of the next batch's first record.
    pub fn producer(&mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: Sequence) -> &mut Self {
        self.settings.producer_id = id;
        self.settings.producer_epoch = epoch;
        self.settings.base_sequence = base_sequence;
        self
    }

    /// Makes the batches part of the producer's transaction, or not.
    pub fn transactional(&mut self, on: bool) -> &mut Self {
        self.settings.transactional = on;
        self
    }

    /// Sets the offset of the next batch's first record. A leader sets its own.
    pub fn base_offset(&mut self, offset: Offset) -> &mut Self {
        self.settings.base_offset = offset;
        self
    }

    /// Sets the leader epoch. A leader sets its own.
    pub fn leader_epoch(&mut self, epoch: LeaderEpoch) -> &mut Self {
        self.settings.leader_epoch = epoch;
        self
    }

    /// Makes the batches control batches, which are never compressed, or not.
    pub(crate) fn control(&mut self, on: bool) -> &mut Self {
        self.settings.control = on;
        self
    }

    /// Sets the time from which compaction may drop the tombstones; it takes the place of the base timestamp. To be
    /// set before the first record.
    pub(crate) fn delete_horizon(&mut self, horizon: Option<Timestamp>) -> &mut Self {
        self.settings.delete_horizon = horizon;
        self
    }

    /// Sets the last offset of the next batch, which lies behind its last record where compaction dropped some.
    pub(crate) fn last_offset(&mut self, offset: Option<Offset>) -> &mut Self {
        self.settings.last_offset = offset;
        self
    }

    /// Adds a record at the next offset. `now` is its time if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTimestamp`] for a time below −1 or too far from that of the first record;
    /// [`ErrorKind::BatchTooLarge`] if the format has no room for it. The batch stays as it was.
    #[inline]
    pub fn push(&mut self, record: &Record<'_>, now: Timestamp) -> Result<()> {
        self.push_fields(&Fields::of_record(record, now), self.next_delta)
    }

    /// Adds a record of another batch at its own offset.
    ///
    /// # Errors
    /// As [`push`](Self::push), and [`ErrorKind::InvalidRecord`] for an offset that does not lie behind the last one.
    pub(crate) fn push_view(&mut self, view: &RecordView<'_>) -> Result<()> {
        let delta = view.offset().since(self.settings.base_offset).and_then(|delta| u32::try_from(delta).ok());
        let Some(delta) = delta.filter(|delta| *delta >= self.next_delta) else {
            let (offset, base) = (view.offset(), self.settings.base_offset);
            let message = format!("offset {offset} does not follow in a batch at {base}");
            return Err(Error::invalid_record(InvalidRecordReason::Offset, message));
        };
        self.push_fields(&Fields::of_view(view), delta)
    }

    #[inline]
    pub(super) fn push_fields(&mut self, fields: &Fields<'_>, delta: u32) -> Result<()> {
        if self.count == 0 {
            self.start(fields.timestamp);
        }
        fields.check()?;
        encode::check_section((self.buffer.len() - HEADER_LEN).saturating_add(fields.size_max()))?;
        let timestamp_delta = fields.timestamp.millis().checked_sub(self.base_timestamp.millis()).ok_or_else(|| {
            let (time, base) = (fields.timestamp, self.base_timestamp);
            Error::new(ErrorKind::InvalidTimestamp, format!("record has time {time}, too far from {base}"))
        })?;
        let Ok(offset_delta) = i32::try_from(delta) else {
            return Err(Error::new(ErrorKind::BatchTooLarge, "a batch spans at most 2^31 offsets"));
        };
        fields.put(&mut self.buffer, timestamp_delta, offset_delta);
        self.max_timestamp = self.max_timestamp.max(fields.timestamp);
        self.next_delta = delta + 1;
        self.count += 1;
        Ok(())
    }

    fn start(&mut self, first: Timestamp) {
        self.buffer.clear();
        self.buffer.resize(HEADER_LEN, 0);
        self.base_timestamp = self.settings.delete_horizon.unwrap_or(first);
        self.max_timestamp = Timestamp::NONE;
        self.next_delta = 0;
    }

    /// How many records were pushed since the last batch.
    #[must_use]
    pub fn record_count(&self) -> usize {
        self.count as usize
    }

    /// Whether there is nothing to encode.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's size so far, exact if it is not compressed.
    #[must_use]
    pub fn size(&self) -> usize {
        if self.count == 0 { HEADER_LEN } else { self.buffer.len() }
    }

    /// The size that the batch can reach at most with one more record, before compression.
    #[must_use]
    pub fn size_with(&self, record: &Record<'_>) -> usize {
        self.size() + Fields::of_record(record, Timestamp::NONE).size_max()
    }

    /// Forgets the records pushed since the last batch.
    pub fn clear(&mut self) {
        self.count = 0;
        self.next_delta = 0;
    }

    /// Encodes the batch and starts the next one. `None` if no record was pushed. The bytes stay until then.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRecord`] if producer, epoch, sequence and transaction do not go together,
    /// [`ErrorKind::UnsupportedCompression`] if the codec is not compiled in. The records stay.
    pub fn finish(&mut self) -> Result<Option<&[u8]>> {
        if self.count == 0 {
            return Ok(None);
        }
        self.settings.check()?;
        let header = self.header()?;
        let compression = self.settings.compression();
        if compression != Compression::None {
            self.compressed.clear();
            self.compressed.resize(HEADER_LEN, 0);
            compression.compress(self.settings.level, &self.buffer[HEADER_LEN..], &mut self.compressed)?;
            encode::check_section(self.compressed.len() - HEADER_LEN)?;
            std::mem::swap(&mut self.buffer, &mut self.compressed);
        }
        encode::seal(&mut self.buffer, header);
        self.clear();
        Ok(Some(&self.buffer))
    }

    fn header(&self) -> Result<BatchHeader> {
        let settings = &self.settings;
        let last_delta = match settings.last_offset {
            Some(last) => last.since(settings.base_offset),
            None => Some(u64::from(self.next_delta) - 1),
        };
        let last_delta = last_delta.filter(|delta| delta + 1 >= u64::from(self.next_delta));
        let Some(last_offset_delta) = last_delta.and_then(|delta| i32::try_from(delta).ok()) else {
            let message = format!("a batch at {} cannot end where it is asked to", settings.base_offset);
            return Err(Error::invalid_record(InvalidRecordReason::OffsetRange, message));
        };
        Ok(BatchHeader {
            base_offset: settings.base_offset,
            batch_length: 0,
            leader_epoch: settings.leader_epoch,
            crc: 0,
            attributes: settings.attributes(),
            last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: settings.append_time.unwrap_or(self.max_timestamp),
            producer_id: settings.producer_id,
            producer_epoch: settings.producer_epoch,
            base_sequence: settings.base_sequence,
            record_count: self.count.cast_signed(),
        })
    }
}

/// Encodes `record` as a complete batch of its own, uncompressed, at offset 0, into `buffer`, whose contents go. `now`
/// is its time if it has none. Answers the batch's header.
///
/// # Errors
/// [`ErrorKind::InvalidTimestamp`] for a time below −1, [`ErrorKind::BatchTooLarge`] if the format has no room for it.
#[inline]
pub(crate) fn encode_single(buffer: &mut Vec<u8>, record: &Record<'_>, now: Timestamp) -> Result<BatchHeader> {
    let fields = Fields::of_record(record, now);
    fields.check()?;
    encode::check_section(fields.size_max())?;
    Ok(encode::put_single(buffer, &fields))
}

#[cfg(test)]
mod tests;
