//! `riverbed consume`: shows records.

mod position;
mod print;

pub use print::{fields, json_time};

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use riverbed::{ErrorKind, Isolation, Offset, Partition, ReadUpTo, Store, Topic};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Failure, Outcome, Stop};
use crate::numbers;
use crate::output;
use crate::records::{Flow, Reader, Step};
use crate::time;
use position::From;
use print::Shown;

/// How often to look again while a writer removes what was to be read.
const TRIES: usize = 5;

/// How long to wait before looking for new records.
const PAUSE: Duration = Duration::from_millis(50);

/// `consume TOPIC …`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic
    topic: String,
    /// Only this partition; otherwise all, one after the other
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    partition: Option<i64>,
    /// Where to start: earliest, latest, an offset, or @TIME (milliseconds or RFC 3339)
    #[arg(long, value_name = "POSITION", default_value = "earliest")]
    from: From,
    /// Stop in front of this offset
    #[arg(long, value_name = "OFFSET")]
    to: Option<u64>,
    /// Go on where this group has committed, and commit what was shown
    #[arg(long, value_name = "G")]
    group: Option<String>,
    /// Do not stop at the end: wait for more
    #[arg(long)]
    follow: bool,
    /// Show at most so many records
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Whether records of transactions that were aborted or are open count: read_uncommitted, or not: read_committed
    #[arg(long, value_name = "ISOLATION", default_value = "read_uncommitted", value_parser = isolation)]
    isolation: Isolation,
}

fn isolation(word: &str) -> Result<Isolation, String> {
    match word {
        "read_uncommitted" => Ok(Isolation::ReadUncommitted),
        "read_committed" => Ok(Isolation::ReadCommitted),
        _ => Err("expected read_uncommitted or read_committed".into()),
    }
}

/// Shows the records asked for.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    if args.group.is_some() {
        return Err(Failure::new(ErrorKind::Unsupported, "consumer groups do not exist yet").into());
    }
    let store = data_dir::open_to_read(context.dir()?)?;
    let topic = store.topic(&args.topic)?;
    let asked = Asked { args, dir: context.dir()?, store, topic };
    let mut sources = match args.partition {
        None => asked.sources_from(0, args.from)?,
        Some(number) => {
            let (number, partition) = numbers::partition(&asked.topic, number)?;
            vec![Source::new(number, partition, args.from, args)?]
        }
    };
    let mut shown = Shown { left: args.max, json: context.json, out };
    if shown.left == Some(0) {
        return Ok(());
    }
    for source in &mut sources {
        if source.show_until_end(&asked.store, &mut shown, context)?.is_break() {
            return Ok(());
        }
    }
    if args.follow { follow(&asked, &mut sources, &mut shown, context) } else { Ok(()) }
}

/// Shows what comes, until every partition has reached `--to`.
fn follow(asked: &Asked<'_>, sources: &mut Vec<Source>, shown: &mut Shown<'_>, context: &Context) -> Outcome {
    loop {
        let mut nothing = true;
        for source in &mut *sources {
            source.end = source.to;
            match source.show_some(&asked.store, shown, context)? {
                Step::Enough if shown.left == Some(0) => return Ok(()),
                Step::More => nothing = false,
                Step::Nothing | Step::Enough => {}
            }
        }
        if sources.iter().all(Source::is_done) {
            return Ok(());
        }
        if nothing {
            shown.out.flush().map_err(|error| Stop::output(&error))?;
            output::check_read()?;
            context.interrupt.wait(PAUSE)?;
            asked.store.refresh()?;
            asked.add_new_partitions(sources)?;
        }
    }
}

/// What is to be shown.
struct Asked<'a> {
    args: &'a Args,
    dir: &'a Path,
    store: Store,
    topic: Topic,
}

impl Asked<'_> {
    /// The topic's partitions from number `first` on, as far as they are here.
    fn sources_from(&self, first: u32, from: From) -> Outcome<Vec<Source>> {
        let mut sources = Vec::new();
        for number in first..self.topic.partition_count() {
            match self.topic.partition(number) {
                Ok(partition) => sources.push(Source::new(number, partition, from, self.args)?),
                Err(error) if data_dir::is_elsewhere(self.dir, &error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sources)
    }

    /// Partitions that were added to the topic are read from their start.
    fn add_new_partitions(&self, sources: &mut Vec<Source>) -> Outcome {
        if self.args.partition.is_none() {
            let known = sources.last().map_or(0, |source| source.number.saturating_add(1));
            sources.extend(self.sources_from(known, From::Earliest)?);
        }
        Ok(())
    }
}

/// A partition that is read.
struct Source {
    number: u32,
    reader: Reader,
    /// In front of which offset to stop: that of `--to`, or the end that was there at first.
    end: Option<Offset>,
    to: Option<Offset>,
}

impl Source {
    fn new(number: u32, partition: Partition, from: From, args: &Args) -> Outcome<Self> {
        let (log_start, marks) = partition.offsets();
        let end = match args.isolation {
            Isolation::ReadUncommitted => marks.end,
            Isolation::ReadCommitted => marks.last_stable,
        };
        let from = match from {
            From::Earliest => log_start,
            From::Latest => end,
            From::Offset(offset) => check(number, offset, log_start, marks.end)?,
            From::Time(time) => {
                let found = partition.offset_for_time(time::searched(time), ReadUpTo::Written)?;
                found.map_or(end, |found| found.offset)
            }
        };
        let to = args.to.map(|to| Offset::from_i64(to.try_into().unwrap_or(i64::MAX)).unwrap_or(Offset::MAX));
        let reader = Reader::new(partition, from, args.isolation, ReadUpTo::Written);
        Ok(Self { number, reader, end: Some(to.map_or(end, |to| to.min(end))), to })
    }

    /// Whether `--to` is reached.
    fn is_done(&self) -> bool {
        self.to.is_some_and(|to| self.reader.next() >= to)
    }

    fn show_until_end(&mut self, store: &Store, shown: &mut Shown<'_>, context: &Context) -> Outcome<ControlFlow<()>> {
        while self.end.is_none_or(|end| self.reader.next() < end) {
            match self.show_some(store, shown, context)? {
                Step::More => {}
                Step::Nothing => break,
                Step::Enough if shown.left == Some(0) => return Ok(ControlFlow::Break(())),
                Step::Enough => break,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Shows what one fetch gives. Where a writer has removed the files since they were listed, it looks again.
    fn show_some(&mut self, store: &Store, shown: &mut Shown<'_>, context: &Context) -> Outcome<Step> {
        for _ in 1..TRIES {
            match self.show_fetched(shown, context) {
                Err(Stop::Failed(Failure { kind: ErrorKind::NotFound | ErrorKind::OffsetOutOfRange, .. })) => {
                    store.refresh()?;
                    self.reader.stay_inside();
                }
                shown => return shown,
            }
        }
        self.show_fetched(shown, context)
    }

    fn show_fetched(&mut self, shown: &mut Shown<'_>, context: &Context) -> Outcome<Step> {
        context.interrupt.check()?;
        let (number, end) = (self.number, self.end);
        self.reader.step(|record| {
            if end.is_some_and(|end| record.offset() >= end) {
                return Ok(Flow::Beyond);
            }
            shown.show(number, record)
        })
    }
}

fn check(number: u32, offset: i64, start: Offset, end: Offset) -> Result<Offset, Failure> {
    let found = Offset::from_i64(offset).filter(|offset| (start..=end).contains(offset));
    found.ok_or_else(|| {
        let message = format!("partition {number}: offset {offset} is not between log start {start} and log end {end}");
        Failure::new(ErrorKind::OffsetOutOfRange, message)
    })
}
