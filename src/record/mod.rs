//! Bytes and their meaning: batches, records, codecs. Pure functions on slices.
//!
#![doc = include_str!("../../docs/format.md")]

mod batch;
mod batch_builder;
pub(crate) mod batch_header;
mod batch_walk;
pub(crate) mod checksum;
mod compression;
pub(crate) mod control;
mod encode;
pub(crate) mod framed;
mod payload;
#[expect(clippy::module_inception, reason = "the record is what the module is named for")]
mod record;
mod record_view;
mod stamp;
mod summary;
pub(crate) mod varint;
#[cfg(test)]
pub(crate) mod vectors;

pub use batch::RecordBatch;
pub use batch_builder::BatchBuilder;
pub(crate) use batch_builder::encode_single;
pub use batch_header::{Attributes, BatchHeader};
pub use batch_walk::Batches;
pub(crate) use batch_walk::{Next, next_batch};
pub use checksum::{crc32, crc32c};
pub use compression::Compression;
pub use control::{ControlRecord, EndMarker, TransactionResult};
pub(crate) use encode::empty_batch;
pub use payload::{DecompressionLimits, Payload, Records};
pub use record::{Data, Header, IntoData, Record};
pub use record_view::{HeaderView, HeaderViews, RecordView};
pub(crate) use stamp::{stamp, stamp_time};
