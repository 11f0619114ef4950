//! Reads: by offset up to a mark, and by time. No lock: a mark, and the snapshot of segments that it was read of.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::io::FileRange;
use crate::log::checkpoint::Checkpoint;
use crate::log::segment_set::SegmentSet;
use crate::log::settled::settled;
use crate::log::{Log, replay};
use crate::record::{Next, RecordBatch, next_batch};
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::{AbortedTransaction, Fetch, Segment, Timed};
use crate::sync::Arc;
use crate::types::{Isolation, Offset, ReadUpTo, Timestamp};

/// How often a read looks for what another process has made of the segments it reads.
const LOOKS: usize = 10;

/// How much a fetch may answer, and how far it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct FetchLimit {
    max_bytes: usize,
    up_to: ReadUpTo,
    isolation: Isolation,
    at_least_one: bool,
}

impl FetchLimit {
    /// About `max_bytes`, up to the high watermark; but at least one batch, however large.
    pub fn bytes(max_bytes: usize) -> Self {
        Self { max_bytes, up_to: ReadUpTo::default(), isolation: Isolation::default(), at_least_one: true }
    }

    /// Up to another mark.
    pub fn up_to(mut self, up_to: ReadUpTo) -> Self {
        self.up_to = up_to;
        self
    }

    /// With an isolation: [`Isolation::ReadCommitted`] ends at the last stable offset at the latest, and names the
    /// aborted transactions among what is answered.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Nothing rather than a first batch that is larger than the limit.
    pub fn strict(mut self) -> Self {
        self.at_least_one = false;
        self
    }
}

/// What a fetch answers: whole batches of one segment, as they are stored.
///
/// The first batch may begin before the offset that was asked for. All batches have passed their checksum.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Fetched {
    /// The batches, back to back. A slice of the mapped file: it keeps the mapping alive.
    pub bytes: Bytes,
    /// Where to go on reading.
    pub next_offset: Offset,
    /// For [`Isolation::ReadCommitted`]: aborted transactions that have records here, and maybe some that have not.
    pub aborted: Vec<AbortedTransaction>,
    /// The first offset of the log, as of this read.
    pub log_start: Offset,
    /// The segment that the bytes lie in, and where in its file.
    place: Option<(Arc<Segment>, u64)>,
}

impl Fetched {
    /// Whether there is nothing between the offset asked for and the mark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The same bytes as a range of the open log file, for `sendfile`: what a broker answers a fetch with. `None` if
    /// there are none.
    ///
    /// The bytes have passed their checksum, like [`Fetched::bytes`], and never change. The file is the log's own: it is
    /// for reading, at positions of the caller's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the segment was deleted since; what opening a file can answer.
    pub fn file_range(&self) -> Result<Option<FileRange>> {
        let Some((segment, position)) = &self.place else { return Ok(None) };
        segment.file_range(*position..position + self.bytes.len() as u64).map(Some)
    }

    /// The batches one by one.
    pub fn batches(&self) -> impl Iterator<Item = RecordBatch<&[u8]>> {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            let Next::Batch(header, batch) = next_batch(rest) else { return None };
            rest = &rest[batch.len()..];
            Some(RecordBatch::trusted(header, batch))
        })
    }
}

/// A record's offset and timestamp: what a look-up by time answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetTimestamp {
    /// The offset.
    pub offset: Offset,
    /// The timestamp.
    pub timestamp: Timestamp,
}

impl Log {
    /// Reads from `offset` on. An offset between the mark and the log end answers nothing, with `next_offset` as asked.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] below the log start or above the log end; [`ErrorKind::Corruption`] where the
    /// batch at the offset is damaged. A read-only log that meets with a segment which another process has removed or
    /// exchanged looks again.
    pub fn read(&self, offset: Offset, limit: FetchLimit) -> Result<Fetched> {
        self.check_open()?;
        self.on_current_set(limit.up_to, limit.isolation, |set, mark| self.read_from(set, mark, offset, limit))
    }

    /// Does `work` up to a mark, on the snapshot of segments that goes with it; once more, if a segment went away before
    /// it was first opened, or another took its name. Where another process writes the log, that is looked for.
    fn on_current_set<T>(
        &self,
        up_to: ReadUpTo,
        isolation: Isolation,
        work: impl Fn(&Arc<SegmentSet>, Offset) -> Result<T>,
    ) -> Result<T> {
        let mut looks = LOOKS;
        loop {
            let (set, mark) = self.settled(|| self.marks.limit(up_to, isolation));
            match work(&set, mark) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corruption) => {
                    if !self.is_current(&set) {
                        continue;
                    }
                    if !self.read_only {
                        return Err(error);
                    }
                    match self.was_changed(&set) {
                        // What looking met with is the same, once more.
                        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corruption) => {
                            return Err(error);
                        }
                        Ok(false) => return Err(error),
                        _ if looks == 0 => return Err(error),
                        _ => looks -= 1,
                    }
                }
                done => return done,
            }
        }
    }

    /// The same for look-ups by time: what an index says of times counts only if it was its segment's own, which one that
    /// was opened while segments were exchanged need not have been.
    fn on_lasting_set<T>(&self, up_to: ReadUpTo, work: impl Fn(&Arc<SegmentSet>, Offset) -> Result<T>) -> Result<T> {
        self.on_current_set(up_to, Isolation::ReadUncommitted, |set, mark| {
            let found = work(set, mark)?;
            if self.segments.load().goes_on(set) { Ok(found) } else { Err(changed()) }
        })
    }

    /// Marks, and the segments that were current all the while they were loaded.
    pub(super) fn settled<T>(&self, load: impl Fn() -> T) -> (Arc<SegmentSet>, T) {
        settled(&self.segments, load)
    }

    fn is_current(&self, set: &Arc<SegmentSet>) -> bool {
        Arc::ptr_eq(set, &self.segments.load())
    }

    fn read_from(&self, set: &Arc<SegmentSet>, mark: Offset, offset: Offset, limit: FetchLimit) -> Result<Fetched> {
        let end = self.marks.end().max(mark);
        if offset < set.log_start() || offset > end {
            return Err(out_of_range(offset, set.log_start(), end));
        }
        let mut fetched = Fetched { next_offset: offset, log_start: set.log_start(), ..Fetched::default() };
        if offset >= mark {
            return Ok(fetched);
        }
        // Without a floor the first segment is lost, which the one behind it tells.
        let first = set.floor(offset).unwrap_or(0);
        for index in first..set.segments().len() {
            let segment = &set.segments()[index];
            if segment.base_offset() >= mark {
                break;
            }
            let segment_end = set.end_of(index, mark).min(mark);
            let run = match segment.fetch(offset..segment_end, limit.max_bytes, self.checkpoint.may_have_gaps())? {
                Fetch::Run(run) if run.first_offset > offset => {
                    self.check_gap(segment, run.position, offset, run.first_offset)?;
                    run
                }
                Fetch::Run(run) => run,
                Fetch::Nothing(position) if offset < segment_end => {
                    self.check_gap(segment, position, offset, segment_end)?;
                    continue;
                }
                Fetch::Unsettled if offset < segment_end => {
                    self.check_settled(set, segment, offset..segment_end)?;
                    continue;
                }
                Fetch::Beyond | Fetch::Nothing(_) | Fetch::Unsettled => continue,
            };
            if !limit.at_least_one && run.bytes.len() > limit.max_bytes {
                break;
            }
            if limit.isolation == Isolation::ReadCommitted {
                fetched.aborted = self.aborted_in(set, index, &(offset..run.next_offset))?;
            }
            fetched.next_offset = run.next_offset;
            fetched.bytes = run.bytes;
            fetched.place = Some((Arc::clone(segment), run.position));
            break;
        }
        Ok(fetched)
    }

    /// Whether the offsets from `from` to `to` may be missing: where none is ever left out, they are lost.
    fn check_gap(&self, segment: &Segment, position: u64, from: Offset, to: Offset) -> Result<()> {
        if self.checkpoint.may_have_gaps() {
            return Ok(());
        }
        let reason = CorruptionReason::BaseOffset { expected: from.as_i64(), found: to.as_i64() };
        Err(Error::corrupt(position, reason).located(segment.region().path(), 0))
    }

    /// Whether the start of `range` may be missing in a file that another process may be writing. Below the recovery
    /// point it may not: what is there is synced, and a cut lowers that point on the disk before it takes anything.
    ///
    /// The file is looked at between two looks at the checkpoint. Where a cut came in between, or newer segments, the
    /// next read decides.
    fn check_settled(&self, set: &Arc<SegmentSet>, segment: &Segment, range: Range<Offset>) -> Result<()> {
        let known = self.checkpoint.get();
        let gaps = known.may_have_gaps;
        if range.start >= known.recovery_point.offset || !self.is_current(set) {
            return Ok(());
        }
        if !matches!(segment.fetch(range.clone(), 1, gaps)?, Fetch::Unsettled) {
            return Ok(());
        }
        let position = segment.len_below(range.start)?;
        let view = segment.view()?;
        let rest = usize::try_from(position).ok().and_then(|position| view.get(position..)).unwrap_or_default();
        // Kafka's directory has none, and Kafka does not tell when it cuts a log.
        if Checkpoint::read(self.directory.as_ref())?.map_or(0, |now| now.cuts) != known.cuts {
            return Ok(());
        }
        if rest.iter().any(|byte| *byte != 0) {
            let reason = CorruptionReason::Header("zeros instead of a batch".to_owned());
            return Err(Error::corrupt(position, reason).located(segment.region().path(), 0));
        }
        self.check_gap(segment, position, range.start, range.end)
    }

    /// Aborted transactions with records in `range`. The entry lies with the marker, so segments from `first` on are
    /// looked at until one tells that nothing behind it can concern the range. (`LocalLog.collectAbortedTransactions`)
    pub(super) fn aborted_in(
        &self,
        set: &SegmentSet,
        first: usize,
        range: &Range<Offset>,
    ) -> Result<Vec<AbortedTransaction>> {
        let mut found = Vec::new();
        for index in first..set.segments().len() {
            let known = self.aborted_of(set, index)?;
            if known.as_ref().as_ref().is_some_and(|index| index.collect(range, &mut found)) {
                break;
            }
        }
        Ok(found)
    }

    /// The transaction index of the segment at `index`. It is derived: one that cannot be understood is made anew, in
    /// memory, and a clean close writes it.
    pub(super) fn aborted_of(&self, set: &SegmentSet, index: usize) -> Result<Arc<Option<TransactionIndex>>> {
        let Some(segment) = set.segments().get(index) else { return Ok(Arc::new(None)) };
        let end = set.end_of(index, self.marks.end());
        match segment.aborted(end) {
            Err(error) if replay::is_bad_index(&error) => {
                let snapshots = self.snapshots()?;
                let anew = replay::aborted(self.directory.as_ref(), &snapshots, &set.segments()[..=index], end)?;
                if segment.indexes().is_files() {
                    segment.rebuild_indexes()?;
                }
                Ok(segment.keep_aborted(anew))
            }
            known => known,
        }
    }

    /// The first record at or after `target`, in offset order, as far as a reader `up_to` a mark sees.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a negative time; [`ErrorKind::Corruption`] where a batch that had to be looked
    /// into is damaged, or one that had to be passed over is lost.
    pub fn offset_for_time(&self, target: Timestamp, up_to: ReadUpTo) -> Result<Option<OffsetTimestamp>> {
        self.check_open()?;
        if !target.is_some() {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("there is no time {target}")));
        }
        self.on_lasting_set(up_to, |set, mark| self.find_time(set, target, mark))
    }

    fn find_time(&self, set: &Arc<SegmentSet>, target: Timestamp, mark: Offset) -> Result<Option<OffsetTimestamp>> {
        let gaps = self.checkpoint.may_have_gaps();
        for (index, segment) in set.segments().iter().enumerate() {
            let end = set.end_of(index, mark).min(mark);
            if end <= set.log_start() || segment.time_bound()?.is_some_and(|bound| bound < target) {
                continue;
            }
            let timed = segment.find_time(target, set.log_start()..end, gaps)?;
            if let Some((offset, timestamp)) = timed.found {
                return Ok(Some(OffsetTimestamp { offset, timestamp }));
            }
            self.check_passed(set, segment, timed, end)?;
        }
        Ok(None)
    }

    /// Whether what a look-up passed over may be missing: what a read of it would say.
    fn check_passed(&self, set: &Arc<SegmentSet>, segment: &Segment, timed: Timed, end: Offset) -> Result<()> {
        let Some(next) = timed.short else { return Ok(()) };
        let range = next.max(set.log_start())..end;
        match segment.fetch(range.clone(), 1, self.checkpoint.may_have_gaps())? {
            Fetch::Nothing(position) => self.check_gap(segment, position, range.start, range.end),
            Fetch::Unsettled => self.check_settled(set, segment, range),
            Fetch::Run(_) | Fetch::Beyond => Ok(()),
        }
    }

    /// The first record with the greatest timestamp, as far as a reader `up_to` a mark sees. Control records count, as
    /// in Kafka's `ListOffsets` with −3. `None` if no record has a timestamp.
    ///
    /// # Errors
    /// As [`Log::offset_for_time`].
    pub fn offset_of_max_timestamp(&self, up_to: ReadUpTo) -> Result<Option<OffsetTimestamp>> {
        self.check_open()?;
        self.on_lasting_set(up_to, |set, mark| self.find_largest(set, mark))
    }

    fn find_largest(&self, set: &Arc<SegmentSet>, mark: Offset) -> Result<Option<OffsetTimestamp>> {
        let gaps = self.checkpoint.may_have_gaps();
        let mut best: Option<OffsetTimestamp> = None;
        for (index, segment) in set.segments().iter().enumerate() {
            let end = set.end_of(index, mark).min(mark);
            let bound = segment.time_bound()?;
            if end <= set.log_start() || best.is_some_and(|best| bound.is_some_and(|bound| bound <= best.timestamp)) {
                continue;
            }
            let timed = segment.find_largest(set.log_start()..end, gaps)?;
            self.check_passed(set, segment, timed, end)?;
            if let Some((offset, timestamp)) = timed.found
                && best.is_none_or(|best| timestamp > best.timestamp)
            {
                best = Some(OffsetTimestamp { offset, timestamp });
            }
        }
        Ok(best)
    }
}

/// That what was found was looked for among segments that are gone.
fn changed() -> Error {
    Error::new(ErrorKind::NotFound, "the segments changed")
}

fn out_of_range(offset: Offset, start: Offset, end: Offset) -> Error {
    let message = format!("offset {offset} is not between log start {start} and log end {end}");
    Error::new(ErrorKind::OffsetOutOfRange, message)
}
