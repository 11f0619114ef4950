//! riverbed: an embeddable, durable event log in Apache Kafka's own on-disk format.
//!
//! A [`Store`] is a directory with many [`Topic`]s, each of one or more [`Partition`]s. A partition is a log: records are
//! appended to its end in batches, get an [`Offset`], and are read from any offset on.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! use riverbed::{DecompressionLimits, FetchLimit, Offset, ReadUpTo, Record, Store, Timestamp, TopicConfig};
//!
//! let store = Store::open(dir.path().join("data"))?; // the one writer of this directory
//! let orders = store.create_topic("orders", TopicConfig::default().partitions(2))?;
//! let partition = orders.partition(0)?;
//!
//! // Append: when this returns, the record survives the process.
//! let appended = partition.append_record(&Record::new().key("customer-7").value("two apples"))?;
//! // Wait: from here on it survives a power cut.
//! partition.wait_durable(appended.offsets.end().next())?;
//!
//! // Read: whole batches, slices of the mapped file.
//! let limit = FetchLimit::bytes(1 << 20).up_to(ReadUpTo::Durable);
//! let fetched = partition.fetch(Offset::ZERO, limit)?;
//! for batch in fetched.batches() {
//!     for record in batch.payload(&DecompressionLimits::default())?.records() {
//!         assert_eq!(record?.value(), Some(&b"two apples"[..]));
//!     }
//! }
//!
//! // Search by time, and see what opening the directory had to cut or found damaged.
//! assert!(partition.offset_for_time(Timestamp::from_millis(0), ReadUpTo::Written)?.is_some());
//! assert!(store.recovery().is_empty());
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | To | see |
//! |---|---|
//! | append batches of one's own making, idempotently or in transactions | [`BatchBuilder`], [`Partition::append`] |
//! | wait, blocking or in a future | [`Partition::wait_durable`], [`Partition::durable`], [`Acks`] |
//! | choose how far a reader sees | [`ReadUpTo`], [`Isolation`], [`FetchLimit`] |
//! | follow a log while it grows, here or from another process | [`Partition::wait_readable`], [`Store::open_read_only`] |
//! | build a broker | [`Partition::open`], [`Fetched::file_range`], [`Segment`], [`Replica`], [`LogWriter`] |
//! | test log semantics and crashes | feature `sim` |
//!
//! Features: `gzip`, `snappy`, `lz4`, `zstd` (codecs) and `cli` (the `riverbed` program) are on by default; a library
//! that embeds riverbed wants `default-features = false` and the codecs it needs. `sim` adds the simulated disk,
//! `tracing` a span for each long step.

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
mod compaction;
mod error;
mod io;
mod log;
mod partition;
mod record;
mod segment;
mod span;
mod store;
mod sync;
#[cfg(any(test, feature = "fuzzing"))]
mod tests;
mod types;

pub use clock::{Clock, ManualClock, SystemClock};
pub use compaction::{Cleanable, Compacted};
pub use error::{Corruption, CorruptionReason, Error, ErrorKind, InvalidRecordReason, Result};
pub use io::{BudgetStats, Directory, Entry, EntryKind, FileRange, Region, View, Way, guard_against_sigbus};
pub use log::{
    AppendOrigin, Appended, CleanupPolicy, CutReason, DeletedRecords, DueSegment, FetchLimit, Fetched, FlushPolicy,
    HighWatermark, Log, LogConfig, Marks, OffsetTimestamp, ProducerInfo, Recovery, Removed, RetentionReason,
    SegmentInfo, TopicCompression, VerificationGuard,
};
pub use partition::{
    AppendRefused, BoxFuture, Hold, LogWriter, NodeId, Partition, PartitionOptions, Replica, ReplicaRole, ReplicaState,
    Replication,
};
pub use record::{
    Attributes, BatchBuilder, BatchHeader, Batches, Compression, ControlRecord, Data, DecompressionLimits, EndMarker,
    Header, HeaderView, HeaderViews, IntoData, Payload, Record, RecordBatch, RecordView, Records, TransactionResult,
    crc32, crc32c,
};
pub use segment::{AbortedTransaction, Segment};
pub use store::{Backup, PartitionStats, Removal, Store, StoreConfig, StoreStats, Topic, TopicConfig, WorkerStats};
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

/// What fuzzing feeds with bytes: for the targets in `fuzz/`, not for users.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing {
    pub use crate::tests::fuzz::*;
}

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
