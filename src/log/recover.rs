//! Recovery after a crash: from the durable recovery point to the first batch that does not follow.
//!
//! Above that point everything from there on is cut: a power cut leaves holes with valid batches behind them, and that
//! is no damage. Below it nothing is ever cut. See `docs/crash-safety.md`.

use std::ops::Range;

use crate::error::{Corruption, CorruptionReason, Error, Result};
use crate::io::View;
use crate::log::checkpoint::CutSegment;
use crate::log::durability::Sealing;
use crate::log::found::{CutReason, Found};
use crate::log::layout::SegmentFiles;
use crate::log::lost_sync;
use crate::log::open::{LastClose, OpenMode, Opening};
use crate::log::replay::{self, Replay};
use crate::log::resume::Walked;
use crate::log::tail::{Tail, index_settings};
use crate::record::BatchHeader;
use crate::record::batch_header::HEADER_LEN;
use crate::segment::Segment;
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::memory_index::IndexWriter;
use crate::segment::offset_index::OffsetEntry;
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::walk::{Expected, Next, check_crc, is_old_message, next_at};
use crate::span;
use crate::sync::Arc;
use crate::types::{LeaderEpoch, Offset, Position};

/// Why the walk through a segment ended.
enum Stop {
    /// The file, or what was written of it, ends; or what follows belongs to the next segment, by offset.
    End,
    /// What stands there does not follow.
    Broken(Error),
}

/// A recovery under way.
pub(super) struct Recovering<'a, 'o> {
    pub(super) opening: &'a Opening<'o>,
    same_power: bool,
    pub(super) files: &'a [SegmentFiles],
    /// Index of the segment that holds the recovery point.
    pub(super) first: usize,
    replay: Replay,
    pub(super) expected: Expected,
    pub(super) found: Found,
    pub(super) walked: Vec<Walked>,
}

impl<'a, 'o> Recovering<'a, 'o> {
    pub(super) fn new(opening: &'a Opening<'o>, same_power: bool) -> Result<Self> {
        let (checkpoint, files) = (&opening.checkpoint, &opening.layout.segments);
        let point = checkpoint.recovery_point;
        let is_lost = Self::has_lost_segment(opening);
        let at_point = files.iter().rposition(|files| files.base <= point.base).unwrap_or(0);
        let first = if is_lost { files.partition_point(|files| files.base < point.base) } else { at_point };
        let first_base = files.get(first).filter(|_| !is_lost).map_or(point.offset, |files| files.base);
        let mut replay = opening.replay_from(first_base)?;
        replay.load_epochs(opening.directory.as_ref(), checkpoint.log_start, Offset::MAX)?;
        let expected = Expected { offset: first_base, epoch: LeaderEpoch::NONE, gaps: checkpoint.gaps_in_tail };
        let mut found = Found::new(Vec::new(), first_base, first_base);
        if is_lost {
            let path = opening.directory.path().join(file_name(point.base, FileKind::Log));
            let reason =
                CorruptionReason::Layout(format!("{} bytes of it were synced, and it is gone", point.position));
            found.recovery.damage.push(Corruption { path: Some(path), position: 0, reason });
        }
        Ok(Self { opening, same_power, files, first, replay, expected, found, walked: Vec::new() })
    }

    /// Whether the segment of the recovery point is gone, and was not deleted as the first of all. What lies before it
    /// is below the recovery point, and no offset up to there is given out again.
    fn has_lost_segment(opening: &Opening<'_>) -> bool {
        let (checkpoint, files) = (&opening.checkpoint, &opening.layout.segments);
        let point = checkpoint.recovery_point;
        let may_be_deleted = files.first().is_some_and(|first| first.base > point.base);
        let holds_some = point.position > 0 && point.offset > checkpoint.log_start;
        holds_some && !may_be_deleted && files.iter().all(|files| files.base != point.base)
    }

    /// Walks, judges, and, where that is allowed, cuts.
    pub(super) fn run(mut self) -> Result<Found> {
        let _span = span::recover(self.opening.directory.path());
        if self.opening.options.mode == OpenMode::Write {
            // Names that a killed process left may be known to the page cache alone, and removals too.
            self.opening.directory.sync()?;
        }
        self.take_trusted()?;
        let mut cut_from = None;
        for index in self.first..self.files.len() {
            let files = self.files[index];
            if files.base != self.expected.offset && !(self.expected.gaps && files.base > self.expected.offset) {
                let message = format!("segment {} does not follow offset {}", files.base, self.expected.offset);
                self.found.recovery.reason = Some(CutReason(message));
                cut_from = Some(index);
                break;
            }
            self.expected.offset = files.base;
            let view = self.valid_view(&files, index + 1 == self.files.len())?;
            let (walked, stop) = self.walk(index, &view)?;
            // Zeros in the place of what cannot be read are nothing to cut.
            view.check_pages()?;
            let valid = walked.valid;
            self.walked.push(walked);
            if let Stop::Broken(error) = stop {
                self.judge(index, valid, &view, error);
                cut_from = Some(index + 1);
                break;
            }
        }
        self.found.log_end = self.expected.offset;
        let cut_from = cut_from.unwrap_or(self.files.len());
        self.finish(cut_from)
    }

    /// The bytes of a segment's file that may count: what a cut left behind them does not.
    fn valid_view(&self, files: &SegmentFiles, is_last: bool) -> Result<View> {
        let view = self.opening.log_view(files, is_last)?;
        let cut = self.opening.checkpoint.cut_of(files.base);
        Ok(cut.map_or_else(|| view.clone(), |cut| view.window(0..usize::try_from(cut.position).unwrap_or(usize::MAX))))
    }

    /// Segments wholly below the recovery point: not looked at, but for the producers' state.
    fn take_trusted(&mut self) -> Result<()> {
        for index in 0..self.first {
            let files = self.files[index];
            let segment = self.opening.sealed(&files);
            let end = self.files.get(index + 1).map_or(self.expected.offset, |next| next.base);
            self.replay.segment(&segment, end)?;
            if files.log_len == 0 && end > files.base && !self.opening.checkpoint.may_have_gaps {
                self.note_damage(index, Error::corrupt(0, CorruptionReason::Truncated { expected: 1, found: 0 }));
            }
            self.found.segments.push(Arc::clone(&segment));
            if files.has_transaction_index {
                self.check_aborted(&segment, end)?;
            }
        }
        Ok(())
    }

    /// Makes the transaction index of a segment anew, the last one taken, if it cannot be understood.
    fn check_aborted(&mut self, segment: &Arc<Segment>, end: Offset) -> Result<()> {
        match segment.aborted(end) {
            Err(error) if replay::is_bad_index(&error) => {}
            known => return known.map(drop),
        }
        let directory = self.opening.directory.as_ref();
        let aborted = replay::aborted(directory, &self.opening.layout.snapshots, &self.found.segments, end)?;
        segment.keep_aborted(aborted);
        segment.rebuild_indexes()?;
        self.found.recovery.rebuilt_indexes += 1;
        if self.opening.options.mode == OpenMode::Write {
            self.found.unsealed.push(Sealing { segment: Arc::clone(segment), snapshot: None, trim: false });
        }
        Ok(())
    }

    /// Bytes of the segment at `index` that were synced, by the recovery point: walked by header only.
    fn trusted_bytes(&self, index: usize) -> usize {
        let point = self.opening.checkpoint.recovery_point;
        let here = index == self.first && self.files[index].base == point.base;
        if here { usize::try_from(point.position).unwrap_or(usize::MAX) } else { 0 }
    }

    fn walk(&mut self, index: usize, view: &View) -> Result<(Walked, Stop)> {
        let files = self.files[index];
        let limit = self.files.get(index + 1).map_or(Offset::MAX, |next| next.base);
        let recorded = self.trusted_bytes(index);
        let is_emptied = |cut: &CutSegment| cut.position == 0;
        let ends_at_point = recorded > 0 || self.opening.checkpoint.cut_of(files.base).is_some_and(is_emptied);
        let trusted = recorded.min(view.len());
        let damage_before = self.found.recovery.damage.len();
        let mut writer = IndexWriter::new(files.base, index_settings(&self.opening.options.config));
        let aborted = TransactionIndex::new();
        let mut known = None;
        let (mut place, mut end) = (0, files.base);
        let stop = loop {
            if place == recorded && ends_at_point {
                // Compaction may have left out what came last; a cut left the point there.
                self.resume_behind(trusted);
            }
            if self.expected.offset >= limit {
                // Whatever stands there was never published, or was cut.
                break Stop::End;
            }
            match self.next(view, place, trusted) {
                Ok(Some(header)) if header.last_offset() >= limit => break Stop::End,
                Ok(Some(header)) => {
                    let size = header.size();
                    if let Some(position) = Position::new(place as u64) {
                        writer.on_append(header.last_offset(), position, size as u64, header.max_timestamp);
                    }
                    if let Some(transaction) = self.replay.batch(&header, &view[place..place + size]) {
                        aborted.push(transaction)?;
                    }
                    self.expected = self.expected.after(&header);
                    end = header.next_offset();
                    place += size;
                }
                Ok(None) if place >= trusted => break self.end_at(view, place),
                Err(error) if place >= trusted => break Stop::Broken(error),
                broken => {
                    let error = broken.err().unwrap_or_else(|| nothing(place, view.len()));
                    self.note_damage(index, error);
                    let known = known.get_or_insert_with(|| self.known_places(&files));
                    place = match known.find(|entry| self.is_behind_damage(view, *entry, place..trusted)) {
                        Some(entry) => entry.position.index(),
                        None => self.resume_behind(trusted),
                    };
                    writer.skip_damage();
                }
            }
        };
        if trusted < recorded {
            if self.found.recovery.damage.len() == damage_before {
                let (expected, found) = (recorded as u64, trusted as u64);
                self.note_damage(index, Error::corrupt(found, CorruptionReason::Truncated { expected, found }));
            }
            writer.skip_damage();
            self.resume_behind(trusted);
        }
        let snapshot = self.replay.snapshot_at(self.expected.offset);
        Ok((Walked { files, index: writer, aborted, valid: place, end, snapshot }, stop))
    }

    /// The batch at `place`, if it is the one that follows; `None` at the end. Below `trusted` only its header is asked.
    fn next(&self, view: &View, place: usize, trusted: usize) -> Result<Option<BatchHeader>> {
        match next_at(view, place) {
            Next::End => Ok(None),
            Next::Broken(error) => Err(error),
            Next::Batch(header) if place < trusted => {
                Expected { gaps: true, ..self.expected }.check(place, &header)?;
                let synced = self.opening.checkpoint.recovery_point.offset;
                if header.last_offset() >= synced {
                    let (expected, found) = (self.expected.offset.as_i64(), header.base_offset.as_i64());
                    return Err(Error::corrupt(place as u64, CorruptionReason::BaseOffset { expected, found }));
                }
                Ok(Some(header))
            }
            Next::Batch(header) => {
                self.expected.check(place, &header)?;
                check_crc(view, place, &header)?;
                Ok(Some(header))
            }
        }
    }

    /// Where batches begin, by the index file that a segment had.
    fn known_places(&self, files: &SegmentFiles) -> std::vec::IntoIter<OffsetEntry> {
        self.opening.sealed(files).indexes().offset_entries().into_iter()
    }

    /// Whether the walk can go on at `entry`: it lies in the `rest` of what was synced, names a whole batch, and that
    /// one's offsets are yet to come.
    fn is_behind_damage(&self, view: &View, entry: OffsetEntry, rest: Range<usize>) -> bool {
        let place = entry.position.index();
        let is_it =
            |header: &BatchHeader| header.last_offset() == entry.offset && check_crc(view, place, header).is_ok();
        place > rest.start
            && place < rest.end
            && matches!(self.next(view, place, rest.end), Ok(Some(header)) if is_it(&header))
    }

    /// Where the walk goes on behind damage below the recovery point without such a place: where the checkpoint says, or
    /// else at the end.
    fn resume_behind(&mut self, trusted: usize) -> usize {
        self.expected.offset = self.expected.offset.max(self.opening.checkpoint.recovery_point.offset);
        trusted
    }

    fn note_damage(&mut self, index: usize, error: Error) -> Error {
        let error = error.located(&self.opening.log_path(&self.files[index]), 0);
        self.found.recovery.damage.push(self.opening.as_corruption(&error, &self.files[index]));
        error
    }

    /// What does not follow above the recovery point: damage, if no power was lost and the batch leads on to one that
    /// continues it; or else what a crash left, to be cut.
    fn judge(&mut self, index: usize, place: usize, view: &View, error: Error) {
        if (self.same_power && self.leads_on(index, place, view)) || self.is_kafkas(place, view) {
            self.found.damage = Some(self.note_damage(index, error));
            // What Kafka had synced is there to be read, or to be told lost.
            let next = self.files.get(index + 1).map_or(Offset::MAX, |next| next.base);
            let synced = self.opening.checkpoint.recovery_point.offset.min(next);
            self.expected.offset = self.expected.offset.max(synced);
            if let Some(walked) = self.walked.last_mut() {
                walked.index.skip_damage();
            }
            return;
        }
        self.found.recovery.reason = Some(CutReason(error.to_string()));
        self.count_cut(view, place);
    }

    /// What it means that nothing stands at `place` above what is trusted: zeros in front of what Kafka had synced are
    /// damage.
    fn end_at(&self, view: &View, place: usize) -> Stop {
        let rest = view.get(place..).unwrap_or_default();
        if self.is_kafkas(place, view) && rest.iter().any(|byte| *byte != 0) {
            return Stop::Broken(nothing(place, view.len()));
        }
        Stop::End
    }

    /// Whether Kafka knows of what stands at `place` of a log of its own: it was synced, or is a message of its old format.
    fn is_kafkas(&self, place: usize, view: &View) -> bool {
        let is_synced = self.expected.offset < self.opening.checkpoint.recovery_point.offset;
        matches!(self.opening.options.last_close, LastClose::Kafka { .. }) && (is_synced || is_old_message(view, place))
    }

    /// Whether the bad batch at `place` has a length that leads to a batch which continues its offsets.
    fn leads_on(&self, index: usize, place: usize, view: &View) -> bool {
        let Next::Batch(bad) = next_at(view, place) else { return false };
        let behind = place + bad.size();
        // Its base offset may be what is wrong with it.
        let in_place = self.expected.offset.checked_add(bad.offset_count());
        let continues = |next: Offset| next == bad.next_offset() || Some(next) == in_place;
        match next_at(view, behind) {
            Next::Batch(next) => continues(next.base_offset) && check_crc(view, behind, &next).is_ok(),
            Next::End => self.files.get(index + 1).is_some_and(|next| continues(next.base) && next.log_len > 0),
            Next::Broken(_) => false,
        }
    }

    /// Counts what goes from `place` on: bytes up to the last that is not zero, and batches whose checksum holds.
    fn count_cut(&mut self, view: &[u8], place: usize) {
        let end = view.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.found.recovery.cut_bytes += end.saturating_sub(place) as u64;
        let mut position = place;
        while let Next::Batch(header) = next_at(view, position) {
            self.found.recovery.cut_batches += u64::from(check_crc(view, position, &header).is_ok());
            position += header.size();
        }
    }

    fn finish(mut self, cut_from: usize) -> Result<Found> {
        let is_damaged = self.found.damage.is_some();
        if !is_damaged {
            for files in &self.files[cut_from..] {
                let view = self.opening.log_view(files, false)?;
                self.count_cut(&view, 0);
            }
        }
        let checkpoint = self.opening.checkpoint.clone();
        if self.found.log_end < checkpoint.log_start {
            self.start_over(checkpoint.log_start);
        }
        let write = self.opening.options.mode == OpenMode::Write;
        self.walked.pop_if(|last| last.valid == 0 && checkpoint.cut_of(last.files.base).is_some());
        if write && !is_damaged {
            let kept = self.found.segments.len() + self.walked.len();
            self.opening.unlink_from(kept)?;
            self.opening.unlink_snapshots_above(self.found.log_end)?;
        }
        if write && self.opening.layout.sync_failed {
            // Without room, say, the log can be read, and is told to be as it was left.
            self.found.stopped = self.write_again().err();
        }
        if !is_damaged {
            let end = |one: &Walked| CutSegment { base: one.files.base, end: one.end, position: one.valid as u64 };
            self.found.ends = self.walked.iter().map(end).collect();
        }
        let active = self.build_segments(write)?;
        let first = self.found.segments.first().map_or(self.found.log_end, |segment| segment.base_offset());
        self.found.log_start = checkpoint.log_start.max(first).min(self.found.log_end);
        self.found.durable = checkpoint.recovery_point.offset.clamp(self.found.log_start, self.found.log_end);
        self.replay.end_at(self.found.log_end);
        self.found.tail = Some(Tail::new(self.replay, active));
        Ok(self.found)
    }

    /// After a failed sync the kernel shows what the disk may not have, and calls it clean: all of it is written anew.
    fn write_again(&mut self) -> Result<()> {
        let directory = self.opening.directory.as_ref();
        let is_damaged = self.found.damage.is_some();
        for walked in &mut self.walked {
            let view = self.opening.log_view(&walked.files, false)?;
            let valid = if is_damaged { view.len() } else { walked.valid };
            directory.put(&self.opening.log_name(&walked.files), view.get(..valid).unwrap_or(&view))?;
            walked.files.log_len = valid as u64;
        }
        lost_sync::forget(directory)
    }

    /// Nothing that is left lies behind the log start: as if the log had been emptied up to it. What the records said of
    /// producers and transactions is forgotten with them.
    fn start_over(&mut self, log_start: Offset) {
        self.replay = Replay { epochs_dirty: true, ..Replay::empty(log_start) };
        self.found.segments.clear();
        self.walked.clear();
        self.found.log_end = log_start;
    }
}

/// Nothing stands where a batch was synced: the file ends there, or holds zeros.
fn nothing(place: usize, len: usize) -> Error {
    let reason = match len.saturating_sub(place) {
        0 => CorruptionReason::Truncated { expected: HEADER_LEN as u64, found: 0 },
        _ => CorruptionReason::Header("zeros instead of a batch".to_owned()),
    };
    Error::corrupt(place as u64, reason)
}
