//! Proof that a coordinator knows of a transaction before its first record is appended: Kafka's `VerificationGuard`
//! (KIP-890). Without, a record that comes late begins a transaction that nobody will end.

use crate::error::{Error, ErrorKind, Result};
use crate::log::producer_entry::ProducerEntry;
use crate::log::{AppendOrigin, Appended, Log};
use crate::record::{BatchHeader, RecordBatch};
use crate::types::{ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Stands for one question to the coordinator: see
/// [`Partition::begin_verification`](crate::Partition::begin_verification).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// What an append has to show to begin a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing.
    NotAsked,
    /// The guard, unless the transaction is open.
    Asked(Option<VerificationGuard>),
}

/// A question to the coordinator that is not settled by a record or marker yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    guard: VerificationGuard,
    epoch: ProducerEpoch,
    /// The lowest sequence in this epoch that was asked for: no other may begin the transaction.
    lowest: Sequence,
    since: Timestamp,
}

impl Verification {
    pub(crate) fn new(guard: u64, epoch: ProducerEpoch, sequence: Sequence, since: Timestamp) -> Self {
        Self { guard: VerificationGuard(guard), epoch, lowest: sequence, since }
    }

    /// Somebody asks again, for another batch or for the same. Answers the guard, which is the same for all.
    pub(crate) fn again(&mut self, epoch: ProducerEpoch, sequence: Sequence) -> VerificationGuard {
        if epoch > self.epoch {
            (self.epoch, self.lowest) = (epoch, sequence);
        } else if epoch == self.epoch {
            self.lowest = self.lowest.min(sequence);
        }
        self.guard
    }

    /// Whether it is older than `expiration_ms`.
    pub(crate) fn is_over(&self, now: Timestamp, expiration_ms: i64) -> bool {
        now.millis().saturating_sub(self.since.millis()) >= expiration_ms
    }
}

/// Whether a client's batch may belong to a transaction, as far as that has to be proven.
pub(crate) fn check_proof(
    entry: &ProducerEntry,
    header: &BatchHeader,
    proof: Proof,
    verification: Option<&Verification>,
) -> Result<()> {
    let Proof::Asked(guard) = proof else { return Ok(()) };
    let is_proven = guard.is_some() && guard == verification.map(|verification| verification.guard);
    if !header.attributes.is_transactional() || is_proven || entry.has_transaction_in(header.producer_epoch) {
        return Ok(());
    }
    let id = header.producer_id;
    let message = format!("producer {id} has no transaction open here, and none was verified for this batch");
    Err(Error::new(ErrorKind::InvalidTxnState, message))
}

/// Refuses a batch that would overtake one with a lower sequence, which is being verified too.
pub(crate) fn check_order(header: &BatchHeader, verification: Option<&Verification>) -> Result<()> {
    let Some(before) = verification.filter(|verification| header.base_sequence > verification.lowest) else {
        return Ok(());
    };
    let (id, found, lowest) = (header.producer_id, header.base_sequence, before.lowest);
    let message = format!("producer {id} sent sequence {found}, but {lowest} was verified and has to come before");
    Err(Error::new(ErrorKind::OutOfOrderSequence, message))
}

impl Log {
    /// Says that `producer` wants to append a batch of a transaction, with this sequence. Answers the guard that the
    /// append has to show, or `None` if a transaction of it is open here and nothing has to be shown.
    ///
    /// ```text
    /// guard = log.begin_verification(producer, epoch, sequence)
    /// if there is one: ask the coordinator whether this partition is part of the transaction
    /// log.append_verified(batch, guard)
    /// ```
    ///
    /// Whoever asks before the append gets the same guard. The first record of the transaction, and any marker, ends its
    /// force: if the transaction was ended while the coordinator was asked, the append is refused.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] without a producer; what [`Log::append`] answers about the log.
    pub(crate) fn begin_verification(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
    ) -> Result<Option<VerificationGuard>> {
        if !producer.is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("there is no producer {producer}")));
        }
        let mut writer = self.lock_writer()?;
        let new = Verification::new(writer.guards, epoch, sequence, self.clock.now());
        let guard = self.tail(&mut writer)?.producers.begin_verification(producer, epoch, sequence, new);
        writer.guards += u64::from(guard == Some(new.guard));
        Ok(guard)
    }

    /// Appends a client's batch as [`Log::append`] does; but one of a transaction only if that is open here, or `guard`
    /// still stands: see [`Log::begin_verification`].
    ///
    /// # Errors
    /// As [`Log::append`]. [`ErrorKind::InvalidTxnState`] without the guard that is asked for;
    /// [`ErrorKind::OutOfOrderSequence`] for a batch that would overtake one with a lower sequence.
    pub(crate) fn append_verified<B: AsRef<[u8]>>(
        &self,
        batch: &RecordBatch<B>,
        guard: Option<VerificationGuard>,
    ) -> Result<Appended> {
        self.append_proven(batch, AppendOrigin::Client, Proof::Asked(guard))
    }
}
