//! `riverbed dump`: what is in a file of a data directory, in the lines of Kafka's own tool.
//!
//! It reads files as they are, damaged ones too, and asks no other part of riverbed what they should hold.

mod entry;
mod framed;
mod index;
mod lock;
mod log;
mod report;
mod snapshot;
mod text;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use riverbed::ErrorKind;

use crate::context::Context;
use crate::failure::{Failure, Outcome, complain};
use crate::files::{FileName, Problem, plain_name, read, read_failed};
use crate::interrupt::Interrupt;
use report::Report;

/// `dump PATH [--records]`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file of a data directory, or a partition's directory
    path: PathBuf,
    /// The records of each batch, with their keys and values
    #[arg(long)]
    records: bool,
}

/// Prints the file, or every file of the directory.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    let mut last = None;
    for path in files(&args.path)? {
        let mut report = Report::new(&path, context.json, &context.interrupt, out);
        report.title()?;
        match one_file(&path, args.records, &mut report) {
            Err(error) => report.unreadable(&path, &error),
            Ok(printed) => printed?,
        }
        for problem in report.finish() {
            if let Some(earlier) = last.replace(Failure::from(problem)) {
                complain(&earlier);
            }
        }
    }
    last.map_or(Ok(()), |failure| Err(failure.into()))
}

/// What is wrong with a file, as far as a dump of it tells.
pub fn check(path: &Path, interrupt: &Interrupt) -> Vec<Problem> {
    let mut nowhere = io::sink();
    let mut report = Report::new(path, false, interrupt, &mut nowhere);
    if let Err(error) = one_file(path, false, &mut report) {
        report.unreadable(path, &error);
    }
    report.finish()
}

/// The file itself, or the files of the directory in the order of their names.
fn files(path: &Path) -> Outcome<Vec<PathBuf>> {
    let failed = |error: io::Error| read_failed(path, &error);
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Prints one file. The outer error is that the file cannot be read.
fn one_file(path: &Path, records: bool, report: &mut Report<'_>) -> io::Result<Outcome> {
    let name = plain_name(path);
    let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
    if let (Some(parsed), "log" | "checkpoint") = (FileName::parse(&name), kind) {
        return Ok(log::dump(&parsed, records, report));
    }
    let bytes = read(File::open(path)?)?;
    Ok(match (FileName::parse(&name), kind) {
        (Some(name), "index") => index::offsets(&name, &bytes, report),
        (Some(name), "timeindex") => index::times(&name, &bytes, report),
        (Some(_), "txnindex") => index::transactions(&bytes, report),
        (Some(_), "snapshot") => snapshot::dump(&bytes, report),
        _ => other(&name, &bytes, report),
    })
}

/// Files whose names are no segment's.
fn other(name: &str, bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    if bytes.starts_with(framed::MAGIC_PREFIX) {
        return framed::dump(bytes, report);
    }
    if bytes.starts_with(lock::MAGIC) || name == ".lock" {
        return lock::dump(bytes, report);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        report.damage(0_u64, "not a file of a known kind");
        return Ok(());
    };
    match name {
        "leader-epoch-checkpoint" => text::checkpoint(text, &["epoch", "startOffset"], report),
        "partition.metadata" => text::properties(text, ':', report),
        "meta.properties" => text::properties(text, '=', report),
        ".kafka_cleanshutdown" => text::object(text, report),
        _ if name.ends_with("-checkpoint") => text::checkpoint(text, &["topic", "partition", "offset"], report),
        _ => {
            let message = format!("{} is no file of a kind that is known here", report.path().display());
            report.problem(Problem::unreadable(report.path(), Failure::new(ErrorKind::InvalidArgument, message)));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
