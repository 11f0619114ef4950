//! What is fuzzed: functions that take any bytes and say what is wrong with what the crate made of them.
//!
//! A panic is wrong too, and so is an allocation beyond a cap, which `scripts/fuzz` sets. The files of
//! `fuzz/fuzz_targets` call these functions, a test runs each on its corpus in `fuzz/corpus` and on mutations of it.

mod batch;
mod codec;
mod directory;
mod input;
mod names_and_configs;
mod operations;
#[cfg(test)]
mod replay;
mod round_trip;
mod side_files;
mod varint;

pub use batch::batch;
pub use codec::codec;
pub use directory::directory;
pub use names_and_configs::names_and_configs;
pub use operations::operations;
pub use round_trip::round_trip;
pub use side_files::side_files;
pub use varint::varint;

use super::crash::check::{Checked, ensure, works};

/// A function that takes any bytes.
pub type Target = fn(&[u8]) -> Result<(), String>;

/// All of them, by the names of their corpora.
pub const TARGETS: [(&str, Target); 8] = [
    ("batch", batch),
    ("codec", codec),
    ("directory", directory),
    ("names_and_configs", names_and_configs),
    ("operations", operations),
    ("round_trip", round_trip),
    ("side_files", side_files),
    ("varint", varint),
];
