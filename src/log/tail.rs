//! What appending needs beyond what readers see: the active segment, the producers' state, the epochs.
//!
//! A partition that was closed cleanly has none of it until the first append: no descriptor, no map, no memory.

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::log::epoch_cache::LeaderEpochCache;
use crate::log::producer_state::ProducerState;
use crate::log::replay::{PRODUCER_EXPIRATION_MS, Replay};
use crate::log::segment_set::SegmentSet;
use crate::log::{Log, LogConfig, Writer, durability, lost_sync, producer_snapshot};
use crate::segment::file_name::{FileKind, Suffix, file_name, parse_file_name};
use crate::segment::indexes::Indexes;
use crate::segment::memory_index::IndexSettings;
use crate::segment::{ActiveSegment, NewSegment, Segment, remove_unused};
use crate::span;
use crate::sync::{Arc, MutexGuard, Ordering};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// `producer.id.expiration.check.interval.ms`.
const EXPIRATION_CHECK_MS: i64 = 600_000;

/// The writer's state, once loaded.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) producers: ProducerState,
    pub(super) epochs: LeaderEpochCache,
    epochs_dirty: bool,
    /// When producers were last looked through for silent ones; none before the first append.
    expired_at: Option<Timestamp>,
    /// The last segment, once something was written to it.
    pub(super) active: Option<ActiveSegment>,
    /// Whether a cut ended the last segment without another behind it, for want of room: it takes no more.
    pub(super) is_ended: bool,
}

impl Tail {
    pub(super) fn new(replay: Replay, active: Option<ActiveSegment>) -> Self {
        let Replay { producers, epochs, epochs_dirty, .. } = replay;
        Self { producers, epochs, epochs_dirty, expired_at: None, active, is_ended: false }
    }

    /// Has batches counted that another process appended.
    pub(super) fn replay<T>(&mut self, work: impl FnOnce(&mut Replay) -> T) -> T {
        let (producers, epochs) = (std::mem::take(&mut self.producers), std::mem::take(&mut self.epochs));
        let mut replay = Replay { producers, epochs, epochs_dirty: false, from: Offset::ZERO };
        let done = work(&mut replay);
        self.epochs_dirty |= replay.epochs_dirty;
        (self.producers, self.epochs) = (replay.producers, replay.epochs);
        done
    }

    /// Forgets producers of whom nothing came for a day, if it is time to look for them.
    pub(super) fn expire_producers(&mut self, now: Timestamp) {
        let last = self.expired_at.get_or_insert(now);
        // The clock may have been set back.
        let since = now.millis().saturating_sub(last.millis()).saturating_abs();
        if since >= EXPIRATION_CHECK_MS {
            *last = now;
            self.producers.expire(now, PRODUCER_EXPIRATION_MS);
        }
    }

    /// The epoch that the next batch of this leader carries: the last one in the log, or else 0.
    #[inline]
    pub(super) fn current_epoch(&self) -> LeaderEpoch {
        self.epochs.latest().map_or(LeaderEpoch::ZERO, |entry| entry.epoch)
    }

    /// Notes the epoch of a batch that was appended at `offset`.
    #[inline]
    pub(super) fn note_epoch(&mut self, epoch: LeaderEpoch, offset: Offset) {
        if epoch >= LeaderEpoch::ZERO && self.epochs.latest().is_none_or(|entry| epoch > entry.epoch) {
            self.epochs.assign(epoch, offset);
            self.epochs_dirty = true;
        }
    }

    /// Changes the epochs, which then have to be written.
    pub(super) fn change_epochs(&mut self, change: impl FnOnce(&mut LeaderEpochCache) -> bool) {
        self.epochs_dirty |= change(&mut self.epochs);
    }

    /// Whether the epochs changed since they were last written.
    pub(super) fn has_dirty_epochs(&self) -> bool {
        self.epochs_dirty
    }

    /// The epoch file's contents, if they changed since this was last asked.
    pub(super) fn take_dirty_epochs(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.epochs_dirty).then(|| self.epochs.format().into_bytes())
    }

    /// The producers' state as a file.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        producer_snapshot::encode(self.producers.producers())
    }

    /// The last stable offset under this high watermark.
    #[inline]
    pub(super) fn last_stable(&mut self, high: Offset) -> Offset {
        self.producers.on_replicated(high);
        self.producers.first_unstable_offset().map_or(high, |first| first.min(high))
    }
}

impl Log {
    /// Loads what appending needs, if that has not been done.
    pub(super) fn load_tail(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<()> {
        if writer.tail.is_some() {
            return Ok(());
        }
        let set = self.segments.load();
        let snapshots = self.snapshots()?;
        let end = writer.marks.end;
        let first = set.segments().first().map_or(end, |first| first.base_offset());
        let mut replay = Replay::start(self.directory.as_ref(), &snapshots, &(first..=end), self.clock.now())?;
        replay.load_epochs(self.directory.as_ref(), set.log_start(), writer.marks.end)?;
        for (index, segment) in set.segments().iter().enumerate() {
            replay.segment(segment, set.end_of(index, writer.marks.end))?;
        }
        writer.tail = Some(Tail::new(replay, None));
        Ok(())
    }

    pub(crate) fn snapshots(&self) -> Result<Vec<Offset>> {
        let names = self.directory.list()?;
        let parsed = names.iter().filter_map(|entry| parse_file_name(&entry.name));
        let mut offsets: Vec<Offset> = parsed
            .filter(|(_, kind, suffix)| *kind == FileKind::Snapshot && *suffix == Suffix::None)
            .map(|(offset, _, _)| offset)
            .collect();
        offsets.sort_unstable();
        Ok(offsets)
    }

    /// Opens the last segment for appending, if that has not been done.
    pub(super) fn open_active(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<()> {
        if let Some(damage) = &writer.damage {
            return Err(damage.clone());
        }
        self.load_tail(writer)?;
        if writer.tail.as_ref().is_some_and(|tail| tail.active.is_some()) {
            return Ok(());
        }
        let set = self.segments.load_full();
        // A segment that a cut ended takes no more, even where a crash left nothing behind it; nor does one whose end
        // is lost.
        let is_ended = writer.tail.as_ref().is_some_and(|tail| tail.is_ended);
        let is_cut = |last: &Segment| is_ended || self.checkpoint.get().cut_of(last.base_offset()).is_some();
        let (active, next) = match set.last() {
            Some(last)
                if !is_cut(last)
                    && last.next_offset()? == writer.marks.end
                    && !self.is_shared(last, writer.marks.end)? =>
            {
                let active = self.resume(last, 0)?;
                let next = set.with_last_replaced(Arc::clone(active.segment()));
                (active, next)
            }
            Some(last) if last.base_offset() >= writer.marks.end => {
                let message = format!("segment {} does not end behind offset {}", last.base_offset(), writer.marks.end);
                let path = self.directory.path().join(last.file_name(FileKind::Log));
                return Err(Error::corrupt(0, CorruptionReason::Layout(message)).located(&path, 0));
            }
            _ => {
                let active = self.create_segment(writer, writer.marks.end, 0)?;
                writer.names.add();
                let next = set.with_pushed(Arc::clone(active.segment()));
                (active, next)
            }
        };
        self.publish(writer, next);
        if let Some(tail) = writer.tail.as_mut() {
            tail.active = Some(active);
            tail.is_ended = false;
        }
        Ok(())
    }

    /// Whether a backup has the file of `last`, too, in which nothing may change then. An empty one cannot be ended.
    fn is_shared(&self, last: &Segment, log_end: Offset) -> Result<bool> {
        Ok(last.base_offset() < log_end && self.directory.has_other_names(&last.file_name(FileKind::Log))?)
    }

    /// Opens the active segment again with room for a batch of `first` bytes. It is empty, or it would have been rolled,
    /// and was started when segments were to be smaller; or the leader's segments are larger than ours.
    pub(super) fn widen(&self, writer: &mut MutexGuard<'_, Writer>, first: u64) -> Result<()> {
        let Some(tail) = writer.tail.as_mut() else { return Ok(()) };
        let Some(active) = tail.active.take_if(|active| active.is_empty()) else { return Ok(()) };
        let segment = Arc::clone(active.segment());
        // Nothing is written through the old address range any more, no zeros ahead either.
        if let Err(error) = segment.region().finish() {
            tail.active = Some(active);
            return Err(error);
        }
        let wider = self.resume(&segment, first)?;
        let set = self.segments.load().with_last_replaced(Arc::clone(wider.segment()));
        if let Some(tail) = writer.tail.as_mut() {
            tail.active = Some(wider);
        }
        self.publish(writer, set);
        Ok(())
    }

    /// The last segment of a clean log, to go on appending, with room for `first` bytes in all. Its indexes go on behind
    /// the entries of their files.
    fn resume(&self, last: &Segment, first: u64) -> Result<ActiveSegment> {
        let mut new = self.new_segment(last.base_offset());
        new.capacity = new.capacity.max(last.size()).max(first);
        let index = match last.indexes().as_ref() {
            Indexes::Files(files) => files.resume(new.settings).ok(),
            Indexes::Memory(_) => None,
        };
        let index = match index {
            Some(index) => index,
            None => last.indexes().rebuilt(last.base_offset(), &mut last.look()?, new.settings)?,
        };
        let name = last.file_name(FileKind::Log);
        let opened = self.directory.open_append(&name, last.size(), new.capacity);
        let region = opened.map_err(|error| if error.is_failed_sync() { self.stop(error) } else { error })?;
        ActiveSegment::resume(&self.directory, region, index, None, new)
    }

    /// Creates an empty segment at `base` with room for `first` bytes. The caller publishes it, and sees to it that the
    /// directory gets synced.
    pub(super) fn create_segment(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        base: Offset,
        first: u64,
    ) -> Result<ActiveSegment> {
        if writer.leftover.is_some_and(|leftover| leftover != base) {
            self.remove_leftover(writer)?;
        }
        // What is known of a former file of this name, which is durably gone, must not be taken for this one's; and of
        // others that are gone nothing need be known.
        let oldest = self.segments.load().segments().first().map(|oldest| oldest.base_offset());
        let stays = |known: Offset| known < base && oldest.is_some_and(|oldest| oldest <= known);
        self.checkpoint.update(self.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.cut_segments.retain(|cut| stays(cut.base));
            (checkpoint != state.checkpoint).then_some(checkpoint)
        })?;
        writer.leftover = Some(base);
        let created = ActiveSegment::create(&self.directory, self.new_segment(base), first)?;
        writer.leftover = None;
        Ok(created)
    }

    /// Removes, durably, what a failed creation of a segment may have left: an opening would take it for where the
    /// segment in front of it ends.
    #[cold]
    pub(super) fn remove_leftover(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<()> {
        if let Some(base) = writer.leftover {
            remove_unused(self.directory.as_ref(), base)?;
            writer.names.add();
            self.sync_names(writer)?;
            writer.leftover = None;
        }
        Ok(())
    }

    pub(super) fn new_segment(&self, base: Offset) -> NewSegment {
        let config = self.config.load();
        let jitter_max = config.segment_jitter_limit_ms();
        NewSegment {
            base,
            capacity: u64::from(config.segment_bytes),
            settings: index_settings(&config),
            now: self.clock.now(),
            jitter: if jitter_max > 0 { random_below(jitter_max) } else { 0 },
            verify_always: self.verify_always,
        }
    }

    /// Ends the active segment and starts another at `base`, at or behind the log end, with room for a batch of `first`
    /// bytes.
    ///
    /// A failure changes nothing: the old segment stays active.
    pub(super) fn roll_writer(&self, writer: &mut MutexGuard<'_, Writer>, base: Offset, first: u64) -> Result<()> {
        let _span = span::roll(self.directory.path());
        let log_end = writer.marks.end;
        if base < log_end {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("cannot roll to {base} below {log_end}")));
        }
        if let Some(ahead) = self.begun_ahead(writer).filter(|ahead| base < *ahead) {
            let message = format!("segment {ahead} was begun ahead of {base}, and is not gone yet");
            return Err(Error::new(ErrorKind::TooManyFiles, message));
        }
        self.sync_names(writer)?;
        let next = self.create_segment(writer, base, first)?;
        let Some(tail) = writer.tail.as_mut() else { return Ok(()) };
        tail.producers.advance(base);
        let snapshot = tail.snapshot();
        let set = self.segments.load().with_pushed(Arc::clone(next.segment()));
        self.has_unsealed.store(true, Ordering::Release);
        if let Some(active) = tail.active.replace(next) {
            let segment = active.seal();
            writer.unsealed.push(durability::Sealing { segment, snapshot: Some((base, snapshot)), trim: true });
        }
        writer.names.add();
        self.publish(writer, set);
        Ok(())
    }
}

impl Log {
    /// What an append answers that failed with `error`. Where a segment was begun for it behind a gap, that one goes again:
    /// what comes next may belong into the gap, and an opening would take its name for the log end.
    #[cold]
    pub(super) fn not_appended(&self, writer: MutexGuard<'_, Writer>, error: Error) -> Error {
        if self.begun_ahead(&writer).is_none() {
            return error;
        }
        // Whoever syncs must not find it gone.
        drop(writer);
        let _turn = self.rounds.lock();
        if let Ok(mut writer) = self.lock_writer() {
            // What is left of it goes before the next segment is made.
            self.take_back_begun(&mut writer).ok();
        }
        error
    }

    /// The base of the active segment, if that is empty and lies behind the log end.
    fn begun_ahead(&self, writer: &Writer) -> Option<Offset> {
        let active = writer.tail.as_ref()?.active.as_ref()?;
        Some(active.base_offset()).filter(|base| active.is_empty() && *base > writer.marks.end)
    }

    fn take_back_begun(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<()> {
        let set = self.segments.load_full();
        let (Some(base), Some((begun, kept))) = (self.begun_ahead(writer), set.segments().split_last()) else {
            return Ok(());
        };
        let end = writer.marks.end;
        self.directory.unlink(&file_name(base, FileKind::Snapshot))?;
        self.directory.unlink(&begun.file_name(FileKind::Log))?;
        for sealing in &mut writer.unsealed {
            sealing.snapshot.take_if(|(offset, _)| *offset > end);
        }
        let Some(tail) = writer.tail.as_mut() else { return Ok(()) };
        tail.active = None;
        // The one in front of it was sealed, and takes no more.
        tail.is_ended = true;
        begun.region().doom();
        self.publish(writer, SegmentSet::new(kept.to_vec(), set.log_start()));
        writer.leftover = Some(base);
        self.remove_leftover(writer)
    }

    /// Syncs the directory if names in it are not durable yet; a sync that is under way is not waited for. Names are durable in order: a segment whose name
    /// survives must not have lost the one before it, or the log would begin with a hole; nor may segments be removed
    /// in front of one whose name is lost.
    pub(super) fn sync_names(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<()> {
        if !writer.names.are_durable() {
            let names = writer.names.so_far();
            self.directory.sync().map_err(|error| {
                lost_sync::note_if_lost(self.directory.as_ref(), &error);
                self.latch.trip_unless_full(error)
            })?;
            writer.names.synced(names);
        }
        Ok(())
    }
}

/// When an index gets an entry, by a topic's configuration.
pub(super) fn index_settings(config: &LogConfig) -> IndexSettings {
    IndexSettings { interval: config.index_interval_bytes, max_bytes: config.segment_index_bytes }
}

/// A number from 0 up to, not including, `bound`.
fn random_below(bound: i64) -> i64 {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(bound) >> 1;
    random.cast_signed() % bound.max(1)
}
