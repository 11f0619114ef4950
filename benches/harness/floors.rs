//! The bare loops: what a machine can do at most with the same bytes in the same sizes.

#![allow(unsafe_code, reason = "a bare map is what is compared with")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use super::{Spent, timed};

/// CRC-32C, as fast as this machine does it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

fn create(path: &Path, len: u64, allocate: bool) -> File {
    let _ = std::fs::remove_file(path);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    if allocate {
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len).unwrap();
    }
    file
}

/// Copies `bytes` over and over into a mapped, allocated file of `total` bytes, and checksums each copy. The map is
/// populated `step` bytes ahead, or not at all.
pub fn mapped(path: &Path, bytes: &[u8], total: u64, step: Option<usize>) -> Spent {
    let time = timed(|| {
        let file = create(path, total, true);
        // SAFETY: the file was created just now under a name of its own, and nobody else opens it.
        let mut map = unsafe { memmap2::MmapOptions::new().map_mut(&file).unwrap() };
        let (mut at, mut populated, mut sum) = (0, 0, 0);
        while at + bytes.len() <= map.len() {
            if let Some(step) = step
                && at + bytes.len() > populated
            {
                let len = step.max(bytes.len()).min(map.len() - populated);
                let aligned = populated & !4095;
                map.advise_range(memmap2::Advice::PopulateWrite, aligned, len + populated - aligned).unwrap();
                populated += len;
            }
            sum ^= crc32c(bytes);
            map[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        }
        std::hint::black_box(sum);
    });
    std::fs::remove_file(path).unwrap();
    time
}

/// Writes `bytes` over and over to a file of `total` bytes, one call each, and checksums each.
pub fn positioned(path: &Path, bytes: &[u8], total: u64) -> Spent {
    let time = timed(|| {
        let file = create(path, total, true);
        let (mut at, mut sum) = (0, 0);
        while at + bytes.len() as u64 <= total {
            sum ^= crc32c(bytes);
            file.write_all_at(bytes, at).unwrap();
            at += bytes.len() as u64;
        }
        std::hint::black_box(sum);
    });
    std::fs::remove_file(path).unwrap();
    time
}

/// Writes `bytes` `count` times into a zero-filled file, synced each time.
pub fn positioned_synced(path: &Path, bytes: &[u8], count: u64) -> Spent {
    let file = zero_filled(path, bytes.len() as u64 * count);
    let time = timed(|| {
        for i in 0..count {
            std::hint::black_box(crc32c(bytes));
            file.write_all_at(bytes, i * bytes.len() as u64).unwrap();
            file.sync_data().unwrap();
        }
    });
    std::fs::remove_file(path).unwrap();
    time
}

/// The same from several threads: who finds no sync under way leads one for all who have written by then.
pub fn positioned_synced_by_leader(path: &Path, bytes: &[u8], count: u64, threads: u64) -> Spent {
    struct State {
        written: u64,
        synced: u64,
        leading: bool,
    }
    let file = zero_filled(path, bytes.len() as u64 * count);
    let state = Mutex::new(State { written: 0, synced: 0, leading: false });
    let moved = Condvar::new();
    let append = || {
        std::hint::black_box(crc32c(bytes));
        let mut now = state.lock().unwrap();
        file.write_all_at(bytes, now.written).unwrap();
        now.written += bytes.len() as u64;
        let mine = now.written;
        while now.synced < mine {
            if now.leading {
                now = moved.wait(now).unwrap();
                continue;
            }
            now.leading = true;
            let target = now.written;
            drop(now);
            file.sync_data().unwrap();
            now = state.lock().unwrap();
            now.synced = target;
            now.leading = false;
            moved.notify_all();
        }
    };
    let time = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..count / threads).for_each(|_| append()));
            }
        });
    });
    std::fs::remove_file(path).unwrap();
    time
}

/// A synced file of zeros, written in pieces of 16 KiB so that the page cache keeps it in small folios.
fn zero_filled(path: &Path, len: u64) -> File {
    let file = create(path, len, true);
    let zeros = vec![0; 16 << 10];
    for at in (0..len).step_by(zeros.len()) {
        file.write_all_at(&zeros, at).unwrap();
    }
    file.sync_all().unwrap();
    file
}

/// Checksums the files one after the other, through maps, in pieces of `piece` bytes.
pub fn checksum_files(paths: &[PathBuf], piece: usize) -> Spent {
    timed(|| {
        let mut sum = 0;
        for path in paths {
            let file = File::open(path).unwrap();
            // SAFETY: the benchmark closed the store that wrote the file; nobody changes it.
            let map = unsafe { memmap2::MmapOptions::new().map(&file).unwrap() };
            for chunk in map.chunks(piece) {
                sum ^= crc32c(chunk);
            }
        }
        std::hint::black_box(sum);
    })
}

/// Walks a directory tree and opens every file in it.
pub fn open_files(root: &Path) -> Spent {
    fn walk(directory: &Path, bytes: &mut u64) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), bytes);
            } else {
                *bytes += File::open(entry.path()).unwrap().metadata().unwrap().len();
            }
        }
    }
    timed(|| {
        let mut bytes = 0;
        walk(root, &mut bytes);
        std::hint::black_box(bytes);
    })
}

/// The same, and replaces a small file durably: a temporary, synced, renamed, and a sync of the directory.
pub fn open_files_and_replace_one(root: &Path) -> Spent {
    let (temporary, name) = (root.join("floor.new"), root.join("floor"));
    let spent = timed(|| {
        open_files(root);
        let file = create(&temporary, 0, false);
        file.write_all_at(&[7; 64], 0).unwrap();
        file.sync_all().unwrap();
        std::fs::rename(&temporary, &name).unwrap();
        File::open(root).unwrap().sync_all().unwrap();
    });
    std::fs::remove_file(name).unwrap();
    spent
}
