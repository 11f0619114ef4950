//! A thread in the background: named, woken rather than slept, joined when it is stopped.

use crate::error::{Error, Result};
use crate::sync::OnceLock;
use crate::sync::thread::{self, Builder, JoinHandle, ThreadId};

/// The life of a background thread.
#[derive(Debug)]
pub(super) struct Worker {
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread that runs `work`, which must return soon after it was told to.
    ///
    /// # Errors
    /// What starting a thread can answer.
    pub(super) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<Self> {
        let thread = Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| Error::io("start a thread for", std::path::Path::new(name), error))?;
        Ok(Self { thread: Some(thread) })
    }

    /// Waits until the thread has returned, which its work was told to do. Called by that thread itself, as happens when
    /// it drops the last handle of a store, it does not wait.
    pub(super) fn join(&mut self) {
        let own = thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != own) {
            // A panic of the work was reported by the thread; there is nothing to undo here.
            drop(thread.join());
        }
    }
}

/// Which thread a worker is, once it runs.
#[derive(Debug, Default)]
pub(super) struct ItsThread(OnceLock<ThreadId>);

impl ItsThread {
    /// Notes that the worker is the calling thread.
    pub(super) fn is_this(&self) {
        // Set once: a worker is started once.
        self.0.set(thread::current().id()).ok();
    }

    /// Whether the calling thread is the worker.
    pub(super) fn is_current(&self) -> bool {
        self.0.get() == Some(&thread::current().id())
    }
}
