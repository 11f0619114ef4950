//! The seam for replication: a node, and one partition's replica on it.
//!
//! Whoever implements these decides who may write and when a record counts as committed. Reads never pass through: they
//! ask the log. A replica gets a [`LogWriter`], and shows others no more of it than the [`Log`] inside.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::log::{Appended, Log};
use crate::partition::LogWriter;
use crate::sync::Arc;
use crate::types::{Acks, LeaderEpoch, Offset, TopicPartition};

/// A future that owns what it needs for as long as `'a`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How partitions are kept the same on several nodes: one node's part in it.
pub trait Replication: Send + Sync + 'static {
    /// Takes on a partition, whose log from now on only the returned replica writes.
    fn open(&self, id: TopicPartition, log: LogWriter) -> BoxFuture<'_, Result<Arc<dyn Replica>>>;

    /// Takes a message that another node's transport delivered, and answers it.
    fn handle(&self, from: NodeId, message: Bytes) -> BoxFuture<'_, Result<Vec<Bytes>>>;

    /// Gives a partition up.
    fn remove<'a>(&'a self, id: &'a TopicPartition) -> BoxFuture<'a, Result<()>>;
}

/// One partition's replica on this node: the only writer of its log.
pub trait Replica: Send + Sync + 'static {
    /// The log, for reads.
    fn log(&self) -> &Log;

    /// Role, epoch and marks as of now.
    fn state(&self) -> ReplicaState;

    /// Appends a batch, if this node leads, and waits for `acks`.
    fn append(&self, batch: Bytes, acks: Acks) -> BoxFuture<'_, Result<Appended, AppendRefused>>;

    /// The offset up to which a reader sees everything that was committed before the call.
    fn read_barrier(&self) -> BoxFuture<'_, Result<Offset>>;

    /// Lets go of records below `to`, as far as the others do not need them. Returns the new log start.
    fn trim(&self, to: Offset) -> BoxFuture<'_, Result<Offset>>;

    /// Hands leadership to another node.
    fn transfer(&self, to: Option<NodeId>) -> BoxFuture<'_, Result<()>>;

    /// Stops, with everything written that was acknowledged.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// What a replica is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaState {
    /// Leader or not.
    pub role: ReplicaRole,
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The high watermark.
    pub high_watermark: Offset,
}

impl ReplicaState {
    /// A state of these parts.
    #[must_use]
    pub fn new(role: ReplicaRole, epoch: LeaderEpoch, high_watermark: Offset) -> Self {
        Self { role, epoch, high_watermark }
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaRole {
    /// This node.
    Leader,
    /// Another one, if it is known which.
    Follower {
        /// The leader.
        leader: Option<NodeId>,
    },
    /// Another one; this node only learns.
    Learner {
        /// The leader.
        leader: Option<NodeId>,
    },
}

/// Why a replica did not append.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendRefused {
    /// Another node leads.
    #[error("this node does not lead")]
    NotLeader {
        /// The leader, if it is known.
        leader: Option<NodeId>,
    },
    /// Too few replicas are in sync.
    #[error("too few replicas are in sync")]
    NotEnoughReplicas,
    /// It may or may not have happened.
    #[error("whether the batch was appended is unknown")]
    Unknown,
    /// The log refused it.
    #[error(transparent)]
    Log(#[from] Error),
}

impl From<AppendRefused> for Error {
    fn from(refused: AppendRefused) -> Self {
        let kind = match &refused {
            AppendRefused::NotLeader { .. } => ErrorKind::NotLeader,
            AppendRefused::NotEnoughReplicas => ErrorKind::NotEnoughReplicas,
            AppendRefused::Unknown => ErrorKind::Unknown,
            AppendRefused::Log(error) => return error.clone(),
        };
        Self::new(kind, refused.to_string())
    }
}
