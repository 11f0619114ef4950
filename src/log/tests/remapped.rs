//! A segment that was unmapped and is mapped again may come from the disk anew.

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
