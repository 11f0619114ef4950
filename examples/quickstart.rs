//! The whole of riverbed on real data: a week of earthquakes goes into a topic, keyed by seismic network and stamped
//! with the time of the event; then it is replayed, searched by time, followed while it grows, and reopened.
//!
//! ```sh
//! cargo run --release --example quickstart [DIR]
//! ```
//!
//! It starts over each time: a store that is in DIR is removed first. A DIR that holds anything else is refused.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "an example: it prints, and measures time")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use riverbed::{
    DecompressionLimits, ErrorKind, FetchLimit, Offset, Partition, ReadUpTo, Record, Result, Store, Timestamp,
    TopicConfig,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One line of the input, and what of it matters here.
#[derive(Clone)]
struct Quake {
    line: String,
    network: String,
    time: Timestamp,
    magnitude: Option<f64>,
    place: String,
}

impl Quake {
    fn record(&self) -> Record<'_> {
        Record::new().key(self.network.as_str()).value(self.line.as_str()).timestamp(self.time)
    }
}

fn main() -> std::result::Result<(), Failure> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let dir = std::env::args().nth(1).map_or_else(|| root.join("target/quickstart"), PathBuf::from);
    let input = std::fs::read_to_string(root.join("examples/data/earthquakes.ndjson"))?;
    let quakes: Vec<Quake> = input.lines().map(parse).collect::<std::result::Result<_, _>>()?;
    start_over(&dir)?;
    println!("riverbed quickstart in {}\n", dir.display());

    let store = Store::open(&dir)?;
    // Events keep their own times, and these are older than the week that topics are kept by default.
    let topic = store.create_topic("earthquakes", TopicConfig::default().set("retention.ms", "-1")?)?;
    let partition = topic.partition(0)?;

    let (first, rest) = quakes.split_at(quakes.len() - 200);
    let start = Instant::now();
    append(&partition, first)?;
    partition.sync()?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes: usize = first.iter().map(|quake| quake.line.len()).sum();
    println!("appended   {} events, {bytes} bytes, synced, in {seconds:.3} s", first.len());

    replay(&partition)?;
    search(&partition)?;
    follow(&partition, rest)?;

    let (log_start, marks) = partition.offsets();
    println!("offsets    log start {log_start}, durable {}, log end {}", marks.durable, marks.end);
    drop(partition);
    store.close()?;
    reopen(&dir, quakes.len())
}

/// Removes what an earlier run left, and nothing else.
fn start_over(dir: &Path) -> std::result::Result<(), Failure> {
    let is_empty = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?.next().is_none(),
    };
    if !is_empty && !dir.join("riverbed.topics").is_file() {
        return Err(format!("{} holds something else than a riverbed store: it is left alone", dir.display()).into());
    }
    Ok(std::fs::remove_dir_all(dir)?)
}

fn parse(line: &str) -> std::result::Result<Quake, Failure> {
    let json: serde_json::Value = serde_json::from_str(line)?;
    Ok(Quake {
        line: line.to_string(),
        network: json["net"].as_str().ok_or("an event without a network")?.to_string(),
        time: Timestamp::from_millis(json["time"].as_i64().ok_or("an event without a time")?),
        magnitude: json["mag"].as_f64(),
        place: json["place"].as_str().unwrap_or("somewhere").to_string(),
    })
}

/// Appends in batches of a hundred.
fn append(partition: &Partition, quakes: &[Quake]) -> Result<()> {
    for chunk in quakes.chunks(100) {
        let records: Vec<_> = chunk.iter().map(Quake::record).collect();
        partition.append_records(&records)?;
    }
    Ok(())
}

/// Calls `each` with every record from `offset` on up to what is written now; answers where to go on.
fn read(
    partition: &Partition,
    mut offset: Offset,
    mut each: impl FnMut(Offset, &Quake),
) -> std::result::Result<Offset, Failure> {
    loop {
        let fetched = partition.fetch(offset, FetchLimit::bytes(1 << 20))?;
        if fetched.is_empty() {
            return Ok(offset);
        }
        for batch in fetched.batches() {
            for record in batch.payload(&DecompressionLimits::default())?.records() {
                let record = record?;
                if record.offset() >= offset {
                    each(record.offset(), &parse(std::str::from_utf8(record.value().unwrap_or_default())?)?);
                }
            }
        }
        offset = fetched.next_offset;
    }
}

/// From an offset on: how many events each network saw, and the strongest of all.
fn replay(partition: &Partition) -> std::result::Result<(), Failure> {
    let mut networks: BTreeMap<String, u32> = BTreeMap::new();
    let mut strongest: Option<(Offset, Quake)> = None;
    let from = Offset::new(500);
    let end = read(partition, from, |offset, quake| {
        *networks.entry(quake.network.clone()).or_default() += 1;
        if strongest.as_ref().is_none_or(|(_, best)| quake.magnitude > best.magnitude) {
            strongest = Some((offset, quake.clone()));
        }
    })?;
    let seen: Vec<_> = networks.iter().map(|(network, count)| format!("{network} {count}")).collect();
    println!("replayed   offsets {from} to {end}: {}", seen.join(", "));
    if let Some((offset, quake)) = strongest {
        let magnitude = quake.magnitude.unwrap_or_default();
        println!("strongest  M {magnitude} {}, {} (offset {offset})", quake.place, show(quake.time));
    }
    Ok(())
}

/// The first event, in offset order, that happened at a time or later.
fn search(partition: &Partition) -> std::result::Result<(), Failure> {
    let monday = Timestamp::from_millis(1_517_788_800_000);
    let found = partition.offset_for_time(monday, ReadUpTo::Written)?.ok_or("no event that late")?;
    println!("searched   from {} on: offset {}, {}", show(monday), found.offset, show(found.timestamp));
    Ok(())
}

/// A second thread follows the log while this one appends.
fn follow(partition: &Partition, more: &[Quake]) -> std::result::Result<(), Failure> {
    let (_, marks) = partition.offsets();
    let end = Offset::new(marks.end.get() + more.len() as u64);
    std::thread::scope(|scope| {
        let follower = scope.spawn(move || -> std::result::Result<(u32, u32), Failure> {
            let (mut next, mut events, mut wakes) = (marks.end, 0, 0);
            while next < end {
                match partition.wait_readable(next, ReadUpTo::Written, Duration::from_secs(5)) {
                    Err(error) if error.kind() == ErrorKind::Timeout => break,
                    waited => waited?,
                }
                wakes += 1;
                next = read(partition, next, |_, _| events += 1)?;
            }
            Ok((events, wakes))
        });
        for few in more.chunks(20) {
            append(partition, few)?;
            partition.sync()?;
        }
        let (events, wakes) = follower.join().map_err(|_| "the follower panicked")??;
        println!("followed   {events} events from another thread, in {wakes} fetches, while they were appended");
        Ok(())
    })
}

/// What was closed is there again.
fn reopen(dir: &PathBuf, expected: usize) -> std::result::Result<(), Failure> {
    let start = Instant::now();
    let store = Store::open(dir)?;
    let partition = store.topic("earthquakes")?.partition(0)?;
    let millis = start.elapsed().as_secs_f64() * 1e3;
    let mut events = 0;
    read(&partition, Offset::ZERO, |_, _| events += 1)?;
    let stored: u64 = store.stats()?.partitions.iter().map(|partition| partition.bytes).sum();
    println!("reopened   in {millis:.1} ms: {events} events in {stored} bytes, nothing to recover");
    assert_eq!(events, expected, "every event is there");
    assert!(store.recovery().is_empty(), "the store was closed cleanly");
    store.close()?;
    println!("\nlook inside: cargo run --release -- dump {}/earthquakes-0 --records", dir.display());
    Ok(())
}

fn show(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map_or_else(|_| time.to_string(), |time| time.to_string())
}
