//! Notices a fork without a system call: handles that were made before it are closed in the child.
#![expect(unsafe_code, reason = "a fork handler, and what it closes")]

use std::os::fd::RawFd;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicI32, AtomicU64, OnceLock, Ordering};

/// How many lock descriptors of a process a child closes. Those beyond stay open in it until it ends.
const LOCKS: usize = 1024;
const FREE: RawFd = -1;

/// Raised in each forked child.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Descriptors of held locks. Only atomics, as the child may not take a lock that another thread held.
static HELD: [AtomicI32; LOCKS] = [const { AtomicI32::new(FREE) }; LOCKS];

/// How many forks lie between the first process and this one. A handle that remembers another number was made before
/// one of them, and belongs to the parent.
#[inline]
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// [`ErrorKind::Closed`] if a handle of generation `made` is a forked child's copy.
#[inline]
pub(crate) fn check(made: u64) -> Result<()> {
    if generation() == made { Ok(()) } else { Err(forked()) }
}

#[cold]
fn forked() -> Error {
    Error::new(ErrorKind::Closed, "the handle was opened before a fork and belongs to the parent process")
}

/// Sees to it that forks are noticed from now on.
pub(crate) fn watch() {
    static WATCHING: OnceLock<()> = OnceLock::new();
    WATCHING.get_or_init(|| {
        // SAFETY: the handler is a function that lives as long as the process and calls only what is allowed in a
        // forked child: loads and stores of atomics, and `close`.
        let answer = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        assert_eq!(answer, 0, "there is memory for a fork handler");
    });
}

/// Has `fd`, which holds a lock, closed in forked children: they share the lock with us otherwise, and keep it alive.
pub(super) fn close_in_children(fd: RawFd) {
    watch();
    for place in &HELD {
        if place.compare_exchange(FREE, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Forgets `fd`, before it is closed.
pub(super) fn forget(fd: RawFd) {
    for place in &HELD {
        if place.compare_exchange(fd, FREE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    for place in &HELD {
        let fd = place.swap(FREE, Ordering::Relaxed);
        if fd != FREE {
            // SAFETY: the descriptor is this process's copy of a lock's. Its owner in this process's memory is of an
            // older generation, and such an owner neither uses nor closes it (`OsLock::drop`).
            unsafe { libc::close(fd) };
        }
    }
}
