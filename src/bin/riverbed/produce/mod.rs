//! `riverbed produce`: one record a line.

mod chunk;
mod fields;
mod partitioner;
mod rules;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use riverbed::{Acks, Clock as _, Compression, ErrorKind, SystemClock};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Failure, Outcome, Stop};
use crate::files::read_failed;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::lines::{Lines, Next};
use crate::numbers::counted;
use crate::progress::Progress;
use crate::table;
use chunk::Chunk;
use fields::FieldOptions;
use rules::Rules;

/// The longest line. What a record may have is for the topic's `max.message.bytes` to say.
const LINE_MAX: usize = 1 << 28;

/// `produce TOPIC …`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic, which must exist
    topic: String,
    /// Read this file, not standard input (which is -)
    #[arg(long, value_name = "F")]
    file: Option<PathBuf>,
    #[command(flatten)]
    fields: FieldOptions,
    /// Write to this partition, not to one chosen by key
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    partition: Option<i64>,
    /// Who must have a record before it counts: none (0), written (1), durable, committed (all)
    #[arg(long, default_value = "written", value_parser = acks)]
    acks: Acks,
    /// Compress batches: none, gzip, snappy, lz4, zstd
    #[arg(long, value_name = "C", default_value = "none", value_parser = compression)]
    compression: Compression,
    /// Tell on standard error how far it is
    #[arg(long)]
    progress: bool,
}

fn acks(word: &str) -> Result<Acks, String> {
    match word {
        "none" | "0" => Ok(Acks::None),
        "written" | "1" => Ok(Acks::Leader),
        "durable" => Ok(Acks::Durable),
        "committed" | "all" | "-1" => Ok(Acks::All),
        _ => Err("expected none, written, durable or committed (or Kafka's 0, 1, all)".into()),
    }
}

fn compression(word: &str) -> Result<Compression, String> {
    Compression::from_name(word).ok_or_else(|| "expected none, gzip, snappy, lz4 or zstd".into())
}

/// Appends every line of the input.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    let (input, size) = open(args.file.as_deref(), &context.interrupt)?;
    let store = data_dir::open_to_change(context.dir()?)?;
    let topic = store.topic(&args.topic)?;
    let clock = SystemClock::precise();
    let started = clock.monotonic();
    let mut producing = Producing {
        rules: Rules::of(&topic.config()),
        lines: Lines::new(input, LINE_MAX),
        waits: size.is_none(),
        chunk: Chunk::new(topic, args, context.json)?,
        progress: Progress::of_bytes(size),
        ticker: args.progress.then(|| Ticker::new(started)),
        context,
    };
    let result = producing.run(&args.fields, out);
    let took = clock.monotonic() - started;
    let closed = store.close().map_err(Stop::from);
    let mut told = Ok(());
    if !context.json {
        let line = summary(producing.chunk.records(), producing.chunk.bytes(), took);
        told = writeln!(out, "{line}").map_err(|error| Stop::output(&error));
    }
    result.and(closed).and(told)
}

/// The work under way.
struct Producing<'a> {
    rules: Rules,
    lines: Lines<Box<dyn Read>>,
    /// Whether the next line may be long in coming.
    waits: bool,
    chunk: Chunk,
    progress: Progress,
    ticker: Option<Ticker>,
    context: &'a Context,
}

impl Producing<'_> {
    fn run(&mut self, fields: &FieldOptions, out: &mut dyn Write) -> Outcome {
        let result = self.push_all(fields, out);
        // What came before a bad line stays.
        let flushed = self.chunk.flush(out);
        result.and(flushed)
    }

    fn push_all(&mut self, fields: &FieldOptions, out: &mut dyn Write) -> Outcome {
        let mut line = Vec::new();
        for number in 1_u64.. {
            if self.waits && self.lines.would_wait() {
                self.chunk.flush(out)?;
                out.flush().map_err(|error| Stop::output(&error))?;
            }
            let next = self.lines.next(&mut line);
            self.context.interrupt.check()?;
            match next.map_err(|error| unreadable(number, &error))? {
                Next::End => break,
                Next::TooLong => return Err(too_long(number).into()),
                Next::Line => {}
            }
            let extracted = fields.extract(&line).and_then(|extracted| {
                self.rules.check(&extracted, self.chunk.now())?;
                Ok(extracted)
            });
            let extracted = extracted.map_err(|failure| at_line(number, failure))?;
            self.chunk.push(&extracted, &line, out)?;
            self.progress.add(line.len() as u64 + 1);
            if let Some(ticker) = &mut self.ticker {
                ticker.tick(&self.chunk);
            }
        }
        Ok(())
    }
}

fn at_line(number: u64, failure: Failure) -> Failure {
    Failure::new(failure.kind, format!("line {number}: {}", failure.message))
}

fn too_long(number: u64) -> Failure {
    at_line(number, Failure::new(ErrorKind::BatchTooLarge, format!("longer than {LINE_MAX} bytes")))
}

fn unreadable(number: u64, error: &io::Error) -> Failure {
    at_line(number, Failure::new(ErrorKind::Io, format!("could not read the input: {error}")))
}

/// Tells every second how far it is, for those who asked for it and see no bar.
struct Ticker {
    clock: SystemClock,
    started: Duration,
    next: Duration,
}

impl Ticker {
    const EVERY: Duration = Duration::from_secs(1);

    fn new(started: Duration) -> Self {
        Self { clock: SystemClock::coarse(), started, next: started + Self::EVERY }
    }

    fn tick(&mut self, chunk: &Chunk) {
        let now = self.clock.monotonic();
        if now >= self.next {
            self.next = now + Self::EVERY;
            let _unheard = writeln!(io::stderr(), "{}", summary(chunk.records(), chunk.bytes(), now - self.started));
        }
    }
}

fn summary(records: u64, bytes: u64, took: Duration) -> String {
    let seconds = took.as_secs_f64().max(1e-9);
    #[expect(clippy::cast_precision_loss, reason = "rates are for people")]
    let rate = |amount: u64| amount as f64 / seconds;
    let (bytes, megabytes) = (table::bytes(bytes), rate(bytes) / 1e6);
    let count = counted(records, "record", "records");
    format!("{count}, {bytes}, in {seconds:.3} s: {:.0} records/s, {megabytes:.1} MB/s", rate(records))
}

fn open(file: Option<&Path>, interrupt: &Interrupt) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        let input = Input::start(interrupt).map_err(|error| unreadable(1, &error))?;
        return Ok((Box::new(input), None));
    };
    let file = File::open(path).map_err(|error| read_failed(path, &error))?;
    let size = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
    Ok((Box::new(file), size))
}
