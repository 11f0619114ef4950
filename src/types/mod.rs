//! The vocabulary: a type for every coordinate, valid by construction. No I/O, no locks.

mod acks;
mod epoch;
mod offset;
mod position;
mod producer;
mod timestamp;
mod topic;
mod visibility;

pub use acks::Acks;
pub use epoch::LeaderEpoch;
pub use offset::Offset;
pub(crate) use position::Position;
pub use producer::{ProducerEpoch, ProducerId, Sequence};
pub use timestamp::{Timestamp, TimestampType};
pub use topic::{PartitionId, TopicId, TopicName, TopicPartition};
pub use visibility::{Isolation, ReadUpTo};
