//! The segment that takes appends.

use crate::error::{Corruption, CorruptionReason, ErrorKind, Result};
use crate::io::{Directory, Region, Way};
use crate::record::BatchHeader;
use crate::record::batch_header::HEADER_LEN;
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::indexes::Indexes;
use crate::segment::memory_index::{IndexSettings, IndexWriter};
use crate::segment::segment::{Segment, SegmentParts};
use crate::segment::transaction_index::TransactionIndex;
use crate::sync::Arc;
use crate::types::{Offset, Position, Timestamp};

/// Removes the log file of a segment that was begun and never written to, if there is one.
///
/// # Errors
/// [`ErrorKind::Corruption`] if something was written to it: it is somebody's. What opening and removing it can answer.
pub(crate) fn remove_unused(directory: &dyn Directory, base: Offset) -> Result<()> {
    let name = file_name(base, FileKind::Log);
    let view = match directory.open_tail(&name).and_then(|region| region.view()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        view => view?,
    };
    if view.iter().take(HEADER_LEN).all(|byte| *byte == 0) {
        return directory.unlink(&name);
    }
    let path = Some(directory.path().join(name));
    let reason = CorruptionReason::Layout("stands where a segment is to begin, and is not empty".to_owned());
    Err(Corruption { path, position: 0, reason }.into())
}

/// The last segment of a log, with what its one writer keeps to itself.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    segment: Arc<Segment>,
    region: Arc<dyn Region>,
    index: IndexWriter,
    /// The file's length: the writer's own copy, so that it never loads what it publishes.
    len: u64,
    /// Bytes that the address range has room for.
    capacity: u64,
    /// The largest timestamp of the first batch; none before it.
    first_timestamp: Timestamp,
    /// When it was started or opened, by the wall clock.
    created: Timestamp,
    /// By how many milliseconds it rolls before `segment.ms` is over.
    jitter: i64,
}

/// How a new segment is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewSegment {
    /// Its base offset.
    pub(crate) base: Offset,
    /// `segment.bytes`.
    pub(crate) capacity: u64,
    /// When its indexes get an entry.
    pub(crate) settings: IndexSettings,
    /// The wall clock.
    pub(crate) now: Timestamp,
    /// By how many milliseconds it rolls before `segment.ms` is over.
    pub(crate) jitter: i64,
    /// Whether a batch is checked each time it is read.
    pub(crate) verify_always: bool,
}

impl ActiveSegment {
    /// Creates an empty segment, with room for a first batch of `first` bytes. Not durable yet.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`] and what creating a file can answer. It may leave an unused file behind, where that
    /// cannot be removed; and that it was removed is not durable.
    pub(crate) fn create(directory: &Arc<dyn Directory>, new: NewSegment, first: u64) -> Result<Self> {
        let name = file_name(new.base, FileKind::Log);
        let new = NewSegment { capacity: new.capacity.max(first), ..new };
        let create = || directory.create(&name, new.capacity);
        let region = match create() {
            // One that a crash or a failed roll left stands in the way.
            Err(error) if error.kind() == ErrorKind::Io => match remove_unused(directory.as_ref(), new.base) {
                Err(foreign) if foreign.kind() == ErrorKind::Corruption => return Err(foreign),
                Err(_) => return Err(error),
                Ok(()) => create()?,
            },
            created => created?,
        };
        if let Err(error) = region.reserve(first) {
            directory.unlink(&name).ok();
            return Err(error);
        }
        Ok(Self::over(directory, region, IndexWriter::new(new.base, new.settings), Some(TransactionIndex::new()), new))
    }

    /// Goes on with a segment that exists: `region` is open for appending behind its valid bytes, `index` knows them.
    pub(crate) fn resume(
        directory: &Arc<dyn Directory>,
        region: Arc<dyn Region>,
        index: IndexWriter,
        aborted: Option<TransactionIndex>,
        new: NewSegment,
    ) -> Result<Self> {
        let mut active = Self::over(directory, region, index, aborted, new);
        let view = active.region.view()?;
        if let Ok(first) = BatchHeader::parse(&view) {
            active.first_timestamp = first.max_timestamp;
        }
        Ok(active)
    }

    fn over(
        directory: &Arc<dyn Directory>,
        region: Arc<dyn Region>,
        index: IndexWriter,
        aborted: Option<TransactionIndex>,
        new: NewSegment,
    ) -> Self {
        let len = region.len();
        let segment = Segment::new(SegmentParts {
            base: new.base,
            directory: Arc::clone(directory),
            region: Arc::clone(&region),
            settings: new.settings,
            indexes: Indexes::Memory(Arc::clone(index.index())),
            aborted,
            verify_always: new.verify_always,
        });
        Self {
            segment: Arc::new(segment),
            region,
            index,
            len,
            capacity: new.capacity.max(len),
            first_timestamp: Timestamp::NONE,
            created: new.now,
            jitter: new.jitter,
        }
    }

    /// What readers see of it.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(crate) fn base_offset(&self) -> Offset {
        self.segment.base_offset()
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that its address range has room for.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The largest timestamp of the first batch, or none.
    pub(crate) fn first_timestamp(&self) -> Timestamp {
        self.first_timestamp
    }

    /// When it was started or opened, by the wall clock.
    pub(crate) fn created(&self) -> Timestamp {
        self.created
    }

    /// By how many milliseconds it rolls before `segment.ms` is over.
    pub(crate) fn jitter(&self) -> i64 {
        self.jitter
    }

    /// Whether one of its indexes has no room for another entry.
    pub(crate) fn is_index_full(&self) -> bool {
        self.index.is_full()
    }

    /// Sees to room for `size` more bytes.
    #[inline]
    pub(crate) fn reserve(&self, size: usize) -> Result<()> {
        self.region.reserve(self.len + size as u64)
    }

    /// Appends the batch of `header`, whose bytes are `head` and `body`, for which there is room, and publishes it.
    #[inline]
    pub(crate) fn append(
        &mut self,
        header: &BatchHeader,
        head: &[u8; HEADER_LEN],
        body: &[u8],
        way: Way,
    ) -> Result<()> {
        let size = header.size() as u64;
        self.region.append(head, body, way)?;
        if self.len == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        if let Some(position) = Position::new(self.len) {
            self.index.on_append(header.last_offset(), position, size, header.max_timestamp);
        }
        self.len += size;
        Ok(())
    }

    /// Ends the segment: nothing more is appended. Its indexes have their last entries, in memory; the files are
    /// written when it is synced.
    pub(crate) fn seal(mut self) -> Arc<Segment> {
        self.index.seal();
        self.segment
    }
}
