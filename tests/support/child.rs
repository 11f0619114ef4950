//! A test that runs itself again in a process of its own, where it may be killed, limited or without rights.

use std::path::Path;
use std::process::Command;

/// Tells the child from the test that started it, and what it is to do.
const WORK: &str = "RIVERBED_CHILD";

/// What this process is to do, if it is such a child.
pub fn work() -> Option<String> {
    std::env::var(WORK).ok()
}

/// The command that runs only `test` of this binary, as a child that is to do `work`. What the child prints begins
/// behind the harness's own words: in a line of its own if the child starts with an empty one.
pub fn command(test: &str, work: &str) -> Command {
    command_of(&std::env::current_exe().unwrap(), test, work)
}

/// The same, run from a copy of this binary.
pub fn command_of(binary: &Path, test: &str, work: &str) -> Command {
    let mut command = Command::new(binary);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(WORK, work);
    command
}
