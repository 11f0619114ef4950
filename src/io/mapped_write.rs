//! The way of small appends that are not synced: a store into the map, whose pages are brought in a little ahead.
#![expect(unsafe_code, reason = "stores to mapped memory")]

use std::io;
use std::ptr;

use super::map::Map;
use crate::sync::{AtomicBool, Ordering, fence};

const PAGE: usize = 4096;
const STEP_MAX: usize = 256 << 10;
/// Cache lines: more than a record of 100 bytes takes as a batch of its own.
#[cfg(target_arch = "x86_64")]
const LINES_AHEAD: usize = 4;

/// How far pages are brought in ahead of the writer.
#[derive(Debug)]
pub(super) struct Populated {
    end: usize,
    step: usize,
}

impl Populated {
    /// Nothing is, and the writer stands at `at`.
    pub(super) fn none(at: usize) -> Self {
        Self { end: at, step: PAGE }
    }

    /// Where stores may go without a page fault, at most.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Brings in the pages of at least `from..end`, and a growing step more, but never of what lies above `allocated`.
    ///
    /// # Errors
    /// What would have been a signal: the pages cannot be had.
    pub(super) fn advance(&mut self, map: &Map, from: usize, (end, allocated): (usize, usize)) -> io::Result<()> {
        static MISSING: AtomicBool = AtomicBool::new(false);
        if end <= self.end {
            return Ok(());
        }
        let start = self.end.max(from);
        let goal = end.max(start.saturating_add(self.step)).next_multiple_of(PAGE).min(allocated).min(map.len());
        if !MISSING.load(Ordering::Relaxed) {
            match map.populate(start, goal - start) {
                // Before Linux 5.14 each page comes with its first store.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => MISSING.store(true, Ordering::Relaxed),
                answer => answer?,
            }
        }
        self.step = (self.step * 2).min(STEP_MAX);
        self.end = goal;
        Ok(())
    }
}

/// Copies `head`, then, behind a release fence, `body` to `at`.
///
/// # Safety
/// - `at` is not below the published end, and the caller is the only writer.
/// - The file is really allocated up to the end of what is stored.
#[inline]
pub(super) unsafe fn store(map: &Map, at: usize, head: &[u8], body: &[u8]) {
    assert!(map.is_writable() && at <= map.len(), "stores go to a map made for them");
    assert!(head.len() + body.len() <= map.len() - at, "stores stay inside the map");
    // SAFETY: the assertions keep both copies inside the mapping. The caller is the only writer and these bytes are not
    // published, so nobody else reads or writes them; `head` and `body` are borrowed slices, and no slice ever covers
    // unpublished bytes of a map, so they do not overlap.
    unsafe {
        let place = map.start().add(at);
        ptr::copy_nonoverlapping(head.as_ptr(), place, head.len());
        // Whoever finds the body whole, after this process died between the two, finds the head whole.
        fence(Ordering::Release);
        ptr::copy_nonoverlapping(body.as_ptr(), place.add(head.len()), body.len());
    }
    fetch_lines(map.start().wrapping_add(at + head.len() + body.len()));
}

/// Has the processor fetch the lines that the next append stores to. Unlocking waits until all stores are done, and a
/// line that comes only then costs more than all the rest of a small append.
#[inline]
fn fetch_lines(place: *mut u8) {
    #[cfg(target_arch = "x86_64")]
    for line in 1..=LINES_AHEAD {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: a prefetch is a hint, and takes any address: it reads nothing that the program sees, and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(place.wrapping_add(64 * line).cast_const().cast::<i8>()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
