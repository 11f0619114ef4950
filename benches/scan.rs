//! Reads: everything from the start, each record decoded and each checksum checked, as the writer and beside one; and
//! single records at random.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod harness;

use std::path::Path;

use harness::data::{MIB, batch, config, log_files, partition, payload};
use harness::{Amount, Bench, Entrant, Spent, floors, timed};
use riverbed::{DecompressionLimits, FetchLimit, Offset, Partition, PartitionOptions};

fn main() {
    let bench = Bench::from_args("scan");
    scan(&bench, "scan, 100 B in 16 KiB", 100, 16 << 10);
    scan(&bench, "scan, 1 KiB in 1 MiB", 1 << 10, 1 << 20);
    beside(&bench, 100, 16 << 10);
    point(&bench);
}

fn scan(bench: &Bench, name: &str, value: usize, size: usize) {
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("scan");
    let (writer, amount) = filled(bench, &root, value, size);
    writer.close().unwrap();
    let files = log_files(&root);
    let options = PartitionOptions::default().config(config(&SETTINGS));
    let figure = Entrant::new("riverbed", || scan_once(&root, options.clone(), amount));
    let floor = Entrant::new("checksum", || floors::checksum_files(&files, size));
    bench.contest(name, amount, figure, vec![floor]);
}

/// The same bytes read-only: beside a writer that has them open, against those that it closed.
fn beside(bench: &Bench, value: usize, size: usize) {
    let name = "scan beside a writer";
    if !bench.wants(name) {
        return;
    }
    let (open, closed) = (bench.directory("scan-open"), bench.directory("scan-closed"));
    let (writer, amount) = filled(bench, &open, value, size);
    filled(bench, &closed, value, size).0.close().unwrap();
    let options = PartitionOptions::default().config(config(&SETTINGS)).read_only();
    let figure = Entrant::new("open", || scan_once(&open, options.clone(), amount));
    let floor = Entrant::new("closed", || scan_once(&closed, options.clone(), amount));
    bench.contest(name, amount, figure, vec![floor]);
    writer.close().unwrap();
}

const SETTINGS: [(&str, &str); 1] = [("max.message.bytes", "2097152")];

/// A new partition in `root` with batches of `size` bytes, and how much that is.
fn filled(bench: &Bench, root: &Path, value: usize, size: usize) -> (Partition, Amount) {
    let (batch, bytes) = (batch(&payload(value), size), bench.scaled(512 * MIB));
    let writer = partition(root, &SETTINGS);
    let count = bytes / batch.bytes.len() as u64;
    for _ in 0..count {
        writer.append(&batch.bytes).unwrap();
    }
    (writer, Amount { records: count * batch.records, bytes })
}

fn scan_once(root: &Path, options: PartitionOptions, amount: Amount) -> Spent {
    let partition = Partition::open(root.join("bench-0"), options).unwrap();
    timed(|| assert_eq!(read_all(&partition), amount.records))
}

/// Reads every record and looks at every value; the partition was opened just now, so every checksum is checked.
fn read_all(partition: &Partition) -> u64 {
    let (mut next, mut records, mut bytes) = (Offset::ZERO, 0, 0);
    let limits = DecompressionLimits::default();
    loop {
        let fetched = partition.fetch(next, FetchLimit::bytes(1 << 20)).unwrap();
        if fetched.is_empty() {
            std::hint::black_box(bytes);
            return records;
        }
        for batch in fetched.batches() {
            for record in batch.payload(&limits).unwrap().records() {
                bytes += record.unwrap().value().map_or(0, <[u8]>::len);
                records += 1;
            }
        }
        next = fetched.next_offset;
    }
}

fn point(bench: &Bench) {
    let name = "point read, 100 B";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("point");
    let partition = partition(&root, &[]);
    let batch = batch(&payload(100), 1);
    let (count, reads) = (bench.scaled(1_000_000), bench.scaled(500_000));
    for _ in 0..count {
        partition.append(&batch.bytes).unwrap();
    }
    let limits = DecompressionLimits::default();
    let figure = Entrant::new("riverbed", || {
        let mut place: u64 = 1;
        timed(|| {
            for _ in 0..reads {
                place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let offset = Offset::new((place >> 33) % count);
                let fetched = partition.fetch(offset, FetchLimit::bytes(1)).unwrap();
                let batch = fetched.batches().next().unwrap();
                let payload = batch.payload(&limits).unwrap();
                assert_eq!(payload.records().next().unwrap().unwrap().offset(), offset);
            }
        })
    });
    bench.contest(name, Amount { records: reads, bytes: reads * batch.bytes.len() as u64 }, figure, Vec::new());
    partition.close().unwrap();
}
