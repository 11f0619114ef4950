//! The records section of a batch: as it lies there, or decompressed within limits.

use std::borrow::Cow;

use super::batch_header::BatchHeader;
use super::record_view::{Frame, RECORD_LEN_MIN, RecordView, take_any_record, take_plain_record};
use crate::error::{Error, ErrorKind, InvalidRecordReason, Result};
use crate::types::{Timestamp, TimestampType};

/// How far a compressed batch may expand. What goes beyond is [`ErrorKind::DecompressedTooLarge`].
///
/// A batch's size is limited only as it is stored, so a few kilobytes of zstd may stand for gigabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecompressionLimits {
    /// The most bytes that the records of one batch may take. Default: 128 MiB.
    pub bytes_max: usize,
    /// The most bytes that one compressed byte may become, once they are more than 16 MiB. Default: 1,100, which no
    /// codec but zstd can reach; its bombs reach 30,000.
    pub ratio_max: usize,
}

impl Default for DecompressionLimits {
    fn default() -> Self {
        Self { bytes_max: 128 << 20, ratio_max: 1_100 }
    }
}

impl DecompressionLimits {
    /// What every batch may expand to, be its ratio what it may.
    const RATIO_FREE: usize = 16 << 20;

    /// The most bytes that a section of `compressed` bytes may become.
    pub(super) fn for_section(&self, compressed: usize) -> usize {
        compressed.saturating_mul(self.ratio_max).max(Self::RATIO_FREE).min(self.bytes_max)
    }
}

/// The records of a batch, decompressed if they had to be.
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    header: BatchHeader,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Payload<'a> {
    /// Checks that `bytes` can hold the records that `header` announces.
    pub(super) fn new(header: BatchHeader, bytes: Cow<'a, [u8]>) -> Result<Self> {
        let count = usize::try_from(header.record_count).unwrap_or(usize::MAX);
        if count > bytes.len() / RECORD_LEN_MIN {
            let message = format!(
                "batch at {} states {} records in {} bytes",
                header.base_offset,
                header.record_count,
                bytes.len()
            );
            return Err(Error::invalid_record(InvalidRecordReason::Count, message));
        }
        if header.base_timestamp < Timestamp::NONE {
            let message = format!("batch at {} has base timestamp {}", header.base_offset, header.base_timestamp);
            return Err(Error::new(ErrorKind::InvalidTimestamp, message));
        }
        let by_append = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        if by_append && header.max_timestamp < Timestamp::NONE {
            let message = format!("batch at {} was appended at {}", header.base_offset, header.max_timestamp);
            return Err(Error::new(ErrorKind::InvalidTimestamp, message));
        }
        Ok(Self { header, bytes })
    }

    /// The records one behind the other, as the format has them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Goes through the records.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.header, &self.bytes)
    }

    /// Goes through the records as if their offsets were right: for a compressed batch that is to be encoded again.
    pub(crate) fn renumbered_records(&self) -> Records<'_> {
        let mut records = Records::new(&self.header, &self.bytes);
        records.frame.renumber = true;
        records
    }
}

/// Goes through the records of a batch. After an error comes nothing more.
///
/// There are exactly as many as the header says and nothing behind them, their offsets grow, and none lies beyond the
/// batch's last: whatever breaks that is an error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    pub(super) rest: &'a [u8],
    pub(super) frame: Frame,
    pub(super) count: u32,
    pub(super) index: u32,
    pub(super) delta_min: u32,
}

impl<'a> Records<'a> {
    fn new(header: &BatchHeader, bytes: &'a [u8]) -> Self {
        let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        let frame = Frame {
            base_offset: header.base_offset.get(),
            last_offset_delta: header.last_offset_delta,
            base_timestamp: header.base_timestamp.millis(),
            append_time: append_time.then_some(header.max_timestamp),
            base_sequence: header.base_sequence,
            renumber: false,
        };
        Self { rest: bytes, frame, count: header.record_count.cast_unsigned(), index: 0, delta_min: 0 }
    }

    #[inline(never)]
    fn next_of_any_kind(&mut self) -> Option<Result<RecordView<'a>>> {
        if self.index == self.count {
            return if self.rest.is_empty() { None } else { self.miscounted() };
        }
        if self.rest.is_empty() {
            return self.miscounted();
        }
        match take_any_record(self.rest, &self.frame, self.delta_min) {
            Ok((record, delta, behind)) => {
                self.index += 1;
                self.delta_min = delta + 1;
                self.rest = behind;
                Some(Ok(record))
            }
            Err(flaw) => self.fail(flaw.into_error(self.index, self.frame.base_offset)),
        }
    }

    /// The error that ends the iteration.
    #[cold]
    fn fail(&mut self, error: Error) -> Option<Result<RecordView<'a>>> {
        self.index = self.count;
        self.rest = &[];
        Some(Err(error))
    }

    #[cold]
    fn miscounted(&mut self) -> Option<Result<RecordView<'a>>> {
        let (base, left, found) = (self.frame.base_offset, self.rest.len(), self.index);
        let message = format!("batch at {base} states {} records, has {found} and {left} bytes left", self.count);
        self.fail(Error::invalid_record(InvalidRecordReason::Count, message))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>>;

    // Not inlined: where both ways to a record meet in the caller's frame, it is copied right after it was stored, and
    // waits for the stores. That doubles the time of a scan.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index < self.count
            && let Some((record, delta, behind)) = take_plain_record(self.rest, &self.frame, self.delta_min)
        {
            self.index += 1;
            self.delta_min = delta + 1;
            self.rest = behind;
            return Some(Ok(record));
        }
        self.next_of_any_kind()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some((self.count - self.index) as usize + 1))
    }
}

impl std::iter::FusedIterator for Records<'_> {}
