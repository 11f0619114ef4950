//! `riverbed truncate`: cuts a damaged tail on the user's word.

use std::io::Write;

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;
use crate::numbers;

/// `truncate TOPIC PARTITION OFFSET`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic
    topic: String,
    /// The partition
    #[arg(allow_negative_numbers = true)]
    partition: i64,
    /// Where to cut: the batch that holds this offset goes as a whole, and all behind it
    #[arg(allow_negative_numbers = true)]
    offset: i64,
}

/// Cuts, and tells where the log ends now.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    let store = data_dir::open_to_change(context.dir()?)?;
    let partition = numbers::partition(&store.topic(&args.topic)?, args.partition)?.1;
    let before = partition.offsets().1.end;
    let end = partition.truncate(numbers::offset(args.offset)?)?;
    store.close()?;
    let line = if context.json {
        Object::new().with("log_end", end.get()).to_string()
    } else if end < before {
        format!("{}-{}: removed {end}..{before}, ends at {end} now", args.topic, args.partition)
    } else {
        format!("{}-{} ends at {end} now", args.topic, args.partition)
    };
    writeln!(out, "{line}").map_err(|error| Stop::output(&error))
}
