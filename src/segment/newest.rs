//! The time of a segment's newest record.

use crate::error::Result;
use crate::segment::Segment;
use crate::segment::file_name::FileKind;
use crate::segment::indexes::{IndexFiles, Indexes};
use crate::segment::time_index::{TIME_ENTRY_LEN, TimeEntry, TimeIndex};
use crate::types::{Offset, Timestamp};

impl Segment {
    /// The largest timestamp of its records; where none has a time, when the log file was last modified. Maps nothing and
    /// keeps nothing open, so that many segments can be asked, and remembers the answer.
    pub(crate) fn newest(&self) -> Result<Timestamp> {
        let newest = match self.indexes().as_ref() {
            Indexes::Memory(index) => index.max_timestamp(),
            Indexes::Files(files) => self.newest_in(files)?,
        };
        if newest.is_some() { Ok(newest) } else { self.directory.modified(&self.file_name(FileKind::Log)) }
    }

    /// Whether the log says what the time index says, which is derived, and has no checksum: asked before a segment goes
    /// for its age. Where it does not the index is made anew, and knows better the next time.
    pub(crate) fn confirm_newest(&self) -> Result<bool> {
        let indexes = self.indexes();
        let Indexes::Files(files) = indexes.as_ref() else { return Ok(true) };
        let Some(last) = self.last_time_entry(files) else { return Ok(true) };
        let found = self.look().and_then(|mut look| self.locate(&mut look, last.offset, true));
        if matches!(found, Ok(Some((_, header))) if header.max_timestamp == last.timestamp) {
            return Ok(true);
        }
        self.rebuild_indexes()?;
        Ok(false)
    }

    fn newest_in(&self, files: &IndexFiles) -> Result<Timestamp> {
        if let Some(known) = files.newest.get() {
            return Ok(*known);
        }
        let newest = match self.last_time_entry(files) {
            Some(last) => last.timestamp,
            None if files.log_len == 0 => Timestamp::NONE,
            None => self.largest_timestamp()?,
        };
        Ok(*files.newest.get_or_init(|| newest))
    }

    /// The last entry of the time index, if there is one that can be believed.
    fn last_time_entry(&self, files: &IndexFiles) -> Option<TimeEntry> {
        const ENTRY: u64 = TIME_ENTRY_LEN as u64;
        let len = files.times.as_ref()?.len();
        let region = self.directory.open_tail(&self.file_name(FileKind::TimeIndex)).ok()?;
        let first = region.window(0..ENTRY.min(len)).ok()?;
        let last = region.window(len.saturating_sub(ENTRY).max(ENTRY)..len).ok()?;
        let ends = [first.as_ref(), last.as_ref()].concat();
        let index = TimeIndex::new(&ends, self.base_offset());
        index.check(Offset::MAX).ok()?;
        index.last().filter(|_| len % ENTRY == 0)
    }
}
