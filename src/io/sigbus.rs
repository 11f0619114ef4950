//! The opt-in guard against `SIGBUS`: a page that cannot be had is replaced by zeros, and its file's latch trips.
#![expect(unsafe_code, reason = "a signal handler, and what it maps")]

use std::ptr;

use libc::{c_int, c_void, siginfo_t};

use super::state::RegionState;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, AtomicPtr, AtomicUsize, Mutex, OnceLock, Ordering};

/// As many maps as the kernel allows a process by default.
const PLACES: usize = 1 << 16;

/// Addresses of one map, and whom to tell. `end` is 0 while the place is free or being filled.
struct Entry {
    start: AtomicUsize,
    end: AtomicUsize,
    state: AtomicPtr<RegionState>,
}

/// What the handler searches. Only atomics: it may interrupt anything. Its memory comes with its first use.
static TABLE: [Entry; PLACES] =
    [const { Entry { start: AtomicUsize::new(0), end: AtomicUsize::new(0), state: AtomicPtr::new(ptr::null_mut()) } };
        PLACES];

/// Places from here on were never used.
static UNUSED: AtomicUsize = AtomicUsize::new(0);
/// Places that were used and are free again.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Set once the handler is installed.
static GUARD: OnceLock<Guard> = OnceLock::new();

struct Guard {
    page: usize,
    previous: libc::sigaction,
}

/// Survives pages of mapped files that cannot be read: those of files that another process truncated, and those that
/// the disk fails to deliver. Without it they are `SIGBUS`, which ends the process.
///
/// Process-wide, and for files opened afterwards. Such a page shows zeros from then on, and what is decoded from its
/// file, or appended to it, fails with [`ErrorKind::Io`]; slices handed out earlier may show the zeros. Signals that
/// are not about our files go to the handler that was installed before; one installed later must pass ours on.
///
/// # Errors
/// [`ErrorKind::Io`] if the handler cannot be installed.
pub fn guard_against_sigbus() -> Result<()> {
    // One at a time, so that the handler is never its own predecessor.
    let _free = FREE.lock();
    if GUARD.get().is_some() {
        return Ok(());
    }
    // SAFETY: only asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).map_err(|_| Error::new(ErrorKind::Io, "the page size is not known"))?;
    let previous = action(None)?;
    // Known to the handler before it can run.
    GUARD.get_or_init(|| Guard { page, previous });
    let mut ours = previous;
    ours.sa_sigaction = handle as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as libc::sighandler_t;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    action(Some(&ours)).map(|_| ())
}

/// Sets what happens on the signal, and tells what happened until now.
fn action(new: Option<&libc::sigaction>) -> Result<libc::sigaction> {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `new` is null or a valid action, whose handler is a function that lives as long as the process and does
    // only what a handler may. `old` is a place for one.
    let answer = unsafe { libc::sigaction(libc::SIGBUS, new.map_or(ptr::null(), ptr::from_ref), old.as_mut_ptr()) };
    if answer != 0 {
        let message = format!("could not set a signal handler: {}", std::io::Error::last_os_error());
        return Err(Error::new(ErrorKind::Io, message));
    }
    // SAFETY: the call succeeded, and so has filled it.
    Ok(unsafe { old.assume_init() })
}

/// Keeps one map in the table. Dropped before the map is unmapped.
pub(super) struct Watch {
    place: usize,
    /// Keeps alive what the table points to.
    _state: Arc<RegionState>,
}

impl Watch {
    /// Watches `len` bytes from `start`, if the guard was asked for and has a place left.
    pub(super) fn over(start: *const u8, len: usize, state: &Arc<RegionState>) -> Option<Self> {
        GUARD.get()?;
        let place = FREE.lock().pop().or_else(|| {
            let taken = UNUSED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < PLACES).then_some(n + 1));
            taken.ok()
        })?;
        let entry = TABLE.get(place)?;
        entry.start.store(start.addr(), Ordering::Relaxed);
        entry.state.store(Arc::as_ptr(state).cast_mut(), Ordering::Relaxed);
        // What the handler loads first.
        entry.end.store(start.addr().saturating_add(len), Ordering::Release);
        Some(Self { place, _state: Arc::clone(state) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(entry) = TABLE.get(self.place) {
            entry.end.store(0, Ordering::Release);
        }
        FREE.lock().push(self.place);
    }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(guard) = GUARD.get() else { return };
    // SAFETY: the kernel hands a valid `siginfo_t` to a handler installed with `SA_SIGINFO`. `si_addr` is meant for
    // this signal; a code of 0 or below says that somebody sent it, and then it is not looked at.
    let fault = unsafe { ((*info).si_code > 0).then(|| (*info).si_addr().addr()) };
    if !fault.is_some_and(|address| replace(address, guard.page)) {
        pass_on(&guard.previous, signal, info, context);
    }
}

/// Puts zeros where the page at `address` should be, if it is one of ours, and trips its file's latch.
fn replace(address: usize, page: usize) -> bool {
    let used = UNUSED.load(Ordering::Acquire).min(PLACES);
    for entry in TABLE.iter().take(used) {
        let end = entry.end.load(Ordering::Acquire);
        let start = entry.start.load(Ordering::Relaxed);
        let inside = (start..end).contains(&address);
        // A place that was taken by another map meanwhile has another end, or none for a moment.
        if !inside || entry.end.load(Ordering::Acquire) != end {
            continue;
        }
        let state = entry.state.load(Ordering::Relaxed);
        // SAFETY: who touches a page of a map keeps that map, and with it its `Watch`, which keeps the state.
        unsafe { (*state).poison() };
        let place = ptr::with_exposed_provenance_mut(address & !(page - 1));
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: the page lies inside a map of ours, which its owner unmaps as a whole, whatever is there. Readers of
        // its bytes never saw others: the file's page could not be had. `mmap` is a bare system call.
        let answer = unsafe { libc::mmap(place, page, access, flags | libc::MAP_FIXED, -1, 0) };
        return answer != libc::MAP_FAILED;
    }
    false
}

/// Does what would have been done without the guard.
fn pass_on(previous: &libc::sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: as in `handle`.
    let sent = unsafe { (*info).si_code <= 0 };
    match previous.sa_sigaction {
        // A fault cannot be ignored.
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: restores the kernel's own action and sends the signal anew. It is delivered when this handler
            // returns, and ends the process.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: who installed it with `SA_SIGINFO` gave a function of this type.
            let handler =
                unsafe { std::mem::transmute::<usize, extern "C" fn(c_int, *mut siginfo_t, *mut c_void)>(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: who installed it without `SA_SIGINFO` gave a function of this type.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests;
