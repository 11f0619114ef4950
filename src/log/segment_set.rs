//! What readers see of a log: an immutable, ordered list of segments, and where the log starts.

use std::ops::Range;

use crate::segment::Segment;
use crate::sync::Arc;
use crate::types::Offset;

/// A snapshot of a log's segments. Replaced as a whole, never edited.
#[derive(Clone, Debug)]
pub(crate) struct SegmentSet {
    /// By base offset, ascending.
    segments: Vec<Arc<Segment>>,
    /// The first offset that may be read. May lie inside of a batch.
    log_start: Offset,
}

impl SegmentSet {
    /// The segments, ascending by base offset, of a log that starts at `log_start`.
    pub(crate) fn new(segments: Vec<Arc<Segment>>, log_start: Offset) -> Self {
        assert!(segments.is_sorted_by(|a, b| a.base_offset() < b.base_offset()), "segments ascend: {segments:?}");
        Self { segments, log_start }
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.log_start
    }

    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// The last one, to which appends go.
    pub(crate) fn last(&self) -> Option<&Arc<Segment>> {
        self.segments.last()
    }

    /// Index of the segment that holds `offset` if any does: the last whose base is not above it.
    pub(crate) fn floor(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).checked_sub(1)
    }

    /// The segment whose base is `base`.
    pub(crate) fn at(&self, base: Offset) -> Option<&Arc<Segment>> {
        let index = self.floor(base)?;
        self.segments.get(index).filter(|segment| segment.base_offset() == base)
    }

    /// Where the segment at `index` ends: where the next one begins, or else at `log_end`.
    pub(crate) fn end_of(&self, index: usize, log_end: Offset) -> Offset {
        self.segments.get(index + 1).map_or(log_end, |next| next.base_offset())
    }

    /// The same with `segment` behind the others.
    #[must_use]
    pub(crate) fn with_pushed(&self, segment: Arc<Segment>) -> Self {
        let mut segments = Vec::with_capacity(self.segments.len() + 1);
        segments.extend_from_slice(&self.segments);
        segments.push(segment);
        Self::new(segments, self.log_start)
    }

    /// The same with `segment` in the place of the last.
    #[must_use]
    pub(crate) fn with_last_replaced(&self, segment: Arc<Segment>) -> Self {
        let mut segments = self.segments.clone();
        segments.pop();
        segments.push(segment);
        Self::new(segments, self.log_start)
    }

    /// Where `wanted` stand, one behind the other, if they do: the very same ones.
    pub(crate) fn place_of(&self, wanted: &[Arc<Segment>]) -> Option<Range<usize>> {
        let first = self.floor(wanted.first()?.base_offset())?;
        let place = first..first + wanted.len();
        let found = self.segments.get(place.clone())?;
        found.iter().zip(wanted).all(|(a, b)| Arc::ptr_eq(a, b)).then_some(place)
    }

    /// The same with `segment` in the place of those at `place`.
    #[must_use]
    pub(crate) fn with_replaced(&self, place: Range<usize>, segment: Arc<Segment>) -> Self {
        let mut segments = self.segments.clone();
        segments.splice(place, [segment]);
        Self::new(segments, self.log_start)
    }

    /// Whether all that `before` had is still here: at most, segments came behind it.
    pub(crate) fn goes_on(&self, before: &Self) -> bool {
        before.segments.iter().zip(&self.segments).all(|(a, b)| Arc::ptr_eq(a, b))
            && before.segments.len() <= self.segments.len()
    }

    /// Whether both have the same files, and those of sealed segments are as long.
    pub(crate) fn has_files_of(&self, other: &Self) -> bool {
        let files = |set: &Self| {
            let last = set.segments.len().saturating_sub(1);
            let size = |index: usize, segment: &Segment| if index == last { 0 } else { segment.size() };
            let segments = set.segments.iter().enumerate();
            let files = segments.map(|(index, segment)| (segment.region().path().to_owned(), size(index, segment)));
            files.collect::<Vec<_>>()
        };
        files(self) == files(other)
    }

    /// The same starting at `log_start`, without the first `dropped` segments.
    #[must_use]
    pub(crate) fn with_start(&self, log_start: Offset, dropped: usize) -> Self {
        Self::new(self.segments[dropped..].to_vec(), log_start)
    }

    /// How many segments hold only records below `offset`. The last one is never among them.
    pub(crate) fn wholly_below(&self, offset: Offset) -> usize {
        self.segments.iter().skip(1).take_while(|next| next.base_offset() <= offset).count()
    }
}
