//! Two processes on one directory: a writer, and a reader that takes no lock, writes nothing and follows along.
//!
//! ```sh
//! cargo run --release --example follow_read_only              # starts both
//! cargo run --release --example follow_read_only -- DIR       # the reader alone, on any store or Kafka directory
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "an example: it prints, and waits")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use riverbed::{DecompressionLimits, FetchLimit, Offset, ReadUpTo, Record, Store, TopicConfig};

type Failure = Box<dyn std::error::Error>;

const COUNT: u64 = 500;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1) {
        Some(dir) => follow(Path::new(&dir)),
        None => write(),
    }
}

fn write() -> Result<(), Failure> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/follow-read-only");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let store = Store::open(&dir)?;
    let partition = store.create_topic("ticks", TopicConfig::default().set("segment.bytes", "10000")?)?.partition(0)?;
    partition.append_record(&Record::new().value("tick 0"))?;

    let mut reader = Command::new(std::env::current_exe()?).arg(&dir).spawn()?;
    for n in 1..COUNT {
        partition.append_record(&Record::new().value(format!("tick {n}")))?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let status = reader.wait()?;
    println!("writer: {COUNT} ticks in {} segments; the reader's status: {status}", partition.segments().len());
    store.close()?;
    if status.success() { Ok(()) } else { Err("the reader failed".into()) }
}

/// Reads until nothing new has come for a second.
fn follow(dir: &Path) -> Result<(), Failure> {
    let store = Store::open_read_only(dir)?;
    let topic = store.topics()?.into_iter().next().ok_or("the store has no topic yet")?;
    let partition = topic.partition(0)?;
    let (mut next, mut records, mut rounds) = (partition.offsets().0, 0_u64, 0_u64);
    let mut last_news = Instant::now();
    while last_news.elapsed() < Duration::from_secs(1) {
        let fetched = partition.fetch(next, FetchLimit::bytes(1 << 16).up_to(ReadUpTo::Written))?;
        if fetched.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
            store.refresh()?;
            rounds += 1;
            continue;
        }
        for batch in fetched.batches() {
            for record in batch.payload(&DecompressionLimits::default())?.records() {
                assert!(record?.offset() >= Offset::ZERO);
                records += 1;
            }
        }
        next = fetched.next_offset;
        last_news = Instant::now();
    }
    println!("reader: {records} records of {}, up to offset {next}, looked again {rounds} times", topic.name());
    Ok(())
}
