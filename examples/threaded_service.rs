//! riverbed inside a service with threads: workers record orders and wait until each survives a power cut, sharing the
//! syncs; a projection follows the log and keeps totals; a restart finds everything.
//!
//! ```sh
//! cargo run --release --example threaded_service
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "an example: it prints, and measures time")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use riverbed::{
    Acks, BatchBuilder, DecompressionLimits, ErrorKind, FetchLimit, Offset, Partition, ReadUpTo, Record, Result, Store,
    Timestamp, TopicConfig,
};

const WORKERS: u64 = 8;
const ORDERS_PER_WORKER: u64 = 250;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/threaded-service");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }

    // What a consumer sees is what survives a power cut.
    let config = TopicConfig::default().set("high.watermark", "durable")?;
    let store = Store::open(&dir)?;
    let orders = store.create_topic("orders", config)?.partition(0)?;

    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let totals = std::thread::scope(|scope| -> Result<BTreeMap<String, u64>> {
        let projection = scope.spawn(|| project(&orders, &stop));
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let orders = orders.clone();
                scope.spawn(move || take_orders(&orders, worker))
            })
            .collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        stop.store(true, Ordering::Release);
        projection.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{} orders, each durable before it was confirmed, in {seconds:.2} s", WORKERS * ORDERS_PER_WORKER);
    for (customer, amount) in &totals {
        println!("  {customer}: {amount}");
    }

    drop(orders);
    store.close()?;

    let store = Store::open(&dir)?;
    let stopped = AtomicBool::new(true);
    assert_eq!(project(&store.topic("orders")?.partition(0)?, &stopped)?, totals, "the log says the same again");
    println!("after a restart the log gives the same totals");
    store.close()?;
    Ok(())
}

/// A worker of the service: it confirms an order when it is durable. Workers that wait at the same time share a sync.
fn take_orders(orders: &Partition, worker: u64) -> Result<()> {
    let mut builder = BatchBuilder::new();
    for n in 0..ORDERS_PER_WORKER {
        let (customer, amount) = (format!("customer-{}", (worker + n) % 5), n % 7 + 1);
        let record = Record::new().key(customer).value(amount.to_string());
        builder.push(&record, Timestamp::from_millis(1_700_000_000_000))?;
        if let Some(batch) = builder.finish()? {
            let appended = orders.append_with(batch, Acks::Durable)?;
            assert_eq!(appended.offsets.start(), appended.offsets.end(), "one order a batch");
        }
    }
    Ok(())
}

/// Follows the log and adds up amounts, until the service stops and everything is read.
fn project(orders: &Partition, stop: &AtomicBool) -> Result<BTreeMap<String, u64>> {
    let (mut next, mut totals) = (Offset::ZERO, BTreeMap::new());
    loop {
        let stopping = stop.load(Ordering::Acquire);
        let fetched = orders.fetch(next, FetchLimit::bytes(1 << 16))?;
        for batch in fetched.batches() {
            for record in batch.payload(&DecompressionLimits::default())?.records() {
                let record = record?;
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                let amount: u64 = text(record.value()).parse().unwrap_or(0);
                *totals.entry(text(record.key())).or_default() += amount;
            }
        }
        if fetched.is_empty() && stopping {
            return Ok(totals);
        }
        next = fetched.next_offset;
        match orders.wait_readable(next, ReadUpTo::HighWatermark, Duration::from_millis(50)) {
            Err(error) if error.kind() != ErrorKind::Timeout => return Err(error),
            _ => {}
        }
    }
}
