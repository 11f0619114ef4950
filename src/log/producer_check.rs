//! Whether a producer's batch may be appended: the rules on epochs, sequences and transactions, as pure functions.

use crate::error::{Error, ErrorKind, Result};
use crate::log::origin::Origin;
use crate::log::producer_entry::ProducerEntry;
use crate::log::verification::{Proof, Verification, check_order, check_proof};
use crate::record::{BatchHeader, ControlRecord, DecompressionLimits, RecordBatch, TransactionResult};
use crate::types::{Offset, ProducerEpoch, Sequence, Timestamp};

/// What a control batch says that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// How it ended.
    pub(crate) result: TransactionResult,
    /// Grows with each change of the coordinator.
    pub(crate) coordinator_epoch: i32,
}

impl Marker {
    /// The marker in a batch: `None` for a data batch, for a control batch of another type, and for one that compaction
    /// has emptied.
    ///
    /// # Errors
    /// Those of reading the batch's records.
    pub(crate) fn read<B: AsRef<[u8]>>(batch: &RecordBatch<B>) -> Result<Option<Self>> {
        if !batch.attributes().is_control() {
            return Ok(None);
        }
        let payload = batch.payload(&DecompressionLimits::default())?;
        let first = payload.records().next().transpose()?;
        match first.map(|record| ControlRecord::parse(&record)).transpose()? {
            Some(ControlRecord::EndTransaction { result, coordinator_epoch }) => {
                Ok(Some(Self { result, coordinator_epoch }))
            }
            _ => Ok(None),
        }
    }
}

/// The answer to a batch that may be appended, or was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It is news.
    New,
    /// It is in the log already: nothing is to be written, and this is the answer.
    Duplicate(Duplicate),
}

/// Where a batch that came again lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duplicate {
    /// Offset of its first record.
    pub(crate) first_offset: Offset,
    /// Offset of its last record.
    pub(crate) last_offset: Offset,
    /// Its largest timestamp, as it was appended.
    pub(crate) timestamp: Timestamp,
}

/// Checks a data batch against what is known of its producer.
///
/// # Errors
/// [`ErrorKind::ProducerFenced`] for an epoch that is over, [`ErrorKind::OutOfOrderSequence`] for a sequence that does
/// not follow, [`ErrorKind::InvalidTxnState`] for a batch without transaction while one is open, or of one that is not
/// proven.
pub(crate) fn check_data(
    entry: &ProducerEntry,
    header: &BatchHeader,
    origin: Origin,
    (proof, verification): (Proof, Option<&Verification>),
) -> Result<Check> {
    if origin == Origin::Replication {
        return Ok(Check::New);
    }
    if origin == Origin::Client
        && let Some(duplicate) = find_duplicate(entry, header)
    {
        return Ok(Check::Duplicate(duplicate));
    }
    if origin == Origin::Client {
        check_proof(entry, header, proof, verification)?;
    }
    check_epoch(entry, header)?;
    if origin == Origin::Client {
        check_order(header, verification)?;
        check_sequence(entry, header)?;
    }
    if entry.transaction_start.is_some() && !header.attributes.is_transactional() {
        let message =
            format!("producer {} has a transaction open; a batch outside of it cannot be appended", header.producer_id);
        return Err(Error::new(ErrorKind::InvalidTxnState, message));
    }
    Ok(Check::New)
}

/// Checks a marker against what is known of its producer. A transaction need not be open.
///
/// # Errors
/// [`ErrorKind::ProducerFenced`] for a producer's or a coordinator's epoch that is over.
pub(crate) fn check_marker(
    entry: &ProducerEntry,
    header: &BatchHeader,
    marker: Marker,
    origin: Origin,
) -> Result<Check> {
    if origin == Origin::Replication {
        return Ok(Check::New);
    }
    check_epoch(entry, header)?;
    if marker.coordinator_epoch >= entry.coordinator_epoch {
        return Ok(Check::New);
    }
    let message = format!(
        "coordinator epoch {} of producer {}'s marker is over, the last one was {}",
        marker.coordinator_epoch, header.producer_id, entry.coordinator_epoch
    );
    Err(Error::new(ErrorKind::ProducerFenced, message))
}

fn find_duplicate(entry: &ProducerEntry, header: &BatchHeader) -> Option<Duplicate> {
    if header.producer_epoch != entry.epoch || header.base_sequence == Sequence::NONE {
        return None;
    }
    let (first, last) = (header.base_sequence, header.last_sequence());
    let same = entry.batches().find(|batch| batch.first_sequence() == first && batch.last_sequence == last)?;
    let (first_offset, last_offset) = (same.first_offset(), same.last_offset);
    Some(Duplicate { first_offset, last_offset, timestamp: same.timestamp })
}

fn check_epoch(entry: &ProducerEntry, header: &BatchHeader) -> Result<()> {
    if header.producer_epoch >= entry.epoch {
        return Ok(());
    }
    let (id, epoch) = (header.producer_id, header.producer_epoch);
    let message = format!("epoch {epoch} of producer {id} is over, the current one is {}", entry.epoch);
    Err(Error::new(ErrorKind::ProducerFenced, message))
}

fn check_sequence(entry: &ProducerEntry, header: &BatchHeader) -> Result<()> {
    let Some(expected) = expected_sequence(entry, header.producer_epoch) else {
        return Ok(());
    };
    if header.base_sequence == expected {
        return Ok(());
    }
    let (id, epoch, found) = (header.producer_id, header.producer_epoch, header.base_sequence);
    let message = format!("producer {id} in epoch {epoch} sent sequence {found}, expected {expected}");
    Err(Error::new(ErrorKind::OutOfOrderSequence, message))
}

/// The sequence that has to come next, or `None` if it may be any: nothing is known of the producer.
fn expected_sequence(entry: &ProducerEntry, epoch: ProducerEpoch) -> Option<Sequence> {
    if entry.epoch == ProducerEpoch::NONE {
        return None;
    }
    let last = if entry.epoch == epoch { entry.last_sequence() } else { Sequence::NONE };
    Some(if last == Sequence::NONE { Sequence::ZERO } else { last.increment(1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, EndMarker, Record};
    use crate::types::ProducerId;

    #[test]
    fn only_a_batch_that_ends_a_transaction_has_a_marker() {
        let end = EndMarker {
            result: TransactionResult::Commit,
            producer_id: ProducerId::new(7),
            producer_epoch: ProducerEpoch::new(1),
            coordinator_epoch: 15,
            timestamp: Timestamp::from_millis(1),
        };
        let batch = RecordBatch::parse(end.encode().unwrap()).unwrap();
        let marker = Marker { result: TransactionResult::Commit, coordinator_epoch: 15 };
        assert_eq!(Marker::read(&batch).unwrap(), Some(marker));
        let record = |control: bool, key: &[u8]| {
            let mut builder = BatchBuilder::new();
            builder.control(control).push(&Record::new().key(key).value("value"), Timestamp::NONE).unwrap();
            Marker::read(&RecordBatch::parse(builder.finish().unwrap().unwrap()).unwrap())
        };
        assert_eq!(record(false, &[0, 0, 0, 1]).unwrap(), None, "no control batch");
        assert_eq!(record(true, &[0, 0, 0, 2]).unwrap(), None, "another type");
        assert_eq!(record(true, &[0]).unwrap_err().kind(), ErrorKind::InvalidRecord);
    }
}
