//! A copy of a log while it is written: hard links to what never changes any more, and the rest copied.

use crate::error::{ErrorKind, Result};
use crate::io::{Directory, Look, View};
use crate::log::checkpoint::{Checkpoint, RecoveryPoint};
use crate::log::close::Ends;
use crate::log::tail::index_settings;
use crate::log::{Log, Writer, epoch_cache};
use crate::segment::Segment;
use crate::segment::file_name::{FileKind, file_name};
use crate::sync::{Arc, MutexGuard};

/// What became of a log's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackedUp {
    /// Where the copy starts and ends.
    pub(crate) ends: Ends,
    /// Bytes of log files that both share.
    pub(crate) linked: u64,
    /// Bytes of log files that were copied.
    pub(crate) copied: u64,
}

/// The log at one moment.
struct Moment {
    linked: Vec<Arc<Segment>>,
    copied: Vec<Copied>,
    ends: Ends,
    /// The producers' state at the end, and the epochs, if they are not what their files say.
    tail: Option<(Vec<u8>, String)>,
    checkpoint: Checkpoint,
}

/// A segment that another name for its file would not keep: it may still grow, be trimmed, or holds more than counts.
struct Copied {
    segment: Arc<Segment>,
    bytes: View,
    aborted: Option<Vec<u8>>,
}

impl Log {
    /// Puts a copy of the log as of now, all that is written by then, into the empty directory `into`, durably.
    ///
    /// ```text
    /// segments   [0..9] [10..19] [20..]
    /// copy       linked  linked  copied: what is published is a view, taken in a moment, and never changes
    /// ```
    ///
    /// Appends wait only while that moment is taken. Whoever syncs, cuts, deletes or compacts waits until the links are
    /// made, so that no file of another moment gets among them.
    pub(crate) fn backup(&self, into: &dyn Directory) -> Result<BackedUp> {
        let moment = {
            let _turn = self.rounds.lock();
            let moment = {
                let mut writer = self.lock_writer()?;
                self.moment(&mut writer)?
            };
            self.link(&moment, into)?;
            moment
        };
        self.copy(&moment, into)
    }

    fn moment(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<Moment> {
        if let Some(damage) = &writer.damage {
            return Err(damage.clone());
        }
        let (set, known, marks) = (self.segments.load_full(), self.checkpoint.get(), writer.marks);
        let mut moment = Moment {
            linked: Vec::new(),
            copied: Vec::new(),
            ends: Ends::default(),
            tail: writer.tail.as_ref().map(|tail| (tail.snapshot(), tail.epochs.format())),
            checkpoint: Checkpoint::default(),
        };
        let mut last = (marks.end, 0);
        for (index, segment) in set.segments().iter().enumerate() {
            let is_last = index + 1 == set.segments().len();
            let cut = known.cut_of(segment.base_offset()).map(|cut| cut.position);
            let waits = writer.unsealed.iter().any(|sealing| Arc::ptr_eq(&sealing.segment, segment));
            if is_last || waits || cut.is_some() {
                let bytes = segment.region().window(0..cut.unwrap_or_else(|| segment.size()))?;
                last = (segment.base_offset(), bytes.len() as u64);
                moment.copied.push(Copied { segment: Arc::clone(segment), bytes, aborted: segment.aborted_bytes() });
            } else {
                moment.linked.push(Arc::clone(segment));
            }
        }
        moment.ends = Ends {
            log_start: set.log_start(),
            last_stable: marks.last_stable,
            log_end: marks.end,
            last_base: last.0,
            last_len: last.1,
        };
        moment.checkpoint = Checkpoint {
            recovery_point: RecoveryPoint { offset: marks.end, base: last.0, position: last.1 },
            log_start: set.log_start(),
            high_watermark: marks.high,
            cut_segments: Vec::new(),
            ..known
        };
        Ok(moment)
    }

    fn link(&self, moment: &Moment, into: &dyn Directory) -> Result<()> {
        for segment in &moment.linked {
            self.directory.link(&segment.file_name(FileKind::Log), into)?;
            for kind in [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex] {
                self.link_if_there(&segment.file_name(kind), into)?;
            }
        }
        for copied in moment.copied.iter().filter(|copied| copied.aborted.is_none()) {
            self.link_if_there(&copied.segment.file_name(FileKind::TransactionIndex), into)?;
        }
        for offset in self.snapshots()?.into_iter().filter(|offset| *offset <= moment.ends.log_end) {
            if offset < moment.ends.log_end || moment.tail.is_none() {
                self.link_if_there(&file_name(offset, FileKind::Snapshot), into)?;
            }
        }
        if moment.tail.is_none() { self.link_if_there(epoch_cache::FILE, into) } else { Ok(()) }
    }

    fn link_if_there(&self, name: &str, into: &dyn Directory) -> Result<()> {
        match self.directory.link(name, into) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            linked => linked,
        }
    }

    /// Writes what is not linked. The checkpoint last, which makes all names durable.
    fn copy(&self, moment: &Moment, into: &dyn Directory) -> Result<BackedUp> {
        let settings = index_settings(&self.config.load());
        for Copied { segment, bytes, aborted } in &moment.copied {
            let put = |kind, contents: &[u8]| into.put(&segment.file_name(kind), contents);
            put(FileKind::Log, bytes)?;
            let mut look = Look::Whole(bytes.clone());
            let index = segment.indexes().rebuilt(segment.base_offset(), &mut look, settings)?;
            put(FileKind::OffsetIndex, &index.index().to_offset_index_bytes())?;
            put(FileKind::TimeIndex, &index.index().to_time_index_bytes())?;
            if let Some(aborted) = aborted.as_ref().filter(|aborted| !aborted.is_empty()) {
                put(FileKind::TransactionIndex, aborted)?;
            }
        }
        if let Some((snapshot, epochs)) = &moment.tail {
            into.put(&file_name(moment.ends.log_end, FileKind::Snapshot), snapshot)?;
            into.put(epoch_cache::FILE, epochs.as_bytes())?;
        }
        moment.checkpoint.write(into)?;
        let size = |segment: &Arc<Segment>| segment.size();
        Ok(BackedUp {
            ends: moment.ends,
            linked: moment.linked.iter().map(size).sum(),
            copied: moment.copied.iter().map(|copied| copied.bytes.len() as u64).sum(),
        })
    }
}
