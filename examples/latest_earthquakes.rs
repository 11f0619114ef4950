//! A compacted topic keeps the last record of each key: here the latest earthquake of each seismic network.
//!
//! ```sh
//! cargo run --release --example latest_earthquakes
//! ```

#![allow(clippy::print_stdout, reason = "an example: it prints")]

use std::path::Path;

use riverbed::{DecompressionLimits, FetchLimit, Partition, Record, Store, Timestamp, TopicConfig};
use serde_json::Value;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = root.join("target/latest-earthquakes");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let store = Store::open(&dir)?;
    let config = TopicConfig::default().set("cleanup.policy", "compact")?.set("segment.bytes", "50000")?;
    let latest = store.create_topic("latest", config)?.partition(0)?;

    // One record an event; the key is the network that reported it.
    let mut events: Vec<Value> = std::fs::read_to_string(root.join("examples/data/earthquakes.ndjson"))?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    events.sort_by_key(|event| event["time"].as_i64());
    for event in &events {
        let network = event["net"].as_str().ok_or("an event without a network")?;
        let time = Timestamp::from_millis(event["time"].as_i64().unwrap_or_default());
        let place = format!("magnitude {} {}", event["mag"], event["place"].as_str().unwrap_or_default());
        latest.append_record(&Record::new().key(network).value(place).timestamp(time))?;
    }
    // A null value deletes its key: this network is of no interest any more.
    latest.append_record(&Record::new().key("us").value(None::<&str>))?;

    // The segment that is written to is never compacted, so another is begun.
    latest.roll()?;
    println!("{} events in {} segments", events.len(), latest.segments().len());
    let done = latest.compact()?;
    println!(
        "compacted {} segments from {} to {} bytes: {} records are gone",
        done.segments, done.bytes_before, done.bytes_after, done.records_removed
    );
    print_all(&latest)?;
    store.close()?;
    Ok(())
}

/// Prints what is left: offsets are those of the first day, with gaps between them.
fn print_all(partition: &Partition) -> Result<(), Failure> {
    let mut next = partition.offsets().0;
    loop {
        let fetched = partition.fetch(next, FetchLimit::bytes(1 << 20))?;
        if fetched.is_empty() {
            return Ok(());
        }
        for batch in fetched.batches() {
            for record in batch.payload(&DecompressionLimits::default())?.records() {
                let record = record?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let value = record.value().map_or_else(|| "deleted".to_owned(), text);
                println!("offset {:>4}  {}  {value}", record.offset(), record.key().map(text).unwrap_or_default());
            }
        }
        next = fetched.next_offset;
    }
}
