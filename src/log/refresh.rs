//! How a read-only log sees what a writer in another process has added since.

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::Checkpoint;
use crate::log::open::{LastClose, LogOptions, OpenMode, Opening};
use crate::log::segment_set::SegmentSet;
use crate::log::watermarks::Marks;
use crate::log::{HighWatermark, Log, Writer};
use crate::segment::Segment;
use crate::sync::{Arc, MutexGuard};
use crate::types::Offset;

impl Log {
    /// Whether nothing is written through it.
    pub(crate) fn is_open_read_only(&self) -> bool {
        self.read_only
    }

    /// Looks again, for a log that was opened read-only: at segments that are gone or new, and at what was appended.
    ///
    /// `last_close` is how the log was left, as the opener sees it now. What readers hold stays as it is. Goes on behind
    /// the last batch it knows, so that it costs what is new; where the log was cut, trimmed, closed or damaged since, it
    /// is opened anew. Where the writer cut the tail, the log end goes back.
    ///
    /// # Errors
    /// What opening can answer.
    pub(crate) fn refresh(&self, last_close: LastClose) -> Result<()> {
        if !self.read_only {
            return Err(Error::new(ErrorKind::Unsupported, "only a read-only log is refreshed"));
        }
        self.check_open()?;
        let _turn = self.rounds.lock();
        self.check_open()?;
        *self.left.lock() = last_close;
        let options = self.to_look_again(last_close);
        // Kafka does not tell when it cuts a log.
        let may_go_on = matches!(last_close, LastClose::Unclean { .. });
        if !may_go_on || !self.go_on(&options).unwrap_or(false) {
            self.look_anew(&options)?;
        }
        self.moved();
        Ok(())
    }

    /// Whether the end that an opening found lies below what the writer knows to be durable by now: then it met segments
    /// that were being exchanged, and took what they leave out for the end.
    pub(super) fn ends_too_early(&self) -> bool {
        self.cuts_and_synced().is_ok_and(|(_, synced)| self.marks.end() < synced)
    }

    /// How often the log was cut, and up to where it is durable, as the writer has written it down.
    fn cuts_and_synced(&self) -> Result<(u64, Offset)> {
        let now = Checkpoint::read(self.directory.as_ref())?;
        Ok(now.map_or((0, Offset::ZERO), |now| (now.cuts, now.recovery_point.offset)))
    }

    fn to_look_again(&self, last_close: LastClose) -> LogOptions {
        LogOptions {
            config: self.config(),
            clock: Arc::clone(&self.clock),
            mode: OpenMode::ReadOnly,
            last_close,
            verify_always: self.verify_always,
        }
    }

    /// Looks again, for a reader who could not read what `set` says. Answers whether another process has exchanged, removed
    /// or cut segments of it: then it is worth another try.
    pub(super) fn was_changed(&self, set: &Arc<SegmentSet>) -> Result<bool> {
        let _turn = self.rounds.lock();
        self.check_open()?;
        if !Arc::ptr_eq(set, &self.segments.load()) {
            return Ok(true);
        }
        let known = self.checkpoint.get();
        let last_close = *self.left.lock();
        self.look_anew(&self.to_look_again(last_close))?;
        self.moved();
        let (now, found) = (self.segments.load(), self.checkpoint.get());
        let is_same = set.log_start() == now.log_start() && set.has_files_of(&now);
        Ok(!is_same || (known.cuts, known.cleaned) != (found.cuts, found.cleaned))
    }

    fn look_anew(&self, options: &LogOptions) -> Result<()> {
        let fresh = Self::open(Arc::clone(&self.directory), options)?;
        let mut writer = self.writer.lock();
        let mut fresh_writer = fresh.writer.lock();
        writer.tail = fresh_writer.tail.take();
        writer.following = fresh_writer.following.take();
        let marks = fresh_writer.marks;
        self.show(&mut writer, fresh.segments.load().as_ref().clone(), marks);
        // Behind the segments: what it says of them is never older than they are.
        self.checkpoint.adopt(fresh.checkpoint.get());
        Ok(())
    }

    /// Goes on behind the last batch that is known. `false` if the log is to be opened anew.
    fn go_on(&self, options: &LogOptions) -> Result<bool> {
        let opening = Opening::new(Arc::clone(&self.directory), options)?;
        let mut writer = self.writer.lock();
        let Writer { tail: Some(tail), following, .. } = &mut *writer else { return Ok(false) };
        // Whatever fails from here on, it is not gone on with.
        let Some(mut following) = following.take() else { return Ok(false) };
        let known = self.checkpoint.get();
        if !opening.is_as_listed() || opening.checkpoint.cuts != known.cuts {
            return Ok(false);
        }
        let set = self.segments.load_full();
        let Some(mut segments) = following.known(&set, &opening) else { return Ok(false) };
        tail.replay(|replay| following.walk(&mut segments, &opening, replay))?;
        let (end, synced) = (following.expected.offset, opening.checkpoint.recovery_point.offset);
        // What was just read is the log's if it was not cut meanwhile.
        let (cuts_now, synced_now) = self.cuts_and_synced()?;
        if end < synced.max(synced_now) || cuts_now != known.cuts {
            return Ok(false);
        }
        let first = segments.first().map_or(end, |segment| segment.base_offset());
        let log_start = opening.checkpoint.log_start.max(first).min(end);
        tail.expire_producers(self.clock.now());
        tail.change_epochs(|epochs| epochs.truncate_from_start(log_start));
        let durable = synced.clamp(log_start, end);
        let high = if options.config.high_watermark == HighWatermark::Written { end } else { durable };
        let last_stable = tail.last_stable(high).max(log_start).min(high);
        writer.following = Some(following);
        self.show_more(&mut writer, &set, segments, log_start, Marks { last_stable, high, durable, end });
        self.checkpoint.adopt(opening.checkpoint);
        Ok(true)
    }

    /// Shows what came, and leaves the snapshot of segments alone where none did.
    fn show_more(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        known: &SegmentSet,
        segments: Vec<Arc<Segment>>,
        log_start: Offset,
        marks: Marks,
    ) {
        let same = known.segments().len() == segments.len()
            && known.segments().iter().zip(&segments).all(|(known, now)| Arc::ptr_eq(known, now));
        if same && known.log_start() == log_start && marks.lower_of(&writer.marks) == writer.marks {
            self.marks.store(&writer.marks, &marks);
            writer.marks = marks;
        } else {
            self.show(writer, SegmentSet::new(segments, log_start), marks);
        }
    }

    /// What a writer's cut took back is taken back first: no new segment is read up to an old mark.
    fn show(&self, writer: &mut MutexGuard<'_, Writer>, set: SegmentSet, marks: Marks) {
        let lowered = writer.marks.lower_of(&marks);
        self.marks.store(&writer.marks, &lowered);
        self.publish(writer, set);
        self.marks.store(&lowered, &marks);
        writer.marks = marks;
    }
}
