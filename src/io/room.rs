//! Room just ahead of the writer: really allocated in growing chunks, so that a full disk is an ordinary error.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate, ftruncate};
use rustix::io::Errno;

use super::root::retry;

const CHUNK_MIN: u64 = 64 << 10;
const CHUNK_MAX: u64 = 16 << 20;

/// Larger writes of zeros make larger page-cache folios, which a small synced append then writes back whole.
const ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// How much is zero-filled before the writer gets it: a sync of his meanwhile has to write that much more.
const ZERO_STEP: u64 = 256 << 10;

/// How much is zero-filled at a time.
const ZERO_CHUNK_MAX: u64 = 4 << 20;

/// What is allocated of one file.
#[derive(Debug)]
pub(super) struct Room {
    /// Where the allocated bytes end.
    allocated: u64,
    capacity: u64,
    /// How much comes next.
    chunk: u64,
    /// Whether the file system allocates at all. Where it does not, a positioned write does.
    real: bool,
    /// Whether the last room was zero-filled. The writer has overtaken that, if he asks for more: he gets little, so that
    /// what comes behind it is zero-filled again.
    zeroed: bool,
}

impl Room {
    pub(super) fn new(allocated: u64, capacity: u64) -> Self {
        Self { allocated, capacity, chunk: CHUNK_MIN, real: true, zeroed: false }
    }

    pub(super) fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Whether a store into the room is sure to find a block.
    pub(super) fn is_real(&self) -> bool {
        self.real
    }

    /// Sees to room up to `end`, and some more where there is some. `end` is at most the capacity.
    pub(super) fn grow(&mut self, file: &File, end: u64) -> io::Result<()> {
        if end <= self.allocated {
            return Ok(());
        }
        let chunk = if std::mem::take(&mut self.zeroed) { CHUNK_MIN } else { self.chunk };
        let generous = end.max(self.allocated.saturating_add(chunk)).min(self.capacity);
        let enough = end.next_multiple_of(4096).min(self.capacity);
        match self.allocate(file, generous) {
            Ok(()) => self.chunk = (self.chunk * 2).min(CHUNK_MAX),
            Err(e) if is_full(&e) && enough < generous => {
                self.chunk = CHUNK_MIN;
                self.allocate(file, enough)?;
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Allocates up to `end`, or leaves the file as it was.
    fn allocate(&mut self, file: &File, end: u64) -> io::Result<()> {
        if self.real {
            let added = end - self.allocated;
            match retry(|| fallocate(file, FallocateFlags::empty(), self.allocated, added)) {
                Ok(()) => {}
                Err(e) if e.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => self.real = false,
                Err(e) => {
                    // A failed call may leave the file longer. The bytes behind are nobody's: should taking them back
                    // fail too, the next attempt allocates them again.
                    retry(|| ftruncate(file, self.allocated)).ok();
                    return Err(e);
                }
            }
        }
        self.allocated = end;
        Ok(())
    }

    /// Where the writer has less than half a chunk ahead of him; `None` if there is no more to be had.
    pub(super) fn scarce_above(&self) -> Option<u64> {
        (self.allocated < self.capacity).then(|| self.allocated.saturating_sub(self.zero_chunk() / 2))
    }

    /// Where zero-filling that starts now ends.
    pub(super) fn zero_goal(&mut self) -> u64 {
        let goal = self.allocated.saturating_add(self.zero_chunk()).min(self.capacity);
        self.chunk = (self.chunk * 2).min(CHUNK_MAX);
        goal
    }

    fn zero_chunk(&self) -> u64 {
        self.chunk.min(ZERO_CHUNK_MAX)
    }

    /// Allocates and zero-fills the next step towards `goal`, or leaves the file as it was.
    pub(super) fn zero(&mut self, file: &File, goal: u64) -> io::Result<()> {
        let start = self.allocated;
        let end = goal.min(start + ZERO_STEP);
        self.allocate(file, end)?;
        self.zeroed = true;
        zero_fill(file, start, end).inspect_err(|_| {
            self.allocated = start;
            retry(|| ftruncate(file, start)).ok();
        })
    }

    /// Forgets the room above `end`, which was given back.
    pub(super) fn shrink(&mut self, end: u64) {
        self.allocated = end;
        self.capacity = end;
    }
}

/// Whether the file system has no room.
pub(super) fn is_full(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

fn zero_fill(file: &File, start: u64, end: u64) -> io::Result<()> {
    let mut at = start;
    while at < end {
        // Pieces end where blocks of their size do, wherever the first one starts.
        let piece = (at + 1).next_multiple_of(ZEROS.len() as u64).min(end) - at;
        let piece = usize::try_from(piece).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.write_all_at(&ZEROS[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}
