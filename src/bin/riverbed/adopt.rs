//! `riverbed adopt`: makes a directory of Kafka's one of ours.

use std::io::Write;

use riverbed::Store;

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Outcome, Stop};
use crate::json::Object;

/// Adopts the directory, and names the topics it has.
pub fn run(context: &Context, out: &mut dyn Write) -> Outcome {
    let dir = context.dir()?;
    // Adopting gives no store that could be asked; a reader finds the same, and cuts it in memory only.
    let reader = data_dir::open_to_read(dir);
    let names = Store::adopt(dir)?;
    if let Ok(reader) = &reader {
        data_dir::tell_recovery(reader);
    }
    for name in names {
        let line = if context.json { Object::new().with("topic", name.as_str()).to_string() } else { name.to_string() };
        writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
    }
    Ok(())
}
