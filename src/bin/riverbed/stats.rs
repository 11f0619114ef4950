//! `riverbed stats`: topics, partitions, segments, bytes, offsets, dirty ratios, rates, damage.

use std::io::Write;

use riverbed::{FetchLimit, PartitionStats, ReadUpTo, Store, StoreStats, TopicPartition};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;
use crate::numbers::counted;
use crate::table::{self, table};

/// Prints a line a partition, and a sum for people.
pub fn run(context: &Context, out: &mut dyn Write) -> Outcome {
    let store = data_dir::open_to_read(context.dir()?)?;
    let StoreStats { mut partitions, not_open, .. } = store.stats()?;
    for stats in &mut partitions {
        stats.producers = producers(&store, stats);
    }
    let mut rows = Vec::new();
    for stats in &partitions {
        rows.push((stats, Rates::of(&store, stats)));
    }
    let recovery = store.recovery();
    let damage: Vec<_> = recovery.iter().filter_map(|(id, found)| Some((id, found.damage.first()?))).collect();
    let text: String = if context.json {
        let closed = not_open.iter().map(|(partition, error)| place(partition).with("error", error.to_string()));
        let open = rows.iter().map(|(stats, rates)| {
            let damaged = damage.iter().find(|(id, _)| **id == stats.partition);
            json(stats, *rates, damaged.map(|(_, damage)| damage.to_string()))
        });
        open.chain(closed).map(|line| format!("{line}\n")).collect()
    } else {
        let closed = not_open.iter().map(|(partition, error)| format!("{partition} could not be opened: {error}\n"));
        let is_open = |id: &TopicPartition| partitions.iter().any(|stats| stats.partition == *id);
        let damaged = damage.iter().filter(|(id, _)| is_open(id));
        let damaged = damaged.map(|(partition, damage)| format!("{partition} is damaged: {damage}\n"));
        for_people(&rows) + &damaged.collect::<String>() + &closed.collect::<String>()
    };
    out.write_all(text.as_bytes()).map_err(|error| Stop::output(&error))
}

/// How fast a partition grew, by the timestamps of its records.
#[derive(Clone, Copy, Debug)]
struct Rates {
    records: f64,
    bytes: f64,
}

impl Rates {
    /// None for a partition whose records span no time, or cannot be read.
    fn of(store: &Store, stats: &PartitionStats) -> Option<Self> {
        let topic = store.topic(stats.partition.topic.as_str()).ok()?;
        let partition = topic.partition(stats.partition.partition.get()).ok()?;
        let limit = FetchLimit::bytes(0).up_to(ReadUpTo::Written);
        let fetched = partition.fetch(stats.log_start, limit).ok()?;
        let first = fetched.batches().next()?.header().base_timestamp;
        let last = partition.log().offset_of_max_timestamp(ReadUpTo::Written).ok()??.timestamp;
        let millis = u32::try_from(last.millis().checked_sub(first.millis())?).ok().filter(|millis| *millis > 0)?;
        let records = stats.marks.end.since(stats.log_start)?;
        #[expect(clippy::cast_precision_loss, reason = "rates are for people")]
        let rate = |amount: u64| amount as f64 * 1000.0 / f64::from(millis);
        Some(Self { records: rate(records), bytes: rate(stats.bytes) })
    }
}

/// How many producers a partition knows, which a store does not count before somebody needs them.
fn producers(store: &Store, stats: &PartitionStats) -> Option<usize> {
    let topic = store.topic(stats.partition.topic.as_str()).ok()?;
    let partition = topic.partition(stats.partition.partition.get()).ok()?;
    Some(partition.log().producers().ok()?.len())
}

fn place(partition: &TopicPartition) -> Object {
    Object::new().with("topic", partition.topic.as_str()).with("partition", partition.partition.get())
}

/// Of a partition that is open; `damage` is what opening found in it.
fn json(stats: &PartitionStats, rates: Option<Rates>, damage: Option<String>) -> Object {
    place(&stats.partition)
        .with("error", damage)
        .with("segments", stats.segments)
        .with("bytes", stats.bytes)
        .with("log_start", stats.log_start.get())
        .with("last_stable", stats.marks.last_stable.get())
        .with("high_watermark", stats.marks.high.get())
        .with("durable", stats.marks.durable.get())
        .with("log_end", stats.marks.end.get())
        .with("producers", stats.producers)
        .with("late_transactions", stats.late_transactions)
        .with("dirty_ratio", stats.cleanable.map(|cleanable| cleanable.dirty_ratio()))
        .with("records_per_second", rates.map(|rates| rates.records))
        .with("bytes_per_second", rates.map(|rates| rates.bytes))
}

fn for_people(rows: &[(&PartitionStats, Option<Rates>)]) -> String {
    let cells = |(stats, rates): &(&PartitionStats, Option<Rates>)| {
        let rate =
            |rate: fn(&Rates) -> f64| rates.as_ref().map_or_else(|| "-".into(), |rates| format!("{:.1}", rate(rates)));
        vec![
            stats.partition.topic.to_string(),
            stats.partition.partition.to_string(),
            stats.segments.to_string(),
            table::bytes(stats.bytes),
            stats.log_start.to_string(),
            stats.marks.last_stable.to_string(),
            stats.marks.high.to_string(),
            stats.marks.durable.to_string(),
            stats.marks.end.to_string(),
            stats.producers.map_or_else(|| "-".into(), |known| known.to_string()),
            stats.late_transactions.to_string(),
            stats.cleanable.map_or_else(|| "-".into(), |cleanable| format!("{:.2}", cleanable.dirty_ratio())),
            rate(|rates| rates.records),
            rate(|rates| rates.bytes),
        ]
    };
    let columns = [
        "topic",
        ">partition",
        ">segments",
        ">size",
        ">log start",
        ">last stable",
        ">high watermark",
        ">durable",
        ">log end",
        ">producers",
        ">late transactions",
        ">dirty ratio",
        ">records/s",
        ">bytes/s",
    ];
    let (segments, bytes) =
        rows.iter().fold((0, 0), |(segments, bytes), (stats, _)| (segments + stats.segments, bytes + stats.bytes));
    let sum = format!(
        "{}, {}, {}\n",
        counted(rows.len() as u64, "partition", "partitions"),
        counted(segments as u64, "segment", "segments"),
        table::bytes(bytes)
    );
    table(&columns, rows.iter().map(cells)) + &sum
}
