//! Appending: what the leader assigns, what a follower verifies.

use std::ops::RangeInclusive;

use crate::error::{Error, ErrorKind, Result};
use crate::io::Way;
use crate::log::origin::Origin;
use crate::log::producer_check::{Check, Duplicate, Marker};
use crate::log::roll::{Arrival, RollLimits, SegmentAge, should_roll};
use crate::log::tail::Tail;
use crate::log::validate::{ValidationRules, validate};
use crate::log::verification::Proof;
use crate::log::watermarks::Marks;
use crate::log::{Log, LogConfig, TopicCompression, Writer};
use crate::record::batch_header::HEADER_LEN;
use crate::record::stamp;
use crate::record::{BatchHeader, Batches, Compression, DecompressionLimits, RecordBatch, TransactionResult};
use crate::segment::ActiveSegment;
use crate::sync::MutexGuard;
use crate::types::{LeaderEpoch, Offset, Timestamp, TimestampType};

/// Appends smaller than this go through the map, if they are not synced one by one.
const MAP_BELOW: usize = 4096;

/// Who hands in a batch, which decides what is checked. Kafka's `AppendOrigin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendOrigin {
    /// A producer: everything is checked.
    Client,
    /// The group or transaction coordinator, for its own records and for markers: sequences are not checked.
    Coordinator,
}

/// What an append answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The offsets that the records have.
    pub offsets: RangeInclusive<Offset>,
    /// The time that all records carry, if the topic's timestamps are those of the append.
    pub log_append_time: Option<Timestamp>,
    /// The largest timestamp of the batch.
    pub max_timestamp: Timestamp,
    /// The batch was there already: nothing was written, and the offsets are those it has had since.
    pub duplicate: bool,
}

/// One batch on its way under the writer lock, its place and leader stamped.
struct Incoming<'a> {
    header: &'a BatchHeader,
    head: &'a [u8; HEADER_LEN],
    section: &'a [u8],
    marker: Option<Marker>,
    origin: Origin,
    /// The wall clock.
    now: Timestamp,
    proof: Proof,
}

impl Log {
    /// Appends a batch as the leader: checks it, gives it the next offsets, and publishes it.
    ///
    /// When this returns the records survive the process, not a power cut; see [`Log::wait_durable`].
    ///
    /// # Errors
    /// Nothing is appended for any of these. What a record or batch must be: [`ErrorKind::InvalidRecord`],
    /// [`ErrorKind::InvalidTimestamp`], [`ErrorKind::BatchTooLarge`], [`ErrorKind::UnsupportedCompression`],
    /// [`ErrorKind::DecompressedTooLarge`]. What a producer must be: [`ErrorKind::OutOfOrderSequence`],
    /// [`ErrorKind::ProducerFenced`], [`ErrorKind::InvalidTxnState`]. The log: [`ErrorKind::StorageFull`],
    /// [`ErrorKind::PreviousFailure`], [`ErrorKind::Corruption`], [`ErrorKind::Closed`], [`ErrorKind::ReadOnly`],
    /// [`ErrorKind::Io`], and [`ErrorKind::TooManyFiles`] or [`ErrorKind::MapLimit`] when a segment must be opened.
    pub(crate) fn append<B: AsRef<[u8]>>(&self, batch: &RecordBatch<B>, origin: AppendOrigin) -> Result<Appended> {
        self.append_proven(batch, origin, Proof::NotAsked)
    }

    pub(super) fn append_proven<B: AsRef<[u8]>>(
        &self,
        batch: &RecordBatch<B>,
        origin: AppendOrigin,
        proof: Proof,
    ) -> Result<Appended> {
        let config = self.config.load();
        let origin = match origin {
            AppendOrigin::Client => Origin::Client,
            AppendOrigin::Coordinator => Origin::Coordinator,
        };
        let limits = DecompressionLimits::default();
        let now = self.clock.now();
        let rules = ValidationRules { config: &config, limits, origin, now };
        let mut checked = validate(batch, &rules)?;
        // Only now: a client's control batch is refused for what it is, whatever is in it.
        let marker = Marker::read(batch)?;
        let mut writer = self.lock_writer()?;
        let epoch = self.tail(&mut writer)?.current_epoch();
        checked.stamp(writer.marks.end, epoch);
        let (head, section) = (checked.head(), checked.section());
        let incoming = Incoming { header: checked.header(), head, section, marker, origin, proof, now };
        let appended = match self.append_one(&mut writer, &incoming) {
            Ok(appended) => appended,
            Err(error) => return Err(self.not_appended(writer, error)),
        };
        self.moved.tell_unlocking(writer);
        Ok(appended)
    }

    /// Appends the batch of one uncompressed record that our own encoder made just now, if the topic's configuration has
    /// nothing to say about it. Answers `None` if it has: then it takes the way of all batches.
    ///
    /// `header` is the decoded header of `batch`, into which place and leader are stamped.
    #[inline]
    pub(crate) fn append_single(
        &self,
        mut header: BatchHeader,
        batch: &mut [u8],
        has_key: bool,
        now: Timestamp,
    ) -> Result<Option<Appended>> {
        let size = batch.len();
        let Some((head, section)) = batch.split_first_chunk_mut::<HEADER_LEN>() else { return Ok(None) };
        let mut writer = self.lock_writer()?;
        if !takes_as_it_is(&writer.config, size, has_key, header.max_timestamp, now) {
            return Ok(None);
        }
        header.leader_epoch = self.tail(&mut writer)?.current_epoch();
        header.base_offset = writer.marks.end;
        stamp(head, header.base_offset, header.leader_epoch);
        let incoming = Incoming {
            header: &header,
            head,
            section,
            marker: None,
            origin: Origin::Client,
            proof: Proof::NotAsked,
            now,
        };
        let appended = match self.append_one(&mut writer, &incoming) {
            Ok(appended) => appended,
            Err(error) => return Err(self.not_appended(writer, error)),
        };
        self.moved.tell_unlocking(writer);
        Ok(Some(appended))
    }

    /// Appends batches as a follower: verbatim, with the offsets and epochs that they carry.
    ///
    /// Batches that are whole are appended up to the first that is not as it must be.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`] for a batch that is damaged, or does not lie behind the log end and those before it;
    /// and what [`Log::append`] answers about the log. Batches before the refused one stay appended.
    pub(crate) fn append_as_follower(&self, bytes: &[u8]) -> Result<Option<Appended>> {
        let mut appended = None;
        let outcome = self.append_verbatim(bytes, &mut appended);
        self.moved();
        outcome.map(|()| appended)
    }

    fn append_verbatim(&self, bytes: &[u8], appended: &mut Option<Appended>) -> Result<()> {
        for (_, batch) in Batches::new(bytes) {
            let batch = batch?;
            let mut writer = self.lock_writer()?;
            self.check_follows(&mut writer, batch.header())?;
            let Some((head, section)) = batch.bytes().split_first_chunk() else { break };
            let (header, marker) = (batch.header(), Marker::read(&batch)?);
            let now = self.clock.now();
            let incoming =
                Incoming { header, head, section, marker, origin: Origin::Replication, proof: Proof::NotAsked, now };
            let next = match self.append_one(&mut writer, &incoming) {
                Ok(next) => next,
                Err(error) => return Err(self.not_appended(writer, error)),
            };
            let first = appended.as_ref().map_or(*next.offsets.start(), |before| *before.offsets.start());
            *appended = Some(Appended { offsets: first..=*next.offsets.end(), ..next });
        }
        Ok(())
    }

    fn check_follows(&self, writer: &mut MutexGuard<'_, Writer>, header: &BatchHeader) -> Result<()> {
        // A leader may have batches from before there were epochs.
        let latest = self.tail(writer)?.epochs.latest();
        let (offset, epoch) = (writer.marks.end, latest.map_or(LeaderEpoch::NONE, |latest| latest.epoch));
        let expected = crate::segment::walk::Expected { offset, epoch, gaps: true };
        expected.check(0, header)?;
        if header.base_offset > offset && !self.checkpoint.get().gaps_in_tail { self.allow_gaps() } else { Ok(()) }
    }

    /// Writes down that offsets may be left out, before the first one is: a gap would be taken for damage.
    fn allow_gaps(&self) -> Result<()> {
        let allowed = self.checkpoint.update(self.directory.as_ref(), |state| {
            let mut checkpoint = state.checkpoint.clone();
            checkpoint.may_have_gaps = true;
            checkpoint.gaps_in_tail = true;
            Some(checkpoint)
        });
        allowed.map_err(|error| self.latch.trip_unless_full(error))
    }

    /// Appends a batch whose base offset and epoch are final.
    #[inline]
    fn append_one(&self, writer: &mut MutexGuard<'_, Writer>, incoming: &Incoming<'_>) -> Result<Appended> {
        let header = incoming.header;
        check_range(header)?;
        let tail = self.tail(writer)?;
        tail.expire_producers(incoming.now);
        if let Check::Duplicate(duplicate) =
            tail.producers.check(header, incoming.marker, incoming.origin, incoming.proof)?
        {
            return Ok(self.duplicate(duplicate));
        }
        self.roll_if_due(writer, header, incoming.now)?;
        if incoming.marker.is_some() {
            // Behind the write nothing may fail: the batch would be there and not be counted.
            self.active(writer)?;
            let set = self.segments.load();
            self.aborted_of(&set, set.segments().len().saturating_sub(1))?;
        }
        self.write(writer, incoming)?;
        let tail = writer.tail.as_mut().ok_or_else(|| unopened(self))?;
        tail.note_epoch(header.leader_epoch, header.base_offset);
        let completed = tail
            .producers
            .apply(header, incoming.marker)
            .filter(|completed| completed.result == TransactionResult::Abort);
        if let (Some(aborted), Some(active)) = (completed, tail.active.as_ref()) {
            active.segment().add_aborted(aborted.transaction).map_err(|error| self.latch.trip(error))?;
        }
        let marks = Marks { end: header.next_offset(), ..writer.marks };
        self.set_marks(writer, marks);
        writer.appends = writer.appends.saturating_add(1);
        let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        Ok(Appended {
            offsets: header.base_offset..=header.last_offset(),
            log_append_time: append_time.then_some(header.max_timestamp),
            max_timestamp: header.max_timestamp,
            duplicate: false,
        })
    }

    fn duplicate(&self, duplicate: Duplicate) -> Appended {
        let Duplicate { first_offset, last_offset, timestamp } = duplicate;
        let append_time = self.config.load().timestamp_type == TimestampType::LogAppendTime;
        let log_append_time = append_time.then_some(timestamp);
        let offsets = first_offset..=last_offset;
        Appended { offsets, log_append_time, max_timestamp: timestamp, duplicate: true }
    }

    /// Puts the batch behind the active segment. A full disk, or a descriptor that was not to be had, leaves everything
    /// as it was; any other failure trips the latch.
    #[inline]
    fn write(&self, writer: &mut MutexGuard<'_, Writer>, incoming: &Incoming<'_>) -> Result<()> {
        let size = incoming.header.size();
        let is_lazy = size < MAP_BELOW && !writer.syncs_often && !writer.config.flush_policy().is_every_append();
        let way = if is_lazy { Way::Map } else { Way::Positioned };
        let active = self.active(writer)?;
        active.reserve(size)?;
        let step = self.latch.begin()?;
        match active.append(incoming.header, incoming.head, incoming.section, way) {
            Ok(()) => {
                step.done();
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::StorageFull || error.is_passing() => {
                step.done();
                Err(error)
            }
            Err(error) => {
                let error = step.failed(error);
                self.moved();
                Err(error)
            }
        }
    }

    #[inline]
    fn roll_if_due(&self, writer: &mut MutexGuard<'_, Writer>, header: &BatchHeader, now: Timestamp) -> Result<()> {
        let (segment_bytes, segment_ms) = (writer.config.segment_bytes, writer.config.effective_segment_ms());
        let active = self.active(writer)?;
        let arrival = Arrival {
            size: header.size() as u64,
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
        };
        let limits = RollLimits {
            segment_bytes: u64::from(segment_bytes).min(active.capacity()),
            segment_ms: segment_ms.saturating_sub(active.jitter()),
        };
        let is_wide_enough = arrival.size <= active.capacity();
        if should_roll(&age_of(active), &arrival, &limits, now).is_some() {
            return self.roll_writer(writer, header.base_offset, arrival.size);
        }
        if writer.leftover.is_some() {
            self.remove_leftover(writer)?;
        }
        if !is_wide_enough {
            self.widen(writer, arrival.size)?;
        }
        Ok(())
    }

    /// Starts a new segment at the log end, unless the active one is empty. Returns the active segment's base.
    ///
    /// # Errors
    /// As [`Log::append`] about the log.
    pub(crate) fn roll(&self) -> Result<Offset> {
        let mut writer = self.lock_writer()?;
        self.tail(&mut writer)?;
        let log_end = writer.marks.end;
        let active = self.active(&mut writer)?;
        if !active.is_empty() {
            self.roll_writer(&mut writer, log_end, 0)?;
        }
        Ok(self.active(&mut writer)?.base_offset())
    }

    /// The active segment, opened for appending.
    #[inline]
    fn active<'a>(&self, writer: &'a mut MutexGuard<'_, Writer>) -> Result<&'a mut ActiveSegment> {
        if writer.damage.is_some() || writer.tail.as_ref().is_none_or(|tail| tail.active.is_none()) {
            self.open_active(writer)?;
        }
        writer.tail.as_mut().and_then(|tail| tail.active.as_mut()).ok_or_else(|| unopened(self))
    }

    /// What appending needs, loaded.
    #[inline]
    pub(super) fn tail<'a>(&self, writer: &'a mut MutexGuard<'_, Writer>) -> Result<&'a mut Tail> {
        if writer.tail.is_none() {
            self.load_tail(writer)?;
        }
        writer.tail.as_mut().ok_or_else(|| unopened(self))
    }

    /// Tells everybody who waits for a mark.
    pub(super) fn moved(&self) {
        self.moved.tell();
    }
}

/// Whether a batch of one uncompressed record is stored as it was encoded.
#[inline]
fn takes_as_it_is(config: &LogConfig, size: usize, has_key: bool, time: Timestamp, now: Timestamp) -> bool {
    let is_plain =
        matches!(config.compression, TopicCompression::Producer | TopicCompression::Codec(Compression::None))
            && config.timestamp_type == TimestampType::CreateTime
            && (has_key || !config.cleanup_policy.compact);
    let fits = size as u64 <= u64::from(config.max_message_bytes.min(config.segment_bytes));
    let age = now.millis().saturating_sub(time.millis());
    let is_timely = age <= config.timestamp_before_max_ms && age.saturating_neg() <= config.timestamp_after_max_ms;
    is_plain && fits && time.is_some() && is_timely
}

/// The active segment, as far as rolling is concerned.
#[inline]
fn age_of(active: &ActiveSegment) -> SegmentAge {
    SegmentAge {
        base: active.base_offset(),
        size: active.len(),
        first_timestamp: active.first_timestamp(),
        created: active.created(),
        index_full: active.is_index_full(),
    }
}

#[inline]
fn check_range(header: &BatchHeader) -> Result<()> {
    let room = Offset::MAX.since(header.base_offset).unwrap_or(0);
    if header.offset_count() <= room { Ok(()) } else { Err(no_offsets(header.base_offset)) }
}

#[cold]
fn no_offsets(base: Offset) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("no offsets are left behind {base}"))
}

/// Loading succeeded and yet nothing is loaded: cannot be, and is an error rather than a panic.
#[cold]
fn unopened(log: &Log) -> Error {
    Error::new(ErrorKind::Closed, format!("{} is not open for writing", log.directory.path().display()))
}
