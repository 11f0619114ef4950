//! Reading beside a writer: what it costs, shown by the bytes that this process reads, never by time; and what is seen.
//!
//! The kernel counts for a whole process, so tests take turns.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests choose their numbers")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};

use parking_lot::{Mutex, MutexGuard};
use riverbed::{FetchLimit, Offset, Partition, PartitionOptions, ReadUpTo, Timestamp};
use support::partition::{self, bases, batch, config, counted, open, values};
use support::random::{Random, seed};
use support::{TestDir, child};

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

/// To look again was to read the last segment again from its beginning, for each record that came.
#[test]
fn following_a_writer_reads_what_is_new() {
    let _turn = turn();
    for segment_bytes in ["100000000", "30000"] {
        let dir = TestDir::scratch("follow");
        let writer = open(&dir, &[("segment.bytes", segment_bytes)]);
        writer.append(&batch(&[("v0", 0)])).unwrap();
        let reader = reader(&dir);
        let before = read_so_far();
        let mut next = Offset::ZERO;
        for n in 0..4000_i64 {
            reader.refresh().unwrap();
            let fetched = reader.fetch(next, FetchLimit::bytes(1 << 20).up_to(ReadUpTo::Written)).unwrap();
            let batches: Vec<_> = fetched.batches().map(|batch| batch.bytes().to_vec()).collect();
            assert_eq!((batches.len(), fetched.next_offset.as_i64()), (1, n + 1));
            next = fetched.next_offset;
            writer.append(&batch(&[(&format!("v{}", n + 1), n + 1)])).unwrap();
        }
        let read = read_so_far() - before;
        assert!(read <= 4000 * 40_000, "{read} bytes read to follow 4000 appends");
        reader.refresh().unwrap();
        assert_eq!(values(&reader, 0), counted(0, 4001));
        assert_eq!(bases(&reader), bases(&writer));
        writer.close().unwrap();
    }
}

/// A partition on its own that was opened read-only saw for ever what it saw at first.
#[test]
fn a_partition_on_its_own_looks_again() {
    let _turn = turn();
    let dir = TestDir::new("alone");
    let writer = open(&dir, &[("segment.bytes", "400")]);
    let reader = reader(&dir);
    partition::fill(&writer, 20);
    assert_eq!(values(&reader, 0), []);
    reader.refresh().unwrap();
    assert_eq!(values(&reader, 0), counted(0, 20));
    writer.truncate(Offset::new(11)).unwrap();
    reader.refresh().unwrap();
    assert_eq!(values(&reader, 0), counted(0, 11));
    writer.delete_records(..Offset::new(7)).unwrap();
    reader.refresh().unwrap();
    assert_eq!((reader.offsets().0, values(&reader, 7)), (Offset::new(7), counted(7, 11)));
    writer.refresh().unwrap();
    writer.close().unwrap();
    reader.refresh().unwrap();
    assert_eq!(values(&reader, 7), counted(7, 11));
}

/// A process that is told what to do, line by line, and answers with lines.
struct Helper {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    fn start(test: &str, dir: &TestDir) -> Self {
        let mut command = child::command(test, &dir.path().display().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the helper has ended");
            if let Some((_, answer)) = line.split_once("answer: ") {
                return answer.trim().to_owned();
            }
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a log reads, in few characters.
fn digest<'a>(start: u64, values: impl Iterator<Item = (u64, &'a str)>) -> String {
    let all: String = values.map(|(offset, value)| format!("{offset} {value}\n")).collect();
    format!("from {start}: {} lines, {:08x}", all.lines().count(), riverbed::crc32c(all.as_bytes()))
}

fn answer(text: &str) {
    println!("answer: {text}");
}

/// The orders of the test below, done by a process of its own.
#[test]
fn the_process_that_writes() {
    let Some(work) = child::work() else { return };
    let options = PartitionOptions::default().config(config(&SMALL));
    let partition = Partition::open(format!("{work}/orders-0"), options).unwrap();
    let end = || partition.offsets().1.end.get();
    answer(&end().to_string());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words[place].parse::<u64>().unwrap();
        match words[0] {
            "append" => {
                for _ in 0..number(2) {
                    let first = end();
                    let values: Vec<String> =
                        (first..=first + first % 4).map(|offset| value(offset, number(1))).collect();
                    let records: Vec<(&str, i64)> = values.iter().map(|value| (value.as_str(), 1)).collect();
                    partition.append(&batch(&records)).unwrap();
                }
            }
            "truncate" => drop(partition.truncate(Offset::new(number(1))).unwrap()),
            "delete" => drop(partition.delete_records(..Offset::new(number(1))).unwrap()),
            "roll" => drop(partition.roll().unwrap()),
            "sync" => drop(partition.sync().unwrap()),
            _ => partition.close().unwrap(),
        }
        answer(&end().to_string());
    }
}

/// The process that follows it.
#[test]
fn the_process_that_follows() {
    let Some(work) = child::work() else { return };
    let options = PartitionOptions::default().config(config(&SMALL)).read_only();
    let partition = Partition::open(format!("{work}/orders-0"), options).unwrap();
    for _ in std::io::stdin().lines() {
        partition.refresh().unwrap();
        let start = partition.offsets().0.get();
        let found = values(&partition, start);
        answer(&digest(start, found.iter().map(|(offset, value)| (*offset, value.as_str()))));
    }
}

const SMALL: [(&str, &str); 2] = [("segment.bytes", "3000"), ("index.interval.bytes", "200")];

/// What is written at an offset after so many cuts.
fn value(offset: u64, cuts: u64) -> String {
    format!("value {offset} after {cuts} cuts")
}

/// Two processes: one appends, rolls, cuts, deletes, closes and is killed, in between and in the midst of it; the other
/// reads at every look exactly what the first has written.
#[test]
fn a_follower_in_another_process_reads_what_the_writer_wrote() {
    let _turn = turn();
    let seed = seed();
    println!("RIVERBED_SEED={seed} cargo test --test following");
    let (dir, mut random) = (TestDir::scratch("two-processes"), Random::new(seed));
    let mut writer = Helper::start("the_process_that_writes", &dir);
    assert_eq!(writer.hear(), "0");
    let mut follower = Helper::start("the_process_that_follows", &dir);
    // What must be there: the values from offset 0 on, and how many of them are hidden.
    let (mut log, mut start, mut cuts): (Vec<String>, u64, u64) = (Vec::new(), 0, 0);
    for step in 0..300 {
        let len = log.len() as u64;
        let order = match random.below(20) {
            0 => {
                let at = start + random.below(len - start + 1);
                cuts += 1;
                format!("truncate {at}")
            }
            1 => {
                start += random.below((len - start) / 2 + 1);
                format!("delete {start}")
            }
            2 => "roll".to_owned(),
            3 => "sync".to_owned(),
            4 => "close".to_owned(),
            n => format!("append {cuts} {}", 1 + n % 5),
        };
        let killed = random.one_in(12);
        let mut end = if killed && order.starts_with("append") {
            writer.tell(&order);
            0
        } else {
            writer.ask(&order).parse::<u64>().unwrap()
        };
        if killed || order == "close" {
            drop(writer);
            writer = Helper::start("the_process_that_writes", &dir);
            end = writer.hear().parse().unwrap();
        }
        log.truncate(usize::try_from(end).unwrap());
        log.extend((log.len() as u64..end).map(|offset| value(offset, cuts)));
        start = start.min(end);
        let expected = (0..).zip(log.iter().map(String::as_str)).skip(usize::try_from(start).unwrap());
        assert_eq!(follower.ask("look"), digest(start, expected), "step {step}: {order}");
    }
}
