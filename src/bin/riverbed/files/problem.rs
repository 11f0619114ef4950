//! Something that is wrong with a file.

use std::fmt;
use std::path::{Path, PathBuf};

use riverbed::{Error, ErrorKind};

use crate::failure::Failure;
use crate::json::Object;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    /// Where in the file, if it is about a part of it.
    pub position: Option<u64>,
    pub kind: ErrorKind,
    pub message: String,
}

impl Problem {
    /// Damage at byte `position`.
    pub fn damage(path: &Path, position: u64, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self { path, position: Some(position), kind: ErrorKind::Corruption, message }
    }

    /// What the library says of the bytes at `position`.
    pub fn error(path: &Path, position: u64, error: &Error) -> Self {
        let message = match error.corruption() {
            Some(corruption) => corruption.reason.to_string(),
            None => error.to_string(),
        };
        Self { path: path.to_owned(), position: Some(position), kind: error.kind(), message }
    }

    /// What the library answered when it opened `path`: about the damaged file in it, if it names one.
    pub fn opening(path: &Path, error: &Error) -> Self {
        match error.corruption() {
            Some(riverbed::Corruption { path: Some(path), position, .. }) => Self::error(path, *position, error),
            _ => Self::unreadable(path, error.clone().into()),
        }
    }

    /// What keeps a file from being read.
    pub fn unreadable(path: &Path, failure: Failure) -> Self {
        Self { path: path.to_owned(), position: None, kind: failure.kind, message: failure.message }
    }

    pub fn to_json(&self) -> Object {
        Object::new()
            .with("path", self.path.display().to_string())
            .with("position", self.position)
            .with("kind", self.kind.to_string())
            .with("message", &self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{} at byte {position}: {}", self.path.display(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(problem.kind, problem.to_string())
    }
}
