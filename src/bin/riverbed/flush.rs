//! `riverbed flush`: makes everything durable now.

use std::io::Write;

use riverbed::Topic;

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;
use crate::partitions;

/// Syncs every partition, and tells up to where each is durable.
pub fn run(context: &Context, out: &mut dyn Write) -> Outcome {
    let store = data_dir::open_to_change(context.dir()?)?;
    let mut told = Ok(());
    let every = |_: &Topic| true;
    let failures = partitions::each(&store, context, every, |topic, number, partition| {
        let durable = partition.sync()?;
        let line = if context.json {
            let line = Object::new().with("topic", topic.name().as_str()).with("partition", number.get());
            line.with("durable", durable.get()).to_string()
        } else {
            format!("{}-{number} is durable up to {durable}", topic.name())
        };
        if told.is_ok() {
            told = writeln!(out, "{line}").map_err(|error| Stop::output(&error));
        }
        Ok(())
    })?;
    told?;
    failures.tell()?;
    Ok(store.close()?)
}
