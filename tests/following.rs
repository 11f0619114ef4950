//! Reading beside a writer costs what is read: shown by the bytes that this process reads, never by time.
//!
//! The kernel counts for a whole process, so tests take turns.

#![allow(clippy::unwrap_used, reason = "tests choose their numbers")]

mod support;

use parking_lot::{Mutex, MutexGuard};
use riverbed::{FetchLimit, Offset, Partition, PartitionOptions, ReadUpTo, Timestamp};
use support::TestDir;
use support::partition::{batch, config, open};

/// Bytes that the process has read by system calls: what a map shows does not count.
fn read_so_far() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock()
}

const LARGE: [(&str, &str); 2] = [("segment.bytes", "100000000"), ("max.message.bytes", "4000000")];

fn reader(dir: &TestDir) -> Partition {
    let options = PartitionOptions::default().config(config(&LARGE)).read_only();
    Partition::open(dir.join("orders-0"), options).unwrap()
}

/// Appends batches of `records` records of `len` bytes, at times one apart, until the log has `bytes` bytes.
fn fill(partition: &Partition, records: usize, len: usize, bytes: u64) -> u64 {
    let value = "x".repeat(len);
    let mut count: i64 = 0;
    let size = || partition.segments().iter().map(|segment| segment.size()).sum();
    while size() < bytes {
        let times: Vec<(&str, i64)> = (0..records).map(|_| (value.as_str(), count)).collect();
        partition.append(&batch(&times)).unwrap();
        count += 1;
    }
    size()
}

/// Every fetch from a segment that its writer may still change read the whole file: to scan 8 MiB took gigabytes.
#[test]
fn a_scan_beside_a_writer_reads_each_byte_about_once() {
    let _turn = turn();
    for (records, len, limit) in [(1, 100, 1 << 16), (100, 100, 1 << 16), (100, 10_000, 1 << 16), (10, 60_000, 1 << 20)]
    {
        let dir = TestDir::scratch("scan");
        let writer = open(&dir, &LARGE);
        let size = fill(&writer, records, len, 8 << 20);
        let reader = reader(&dir);
        let before = read_so_far();
        let (mut next, mut found) = (Offset::ZERO, 0);
        while next < reader.offsets().1.end {
            let fetched = reader.fetch(next, FetchLimit::bytes(limit)).unwrap();
            found += fetched.bytes.len() as u64;
            next = fetched.next_offset;
        }
        let read = read_so_far() - before;
        assert_eq!(found, size);
        assert!(read <= 2 * size + (1 << 20), "{read} bytes read for {size}, in batches of {records} of {len}");
        writer.close().unwrap();
    }
}

/// The same for single records, and for look-ups by time, which start at an entry of the index.
#[test]
fn a_look_up_beside_a_writer_reads_about_what_it_answers() {
    let _turn = turn();
    let dir = TestDir::scratch("look-up");
    let writer = open(&dir, &LARGE);
    fill(&writer, 1, 1000, 8 << 20);
    let reader = reader(&dir);
    let end = reader.offsets().1.end.get();
    let before = read_so_far();
    for place in 0..100 {
        let offset = Offset::new(place * end / 100);
        let fetched = reader.fetch(offset, FetchLimit::bytes(1)).unwrap();
        assert_eq!(fetched.next_offset, offset.next());
        let time = Timestamp::from_millis(offset.as_i64());
        assert_eq!(reader.offset_for_time(time, ReadUpTo::Written).unwrap().unwrap().offset, offset);
        let latest = reader.log().offset_of_max_timestamp(ReadUpTo::Written).unwrap().unwrap();
        assert_eq!((latest.offset.get(), latest.timestamp.millis()), (end - 1, end.cast_signed() - 1));
    }
    let read = read_so_far() - before;
    assert!(read <= 300 * 32_000, "{read} bytes read for 300 look-ups");
    writer.close().unwrap();
}
