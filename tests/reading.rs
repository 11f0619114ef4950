//! Reads: every offset, gaps, limits, marks, and readers beside a writer.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use riverbed::{Compression, ErrorKind, FetchLimit, Isolation, Offset, Partition, ReadUpTo, Timestamp};
use support::TestDir;
use support::partition::{append, compressed, counted, fill, open, stored, values, values_within};

const SMALL: [(&str, &str); 2] = [("segment.bytes", "1000"), ("index.interval.bytes", "200")];

fn fetch(partition: &Partition, offset: u64, limit: FetchLimit) -> usize {
    partition.fetch(Offset::new(offset), limit).unwrap().batches().count()
}

/// READ-01, OIX-07: in memory, and again from the index files.
#[test]
fn every_offset_reads_the_record_that_has_it() {
    let dir = TestDir::new("every-offset");
    for _ in 0..2 {
        let partition = open(&dir, &SMALL);
        fill(&partition, 200);
        assert!(partition.segments().len() > 5);
        for offset in 0..200 {
            let fetched = partition.fetch(Offset::new(offset), FetchLimit::bytes(1)).unwrap();
            assert_eq!(fetched.batches().next().unwrap().base_offset().get(), offset);
            assert_eq!(fetched.next_offset.get(), offset + 1);
        }
        assert_eq!(values(&partition, 0), counted(0, 200));
        partition.close().unwrap();
    }
}

/// READ-12: empty segments, at the end and, as compaction leaves them, in between and in front.
#[test]
fn an_empty_segment_is_read_over() {
    let dir = TestDir::scratch("empty-segments");
    std::fs::create_dir(dir.join("orders-0")).unwrap();
    for (base, records) in [(0, &[][..]), (2, &[("v2", 20), ("v3", 30)]), (4, &[]), (5, &[]), (7, &[("v7", 70)])] {
        let bytes = if records.is_empty() { Vec::new() } else { stored(base, 0, records) };
        std::fs::write(dir.join(format!("orders-0/{base:020}.log")), bytes).unwrap();
    }
    let expected = [(2, "v2"), (3, "v3"), (7, "v7")].map(|(offset, value)| (offset, value.to_string()));
    for _ in 0..2 {
        let partition = open(&dir, &[("cleanup.policy", "compact")]);
        for offset in 0..8 {
            let rest: Vec<_> = expected.iter().filter(|(found, _)| *found >= offset).cloned().collect();
            assert_eq!(values(&partition, offset), rest, "from {offset}");
            let time = Timestamp::from_millis(offset as i64 * 10);
            let found = partition.offset_for_time(time, ReadUpTo::Written).unwrap().unwrap();
            assert_eq!(found.offset.get(), rest[0].0, "at {time}");
        }
        assert!(partition.fetch(Offset::new(8), FetchLimit::bytes(100)).unwrap().is_empty());
        partition.roll().unwrap();
        assert!(partition.fetch(Offset::new(8), FetchLimit::bytes(100)).unwrap().is_empty());
        partition.close().unwrap();
    }
}

/// READ-04, READ-05.
#[test]
fn at_least_one_batch_comes_unless_the_limit_is_strict() {
    let dir = TestDir::new("limits");
    let partition = open(&dir, &[]);
    fill(&partition, 10);
    let size = partition.fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap().bytes.len();
    for (bytes, lenient, strict) in
        [(0, 1, 0), (1, 1, 0), (size - 1, 1, 0), (size, 1, 1), (2 * size, 2, 2), (3 * size - 1, 2, 2)]
    {
        assert_eq!(fetch(&partition, 0, FetchLimit::bytes(bytes)), lenient, "{bytes}");
        assert_eq!(fetch(&partition, 0, FetchLimit::bytes(bytes).strict()), strict, "{bytes}, strict");
    }
    assert_eq!(fetch(&partition, 0, FetchLimit::bytes(usize::MAX)), 10);
    partition.close().unwrap();
}

/// READ-06, READ-07, READ-16.
#[test]
fn the_ends_read_empty_and_what_lies_beyond_is_out_of_range() {
    let dir = TestDir::new("ends");
    let partition = open(&dir, &[("high.watermark", "durable")]);
    fill(&partition, 20);
    partition.sync().unwrap();
    fill(&partition, 40);
    partition.delete_records(..Offset::new(5)).unwrap();
    let limit = FetchLimit::bytes(10_000);
    for (offset, up_to, expected) in [
        (4, ReadUpTo::Written, Err(ErrorKind::OffsetOutOfRange)),
        (5, ReadUpTo::Written, Ok(false)),
        (20, ReadUpTo::HighWatermark, Ok(true)),
        (20, ReadUpTo::Durable, Ok(true)),
        (39, ReadUpTo::HighWatermark, Ok(true)),
        (39, ReadUpTo::Written, Ok(false)),
        (40, ReadUpTo::Written, Ok(true)),
        (40, ReadUpTo::HighWatermark, Ok(true)),
        (41, ReadUpTo::Written, Err(ErrorKind::OffsetOutOfRange)),
        (41, ReadUpTo::HighWatermark, Err(ErrorKind::OffsetOutOfRange)),
    ] {
        let answer = partition.fetch(Offset::new(offset), limit.up_to(up_to));
        let answer = answer.map(|fetched| fetched.is_empty()).map_err(|error| error.kind());
        assert_eq!(answer, expected, "{offset} up to {up_to:?}");
    }
    partition.close().unwrap();
}

/// READ-08, READ-09.
#[test]
fn every_mark_bounds_what_is_seen_wherever_it_stands() {
    let dir = TestDir::new("marks");
    let partition = open(&dir, &[("high.watermark", "durable"), ("segment.bytes", "500")]);
    let limit = FetchLimit::bytes(1 << 20);
    for durable in 0..30 {
        partition.sync().unwrap();
        fill(&partition, durable + 1);
        for (up_to, end) in
            [(ReadUpTo::Written, durable + 1), (ReadUpTo::Durable, durable), (ReadUpTo::HighWatermark, durable)]
        {
            assert_eq!(values_within(&partition, 0, limit.up_to(up_to)), counted(0, end), "{up_to:?}");
        }
        let committed = limit.isolation(Isolation::ReadCommitted);
        assert_eq!(values_within(&partition, 0, committed), counted(0, durable));
    }
    partition.close().unwrap();
}

/// READ-11.
#[test]
fn a_read_starts_where_the_batch_does() {
    let dir = TestDir::new("batch-start");
    let partition = open(&dir, &[]);
    partition.append(&compressed(Compression::Lz4, &[("v0", 0), ("v1", 10), ("v2", 20)])).unwrap();
    append(&partition, "v3", 30);
    let fetched = partition.fetch(Offset::new(2), FetchLimit::bytes(1)).unwrap();
    assert_eq!(fetched.batches().next().unwrap().base_offset(), Offset::ZERO);
    assert_eq!(values(&partition, 2), counted(2, 4));
    partition.close().unwrap();
}

/// READ-14, TXN-14: the reader looks at the mark first, and never finds anything above it.
#[test]
fn readers_beside_the_writer_never_see_past_the_mark() {
    let dir = TestDir::new("beside");
    let partition = open(&dir, &[("segment.bytes", "20000"), ("high.watermark", "durable")]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let (start, marks) = partition.offsets();
                    assert!(start <= marks.last_stable && marks.last_stable <= marks.high);
                    assert!(marks.high <= marks.durable && marks.durable <= marks.end);
                    let fetched = partition.fetch(Offset::new(seen), FetchLimit::bytes(5_000)).unwrap();
                    for batch in fetched.batches() {
                        assert_eq!(batch.base_offset().get(), seen);
                        seen = batch.next_offset().get();
                    }
                    assert!(seen <= partition.log().end(ReadUpTo::HighWatermark).get());
                }
            });
        }
        for n in 1..=3_000 {
            fill(&partition, n);
            if n % 50 == 0 {
                partition.sync().unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
    partition.close().unwrap();
}

/// READ-15.
#[test]
fn a_fetch_stays_in_its_segment() {
    let dir = TestDir::new("segment-bound");
    let partition = open(&dir, &[]);
    fill(&partition, 4);
    partition.roll().unwrap();
    fill(&partition, 8);
    assert_eq!(fetch(&partition, 0, FetchLimit::bytes(1 << 20)), 4);
    assert_eq!(fetch(&partition, 4, FetchLimit::bytes(1 << 20)), 4);
    partition.close().unwrap();
}

/// A broker answers a fetch by `sendfile`: the range must hold just the bytes that were fetched, wherever they lie.
#[test]
fn a_fetch_is_a_range_of_a_file_too() {
    let dir = TestDir::new("file-range");
    for round in 0..2 {
        let partition = open(&dir, &SMALL);
        fill(&partition, 50 * (round + 1));
        let end = partition.truncate(Offset::new(50 * (round + 1) - 5)).unwrap();
        fill(&partition, 50 * (round + 1));
        let mut offset = Offset::ZERO;
        while offset < end {
            let fetched = partition.fetch(offset, FetchLimit::bytes(300)).unwrap();
            let range = fetched.file_range().unwrap().unwrap();
            let mut sent = vec![0; fetched.bytes.len()];
            assert_eq!(range.range.end - range.range.start, sent.len() as u64);
            range.file.read_exact_at(&mut sent, range.range.start).unwrap();
            assert_eq!(sent, fetched.bytes, "from {offset}");
            offset = fetched.next_offset;
        }
        let nothing = partition.fetch(partition.offsets().1.end, FetchLimit::bytes(300)).unwrap();
        assert!(nothing.file_range().unwrap().is_none());
        partition.close().unwrap();
    }
}
