//! Why a command ends before its work is done, and what the process tells its caller about it.

use std::fmt;
use std::io::{self, Write as _};

use riverbed::{Error, ErrorKind};

use crate::interrupt;

/// What is printed last on standard error, as `kind: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A line or an argument that is not understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Why a command stops.
#[derive(Debug)]
pub enum Stop {
    /// It failed.
    Failed(Failure),
    /// Whoever read standard output has seen enough.
    ClosedPipe,
    /// The user interrupted it.
    Interrupted,
}

impl Stop {
    /// The exit status that belongs to it.
    pub fn status(&self) -> u8 {
        match self {
            Self::Failed(Failure { kind: ErrorKind::Usage, .. }) => 2,
            Self::Failed(_) => 1,
            Self::ClosedPipe => 0,
            Self::Interrupted => interrupt::STATUS,
        }
    }

    /// What a failed write to standard output means.
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            io::ErrorKind::StorageFull => {
                Failure::new(ErrorKind::StorageFull, format!("could not write the output: {error}")).into()
            }
            _ => Failure::new(ErrorKind::Io, format!("could not write the output: {error}")).into(),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

/// What commands return.
pub type Outcome<T = ()> = Result<T, Stop>;

/// Prints a failure on standard error. That may be closed, which is nobody's concern.
pub fn complain(failure: &Failure) {
    let _unheard = writeln!(io::stderr(), "{failure}");
}
