//! What a segment searches: its index in memory, or its index files.

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Look, Region, View};
use crate::segment::memory_index::{IndexSettings, IndexWriter, MemoryIndex};
use crate::segment::offset_index::{OffsetEntry, OffsetIndex};
use crate::segment::time_index::{TimeEntry, TimeIndex};
use crate::segment::walk::{Next, is_damage, next_in};
use crate::sync::{Arc, OnceLock};
use crate::types::{Offset, Position, Timestamp};

/// The offset and time index of a segment.
#[derive(Debug)]
pub(crate) enum Indexes {
    /// Of the active segment, of one not sealed to the end yet, or built anew.
    Memory(Arc<MemoryIndex>),
    /// Of a sealed segment.
    Files(IndexFiles),
}

/// The index files of a sealed segment, mapped when they are first asked.
#[derive(Debug)]
pub(crate) struct IndexFiles {
    /// The segment's base.
    pub(crate) base: Offset,
    /// Length of the log file, into which the offset index points.
    pub(crate) log_len: u64,
    /// The `.index`, if there is one.
    pub(crate) offsets: Option<Arc<dyn Region>>,
    /// The `.timeindex`, if there is one.
    pub(crate) times: Option<Arc<dyn Region>>,
    /// The largest timestamp of all batches, once it is known.
    pub(crate) newest: OnceLock<Timestamp>,
}

impl Indexes {
    /// Whether they are searched in their files.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Files(_))
    }

    /// The entry at or below `offset`, or `None` if a search has to start at the segment's start.
    ///
    /// # Errors
    /// Whatever an index answers that is to be built anew.
    pub(crate) fn floor(&self, offset: Offset) -> Result<Option<OffsetEntry>> {
        match self {
            Self::Memory(index) => Ok(index.floor(offset)),
            Self::Files(files) => files.with_offsets(|index| index.floor(offset)),
        }
    }

    /// The entry at or before `target`, or `None` if a search has to start at the segment's start.
    pub(crate) fn time_floor(&self, target: Timestamp) -> Result<Option<TimeEntry>> {
        match self {
            Self::Memory(index) => Ok(index.time_floor(target)),
            Self::Files(files) => files.with_times(|index| index.floor(target)),
        }
    }

    /// The largest timestamp of all batches, or none.
    pub(crate) fn largest_timestamp(&self) -> Result<Timestamp> {
        match self {
            Self::Memory(index) => Ok(index.max_timestamp()),
            Self::Files(files) => files.with_times(|index| index.last().map_or(Timestamp::NONE, |last| last.timestamp)),
        }
    }

    /// What index files that are made of these are to know of the largest timestamp.
    pub(crate) fn newest_in_memory(&self) -> OnceLock<Timestamp> {
        match self {
            Self::Memory(index) => OnceLock::from(index.max_timestamp()),
            Self::Files(_) => OnceLock::new(),
        }
    }

    /// Whether they lack batches that were lost.
    pub(crate) fn has_holes(&self) -> bool {
        matches!(self, Self::Memory(index) if index.has_holes())
    }

    /// Whether the time index is a file without entries: that of a segment with holes is written so.
    pub(crate) fn tells_of_holes(&self) -> bool {
        matches!(self, Self::Files(files) if files.times.as_ref().is_some_and(|times| times.is_empty()))
    }

    /// Every offset entry, for resuming behind damage.
    pub(crate) fn offset_entries(&self) -> Vec<OffsetEntry> {
        match self {
            Self::Memory(index) => OffsetIndex::new(&index.to_offset_index_bytes(), index.base()).iter().collect(),
            Self::Files(files) => files.with_offsets(|index| index.iter().collect()).unwrap_or_default(),
        }
    }

    /// The same indexes built anew from the log file. Where a batch is damaged, the walk goes on at the next old
    /// entry that names a batch.
    ///
    /// # Errors
    /// What reading the file can answer.
    pub(crate) fn rebuilt(&self, base: Offset, look: &mut Look, settings: IndexSettings) -> Result<IndexWriter> {
        let mut writer = IndexWriter::new(base, settings);
        let mut old: Option<std::vec::IntoIter<OffsetEntry>> = None;
        let mut place = 0;
        loop {
            match next_in(look, place) {
                Next::Batch(header) => {
                    if let Some(position) = Position::new(place as u64) {
                        writer.on_append(header.last_offset(), position, header.size() as u64, header.max_timestamp);
                    }
                    place += header.size();
                }
                Next::End if is_unused(look, place) => break,
                Next::Broken(error) if !is_damage(&error) => return Err(error),
                Next::End | Next::Broken(_) => {
                    writer.skip_damage();
                    let old = old.get_or_insert_with(|| self.offset_entries().into_iter());
                    let Some(entry) = old.find(|entry| entry.position.index() > place && names_a_batch(look, *entry))
                    else {
                        break;
                    };
                    place = entry.position.index();
                }
            }
        }
        writer.seal();
        Ok(writer)
    }
}

/// Whether nothing but room that was never used follows, as far as that can be told: another process may just be writing
/// what is not mapped.
pub(super) fn is_unused(look: &Look, place: usize) -> bool {
    let Look::Whole(view) = look else { return true };
    view.get(place..).unwrap_or_default().iter().all(|byte| *byte == 0)
}

/// Whether the batch that an entry names really is where it says.
pub(crate) fn names_a_batch(look: &mut Look, entry: OffsetEntry) -> bool {
    matches!(next_in(look, entry.position.index()), Next::Batch(header) if header.last_offset() == entry.offset)
}

impl IndexFiles {
    fn with_offsets<T>(&self, ask: impl FnOnce(&OffsetIndex<'_>) -> T) -> Result<T> {
        let view = view_of(self.offsets.as_ref())?;
        let index = OffsetIndex::new(&view, self.base);
        index.check(self.log_len)?;
        let answer = ask(&index);
        view.check_pages()?;
        Ok(answer)
    }

    fn with_times<T>(&self, ask: impl FnOnce(&TimeIndex<'_>) -> T) -> Result<T> {
        let view = view_of(self.times.as_ref())?;
        let index = TimeIndex::new(&view, self.base);
        index.check(Offset::MAX)?;
        if index.is_empty() && self.log_len > 0 {
            return Err(Error::new(ErrorKind::NotFound, "a segment with batches has no time entry"));
        }
        let answer = ask(&index);
        view.check_pages()?;
        Ok(answer)
    }

    /// A writer that goes on behind the files' entries, for a segment that was closed and is to grow again.
    pub(crate) fn resume(&self, settings: IndexSettings) -> Result<IndexWriter> {
        self.with_offsets(|_| ())?;
        self.with_times(|_| ())?;
        let (offsets, times) = (view_of(self.offsets.as_ref())?, view_of(self.times.as_ref())?);
        let (offsets, times) = (OffsetIndex::new(&offsets, self.base), TimeIndex::new(&times, self.base));
        offsets.check_all(self.log_len)?;
        Ok(IndexWriter::resume(settings, &offsets, &times))
    }
}

fn view_of(region: Option<&Arc<dyn Region>>) -> Result<View> {
    region.ok_or_else(|| Error::new(ErrorKind::NotFound, "the index file is missing"))?.view()
}
