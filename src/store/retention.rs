//! Retention of all partitions: in the background, or when somebody asks for it.

use std::fmt;

use crate::error::{ErrorKind, Result};
use crate::log::{DueSegment, Removed};
use crate::partition::{Hold, Partition};
use crate::segment::Segment;
use crate::store::inner::Inner;
use crate::store::maintenance::{Care, Turn};
use crate::sync::Arc;
use crate::types::TopicPartition;

/// How many segments a partition loses before it is the next one's turn.
const A_TURN: usize = 8;

/// A segment that retention is about to remove: what [`StoreConfig::before_removal`](crate::StoreConfig::before_removal)
/// is told.
#[derive(Debug)]
pub struct Removal<'a> {
    partition: &'a Partition,
    segment: &'a Arc<Segment>,
    due: DueSegment,
}

impl Removal<'_> {
    /// Of which partition.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        self.partition
    }

    /// The segment. Whoever keeps it, or a slice of it, can read it after it is removed; its space comes back then.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        self.segment
    }

    /// Where it begins and ends, its bytes, and why it goes.
    #[must_use]
    pub fn due(&self) -> DueSegment {
        self.due
    }

    /// Keeps it, and all behind it, until the answer is dropped or moved forward; then the worker is woken.
    ///
    /// # Errors
    /// As of [`Partition::hold`].
    pub fn hold(&self) -> Result<Hold> {
        self.partition.hold(self.due.base_offset.max(self.partition.log().log_start()))
    }
}

/// The host's function that is told before a segment goes.
pub(super) type Told = dyn Fn(&Removal<'_>) + Send + Sync;

/// Who is told before a segment goes.
#[derive(Clone, Default)]
pub(super) struct BeforeRemoval(pub(super) Option<Arc<Told>>);

impl fmt::Debug for BeforeRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a function" } else { "nobody" })
    }
}

/// Retention, for a worker: partitions in their order, some segments a turn.
pub(super) const RETENTION: Care = Care {
    name: "riverbed-retain",
    choose: |_, partitions| partitions,
    tend: |store, partition| {
        let (_, more) = store.retain_some(partition)?;
        Ok(if more { Turn::Again } else { Turn::Done })
    },
};

impl Inner {
    fn retain_some(&self, partition: &Partition) -> Result<(Removed, bool)> {
        partition.retain_some(A_TURN, |due, segment| {
            if let Some(told) = &self.config.before_removal.0 {
                told(&Removal { partition, segment, due: *due });
            }
        })
    }

    /// Removes all that is due, on the calling thread, whatever single partitions answer. The first failure is the
    /// answer.
    pub(super) fn retain(&self) -> Result<Removed> {
        self.check_writable()?;
        let (mut all, mut first_error) = (Removed::default(), None);
        for partition in self.partitions() {
            loop {
                self.check_open()?;
                match self.retain_some(&partition) {
                    Ok((removed, more)) => {
                        all.add(removed);
                        if more {
                            continue;
                        }
                    }
                    // Deleted meanwhile.
                    Err(error) if error.kind() == ErrorKind::UnknownTopic => {}
                    Err(error) => first_error = first_error.or(Some(error)),
                }
                break;
            }
        }
        first_error.map_or(Ok(all), Err)
    }

    /// What retention would remove now, of partitions where that is something.
    pub(super) fn due_segments(&self) -> Result<Vec<(TopicPartition, Vec<DueSegment>)>> {
        self.check_open()?;
        let due = |partition: Partition| Ok((partition.id().clone(), partition.due_segments()?));
        let all: Vec<_> = self.partitions().into_iter().map(due).collect::<Result<_>>()?;
        Ok(all.into_iter().filter(|(_, due)| !due.is_empty()).collect())
    }
}
