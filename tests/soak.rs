//! Two thousand partitions that are written, retained and compacted at once: maps, descriptors, memory and disk stay
//! bounded, and are back at the start after the close.
//!
//! Runs for some seconds; `RIVERBED_SOAK_SECONDS` asks for more.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test that measures")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use riverbed::{Partition, Record, Store, StoreConfig, StoreStats, TopicConfig};
use support::TestDir;
use support::random::Random;

/// Half of them are retained, and half compacted.
const PARTITIONS: u32 = 2_000;
const MAPS: usize = 400;
const DESCRIPTORS: usize = 300;
/// A partition keeps this, and as much again until retention comes; its active segment has room allocated ahead.
const KEPT: u64 = 4_000;
const SEGMENT: u64 = 2_000;
/// So many keys, each with a record of 900 bytes, are what a compacted partition keeps.
const KEYS: u64 = 4;
/// Records a second, two in a segment: each removal and each exchange is synced, and a disk that is shared does about a
/// hundred of them in a second. Who writes faster than that for long has more and more segments to wait for them.
const RATE: u64 = 250;
/// Every second record goes to one of the partitions whose numbers are multiples of this.
const HOT: u32 = 100;
const INTERVAL: Duration = Duration::from_millis(500);
/// Keys, indexes of active segments, what the allocator keeps.
const MEMORY: u64 = 256 << 20;

fn topic(store: &Store, name: &str, policy: (&str, &str)) -> Vec<Partition> {
    let config = TopicConfig::default().partitions(PARTITIONS / 2).set("segment.bytes", &SEGMENT.to_string());
    let config = config.and_then(|config| config.set(policy.0, policy.1)).unwrap();
    let topic = store.create_topic(name, config).unwrap();
    (0..PARTITIONS / 2).map(|number| topic.partition(number).unwrap()).collect()
}

#[test]
fn many_partitions_under_writers_retention_and_compaction_stay_within_bounds() {
    let seconds = std::env::var("RIVERBED_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let dir = TestDir::scratch("soaked");
    let before = Used::now(dir.path());
    let config = StoreConfig::default().max_maps(MAPS).max_descriptors(DESCRIPTORS).compaction_memory(1 << 20);
    let config = config.retention_check_interval(INTERVAL).compaction_check_interval(INTERVAL);
    let store = config.open(&dir).unwrap();
    let mut partitions = topic(&store, "events", ("retention.bytes", &KEPT.to_string()));
    partitions.extend(topic(&store, "tables", ("cleanup.policy", "compact")));
    let most = write(&store, &partitions, seconds, dir.path());
    let stats = store.stats().unwrap();
    tell(&most, &stats);
    for worker in [&stats.retention, &stats.compaction] {
        assert_eq!((worker.failures, stats.not_open.len()), (0, 0), "{:?}", worker.first_error);
        assert!(worker.passes > 0);
    }
    assert!(most.maps <= MAPS && most.descriptors <= before.descriptors + DESCRIPTORS, "{most:?}");
    assert!(most.memory <= before.memory + MEMORY, "{most:?}");
    store.retain().unwrap();
    // All of them would take a minute: an exchange is ten syncs.
    let some = || partitions.iter().step_by(25);
    some().skip(40).for_each(|partition| _ = partition.compact().unwrap());
    for partition in some() {
        let kept: u64 = partition.segments().iter().map(|segment| segment.size()).sum();
        assert!(kept <= KEPT + SEGMENT, "{} keeps {kept} bytes", partition.id());
    }
    drop(partitions);
    store.close().unwrap();
    let after = Used::now(dir.path());
    println!("closed: {after:?}");
    assert!(after.maps == 0 && after.descriptors <= before.descriptors, "{after:?} after {before:?}");
    // Up to half of a compacted log may be dirty: six segments of four files, and some files of the partition's own.
    assert!(after.disk <= u64::from(PARTITIONS) * 32 * 4_096, "{} bytes on disk", after.disk);
}

/// Two threads write for so long. The most that was used meanwhile.
fn write(store: &Store, partitions: &[Partition], seconds: u64, directory: &Path) -> Used {
    let (done, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let mut most = Used::default();
    thread::scope(|scope| {
        for seed in 0..2 {
            let (done, appended) = (&done, &appended);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while !done.load(Ordering::Relaxed) {
                    let step = if random.one_in(2) { HOT } else { 1 };
                    let number = random.below(u64::from(PARTITIONS / step)) * u64::from(step);
                    let partition = &partitions[usize::try_from(number).unwrap()];
                    let key = random.below(KEYS).to_be_bytes();
                    partition.append_record(&Record::new().key(&key).value(vec![7; 900])).unwrap();
                    let written = appended.fetch_add(1, Ordering::Relaxed);
                    while u128::from(written) * 1000 > start.elapsed().as_millis() * u128::from(RATE) {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        let mut next = 1;
        while start.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(INTERVAL);
            let used = Used::now(directory);
            most.raise(&used);
            if start.elapsed().as_secs() >= next {
                next *= 2;
                let (elapsed, stats) = (start.elapsed().as_secs(), store.stats().unwrap());
                println!("{elapsed:>4} s: {used:?}, {} appended", appended.load(Ordering::Relaxed));
                tell(&most, &stats);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    most
}

fn tell(most: &Used, stats: &StoreStats) {
    let removed: u64 = stats.partitions.iter().map(|partition| partition.removed.segments).sum();
    let rewritten: u64 = stats.partitions.iter().map(|partition| partition.compacted.segments).sum();
    let dirtiest = stats.partitions.iter().filter_map(|partition| partition.cleanable);
    let dirtiest = dirtiest.map(|cleanable| cleanable.cleanable_bytes).max().unwrap_or(0);
    println!(
        "at most {most:?}; {removed} segments removed in {} passes of {:?}, {rewritten} rewritten in {} of {:?}; {dirtiest} dirty bytes at most",
        stats.retention.passes, stats.retention.busy, stats.compaction.passes, stats.compaction.busy
    );
}

/// What the process uses, and the directory.
#[derive(Debug, Default)]
struct Used {
    memory: u64,
    maps: usize,
    descriptors: usize,
    disk: u64,
}

impl Used {
    fn now(directory: &Path) -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let memory = fs::read_to_string("/proc/self/statm").unwrap();
        Self {
            memory: memory.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096,
            maps: maps.lines().filter(|line| line.contains("/soaked-")).count(),
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            disk: bytes_below(directory),
        }
    }

    fn raise(&mut self, other: &Self) {
        self.memory = self.memory.max(other.memory);
        self.maps = self.maps.max(other.maps);
        self.descriptors = self.descriptors.max(other.descriptors);
        self.disk = self.disk.max(other.disk);
    }
}

/// What is removed while it is counted does not count.
fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let below = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(below).sum()
}
