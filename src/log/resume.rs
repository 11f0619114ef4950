//! What recovery makes of the segments that it has walked: finished ones, and one that goes on.

use crate::error::Result;
use crate::io::Region;
use crate::log::durability::Sealing;
use crate::log::follow::Following;
use crate::log::layout::SegmentFiles;
use crate::log::open::OpenMode;
use crate::log::recover::Recovering;
use crate::log::tail::index_settings;
use crate::segment::indexes::Indexes;
use crate::segment::memory_index::IndexWriter;
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::{ActiveSegment, Segment, SegmentParts};
use crate::sync::Arc;
use crate::types::Offset;

/// A segment that was walked.
pub(super) struct Walked {
    pub(super) files: SegmentFiles,
    pub(super) index: IndexWriter,
    pub(super) aborted: TransactionIndex,
    /// The bytes that count.
    pub(super) valid: usize,
    /// The offset behind its last batch.
    pub(super) end: Offset,
    /// The producers' state behind it.
    pub(super) snapshot: Vec<u8>,
}

impl Recovering<'_, '_> {
    /// Makes segments of what was walked; the last one becomes the active one, if it may be written.
    pub(super) fn build_segments(&mut self, write: bool) -> Result<Option<ActiveSegment>> {
        let mut walked = std::mem::take(&mut self.walked).into_iter().peekable();
        while let Some(one) = walked.next() {
            let is_cut = self.opening.checkpoint.cut_of(one.files.base).is_some();
            let end = match walked.peek() {
                Some(next) => next.files.base,
                None if is_cut => self.found.log_end,
                None => return self.build_last(one, write),
            };
            let snapshot = Some((end, one.snapshot.clone()));
            let segment = self.build_sealed(one)?;
            self.found.recovery.rebuilt_indexes += 1;
            self.found.unsealed.push(Sealing { segment: Arc::clone(&segment), snapshot, trim: false });
            self.found.segments.push(segment);
        }
        Ok(None)
    }

    fn build_sealed(&self, mut walked: Walked) -> Result<Arc<Segment>> {
        walked.index.seal();
        let region = self.sealed_region(&walked)?;
        Ok(Arc::new(Segment::new(SegmentParts {
            base: walked.files.base,
            directory: Arc::clone(&self.opening.directory),
            region,
            settings: index_settings(&self.opening.options.config),
            indexes: Indexes::Memory(Arc::clone(walked.index.index())),
            aborted: Some(walked.aborted),
            verify_always: self.opening.options.verify_always,
        })))
    }

    /// The log file of a segment that takes no more appends. What it holds beyond its batches, room that was never used,
    /// goes now; where a cut ended it, other processes may hold slices of what follows, and it stays until a close.
    fn sealed_region(&self, walked: &Walked) -> Result<Arc<dyn Region>> {
        let files = &walked.files;
        let write = self.opening.options.mode == OpenMode::Write && self.found.damage.is_none();
        if write && self.opening.checkpoint.cut_of(files.base).is_none() {
            let valid = walked.valid as u64;
            let region = self.opening.directory.open_append(&self.opening.log_name(files), valid, valid)?;
            region.finish()?;
            return Ok(region);
        }
        let is_last = self.files.last().is_some_and(|last| last.base == files.base);
        self.opening.log_region(files, is_last)
    }

    /// The last segment of a read-only log, to which another process may append.
    fn build_followed(&mut self, walked: Walked) -> Result<Option<ActiveSegment>> {
        let segment = self.opening.followed(&walked.files, &walked.index)?;
        segment.keep_aborted(walked.aborted);
        self.found.segments.push(segment);
        let sealed_below = self.files.get(self.first).map_or(walked.files.base, |first| first.base);
        let (index, position, expected) = (walked.index, walked.valid, self.expected);
        self.found.following = Some(Following { index, position, expected, sealed_below });
        Ok(None)
    }

    fn build_last(&mut self, walked: Walked, write: bool) -> Result<Option<ActiveSegment>> {
        let name = self.opening.log_name(&walked.files);
        let is_ended = walked.end != self.found.log_end
            || (write && walked.valid > 0 && self.opening.directory.has_other_names(&name)?);
        // Behind damage that took the end of what was synced, another segment goes on: no gap inside of one. Nor does a
        // backup have its file grow.
        if !write || self.found.damage.is_some() || is_ended {
            if !write && self.found.recovery.damage.is_empty() && walked.end == self.found.log_end {
                return self.build_followed(walked);
            }
            let segment = self.build_sealed(walked)?;
            if write {
                self.found.unsealed.push(Sealing { segment: Arc::clone(&segment), snapshot: None, trim: false });
            }
            self.found.segments.push(segment);
            return Ok(None);
        }
        let new = self.opening.new_segment(walked.files.base);
        let valid = walked.valid as u64;
        let region = self.opening.directory.open_append(&name, valid, new.capacity.max(valid))?;
        let active = ActiveSegment::resume(&self.opening.directory, region, walked.index, Some(walked.aborted), new)?;
        self.found.segments.push(Arc::clone(active.segment()));
        Ok(Some(active))
    }
}
