//! Opening a partition's directory: as it was closed, or recovered.

use std::path::PathBuf;

use crate::clock::Clock;
use crate::error::{Corruption, CorruptionReason, Error, ErrorKind, Result};
use crate::io::{Directory, GroupSync, Region, View, generation};
use crate::log::checkpoint::{Checkpoint, CheckpointFile, Cleaned, RecoveryPoint};
use crate::log::cleaning::CleanerSeat;
use crate::log::close::Ends;
use crate::log::found::Found;
use crate::log::latch::FailureLatch;
use crate::log::layout::{Layout, SegmentFiles};
use crate::log::lost_sync;
use crate::log::moved::Moved;
use crate::log::names::NewNames;
use crate::log::recover::Recovering;
use crate::log::replay::Replay;
use crate::log::retain::RemovedSoFar;
use crate::log::segment_set::SegmentSet;
use crate::log::tail::{Tail, index_settings};
use crate::log::watermarks::{Marks, Watermarks};
use crate::log::{HighMark, HighWatermark, Log, LogConfig, Writer};
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::indexes::{IndexFiles, Indexes};
use crate::segment::memory_index::IndexWriter;
use crate::segment::walk::{Next, next_at};
use crate::segment::{NewSegment, Segment, SegmentParts};
use crate::span;
use crate::sync::{Arc, ArcSwap, AtomicBool, CachePadded, Mutex, OnceLock};
use crate::types::{Offset, Timestamp};

/// How often a reader opens a log whose files change under it.
const READ_ONLY_TRIES: usize = 5;

/// Whether the log may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// This is the only writer.
    Write,
    /// Nothing is written; another process may be writing.
    ReadOnly,
}

/// How the log was left, as far as the opener knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastClose {
    /// Closed cleanly with these ends; where the files say otherwise it was not.
    Clean(Ends),
    /// Left open. `same_power`: the power has certainly not failed since.
    Unclean {
        /// The machine has been up and the file system mounted all the time.
        same_power: bool,
    },
    /// Kafka's, with what its checkpoints say.
    Kafka {
        /// Whether it was closed cleanly.
        clean: bool,
        /// `recovery-point-offset-checkpoint`.
        recovery_point: Offset,
        /// `log-start-offset-checkpoint`.
        log_start: Option<Offset>,
        /// `replication-offset-checkpoint`.
        high_watermark: Option<Offset>,
        /// `cleaner-offset-checkpoint`.
        cleaned_to: Option<Offset>,
    },
}

/// What a log is opened with.
#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    /// The topic's configuration.
    pub(crate) config: Arc<LogConfig>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether it may change.
    pub(crate) mode: OpenMode,
    /// How it was left.
    pub(crate) last_close: LastClose,
    /// Whether batches are checked each time they are read, rather than once.
    pub(crate) verify_always: bool,
}

impl Log {
    /// Opens the log in `directory`; an empty one is a new log.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`] for files that cannot be a log's,
    /// [`ErrorKind::UnsupportedVersion`] for a newer checkpoint; what the
    /// operating system can answer. Damaged batches are no error here: see [`Recovery`](crate::log::Recovery).
    pub(crate) fn open(directory: Arc<dyn Directory>, options: &LogOptions) -> Result<Self> {
        if options.mode == OpenMode::Write {
            let opened = Self::open_once(Arc::clone(&directory), options);
            return opened.inspect_err(|error| lost_sync::note_if_lost(directory.as_ref(), error));
        }
        // Beside a writer a file may go, be trimmed, or be exchanged between its listing and its opening.
        for _ in 1..READ_ONLY_TRIES {
            match Self::open_once(Arc::clone(&directory), options) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corruption) => {}
                Ok(log) if log.ends_too_early() => {}
                opened => return opened,
            }
        }
        Self::open_once(directory, options)
    }

    fn open_once(directory: Arc<dyn Directory>, options: &LogOptions) -> Result<Self> {
        let _span = span::open(directory.path());
        let opening = Opening::new(directory, options)?;
        if options.mode == OpenMode::Write {
            opening.tidy()?;
        }
        let mut found = match options.last_close {
            LastClose::Clean(ends) if opening.is_as_closed(&ends) => opening.as_closed(&ends)?,
            LastClose::Clean(_) => opening.recovered(false)?,
            LastClose::Unclean { same_power } => opening.recovered(same_power)?,
            LastClose::Kafka { clean: true, .. } => opening.kafka_closed()?,
            LastClose::Kafka { .. } => opening.recovered(false)?,
        };
        found.recovery.damage.splice(0..0, opening.damage.clone());
        let log = opening.into_log(found);
        if options.mode == OpenMode::Write && log.marks.durable() < log.marks.end() {
            // A failed sync stops writes (P4), and what is there can be read: no reason to refuse the log.
            log.sync().ok();
        }
        Ok(log)
    }
}

/// An opening under way.
pub(super) struct Opening<'a> {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) options: &'a LogOptions,
    pub(super) layout: Layout,
    pub(super) checkpoint: Checkpoint,
    /// Whether the checkpoint's file has to be written first: it names cuts of segments that are about to be exchanged; or
    /// it is not there, and the log is one that will be compacted.
    pub(super) says_otherwise: bool,
    /// What is wrong with the checkpoint's file, if anything is.
    damage: Option<Corruption>,
}

impl<'a> Opening<'a> {
    pub(super) fn new(directory: Arc<dyn Directory>, options: &'a LogOptions) -> Result<Self> {
        // A reader asks for the checkpoint first: segments below its recovery point have their final length in the list.
        let early = match options.mode {
            OpenMode::ReadOnly => own_checkpoint(directory.as_ref(), options)?,
            OpenMode::Write => OwnCheckpoint::default(),
        };
        let entries = directory.list()?;
        let swap_end = |name: &str, len: u64| swap_end(directory.as_ref(), name, len);
        let layout = Layout::of(directory.path(), &entries, &swap_end)?;
        let has_checkpoint = entries.iter().any(|entry| entry.name == super::checkpoint::FILE);
        let late = has_checkpoint && options.mode == OpenMode::Write;
        let own = if late { own_checkpoint(directory.as_ref(), options)? } else { early };
        let is_known = own.checkpoint.is_some() || matches!(options.last_close, LastClose::Kafka { .. });
        let mut checkpoint = own.checkpoint.unwrap_or_else(|| assumed_checkpoint(options.last_close, &layout));
        checkpoint.may_have_gaps |= options.config.cleanup_policy.compact;
        // Whoever compacts a log writes a checkpoint first; one that is lost says nothing about the tail.
        let is_compacted = options.config.cleanup_policy.compact;
        checkpoint.gaps_in_tail |= !is_known && is_compacted && !layout.segments.is_empty();
        let is_new = !is_known && is_compacted && layout.segments.is_empty();
        let cuts = checkpoint.cut_segments.len();
        checkpoint.cut_segments.retain(|cut| !layout.is_exchanged(cut.base));
        let says_otherwise = is_new || checkpoint.cut_segments.len() < cuts;
        Ok(Self { directory, options, layout, checkpoint, says_otherwise, damage: own.damage })
    }

    /// The name under which a segment's file lies, which is another only where a swap is unfinished and nothing may be
    /// renamed.
    fn name(&self, base: Offset, kind: FileKind) -> String {
        let name = file_name(base, kind);
        if self.options.mode == OpenMode::Write {
            return name;
        }
        let renamed = self.layout.renames.iter().find(|(_, to)| *to == name);
        renamed.map_or(name, |(from, _)| from.clone())
    }

    /// A finished segment, nothing of which is opened yet.
    pub(super) fn sealed(&self, files: &SegmentFiles) -> Arc<Segment> {
        let region = self.directory.open_sealed(&self.name(files.base, FileKind::Log), files.log_len);
        Arc::new(self.segment(files, region))
    }

    /// Whether nothing was left half done there, and the checkpoint can be read.
    pub(super) fn is_as_listed(&self) -> bool {
        self.layout.renames.is_empty() && self.damage.is_none()
    }

    /// The last segment as a reader follows it, with an index that grows.
    pub(super) fn followed(&self, files: &SegmentFiles, index: &IndexWriter) -> Result<Arc<Segment>> {
        Ok(Arc::new(Segment::new(SegmentParts {
            base: files.base,
            directory: Arc::clone(&self.directory),
            region: self.directory.open_tail(&self.log_name(files))?,
            settings: index_settings(&self.options.config),
            indexes: Indexes::Memory(Arc::clone(index.index())),
            aborted: None,
            verify_always: self.options.verify_always,
        })))
    }

    /// The log file as recovery reads it: another process may still append to the last one, and trim those that are not
    /// yet below the recovery point.
    pub(super) fn log_region(&self, files: &SegmentFiles, is_last: bool) -> Result<Arc<dyn Region>> {
        let may_change = is_last || files.base >= self.checkpoint.recovery_point.base;
        if may_change && self.options.mode == OpenMode::ReadOnly {
            return self.directory.open_tail(&self.log_name(files));
        }
        Ok(self.directory.open_sealed(&self.log_name(files), files.log_len))
    }

    pub(super) fn log_view(&self, files: &SegmentFiles, is_last: bool) -> Result<View> {
        self.log_region(files, is_last)?.view()
    }

    pub(super) fn log_name(&self, files: &SegmentFiles) -> String {
        self.name(files.base, FileKind::Log)
    }

    pub(super) fn log_path(&self, files: &SegmentFiles) -> PathBuf {
        self.directory.path().join(self.log_name(files))
    }

    /// Removes the segments from the one at `index` on, newest first: each is durably gone before the one in front of
    /// it goes, so that no gap can arise.
    pub(super) fn unlink_from(&self, index: usize) -> Result<()> {
        for files in self.layout.segments.iter().skip(index).rev() {
            unlink_segment(self.directory.as_ref(), files.base)?;
            self.directory.sync()?;
        }
        Ok(())
    }

    /// Removes snapshots that tell of what is no longer there.
    pub(super) fn unlink_snapshots_above(&self, end: Offset) -> Result<()> {
        let above = self.layout.snapshots.iter().filter(|offset| **offset > end);
        let names: Vec<String> = above.map(|offset| file_name(*offset, FileKind::Snapshot)).collect();
        for name in &names {
            self.directory.unlink(name)?;
        }
        if names.is_empty() { Ok(()) } else { self.directory.sync() }
    }

    /// How a segment is set up that goes on at `base`.
    pub(super) fn new_segment(&self, base: Offset) -> NewSegment {
        NewSegment {
            base,
            capacity: u64::from(self.options.config.segment_bytes),
            settings: index_settings(&self.options.config),
            now: self.options.clock.now(),
            jitter: 0,
            verify_always: self.options.verify_always,
        }
    }

    /// A segment over `region` that searches its index files.
    pub(super) fn segment(&self, files: &SegmentFiles, region: Arc<dyn Region>) -> Segment {
        let index =
            |kind, len: Option<u64>| len.map(|len| self.directory.open_sealed(&self.name(files.base, kind), len));
        let indexes = Indexes::Files(IndexFiles {
            base: files.base,
            log_len: files.log_len,
            offsets: index(FileKind::OffsetIndex, files.offset_index_len),
            times: index(FileKind::TimeIndex, files.time_index_len),
            newest: OnceLock::new(),
        });
        Segment::new(SegmentParts {
            base: files.base,
            directory: Arc::clone(&self.directory),
            region,
            settings: index_settings(&self.options.config),
            indexes,
            aborted: None,
            verify_always: self.options.verify_always,
        })
    }

    /// Whether the files end where the clean mark says.
    fn is_as_closed(&self, ends: &Ends) -> bool {
        let last = self.layout.segments.last().map(|last| (last.base, last.log_len));
        last.unwrap_or((ends.log_end, 0)) == (ends.last_base, ends.last_len)
            && self.layout.renames.is_empty()
            && ends.log_start <= ends.log_end
            && ends.last_stable <= ends.log_end
            && (ends.last_base < ends.log_end || ends.last_len == 0)
            && ends.last_base <= ends.log_end
    }

    fn as_closed(&self, ends: &Ends) -> Result<Found> {
        let segments = self.layout.segments.iter().map(|files| self.sealed(files)).collect();
        let mut found = Found::new(segments, ends.log_start, ends.log_end);
        found.durable = ends.log_end;
        found.last_stable = Some(ends.last_stable);
        Ok(found)
    }

    /// Kafka's directory, closed cleanly: the log ends where the last segment does. Kafka keeps no mark of the last
    /// stable offset, so the producers' state is read at once.
    fn kafka_closed(&self) -> Result<Found> {
        let segments: Vec<_> = self.layout.segments.iter().map(|files| self.sealed(files)).collect();
        let first = segments.first().map_or(self.checkpoint.log_start, |segment| segment.base_offset());
        let (found_end, rest) = segments.last().map_or(Ok((first, None)), |last| last.last_batch())?;
        // What was synced when Kafka closed the log was all of it.
        let log_end = if rest.is_some() { found_end.max(self.checkpoint.recovery_point.offset) } else { found_end };
        let log_start = self.checkpoint.log_start.max(first).min(log_end);
        let mut replay = self.replay_from(log_end)?;
        replay.load_epochs(self.directory.as_ref(), log_start, log_end)?;
        for (index, segment) in segments.iter().enumerate() {
            replay.segment(segment, segments.get(index + 1).map_or(log_end, |next| next.base_offset()))?;
        }
        let mut found = Found::new(segments, log_start, log_end);
        found.durable = log_end;
        found.tail = Some(Tail::new(replay, None));
        if let (Some(error), Some(last)) = (rest, self.layout.segments.last()) {
            found.recovery.damage.push(self.as_corruption(&error, last));
            // Where the log ended is not known then: another segment could give out offsets that Kafka has given out.
            found.damage = Some(error).filter(|_| log_end == found_end);
        }
        Ok(found)
    }

    /// What is wrong with a segment's file, for the list: batches of an old format are no damage, but cannot be read.
    pub(super) fn as_corruption(&self, error: &Error, files: &SegmentFiles) -> Corruption {
        let unreadable = || Corruption {
            path: Some(self.log_path(files)),
            position: 0,
            reason: CorruptionReason::Header(error.to_string()),
        };
        error.corruption().cloned().unwrap_or_else(unreadable)
    }

    /// State from the newest snapshot at or below `end` that the segments follow.
    pub(super) fn replay_from(&self, end: Offset) -> Result<Replay> {
        let first = self.layout.segments.first().map_or(end, |first| first.base);
        Replay::start(self.directory.as_ref(), &self.layout.snapshots, &(first..=end), self.options.clock.now())
    }

    fn recovered(&self, same_power: bool) -> Result<Found> {
        Recovering::new(self, same_power)?.run()
    }

    fn into_log(mut self, found: Found) -> Log {
        self.checkpoint.lower_cuts(&found.ends);
        let mut writer = Writer {
            config: Arc::clone(&self.options.config),
            marks: Marks::default(),
            high_mark: HighMark::Follows,
            tail: found.tail,
            following: found.following,
            unsealed: found.unsealed,
            names: NewNames::default(),
            leftover: None,
            guards: 0,
            appends: 0,
            syncs_often: false,
            damage: found.damage,
        };
        let high = match (self.options.last_close, self.options.config.high_watermark) {
            (LastClose::Kafka { high_watermark: Some(high), .. }, _) => high.min(found.log_end).max(found.log_start),
            (_, HighWatermark::Written) => found.log_end,
            (_, HighWatermark::Durable) => found.durable,
        };
        let last_stable = match (writer.tail.as_mut(), found.last_stable) {
            (Some(tail), _) => tail.last_stable(high).max(found.log_start).min(high),
            (None, Some(known)) => known.min(high),
            (None, None) => high,
        };
        let has_unsealed = !writer.unsealed.is_empty();
        let marks = Marks { last_stable, high, durable: found.durable, end: found.log_end };
        writer.marks = marks;
        let latch = FailureLatch::default();
        if let Some(error) = found.stopped {
            latch.trip(error);
        }
        Log {
            directory: self.directory,
            clock: Arc::clone(&self.options.clock),
            config: ArcSwap::new(Arc::clone(&self.options.config)),
            flushes: AtomicBool::new(self.options.config.flush_policy().is_some()),
            verify_always: self.options.verify_always,
            read_only: self.options.mode == OpenMode::ReadOnly,
            left: Mutex::new(self.options.last_close),
            segments: ArcSwap::from_pointee(SegmentSet::new(found.segments, found.log_start)),
            marks: CachePadded::new(Watermarks::new(marks)),
            writer: Mutex::new(writer),
            checkpoint: CheckpointFile::new(self.checkpoint),
            rounds: Mutex::new(()),
            sync: GroupSync::new(found.durable.get()),
            has_unsealed: AtomicBool::new(has_unsealed),
            generation: generation(),
            holds: Arc::default(),
            removed: RemovedSoFar::default(),
            latch,
            closed: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            moved: Moved::default(),
            zeroing: Mutex::new(()),
            cleaner: CleanerSeat::default(),
            syncs_often: AtomicBool::new(false),
            recovery: found.recovery,
        }
    }
}

/// The checkpoint in the directory, or what is wrong with it.
#[derive(Default)]
struct OwnCheckpoint {
    checkpoint: Option<Checkpoint>,
    damage: Option<Corruption>,
}

/// Reads the checkpoint in the directory. One in a directory of Kafka's is from before Kafka had it, and says nothing.
/// One that is damaged says nothing either: then everything is recovered. One that the disk did not hand out may be good:
/// the log is not opened, as it would forget where it starts.
fn own_checkpoint(directory: &dyn Directory, options: &LogOptions) -> Result<OwnCheckpoint> {
    if matches!(options.last_close, LastClose::Kafka { .. }) {
        return Ok(OwnCheckpoint::default());
    }
    match Checkpoint::read(directory) {
        Ok(checkpoint) => Ok(OwnCheckpoint { checkpoint, damage: None }),
        Err(error) => match error.corruption().cloned() {
            Some(damage) => Ok(OwnCheckpoint { checkpoint: None, damage: Some(damage) }),
            None => Err(error),
        },
    }
}

/// What Kafka's checkpoints say, or, for a log of ours that never wrote one, that nothing is synced.
fn assumed_checkpoint(last_close: LastClose, layout: &Layout) -> Checkpoint {
    let first = layout.segments.first().map_or(Offset::ZERO, |segment| segment.base);
    let LastClose::Kafka { recovery_point: offset, log_start, high_watermark, cleaned_to, .. } = last_close else {
        let nothing = RecoveryPoint { offset: first, base: first, position: 0 };
        return Checkpoint {
            recovery_point: nothing,
            log_start: first,
            high_watermark: first,
            ..Checkpoint::default()
        };
    };
    let floor = layout.segments.iter().rev().find(|segment| segment.base <= offset);
    let base = floor.map_or(first, |segment| segment.base);
    Checkpoint {
        recovery_point: RecoveryPoint { offset: offset.max(first), base, position: 0 },
        log_start: log_start.unwrap_or(first),
        high_watermark: high_watermark.unwrap_or(first),
        may_have_gaps: true,
        gaps_in_tail: true,
        // Kafka does not say what may go when.
        cleaned: Cleaned { to: cleaned_to.unwrap_or_default(), next_horizon: Timestamp::from_millis(0) },
        ..Checkpoint::default()
    }
}

/// Removes the files of the segment at `base`, the log first and durably: an index without a log is nothing, but a log
/// without its transaction index would show aborted records.
pub(super) fn unlink_segment(directory: &dyn Directory, base: Offset) -> Result<()> {
    directory.unlink(&file_name(base, FileKind::Log))?;
    directory.sync()?;
    for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex] {
        directory.unlink(&file_name(base, kind))?;
    }
    Ok(())
}

/// The offset behind the last batch of compaction's finished output.
fn swap_end(directory: &dyn Directory, name: &str, len: u64) -> Result<Offset> {
    let view = directory.open_sealed(name, len).view()?;
    let (mut end, mut position) = (Offset::ZERO, 0);
    while let Next::Batch(header) = next_at(&view, position) {
        end = header.next_offset();
        position += header.size();
    }
    Ok(end)
}
