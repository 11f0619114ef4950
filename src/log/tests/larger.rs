//! Batches that are larger than the segment was made for.

use super::*;

fn large() -> RecordBatch<Vec<u8>> {
    batch(&[&"x".repeat(3000)])
}

/// A segment's address range is as long as `segment.bytes` was when it was started. An empty one is not rolled, and so a
/// larger batch was refused until a small one came by.
#[test]
fn an_empty_segment_takes_what_a_changed_topic_allows() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..5);
    log.roll().unwrap();
    assert_eq!(log.append(&large(), AppendOrigin::Client).unwrap_err().kind(), ErrorKind::BatchTooLarge);
    let mut config = LogConfig::clone(&log.config());
    config.set("segment.bytes", "100000").unwrap();
    log.set_config(config);
    let segments = log.segments().len();
    log.append(&large(), AppendOrigin::Client).unwrap();
    fill(&log, 6..12);
    assert_eq!(log.segments().len(), segments);
    let written = log.read(Offset::ZERO, FetchLimit::bytes(1 << 20)).unwrap();
    assert_eq!((written.next_offset, log.end(ReadUpTo::Written)), (Offset::new(5), Offset::new(12)));
    let written = log.read(Offset::new(5), FetchLimit::bytes(1 << 20)).unwrap();
    assert_eq!(written.next_offset, Offset::new(12));
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(12));
    log.close().unwrap().unwrap();
}

/// A follower whose segments are smaller than its leader's was stuck at the first batch that does not fit in one.
#[test]
fn a_follower_takes_larger_batches_than_its_segments() {
    for filled in [0, 3] {
        let (leaders, disk) = (SimDisk::new(), SimDisk::new());
        let directory = leaders.root().create_subdirectory("a-0").unwrap();
        let leader = Log::open(directory, &options(UNCLEAN, 100_000)).unwrap();
        fill(&leader, 0..filled);
        for _ in 0..3 {
            leader.append(&large(), AppendOrigin::Client).unwrap();
        }
        let log = open(&disk, UNCLEAN);
        let fetched = leader.read(Offset::ZERO, FetchLimit::bytes(1 << 20)).unwrap();
        for batch in fetched.batches() {
            log.append_as_follower(batch.bytes()).unwrap();
        }
        let end = Offset::new(filled + 3);
        assert_eq!(log.end(ReadUpTo::Written), end);
        assert_eq!(log.segments().len(), if filled > 0 { 4 } else { 3 }, "one for each large batch");
        log.shut();
        let log = open(&disk, UNCLEAN);
        assert_eq!(log.end(ReadUpTo::Written), end);
        let last = log.read(Offset::new(filled + 2), FetchLimit::bytes(1)).unwrap();
        assert_eq!(last.next_offset, end);
    }
}
