//! Segments whose files have another name, as in a backup.

use super::*;
use crate::io::{Budget, OsDirectory};
use crate::segment::file_name::{FileKind, file_name};

/// A backup had linked a segment. A cut took all behind it, and a crash the segment that was begun there: the linked one was
/// the last again, and what was appended grew in the backup, too.
#[test]
fn a_segment_that_a_backup_has_takes_no_more() {
    for is_clean in [false, true] {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a-0");
        let open = |last_close| {
            let directory = OsDirectory::create(&path, Budget::new(100, 100)).unwrap();
            Log::open(directory, &options(last_close, 1000)).unwrap()
        };
        let log = open(UNCLEAN);
        fill(&log, 0..3);
        let last = log.roll().unwrap();
        fill(&log, 3..5);
        log.sync().unwrap();
        let copy = temporary.path().join("linked");
        std::fs::hard_link(path.join(file_name(Offset::ZERO, FileKind::Log)), &copy).unwrap();
        let before = std::fs::read(&copy).unwrap();
        log.truncate(last).unwrap();
        log.shut();
        std::fs::remove_file(path.join(file_name(last, FileKind::Log))).unwrap();

        let mut log = open(UNCLEAN);
        if is_clean {
            let ends = log.close().unwrap().unwrap();
            log = open(LastClose::Clean(ends));
        }
        fill(&log, 3..6);
        log.sync().unwrap();
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..6));
        assert!(std::fs::read(&copy).unwrap() == before, "closed: {is_clean}");
        log.close().unwrap();
        assert!(std::fs::read(&copy).unwrap() == before, "closed: {is_clean}");
        let log = open(UNCLEAN);
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..6));
    }
}
