//! Tests of the whole crate on the simulated disk, and what fuzzing feeds with bytes.

#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "fuzzing needs a part of it"))]
mod crash;
#[cfg_attr(
    not(test),
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "tests may, and fuzzing runs a part of them"
    )
)]
pub mod fuzz;
#[cfg(test)]
mod model;
