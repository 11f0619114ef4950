//! From batch to batch through bytes that hold many of them.

use super::batch::RecordBatch;
use super::batch_header::{BatchHeader, HEADER_LEN};
use crate::error::{CorruptionReason, Error, Result};

/// What lies at the front of some bytes, judged by the header alone.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A batch that is there to its last byte. Its checksum has not been looked at.
    Batch(BatchHeader, &'a [u8]),
    /// Nothing: no byte, or zeros, as room has that was allocated and never written.
    EndOfData,
    /// A beginning that may be that of a batch, but the bytes end inside of it.
    Torn {
        /// How many bytes there should be, as far as can be told.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Something that no batch begins with.
    Invalid(Error),
}

/// Looks at the front of `bytes`. Reads nothing behind the first header.
#[inline]
pub(crate) fn next_batch(bytes: &[u8]) -> Next<'_> {
    match BatchHeader::parse(bytes) {
        Ok(header) => match bytes.get(..header.size()) {
            Some(batch) => Next::Batch(header, batch),
            None => Next::Torn { expected: header.size() as u64, found: bytes.len() as u64 },
        },
        Err(error) => not_a_batch(bytes, error),
    }
}

#[cold]
fn not_a_batch(bytes: &[u8], error: Error) -> Next<'_> {
    let front = bytes.get(..HEADER_LEN).unwrap_or(bytes);
    if front.iter().all(|&byte| byte == 0) {
        return Next::EndOfData;
    }
    match error.corruption().map(|corruption| &corruption.reason) {
        Some(&CorruptionReason::Truncated { expected, found }) => Next::Torn { expected, found },
        _ => Next::Invalid(error),
    }
}

/// Goes from batch to batch and checks each: pairs of a position and the batch there.
///
/// The end is where no byte is left, or where zeros begin, as room has that was allocated and never written. A batch
/// that is cut short, and what is no batch at all, is an error, and the last thing to come: where the next one would
/// begin cannot be known. After a batch whose checksum alone is wrong it goes on, as its length led to the next before.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    done: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, done: false }
    }

    /// Where it stands: behind the last batch that was whole.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = (usize, Result<RecordBatch<&'a [u8]>>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let position = self.position;
        let error = match next_batch(self.bytes.get(position..)?) {
            Next::Batch(header, bytes) => {
                self.position += bytes.len();
                let batch = RecordBatch::trusted(header, bytes);
                return Some((position, batch.check().map(|()| batch).map_err(|error| at(position, error))));
            }
            Next::EndOfData => None,
            Next::Torn { expected, found } => Some(Error::corrupt(0, CorruptionReason::Truncated { expected, found })),
            Next::Invalid(error) => Some(error),
        };
        self.done = true;
        error.map(|error| (position, Err(at(position, error))))
    }
}

impl std::iter::FusedIterator for Batches<'_> {}

fn at(position: usize, error: Error) -> Error {
    error.shifted(position as u64)
}
