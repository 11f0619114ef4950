//! Reads: everything from the start, each record decoded and each checksum checked; and single records at random.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod harness;

use harness::data::{MIB, batch, config, log_files, partition, payload};
use harness::{Amount, Bench, Entrant, floors, timed};
use riverbed::{DecompressionLimits, FetchLimit, Offset, Partition, PartitionOptions};

fn main() {
    let bench = Bench::from_args("scan");
    scan(&bench, "scan, 100 B in 16 KiB", 100, 16 << 10);
    scan(&bench, "scan, 1 KiB in 1 MiB", 1 << 10, 1 << 20);
    point(&bench);
}

fn scan(bench: &Bench, name: &str, value: usize, size: usize) {
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("scan");
    let (batch, total) = (batch(&payload(value), size), bench.scaled(512 * MIB));
    let settings = [("max.message.bytes", "2097152")];
    let writer = partition(&root, &settings);
    let count = total / batch.bytes.len() as u64;
    for _ in 0..count {
        writer.append(&batch.bytes).unwrap();
    }
    writer.close().unwrap();
    let files = log_files(&root);
    let figure = Entrant::new("riverbed", || {
        let options = PartitionOptions::default().config(config(&settings));
        let partition = Partition::open(root.join("bench-0"), options).unwrap();
        timed(|| assert_eq!(read_all(&partition), count * batch.records))
    });
    let floor = Entrant::new("checksum", || floors::checksum_files(&files, size));
    bench.contest(name, Amount { records: count * batch.records, bytes: total }, figure, vec![floor]);
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
