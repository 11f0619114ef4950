//! Producer state and epochs as the batches tell them: from the newest snapshot on, batch by batch.

use std::ops::RangeInclusive;

use crate::error::{Error, ErrorKind, Result};
use crate::io::{Directory, Look};
use crate::log::epoch_cache::{self, LeaderEpochCache};
use crate::log::producer_check::Marker;
use crate::log::producer_snapshot;
use crate::log::producer_state::ProducerState;
use crate::record::{BatchHeader, RecordBatch, TransactionResult};
use crate::segment::file_name::{FileKind, file_name};
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::walk::{Next, batch_in, is_damage, next_in};
use crate::segment::{AbortedTransaction, Segment};
use crate::sync::Arc;
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// The largest snapshot that is read: some 20 million producers.
const SNAPSHOT_MAX: u64 = 1 << 30;
/// The largest epoch checkpoint that is read.
const EPOCHS_MAX: u64 = 64 << 20;
/// `producer.id.expiration.ms`: after this time without a record a producer is forgotten.
pub(super) const PRODUCER_EXPIRATION_MS: i64 = 86_400_000;

/// State under reconstruction.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) producers: ProducerState,
    pub(super) epochs: LeaderEpochCache,
    /// Whether the epochs differ from what their file says.
    pub(super) epochs_dirty: bool,
    /// The offset up to which the snapshot tells.
    pub(super) from: Offset,
}

impl Replay {
    /// Starts at the newest snapshot in `replayable` that can be read, or else at the beginning. Producers that have
    /// expired by `now` are left out.
    ///
    /// From each offset in `replayable` on, all batches are there: a snapshot below them tells of transactions whose ends
    /// are deleted. (`ProducerStateManager.truncateAndReload`)
    pub(super) fn start(
        directory: &dyn Directory,
        snapshots: &[Offset],
        replayable: &RangeInclusive<Offset>,
        now: Timestamp,
    ) -> Result<Self> {
        for offset in snapshots.iter().rev().filter(|offset| replayable.contains(offset)) {
            let bytes = match directory.read(&file_name(*offset, FileKind::Snapshot), SNAPSHOT_MAX) {
                Ok(bytes) => bytes,
                Err(error) if unusable(&error) => continue,
                Err(error) => return Err(error),
            };
            if let Ok(entries) = producer_snapshot::decode(&bytes) {
                return Ok(Self::with(ProducerState::load(entries, *offset, now, PRODUCER_EXPIRATION_MS), *offset));
            }
        }
        Ok(Self::with(ProducerState::new(Offset::ZERO), Offset::ZERO))
    }

    /// Nothing known, of a log that begins at `start`.
    pub(super) fn empty(start: Offset) -> Self {
        Self::with(ProducerState::new(start), start)
    }

    fn with(producers: ProducerState, from: Offset) -> Self {
        Self { producers, epochs: LeaderEpochCache::new(), epochs_dirty: false, from }
    }

    /// Reads the epochs, as far as they concern a log from `start` to `end`. A file that cannot be understood counts as
    /// none: the batches tell the same.
    pub(super) fn load_epochs(&mut self, directory: &dyn Directory, start: Offset, end: Offset) -> Result<()> {
        let bytes = match directory.read(epoch_cache::FILE, EPOCHS_MAX) {
            Ok(bytes) => bytes,
            Err(error) if unusable(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        self.epochs = match LeaderEpochCache::parse(&bytes) {
            Err(newer) if newer.kind() == ErrorKind::UnsupportedVersion => {
                return Err(newer.located(&directory.path().join(epoch_cache::FILE), 0));
            }
            parsed => parsed.unwrap_or_else(|_| LeaderEpochCache::new()),
        };
        self.epochs_dirty |= self.epochs.truncate_from_end(end);
        self.epochs_dirty |= self.epochs.truncate_from_start(start);
        Ok(())
    }

    /// Replays a whole segment that ends at `end`, headers only, up to damage.
    pub(super) fn segment(&mut self, segment: &Segment, end: Offset) -> Result<()> {
        self.segment_aborts(segment, end, |_| Ok(()))
    }

    /// The same; `take` is told of each transaction that is aborted there.
    fn segment_aborts(
        &mut self,
        segment: &Segment,
        end: Offset,
        mut take: impl FnMut(AbortedTransaction) -> Result<()>,
    ) -> Result<()> {
        if end <= self.from {
            return Ok(());
        }
        let start = |look: &mut Look| segment.locate(look, self.from.max(segment.base_offset()), true);
        let (mut look, mut position) = match segment.look().and_then(|mut look| Ok((start(&mut look)?, look))) {
            Ok((Some((position, _)), look)) => (look, position),
            Ok((None, _)) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Corruption => return Ok(()),
            Err(error) => return Err(error),
        };
        loop {
            match next_in(&mut look, position) {
                Next::Batch(header) if header.last_offset() < end => {
                    if let Some(aborted) = self.batch(&header, batch_in(&mut look, position, &header)?) {
                        take(aborted)?;
                    }
                    position += header.size();
                }
                Next::Broken(error) if !is_damage(&error) => return Err(error),
                _ => return Ok(()),
            }
        }
    }

    /// The producers' state as a file, as of `offset`, behind the last batch taken.
    pub(super) fn snapshot_at(&mut self, offset: Offset) -> Vec<u8> {
        self.producers.advance(offset);
        producer_snapshot::encode(self.producers.producers())
    }

    /// Ends at `offset`, behind the last batch taken: epochs that begin there or later never came to be.
    pub(super) fn end_at(&mut self, offset: Offset) {
        self.producers.advance(offset);
        self.epochs_dirty |= self.epochs.truncate_from_end(offset);
    }

    /// Takes the next batch. Answers the transaction that it aborts, if it is such a marker.
    ///
    /// What the batch says is taken as it is: whoever appended it has checked it. A marker that cannot be understood
    /// counts as none.
    pub(super) fn batch(&mut self, header: &BatchHeader, bytes: &[u8]) -> Option<AbortedTransaction> {
        // Epochs of records that a cut removed: their file is written by the next sync.
        self.epochs_dirty |= self.epochs.disprove(header.leader_epoch, header.base_offset);
        let newer = self.epochs.latest().is_none_or(|latest| header.leader_epoch > latest.epoch);
        if newer && header.leader_epoch >= LeaderEpoch::ZERO {
            self.epochs_dirty |= self.epochs.assign(header.leader_epoch, header.base_offset);
        }
        if header.base_offset < self.from {
            return None;
        }
        let marker = Marker::read(&RecordBatch::trusted(*header, bytes)).ok().flatten();
        let completed = self.producers.apply(header, marker)?;
        (completed.result == TransactionResult::Abort).then_some(completed.transaction)
    }
}

/// The transactions that markers in the last of `segments` aborted, which ends at `end`, as the batches tell: the
/// transaction index made anew.
pub(super) fn aborted(
    directory: &dyn Directory,
    snapshots: &[Offset],
    segments: &[Arc<Segment>],
    end: Offset,
) -> Result<TransactionIndex> {
    let index = TransactionIndex::new();
    let Some((last, before)) = segments.split_last() else { return Ok(index) };
    // Whoever has expired since had not when the marker came.
    let first = before.first().unwrap_or(last).base_offset();
    let mut replay = Replay::start(directory, snapshots, &(first..=last.base_offset()), Timestamp::from_millis(0))?;
    for (place, segment) in before.iter().enumerate() {
        replay.segment(segment, segments[place + 1].base_offset())?;
    }
    replay.segment_aborts(last, end, |aborted| index.push(aborted))?;
    Ok(index)
}

/// Whether a transaction index is to be made anew, and not the log to be given up.
pub(super) fn is_bad_index(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corruption | ErrorKind::UnsupportedVersion)
}

/// A side file that says nothing is made anew.
fn unusable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corruption)
}
