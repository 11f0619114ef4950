//! Compacting all topics of a store that are to be: in the background, or when somebody asks for it.

use crate::compaction::{Cleanable, Cleaner, Compacted};
use crate::error::{ErrorKind, Result};
use crate::partition::Partition;
use crate::store::inner::Inner;
use crate::store::maintenance::{Care, Turn};
use crate::types::TopicPartition;

/// Compaction, for a worker: the filthiest first, as much a turn as there is room for keys.
pub(super) const COMPACTION: Care = Care {
    name: "riverbed-compact",
    choose: |chore, mut partitions| {
        partitions.retain(Partition::is_compacted);
        Cleaner::due(partitions, |partition| partition.log(), |error| chore.note(error))
    },
    tend: |_, partition| Ok(if partition.compact_some()? { Turn::Again } else { Turn::Done }),
};

impl Inner {
    /// One after the other, whatever the others answer.
    pub(super) fn compact(&self) -> Result<Compacted> {
        self.check_writable()?;
        let (mut total, mut first_error) = (Compacted::default(), None);
        for partition in self.compacted() {
            match partition.compact() {
                Ok(done) => total = total.plus(done),
                // Deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::UnknownTopic => {}
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        first_error.map_or(Ok(total), Err)
    }

    pub(super) fn cleanable(&self) -> Result<Vec<(TopicPartition, Cleanable)>> {
        self.check_open()?;
        let looked = |partition: &Partition| Ok((partition.id().clone(), partition.cleanable()?));
        self.compacted().iter().map(looked).collect()
    }

    /// The open partitions of compacted topics.
    fn compacted(&self) -> Vec<Partition> {
        let mut partitions = self.partitions();
        partitions.retain(Partition::is_compacted);
        partitions
    }
}
