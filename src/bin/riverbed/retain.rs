//! `riverbed retain`: removes now what retention no longer wants, or tells what that is.

use std::io::Write;

use riverbed::{DueSegment, RetentionReason, Topic, TopicPartition};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;
use crate::numbers::counted;
use crate::partitions;
use crate::table::{self, table};

/// `retain [--dry-run]`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove nothing, and list what would go: works beside a writer
    #[arg(long)]
    dry_run: bool,
}

/// Removes, and tells how much; or lists.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    if !args.dry_run {
        return remove(context, out);
    }
    out.write_all(list(context)?.as_bytes()).map_err(|error| Stop::output(&error))
}

fn remove(context: &Context, out: &mut dyn Write) -> Outcome {
    let store = data_dir::open_to_change(context.dir()?)?;
    let (mut segments, mut bytes) = (0, 0);
    let every = |_: &Topic| true;
    let failures = partitions::each(&store, context, every, |_, _, partition| {
        let removed = partition.retain()?;
        segments += removed.segments;
        bytes += removed.bytes;
        Ok(())
    })?;
    let text = if context.json {
        Object::new().with("segments", segments).with("bytes", bytes).to_string()
    } else {
        format!("removed {}", sum(segments, bytes))
    };
    writeln!(out, "{text}").map_err(|error| Stop::output(&error))?;
    failures.tell()?;
    Ok(store.close()?)
}

fn list(context: &Context) -> Outcome<String> {
    let store = data_dir::open_to_read(context.dir()?)?;
    let due = store.due_segments()?;
    let rows: Vec<_> = due.iter().flat_map(|(partition, due)| due.iter().map(move |due| (partition, due))).collect();
    if context.json {
        return Ok(rows.iter().map(|(partition, due)| format!("{}\n", json(partition, due))).collect());
    }
    let bytes = rows.iter().map(|(_, due)| due.bytes).sum();
    let sum = format!("would remove {}\n", sum(rows.len() as u64, bytes));
    if rows.is_empty() {
        return Ok(sum);
    }
    let cells = |(partition, due): (&TopicPartition, &DueSegment)| {
        vec![
            partition.topic.to_string(),
            partition.partition.to_string(),
            due.base_offset.to_string(),
            due.end_offset.to_string(),
            table::bytes(due.bytes),
            reason(due.reason).to_owned(),
        ]
    };
    let columns = ["topic", ">partition", ">base offset", ">end offset", ">size", "reason"];
    Ok(table(&columns, rows.into_iter().map(cells)) + &sum)
}

fn json(partition: &TopicPartition, due: &DueSegment) -> Object {
    Object::new()
        .with("topic", partition.topic.as_str())
        .with("partition", partition.partition.get())
        .with("base_offset", due.base_offset.get())
        .with("end_offset", due.end_offset.get())
        .with("bytes", due.bytes)
        .with("reason", reason(due.reason))
}

/// What makes a segment go, by the name of the setting where there is one.
fn reason(reason: RetentionReason) -> &'static str {
    match reason {
        RetentionReason::LogStart => "log_start",
        RetentionReason::Size => "retention.bytes",
        RetentionReason::Age => "retention.ms",
        _ => "other",
    }
}

fn sum(segments: u64, bytes: u64) -> String {
    format!("{}, {}", counted(segments, "segment", "segments"), table::bytes(bytes))
}
