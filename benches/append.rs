//! Appends: single records, small and large batches, not synced and synced, each beside the best bare loop.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod harness;

use std::path::Path;

use harness::data::{Batch, MIB, batch, partition, payload, store};
use harness::{Amount, Bench, Entrant, floors, timed};
use riverbed::{Acks, BatchBuilder, Partition, Record, Timestamp};

fn main() {
    let bench = Bench::from_args("append");
    singles(&bench);
    built(&bench);
    client(&bench, "client, 100 B in 16 KiB", 100, 16 << 10, 256);
    client(&bench, "client, 1 KiB in 16 KiB", 1 << 10, 16 << 10, 512);
    client(&bench, "prepared, 1 KiB in 1 MiB", 1 << 10, 1 << 20, 512);
    durable(&bench, "durable, 100 B", 100, 1, 2_000);
    durable(&bench, "durable, 1 KiB in 16 KiB", 1 << 10, 16 << 10, 2_000);
    durable_by_8(&bench);
}

/// Every loop puts `batch` over and over into a file of `total` bytes.
fn bare_loops<'a>(path: &'a Path, batch: &'a Batch, total: u64) -> Vec<Entrant<'a>> {
    let bytes = batch.bytes.as_slice();
    vec![
        Entrant::new("mapped", move || floors::mapped(path, bytes, total, None)),
        Entrant::new("mapped, populated", move || floors::mapped(path, bytes, total, Some(256 << 10))),
        Entrant::new("positioned", move || floors::positioned(path, bytes, total)),
    ]
}

/// Runs `fill` on a new partition; opening it and clearing up do not count.
fn figure<'a>(root: &'a Path, settings: &'a [(&str, &str)], mut fill: impl FnMut(&Partition) + 'a) -> Entrant<'a> {
    Entrant::new("riverbed", move || {
        let partition = partition(root, settings);
        let time = timed(|| fill(&partition));
        partition.truncate(riverbed::Offset::ZERO).unwrap();
        partition.close().unwrap();
        time
    })
}

/// The same on a partition of a new store, which has a thread that makes room ready.
fn figure_in_store<'a>(root: &'a Path, mut fill: impl FnMut(&Partition) + 'a) -> Entrant<'a> {
    Entrant::new("riverbed", move || {
        let store = store(root, &[("flush.messages", "1")]);
        let partition = store.topic("bench").unwrap().partition(0).unwrap();
        let time = timed(|| fill(&partition));
        store.delete_topic("bench").unwrap();
        store.close().unwrap();
        time
    })
}

/// Each record a batch of its own, published before the call returns, stamped by the coarse clock.
fn singles(bench: &Bench) {
    let name = "single, 100 B";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("single");
    let (value, total) = (payload(100), bench.scaled(256 * MIB));
    let batch = batch(&value, 1);
    let count = total / batch.bytes.len() as u64;
    let fill = |partition: &Partition| {
        let record = Record::new().value(value.as_slice());
        for _ in 0..count {
            partition.append_record(&record).unwrap();
        }
    };
    let amount = Amount { records: count, bytes: total };
    bench.contest(name, amount, figure(&root, &[], fill), bare_loops(&root.join("floor"), &batch, total));
}

/// Builder to disk: 100 B records gathered into batches of 16 KiB.
fn built(bench: &Bench) {
    let name = "built, 100 B in 16 KiB";
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("built");
    let (value, total) = (payload(100), bench.scaled(256 * MIB));
    let batch = batch(&value, 16 << 10);
    let count = total / batch.bytes.len() as u64;
    let fill = |partition: &Partition| {
        let record = Record::new().value(value.as_slice());
        let mut builder = BatchBuilder::new();
        for _ in 0..count {
            for _ in 0..batch.records {
                builder.push(&record, Timestamp::from_millis(1_700_000_000_000)).unwrap();
            }
            partition.append(builder.finish().unwrap().unwrap()).unwrap();
        }
    };
    let amount = Amount { records: count * batch.records, bytes: total };
    bench.contest(name, amount, figure(&root, &[], fill), bare_loops(&root.join("floor"), &batch, total));
}

/// Encoded batches as from a client: every record is walked and checked.
fn client(bench: &Bench, name: &str, value: usize, size: usize, mib: u64) {
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("client");
    let (batch, total) = (batch(&payload(value), size), bench.scaled(mib * MIB));
    let count = total / batch.bytes.len() as u64;
    let fill = |partition: &Partition| {
        for _ in 0..count {
            partition.append(&batch.bytes).unwrap();
        }
    };
    let amount = Amount { records: count * batch.records, bytes: total };
    let settings = [("max.message.bytes", "2097152")];
    bench.contest(name, amount, figure(&root, &settings, fill), bare_loops(&root.join("floor"), &batch, total));
}

/// Each append is synced before it returns.
fn durable(bench: &Bench, name: &str, value: usize, size: usize, count: u64) {
    if !bench.wants(name) {
        return;
    }
    let root = bench.directory("durable");
    let (batch, count) = (batch(&payload(value), size), bench.scaled(count));
    let fill = |partition: &Partition| {
        for _ in 0..count {
            partition.append(&batch.bytes).unwrap();
        }
    };
    let path = root.join("floor");
    let floor = Entrant::new("positioned, synced", || floors::positioned_synced(&path, &batch.bytes, count));
    let amount = Amount { records: count * batch.records, bytes: count * batch.bytes.len() as u64 };
    bench.contest(name, amount, figure_in_store(&root, fill), vec![floor]);
}

/// Eight threads that each wait for their record.
fn durable_by_8(bench: &Bench) {
    let name = "durable, 100 B, 8 threads";
    if !bench.wants(name) {
        return;
    }
    let (root, threads, count) = (bench.directory("durable"), 8, bench.scaled(16_000));
    let batch = batch(&payload(100), 1);
    let fill = |partition: &Partition| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..count / threads {
                        partition.append_with(&batch.bytes, Acks::Durable).unwrap();
                    }
                });
            }
        });
    };
    let path = root.join("floor");
    let floor =
        Entrant::new("leader, followers", || floors::positioned_synced_by_leader(&path, &batch.bytes, count, threads));
    let amount = Amount { records: count, bytes: count * batch.bytes.len() as u64 };
    bench.contest(name, amount, figure_in_store(&root, fill), vec![floor]);
}
