//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{compact, consume, dump, produce, retain, shell, topic, truncate};

/// What the program ends with, for `--help`.
const EXIT_STATUS: &str = "Exit status: 0 done, 1 failed, 2 usage, 130 after an interrupt";

/// A durable event log in Apache Kafka's own on-disk format: looks into a data directory, and drives it from scripts.
#[derive(Debug, Parser)]
#[command(name = "riverbed", version, arg_required_else_help = true, after_help = EXIT_STATUS)]
pub struct Args {
    /// The data directory
    #[arg(long, global = true)]
    pub dir: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create, list, describe, alter and delete topics
    #[command(subcommand)]
    Topic(topic::Args),
    /// Append one record a line of standard input or a file
    Produce(produce::Args),
    /// Show records
    Consume(consume::Args),
    /// Print what is in a log, index, snapshot or checkpoint file, in the lines of kafka-dump-log
    Dump(dump::Args),
    /// Read everything, and say what is wrong
    Verify,
    /// Show topics, partitions, segments, bytes, offsets and rates
    Stats,
    /// Make a directory of Kafka's one of riverbed's; the broker must be stopped
    ///
    /// Writes the list of topics, with default settings, and a checkpoint into each partition; what an unclean stop left
    /// unfinished is cut. Segments stay as they are. From then on riverbed writes the directory.
    Adopt,
    /// Cut a damaged tail
    Truncate(truncate::Args),
    /// Make everything durable now
    Flush,
    /// Show groups, their committed offsets and lag (not possible yet)
    Groups {
        /// Only this one
        #[arg(long, value_name = "G")]
        group: Option<String>,
    },
    /// Keep only the last record of each key of compacted topics, now
    Compact(compact::Args),
    /// Remove what retention no longer wants now
    Retain(retain::Args),
    /// Carry out commands from standard input, one a line, in one store opened for writing
    Shell(shell::Args),
}
