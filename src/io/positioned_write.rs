//! The way of large and of synced appends: the same bytes to the same place of the page cache by a system call.

use std::fs::File;
use std::io::{self, IoSlice};

use rustix::io::pwritev;

use super::root::retry;

/// How often a write that the file system puts off is tried again.
const TRIES: u32 = 10_000;

/// Writes `head`, then `body`, at `at`.
///
/// One call does it where that keeps the order. The kernel copies the parts in their order, page by page, and a process
/// that is killed leaves a prefix: it dies between pages, never inside one. So a whole body is not found without its
/// head after a crash of the process, and power cuts are judged by checksums anyway. Another process that looks on
/// while the bytes arrive sees stores in their order on x86-64; elsewhere the two parts go in two calls, as the page
/// lock that the kernel takes for each orders them.
pub(super) fn write(file: &File, head: &[u8], body: &[u8], at: u64) -> io::Result<()> {
    if cfg!(target_arch = "x86_64") {
        write_all(file, &mut [IoSlice::new(head), IoSlice::new(body)], at)
    } else {
        write_all(file, &mut [IoSlice::new(head)], at)?;
        write_all(file, &mut [IoSlice::new(body)], at + head.len() as u64)
    }
}

fn write_all(file: &File, mut parts: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
    // Drops empty parts from the front.
    IoSlice::advance_slices(&mut parts, 0);
    let mut tries = TRIES;
    while !parts.is_empty() {
        match retry(|| pwritev(file, parts, at)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            // A nearly full btrfs answers so now and then, though nobody asked it not to block. It has written nothing.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries > 0 => {
                tries -= 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
