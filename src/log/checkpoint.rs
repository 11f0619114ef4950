//! The log's own checkpoint file: up to where all is synced, where the log starts, the high watermark.
//!
//! Kafka keeps these for all partitions of a directory in text files, once a minute; ours lies in the partition's
//! directory and is replaced atomically.

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use std::time::Duration;

use crate::io::Directory;
use crate::record::framed::{self, Format};
use crate::sync::{AtomicBool, Mutex, Ordering};
use crate::types::{Offset, Timestamp};

/// The file's name.
pub(crate) const FILE: &str = "log-checkpoint";

const FORMAT: Format = Format { magic: b"rvrblogc", version: 2 };
const FIXED: usize = 9;
/// Where the numbers stand that version 1 does not have.
const CLEANED: usize = 7;
const MAX_FILE: u64 = 16 << 20;

/// What the checkpoint says. All of it was true, durably, when it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Everything below it is synced.
    pub(crate) recovery_point: RecoveryPoint,
    /// The first offset that may be read.
    pub(crate) log_start: Offset,
    /// The high watermark, a lower bound.
    pub(crate) high_watermark: Offset,
    /// How often the tail was cut: who follows the log from another process reads it anew then.
    pub(crate) cuts: u64,
    /// Whether offsets may be left out, as compaction does. Without, a gap is damage.
    pub(crate) may_have_gaps: bool,
    /// Whether they may be left out above the recovery point, too: where a leader said so. Compaction leaves none out
    /// there, so that one that is missing was lost.
    pub(crate) gaps_in_tail: bool,
    /// How far compaction came.
    pub(crate) cleaned: Cleaned,
    /// Segments that a cut ended in front of their file's end: a clean close trims them.
    pub(crate) cut_segments: Vec<CutSegment>,
}

/// How far compaction came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// The first dirty offset: below it no key has two records.
    pub(crate) to: Offset,
    /// When the first of the tombstones and markers below it may go: no delete horizon there is earlier.
    pub(crate) next_horizon: Timestamp,
}

impl Cleaned {
    /// When nothing is there that may ever go.
    pub(crate) const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
}

impl Default for Cleaned {
    fn default() -> Self {
        Self { to: Offset::ZERO, next_horizon: Self::NEVER }
    }
}

/// A segment whose file holds more than counts. What follows stays there for who still holds slices of it, and must
/// never be read again, even after the segment behind it is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CutSegment {
    /// The offset in the file's name.
    pub(crate) base: Offset,
    /// The offset behind its last record.
    pub(crate) end: Offset,
    /// How many of the file's bytes count.
    pub(crate) position: u64,
}

/// Where recovery starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecoveryPoint {
    /// The offset below which all is synced.
    pub(crate) offset: Offset,
    /// The segment that holds it.
    pub(crate) base: Offset,
    /// The byte position in that segment where the batch at the offset begins, or will.
    pub(crate) position: u64,
}

impl Checkpoint {
    /// Where a cut ended the segment at `base`, if one did.
    pub(crate) fn cut_of(&self, base: Offset) -> Option<&CutSegment> {
        self.cut_segments.iter().find(|cut| cut.base == base)
    }

    /// Takes the ends of segments that were cut down to where recovery has found them to end.
    pub(super) fn lower_cuts(&mut self, found: &[CutSegment]) {
        for cut in &mut self.cut_segments {
            let ends_before = |found: &&CutSegment| found.base == cut.base && found.position < cut.position;
            if let Some(lower) = found.iter().find(ends_before) {
                *cut = *lower;
            }
        }
    }

    /// Reads the file, or says that there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`] or [`ErrorKind::UnsupportedVersion`] for what the file holds; what reading can answer.
    pub(crate) fn read(directory: &dyn Directory) -> Result<Option<Self>> {
        let bytes = match directory.read(FILE, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Self::decode(&bytes).map(Some).map_err(|error| error.located(&directory.path().join(FILE), 0))
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, directory: &dyn Directory) -> Result<()> {
        directory.replace(FILE, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let point = &self.recovery_point;
        let fixed = [
            point.offset.get(),
            point.base.get(),
            point.position,
            self.log_start.get(),
            self.high_watermark.get(),
            self.cuts,
            u64::from(self.may_have_gaps) | u64::from(self.gaps_in_tail) << 1,
            self.cleaned.to.get(),
            u64::try_from(self.cleaned.next_horizon.millis()).unwrap_or(0),
        ];
        let cut = self.cut_segments.iter().flat_map(|cut| [cut.base.get(), cut.end.get(), cut.position]);
        let body: Vec<u8> = fixed.into_iter().chain(cut).flat_map(u64::to_be_bytes).collect();
        framed::frame(FORMAT, &body)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (version, body) = framed::unframe(FORMAT, bytes)?;
        let wrong = |text: &str| Error::corrupt(0, CorruptionReason::SideFile(text.to_owned()));
        let (numbers, rest) = body.as_chunks();
        let offset = |bytes: &[u8; 8]| {
            Offset::from_i64(i64::from_be_bytes(*bytes)).ok_or_else(|| wrong("checkpoint holds a negative number"))
        };
        let mut numbers: Vec<Offset> = numbers.iter().map(offset).collect::<Result<_>>()?;
        if version == 1 && numbers.len() >= CLEANED {
            numbers.splice(CLEANED..CLEANED, [Offset::ZERO, Offset::new(i64::MAX.cast_unsigned())]);
        }
        let Some((fixed, cut)) = numbers.split_first_chunk::<FIXED>() else {
            return Err(wrong("checkpoint has another length"));
        };
        let (cut, odd) = cut.as_chunks();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(wrong("checkpoint has another length"));
        }
        let [point, base, position, log_start, high_watermark, cuts, gaps, cleaned_to, next_horizon] = *fixed;
        let cut_segment =
            |[base, end, position]: &[Offset; 3]| CutSegment { base: *base, end: *end, position: position.get() };
        Ok(Self {
            recovery_point: RecoveryPoint { offset: point, base, position: position.get() },
            log_start,
            high_watermark,
            cuts: cuts.get(),
            may_have_gaps: gaps > Offset::ZERO,
            gaps_in_tail: gaps.get() > 1 || (version == 1 && gaps > Offset::ZERO),
            cleaned: Cleaned { to: cleaned_to, next_horizon: Timestamp::from_millis(next_horizon.as_i64()) },
            cut_segments: cut.iter().map(cut_segment).collect(),
        })
    }
}

/// The checkpoint file with what it says now.
///
/// Its lock comes after the writer's. Who moves the recovery point up holds this one alone, so that no append waits for
/// the file; a cut holds both.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    written: Mutex<Written>,
    /// For readers, who take no lock. Never falls.
    may_have_gaps: AtomicBool,
    /// Whether more is synced than the file says: for who asks often.
    is_behind: AtomicBool,
}

/// What the file says, and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// The contents.
    pub(crate) checkpoint: Checkpoint,
    /// Up to where all is synced by now: the recovery point that the file would have if it were written.
    pub(crate) synced: RecoveryPoint,
    /// When its recovery point was last raised, or that was tried, by the monotonic clock.
    pub(crate) written_at: Duration,
}

impl CheckpointFile {
    /// The file that holds `checkpoint`.
    pub(crate) fn new(checkpoint: Checkpoint) -> Self {
        let may_have_gaps = AtomicBool::new(checkpoint.may_have_gaps);
        let synced = checkpoint.recovery_point;
        let written = Mutex::new(Written { checkpoint, synced, written_at: Duration::ZERO });
        Self { written, may_have_gaps, is_behind: AtomicBool::new(false) }
    }

    /// Whether more is synced than the file says.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// When its recovery point was last raised, by the monotonic clock.
    pub(crate) fn written_at(&self) -> Duration {
        self.written.lock().written_at
    }

    /// What the file says.
    pub(crate) fn get(&self) -> Checkpoint {
        self.written.lock().checkpoint.clone()
    }

    /// Whether offsets may be left out: without, a gap is damage.
    pub(crate) fn may_have_gaps(&self) -> bool {
        self.may_have_gaps.load(Ordering::Acquire)
    }

    /// Notes that offsets may be left out: the next writing of the file says so.
    pub(crate) fn note_gaps(&self) {
        self.written.lock().checkpoint.may_have_gaps = true;
        self.may_have_gaps.store(true, Ordering::Release);
    }

    /// Takes over what another process has written to the file by now.
    pub(crate) fn adopt(&self, checkpoint: Checkpoint) {
        let mut written = self.written.lock();
        let may_have_gaps = checkpoint.may_have_gaps || written.checkpoint.may_have_gaps;
        written.synced = checkpoint.recovery_point;
        written.checkpoint = Checkpoint { may_have_gaps, ..checkpoint };
        self.may_have_gaps.store(may_have_gaps, Ordering::Release);
    }

    /// Replaces the file with what `next` makes of it, if it makes anything. A failed write leaves the file as it was.
    pub(crate) fn update(
        &self,
        directory: &dyn Directory,
        next: impl FnOnce(&mut Written) -> Option<Checkpoint>,
    ) -> Result<()> {
        let mut written = self.written.lock();
        let next = next(&mut written);
        let replaced = next.map_or(Ok(()), |checkpoint| {
            checkpoint.write(directory)?;
            if checkpoint.may_have_gaps {
                self.may_have_gaps.store(true, Ordering::Release);
            }
            written.checkpoint = checkpoint;
            Ok(())
        });
        self.is_behind.store(written.synced != written.checkpoint.recovery_point, Ordering::Relaxed);
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back() {
        let point = RecoveryPoint { offset: Offset::new(7), base: Offset::new(5), position: 123 };
        let checkpoint = Checkpoint {
            recovery_point: point,
            log_start: Offset::new(2),
            high_watermark: Offset::new(6),
            cuts: 1,
            may_have_gaps: false,
            gaps_in_tail: false,
            cleaned: Cleaned { to: Offset::new(4), next_horizon: Timestamp::from_millis(1_700_000_000_000) },
            cut_segments: vec![CutSegment { base: Offset::new(3), end: Offset::new(4), position: 61 }],
        };
        assert_eq!(Checkpoint::decode(&checkpoint.encode()).unwrap(), checkpoint);
    }

    #[test]
    fn a_file_of_version_1_knows_of_no_cleaning() {
        let numbers = [7, 5, 123, 2, 6, 1, 1, 3, 4, 61_u64];
        let body: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        let old = framed::frame(Format { version: 1, ..FORMAT }, &body);
        let checkpoint = Checkpoint::decode(&old).unwrap();
        assert_eq!((checkpoint.cleaned, checkpoint.may_have_gaps), (Cleaned::default(), true));
        assert_eq!(checkpoint.cut_segments.len(), 1);
    }

    #[test]
    fn a_body_of_another_shape_is_damage() {
        for body in [&[0; 71][..], &[0; 73], &[0xff; 72], &[0; 64]] {
            let error = Checkpoint::decode(&framed::frame(FORMAT, body)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
        }
    }

    #[test]
    fn the_documented_example_is_what_is_written() {
        let point = RecoveryPoint { offset: Offset::new(7), base: Offset::new(5), position: 140 };
        let checkpoint = Checkpoint {
            recovery_point: point,
            log_start: Offset::new(2),
            high_watermark: Offset::new(6),
            cuts: 1,
            may_have_gaps: false,
            gaps_in_tail: false,
            cleaned: Cleaned { to: Offset::new(4), next_horizon: Timestamp::from_millis(1_700_000_000_000) },
            cut_segments: vec![CutSegment { base: Offset::new(3), end: Offset::new(4), position: 61 }],
        };
        assert_eq!(crate::record::vectors::documented("log-checkpoint"), checkpoint.encode());
    }
}
