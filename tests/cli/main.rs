//! The real program, driven as people and scripts drive it: its output, its exit status, what it leaves on disk.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set up its directory fails")]
#![allow(clippy::disallowed_methods, reason = "the program runs beside the tests, which wait for it")]

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod compact;
mod consume;
mod damage;
mod dump;
mod golden;
mod produce;
mod program;
mod retain;
mod shell;
mod shell_log;
mod topic;
