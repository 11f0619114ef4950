//! A segment as readers see it: one log file with what finds an offset or a time in it.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::io::{Directory, FileRange, Region, View};
use crate::record::{BatchHeader, DecompressionLimits, RecordBatch};
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::indexes::{IndexFiles, Indexes, names_a_batch};
use crate::segment::memory_index::IndexSettings;
use crate::segment::transaction_index::{AbortedTransaction, TransactionIndex};
use crate::segment::verified::Verified;
use crate::segment::walk::{Next, check_crc, next_at, skip_below};
use crate::sync::{Arc, ArcSwap};
use crate::types::{Offset, Timestamp};

/// A run of batches in one file, and the indexes that search it.
///
/// Where a segment ends is where the next one begins, whatever its file still holds: all methods that look for
/// batches take that end.
pub struct Segment {
    base: Offset,
    directory: Arc<dyn Directory>,
    region: Arc<dyn Region>,
    settings: IndexSettings,
    indexes: ArcSwap<Indexes>,
    /// The transaction index: `None` while it is only in its file.
    aborted: ArcSwap<Option<TransactionIndex>>,
    verified: ArcSwap<Verified>,
    verify_always: bool,
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

/// Whole batches from a segment.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The bytes, which keep the mapping alive.
    pub(crate) bytes: Bytes,
    /// The base offset of the first batch.
    pub(crate) first_offset: Offset,
    /// Where in the file that begins.
    pub(crate) position: u64,
    /// The offset behind the last batch.
    pub(crate) next_offset: Offset,
}

/// What a fetch answers.
#[derive(Clone, Debug)]
pub(crate) enum Fetch {
    /// Batches, at least one.
    Run(Run),
    /// The first batch there does not end below the end that was asked for.
    Beyond,
    /// There is none: the file's bytes end at this position.
    Nothing(u64),
    /// There is none in a file that another process may have changed since it was looked at.
    Unsettled,
}

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

    pub(crate) fn indexes(&self) -> Arc<Indexes> {
        self.indexes.load_full()
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
        }));
    }

    /// Forgets what the indexes say about offsets from `end` on, where a cut ended the segment, `position` bytes into
    /// its file.
    pub(crate) fn cut_indexes(&self, end: Offset, position: u64) -> Result<()> {
        let valid = self.region.window(0..position)?;
        let writer = self.indexes.load().rebuilt(self.base, &valid, self.settings);
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

    /// The first batch whose last offset is `offset` or above: its position and header. `None` if there is none.
    ///
    /// Unless `gaps`, a batch goes on where the one before ended: its base offset lies outside of the checksum, and one
    /// that became another is damage of the offsets that the batch had, and of no others.
    pub(crate) fn locate(&self, bytes: &View, offset: Offset, gaps: bool) -> Result<Option<(usize, BatchHeader)>> {
        let mut position = self.start_for(bytes, offset)?;
        let mut next = Some(self.base).filter(|_| position == 0);
        loop {
            let (place, expected) = skip_below(bytes, position, next, offset, gaps);
            let expected = expected.filter(|_| !gaps);
            let Some((place, header)) = self.walk_until(bytes, place, |_| true)? else { return Ok(None) };
            match expected.filter(|expected| *expected != header.base_offset) {
                Some(expected) => {
                    let behind = expected.checked_add(header.offset_count());
                    if behind.is_none_or(|behind| offset < behind) {
                        let (expected, found) = (expected.as_i64(), header.base_offset.as_i64());
                        let reason = CorruptionReason::BaseOffset { expected, found };
                        return Err(Error::corrupt(place as u64, reason).located(self.region.path(), 0));
                    }
                    next = behind;
                }
                None if header.last_offset() >= offset => return Ok(Some((place, header))),
                None => next = Some(header.next_offset()),
            }
            position = place + header.size();
        }
    }

    /// The offset behind the last batch of the file: the base where there is none.
    pub(crate) fn next_offset(&self) -> Result<Offset> {
        self.last_batch().map(|(next, _)| next)
    }

    /// The offset behind the last batch of the file that can be found; and, where that is not all the file holds, what
    /// is wrong with the rest.
    pub(crate) fn last_batch(&self) -> Result<(Offset, Option<Error>)> {
        let view = self.view()?;
        let (mut next, mut position) = (self.base, self.start_for(&view, Offset::MAX)?);
        let rest = loop {
            match next_at(&view, position) {
                Next::Batch(header) => {
                    next = header.next_offset();
                    position += header.size();
                }
                Next::End => break self.check_end(&view, position),
                Next::Broken(error) => break Err(error.located(self.region.path(), 0)),
            }
        };
        self.check_pages()?;
        Ok((next, rest.err()))
    }

    /// How many bytes of the file hold batches that end below `end`.
    pub(crate) fn len_below(&self, end: Offset) -> Result<u64> {
        let view = self.view()?;
        let mut position = self.start_for(&view, end)?;
        while let Next::Batch(header) = next_at(&view, position) {
            if header.last_offset() >= end {
                break;
            }
            position += header.size();
        }
        self.check_pages()?;
        Ok(position as u64)
    }

    /// Walks from `start` to the first batch for which `wanted` holds.
    fn walk_until(
        &self,
        bytes: &View,
        start: usize,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(usize, BatchHeader)>> {
        let mut position = start;
        loop {
            match next_at(bytes, position) {
                Next::Batch(header) if wanted(&header) => return Ok(Some((position, header))),
                Next::Batch(header) => position += header.size(),
                Next::End => return self.check_end(bytes, position).map(|()| None),
                Next::Broken(error) => return Err(error.located(self.region.path(), 0)),
            }
        }
    }

    /// Whether nothing but room that was never used follows: zeros with something behind them are damage, but where
    /// another process is just writing.
    fn check_end(&self, view: &View, position: usize) -> Result<()> {
        let rest = view.get(position..).unwrap_or_default();
        if view.source().is_none() || rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let reason = CorruptionReason::Header("zeros instead of a batch".to_owned());
        Err(Error::corrupt(position as u64, reason).located(self.region.path(), 0))
    }

    /// Where a walk to `offset` may start. An index entry counts only if the batch it names is there; an index that
    /// lies is made anew.
    pub(super) fn start_for(&self, bytes: &[u8], offset: Offset) -> Result<usize> {
        match self.indexes.load().floor(offset) {
            Ok(None) => return Ok(0),
            Ok(Some(entry)) if names_a_batch(bytes, entry) => return Ok(entry.position.index()),
            Ok(Some(_)) | Err(_) => {}
        }
        let entry = self.rebuild_indexes()?.floor(offset)?;
        Ok(entry.filter(|entry| names_a_batch(bytes, *entry)).map_or(0, |entry| entry.position.index()))
    }

    /// Builds the indexes anew from the log file, and keeps them in memory.
    pub(crate) fn rebuild_indexes(&self) -> Result<Arc<Indexes>> {
        let view = self.region.view()?;
        let writer = self.indexes.load().rebuilt(self.base, &view, self.settings);
        self.check_pages()?;
        self.set_indexes(Indexes::Memory(Arc::clone(writer.index())));
        Ok(self.indexes())
    }

    /// Whole, verified batches from the one that holds the start of `range` on: those that end below its end, about
    /// `max_bytes` of them, and at least one. `gaps`: offsets may be left out between them.
    pub(crate) fn fetch(&self, range: Range<Offset>, max_bytes: usize, gaps: bool) -> Result<Fetch> {
        self.believed(self.find_run(range, max_bytes, gaps))
    }

    fn find_run(&self, range: Range<Offset>, max_bytes: usize, gaps: bool) -> Result<Fetch> {
        let (view, end) = (self.view()?, range.end);
        let Some((position, first)) = self.locate(&view, range.start, gaps)? else {
            let is_mapped = view.source().is_some() || view.is_empty();
            return Ok(if is_mapped { Fetch::Nothing(view.len() as u64) } else { Fetch::Unsettled });
        };
        if first.last_offset() >= end {
            return Ok(Fetch::Beyond);
        }
        let known = self.verified_in(&view);
        self.verify(known.as_deref(), &view, position, &first)?;
        let mut stop = position + first.size();
        let mut next_offset = first.next_offset();
        while let Next::Batch(header) = next_at(&view, stop) {
            let size = stop - position + header.size();
            let beyond = header.last_offset() >= end || size > max_bytes;
            let follows = header.base_offset == next_offset || (gaps && header.base_offset > next_offset);
            if beyond || !follows || self.verify(known.as_deref(), &view, stop, &header).is_err() {
                break;
            }
            next_offset = header.next_offset();
            stop += header.size();
        }
        let (bytes, first_offset) = (view.slice(position..stop), first.base_offset);
        Ok(Fetch::Run(Run { bytes, first_offset, position: position as u64, next_offset }))
    }

    /// The first record from `from` on, below `end`, whose timestamp is `target` or later.
    pub(crate) fn find_time(
        &self,
        target: Timestamp,
        from: Offset,
        end: Offset,
    ) -> Result<Option<(Offset, Timestamp)>> {
        self.believed(self.search_time(target, from, end))
    }

    fn search_time(&self, target: Timestamp, from: Offset, end: Offset) -> Result<Option<(Offset, Timestamp)>> {
        let view = self.view()?;
        let entry = self.indexes.load().time_floor(target).ok().flatten();
        let hint = entry.map_or(self.base, |entry| entry.offset).max(from);
        let mut position = self.start_for(&view, hint)?;
        loop {
            let wanted = |header: &BatchHeader| header.max_timestamp >= target && header.last_offset() >= from;
            let Some((place, header)) = self.walk_until(&view, position, wanted)? else { return Ok(None) };
            if header.last_offset() >= end {
                return Ok(None);
            }
            if let Some(found) =
                self.first_record(&view, place, &header, |offset, time| offset >= from && time >= target)?
            {
                return Ok(Some(found));
            }
            position = place + header.size();
        }
    }

    /// The first record below `end` with the largest timestamp of all, or `None` without one.
    pub(crate) fn find_largest(&self, from: Offset, end: Offset) -> Result<Option<(Offset, Timestamp)>> {
        self.believed(self.search_largest(from, end))
    }

    fn search_largest(&self, from: Offset, end: Offset) -> Result<Option<(Offset, Timestamp)>> {
        let view = self.view()?;
        let mut best: Option<(usize, BatchHeader)> = None;
        let mut position = self.start_for(&view, from)?;
        while let Some((place, header)) = self.walk_until(&view, position, |h| h.last_offset() >= from)? {
            if header.last_offset() >= end {
                break;
            }
            if header.max_timestamp.is_some() && best.is_none_or(|(_, best)| header.max_timestamp > best.max_timestamp)
            {
                best = Some((place, header));
            }
            position = place + header.size();
        }
        let Some((place, header)) = best else { return Ok(None) };
        self.first_record(&view, place, &header, |offset, time| offset >= from && time == header.max_timestamp)
    }

    fn first_record(
        &self,
        view: &View,
        position: usize,
        header: &BatchHeader,
        wanted: impl Fn(Offset, Timestamp) -> bool,
    ) -> Result<Option<(Offset, Timestamp)>> {
        self.verify(self.verified_in(view).as_deref(), view, position, header)?;
        let batch = RecordBatch::trusted(*header, &view[position..position + header.size()]);
        let payload = batch.payload(&DecompressionLimits::default())?;
        for record in payload.records() {
            let record = record?;
            if wanted(record.offset(), record.timestamp()) {
                return Ok(Some((record.offset(), record.timestamp())));
            }
        }
        Ok(None)
    }

    /// What is known of the mapping that `view` shows; `None` if every batch is to be checked.
    fn verified_in(&self, view: &View) -> Option<Arc<Verified>> {
        let source = view.source().filter(|_| !self.verify_always)?;
        let known = self.verified.load();
        if known.mapping() == source.number {
            return Some(Arc::clone(&known));
        }
        if known.mapping() > source.number {
            // The view is from before the segment was mapped again.
            return None;
        }
        let fresh = Arc::new(Verified::of(source));
        self.verified.store(Arc::clone(&fresh));
        Some(fresh)
    }

    /// Checks the batch's checksum, unless it has passed since the segment was mapped.
    fn verify(&self, known: Option<&Verified>, bytes: &[u8], position: usize, header: &BatchHeader) -> Result<()> {
        if !known.is_some_and(|known| known.contains(position)) {
            check_crc(bytes, position, header).map_err(|error| error.located(self.region.path(), 0))?;
            if let Some(known) = known {
                known.insert(position);
            }
        }
        Ok(())
    }

    /// What was found in the file, damage too, if all pages that were read are the file's.
    fn believed<T>(&self, found: Result<T>) -> Result<T> {
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
