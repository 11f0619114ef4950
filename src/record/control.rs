//! Control records: how a transaction ended, and what else Kafka writes that is no user's record.

use super::batch_builder::BatchBuilder;
use super::encode::Fields;
use super::record_view::RecordView;
use crate::error::{Error, InvalidRecordReason, Result};
use crate::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionResult {
    /// Its records are void.
    Abort,
    /// Its records count.
    Commit,
}

impl TransactionResult {
    const fn id(self) -> i16 {
        match self {
            Self::Abort => ABORT,
            Self::Commit => COMMIT,
        }
    }
}

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlRecord {
    /// The end of its producer's transaction.
    EndTransaction {
        /// How it ended.
        result: TransactionResult,
        /// Which incarnation of the transaction coordinator wrote it: an older one is a zombie.
        coordinator_epoch: i32,
    },
    /// Something else, by the number of its type: 2 to 6 are in use by Kafka's controllers.
    Other(i16),
}

impl ControlRecord {
    /// Reads a record of a control batch. Versions newer than 0 are read as 0, as Kafka does.
    ///
    /// # Errors
    /// [`InvalidRecord`](crate::ErrorKind::InvalidRecord) for a key or value that is null, too short or of a negative
    /// version.
    pub fn parse(record: &RecordView<'_>) -> Result<Self> {
        let malformed = || {
            let message = format!("control record at {} has a key or value that is not possible", record.offset());
            Error::invalid_record(InvalidRecordReason::Field, message)
        };
        let mut key = record.key().unwrap_or_default();
        let kind = take_version(&mut key).and_then(|_| take_i16(&mut key)).ok_or_else(malformed)?;
        let result = match kind {
            ABORT => TransactionResult::Abort,
            COMMIT => TransactionResult::Commit,
            other => return Ok(Self::Other(other)),
        };
        let mut value = record.value().unwrap_or_default();
        let epoch = take_version(&mut value).and_then(|_| value.first_chunk()).ok_or_else(malformed)?;
        Ok(Self::EndTransaction { result, coordinator_epoch: i32::from_be_bytes(*epoch) })
    }
}

fn take_i16(bytes: &mut &[u8]) -> Option<i16> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i16::from_be_bytes(*field))
}

fn take_version(bytes: &mut &[u8]) -> Option<i16> {
    take_i16(bytes).filter(|version| *version >= VERSION)
}

/// A marker that ends a transaction: to be written to each of its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// How it ends.
    pub result: TransactionResult,
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The producer's epoch: a higher one than before fences it.
    pub producer_epoch: ProducerEpoch,
    /// The coordinator's epoch: a lower one than before is refused.
    pub coordinator_epoch: i32,
    /// The coordinator's time.
    pub timestamp: Timestamp,
}

impl EndMarker {
    /// The marker as a batch of its own at offset 0: 78 bytes.
    ///
    /// # Errors
    /// [`InvalidRecord`](crate::ErrorKind::InvalidRecord) without a producer id and epoch,
    /// [`InvalidTimestamp`](crate::ErrorKind::InvalidTimestamp) for a time below −1.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let key = [VERSION.to_be_bytes(), self.result.id().to_be_bytes()].concat();
        let value = [&VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = BatchBuilder::new();
        builder.producer(self.producer_id, self.producer_epoch, Sequence::NONE).transactional(true).control(true);
        builder.push_fields(&Fields::of_control(self.timestamp, &key, &value), 0)?;
        Ok(builder.finish()?.unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::record::stamp::stamp;
    use crate::record::vectors::{COMMIT as COMMIT_VECTOR, hex};
    use crate::record::{DecompressionLimits, Record, RecordBatch};
    use crate::types::{LeaderEpoch, Offset};

    const COMMIT_MARKER: EndMarker = EndMarker {
        result: TransactionResult::Commit,
        producer_id: ProducerId::new(4000),
        producer_epoch: ProducerEpoch::new(1),
        coordinator_epoch: 15,
        timestamp: Timestamp::from_millis(1_234_567_890_123),
    };

    fn parse(batch: &[u8]) -> Result<ControlRecord> {
        let batch = RecordBatch::parse(batch)?;
        let payload = batch.payload(&DecompressionLimits::default())?;
        ControlRecord::parse(&payload.records().next().unwrap()?)
    }

    #[test]
    fn a_commit_marker_has_its_known_bytes() {
        let mut bytes = COMMIT_MARKER.encode().unwrap();
        stamp(bytes.first_chunk_mut().unwrap(), Offset::new(10), LeaderEpoch::new(4));
        assert_eq!(bytes, hex(COMMIT_VECTOR));
    }

    #[test]
    fn markers_read_as_written() {
        for result in [TransactionResult::Abort, TransactionResult::Commit] {
            let bytes = EndMarker { result, coordinator_epoch: -1, ..COMMIT_MARKER }.encode().unwrap();
            let expected = ControlRecord::EndTransaction { result, coordinator_epoch: -1 };
            assert_eq!(parse(&bytes).unwrap(), expected);
            assert_eq!(bytes.len(), 78);
        }
    }

    #[test]
    fn a_marker_needs_a_producer() {
        let marker = EndMarker { producer_id: ProducerId::NONE, ..COMMIT_MARKER };
        assert_eq!(marker.encode().unwrap_err().invalid_record_reason(), Some(InvalidRecordReason::ProducerId));
    }

    #[test]
    fn other_types_newer_versions_and_longer_values_are_read_and_short_ones_refused() {
        let abort =
            |epoch| ControlRecord::EndTransaction { result: TransactionResult::Abort, coordinator_epoch: epoch };
        let table: [(&[u8], &[u8], Option<ControlRecord>); 9] = [
            (&[0, 0, 0, 2], &[], Some(ControlRecord::Other(2))),
            (&[0, 0, 0xff, 0xff], &[], Some(ControlRecord::Other(-1))),
            (&[0, 7, 0, 0, 9], &[0, 9, 0, 0, 0, 5, 1], Some(abort(5))),
            (&[0, 0, 0, 0], &[0, 0, 0x80, 0, 0, 0], Some(abort(i32::MIN))),
            (&[0xff, 0xff, 0, 0], &[0, 0, 0, 0, 0, 5], None),
            (&[0, 0, 0], &[0, 0, 0, 0, 0, 5], None),
            (&[], &[0, 0, 0, 0, 0, 5], None),
            (&[0, 0, 0, 0], &[0, 0, 0, 0, 0], None),
            (&[0, 0, 0, 0], &[0xff, 0xff, 0, 0, 0, 5], None),
        ];
        for (key, value, expected) in table {
            let mut builder = BatchBuilder::new();
            builder.control(true).push(&Record::new().key(key).value(value), Timestamp::NONE).unwrap();
            let parsed = parse(builder.finish().unwrap().unwrap());
            match expected {
                Some(expected) => assert_eq!(parsed.unwrap(), expected),
                None => assert_eq!(parsed.unwrap_err().kind(), ErrorKind::InvalidRecord, "{key:?} {value:?}"),
            }
        }
    }
}
