//! `riverbed truncate`: cuts a damaged tail on the user's word.

use std::io::Write;

use riverbed::{ErrorKind, Offset};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Failure, Outcome, Stop};
use crate::json::Object;

/// `truncate TOPIC PARTITION OFFSET`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic
    topic: String,
    /// The partition
    partition: u32,
    /// The first offset that goes
    offset: u64,
}

/// Cuts, and tells where the log ends now.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    let offset = i64::try_from(args.offset).ok().and_then(Offset::from_i64);
    let offset = offset
        .ok_or_else(|| Failure::new(ErrorKind::OffsetOutOfRange, format!("there is no offset {}", args.offset)))?;
    let store = data_dir::open_to_write(context.dir()?)?;
    let partition = store.topic(&args.topic)?.partition(args.partition)?;
    partition.truncate(offset)?;
    let end = partition.offsets().1.end;
    store.close()?;
    let line = if context.json {
        Object::new().with("log_end", end.get()).to_string()
    } else {
        format!("{}-{} ends at {end} now", args.topic, args.partition)
    };
    writeln!(out, "{line}").map_err(|error| Stop::output(&error))
}
