//! The 61 bytes in front of every batch: field places, attributes, what can be told from a header alone.
//!
//! Kafka's `DefaultRecordBatch`. Base offset, length and leader epoch lie outside of the checksum.

use std::ops::Range;

use crate::error::{CorruptionReason, Error, ErrorKind, InvalidRecordReason, Result};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType};

pub(crate) const BASE_OFFSET: Range<usize> = 0..8;
pub(crate) const BATCH_LENGTH: Range<usize> = BASE_OFFSET.end..BASE_OFFSET.end + 4;
pub(crate) const LEADER_EPOCH: Range<usize> = BATCH_LENGTH.end..BATCH_LENGTH.end + 4;
pub(crate) const MAGIC: Range<usize> = LEADER_EPOCH.end..LEADER_EPOCH.end + 1;
pub(crate) const CRC: Range<usize> = MAGIC.end..MAGIC.end + 4;
pub(crate) const ATTRIBUTES: Range<usize> = CRC.end..CRC.end + 2;
pub(crate) const LAST_OFFSET_DELTA: Range<usize> = ATTRIBUTES.end..ATTRIBUTES.end + 4;
pub(crate) const BASE_TIMESTAMP: Range<usize> = LAST_OFFSET_DELTA.end..LAST_OFFSET_DELTA.end + 8;
pub(crate) const MAX_TIMESTAMP: Range<usize> = BASE_TIMESTAMP.end..BASE_TIMESTAMP.end + 8;
pub(crate) const PRODUCER_ID: Range<usize> = MAX_TIMESTAMP.end..MAX_TIMESTAMP.end + 8;
pub(crate) const PRODUCER_EPOCH: Range<usize> = PRODUCER_ID.end..PRODUCER_ID.end + 2;
pub(crate) const BASE_SEQUENCE: Range<usize> = PRODUCER_EPOCH.end..PRODUCER_EPOCH.end + 4;
pub(crate) const RECORD_COUNT: Range<usize> = BASE_SEQUENCE.end..BASE_SEQUENCE.end + 4;

/// Length of a batch's header, and so of the smallest batch.
pub(crate) const HEADER_LEN: usize = RECORD_COUNT.end;
const _: () = assert!(HEADER_LEN == 61);

/// Bytes in front of what the length field counts: base offset and the length itself.
pub(crate) const LENGTH_OVERHEAD: usize = BATCH_LENGTH.end;
const _: () = assert!(LENGTH_OVERHEAD == 12);

/// Where the checksum's range starts; it ends with the batch.
pub(crate) const CRC_START: usize = ATTRIBUTES.start;
const _: () = assert!(CRC_START == 21);

/// The only format version that is written since Kafka 0.11.
pub(crate) const MAGIC_V2: i8 = 2;

/// A batch's attribute bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;
    const DEFINED: i16 = 0x7f;

    /// The bits as stored.
    #[must_use]
    pub const fn from_bits(bits: i16) -> Self {
        Self(bits)
    }

    /// The bits as stored.
    #[must_use]
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// The codec's number, 0 to 7, of which 5 to 7 do not exist.
    #[must_use]
    pub const fn codec(self) -> u8 {
        (self.0 & Self::CODEC).to_be_bytes()[1]
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch is a control batch, which readers do not see.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the delete horizon of compaction (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// Whether bits are set that mean nothing.
    #[must_use]
    pub const fn has_undefined_bits(self) -> bool {
        self.0 & !Self::DEFINED != 0
    }

    /// With another codec.
    #[must_use]
    pub const fn with_codec(self, codec: u8) -> Self {
        Self((self.0 & !Self::CODEC) | (codec as i16 & Self::CODEC))
    }

    /// With another timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(Self::APPEND_TIME, matches!(timestamp_type, TimestampType::LogAppendTime))
    }

    /// Transactional, or not.
    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        self.with(Self::TRANSACTIONAL, on)
    }

    /// Control, or not.
    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        self.with(Self::CONTROL, on)
    }

    /// With the base timestamp meant as delete horizon, or not.
    #[must_use]
    pub const fn with_delete_horizon(self, on: bool) -> Self {
        self.with(Self::DELETE_HORIZON, on)
    }

    const fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// A batch's header, decoded.
///
/// Fields are as stored; [`BatchHeader::parse`] has seen to it that lengths and offsets are possible. Whether the
/// checksum holds is known only of the batch as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchHeader {
    /// Offset of the first record as it was appended; stays when compaction removes that record.
    pub base_offset: Offset,
    /// Bytes behind the length field.
    pub batch_length: i32,
    /// Which leader wrote it. Outside of the checksum.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of all from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Last offset minus base offset; stays when compaction removes records.
    pub last_offset_delta: i32,
    /// What the records' timestamps count from, or the delete horizon.
    pub base_timestamp: Timestamp,
    /// The largest timestamp of the records, or the time of the append.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, if any.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub base_sequence: Sequence,
    /// How many records there are: fewer than offsets, possibly none, after compaction.
    pub record_count: i32,
}

impl BatchHeader {
    /// Decodes the header at the start of `bytes`, and checks what can be checked without the rest: that the length,
    /// the magic and the offsets are possible. Reads nothing behind the header.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`] for fewer than 61 bytes, a length below 49 or a negative base offset;
    /// [`ErrorKind::UnsupportedMagic`] for another version; [`ErrorKind::InvalidRecord`] for a negative count, or a
    /// last offset that is negative or beyond the largest.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(Self::too_short(bytes));
        };
        let header = Self {
            base_offset: Self::parse_base_offset(bytes)?,
            batch_length: i32_at(bytes, BATCH_LENGTH),
            leader_epoch: LeaderEpoch::new(i32_at(bytes, LEADER_EPOCH)),
            crc: u32::from_be_bytes(array(bytes, CRC)),
            attributes: Attributes(i16::from_be_bytes(array(bytes, ATTRIBUTES))),
            last_offset_delta: i32_at(bytes, LAST_OFFSET_DELTA),
            base_timestamp: Timestamp::from_millis(i64_at(bytes, BASE_TIMESTAMP)),
            max_timestamp: Timestamp::from_millis(i64_at(bytes, MAX_TIMESTAMP)),
            producer_id: ProducerId::new(i64_at(bytes, PRODUCER_ID)),
            producer_epoch: ProducerEpoch::new(i16::from_be_bytes(array(bytes, PRODUCER_EPOCH))),
            base_sequence: Sequence::new(i32_at(bytes, BASE_SEQUENCE)),
            record_count: i32_at(bytes, RECORD_COUNT),
        };
        header.check_length_and_magic(i8::from_be_bytes(array(bytes, MAGIC)))?;
        header.check_offsets()?;
        Ok(header)
    }

    fn too_short(bytes: &[u8]) -> Error {
        if let Some(magic) = bytes.get(MAGIC)
            && magic != [MAGIC_V2.cast_unsigned()]
        {
            return Self::unsupported_magic(i8::from_be_bytes([magic[0]]));
        }
        Error::corrupt(0, CorruptionReason::Truncated { expected: HEADER_LEN as u64, found: bytes.len() as u64 })
    }

    fn unsupported_magic(magic: i8) -> Error {
        Error::new(ErrorKind::UnsupportedMagic, format!("batch has magic {magic}, only 2 is supported"))
    }

    fn parse_base_offset(bytes: &[u8; HEADER_LEN]) -> Result<Offset> {
        let found = i64_at(bytes, BASE_OFFSET);
        Offset::from_i64(found).ok_or_else(|| {
            Error::corrupt(BASE_OFFSET.start as u64, CorruptionReason::Header(format!("base offset is {found}")))
        })
    }

    fn check_length_and_magic(&self, magic: i8) -> Result<()> {
        if magic != MAGIC_V2 {
            return Err(Self::unsupported_magic(magic));
        }
        if usize::try_from(self.batch_length).is_ok_and(|length| length + LENGTH_OVERHEAD >= HEADER_LEN) {
            return Ok(());
        }
        let reason = CorruptionReason::BatchLength { found: i64::from(self.batch_length) };
        Err(Error::corrupt(BATCH_LENGTH.start as u64, reason))
    }

    fn check_offsets(&self) -> Result<()> {
        if self.record_count < 0 {
            let message = format!("batch states {} records", self.record_count);
            return Err(Error::invalid_record(InvalidRecordReason::Count, message));
        }
        let last = u64::try_from(self.last_offset_delta).ok().and_then(|delta| self.base_offset.checked_add(delta));
        if last.is_none_or(|last| last == Offset::MAX) {
            let message =
                format!("batch at {} states a last offset {} behind it", self.base_offset, self.last_offset_delta);
            return Err(Error::invalid_record(InvalidRecordReason::OffsetRange, message));
        }
        Ok(())
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        self.encode_into(&mut bytes);
        bytes
    }

    /// Writes the header's bytes to where they belong: not by way of the stack, from which they could be copied on
    /// only after they have been stored.
    #[inline]
    pub(crate) fn encode_into(&self, bytes: &mut [u8; HEADER_LEN]) {
        bytes[BASE_OFFSET].copy_from_slice(&self.base_offset.as_i64().to_be_bytes());
        bytes[BATCH_LENGTH].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[LEADER_EPOCH].copy_from_slice(&self.leader_epoch.get().to_be_bytes());
        bytes[MAGIC].copy_from_slice(&MAGIC_V2.to_be_bytes());
        bytes[CRC].copy_from_slice(&self.crc.to_be_bytes());
        bytes[ATTRIBUTES].copy_from_slice(&self.attributes.bits().to_be_bytes());
        bytes[LAST_OFFSET_DELTA].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[BASE_TIMESTAMP].copy_from_slice(&self.base_timestamp.millis().to_be_bytes());
        bytes[MAX_TIMESTAMP].copy_from_slice(&self.max_timestamp.millis().to_be_bytes());
        bytes[PRODUCER_ID].copy_from_slice(&self.producer_id.get().to_be_bytes());
        bytes[PRODUCER_EPOCH].copy_from_slice(&self.producer_epoch.get().to_be_bytes());
        bytes[BASE_SEQUENCE].copy_from_slice(&self.base_sequence.get().to_be_bytes());
        bytes[RECORD_COUNT].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// The whole batch's size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        LENGTH_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record as it was appended.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset::new(self.base_offset.get() + u64::from(self.last_offset_delta.cast_unsigned()))
    }

    /// The offset behind the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// How many offsets it covers: as many as records were appended.
    #[must_use]
    pub fn offset_count(&self) -> u64 {
        u64::from(self.last_offset_delta.cast_unsigned()) + 1
    }

    /// Sequence of the last record as it was appended, or none.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence == Sequence::NONE {
            return Sequence::NONE;
        }
        self.base_sequence.increment(self.last_offset_delta.cast_unsigned())
    }

    /// The time from which tombstones of the batch may go, if compaction has set it (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }
}

/// Base offset, length and last offset delta: what it takes to go to the next batch, unchecked.
#[inline]
pub(crate) fn skim(bytes: &[u8; HEADER_LEN]) -> (i64, i32, i32) {
    (i64_at(bytes, BASE_OFFSET), i32_at(bytes, BATCH_LENGTH), i32_at(bytes, LAST_OFFSET_DELTA))
}

fn array<const N: usize>(bytes: &[u8; HEADER_LEN], place: Range<usize>) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[place]);
    field
}

fn i32_at(bytes: &[u8; HEADER_LEN], place: Range<usize>) -> i32 {
    i32::from_be_bytes(array(bytes, place))
}

fn i64_at(bytes: &[u8; HEADER_LEN], place: Range<usize>) -> i64 {
    i64::from_be_bytes(array(bytes, place))
}
