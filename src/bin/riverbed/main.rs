//! The `riverbed` program: looks into a data directory, and drives it from scripts.

#![cfg_attr(test, allow(clippy::too_many_lines, reason = "tables of cases"))]

mod adopt;
mod args;
mod compact;
mod consume;
mod context;
mod data_dir;
mod dump;
mod failure;
mod files;
mod flush;
mod input;
mod interrupt;
mod json;
mod lines;
mod numbers;
mod output;
mod partitions;
mod produce;
mod progress;
mod records;
mod retain;
mod shell;
mod stats;
mod table;
mod time;
mod topic;
mod truncate;
mod verify;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser as _;
use riverbed::ErrorKind;

use args::{Args, Command};
use context::Context;
use failure::{Failure, Outcome, Stop, complain};
use interrupt::Interrupt;

/// How much is gathered before it is written to standard output.
const OUTPUT_BUFFER: usize = 1 << 16;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if let Stop::Failed(failure) = &stop {
                complain(failure);
            }
            ExitCode::from(stop.status())
        }
    }
}

fn run(args: Args) -> Outcome {
    let interrupt = Interrupt::watch().map_err(|error| Failure::new(ErrorKind::Io, format!("no signals: {error}")))?;
    let context = Context { dir: args.dir, json: args.json, interrupt };
    let mut out = BufWriter::with_capacity(OUTPUT_BUFFER, io::stdout().lock());
    let result = command(&args.command, &context, &mut out);
    let flushed = out.flush().map_err(|error| Stop::output(&error));
    result.and(flushed)
}

fn command(command: &Command, context: &Context, out: &mut dyn Write) -> Outcome {
    match command {
        Command::Topic(args) => topic::run(args, context, out),
        Command::Produce(args) => produce::run(args, context, out),
        Command::Consume(args) => consume::run(args, context, out),
        Command::Dump(args) => dump::run(args, context, out),
        Command::Verify => verify::run(context, out),
        Command::Stats => stats::run(context, out),
        Command::Adopt => adopt::run(context, out),
        Command::Truncate(args) => truncate::run(args, context, out),
        Command::Flush => flush::run(context, out),
        Command::Shell(args) => shell::run(args, context, out),
        Command::Groups { .. } => not_yet("groups", context),
        Command::Compact(args) => compact::run(args, context, out),
        Command::Retain(args) => retain::run(args, context, out),
    }
}

/// Refuses a command that is understood, but that nothing here can do yet.
fn not_yet(what: &str, context: &Context) -> Outcome {
    context.dir()?;
    Err(Failure::new(ErrorKind::Unsupported, format!("{what} does not exist yet")).into())
}

/// Answers arguments that clap did not take: a call for help on standard output, everything else as `Usage`.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _closed_pipe = write!(io::stdout(), "{error}");
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let _unheard = write!(io::stderr(), "{text}");
    let no_command = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    complain(&Failure::usage(if no_command { "a command is missing".into() } else { first_paragraph(&text) }));
    ExitCode::from(2)
}

/// What clap says is wrong, in one line: the rest of its text is advice.
fn first_paragraph(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let joined = lines.join(" ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}
