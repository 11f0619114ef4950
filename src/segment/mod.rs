//! Search: a bounded run of batches, the files it is kept in, and the indexes that find a place in it.

pub(crate) mod file_name;
pub(crate) mod memory_index;
pub(crate) mod offset_index;
mod series;
pub(crate) mod time_index;
pub(crate) mod transaction_index;

mod active;
mod cut;
pub(crate) mod indexes;
mod newest;
mod scan;
mod search;
#[expect(clippy::module_inception, reason = "the segment is what the module is named for")]
mod segment;
mod verified;
pub(crate) mod walk;

pub(crate) use active::{ActiveSegment, NewSegment, remove_unused};
pub(crate) use search::{Fetch, Timed};
pub use segment::Segment;
pub(crate) use segment::SegmentParts;
pub use transaction_index::AbortedTransaction;
