//! `riverbed compact`: keeps only the last record of each key now, or tells what that would touch.

use std::io::Write;

use riverbed::{Cleanable, Compacted, Topic, TopicPartition};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;
use crate::numbers::counted;
use crate::partitions;
use crate::table::{self, table};

/// `compact [--dry-run]`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Change nothing, and list what could be compacted: works beside a writer
    #[arg(long)]
    dry_run: bool,
}

/// Compacts, and tells what came of it; or lists.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    if !args.dry_run {
        return compact(context, out);
    }
    out.write_all(list(context)?.as_bytes()).map_err(|error| Stop::output(&error))
}

fn compact(context: &Context, out: &mut dyn Write) -> Outcome {
    let store = data_dir::open_to_change(context.dir()?)?;
    let mut done = Compacted::default();
    let is_compacted =
        |topic: &Topic| topic.config().get("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
    let failures = partitions::each(&store, context, is_compacted, |_, _, partition| {
        done = done.plus(partition.compact()?);
        Ok(())
    })?;
    let text = if context.json {
        let line = Object::new().with("segments", done.segments).with("bytes_before", done.bytes_before);
        line.with("bytes_after", done.bytes_after).with("records_removed", done.records_removed).to_string()
    } else {
        let (before, after) = (table::bytes(done.bytes_before), table::bytes(done.bytes_after));
        let segments = counted(done.segments, "segment", "segments");
        let records = counted(done.records_removed, "record", "records");
        format!("rewrote {segments}, {before} to {after}, without {records}")
    };
    writeln!(out, "{text}").map_err(|error| Stop::output(&error))?;
    failures.tell()?;
    Ok(store.close()?)
}

fn list(context: &Context) -> Outcome<String> {
    let store = data_dir::open_to_read(context.dir()?)?;
    let list = store.cleanable()?;
    if context.json {
        return Ok(list.iter().map(|(partition, cleanable)| format!("{}\n", json(partition, cleanable))).collect());
    }
    let bytes = list.iter().map(|(_, cleanable)| cleanable.cleanable_bytes).sum();
    let sum = format!("{}, {} to clean\n", counted(list.len() as u64, "partition", "partitions"), table::bytes(bytes));
    if list.is_empty() {
        return Ok(sum);
    }
    let cells = |(partition, cleanable): &(TopicPartition, Cleanable)| {
        vec![
            partition.topic.to_string(),
            partition.partition.to_string(),
            cleanable.first_dirty.to_string(),
            cleanable.first_uncleanable.to_string(),
            table::bytes(cleanable.clean_bytes),
            table::bytes(cleanable.cleanable_bytes),
            format!("{:.2}", cleanable.dirty_ratio()),
        ]
    };
    let columns = ["topic", ">partition", ">first dirty", ">first uncleanable", ">clean", ">cleanable", ">dirty ratio"];
    Ok(table(&columns, list.iter().map(cells)) + &sum)
}

fn json(partition: &TopicPartition, cleanable: &Cleanable) -> Object {
    Object::new()
        .with("topic", partition.topic.as_str())
        .with("partition", partition.partition.get())
        .with("first_dirty", cleanable.first_dirty.get())
        .with("first_uncleanable", cleanable.first_uncleanable.get())
        .with("clean_bytes", cleanable.clean_bytes)
        .with("cleanable_bytes", cleanable.cleanable_bytes)
        .with("dirty_ratio", cleanable.dirty_ratio())
}
