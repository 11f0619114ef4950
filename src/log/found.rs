//! What an opening found: the log's parts, and, for the user, what it did to them.

use std::path::Path;

use crate::error::{Corruption, CorruptionReason, Error};
use crate::log::checkpoint::CutSegment;
use crate::log::durability::Sealing;
use crate::log::follow::Following;
use crate::log::tail::Tail;
use crate::segment::Segment;
use crate::sync::Arc;
use crate::types::Offset;

/// What opening did to a partition, as a value: riverbed brings no logger along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Bytes cut off above the durable recovery point: what a crash left unfinished.
    pub cut_bytes: u64,
    /// Whole batches among them.
    pub cut_batches: u64,
    /// Why the first of them did not follow.
    pub reason: Option<CutReason>,
    /// Segments whose indexes were built anew.
    pub rebuilt_indexes: u64,
    /// Damage that was found and left as it is. Reads of these places answer the same.
    pub damage: Vec<Corruption>,
}

impl Recovery {
    /// Of a partition that could not be opened at all.
    pub(crate) fn of_unopened(path: &Path, error: &Error) -> Self {
        let reason = CorruptionReason::Layout(format!("the partition could not be opened: {error}"));
        let unopened = || Corruption { path: Some(path.to_owned()), position: 0, reason };
        let damage = error.corruption().cloned().unwrap_or_else(unopened);
        Self { damage: vec![damage], ..Self::default() }
    }
}

/// Why recovery cut a log at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CutReason(pub(crate) String);

/// A log as it was found: what an opening makes a log of.
pub(super) struct Found {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) durable: Offset,
    pub(super) last_stable: Option<Offset>,
    pub(super) tail: Option<Tail>,
    pub(super) following: Option<Following>,
    pub(super) unsealed: Vec<Sealing>,
    /// Where segments that were recovered end.
    pub(super) ends: Vec<CutSegment>,
    pub(super) damage: Option<Error>,
    /// Why nothing may be written until the log is opened again.
    pub(super) stopped: Option<Error>,
    pub(super) recovery: Recovery,
}

impl Found {
    /// A log of these segments with nothing else known.
    pub(super) fn new(segments: Vec<Arc<Segment>>, log_start: Offset, log_end: Offset) -> Self {
        Self {
            segments,
            log_start,
            log_end,
            durable: log_start,
            last_stable: None,
            tail: None,
            following: None,
            unsealed: Vec::new(),
            ends: Vec::new(),
            damage: None,
            stopped: None,
            recovery: Recovery::default(),
        }
    }
}
