//! Records and batches to bytes.

use super::batch_header::{
    Attributes, BASE_SEQUENCE, BASE_TIMESTAMP, BATCH_LENGTH, BatchHeader, CRC, CRC_START, HEADER_LEN, LEADER_EPOCH,
    LENGTH_OVERHEAD, MAGIC, MAGIC_V2, MAX_TIMESTAMP, PRODUCER_ID, RECORD_COUNT,
};
use super::checksum::crc32c;
use super::record::{Header, Record};
use super::record_view::{HeaderViews, RecordView};
use super::varint::{self, I32_LEN_MAX, I64_LEN_MAX, Short};
use crate::error::{Error, ErrorKind, Result};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// The largest section of records that a batch's length field can state.
pub(super) const SECTION_LEN_MAX: usize = i32::MAX as usize - (HEADER_LEN - LENGTH_OVERHEAD);

/// What of a record is not its key, value or headers, at most: length, attributes, two deltas, three lengths.
const OVERHEAD_MAX: usize = 4 * I32_LEN_MAX + 1 + I64_LEN_MAX + I32_LEN_MAX;

/// The fields of a record that is to be encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    pub(super) timestamp: Timestamp,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Headers<'a> {
    New(&'a [Header<'a>]),
    Encoded(HeaderViews<'a>),
}

impl<'a> Fields<'a> {
    /// Of a record handed in; `now` if it has no time of its own.
    #[inline]
    pub(super) fn of_record(record: &'a Record<'a>, now: Timestamp) -> Self {
        let timestamp = record.time().unwrap_or(now);
        let headers = Headers::New(record.headers());
        Self { timestamp, key: record.key_bytes(), value: record.value_bytes(), headers }
    }

    /// Of a record of another batch.
    pub(super) fn of_view(view: &RecordView<'a>) -> Self {
        let headers = Headers::Encoded(view.headers());
        Self { timestamp: view.timestamp(), key: view.key(), value: view.value(), headers }
    }

    /// Of a control record.
    pub(super) fn of_control(timestamp: Timestamp, key: &'a [u8], value: &'a [u8]) -> Self {
        Self { timestamp, key: Some(key), value: Some(value), headers: Headers::New(&[]) }
    }

    /// The most bytes that the record can take.
    #[inline]
    pub(super) fn size_max(&self) -> usize {
        let field = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        OVERHEAD_MAX + field(self.key) + field(self.value) + self.headers.size_max()
    }

    /// Checks the time.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        if self.timestamp < Timestamp::NONE {
            let message = format!("record has timestamp {}, the least is -1, for none", self.timestamp);
            return Err(Error::new(ErrorKind::InvalidTimestamp, message));
        }
        Ok(())
    }

    /// Appends the record to `buffer`. The caller has seen to it that its size is below that of a batch.
    #[inline]
    pub(super) fn put(&self, buffer: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32) {
        let [key, value] = [length(self.key), length(self.value)];
        let headers = self.headers.len();
        let body = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i32(offset_delta)
            + varint::len_i32(key)
            + self.key.map_or(0, <[u8]>::len)
            + varint::len_i32(value)
            + self.value.map_or(0, <[u8]>::len)
            + headers;
        buffer.reserve(OVERHEAD_MAX + body);
        let put_head = |short: &mut Short<'_>| {
            short.put_i32(narrow(body));
            short.put(0);
            short.put_i64(timestamp_delta);
            short.put_i32(offset_delta);
            short.put_i32(key);
        };
        if let Some(bytes) = self.key {
            varint::put_short(buffer, put_head);
            buffer.extend_from_slice(bytes);
            varint::put_i32(buffer, value);
        } else {
            varint::put_short(buffer, |short| {
                put_head(short);
                short.put_i32(value);
            });
        }
        buffer.extend_from_slice(self.value.unwrap_or_default());
        self.headers.put(buffer);
    }
}

impl Headers<'_> {
    fn count(&self) -> usize {
        match self {
            Self::New(headers) => headers.len(),
            Self::Encoded(headers) => headers.len(),
        }
    }

    fn size_max(&self) -> usize {
        let one = |header: &Header<'_>| 2 * I32_LEN_MAX + header.name().len() + header.value().map_or(0, <[u8]>::len);
        match self {
            Self::New(headers) => headers.iter().map(one).sum(),
            Self::Encoded(headers) => headers.bytes().len(),
        }
    }

    /// The exact length, their number included.
    #[inline]
    fn len(&self) -> usize {
        let field = |bytes: Option<&[u8]>| varint::len_i32(length(bytes)) + bytes.map_or(0, <[u8]>::len);
        let one = |header: &Header<'_>| field(Some(header.name().as_bytes())) + field(header.value());
        varint::len_i32(narrow(self.count()))
            + match self {
                Self::New(headers) => headers.iter().map(one).sum(),
                Self::Encoded(headers) => headers.bytes().len(),
            }
    }

    #[inline]
    fn put(&self, buffer: &mut Vec<u8>) {
        if self.count() == 0 {
            return buffer.push(0);
        }
        self.put_each(buffer);
    }

    fn put_each(&self, buffer: &mut Vec<u8>) {
        varint::put_i32(buffer, narrow(self.count()));
        match self {
            Self::Encoded(headers) => buffer.extend_from_slice(headers.bytes()),
            Self::New(headers) => {
                for header in *headers {
                    let (name, value) = (header.name().as_bytes(), header.value());
                    put_nullable(buffer, narrow(name.len()), Some(name));
                    put_nullable(buffer, length(value), value);
                }
            }
        }
    }
}

/// The length as it is stored: −1 is null.
#[inline]
fn length(field: Option<&[u8]>) -> i32 {
    field.map_or(-1, |bytes| narrow(bytes.len()))
}

#[inline]
fn put_nullable(buffer: &mut Vec<u8>, length: i32, field: Option<&[u8]>) {
    varint::put_i32(buffer, length);
    buffer.extend_from_slice(field.unwrap_or_default());
}

/// A length that is known to be below that of the largest batch.
#[inline]
fn narrow(length: usize) -> i32 {
    debug_assert!(length <= SECTION_LEN_MAX, "sizes are checked before encoding");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "sizes are checked before encoding"
    )]
    let narrow = length as i32;
    narrow
}

/// Completes the batch in `bytes`, 61 bytes of any contents and a section: length and checksum are filled in, the
/// other fields are those of `header`.
#[inline]
pub(super) fn seal(bytes: &mut [u8], mut header: BatchHeader) {
    header.batch_length = narrow(bytes.len() - LENGTH_OVERHEAD);
    if let Some(place) = bytes.first_chunk_mut() {
        header.encode_into(place);
    }
    seal_with_crc(bytes);
}

/// Fills in the checksum of a batch that is complete but for it, and answers it.
#[inline]
pub(super) fn seal_with_crc(bytes: &mut [u8]) -> u32 {
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[CRC].copy_from_slice(&crc.to_be_bytes());
    crc
}

/// What compaction leaves of the batch with `header` where no record of it stays: its place, its producer and its largest
/// timestamp. Kafka's `DefaultRecordBatch.writeEmptyHeader`.
pub(crate) fn empty_batch(header: &BatchHeader) -> Vec<u8> {
    let attributes = Attributes::default()
        .with_timestamp_type(header.attributes.timestamp_type())
        .with_transactional(header.attributes.is_transactional())
        .with_control(header.attributes.is_control());
    let mut bytes = vec![0; HEADER_LEN];
    seal(&mut bytes, BatchHeader { attributes, base_timestamp: Timestamp::NONE, record_count: 0, ..*header });
    bytes
}

/// Encodes a record as a complete batch of its own into `buffer`, whose contents go. Answers the header that it wrote.
#[inline]
pub(super) fn put_single(buffer: &mut Vec<u8>, fields: &Fields<'_>) -> BatchHeader {
    /// All but the length, the checksum and the times.
    const HEADER: [u8; HEADER_LEN] = {
        let mut header = [0; HEADER_LEN];
        header[MAGIC.start] = MAGIC_V2.cast_unsigned();
        header[RECORD_COUNT.end - 1] = 1;
        let mut at = PRODUCER_ID.start;
        while at < BASE_SEQUENCE.end {
            header[at] = 0xff;
            at += 1;
        }
        let mut at = LEADER_EPOCH.start;
        while at < LEADER_EPOCH.end {
            header[at] = 0xff;
            at += 1;
        }
        header
    };
    let time = fields.timestamp.millis().to_be_bytes();
    buffer.clear();
    buffer.extend_from_slice(&HEADER);
    buffer[BASE_TIMESTAMP].copy_from_slice(&time);
    buffer[MAX_TIMESTAMP].copy_from_slice(&time);
    fields.put(buffer, 0, 0);
    let length = narrow(buffer.len() - LENGTH_OVERHEAD);
    buffer[BATCH_LENGTH].copy_from_slice(&length.to_be_bytes());
    let crc = seal_with_crc(buffer);
    BatchHeader {
        base_offset: Offset::ZERO,
        batch_length: length,
        leader_epoch: LeaderEpoch::NONE,
        crc,
        attributes: Attributes::default(),
        last_offset_delta: 0,
        base_timestamp: fields.timestamp,
        max_timestamp: fields.timestamp,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: Sequence::NONE,
        record_count: 1,
    }
}

/// The error for a section of `size` bytes, if it is too large for any batch.
#[inline]
pub(super) fn check_section(size: usize) -> Result<()> {
    if size <= SECTION_LEN_MAX {
        return Ok(());
    }
    let message = format!("records take {size} bytes, a batch has room for {SECTION_LEN_MAX}");
    Err(Error::new(ErrorKind::BatchTooLarge, message))
}
