//! A segment that takes the place of others, as it is written: under names that an opening removes.

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, Region, Way};
use crate::log::cleaning::Cleaning;
use crate::record::BatchHeader;
use crate::segment::file_name::{FileKind, Suffix, suffixed_file_name};
use crate::segment::memory_index::{IndexSettings, IndexWriter, MemoryIndex};
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::{AbortedTransaction, NewSegment};
use crate::sync::Arc;
use crate::types::{Offset, Position};

/// Batches are gathered up to about so many bytes, and then written.
const BUFFER: usize = 512 << 10;

/// The largest log file that the format allows.
const LEN_MAX: u64 = i32::MAX as u64;

/// Its file grows; its indexes are in memory.
pub(super) struct Output {
    directory: Arc<dyn Directory>,
    base: Offset,
    settings: IndexSettings,
    region: Arc<dyn Region>,
    index: IndexWriter,
    aborted: TransactionIndex,
    buffer: Vec<u8>,
    /// Bytes written and gathered.
    len: u64,
    /// The offset behind the last batch.
    next_offset: Offset,
}

/// A segment that is whole and durable, and not yet in the place of others.
pub(super) struct Finished {
    pub(super) base: Offset,
    pub(super) len: u64,
    /// The offset behind its last batch; 0 without one.
    pub(super) next_offset: Offset,
    pub(super) settings: IndexSettings,
    pub(super) index: Arc<MemoryIndex>,
    pub(super) aborted: TransactionIndex,
    /// Its files, and how long they are.
    pub(super) files: Vec<(FileKind, u64)>,
}

impl Finished {
    /// Whether it has a file of this kind.
    pub(super) fn has(&self, kind: FileKind) -> bool {
        self.files.iter().any(|(known, _)| *known == kind)
    }
}

impl Output {
    /// Starts one in the place of segments that have `bytes` bytes, of which the first begins where `new` says.
    pub(super) fn create(cleaning: &Cleaning<'_>, new: &NewSegment, bytes: u64) -> Result<Self> {
        let directory = Arc::clone(cleaning.directory());
        remove(directory.as_ref(), new.base)?;
        // Delete horizons make records longer.
        let capacity = bytes.saturating_mul(2).saturating_add(1 << 20).min(LEN_MAX);
        let region = directory.create(&name(new.base, FileKind::Log), capacity)?;
        Ok(Self {
            directory,
            base: new.base,
            settings: new.settings,
            region,
            index: IndexWriter::new(new.base, new.settings),
            aborted: TransactionIndex::new(),
            buffer: Vec::new(),
            len: 0,
            next_offset: Offset::ZERO,
        })
    }

    /// Takes a batch. Answers how many bytes it has.
    pub(super) fn push(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<usize> {
        if self.len + bytes.len() as u64 > LEN_MAX {
            let message = format!("the segment {} would become larger than the format allows", self.base);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if let Some(position) = Position::new(self.len) {
            self.index.on_append(header.last_offset(), position, bytes.len() as u64, header.max_timestamp);
        }
        self.len += bytes.len() as u64;
        self.next_offset = header.next_offset();
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            self.write(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    /// Notes a transaction whose abort marker it holds.
    pub(super) fn push_aborted(&mut self, transaction: AbortedTransaction) -> Result<()> {
        self.aborted.push(transaction)
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.write(&buffer)?;
        }
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        self.region.reserve(self.region.len() + bytes.len() as u64)?;
        self.region.append(&[], bytes, Way::Positioned)
    }

    /// Writes the rest, and what is derived from it, durably.
    pub(super) fn finish(mut self, cleaning: &Cleaning<'_>) -> Result<Finished> {
        self.flush()?;
        self.index.seal();
        self.region.finish()?;
        self.region.sync()?;
        let index = Arc::clone(self.index.index());
        let aborted = self.aborted.to_bytes();
        let derived = [
            (FileKind::OffsetIndex, index.to_offset_index_bytes()),
            (FileKind::TimeIndex, index.to_time_index_bytes()),
            (FileKind::TransactionIndex, aborted),
        ];
        let mut files = vec![(FileKind::Log, self.len)];
        for (kind, bytes) in derived {
            if kind != FileKind::TransactionIndex || !bytes.is_empty() {
                self.directory.put(&name(self.base, kind), &bytes)?;
                files.push((kind, bytes.len() as u64));
            }
        }
        cleaning.sync_directory()?;
        let Self { base, len, next_offset, settings, aborted, .. } = self;
        Ok(Finished { base, len, next_offset, settings, index, aborted, files })
    }
}

/// The name of a file that is not finished.
pub(super) fn name(base: Offset, kind: FileKind) -> String {
    suffixed_file_name(base, kind, Suffix::Cleaned)
}

/// Removes what an attempt left behind.
pub(super) fn remove(directory: &dyn Directory, base: Offset) -> Result<()> {
    for kind in FileKind::ALL {
        directory.unlink(&name(base, kind))?;
    }
    Ok(())
}
