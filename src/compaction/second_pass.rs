//! The second pass: through all of the log up to where its keys are known, segment by segment, into new ones.

use std::ops::Range;

use crate::compaction::Compacted;
use crate::compaction::meter::Meter;
use crate::compaction::output::{self, Finished, Output};
use crate::compaction::plan::{GroupLimits, SourceFacts, groups};
use crate::compaction::rewrite::{Fate, Rewriter};
use crate::compaction::swap::swap;
use crate::error::{Error, Result};
use crate::log::LogConfig;
use crate::log::cleaning::Cleaning;
use crate::log::segment_set::SegmentSet;
use crate::record::BatchHeader;
use crate::segment::walk::{Next, next_at};
use crate::segment::{AbortedTransaction, NewSegment, Segment};
use crate::types::{Offset, Timestamp};

/// Rewrites the segments of one log, and exchanges them.
pub(super) struct SecondPass<'a> {
    cleaning: &'a Cleaning<'a>,
    set: &'a SegmentSet,
    /// Where the cleaning ends: the base of the first segment that is left alone.
    end: Offset,
    rewriter: Rewriter,
    meter: Meter<'a>,
    /// Whether the log's checkpoint allows for what comes.
    has_made_way: bool,
}

/// The segment that takes the place of a group, while it is written.
struct Writing<'a> {
    cleaning: &'a Cleaning<'a>,
    new: NewSegment,
    /// Bytes of the group.
    bytes: u64,
    /// None before there is a difference.
    out: Option<Output>,
    aborted: Vec<AbortedTransaction>,
}

impl<'a> SecondPass<'a> {
    pub(super) fn new(cleaning: &'a Cleaning<'a>, set: &'a SegmentSet, rewriter: Rewriter, meter: Meter<'a>) -> Self {
        Self { cleaning, set, end: rewriter.upper_bound(), rewriter, meter, has_made_way: false }
    }

    /// How far the keys are known, from `first_dirty` on.
    pub(super) fn cleaned_to(&self, first_dirty: Offset) -> Offset {
        self.rewriter.cleaned_to(first_dirty).max(first_dirty)
    }

    /// The first delete horizon of what stays.
    pub(super) fn next_horizon(&self) -> Timestamp {
        self.rewriter.next_horizon
    }

    /// Rewrites all segments that begin below `to`. Answers whether they were the log's to the end.
    pub(super) fn run(&mut self, to: Offset, config: &LogConfig, total: &mut Compacted) -> Result<bool> {
        let sealed = self.set.segments().split_last().map_or(&[][..], |(_, sealed)| sealed);
        let sources: Vec<SourceFacts> = sealed
            .iter()
            .take_while(|segment| segment.base_offset() < to)
            .map(|segment| self.source(segment))
            .collect();
        let limits = GroupLimits {
            segment_bytes: u64::from(config.segment_bytes),
            index_bytes: u64::from(config.segment_index_bytes),
        };
        for group in groups(&sources, self.end, &limits) {
            let bytes = sources[group.clone()].iter().map(|source| source.bytes).sum();
            let removed = self.rewriter.records_removed;
            let Some(new) = self.rewrite(group.clone(), bytes)? else { continue };
            let (base, len) = (new.base, new.len);
            let exchanged =
                self.make_way().and_then(|()| swap(self.cleaning, &self.set.segments()[group.clone()], new));
            if !exchanged.map_err(|error| self.give_up(base, error))? {
                return Ok(false);
            }
            *total = total.plus(Compacted {
                segments: group.len() as u64,
                bytes_before: bytes,
                bytes_after: len,
                records_removed: self.rewriter.records_removed - removed,
            });
        }
        Ok(true)
    }

    fn source(&self, segment: &Segment) -> SourceFacts {
        let (offset_index_bytes, time_index_bytes) = segment.index_bytes();
        let bytes = self.cleaning.valid_len(segment);
        SourceFacts { base: segment.base_offset(), bytes, offset_index_bytes, time_index_bytes }
    }

    /// Before the first exchange, once for all.
    fn make_way(&mut self) -> Result<()> {
        if !self.has_made_way {
            self.cleaning.make_way(self.end)?;
            self.has_made_way = true;
        }
        Ok(())
    }

    /// Removes what was begun; the next attempt would remove it, too, and so would an opening.
    fn give_up(&self, base: Offset, error: Error) -> Error {
        output::remove(self.cleaning.directory().as_ref(), base).ok();
        error
    }

    /// Writes the segment that takes the place of a group; `None` if it would be the same.
    fn rewrite(&mut self, group: Range<usize>, bytes: u64) -> Result<Option<Finished>> {
        let base = self.set.segments()[group.start].base_offset();
        self.write(group, bytes).map_err(|error| self.give_up(base, error))
    }

    fn write(&mut self, group: Range<usize>, bytes: u64) -> Result<Option<Finished>> {
        let new = self.cleaning.new_segment(self.set.segments()[group.start].base_offset());
        let mut writing = Writing { cleaning: self.cleaning, new, bytes, out: None, aborted: Vec::new() };
        if group.len() > 1 {
            writing.begin(&[])?;
        }
        for index in group {
            self.write_from(index, &mut writing)?;
        }
        writing.finish()
    }

    /// Goes through one segment of a group. One that stands alone is written from the first difference on.
    fn write_from(&mut self, index: usize, writing: &mut Writing<'_>) -> Result<()> {
        let segment = &self.set.segments()[index];
        let end = self.set.end_of(index, self.end);
        self.rewriter.transactions.expect(self.cleaning.aborted_in(self.set, index, Offset::ZERO)?);
        let view = segment.region().window(0..self.cleaning.valid_len(segment))?;
        for batch in segment.scan(&view, segment.base_offset(), end, self.cleaning.may_have_gaps())? {
            let (place, batch) = batch?;
            let fate = self.rewriter.batch(&batch);
            let (fate, ended) = fate.map_err(|error| error.located(segment.region().path(), place as u64))?;
            writing.aborted.extend(ended);
            if fate != Fate::Same {
                writing.begin(&view[..place])?;
            }
            let written = match (&fate, writing.out.as_mut()) {
                (Fate::Gone, _) | (_, None) => 0,
                (Fate::Same, Some(out)) => out.push(batch.header(), batch.bytes())?,
                (Fate::Changed(bytes), Some(out)) => out.push(&BatchHeader::parse(bytes)?, bytes)?,
            };
            self.meter.count(batch.size() + written)?;
        }
        if writing.out.is_none() && writing.aborted != self.cleaning.aborted_by(self.set, index)? {
            writing.begin(&view)?;
        }
        Ok(())
    }
}

impl Writing<'_> {
    /// Starts the file, if that has not been done, with the batches that have stayed so far.
    fn begin(&mut self, before: &[u8]) -> Result<()> {
        if self.out.is_some() {
            return Ok(());
        }
        let out = self.out.insert(Output::create(self.cleaning, &self.new, self.bytes)?);
        let mut place = 0;
        while let Next::Batch(header) = next_at(before, place) {
            out.push(&header, &before[place..place + header.size()])?;
            place += header.size();
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<Finished>> {
        let Some(mut out) = self.out else { return Ok(None) };
        for transaction in self.aborted {
            out.push_aborted(transaction)?;
        }
        out.finish(self.cleaning).map(Some)
    }
}
