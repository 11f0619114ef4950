//! `riverbed topic`: makes, lists, shows, changes and deletes topics.

use std::io::Write;

use riverbed::{LogConfig, Partition, Store, Topic, TopicConfig};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Failure, Outcome, Stop};
use crate::json::Object;
use crate::numbers;
use crate::table::table;

/// `topic …`.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Create a topic
    Create {
        /// Its name
        name: String,
        /// How many partitions it has
        #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
        partitions: i64,
        /// A setting, by Kafka's name of it: `segment.bytes`, `retention.ms`, `cleanup.policy`, …
        #[arg(long = "config", value_name = "k=v", value_parser = setting)]
        configs: Vec<Setting>,
    },
    /// List the topics
    List,
    /// Show a topic's settings and partitions
    Describe {
        /// Its name
        name: String,
    },
    /// Change a topic's settings, or add partitions
    Alter {
        /// Its name
        name: String,
        /// A setting, by Kafka's name of it
        #[arg(long = "config", value_name = "k=v", value_parser = setting)]
        configs: Vec<Setting>,
        /// How many partitions it has from now on
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        partitions: Option<i64>,
    },
    /// Delete a topic with all that is in it
    Delete {
        /// Its name
        name: String,
    },
}

/// A setting's name and value.
type Setting = (String, String);

fn setting(word: &str) -> Result<Setting, String> {
    let pair = word.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| "expected k=v".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Does what was asked for.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    let dir = context.dir()?;
    match args {
        Args::List => return list(&data_dir::open_to_read(dir)?, context.json, out),
        Args::Describe { name } => {
            return describe(&data_dir::open_to_read(dir)?.topic(name)?, context.json, out);
        }
        _ => {}
    }
    if let Args::Alter { configs, partitions: None, .. } = args
        && configs.is_empty()
    {
        return Err(Failure::usage("alter needs --config or --partitions").into());
    }
    let store = match args {
        Args::Create { .. } => data_dir::open_to_write(dir)?,
        _ => data_dir::open_to_change(dir)?,
    };
    let changed = change(&store, args);
    let closed = store.close();
    changed?;
    Ok(closed?)
}

fn change(store: &Store, args: &Args) -> Outcome {
    match args {
        Args::Create { name, partitions, configs } => {
            let config = TopicConfig::default().partitions(numbers::partition_count(*partitions)?);
            let config = configs.iter().try_fold(config, |config, (name, value)| config.set(name, value))?;
            store.create_topic(name, config)?;
        }
        Args::Alter { name, configs, partitions } => {
            let topic = store.topic(name)?;
            if !configs.is_empty() {
                topic.alter(configs.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
            }
            if let Some(partitions) = partitions {
                topic.grow(numbers::partition_count(*partitions)?)?;
            }
        }
        Args::Delete { name } => store.delete_topic(name)?,
        Args::List | Args::Describe { .. } => {}
    }
    Ok(())
}

fn list(store: &Store, json: bool, out: &mut dyn Write) -> Outcome {
    for topic in store.topics()? {
        let line = if json {
            Object::new().with("topic", topic.name().as_str()).with("partitions", topic.partition_count()).to_string()
        } else {
            topic.name().to_string()
        };
        writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
    }
    Ok(())
}

fn describe(topic: &Topic, json: bool, out: &mut dyn Write) -> Outcome {
    let partitions = topic.partitions()?;
    let config = topic.config();
    let text = if json {
        let list = partitions.iter().map(|(number, partition)| {
            let object = Object::new().with("partition", number.get());
            match partition {
                Ok(partition) => state(object, partition),
                Err(error) => object.with("kind", error.kind().to_string()).with("message", error.to_string()),
            }
        });
        let list = list.collect::<Vec<_>>();
        format!("{}\n", head(topic).with("partitions", list).with("configs", configs(&config)))
    } else {
        let settings: String = config.non_default().iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let count = numbers::counted(partitions.len() as u64, "partition", "partitions");
        let head = format!("{}, id {}, {count}{settings}\n", topic.name(), topic.id());
        let rows = partitions.iter().map(|(number, partition)| row(number.get(), partition));
        head + &table(&[">partition", ">log start", ">last stable", ">high watermark", ">durable", ">log end"], rows)
    };
    out.write_all(text.as_bytes()).map_err(|error| Stop::output(&error))
}

fn head(topic: &Topic) -> Object {
    Object::new().with("topic", topic.name().as_str()).with("id", topic.id().to_string())
}

fn configs(config: &LogConfig) -> Object {
    LogConfig::names().fold(Object::new(), |object, name| object.with(name, config.get(name)))
}

fn state(object: Object, partition: &Partition) -> Object {
    let (log_start, marks) = partition.offsets();
    object
        .with("log_start", log_start.get())
        .with("last_stable", marks.last_stable.get())
        .with("high_watermark", marks.high.get())
        .with("durable", marks.durable.get())
        .with("log_end", marks.end.get())
}

fn row(number: u32, partition: &riverbed::Result<Partition>) -> Vec<String> {
    match partition {
        Ok(partition) => {
            let (log_start, marks) = partition.offsets();
            let offsets = [log_start, marks.last_stable, marks.high, marks.durable, marks.end];
            std::iter::once(number.to_string()).chain(offsets.iter().map(ToString::to_string)).collect()
        }
        Err(error) => vec![number.to_string(), error.kind().to_string(), error.to_string()],
    }
}
