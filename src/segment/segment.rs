//! A segment as readers see it: one log file, and the indexes that search it.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, FileRange, Look, Region, View};
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::indexes::{IndexFiles, Indexes};
use crate::segment::memory_index::{IndexSettings, MemoryIndex};
use crate::segment::transaction_index::{AbortedTransaction, TransactionIndex};
use crate::segment::verified::Verified;
use crate::segment::walk::{Next, is_damage, next_in};
use crate::sync::{Arc, ArcSwap};
use crate::types::{Offset, Timestamp};

/// A run of batches in one file, and the indexes that search it.
///
/// Where a segment ends is where the next one begins, whatever its file still holds: all methods that look for
/// batches take that end.
pub struct Segment {
    pub(super) base: Offset,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) region: Arc<dyn Region>,
    settings: IndexSettings,
    pub(super) indexes: ArcSwap<Indexes>,
    /// The transaction index: `None` while it is only in its file.
    aborted: ArcSwap<Option<TransactionIndex>>,
    pub(super) verified: ArcSwap<Verified>,
    pub(super) verify_always: bool,
}

/// What a segment is made of.
pub(crate) struct SegmentParts {
    /// The base offset in the files' names.
    pub(crate) base: Offset,
    /// What holds the files.
    pub(crate) directory: Arc<dyn Directory>,
    /// The log file.
    pub(crate) region: Arc<dyn Region>,
    /// When an index gets an entry.
    pub(crate) settings: IndexSettings,
    /// The offset and time index.
    pub(crate) indexes: Indexes,
    /// The transaction index, if it is not to be read from its file.
    pub(crate) aborted: Option<TransactionIndex>,
    /// Whether a batch is checked each time it is read, rather than once.
    pub(crate) verify_always: bool,
}

/// The largest transaction index that is read: a segment's worth of markers.
const TRANSACTION_INDEX_MAX: u64 = 1 << 30;

impl Segment {
    /// A segment of these parts.
    pub(crate) fn new(parts: SegmentParts) -> Self {
        Self {
            base: parts.base,
            directory: parts.directory,
            region: parts.region,
            settings: parts.settings,
            indexes: ArcSwap::from_pointee(parts.indexes),
            aborted: ArcSwap::from_pointee(parts.aborted),
            verified: ArcSwap::from_pointee(Verified::nothing()),
            verify_always: parts.verify_always,
        }
    }

    /// The offset in its files' names: no record in it has a lower one.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.base
    }

    /// Bytes of the log file that hold batches. Where a cut left the file longer than the segment, this counts the rest
    /// too, until a clean close.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.region.len()
    }

    /// A range of the log file, for `sendfile`. The bytes are not verified.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the range is not published; what opening a
    /// file can answer.
    pub fn file_range(&self, range: Range<u64>) -> Result<FileRange> {
        self.region.file_range(range)
    }

    pub(crate) fn region(&self) -> &Arc<dyn Region> {
        &self.region
    }

    pub(crate) fn view(&self) -> Result<View> {
        self.region.view()
    }

    pub(crate) fn look(&self) -> Result<Look> {
        self.region.look()
    }

    pub(crate) fn indexes(&self) -> Arc<Indexes> {
        self.indexes.load_full()
    }

    /// Whether it searches just this index.
    pub(crate) fn searches(&self, index: &Arc<MemoryIndex>) -> bool {
        matches!(self.indexes.load().as_ref(), Indexes::Memory(searched) if Arc::ptr_eq(searched, index))
    }

    pub(crate) fn set_indexes(&self, indexes: Indexes) {
        self.indexes.store(Arc::new(indexes));
    }

    /// Whether its indexes are in memory only, or nowhere.
    pub(crate) fn lacks_index_files(&self) -> bool {
        match self.indexes.load().as_ref() {
            Indexes::Memory(_) => true,
            Indexes::Files(files) => files.offsets.is_none() || files.times.is_none(),
        }
    }

    /// Sees to indexes in memory, where there are not all the files.
    pub(crate) fn build_indexes(&self) -> Result<()> {
        match self.indexes.load().as_ref() {
            Indexes::Files(files) if files.offsets.is_none() || files.times.is_none() => {
                self.rebuild_indexes().map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Searches the index files from now on, which were just written with these lengths.
    pub(crate) fn use_index_files(&self, offsets_len: u64, times_len: u64) {
        let open = |kind, len| Some(self.directory.open_sealed(&self.file_name(kind), len));
        self.set_indexes(Indexes::Files(IndexFiles {
            base: self.base,
            log_len: self.size(),
            offsets: open(FileKind::OffsetIndex, offsets_len),
            times: open(FileKind::TimeIndex, times_len),
            newest: self.indexes.load().newest_in_memory(),
        }));
    }

    /// Forgets what the indexes say about offsets from `end` on, where a cut ended the segment, `position` bytes into
    /// its file.
    pub(crate) fn cut_indexes(&self, end: Offset, position: u64) -> Result<()> {
        let mut valid = Look::Whole(self.region.window(0..position)?);
        let writer = self.indexes.load().rebuilt(self.base, &mut valid, self.settings)?;
        self.set_indexes(Indexes::Memory(Arc::clone(writer.index())));
        let aborted = self.aborted(Offset::MAX)?.as_ref().as_ref().map(|index| index.below(end));
        self.aborted.store(Arc::new(aborted));
        Ok(())
    }

    /// The largest timestamp of its records, or none.
    pub(crate) fn largest_timestamp(&self) -> Result<Timestamp> {
        match self.indexes.load().largest_timestamp() {
            Ok(found) => Ok(found),
            Err(_) => self.rebuild_indexes()?.largest_timestamp(),
        }
    }

    /// A timestamp that none of its records exceeds; `None` where records were lost whose timestamps nobody knows.
    pub(crate) fn time_bound(&self) -> Result<Option<Timestamp>> {
        let largest = self.largest_timestamp()?;
        let is_known = largest.is_some() || self.size() > 0;
        Ok(Some(largest).filter(|_| is_known && !self.indexes.load().has_holes()))
    }

    /// The offset behind the last batch of the file: the base where there is none.
    pub(crate) fn next_offset(&self) -> Result<Offset> {
        self.last_batch().map(|(next, _)| next)
    }

    /// The offset behind the last batch of the file that can be found; and, where that is not all the file holds, what
    /// is wrong with the rest.
    pub(crate) fn last_batch(&self) -> Result<(Offset, Option<Error>)> {
        let mut look = self.look()?;
        let (mut next, mut position) = (self.base, self.start_for(&mut look, Offset::MAX)?);
        let rest = loop {
            match next_in(&mut look, position) {
                Next::Batch(header) => {
                    next = header.next_offset();
                    position += header.size();
                }
                Next::End => break self.check_end(&look, position),
                Next::Broken(error) if !is_damage(&error) => return Err(error),
                Next::Broken(error) => break Err(error.located(self.region.path(), 0)),
            }
        };
        self.check_pages()?;
        Ok((next, rest.err()))
    }

    /// How many bytes of the file hold batches that end below `end`.
    pub(crate) fn len_below(&self, end: Offset) -> Result<u64> {
        let mut look = self.look()?;
        let mut position = self.start_for(&mut look, end)?;
        loop {
            match next_in(&mut look, position) {
                Next::Batch(header) if header.last_offset() < end => position += header.size(),
                Next::Broken(error) if !is_damage(&error) => return Err(error),
                _ => break,
            }
        }
        self.check_pages()?;
        Ok(position as u64)
    }

    /// Builds the indexes anew from the log file, and keeps them in memory.
    pub(crate) fn rebuild_indexes(&self) -> Result<Arc<Indexes>> {
        let (mut look, old) = (self.look()?, self.indexes.load_full());
        let mut writer = old.rebuilt(self.base, &mut look, self.settings)?;
        self.check_pages()?;
        let found = writer.index().max_timestamp();
        let tells_of_holes = old.has_holes() || (old.tells_of_holes() && found.is_some());
        if tells_of_holes || old.largest_timestamp().is_ok_and(|known| known > found) {
            writer.skip_damage();
        }
        self.set_indexes(Indexes::Memory(Arc::clone(writer.index())));
        Ok(self.indexes())
    }

    /// What was found in the file, damage too, if all pages that were read are the file's.
    pub(super) fn believed<T>(&self, found: Result<T>) -> Result<T> {
        self.check_pages()?;
        found
    }

    /// Whether all pages that were read are the file's: the guard against `SIGBUS` puts zeros where one could not be
    /// had.
    fn check_pages(&self) -> Result<()> {
        if self.region.poisoned() {
            let message = format!("{} has pages that could not be read", self.region.path().display());
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(())
    }

    /// The transactions aborted by markers in this segment, in order. `end` is where it ends as the file is read.
    ///
    /// # Errors
    /// What reading the transaction index can answer. One that cannot be understood, or tells of markers behind the
    /// segment, is to be made anew: [`Segment::keep_aborted`].
    pub(crate) fn aborted(&self, end: Offset) -> Result<Arc<Option<TransactionIndex>>> {
        let known = self.aborted.load_full();
        if known.is_some() {
            return Ok(known);
        }
        let name = self.file_name(FileKind::TransactionIndex);
        let index = match self.directory.read(&name, TRANSACTION_INDEX_MAX) {
            Ok(bytes) => TransactionIndex::parse(&bytes, self.base..end)
                .map_err(|error| error.located(&self.directory.path().join(name), 0))?,
            Err(error) if error.kind() == ErrorKind::NotFound => TransactionIndex::new(),
            Err(error) => return Err(error),
        };
        Ok(self.keep_aborted(index))
    }

    /// Keeps a transaction index that was read, or made anew, unless there is one by now: the writer may have added to
    /// that. Answers which one is kept.
    pub(crate) fn keep_aborted(&self, index: TransactionIndex) -> Arc<Option<TransactionIndex>> {
        let index = Arc::new(Some(index));
        self.aborted.rcu(|known| Arc::clone(if known.is_some() { known } else { &index }));
        self.aborted.load_full()
    }

    /// Adds an aborted transaction whose marker this segment just took.
    pub(crate) fn add_aborted(&self, transaction: AbortedTransaction) -> Result<()> {
        match self.aborted(transaction.last_offset)?.as_ref() {
            Some(index) => index.push(transaction),
            None => Ok(()),
        }
    }

    /// The transaction index's file contents; empty if there is to be no file, `None` if what there is stays.
    pub(crate) fn aborted_bytes(&self) -> Option<Vec<u8>> {
        self.aborted.load().as_ref().as_ref().map(TransactionIndex::to_bytes)
    }

    /// The name of one of its files.
    pub(crate) fn file_name(&self, kind: FileKind) -> String {
        file_name(self.base, kind)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("base", &self.base).field("size", &self.size()).finish_non_exhaustive()
    }
}
