//! What can be asked about a log's producers from outside.

use crate::error::Result;
use crate::log::Log;
use crate::log::producer_entry::ProducerEntry;
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// A producer, as its partition knows it: what Kafka's `DescribeProducers` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerInfo {
    /// Its id.
    pub id: ProducerId,
    /// Its latest epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of its last record in that epoch, [`Sequence::NONE`] if there is none.
    pub last_sequence: Sequence,
    /// Time of its last batch or marker.
    pub last_timestamp: Timestamp,
    /// Epoch of the coordinator that wrote its last marker.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

/// A log's producers in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerCounts {
    /// How many are known; `None` where nobody has asked for them yet.
    pub(crate) known: Option<usize>,
    /// Transactions that have been silent for longer than any may take.
    pub(crate) late: usize,
}

impl Log {
    /// The producers that are known, by their ids. Those of whom nothing came for a day are forgotten, unless they have
    /// a transaction open.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed); what reading snapshots and batches can answer, the first time.
    pub fn producers(&self) -> Result<Vec<ProducerInfo>> {
        let mut writer = self.lock_state()?;
        let producers = &self.tail(&mut writer)?.producers;
        let mut list: Vec<_> = producers.producers().map(|(id, entry)| info(id, entry)).collect();
        list.sort_unstable_by_key(|producer| producer.id);
        Ok(list)
    }

    /// The same in numbers. What was not loaded yet is loaded only where a transaction may be open.
    pub(crate) fn producer_counts(&self) -> Result<ProducerCounts> {
        let mut writer = self.lock_state()?;
        if writer.tail.is_none() && writer.marks.last_stable == writer.marks.end {
            return Ok(ProducerCounts::default());
        }
        let producers = &self.tail(&mut writer)?.producers;
        let late = producers.late_transactions(self.clock.now());
        Ok(ProducerCounts { known: Some(producers.producers().len()), late })
    }
}

fn info(id: ProducerId, entry: &ProducerEntry) -> ProducerInfo {
    ProducerInfo {
        id,
        epoch: entry.epoch,
        last_sequence: entry.last_sequence(),
        last_timestamp: entry.last_timestamp,
        coordinator_epoch: Some(entry.coordinator_epoch).filter(|epoch| *epoch >= 0),
        transaction_start: entry.transaction_start,
    }
}
