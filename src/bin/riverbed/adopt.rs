//! `riverbed adopt`: makes a directory of Kafka's one of ours.

use std::io::Write;

use riverbed::Store;

use crate::context::Context;
use crate::failure::{Outcome, Stop};
use crate::json::Object;

/// Adopts the directory, and names the topics it has.
pub fn run(context: &Context, out: &mut dyn Write) -> Outcome {
    for name in Store::adopt(context.dir()?)? {
        let line = if context.json { Object::new().with("topic", name.as_str()).to_string() } else { name.to_string() };
        writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
    }
    Ok(())
}
