//! Where a cut of the tail falls in a segment that may be damaged there.

use crate::error::{CorruptionReason, Error, Result};
use crate::io::{Look, View};
use crate::record::BatchHeader;
use crate::segment::Segment;
use crate::segment::walk::{Next, check_crc, next_at};
use crate::types::Offset;

/// Where a cut ends a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutPlace {
    /// The offset behind what stays.
    pub(crate) at: Offset,
    /// Where in the file that ends.
    pub(crate) position: u64,
}

/// Where a walk to an offset ended.
struct WalkedTo {
    place: CutPlace,
    /// Whether the offset was reached.
    is_there: bool,
}

impl Segment {
    /// Where a cut at `offset` falls: at the start of the batch that holds it, or behind the last batch in front of it.
    /// What stands there may be damaged; what stands in front of it, as far back as an index entry, may not. `gaps`:
    /// offsets may be left out.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) if damage lies in front of `offset`: a cut there must be
    /// asked for.
    pub(crate) fn cut_place(&self, offset: Offset, gaps: bool) -> Result<CutPlace> {
        let view = self.view()?;
        let start = self.start_for(&mut Look::Whole(view.clone()), offset)?;
        let walked = self.walk_to(&view, start, offset, gaps, |_, _| true);
        if walked.is_there {
            return Ok(walked.place);
        }
        // The batch that led there may have had a wrong length.
        let walked = self.walk_to(&view, start, offset, gaps, |place, header| check_crc(&view, place, header).is_ok());
        let CutPlace { at, position } = walked.place;
        if at >= offset {
            return Ok(CutPlace { at: offset, position });
        }
        let reason = CorruptionReason::Layout(format!("what lies behind offset {at} is damaged: cut there first"));
        Err(Error::corrupt(position, reason).located(self.region().path(), 0))
    }

    /// Walks from `start` over batches that follow each other, and that are `good`, to the one that holds `offset`.
    fn walk_to(
        &self,
        view: &View,
        start: usize,
        offset: Offset,
        gaps: bool,
        good: impl Fn(usize, &BatchHeader) -> bool,
    ) -> WalkedTo {
        let mut position = start;
        let mut end = match next_at(view, position) {
            Next::Batch(first) if position > 0 => first.base_offset,
            _ => self.base_offset(),
        };
        let follows = |header: &BatchHeader, end| header.base_offset == end || (gaps && header.base_offset > end);
        loop {
            let (at, is_there) = match next_at(view, position) {
                Next::Batch(header) if follows(&header, end) && header.last_offset() >= offset => {
                    (header.base_offset.min(offset), true)
                }
                Next::Batch(header) if follows(&header, end) && good(position, &header) => {
                    end = header.next_offset();
                    position += header.size();
                    continue;
                }
                Next::End if gaps => (offset, true),
                _ => (end, end == offset),
            };
            return WalkedTo { place: CutPlace { at, position: position as u64 }, is_there };
        }
    }
}
