//! A record batch: a header and its records, checked, borrowed or shared. The unit of writing, storing and fetching.

use std::borrow::Cow;

use bytes::Bytes;

use super::batch_header::{Attributes, BatchHeader, CRC_START, HEADER_LEN};
use super::checksum::crc32c;
use super::compression::Compression;
use super::payload::{DecompressionLimits, Payload};
use crate::error::{CorruptionReason, Error, Result};
use crate::types::{Offset, Timestamp};

/// A batch whose bytes are exactly as long as its header says and fit its checksum.
///
/// Whether its records obey the format shows when they are read.
#[derive(Clone, Debug)]
pub struct RecordBatch<B: AsRef<[u8]> = Bytes> {
    header: BatchHeader,
    bytes: B,
}

impl<B: AsRef<[u8]>> RecordBatch<B> {
    /// Checks that `bytes` are one batch: its header, its length, its checksum.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`], and [`Corruption`](crate::ErrorKind::Corruption) if bytes are missing or left
    /// over, or if the checksum does not fit.
    pub fn parse(bytes: B) -> Result<Self> {
        let header = BatchHeader::parse(bytes.as_ref())?;
        check_size(&header, bytes.as_ref().len())?;
        check_crc(&header, bytes.as_ref())?;
        Ok(Self { header, bytes })
    }

    /// A batch that has been checked before. `bytes` must be those that `header` was parsed from, to their end.
    pub(crate) fn trusted(header: BatchHeader, bytes: B) -> Self {
        debug_assert_eq!(header.size(), bytes.as_ref().len(), "the bytes of a batch end where its header says");
        Self { header, bytes }
    }

    /// Computes the checksum once more, for bytes in a map whose page may have been lost since.
    ///
    /// # Errors
    /// [`Corruption`](crate::ErrorKind::Corruption) if it does not fit.
    pub fn check(&self) -> Result<()> {
        check_crc(&self.header, self.bytes.as_ref())
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Codec and flags.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.header.attributes
    }

    /// Offset of the first record as it was appended.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// Offset of the last record as it was appended.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset behind the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// The largest timestamp of its records.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        self.header.max_timestamp
    }

    /// How many records it has.
    #[must_use]
    pub fn record_count(&self) -> usize {
        usize::try_from(self.header.record_count).unwrap_or(0)
    }

    /// Its size in bytes, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.as_ref().len()
    }

    /// Its bytes, header included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Its bytes, in the form they came in.
    #[must_use]
    pub fn into_bytes(self) -> B {
        self.bytes
    }

    /// The bytes behind the header: records, or the compressed stream of them.
    #[must_use]
    pub(crate) fn section(&self) -> &[u8] {
        self.bytes.as_ref().get(HEADER_LEN..).unwrap_or_default()
    }

    /// The records, decompressed within `limits` if they are compressed. Uncompressed ones are not copied.
    ///
    /// # Errors
    /// [`InvalidRecord`](crate::ErrorKind::InvalidRecord) for a number of records that is not possible,
    /// [`InvalidTimestamp`](crate::ErrorKind::InvalidTimestamp) for a base or an append time below −1; of a compressed batch
    /// [`UnsupportedCompression`](crate::ErrorKind::UnsupportedCompression),
    /// [`Corruption`](crate::ErrorKind::Corruption) or
    /// [`DecompressedTooLarge`](crate::ErrorKind::DecompressedTooLarge).
    pub fn payload(&self, limits: &DecompressionLimits) -> Result<Payload<'_>> {
        let section = self.section();
        if self.header.attributes.codec() == 0 || (self.header.record_count == 0 && section.is_empty()) {
            return Payload::new(self.header, Cow::Borrowed(section));
        }
        let records = Compression::from_codec(self.header.attributes.codec())?.decompress(section, limits)?;
        Payload::new(self.header, Cow::Owned(records))
    }

    /// The same batch, borrowed.
    pub fn borrowed(&self) -> RecordBatch<&[u8]> {
        RecordBatch { header: self.header, bytes: self.bytes.as_ref() }
    }
}

impl<B: AsRef<[u8]>> PartialEq for RecordBatch<B> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl<B: AsRef<[u8]>> Eq for RecordBatch<B> {}

fn check_size(header: &BatchHeader, found: usize) -> Result<()> {
    let (expected, found) = (header.size() as u64, found as u64);
    if found < expected {
        return Err(Error::corrupt(0, CorruptionReason::Truncated { expected, found }));
    }
    if found > expected {
        return Err(Error::corrupt(expected, CorruptionReason::Trailing { expected, found }));
    }
    Ok(())
}

#[inline]
fn check_crc(header: &BatchHeader, bytes: &[u8]) -> Result<()> {
    let expected = crc32c(bytes.get(CRC_START..).unwrap_or_default());
    if expected == header.crc {
        return Ok(());
    }
    Err(Error::corrupt(0, CorruptionReason::Crc { expected, found: header.crc }))
}

#[cfg(test)]
mod tests;
