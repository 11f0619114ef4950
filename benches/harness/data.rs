//! Records and batches to append, and directories full of them.

use std::path::{Path, PathBuf};

use riverbed::{BatchBuilder, LogConfig, Partition, PartitionOptions, Record, Store, Timestamp, TopicConfig};

pub const MIB: u64 = 1 << 20;

/// Bytes that look like nothing in particular.
pub fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 131 % 251) as u8).collect()
}

/// A batch of as many records with values of `value` bytes as fit into `batch` bytes, at least one.
pub fn batch(value: &[u8], batch: usize) -> Batch {
    let mut builder = BatchBuilder::new();
    let record = Record::new().value(value);
    let time = Timestamp::from_millis(1_700_000_000_000);
    let mut records = 0;
    while records == 0 || builder.size_with(&record) <= batch {
        builder.push(&record, time).unwrap();
        records += 1;
    }
    Batch { records, bytes: builder.finish().unwrap().unwrap().to_vec() }
}

pub struct Batch {
    pub records: u64,
    pub bytes: Vec<u8>,
}

/// Kafka's defaults with these settings.
pub fn config(settings: &[(&str, &str)]) -> LogConfig {
    let mut config = LogConfig::default();
    for (name, value) in settings {
        config.set(name, value).unwrap();
    }
    config
}

/// A new partition in `root`.
pub fn partition(root: &Path, settings: &[(&str, &str)]) -> Partition {
    let path = root.join("bench-0");
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    Partition::open(path, PartitionOptions::default().config(config(settings))).unwrap()
}

/// A new store in `root`, with the topic `bench` of one partition.
pub fn store(root: &Path, settings: &[(&str, &str)]) -> Store {
    let path = root.join("store");
    if path.exists() {
        std::fs::remove_dir_all(&path).unwrap();
    }
    let store = Store::open(path).unwrap();
    let config = settings.iter().fold(TopicConfig::default(), |config, (name, value)| config.set(name, value).unwrap());
    store.create_topic("bench", config).unwrap();
    store
}

/// The `.log` files below `root`, in order.
pub fn log_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(log_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    found.sort();
    found
}
