//! Where a read-only log goes on when it looks again: behind the last batch that it knows.

use crate::error::Result;
use crate::log::layout::SegmentFiles;
use crate::log::open::Opening;
use crate::log::replay::Replay;
use crate::log::segment_set::SegmentSet;
use crate::log::tail::index_settings;
use crate::record::BatchHeader;
use crate::segment::Segment;
use crate::segment::memory_index::IndexWriter;
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::walk::{Expected, Next, batch_in, check_batch, is_damage, next_in};
use crate::sync::Arc;
use crate::types::{Offset, Position};

/// What is known of the last segment, which another process may be appending to.
#[derive(Debug)]
pub(super) struct Following {
    /// Its index, which gets the entries of what was appended since.
    pub(super) index: IndexWriter,
    /// Where in its file the next batch will stand.
    pub(super) position: usize,
    /// What that batch must continue.
    pub(super) expected: Expected,
    /// Segments in front of this base are mapped.
    pub(super) sealed_below: Offset,
}

impl Following {
    /// The segments of `set` that are still there, or `None` if they are not those that `opening` finds, less some at
    /// the front: then there is nothing to go on from. What is synced by now is mapped from now on.
    pub(super) fn known(&mut self, set: &SegmentSet, opening: &Opening<'_>) -> Option<Vec<Arc<Segment>>> {
        let (last, files) = (set.last()?, &opening.layout.segments);
        let first = files.first()?.base;
        let known = &set.segments()[set.segments().partition_point(|segment| segment.base_offset() < first)..];
        let bases = files.iter().take(known.len()).map(|files| files.base);
        if known.is_empty() || !known.iter().map(|segment| segment.base_offset()).eq(bases) {
            return None;
        }
        // One that was made anew, as an entry of it lied, knows nothing of what comes.
        if !last.searches(self.index.index()) {
            return None;
        }
        let sealed_below = opening.checkpoint.recovery_point.base.min(last.base_offset());
        let segment = |(known, files): (&Arc<Segment>, &SegmentFiles)| {
            let was_sealed = files.base < self.sealed_below && known.size() == files.log_len;
            let is_sealed = files.base < sealed_below;
            if is_sealed && !was_sealed { opening.sealed(files) } else { Arc::clone(known) }
        };
        let segments = known.iter().zip(files).map(segment).collect();
        self.sealed_below = sealed_below.max(self.sealed_below);
        Some(segments)
    }

    /// Walks from where it stands through the last of `segments`, and those that came behind it, which it adds.
    pub(super) fn walk(
        &mut self,
        segments: &mut Vec<Arc<Segment>>,
        opening: &Opening<'_>,
        replay: &mut Replay,
    ) -> Result<()> {
        self.expected.gaps = opening.checkpoint.may_have_gaps;
        let mut newer = opening.layout.segments.get(segments.len()..).unwrap_or_default().iter().peekable();
        while let Some(segment) = segments.last().cloned() {
            let limit = newer.peek().map_or(Offset::MAX, |next| next.base);
            self.walk_segment(&segment, limit, replay)?;
            let end = self.expected.offset;
            let follows = |next: &&SegmentFiles| next.base == end || (self.expected.gaps && next.base > end);
            let Some(next) = newer.next_if(follows) else { break };
            self.index.seal();
            self.index = IndexWriter::new(next.base, index_settings(&opening.options.config));
            self.position = 0;
            self.expected.offset = next.base;
            let segment = opening.followed(next, &self.index)?;
            segment.keep_aborted(TransactionIndex::new());
            segments.push(segment);
        }
        Ok(())
    }

    fn walk_segment(&mut self, segment: &Segment, limit: Offset, replay: &mut Replay) -> Result<()> {
        let mut look = segment.look()?;
        loop {
            let header = match next_in(&mut look, self.position) {
                Next::Batch(header) if header.last_offset() < limit => header,
                Next::Broken(error) if !is_damage(&error) => return Err(error),
                _ => return Ok(()),
            };
            let batch = batch_in(&mut look, self.position, &header)?;
            if self.expected.check(self.position, &header).is_err()
                || check_batch(batch, self.position, &header).is_err()
            {
                // It is just being written, or never was.
                return Ok(());
            }
            self.take(&header);
            if let Some(aborted) = replay.batch(&header, batch) {
                segment.add_aborted(aborted)?;
            }
        }
    }

    fn take(&mut self, header: &BatchHeader) {
        if let Some(position) = Position::new(self.position as u64) {
            self.index.on_append(header.last_offset(), position, header.size() as u64, header.max_timestamp);
        }
        self.expected = self.expected.after(header);
        self.position += header.size();
    }
}
