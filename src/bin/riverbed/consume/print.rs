//! Shows a record to a person or a program.

use std::io::{self, Write};

use riverbed::{RecordView, Timestamp};

use crate::failure::{Outcome, Stop};
use crate::json::{Data, Object};
use crate::records::Flow;

/// Where records are shown, and how many more may be.
pub struct Shown<'a> {
    pub left: Option<u64>,
    pub json: bool,
    pub out: &'a mut dyn Write,
}

impl Shown<'_> {
    /// Shows a record: as JSON, or its value as a line.
    pub fn show(&mut self, partition: u32, record: &RecordView<'_>) -> Outcome<Flow> {
        let written = if self.json { self.json(partition, record) } else { self.text(record) };
        written.map_err(|error| Stop::output(&error))?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(if self.left == Some(0) { Flow::Last } else { Flow::More })
    }

    fn json(&mut self, partition: u32, record: &RecordView<'_>) -> io::Result<()> {
        let mut line = Object::new().with("partition", partition);
        line.extend(&fields(record));
        writeln!(self.out, "{line}")
    }

    fn text(&mut self, record: &RecordView<'_>) -> io::Result<()> {
        self.out.write_all(record.value().unwrap_or_default())?;
        self.out.write_all(b"\n")
    }
}

/// Offset, time and contents of a record.
pub fn fields(record: &RecordView<'_>) -> Object {
    let headers: Vec<_> = record.headers().map(|header| (header.name, header.value.map(Data))).collect();
    Object::new()
        .with("offset", record.offset().get())
        .with("timestamp", json_time(record.timestamp()))
        .with("key", record.key().map(Data))
        .with("value", record.value().map(Data))
        .with("headers", headers)
}

/// Milliseconds, or null where there is no time.
pub fn json_time(time: Timestamp) -> Option<i64> {
    time.is_some().then(|| time.millis())
}
