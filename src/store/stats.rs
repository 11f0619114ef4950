//! Sizes and counts, as values: riverbed brings no metrics crate along.

use crate::compaction::{Cleanable, Compacted};
use crate::error::{Error, Result};
use crate::io::BudgetStats;
use crate::log::{Marks, Removed};
use crate::partition::Partition;
use crate::store::inner::Inner;
use crate::store::maintenance::WorkerStats;
use crate::types::{Offset, TopicPartition};

/// A store's numbers, as of one look.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreStats {
    /// By topic and number.
    pub partitions: Vec<PartitionStats>,
    /// Those that are here and could not be opened, with what opening them answered.
    pub not_open: Vec<(TopicPartition, Error)>,
    /// Bytes of all topics that are written and not yet synced.
    pub unsynced_bytes: u64,
    /// Bytes of files that are deleted, and whose space comes back once nobody holds a slice of them: see
    /// [`Partition::doomed_bytes`]. Those of deleted topics count too.
    pub doomed_bytes: u64,
    /// What the worker for retention has done; nothing on a store without
    /// [`StoreConfig::maintenance`](crate::StoreConfig::maintenance).
    pub retention: WorkerStats,
    /// The same of the worker for compaction.
    pub compaction: WorkerStats,
    /// Descriptors and maps in use.
    pub budget: BudgetStats,
}

/// A partition's numbers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionStats {
    /// Which one.
    pub partition: TopicPartition,
    /// How many segments it has.
    pub segments: usize,
    /// Bytes of its log files. Where a cut left a file longer than its segment, this counts the rest too, until a clean
    /// close.
    pub bytes: u64,
    /// Bytes of its deleted files that readers hold: see [`Partition::doomed_bytes`].
    pub doomed_bytes: u64,
    /// What retention and [`Partition::delete_records`] have removed since the partition was opened.
    pub removed: Removed,
    /// What can be compacted now, and [how dirty](Cleanable::dirty_ratio) the log is. `None` on a topic that is not
    /// compacted.
    pub cleanable: Option<Cleanable>,
    /// What compaction has done since the partition was opened.
    pub compacted: Compacted,
    /// Why it is not compacted until it is opened again: a segment is damaged.
    pub uncleanable: Option<Error>,
    /// The first offset that can be read.
    pub log_start: Offset,
    /// The marks.
    pub marks: Marks,
    /// Producers that are known. `None` while nothing needed them since the partition was opened.
    pub producers: Option<usize>,
    /// Open transactions nothing was heard of for 20 minutes, which is 5 more than any may take: readers of committed
    /// records do not get past one whose coordinator forgot it. Judged by the records' times.
    pub late_transactions: usize,
}

impl Inner {
    pub(super) fn stats(&self) -> Result<StoreStats> {
        self.check_open()?;
        let partitions = self.partitions().iter().map(PartitionStats::of).collect();
        let not_open = self.not_open();
        Ok(StoreStats {
            partitions,
            not_open,
            unsynced_bytes: self.unsynced_bytes(),
            doomed_bytes: self.directory.doomed_bytes(),
            retention: self.retention.stats(),
            compaction: self.compaction.stats(),
            budget: self.budget.stats(),
        })
    }
}

impl PartitionStats {
    fn of(partition: &Partition) -> Self {
        let segments = partition.segments();
        let (log_start, marks) = partition.offsets();
        // A partition whose files cannot be read has nothing to count; whoever appends or reads is told.
        let counts = partition.log().producer_counts().unwrap_or_default();
        Self {
            partition: partition.id().clone(),
            segments: segments.len(),
            bytes: segments.iter().map(|segment| segment.size()).sum(),
            doomed_bytes: partition.doomed_bytes(),
            removed: partition.log().removed(),
            cleanable: partition.is_compacted().then(|| partition.cleanable().ok()).flatten(),
            compacted: partition.compacted(),
            uncleanable: partition.log().refuses_cleaning().cloned(),
            log_start,
            marks,
            producers: counts.known,
            late_transactions: counts.late,
        }
    }
}
