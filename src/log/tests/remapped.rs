//! A segment that was unmapped and is mapped again may come from the disk anew.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::io::{Budget, OsDirectory};
use crate::segment::file_name::{FileKind, file_name};

/// There is room for one map. A batch that was checked in the first map of its segment rots on the disk before the
/// second one: having been checked once said that it was right.
#[test]
fn a_batch_is_checked_again_once_its_segment_is_mapped_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a-0");
    let directory = OsDirectory::create(&path, Budget::new(50, 1)).unwrap();
    let log = Log::open(directory, &options(UNCLEAN, 1000)).unwrap();
    fill(&log, 0..20);
    log.sync().unwrap();
    let segments = log.segments();
    assert!(segments.len() >= 2);
    let limit = FetchLimit::bytes(1);
    assert_eq!(log.read(Offset::ZERO, limit).unwrap().next_offset, Offset::new(1));
    assert_eq!(log.read(Offset::ZERO, limit).unwrap().next_offset, Offset::new(1));
    assert!(!log.read(segments[1].base_offset(), limit).unwrap().is_empty());
    let file = path.join(file_name(Offset::ZERO, FileKind::Log));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[65] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(log.read(Offset::ZERO, limit).unwrap_err().kind(), ErrorKind::Corruption);
}

/// A byte changes under a map in which the batch was already read. Who asked for a check at each read is told.
#[test]
fn a_batch_is_checked_at_each_read_where_that_is_asked_for() {
    for verify_always in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a-0");
        let directory = OsDirectory::create(&path, Budget::new(50, 50)).unwrap();
        let log = Log::open(directory, &LogOptions { verify_always, ..options(UNCLEAN, 1000) }).unwrap();
        fill(&log, 0..20);
        log.sync().unwrap();
        assert!(log.segments().len() >= 2);
        let last = log.segments().last().unwrap().base_offset();
        for base in [Offset::ZERO, last] {
            let read = || log.read(base, FetchLimit::bytes(1));
            assert_eq!(read().unwrap().next_offset, base.next());
            let file = File::options().read(true).write(true).open(path.join(file_name(base, FileKind::Log))).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, 65).unwrap();
            file.write_all_at(&[byte[0] ^ 1], 65).unwrap();
            match read() {
                Ok(fetched) => assert!(!verify_always && fetched.next_offset == base.next()),
                Err(error) => assert!(verify_always && error.kind() == ErrorKind::Corruption, "{error:?}"),
            }
        }
    }
}
