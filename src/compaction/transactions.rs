//! The transactions that a cleaning walks through: whose records are void, and which markers nothing refers to any more.
//!
//! Kafka's `CleanedTransactionMetadata`. A marker may go only after all batches of its transaction have, also those that
//! are left without records: whoever reads them has to learn how it ended.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::record::{BatchHeader, TransactionResult};
use crate::segment::AbortedTransaction;
use crate::types::{Offset, ProducerId};

/// What a control batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// The end of a transaction.
    End(TransactionResult),
    /// A record of another kind.
    Other,
    /// No record: an earlier cleaning took it.
    Empty,
}

/// What is to become of a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MarkerFate {
    /// Whether it may go, once its delete horizon has passed.
    pub(super) discard: bool,
    /// The aborted transaction that the new segment's index has to name, as batches of it are still there.
    pub(super) aborted: Option<AbortedTransaction>,
}

/// A transaction that was aborted, and whose marker is yet to come.
#[derive(Clone, Copy, Debug)]
struct Ongoing {
    transaction: AbortedTransaction,
    was_seen: bool,
}

/// Where a walk stands, in the order of offsets.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Aborted ones that begin further on.
    ahead: BTreeMap<(Offset, ProducerId), AbortedTransaction>,
    aborted: HashMap<ProducerId, Ongoing>,
    /// Producers with records that an end is yet to come for, and that are not void.
    committed: HashSet<ProducerId>,
}

impl Transactions {
    /// Takes transactions that concern what is walked next. Those that are known already count once.
    pub(super) fn expect(&mut self, aborted: impl IntoIterator<Item = AbortedTransaction>) {
        self.ahead.extend(aborted.into_iter().map(|one| ((one.first_offset, one.producer_id), one)));
    }

    /// A batch of records comes. Answers whether they are void.
    pub(super) fn on_records(&mut self, header: &BatchHeader) -> bool {
        self.begin_to(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some(ongoing) => {
                ongoing.was_seen = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A control batch comes. Answers what is to become of it.
    pub(super) fn on_control(&mut self, header: &BatchHeader, control: Control) -> MarkerFate {
        self.begin_to(header.last_offset());
        match control {
            Control::End(TransactionResult::Abort) => {
                let ended = self.aborted.remove(&header.producer_id).filter(|ongoing| ongoing.was_seen);
                MarkerFate { discard: ended.is_none(), aborted: ended.map(|ongoing| ongoing.transaction) }
            }
            Control::End(TransactionResult::Commit) => {
                MarkerFate { discard: !self.committed.remove(&header.producer_id), aborted: None }
            }
            Control::Other => MarkerFate { discard: false, aborted: None },
            Control::Empty => MarkerFate { discard: true, aborted: None },
        }
    }

    /// The transactions that begin up to `offset` have begun.
    fn begin_to(&mut self, offset: Offset) {
        while let Some(next) = self.ahead.first_entry().filter(|next| next.key().0 <= offset) {
            let transaction = next.remove();
            self.aborted.entry(transaction.producer_id).or_insert(Ongoing { transaction, was_seen: false });
        }
    }
}
