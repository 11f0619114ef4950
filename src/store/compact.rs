//! Compacting all topics of a store that are to be, on the caller's word.

use crate::compaction::{Cleanable, Compacted};
use crate::error::Result;
use crate::partition::Partition;
use crate::store::inner::Inner;
use crate::types::TopicPartition;

impl Inner {
    /// One after the other, whatever the others answer.
    pub(super) fn compact(&self) -> Result<Compacted> {
        self.check_writable()?;
        let (mut total, mut first_error) = (Compacted::default(), None);
        for partition in self.compacted() {
            match partition.compact() {
                Ok(done) => total = total.plus(done),
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
        partitions.retain(|partition| partition.log().config().cleanup_policy.compact);
        partitions
    }
}
