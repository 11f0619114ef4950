//! riverbed: an embeddable, durable event log in Apache Kafka's own on-disk format.

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::let_underscore_must_use,
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::print_stdout,
        clippy::print_stderr,
        clippy::too_many_lines,
        reason = "tests choose their numbers, and may wait"
    )
)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("riverbed needs 64-bit Linux: its promises rest on what that kernel does with maps, room and syncs");

mod clock;
mod error;
mod io;
mod log;
mod partition;
mod record;
mod segment;
mod span;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod types;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Corruption, CorruptionReason, Error, ErrorKind, InvalidRecordReason, Result};
pub use io::{BudgetStats, Directory, Entry, EntryKind, FileRange, Region, View, Way, guard_against_sigbus};
pub use log::{
    AppendOrigin, Appended, CleanupPolicy, CutReason, DeletedRecords, FetchLimit, Fetched, FlushPolicy, HighWatermark,
    Log, LogConfig, Marks, OffsetTimestamp, ProducerInfo, Recovery, SegmentInfo, TopicCompression, VerificationGuard,
};
pub use partition::{
    AppendRefused, BoxFuture, NodeId, Partition, PartitionOptions, Replica, ReplicaRole, ReplicaState, Replication,
};
pub use record::{
    Attributes, BatchBuilder, BatchHeader, Batches, Compression, ControlRecord, Data, DecompressionLimits, EndMarker,
    Header, HeaderView, HeaderViews, IntoData, Payload, Record, RecordBatch, RecordView, Records, TransactionResult,
    crc32, crc32c,
};
pub use segment::{AbortedTransaction, Segment};
pub use store::{PartitionStats, Store, StoreConfig, StoreStats, Topic, TopicConfig};
pub use types::{
    Acks, Isolation, LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, ReadUpTo, Sequence, Timestamp,
    TimestampType, TopicId, TopicName, TopicPartition,
};

/// The simulated disk, for tests of log semantics and of crashes.
#[cfg(any(test, feature = "sim"))]
pub mod sim {
    pub use crate::io::sim::{
        Call, CrashMode, ExhaustiveStates, Failure, Fault, History, Left, PowerCut, Random, Replay, SectorSize,
        SimDirectory, SimDisk, SimRegion,
    };
}

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
