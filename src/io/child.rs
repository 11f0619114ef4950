//! Tests that need a process of their own: they run this test binary again, for just themselves.

use std::env;
use std::process::{Command, Output};

const MARK: &str = "RIVERBED_TEST_CHILD";

/// How to run the test `name`, its path in the crate, in a child process. `None` in the child.
pub(crate) fn command(name: &str) -> Option<Command> {
    if env::var_os(MARK).is_some() {
        return None;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(MARK, "1");
    Some(command)
}

/// Runs the test `name` in a child process. `None` in the child.
pub(crate) fn run(name: &str) -> Option<Output> {
    Some(command(name)?.output().unwrap())
}

/// The same, and the child must succeed. True in the parent, whose work is done then.
pub(crate) fn succeeds(name: &str) -> bool {
    let Some(output) = run(name) else { return false };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("1 passed"), "no test of the name {name}: {text}");
    true
}

/// Forks, runs `in_child` in the child, and answers the child's exit status. A child that hangs is ended by a signal.
#[expect(unsafe_code, reason = "forks")]
pub(crate) fn forked(in_child: impl FnOnce() -> bool) -> i32 {
    super::fork::watch();
    // SAFETY: this process runs one test, so no other thread of it holds a lock that the child needs.
    match unsafe { libc::fork() } {
        // SAFETY: ends the child at once, without running anything of the parent's.
        0 => unsafe {
            libc::alarm(20);
            libc::_exit(if in_child() { 0 } else { 1 })
        },
        child => {
            let mut status = 0;
            // SAFETY: `status` is a place for the answer, `child` is ours.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            status
        }
    }
}
