//! Finding in a segment: the batches at an offset, and records by their time.

use std::ops::Range;

use bytes::Bytes;

use crate::error::{CorruptionReason, Error, Result};
use crate::io::Look;
use crate::record::batch_header::HEADER_LEN;
use crate::record::{BatchHeader, DecompressionLimits, RecordBatch};
use crate::segment::Segment;
use crate::segment::indexes::{is_unused, names_a_batch};
use crate::segment::verified::Verified;
use crate::segment::walk::{Next, batch_in, check_batch, next_in, skip_below};
use crate::sync::Arc;
use crate::types::{Offset, Timestamp};

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

/// What a look-up by time answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timed {
    /// The record that was looked for.
    pub(crate) found: Option<(Offset, Timestamp)>,
    /// Where the batches ended, if that was in front of the end that was asked for.
    pub(crate) short: Option<Offset>,
}

/// Where a batch stands, its header, and the largest time of its records that count.
type Largest = (usize, BatchHeader, Timestamp);

/// How far a walk over headers has come.
struct Reached {
    position: usize,
    /// The offset behind the last batch; `None` before the first, where the walk started inside of the segment.
    next: Option<Offset>,
}

impl Segment {
    /// The first batch whose last offset is `offset` or above: its position and header. `None` if there is none.
    ///
    /// Unless `gaps`, a batch goes on where the one before ended: its base offset lies outside of the checksum, and one
    /// that became another is damage of the offsets that the batch had, and of no others.
    pub(crate) fn locate(&self, look: &mut Look, offset: Offset, gaps: bool) -> Result<Option<(usize, BatchHeader)>> {
        let mut position = self.start_for(look, offset)?;
        let mut next = Some(self.base).filter(|_| position == 0);
        loop {
            let (skipped, expected) = skip_below(look.at(position, HEADER_LEN)?, next, offset, gaps);
            let place = position + skipped;
            let expected = expected.filter(|_| !gaps);
            let Some((place, header)) = self.walk_until(look, place, |_| true)? else { return Ok(None) };
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

    /// Walks from `start` to the first batch for which `wanted` holds.
    fn walk_until(
        &self,
        look: &mut Look,
        start: usize,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(usize, BatchHeader)>> {
        let mut position = start;
        loop {
            match next_in(look, position) {
                Next::Batch(header) if wanted(&header) => return Ok(Some((position, header))),
                Next::Batch(header) => position += header.size(),
                Next::End => return self.check_end(look, position).map(|()| None),
                Next::Broken(error) => return Err(error.located(self.region.path(), 0)),
            }
        }
    }

    /// Whether nothing but room that was never used follows: zeros with something behind them are damage, but where
    /// another process is just writing.
    pub(super) fn check_end(&self, look: &Look, position: usize) -> Result<()> {
        if is_unused(look, position) {
            return Ok(());
        }
        let reason = CorruptionReason::Header("zeros instead of a batch".to_owned());
        Err(Error::corrupt(position as u64, reason).located(self.region.path(), 0))
    }

    /// Where a walk to `offset` may start. An index entry counts only if the batch it names is there; an index that
    /// lies is made anew.
    pub(super) fn start_for(&self, look: &mut Look, offset: Offset) -> Result<usize> {
        match self.indexes.load().floor(offset) {
            Ok(None) => return Ok(0),
            Ok(Some(entry)) if names_a_batch(look, entry) => return Ok(entry.position.index()),
            Ok(Some(_)) | Err(_) => {}
        }
        let entry = self.rebuild_indexes()?.floor(offset)?;
        Ok(entry.filter(|entry| names_a_batch(look, *entry)).map_or(0, |entry| entry.position.index()))
    }

    /// Whole, verified batches from the one that holds the start of `range` on: those that end below its end, about
    /// `max_bytes` of them, and at least one. `gaps`: offsets may be left out between them.
    pub(crate) fn fetch(&self, range: Range<Offset>, max_bytes: usize, gaps: bool) -> Result<Fetch> {
        self.believed(self.find_run(range, max_bytes, gaps))
    }

    fn find_run(&self, range: Range<Offset>, max_bytes: usize, gaps: bool) -> Result<Fetch> {
        let (mut look, end) = (self.look()?, range.end);
        let Some((position, first)) = self.locate(&mut look, range.start, gaps)? else {
            return Ok(match look {
                Look::Whole(view) => Fetch::Nothing(view.len() as u64),
                Look::Window(_) => Fetch::Unsettled,
            });
        };
        if first.base_offset >= end {
            return Ok(Fetch::Beyond);
        }
        let known = self.verified_in(&look);
        look.hold(position, max_bytes);
        self.verify(known.as_deref(), &mut look, position, &first)?;
        // Only of a batch that is whole it is known that it ends there: a reader who was told nothing would wait for ever.
        if first.last_offset() >= end {
            return Ok(Fetch::Beyond);
        }
        let mut stop = position + first.size();
        let mut next_offset = first.next_offset();
        while let Next::Batch(header) = next_in(&mut look, stop) {
            let size = stop - position + header.size();
            let beyond = header.last_offset() >= end || size > max_bytes;
            let follows = header.base_offset == next_offset || (gaps && header.base_offset > next_offset);
            if beyond || !follows || self.verify(known.as_deref(), &mut look, stop, &header).is_err() {
                break;
            }
            next_offset = header.next_offset();
            stop += header.size();
        }
        let (bytes, first_offset) = (look.slice(position, stop), first.base_offset);
        Ok(Fetch::Run(Run { bytes, first_offset, position: position as u64, next_offset }))
    }

    /// The first record in `range` whose timestamp is `target` or later. `gaps`: offsets may be left out.
    pub(crate) fn find_time(&self, target: Timestamp, range: Range<Offset>, gaps: bool) -> Result<Timed> {
        self.believed(self.search_time(target, range, gaps))
    }

    fn search_time(&self, target: Timestamp, range: Range<Offset>, gaps: bool) -> Result<Timed> {
        let (mut look, from, indexes) = (self.look()?, range.start, self.indexes.load_full());
        // With holes an entry does not tell of all that lies in front of it.
        let entry = if indexes.has_holes() { None } else { indexes.time_floor(target).ok().flatten() };
        let hint = entry.map_or(self.base, |entry| entry.offset).max(from);
        let mut reached = self.reach(&mut look, hint)?;
        while let Some((place, header)) = self.next_below(&mut look, &mut reached, range.end, gaps)? {
            if header.max_timestamp < target || header.last_offset() < from {
                continue;
            }
            let wanted = |offset, time| offset >= from && time >= target;
            if let Some(found) = self.first_record(&mut look, place, &header, wanted)? {
                return Ok(Timed { found: Some(found), short: None });
            }
        }
        Ok(Timed { found: None, short: self.short(&reached, range.end) })
    }

    /// A walk that starts where a search for `offset` does.
    fn reach(&self, look: &mut Look, offset: Offset) -> Result<Reached> {
        let position = self.start_for(look, offset)?;
        Ok(Reached { position, next: Some(self.base).filter(|_| position == 0) })
    }

    /// The next batch of a walk, if it ends below `end`.
    fn next_below(
        &self,
        look: &mut Look,
        reached: &mut Reached,
        end: Offset,
        gaps: bool,
    ) -> Result<Option<(usize, BatchHeader)>> {
        let position = reached.position;
        if reached.next.is_some_and(|next| next >= end) {
            return Ok(None);
        }
        let header = match next_in(look, position) {
            Next::Batch(header) => header,
            Next::End => return self.check_end(look, position).map(|()| None),
            Next::Broken(error) => return Err(error.located(self.region.path(), 0)),
        };
        let found = header.base_offset;
        if let Some(expected) = reached.next.filter(|next| !gaps && *next != found) {
            let reason = CorruptionReason::BaseOffset { expected: expected.as_i64(), found: found.as_i64() };
            return Err(Error::corrupt(position as u64, reason).located(self.region.path(), 0));
        }
        if header.last_offset() >= end {
            reached.next = Some(end);
            return Ok(None);
        }
        *reached = Reached { position: position + header.size(), next: Some(header.next_offset()) };
        Ok(Some((position, header)))
    }

    /// Where the batches of a walk that is over ended, if that is in front of `end`.
    fn short(&self, reached: &Reached, end: Offset) -> Option<Offset> {
        Some(reached.next.unwrap_or(self.base)).filter(|next| *next < end)
    }

    /// The first record in `range` with the largest timestamp of all, or none without one. `gaps`: offsets may be left
    /// out.
    pub(crate) fn find_largest(&self, range: Range<Offset>, gaps: bool) -> Result<Timed> {
        self.believed(self.search_largest(range, gaps))
    }

    fn search_largest(&self, range: Range<Offset>, gaps: bool) -> Result<Timed> {
        let (mut look, from) = (self.look()?, range.start);
        let (best, short) = match self.indexed_largest(&mut look, from)? {
            Some((place, header)) if header.base_offset >= from && header.last_offset() < range.end => {
                (Some((place, header, header.max_timestamp)), None)
            }
            _ => self.walked_largest(&mut look, range, gaps)?,
        };
        let Some((place, header, largest)) = best else { return Ok(Timed { found: None, short }) };
        let wanted = |offset, time| offset >= from && time == largest;
        Ok(Timed { found: self.first_record(&mut look, place, &header, wanted)?, short })
    }

    /// The batch that first has the largest timestamp of all, as the index in memory tells: for a file that is not
    /// mapped, as all of it would have to be read. `None` where it lies below `from`, or is not found.
    fn indexed_largest(&self, look: &mut Look, from: Offset) -> Result<Option<(usize, BatchHeader)>> {
        let indexes = self.indexes.load();
        if indexes.is_files() || indexes.has_holes() || matches!(look, Look::Whole(_)) {
            return Ok(None);
        }
        let largest = indexes.largest_timestamp()?;
        let hint = indexes.time_floor(largest)?.map_or(self.base, |entry| entry.offset);
        if hint < from || !largest.is_some() {
            return Ok(None);
        }
        let start = self.start_for(look, hint)?;
        self.walk_until(look, start, |header| header.max_timestamp == largest && header.last_offset() >= from)
    }

    /// The same by a walk over all of them; and where that ended, if it was too early.
    fn walked_largest(
        &self,
        look: &mut Look,
        range: Range<Offset>,
        gaps: bool,
    ) -> Result<(Option<Largest>, Option<Offset>)> {
        let (mut best, from): (Option<Largest>, _) = (None, range.start);
        let mut reached = self.reach(look, from)?;
        while let Some((place, header)) = self.next_below(look, &mut reached, range.end, gaps)? {
            if header.last_offset() < from {
                continue;
            }
            let mut largest = header.max_timestamp;
            if header.base_offset < from {
                // The record that has it may lie below the log start.
                largest = Timestamp::NONE;
                self.first_record(look, place, &header, |offset, time| {
                    largest = largest.max(if offset < from { largest } else { time });
                    false
                })?;
            }
            if largest.is_some() && best.is_none_or(|(.., best)| largest > best) {
                best = Some((place, header, largest));
            }
        }
        Ok((best, self.short(&reached, range.end)))
    }

    fn first_record(
        &self,
        look: &mut Look,
        position: usize,
        header: &BatchHeader,
        mut wanted: impl FnMut(Offset, Timestamp) -> bool,
    ) -> Result<Option<(Offset, Timestamp)>> {
        self.verify(self.verified_in(look).as_deref(), look, position, header)?;
        let batch = RecordBatch::trusted(*header, batch_in(look, position, header)?);
        let payload = batch.payload(&DecompressionLimits::default())?;
        for record in payload.records() {
            let record = record?;
            if wanted(record.offset(), record.timestamp()) {
                return Ok(Some((record.offset(), record.timestamp())));
            }
        }
        Ok(None)
    }

    /// What is known of the mapping that is looked at; `None` if every batch is to be checked.
    fn verified_in(&self, look: &Look) -> Option<Arc<Verified>> {
        let Look::Whole(view) = look else { return None };
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
    fn verify(&self, known: Option<&Verified>, look: &mut Look, position: usize, header: &BatchHeader) -> Result<()> {
        if !known.is_some_and(|known| known.contains(position)) {
            let checked = batch_in(look, position, header).and_then(|batch| check_batch(batch, position, header));
            checked.map_err(|error| error.located(self.region.path(), 0))?;
            if let Some(known) = known {
                known.insert(position);
            }
        }
        Ok(())
    }
}
