//! Tests of the whole crate on the simulated disk.

mod crash;
