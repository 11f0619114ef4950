//! What the tests of the public interface share.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its directory fails")]

pub mod child;
pub mod history;
pub mod partition;
pub mod random;
pub mod refused;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A data directory of a test: removed at the end, unless `RIVERBED_KEEP_DIRS` names a directory to keep it in.
///
/// What is kept is shown to Kafka's own tools (`scripts/kafka-oracle`), which accept only what was closed cleanly: a
/// store that died is reopened and closed first. A test that damages files for good takes [`TestDir::scratch`].
#[derive(Debug)]
pub struct TestDir {
    path: PathBuf,
    keep: bool,
}

impl TestDir {
    /// A new, empty directory. `name` is for people who look at what was kept: the test's name, say.
    pub fn new(name: &str) -> Self {
        Self::kept_in("RIVERBED_KEEP_DIRS", name)
    }

    /// One that is kept if the environment variable `variable` names a directory for it.
    pub fn kept_in(variable: &str, name: &str) -> Self {
        match std::env::var_os(variable) {
            Some(root) => Self { path: create(Path::new(&root), name), keep: true },
            None => Self::scratch(name),
        }
    }

    /// A directory that is never kept.
    pub fn scratch(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Self { path: create(root, name), keep: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn join(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.path.join(inside)
    }
}

impl AsRef<Path> for TestDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if !self.keep {
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}

fn create(root: &Path, name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = root.join(format!("{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The golden directory: what Kafka 4.3.1 wrote and answered.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.3.1")
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
