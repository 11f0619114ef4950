//! What a leader asks of a batch before it is appended, and what it changes in one. Kafka's `LogValidator`.
//!
//! Offsets and the leader's epoch are stamped later, when they are known: nothing here depends on them.

mod records;

use crate::error::{Error, ErrorKind, InvalidRecordReason, Result};
use crate::log::config::{LogConfig, TopicCompression};
use crate::log::origin::Origin;
use crate::record::batch_header::HEADER_LEN;
use crate::record::{BatchBuilder, BatchHeader, Compression, DecompressionLimits, Payload, RecordBatch};
use crate::record::{stamp, stamp_time};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, Sequence, Timestamp, TimestampType};

/// What a batch is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidationRules<'a> {
    /// The topic's settings.
    pub(crate) config: &'a LogConfig,
    /// How far a compressed batch may expand.
    pub(crate) limits: DecompressionLimits,
    /// Who sent it.
    pub(crate) origin: Origin,
    /// The time.
    pub(crate) now: Timestamp,
}

/// A batch that may be appended, as it is to be stored but for offset and epoch.
#[derive(Debug)]
pub(crate) struct Validated<'a> {
    header: BatchHeader,
    head: [u8; HEADER_LEN],
    rest: Rest<'a>,
}

#[derive(Debug)]
enum Rest<'a> {
    /// The records as they came.
    Kept(&'a [u8]),
    /// A batch that was encoded again.
    Rebuilt(Vec<u8>),
}

impl Validated<'_> {
    /// The header, as it will be stored.
    pub(crate) fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The header's bytes.
    pub(crate) fn head(&self) -> &[u8; HEADER_LEN] {
        &self.head
    }

    /// The bytes behind the header.
    pub(crate) fn section(&self) -> &[u8] {
        match &self.rest {
            Rest::Kept(section) => section,
            Rest::Rebuilt(batch) => batch.get(HEADER_LEN..).unwrap_or_default(),
        }
    }

    /// Whether the records were encoded again, and not only the header changed.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test asks for it"))]
    pub(crate) fn is_rebuilt(&self) -> bool {
        matches!(self.rest, Rest::Rebuilt(_))
    }

    /// Gives the batch its place and its leader.
    pub(crate) fn stamp(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        stamp(&mut self.head, base_offset, leader_epoch);
    }
}

/// The one batch that `bytes` are. Producers send batches one by one.
///
/// # Errors
/// Those of [`RecordBatch::parse`], and [`ErrorKind::InvalidRecord`] for none and for several.
pub(crate) fn single_batch<B: AsRef<[u8]>>(bytes: B) -> Result<RecordBatch<B>> {
    let all = bytes.as_ref();
    let header = RecordBatch::parse(all).map(|batch| *batch.header()).map_err(|error| {
        let first = BatchHeader::parse(all).map_or(usize::MAX, |header| header.size());
        if all.is_empty() || all.get(first..).is_some_and(|rest| BatchHeader::parse(rest).is_ok()) {
            let message = format!("{} bytes to append are not exactly one batch", all.len());
            return Error::invalid_record(InvalidRecordReason::Count, message);
        }
        error
    })?;
    Ok(RecordBatch::trusted(header, bytes))
}

/// Checks a batch, and makes of it what is to be stored. A leader's batch is stored as it is.
///
/// # Errors
/// [`ErrorKind::BatchTooLarge`], [`ErrorKind::InvalidRecord`], [`ErrorKind::InvalidTimestamp`], and those of decoding
/// and decompressing the records.
pub(crate) fn validate<'a, B: AsRef<[u8]>>(
    batch: &'a RecordBatch<B>,
    rules: &ValidationRules<'_>,
) -> Result<Validated<'a>> {
    if rules.origin == Origin::Replication {
        return Ok(kept(batch));
    }
    check_size(batch.header(), rules)?;
    check_header(batch.header(), rules.origin)?;
    if batch.attributes().is_control() {
        return stamped(batch, batch.max_timestamp(), rules);
    }
    // A client that claims the time of the append is held to its records' own times.
    let own_times = batch.attributes().with_timestamp_type(TimestampType::CreateTime);
    let own = RecordBatch::trusted(BatchHeader { attributes: own_times, ..*batch.header() }, batch.bytes());
    let payload = own.payload(&rules.limits)?;
    let scan = records::Scan::new(batch.header(), rules);
    let compressed = own.attributes().codec() != 0;
    let source = Compression::from_codec(own.attributes().codec())?;
    let target = match rules.config.compression {
        TopicCompression::Producer => source,
        TopicCompression::Codec(codec) => codec,
    };
    match scan.run(&payload) {
        Ok(max_timestamp) if source == target => stamped(batch, max_timestamp, rules),
        Ok(_) => rebuilt(own.header(), &payload, target, rules),
        Err(error) if compressed && error.invalid_record_reason() == Some(InvalidRecordReason::Offset) => {
            scan.walk(payload.renumbered_records())?;
            rebuilt(own.header(), &payload, target, rules)
        }
        Err(error) => Err(error),
    }
}

fn check_size(header: &BatchHeader, rules: &ValidationRules<'_>) -> Result<()> {
    let config = rules.config;
    // A marker that found no room would leave its transaction open for ever.
    let (limit, name) = if header.attributes.is_control() || config.segment_bytes < config.max_message_bytes {
        (config.segment_bytes, "segment.bytes")
    } else {
        (config.max_message_bytes, "max.message.bytes")
    };
    if header.size() as u64 <= u64::from(limit) {
        return Ok(());
    }
    let message = format!("batch has {} bytes, {name} allows {limit}", header.size());
    Err(Error::new(ErrorKind::BatchTooLarge, message))
}

fn check_header(header: &BatchHeader, origin: Origin) -> Result<()> {
    use InvalidRecordReason as Reason;
    let refuse = |reason, message| Err(Error::invalid_record(reason, message));
    let offsets = header.offset_count();
    if header.record_count == 0 || u64::from(header.record_count.cast_unsigned()) != offsets {
        return refuse(Reason::Count, format!("batch states {} records, but {offsets} offsets", header.record_count));
    }
    if header.attributes.has_undefined_bits() || header.attributes.has_delete_horizon() {
        return refuse(Reason::Attributes, format!("batch has attributes {:#06x}", header.attributes.bits()));
    }
    if header.attributes.is_transactional() && !header.producer_id.is_some() {
        return refuse(Reason::ProducerId, "transactional batch has no producer id".into());
    }
    if header.producer_id.is_some() && header.producer_epoch < ProducerEpoch::new(0) {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        return refuse(Reason::ProducerId, format!("batch of producer {id} has epoch {epoch}"));
    }
    if origin == Origin::Client { check_client_header(header) } else { Ok(()) }
}

fn check_client_header(header: &BatchHeader) -> Result<()> {
    use InvalidRecordReason as Reason;
    let refuse = |reason, message| Err(Error::invalid_record(reason, message));
    if header.attributes.is_control() {
        return refuse(Reason::ControlFromClient, "batch has the control bit set".into());
    }
    if header.base_offset != Offset::ZERO {
        return refuse(Reason::OffsetRange, format!("batch of a client has base offset {}", header.base_offset));
    }
    if header.producer_id.is_some() && header.base_sequence < Sequence::ZERO {
        let (id, sequence) = (header.producer_id, header.base_sequence);
        return refuse(Reason::Sequence, format!("batch of producer {id} has sequence {sequence}"));
    }
    Ok(())
}

fn kept<B: AsRef<[u8]>>(batch: &RecordBatch<B>) -> Validated<'_> {
    let (head, section) = batch.bytes().split_first_chunk().unwrap_or((&[0; HEADER_LEN], &[]));
    Validated { header: *batch.header(), head: *head, rest: Rest::Kept(section) }
}

/// The batch in place, with the times that are to be stored.
fn stamped<'a, B: AsRef<[u8]>>(
    batch: &'a RecordBatch<B>,
    max_timestamp: Timestamp,
    rules: &ValidationRules<'_>,
) -> Result<Validated<'a>> {
    let mut validated = kept(batch);
    let timestamp_type = rules.config.timestamp_type;
    let max_timestamp = append_time(rules).unwrap_or(max_timestamp);
    let header = &validated.header;
    if header.max_timestamp != max_timestamp || header.attributes.timestamp_type() != timestamp_type {
        stamp_time(&mut validated.head, batch.section(), timestamp_type, max_timestamp);
        validated.header = BatchHeader::parse(&validated.head)?;
    }
    Ok(validated)
}

/// The same records in a batch with another codec, or with offsets put right.
fn rebuilt<'a>(
    header: &BatchHeader,
    payload: &Payload<'_>,
    target: Compression,
    rules: &ValidationRules<'_>,
) -> Result<Validated<'a>> {
    let mut builder = BatchBuilder::new();
    set_compression(&mut builder, target, rules.config)?;
    builder.producer(header.producer_id, header.producer_epoch, header.base_sequence);
    builder.transactional(header.attributes.is_transactional()).base_offset(header.base_offset);
    builder.append_time(append_time(rules));
    for record in payload.renumbered_records() {
        builder.push_view(&record?)?;
    }
    let batch = builder.finish()?.unwrap_or_default().to_vec();
    let header = BatchHeader::parse(&batch)?;
    check_size(&header, rules)?;
    let head = *batch.first_chunk().unwrap_or(&[0; HEADER_LEN]);
    Ok(Validated { header, head, rest: Rest::Rebuilt(batch) })
}

fn set_compression(builder: &mut BatchBuilder, target: Compression, config: &LogConfig) -> Result<()> {
    // A codec that the producer chose is used at its default level, one of the topic at the topic's.
    let level = match (config.compression, target) {
        (TopicCompression::Producer, _) => None,
        (_, Compression::Gzip) => Some(config.gzip_level),
        (_, Compression::Lz4) => Some(config.lz4_level),
        (_, Compression::Zstd) => Some(config.zstd_level),
        _ => None,
    };
    match level {
        Some(level) => builder.compression_level(target, level)?,
        None => builder.compression(target),
    };
    Ok(())
}

/// The time that stands for those of the records, on a topic that wants it so.
fn append_time(rules: &ValidationRules<'_>) -> Option<Timestamp> {
    (rules.config.timestamp_type == TimestampType::LogAppendTime).then_some(rules.now)
}

#[cfg(test)]
mod tests;
