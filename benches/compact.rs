//! Compaction: both passes and the exchange, synced, beside a bare copy and checksum of the same bytes; and how much
//! memory ten million keys take.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it watches memory and time")]

mod harness;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::data::{MIB, config, log_files, partition, payload};
use harness::{Amount, Bench, Entrant, Spent, floors, timed};
use riverbed::{BatchBuilder, Compacted, FetchLimit, Offset, Partition, PartitionOptions, Record, Timestamp};

const OPERATIONS: usize = 500_000;

const SETTINGS: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("segment.bytes", "134217728"), ("max.message.bytes", "2097152")];

fn main() {
    let bench = Bench::from_args("compact");
    compact(&bench, "1 KiB in 1 MiB, of 4 one stays", 1 << 10, 1 << 20, 4);
    compact(&bench, "100 B in 16 KiB, of 4 one stays", 100, 16 << 10, 4);
    compact(&bench, "100 B in 16 KiB, all stay", 100, 16 << 10, 1);
    latency(&bench);
    memory(&bench);
}

/// Writes `total` bytes; each key comes `times` times, all of them over and over. Answers how many records.
fn fill(root: &Path, value: usize, size: usize, total: u64, times: u64) -> u64 {
    let partition = partition(root, &SETTINGS);
    let (value, time) = (payload(value), Timestamp::from_millis(1_700_000_000_000));
    let records = total / (value.len() as u64 + 16);
    let keys = (records / times).max(1);
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        // Neighbours in the log are no neighbours among the keys.
        let key = (n % keys).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().to_vec();
        let record = Record::new().key(key).value(&value);
        if builder.size_with(&record) > size {
            partition.append(builder.finish().unwrap().unwrap()).unwrap();
        }
        builder.push(&record, time).unwrap();
    }
    partition.append(builder.finish().unwrap().unwrap()).unwrap();
    partition.roll().unwrap();
    partition.close().unwrap();
    records
}

fn compact(bench: &Bench, name: &str, value: usize, size: usize, times: u64) {
    if !bench.wants(name) {
        return;
    }
    let (root, copy) = (bench.directory("compact"), bench.directory("compact-copy"));
    let records = fill(&root, value, size, bench.scaled(512 * MIB), times);
    let files = log_files(&root);
    let bytes = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    let figure = Entrant::new("riverbed", || {
        let path = copy_of(&root.join("bench-0"), &copy);
        let partition = Partition::open(path, PartitionOptions::default().config(config(&SETTINGS))).unwrap();
        let mut done = Compacted::default();
        let spent = timed(|| done = partition.compact().unwrap());
        assert!(times == 1 || done.bytes_after < done.bytes_before / 2, "{done:?}");
        partition.close().unwrap();
        spent
    });
    let floor = Entrant::new("copy, checksum, sync", || bare_copy(&files, &bench.directory("compact-floor"), size));
    bench.contest(name, Amount { records, bytes }, figure, vec![floor]);
}

/// A copy of the partition, so that each round finds it dirty.
fn copy_of(from: &Path, root: &Path) -> PathBuf {
    let to = root.join("bench-0");
    if to.exists() {
        std::fs::remove_dir_all(&to).unwrap();
    }
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

fn bare_copy(files: &[PathBuf], to: &Path, size: usize) -> Spent {
    timed(|| {
        let mut sum = 0;
        for (number, file) in files.iter().enumerate() {
            let bytes = std::fs::read(file).unwrap();
            let mut out = File::create(to.join(number.to_string())).unwrap();
            for piece in bytes.chunks(size) {
                sum ^= floors::crc32c(piece);
                out.write_all(piece).unwrap();
            }
            out.sync_data().unwrap();
        }
        std::hint::black_box(sum);
    })
}

/// How long single appends and fetches of a partition take while it is compacted, and as many of them before.
fn latency(bench: &Bench) {
    let name = "latency beside a compaction";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("compact-latency");
    fill(&root, 100, 16 << 10, bench.scaled(512 * MIB), 4);
    let options = PartitionOptions::default().config(config(&SETTINGS));
    let partition = Partition::open(root.join("bench-0"), options).unwrap();
    let alone = operations(&partition, |count| count < OPERATIONS);
    let done = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            partition.compact().unwrap();
            done.store(true, Ordering::Relaxed);
        });
        operations(&partition, |_| !done.load(Ordering::Relaxed))
    });
    for (what, [mut appends, mut fetches]) in [("alone", alone), ("beside it", beside)] {
        let told = [&mut appends, &mut fetches].map(|times| {
            times.sort_unstable();
            let at = |share: usize| times[(times.len() - 1) * share / 1000].as_nanos();
            format!("{} / {} / {} ns", at(500), at(990), at(999))
        });
        let count = appends.len();
        println!("{name}, {what}: {count} times, p50/p99/p99.9: append {}, fetch {}", told[0], told[1]);
    }
    partition.close().unwrap();
}

/// Appends a record, and fetches one from somewhere, as long as `goes_on` says so.
fn operations(partition: &Partition, goes_on: impl Fn(usize) -> bool) -> [Vec<Duration>; 2] {
    let (value, mut place, mut times) = (payload(100), 1_u64, [Vec::new(), Vec::new()]);
    while goes_on(times[0].len()) {
        let start = Instant::now();
        partition.append_record(&Record::new().key("k").value(&value)).unwrap();
        times[0].push(start.elapsed());
        place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let offset = Offset::new((place >> 33) % partition.offsets().1.end.get());
        let start = Instant::now();
        partition.fetch(offset, FetchLimit::bytes(1)).unwrap();
        times[1].push(start.elapsed());
    }
    times
}

/// Ten million keys in maps of 16 MiB: how far the process grows.
fn memory(bench: &Bench) {
    let name = "memory, 10 million keys";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("compact-memory");
    let keys = fill(&root, 8, 1 << 20, bench.scaled(10_000_000 * 24), 1);
    let bound = 16 << 20;
    let options = PartitionOptions::default().config(config(&SETTINGS)).compaction_memory(bound);
    let partition = Partition::open(root.join("bench-0"), options).unwrap();
    let (before, done) = (anonymous_kib(), AtomicBool::new(false));
    let most = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous_kib());
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        partition.compact().unwrap();
        done.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    println!("{name:<34} {keys} keys, a bound of {} KiB: {before} KiB before, {most} KiB at most", bound / 1024);
    assert!(most <= before + bound as u64 / 1024 + 8 * 1024, "more than the bound and some buffers");
    partition.close().unwrap();
}

/// Memory that is no file's, in KiB.
fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
