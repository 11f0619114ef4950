//! After a failed write or sync nothing more is written until the partition is reopened (P4).

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicBool, Mutex, Ordering};

/// Trips at the first failed sync, or failed write into allocated space: what the disk holds then is unknown.
#[derive(Debug, Default)]
pub(crate) struct FailureLatch {
    tripped: AtomicBool,
    first: Mutex<Option<Error>>,
}

impl FailureLatch {
    /// Passes until the latch has tripped.
    ///
    /// # Errors
    /// [`ErrorKind::PreviousFailure`], with the first failure's text.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.tripped.load(Ordering::Acquire) { Err(self.previous()) } else { Ok(()) }
    }

    #[cold]
    fn previous(&self) -> Error {
        let first = self.first.lock().as_ref().map_or_else(|| "a write was interrupted".to_owned(), Error::to_string);
        Error::new(ErrorKind::PreviousFailure, format!("no writes until the partition is reopened: {first}"))
    }

    /// What it tripped for, if that is known.
    pub(crate) fn first(&self) -> Option<Error> {
        self.first.lock().clone()
    }

    /// Trips for `error`, and hands it back. Only the first one is kept.
    pub(crate) fn trip(&self, error: Error) -> Error {
        self.first.lock().get_or_insert_with(|| error.clone());
        self.tripped.store(true, Ordering::Release);
        error
    }

    /// Trips for `error`, unless all it says is that the disk is full or no descriptor free, and hands it back.
    pub(crate) fn trip_unless_full(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::StorageFull || error.is_passing() { error } else { self.trip(error) }
    }

    /// Begins a step that must be finished: an early return or a panic in it trips the latch, as locks do not poison.
    #[inline]
    pub(crate) fn begin(&self) -> Result<Step<'_>> {
        self.check()?;
        Ok(Step { latch: self, done: false })
    }
}

/// A write under way.
#[must_use]
pub(crate) struct Step<'a> {
    latch: &'a FailureLatch,
    done: bool,
}

impl Step<'_> {
    /// The step is whole, or nothing of it happened.
    #[inline]
    pub(crate) fn done(mut self) {
        self.done = true;
    }

    /// The step failed: trips the latch for `error`.
    pub(crate) fn failed(mut self, error: Error) -> Error {
        self.done = true;
        self.latch.trip(error)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.latch.tripped.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays_the_answer() {
        let latch = FailureLatch::default();
        latch.begin().unwrap().done();
        latch.trip(Error::new(ErrorKind::Io, "the disk is gone"));
        latch.trip(Error::new(ErrorKind::Io, "still gone"));
        let error = latch.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreviousFailure);
        assert_eq!(error.to_string(), "no writes until the partition is reopened: the disk is gone");
    }

    #[test]
    fn a_step_left_early_trips() {
        let latch = FailureLatch::default();
        drop(latch.begin().unwrap());
        assert_eq!(latch.begin().err().map(|error| error.kind()), Some(ErrorKind::PreviousFailure));
    }
}
