//! Appending with an acknowledgement: a plain call to the log, or the replica's decision.

use std::cell::Cell;

use bytes::Bytes;

use super::{Partition, Role, block_on};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{AppendOrigin, Appended, Log, VerificationGuard, single_batch};
use crate::record::{BatchBuilder, Record, RecordBatch, encode_single};
use crate::types::Acks;

/// The largest buffer that a thread keeps.
const BUFFER_KEPT: usize = 1 << 20;

thread_local! {
    /// Where single records are encoded: each thread keeps its buffer, so that an append allocates nothing.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Partition {
    /// Appends an encoded record batch, checked like a client's. When this returns it has the durability of the topic's
    /// flush policy; see [`Partition::append_with`] for more.
    ///
    /// # Errors
    /// Nothing is appended for any of these. What a record or batch must be: [`ErrorKind::InvalidRecord`],
    /// [`ErrorKind::InvalidTimestamp`], [`ErrorKind::BatchTooLarge`], [`ErrorKind::UnsupportedCompression`],
    /// [`ErrorKind::DecompressedTooLarge`]. What a producer must be: [`ErrorKind::OutOfOrderSequence`],
    /// [`ErrorKind::ProducerFenced`], [`ErrorKind::InvalidTxnState`]. The log: [`ErrorKind::StorageFull`],
    /// [`ErrorKind::PreviousFailure`], [`ErrorKind::Corruption`], [`ErrorKind::Closed`], [`ErrorKind::ReadOnly`],
    /// [`ErrorKind::Io`], and [`ErrorKind::TooManyFiles`] or [`ErrorKind::MapLimit`] when a segment must be opened.
    ///
    /// Where the flush policy syncs also those of [`Log::wait_durable`](crate::Log::wait_durable): then the batch is in
    /// the log, but not known to be durable.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use riverbed::{BatchBuilder, Partition, PartitionOptions, Record, Timestamp};
    ///
    /// let partition = Partition::open(dir.path().join("orders-0"), PartitionOptions::default())?;
    /// let mut builder = BatchBuilder::new();
    /// builder.push(&Record::new().key("customer-7").value("two apples"), Timestamp::from_millis(1_700_000_000_000))?;
    /// if let Some(batch) = builder.finish()? {
    ///     let appended = partition.append(batch)?;
    ///     assert_eq!(appended.offsets.start().get(), 0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn append(&self, batch: &[u8]) -> Result<Appended> {
        match &self.0.role {
            Role::Alone(_) => self.append_as(batch, AppendOrigin::Client),
            Role::Replicated(_) => self.append_with(batch, Acks::Leader),
        }
    }

    /// Appends an encoded record batch of a client or of a coordinator, which may write markers.
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_as(&self, batch: &[u8], origin: AppendOrigin) -> Result<Appended> {
        self.append_by(batch, |log, batch| log.append(batch, origin))
    }

    fn append_by(
        &self,
        batch: &[u8],
        append: impl FnOnce(&Log, &RecordBatch<&[u8]>) -> Result<Appended>,
    ) -> Result<Appended> {
        let log = self.own_log()?;
        let checked = single_batch(batch)?;
        self.admit()?;
        let appended = append(log, &checked).inspect_err(|error| self.after_refusal(error))?;
        self.after_append(log, &appended, batch.len())?;
        Ok(appended)
    }

    /// Appends an encoded record batch of a client, which belongs to a transaction only if `guard` still stands: see
    /// [`Partition::begin_verification`].
    ///
    /// # Errors
    /// As [`Partition::append`]; [`ErrorKind::InvalidTxnState`] without the guard that is asked for;
    /// [`ErrorKind::OutOfOrderSequence`] for a batch that would overtake one with a lower sequence.
    pub fn append_verified(&self, batch: &[u8], guard: Option<VerificationGuard>) -> Result<Appended> {
        self.append_by(batch, |log, batch| log.append_verified(batch, guard))
    }

    /// Appends an encoded record batch and waits until `acks` have it.
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_with(&self, batch: &[u8], acks: Acks) -> Result<Appended> {
        if let Role::Replicated(replica) = &self.0.role {
            let appended = block_on::block_on(replica.append(Bytes::copy_from_slice(batch), acks));
            return appended.map_err(Error::from);
        }
        let appended = self.append(batch)?;
        let behind = appended.offsets.end().next();
        match acks {
            Acks::None | Acks::Leader => {}
            Acks::Durable => self.wait_durable(behind)?,
            Acks::All => self.wait_committed(behind)?,
        }
        Ok(appended)
    }

    /// Appends one record as a batch of its own. Its timestamp is the wall clock's, unless it has one.
    ///
    /// The cheapest way for single records: many in one batch cost less a record, see [`Partition::append_records`].
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_record(&self, record: &Record<'_>) -> Result<Appended> {
        // Taken out, not borrowed: a replica may append other records of its own on this thread.
        let mut buffer = BUFFER.with(Cell::take);
        let appended = self.append_through(&mut buffer, record);
        if buffer.capacity() <= BUFFER_KEPT {
            BUFFER.with(|kept| kept.set(buffer));
        }
        appended
    }

    #[inline]
    fn append_through(&self, buffer: &mut Vec<u8>, record: &Record<'_>) -> Result<Appended> {
        let now = self.0.clock.now();
        let header = encode_single(buffer, record, now)?;
        if let Role::Alone(log) = &self.0.role {
            self.admit()?;
            let appended = log.append_single(header, buffer, record.key_bytes().is_some(), now);
            if let Some(appended) = appended.inspect_err(|error| self.after_refusal(error))? {
                self.after_append(log, &appended, buffer.len())?;
                return Ok(appended);
            }
        }
        self.append(buffer)
    }

    /// Where there was no room, retention may have some to give: any partition's.
    #[cold]
    fn after_refusal(&self, error: &Error) {
        if let Some(flusher) = self.0.flusher.as_ref().filter(|_| error.kind() == ErrorKind::StorageFull) {
            flusher.retain_all_soon();
        }
    }

    /// Appends records as one batch, uncompressed unless the topic says otherwise: all of them, or none.
    ///
    /// # Errors
    /// As [`Partition::append`]; [`ErrorKind::InvalidArgument`] without a record.
    pub fn append_records<'r>(&self, records: impl IntoIterator<Item = &'r Record<'r>>) -> Result<Appended> {
        let now = self.0.clock.now();
        let mut builder = BatchBuilder::new();
        for record in records {
            builder.push(record, now)?;
        }
        match builder.finish()? {
            Some(batch) => self.append(batch),
            None => Err(Error::new(ErrorKind::InvalidArgument, "there is no record to append")),
        }
    }
}
