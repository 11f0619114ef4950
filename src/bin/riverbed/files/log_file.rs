//! A `.log` file, batch by batch, whatever state it is in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use riverbed::{BatchHeader, Error};

/// Length of a batch's header.
const HEADER_LEN: usize = 61;

/// Walks through a file from batch to batch.
pub struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
    position: u64,
}

/// What lies at a place of the file.
pub enum Found {
    Batch(BatchHeader),
    /// The file ends before the batch does that starts here, if one does.
    Torn,
    /// Nothing but zero bytes to the end, as room that was allocated ahead; none at all in a closed file.
    Zeros,
    /// Something that cannot be a batch.
    Invalid(Error),
}

impl LogFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, len, position: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next batch starts.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes follow.
    pub fn remaining(&self) -> u64 {
        self.len - self.position
    }

    /// What lies at the current position.
    pub fn peek(&self) -> io::Result<Found> {
        let found = self.header_at(self.position)?;
        match found {
            Found::Torn | Found::Invalid(_) if self.only_zeros_follow()? => Ok(Found::Zeros),
            found => Ok(found),
        }
    }

    /// What lies at `position`, which need not be the current one.
    pub fn header_at(&self, position: u64) -> io::Result<Found> {
        let mut bytes = [0; HEADER_LEN];
        let remaining = self.len.saturating_sub(position);
        if remaining < HEADER_LEN as u64 {
            return Ok(Found::Torn);
        }
        self.file.read_exact_at(&mut bytes, position)?;
        Ok(match BatchHeader::parse(&bytes) {
            Ok(header) if header.size() as u64 > remaining => Found::Torn,
            Ok(header) => Found::Batch(header),
            Err(error) => Found::Invalid(error),
        })
    }

    /// The bytes of the batch at the current position. The file has them: `peek` has seen to it.
    pub fn read(&self, header: &BatchHeader, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(header.size(), 0);
        self.file.read_exact_at(bytes, self.position)
    }

    /// Goes on behind the batch at the current position.
    pub fn skip(&mut self, header: &BatchHeader) {
        self.position += header.size() as u64;
    }

    fn only_zeros_follow(&self) -> io::Result<bool> {
        let mut position = self.position;
        let mut chunk = [0; 1 << 14];
        while position < self.len {
            let read = self.file.read_at(&mut chunk, position)?;
            if read == 0 || chunk.iter().take(read).any(|byte| *byte != 0) {
                return Ok(read == 0);
            }
            position += read as u64;
        }
        Ok(true)
    }
}
