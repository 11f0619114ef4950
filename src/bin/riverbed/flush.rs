//! `riverbed flush`: makes everything durable now.

use std::io::Write;

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;

/// Syncs every partition, and tells up to where each is durable.
pub fn run(context: &Context, out: &mut dyn Write) -> Outcome {
    let store = data_dir::open_to_change(context.dir()?)?;
    for topic in store.topics()? {
        for (number, partition) in topic.partitions()? {
            context.interrupt.check()?;
            let durable = partition?.sync()?;
            let line = if context.json {
                let line = Object::new().with("topic", topic.name().as_str()).with("partition", number.get());
                line.with("durable", durable.get()).to_string()
            } else {
                format!("{}-{number} is durable up to {durable}", topic.name())
            };
            writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
        }
    }
    store.close()?;
    Ok(())
}
