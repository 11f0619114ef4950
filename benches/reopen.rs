//! Opening what was closed, and what was killed.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::data::{MIB, batch, config, log_files, partition, payload, store};
use harness::{Bench, Entrant, floors, timed};
use riverbed::{BatchBuilder, Partition, PartitionOptions, Record, Store, Timestamp, TopicConfig};

const LARGE: [(&str, &str); 1] = [("max.message.bytes", "2097152")];

fn main() {
    let bench = Bench::from_args("reopen");
    closed(&bench);
    many(&bench);
    killed(&bench);
}

/// A store that was closed cleanly is opened again; closing it does not count.
fn opening<'a>(path: &'a Path) -> Entrant<'a> {
    Entrant::new("riverbed", move || {
        let mut opened = None;
        let spent = timed(|| opened = Some(Store::open(path).unwrap()));
        opened.unwrap().close().unwrap();
        spent
    })
}

fn closed(bench: &Bench) {
    let name = "closed, 1 GiB";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("closed");
    let store = store(&root, &LARGE);
    let (batch, partition) = (batch(&payload(1 << 10), 1 << 20), store.topic("bench").unwrap().partition(0).unwrap());
    for _ in 0..bench.scaled(1 << 10) {
        partition.append(&batch.bytes).unwrap();
    }
    store.close().unwrap();
    let path = root.join("store");
    // The clean mark is overwritten before anything else, which is nearly all that such an opening does.
    let floor = Entrant::new("open files, replace one", || floors::open_files_and_replace_one(&path));
    bench.contest_of_time(name, opening(&path), vec![floor]);
    fs::remove_dir_all(root).unwrap();
}

/// Each partition has a record.
fn many(bench: &Bench) {
    let name = "closed, 10,000 partitions";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("many");
    let path = root.join("store");
    let store = Store::open(&path).unwrap();
    let partitions = u32::try_from(bench.scaled(10_000)).unwrap();
    let topic = store.create_topic("bench", TopicConfig::default().partitions(partitions)).unwrap();
    let mut builder = BatchBuilder::new();
    builder.push(&Record::new().value("v"), Timestamp::from_millis(1_700_000_000_000)).unwrap();
    let batch = builder.finish().unwrap().unwrap();
    for (_, partition) in topic.partitions().unwrap() {
        partition.unwrap().append(batch).unwrap();
    }
    store.close().unwrap();
    bench.contest_of_time(name, opening(&path), vec![Entrant::new("open files", || floors::open_files(&path))]);
    fs::remove_dir_all(root).unwrap();
}

/// A partition of which nothing was synced when its process died. Before each round the files beside the log are put
/// back as they were then.
fn killed(bench: &Bench) {
    let name = "killed, 1 GiB unsynced";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("killed");
    let (batch, writer) = (batch(&payload(1 << 10), 1 << 20), partition(&root, &LARGE));
    let count = bench.scaled(1 << 10) - 1;
    for _ in 0..count {
        writer.append(&batch.bytes).unwrap();
    }
    let path = root.join("bench-0");
    let beside = files_beside_logs(&path);
    let left: Vec<_> = beside.iter().map(|path| (path, fs::read(path).unwrap())).collect();
    writer.close().unwrap();
    let figure = Entrant::new("riverbed", || {
        files_beside_logs(&path).iter().for_each(|path| fs::remove_file(path).unwrap());
        left.iter().for_each(|(path, contents)| fs::write(path, contents).unwrap());
        let (options, mut opened) = (PartitionOptions::default().config(config(&LARGE)), None);
        let spent = timed(|| opened = Some(Partition::open(&path, options).unwrap()));
        let opened = opened.unwrap();
        assert_eq!(opened.offsets().1.end.get(), count * batch.records, "everything was checked and kept");
        opened.close().unwrap();
        spent
    });
    let files = log_files(&root);
    let floor = Entrant::new("checksum", || floors::checksum_files(&files, batch.bytes.len()));
    assert!(fs::metadata(&files[0]).unwrap().len() >= bench.scaled(1 << 10) * MIB / 2, "one segment has it all");
    bench.contest_of_time(name, figure, vec![floor]);
    fs::remove_dir_all(root).unwrap();
}

fn files_beside_logs(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_none_or(|extension| extension != "log")).collect()
}
