//! Ten thousand partitions in one process: what they cost, and that their maps and descriptors stay within the budgets.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a test that measures")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

use riverbed::{Partition, Record, Store, StoreConfig, TopicConfig};
use support::TestDir;
use support::partition::{counted, values};

const TOPICS: u32 = 10;
const PARTITIONS: u32 = 1_000;
const ALL: u64 = (TOPICS * PARTITIONS) as u64;
const MAPS: usize = 200;
const DESCRIPTORS: usize = 150;

/// Of each topic, as many are written to: more than may be mapped or open.
const WRITTEN: u32 = 100;

#[test]
fn ten_thousand_partitions_cost_little_and_keep_within_their_budgets() {
    let dir = TestDir::scratch("many");
    let before = Used::now();
    let store = timed("create", || create(&dir));
    println!("{} bytes on disk a partition", bytes_below(dir.path()) / ALL);
    timed("close, none written", || store.close().unwrap());
    assert_bare(&dir.join("topic-3-7"));

    let store = timed("open, closed cleanly", || open(&dir));
    let opened = Used::now();
    let each = (opened.memory.saturating_sub(before.memory)) / ALL;
    println!("{each} bytes of memory a partition, {} maps, {} descriptors more", opened.maps, opened.descriptors);
    assert!(each < 64 << 10, "{each} bytes a partition that was not written to");
    assert!(opened.maps < 5 && opened.descriptors < before.descriptors + 5, "{opened:?}");

    timed("append to 1,000, five records each", || {
        for partition in written(&store) {
            fill(&partition);
            let used = Used::now_but_memory();
            assert!(used.maps <= MAPS && used.descriptors <= before.descriptors + DESCRIPTORS, "{used:?}");
        }
    });
    timed("read them", || written(&store).iter().for_each(|partition| assert_eq!(values(partition, 0), counted(0, 5))));
    let used = Used::now();
    println!("{used:?} of which {:?}", store.stats().unwrap().budget);
    assert!(used.maps <= MAPS && used.descriptors <= before.descriptors + DESCRIPTORS, "{used:?}");
    timed("close, 1,000 written", || store.close().unwrap());
    assert!(Used::now().maps == 0 && Used::now().descriptors <= before.descriptors, "{:?}", Used::now());

    let store = timed("open again", || open(&dir));
    assert_eq!(store.recovery(), [], "nothing had to be recovered");
    for what in ["look for what retention would remove", "look again"] {
        timed(what, || assert_eq!(store.due_segments().unwrap(), []));
        let used = Used::now_but_memory();
        assert!(used.maps < 5 && used.descriptors < before.descriptors + 5, "nothing is due, and yet: {used:?}");
    }
    timed("retain where nothing is due", || assert_eq!(store.retain().unwrap().segments, 0));
    for partition in written(&store) {
        assert_eq!(values(&partition, 0), counted(0, 5));
    }
    let all = store.stats().unwrap().partitions;
    assert_eq!((all.len() as u64, all.iter().filter(|one| one.bytes > 0).count()), (ALL, 1_000));
    assert_bare(&dir.join("topic-3-507"));
    timed("close, only read", || store.close().unwrap());
}

fn create(dir: &TestDir) -> Store {
    let store = open(dir);
    // A map is as long as the segment may become, and address space may be limited where this runs.
    let config = TopicConfig::default().partitions(PARTITIONS).set("segment.bytes", "16777216").unwrap();
    for topic in 0..TOPICS {
        store.create_topic(&format!("topic-{topic}"), config.clone()).unwrap();
    }
    store
}

fn open(dir: &TestDir) -> Store {
    StoreConfig::default().max_maps(MAPS).max_descriptors(DESCRIPTORS).open(dir).unwrap()
}

/// Those that are written to, topic by topic.
fn written(store: &Store) -> Vec<Partition> {
    let topics = store.topics().unwrap();
    topics.iter().flat_map(|topic| (0..WRITTEN).map(|number| topic.partition(number).unwrap())).collect()
}

fn fill(partition: &Partition) {
    for n in 0..5 {
        partition.append_record(&Record::new().value(format!("v{n}"))).unwrap();
    }
}

/// A partition that was never written to is its directory and the file that names its topic.
fn assert_bare(partition: &Path) {
    let names: Vec<_> = fs::read_dir(partition).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["partition.metadata"]);
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = run();
    println!("{what}: {:?}", start.elapsed());
    done
}

fn bytes_below(directory: &Path) -> u64 {
    let below = |entry: fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        metadata.blocks() * 512 + if metadata.is_dir() { bytes_below(&entry.path()) } else { 0 }
    };
    fs::read_dir(directory).unwrap().map(|entry| below(entry.unwrap())).sum()
}

/// What the process uses, as the kernel counts.
#[derive(Debug)]
struct Used {
    memory: u64,
    /// Of files of the data directory.
    maps: usize,
    descriptors: usize,
}

impl Used {
    fn now() -> Self {
        let pages = fs::read_to_string("/proc/self/statm").unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        Self { memory: resident * 4096, ..Self::now_but_memory() }
    }

    fn now_but_memory() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let maps = maps.lines().filter(|line| line.contains("/topic-")).count();
        Self { memory: 0, maps, descriptors: fs::read_dir("/proc/self/fd").unwrap().count() }
    }
}
