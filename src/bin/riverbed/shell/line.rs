//! The lines of the shell: what each may say, with its words already turned into values.

use riverbed::{Isolation, ReadUpTo};

use super::operands::{Operands, Options};
use super::value;
use crate::failure::Failure;

/// A partition as a line names it. Numbers are checked when the line is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub topic: String,
    pub partition: i64,
}

/// One line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Create {
        topic: String,
        partitions: i64,
        configs: Vec<(String, String)>,
    },
    Delete {
        topic: String,
    },
    Alter {
        topic: String,
        configs: Vec<(String, String)>,
    },
    Topics,
    Append {
        place: Place,
        record: NewRecord,
    },
    Fill {
        place: Place,
        fill: FillWords,
    },
    Batch {
        place: Place,
        bytes: Vec<u8>,
    },
    Read {
        place: Place,
        read: ReadWords,
    },
    Offsets(Place),
    Time {
        place: Place,
        millis: i64,
    },
    Flush(Place),
    DeleteRecords {
        place: Place,
        before: i64,
    },
    Roll(Place),
    Segments(Place),
    Compact,
    Verify,
    Recovery,
    Retain,
    Truncate {
        place: Place,
        offset: i64,
    },
    Clock {
        millis: i64,
    },
    Crash,
    Quit,
    /// Well-formed, but nothing here can do it yet.
    Unsupported(&'static str),
}

/// What `append` appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
}

/// What `fill` generates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillWords {
    pub seed: String,
    pub count: i64,
    pub bytes: i64,
    pub batch: i64,
}

/// What `read` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadWords {
    pub offset: i64,
    pub max: i64,
    pub isolation: Isolation,
    pub up_to: ReadUpTo,
}

impl Line {
    /// What the words of a line say. The first one is the command.
    pub fn parse(words: Vec<String>) -> Result<Self, Failure> {
        let mut words = Operands::new(words);
        let line = match words.command() {
            "create" => Self::create(&mut words)?,
            "delete" => Self::Delete { topic: words.next("TOPIC")? },
            "alter" => Self::alter(&mut words)?,
            "topics" => Self::Topics,
            "append" => Self::append(&mut words)?,
            "fill" => Self::fill(&mut words)?,
            "batch" => Self::Batch { place: words.place()?, bytes: value::base64(&words.next("BASE64")?)? },
            "read" => Self::read(&mut words)?,
            "offsets" => Self::Offsets(words.place()?),
            "time" => Self::Time { place: words.place()?, millis: words.integer("MS")? },
            "flush" => Self::Flush(words.place()?),
            "delete-records" => Self::DeleteRecords { place: words.place()?, before: words.integer("OFFSET")? },
            "roll" => Self::Roll(words.place()?),
            "segments" => Self::Segments(words.place()?),
            "compact" => Self::Compact,
            "verify" => Self::Verify,
            "recovery" => Self::Recovery,
            "retain" => Self::Retain,
            "truncate" => Self::Truncate { place: words.place()?, offset: words.integer("OFFSET")? },
            "clock" => Self::Clock { millis: words.integer("MS")? },
            "crash" => Self::Crash,
            "quit" => Self::Quit,
            _ => Self::not_yet(&mut words)?,
        };
        words.end()?;
        Ok(line)
    }

    /// Lines about maintenance, transactions and groups.
    fn not_yet(words: &mut Operands) -> Result<Self, Failure> {
        let name = match words.command() {
            "begin" => "begin",
            "commit" => "commit",
            "abort" => "abort",
            "send-offsets" => "send-offsets",
            "commit-offset" => "commit-offset",
            "committed" => "committed",
            other => return Err(Failure::usage(format!("there is no command {other:?}"))),
        };
        match name {
            "begin" | "commit" | "abort" => drop(words.next("ID")?),
            "send-offsets" => {
                words.next("ID")?;
                words.next("GROUP")?;
                words.place()?;
                words.integer("OFFSET")?;
            }
            "commit-offset" => {
                words.next("GROUP")?;
                words.place()?;
                words.integer("OFFSET")?;
            }
            "committed" => {
                words.next("GROUP")?;
                words.place()?;
            }
            _ => {}
        }
        Ok(Self::Unsupported(name))
    }

    fn create(words: &mut Operands) -> Result<Self, Failure> {
        let topic = words.next("TOPIC")?;
        let partitions = words.integer("PARTITIONS")?;
        Ok(Self::Create { topic, partitions, configs: words.options()?.into_configs() })
    }

    fn alter(words: &mut Operands) -> Result<Self, Failure> {
        let topic = words.next("TOPIC")?;
        let configs = words.options()?.into_configs();
        if configs.is_empty() {
            return Err(Failure::usage("alter needs at least one k=v"));
        }
        Ok(Self::Alter { topic, configs })
    }

    fn append(words: &mut Operands) -> Result<Self, Failure> {
        let place = words.place()?;
        let key = value::bytes(&words.next("KEY")?)?;
        let value = value::bytes(&words.next("VALUE")?)?;
        let (headers, mut options) = words.options_and_headers()?;
        let timestamp = options.take_integer("ts")?;
        let txn = options.take("txn");
        options.end()?;
        let record = NewRecord { key, value, headers, timestamp };
        Ok(if txn.is_some() { Self::Unsupported("txn=") } else { Self::Append { place, record } })
    }

    fn fill(words: &mut Operands) -> Result<Self, Failure> {
        let place = words.place()?;
        let seed = words.next("SEED")?;
        let count = words.integer("COUNT")?;
        let bytes = words.integer("BYTES")?;
        let mut options = words.options()?;
        let batch = options.take_integer("batch")?.unwrap_or(100);
        let txn = options.take("txn");
        options.end()?;
        let fill = FillWords { seed, count, bytes, batch };
        Ok(if txn.is_some() { Self::Unsupported("txn=") } else { Self::Fill { place, fill } })
    }

    fn read(words: &mut Operands) -> Result<Self, Failure> {
        let place = words.place()?;
        let offset = words.integer("OFFSET")?;
        let max = words.integer("MAX")?;
        let mut options = words.options()?;
        let isolation = isolation(&mut options)?;
        let up_to = up_to(&mut options)?;
        options.end()?;
        Ok(Self::Read { place, read: ReadWords { offset, max, isolation, up_to } })
    }
}

fn isolation(options: &mut Options) -> Result<Isolation, Failure> {
    match options.take("isolation").as_deref() {
        None | Some("uncommitted") => Ok(Isolation::ReadUncommitted),
        Some("committed") => Ok(Isolation::ReadCommitted),
        Some(other) => Err(Failure::usage(format!("isolation is uncommitted or committed, not {other:?}"))),
    }
}

fn up_to(options: &mut Options) -> Result<ReadUpTo, Failure> {
    match options.take("upto").as_deref() {
        None | Some("written") => Ok(ReadUpTo::Written),
        Some("durable") => Ok(ReadUpTo::Durable),
        Some("committed") => Ok(ReadUpTo::HighWatermark),
        Some(other) => Err(Failure::usage(format!("upto is written, durable or committed, not {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
