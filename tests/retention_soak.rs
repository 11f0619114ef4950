//! Two thousand partitions that are written and retained at once: maps, descriptors, memory and disk stay bounded, and
//! are back at the start after the close.
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

use riverbed::{Partition, Record, StoreConfig, TopicConfig};
use support::TestDir;
use support::random::Random;

const PARTITIONS: u32 = 2_000;
const MAPS: usize = 400;
const DESCRIPTORS: usize = 300;
/// A partition keeps this, and as much again until retention comes; its active segment has room allocated ahead.
const KEPT: u64 = 4_000;
const SEGMENT: u64 = 2_000;

#[test]
fn many_partitions_under_writers_and_retention_stay_within_bounds() {
    let seconds = std::env::var("RIVERBED_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let dir = TestDir::scratch("soak");
    let before = Used::now(dir.path());
    let config = StoreConfig::default().max_maps(MAPS).max_descriptors(DESCRIPTORS);
    let store = config.retention_check_interval(Duration::from_millis(500)).open(&dir).unwrap();
    let topic = TopicConfig::default()
        .partitions(PARTITIONS)
        .set("segment.bytes", &SEGMENT.to_string())
        .and_then(|topic| topic.set("retention.bytes", &KEPT.to_string()))
        .unwrap();
    let topic = store.create_topic("soak", topic).unwrap();
    let partitions: Vec<Partition> = (0..PARTITIONS).map(|number| topic.partition(number).unwrap()).collect();
    let (done, appended) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let mut most = Used::default();
    thread::scope(|scope| {
        for seed in 0..2 {
            let (partitions, done, appended) = (&partitions, &done, &appended);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while !done.load(Ordering::Relaxed) {
                    let partition = &partitions[usize::try_from(random.below(PARTITIONS.into())).unwrap()];
                    partition.append_record(&Record::new().key("k").value(vec![7; 900])).unwrap();
                    appended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut tell = 1;
        while start.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(Duration::from_millis(500));
            let used = Used::now(dir.path());
            most.raise(&used);
            if start.elapsed().as_secs() >= tell {
                tell *= 2;
                println!("{:>4} s: {used:?}, {} appended", start.elapsed().as_secs(), appended.load(Ordering::Relaxed));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let stats = store.stats().unwrap();
    let removed: u64 = stats.partitions.iter().map(|partition| partition.removed.segments).sum();
    println!("at most {most:?}; {removed} segments removed in {} passes", stats.retention.passes);
    assert_eq!((stats.retention.failures, stats.not_open.len()), (0, 0), "{:?}", stats.retention.first_error);
    assert!(most.maps <= MAPS && most.descriptors <= before.descriptors + DESCRIPTORS, "{most:?}");
    store.retain().unwrap();
    let kept: u64 = store.stats().unwrap().partitions.iter().map(|partition| partition.bytes).sum();
    assert!(kept <= u64::from(PARTITIONS) * (KEPT + SEGMENT), "{kept} bytes are kept");
    drop((partitions, topic));
    store.close().unwrap();
    let after = Used::now(dir.path());
    println!("closed: {after:?}");
    assert!(after.maps == 0 && after.descriptors <= before.descriptors, "{after:?} after {before:?}");
    assert!(after.disk <= 2 * u64::from(PARTITIONS) * 32_768, "{} bytes on disk", after.disk);
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
            maps: maps.lines().filter(|line| line.contains("/soak-")).count(),
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
