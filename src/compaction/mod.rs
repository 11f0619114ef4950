//! Compaction keeps the last record of each key: its offset, order and contents stay, and what it superseded goes.

mod offset_map;
mod plan;

pub use plan::Cleanable;
