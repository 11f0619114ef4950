//! What all commands share.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// What was said on the command line for any command.
#[derive(Debug)]
pub struct Context {
    pub dir: Option<PathBuf>,
    pub json: bool,
    pub interrupt: Interrupt,
}

impl Context {
    /// The data directory, which must have been given.
    pub fn dir(&self) -> Result<&Path, Failure> {
        self.dir.as_deref().ok_or_else(|| Failure::usage("the data directory is missing: --dir DIR"))
    }
}
