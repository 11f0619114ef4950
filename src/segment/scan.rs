//! A walk through a segment from batch to batch, each of them checked: for who reads all of it, once.

use crate::error::{CorruptionReason, Error, Result};
use crate::io::{Look, View};
use crate::record::{BatchHeader, RecordBatch};
use crate::segment::Segment;
use crate::segment::indexes::Indexes;
use crate::segment::walk::{Expected, Next, check_crc, next_at};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// A batch, and where it stands in the file.
type Placed<'a> = (usize, RecordBatch<&'a [u8]>);

/// The batches of a segment, with their positions in its file. After an error comes nothing more.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    segment: &'a Segment,
    view: &'a View,
    position: usize,
    expected: Expected,
    /// Whether offsets may be left out. In front of the first batch they may, where it is not the file's.
    gaps: bool,
    end: Offset,
    is_done: bool,
}

impl Segment {
    /// The batches from the one that holds `from` on, or the next. The segment ends at `end`; `view` is what counts of
    /// its file. `gaps`: offsets may be left out.
    pub(crate) fn scan<'a>(&'a self, view: &'a View, from: Offset, end: Offset, gaps: bool) -> Result<Scan<'a>> {
        let position =
            if from <= self.base_offset() { 0 } else { self.start_for(&mut Look::Whole(view.clone()), from)? };
        let expected = Expected { offset: self.base_offset(), epoch: LeaderEpoch::NONE, gaps: gaps || position > 0 };
        Ok(Scan { segment: self, view, position, expected, gaps, end, is_done: false })
    }

    /// The largest timestamp of the first batch; none where there is no batch.
    pub(crate) fn first_timestamp(&self) -> Result<Timestamp> {
        let view = self.view()?;
        let first = match next_at(&view, 0) {
            Next::Batch(header) => header.max_timestamp,
            Next::End | Next::Broken(_) => Timestamp::NONE,
        };
        view.check_pages()?;
        Ok(first)
    }

    /// Bytes of its offset and time index; 0 of one that is missing.
    pub(crate) fn index_bytes(&self) -> (u64, u64) {
        match self.indexes().as_ref() {
            Indexes::Memory(index) => {
                (index.to_offset_index_bytes().len() as u64, index.to_time_index_bytes().len() as u64)
            }
            Indexes::Files(files) => {
                (files.offsets.as_ref().map_or(0, |file| file.len()), files.times.as_ref().map_or(0, |file| file.len()))
            }
        }
    }
}

impl<'a> Scan<'a> {
    fn step(&mut self) -> Result<Option<Placed<'a>>> {
        let place = self.position;
        let header = match next_at(self.view, place) {
            Next::Batch(header) => header,
            Next::End => return self.check_rest(place).map(|()| None),
            Next::Broken(error) => return Err(error),
        };
        self.expected.check(place, &header)?;
        self.check_end(place, &header)?;
        check_crc(self.view, place, &header)?;
        self.expected = Expected { gaps: self.gaps, ..self.expected.after(&header) };
        self.position += header.size();
        Ok(Some((place, RecordBatch::trusted(header, &self.view[place..self.position]))))
    }

    /// What lies behind the segment's end is not its own: its offset, outside of the checksum, became another.
    fn check_end(&self, place: usize, header: &BatchHeader) -> Result<()> {
        if header.last_offset() < self.end {
            return Ok(());
        }
        let reason = CorruptionReason::BaseOffset {
            expected: self.expected.offset.as_i64(),
            found: header.base_offset.as_i64(),
        };
        Err(Error::corrupt(place as u64, reason))
    }

    /// Only room that was never used may follow.
    fn check_rest(&self, place: usize) -> Result<()> {
        if self.view.get(place..).unwrap_or_default().iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(Error::corrupt(place as u64, CorruptionReason::Header("zeros instead of a batch".to_owned())))
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Result<Placed<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let step = self.step();
        self.is_done = !matches!(step, Ok(Some(_)));
        let region = self.segment.region();
        // Zeros in the place of what cannot be read are no damage of the file.
        let pages = if self.is_done { self.view.check_pages() } else { Ok(()) };
        pages.and(step.map_err(|error| error.located(region.path(), 0))).transpose()
    }
}
