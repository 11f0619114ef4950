//! What is done to a log, with crashes and failing calls, against a plain model.

use super::Checked;
use crate::tests::crash::fuzzed::fuzzed;

/// What the bytes say is done to a log on the simulated disk, which keeps its promises.
///
/// # Errors
/// What is wrong.
pub fn operations(input: &[u8]) -> Checked {
    let mut bytes = input.iter().copied();
    fuzzed(&mut || bytes.next())
}
