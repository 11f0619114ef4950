//! Calls that are to fail.

use std::io;

use crate::sync::Arc;

/// A kind of call on a directory or file, to say which one is to fail.
///
/// Replacing a file is a [`Call::Replace`] and then the calls that it is made of, so that each of them can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Call {
    /// Creating a file.
    Create,
    /// Opening a file, to append or to read.
    Open,
    /// Reading a small file whole.
    Read,
    /// Listing a directory.
    List,
    /// Allocating room, ahead or with zeros.
    Reserve,
    /// Appending, or writing a small file whole.
    Append,
    /// Syncing a file.
    Sync,
    /// Syncing a directory.
    SyncDirectory,
    /// Cutting a file to what is published.
    Truncate,
    /// Renaming a file or directory.
    Rename,
    /// Removing a file's name.
    Unlink,
    /// Replacing a small file, durably or not.
    Replace,
    /// Creating a directory.
    CreateDirectory,
    /// Removing a directory.
    RemoveDirectory,
    /// Taking the writer's lock, or keeping the power's identity.
    Lock,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// No room: `ENOSPC`.
    Full,
    /// The device refused: `EIO`.
    Device,
    /// No descriptor left: `EMFILE`.
    Descriptors,
}

impl Failure {
    pub(super) fn error(self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Failure::Full => libc::ENOSPC,
            Failure::Device => libc::EIO,
            Failure::Descriptors => libc::EMFILE,
        })
    }
}

/// A plan for one or more calls to fail.
#[derive(Clone, Debug)]
pub struct Fault {
    call: Option<Call>,
    name_ends: Option<Arc<str>>,
    skip: u64,
    times: u64,
    failure: Failure,
}

impl Fault {
    /// The next call of this kind fails.
    #[must_use]
    pub fn next(call: Call, failure: Failure) -> Self {
        Self { call: Some(call), name_ends: None, skip: 0, times: 1, failure }
    }

    /// The next call of any kind fails.
    #[must_use]
    pub fn next_of_any_kind(failure: Failure) -> Self {
        Self { call: None, name_ends: None, skip: 0, times: 1, failure }
    }

    /// So many calls succeed before.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// Not one but so many calls fail, one after the other.
    #[must_use]
    pub fn times(mut self, calls: u64) -> Self {
        self.times = calls;
        self
    }

    /// Only calls on files and directories whose name ends so count.
    #[must_use]
    pub fn on(mut self, name_ends: &str) -> Self {
        self.name_ends = Some(name_ends.into());
        self
    }

    fn concerns(&self, call: Call, name: &str) -> bool {
        self.call.is_none_or(|kind| kind == call) && self.name_ends.as_deref().is_none_or(|end| name.ends_with(end))
    }
}

/// The plans, and how many calls there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    plans: Vec<Fault>,
    paused: bool,
    calls: Vec<(Call, u64)>,
}

impl Faults {
    pub(super) fn plan(&mut self, fault: Fault) {
        self.plans.push(fault);
    }

    pub(super) fn forget(&mut self) {
        self.plans.clear();
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(super) fn calls(&self, call: Option<Call>) -> u64 {
        let counted = self.calls.iter().filter(|(kind, _)| call.is_none_or(|call| call == *kind));
        counted.map(|(_, count)| count).sum()
    }

    /// Counts a call, and says whether it fails.
    pub(super) fn call(&mut self, call: Call, name: &str) -> Option<Failure> {
        if self.paused {
            return None;
        }
        match self.calls.iter_mut().find(|(kind, _)| *kind == call) {
            Some((_, count)) => *count += 1,
            None => self.calls.push((call, 1)),
        }
        let mut failure = None;
        for plan in self.plans.iter_mut().filter(|plan| plan.concerns(call, name)) {
            if plan.skip > 0 {
                plan.skip -= 1;
            } else if plan.times > 0 && failure.is_none() {
                plan.times -= 1;
                failure = Some(plan.failure);
            }
        }
        failure
    }
}
