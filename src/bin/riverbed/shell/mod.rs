//! `riverbed shell`: one command a line, one answer a line, in one store opened for writing.

mod answer;
mod fill;
mod fill_line;
#[cfg(test)]
mod fuzzed;
mod line;
mod operands;
mod session;
mod value;
mod words;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use riverbed::{Clock, ErrorKind, ManualClock, StoreConfig, SystemClock};

use crate::context::Context;
use crate::data_dir;
use crate::failure::{Failure, Outcome, Stop};
use crate::input::Input;
use crate::json::Object;
use crate::lines::{Lines, Next};
use answer::Answer;
use line::Line;
use session::Session;

/// The longest line, in bytes.
const LINE_MAX: usize = 16 << 20;

/// What the lines are, for `--help`.
const HELP: &str = include_str!("help.txt");

/// `shell [--clock]`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Start with a clock that stands still, at the system's time, until the line `clock MS` moves it
    #[arg(long)]
    clock: bool,
}

/// Answers every line of standard input.
pub fn run(args: &Args, context: &Context, out: &mut dyn Write) -> Outcome {
    let session = match open(args, context) {
        Ok(session) => session,
        Err(failure) => {
            answer(&Answer::Err(failure.clone(), Object::new()), out)?;
            return Err(failure.into());
        }
    };
    let result = answer_all(&session, context, out);
    let closed = session.store.close().map_err(Failure::from);
    if result? {
        let last = closed.clone().map(|()| Object::new());
        answer(&Answer::from(last), out)?;
    }
    closed.map_err(Stop::from)
}

fn open(args: &Args, context: &Context) -> Result<Session, Failure> {
    let path = context.dir()?.to_owned();
    let system = SystemClock::precise();
    let manual = args.clock.then(|| ManualClock::at(system.now()));
    let clock: Arc<dyn Clock> = match &manual {
        Some(manual) => Arc::new(manual.clone()),
        None => Arc::new(system),
    };
    let store = StoreConfig::default().clock(Arc::clone(&clock)).maintenance(false).open(&path)?;
    data_dir::tell_recovery(&store);
    Ok(Session { store, manual, clock, interrupt: context.interrupt.clone(), path })
}

/// Answers until the line `quit`, which is left to be answered, or the end of the input. Says which.
fn answer_all(session: &Session, context: &Context, out: &mut dyn Write) -> Outcome<bool> {
    let input = Input::start(&context.interrupt).map_err(|error| unreadable(&error))?;
    let mut lines = Lines::new(input, LINE_MAX);
    let mut bytes = Vec::new();
    loop {
        let next = lines.next(&mut bytes);
        context.interrupt.check()?;
        let next = next.map_err(|error| unreadable(&error))?;
        let line = match next {
            Next::End => return Ok(false),
            Next::TooLong => Err(Failure::usage(format!("a line has at most {LINE_MAX} bytes"))),
            Next::Line => parse(&bytes),
        };
        let answered = match line {
            Ok(None) => continue,
            Ok(Some(line)) => match session.answer(line) {
                ControlFlow::Continue(answered) => answered,
                ControlFlow::Break(()) => return Ok(true),
            },
            Err(failure) => Answer::Err(failure, Object::new()),
        };
        answer(&answered, out)?;
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(ErrorKind::Io, format!("could not read standard input: {error}"))
}

/// The line that the bytes are; none if they are blank.
fn parse(bytes: &[u8]) -> Result<Option<Line>, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| Failure::usage(format!("the line is not UTF-8: {error}")))?;
    let words = words::split(text)?;
    if words.is_empty() { Ok(None) } else { Line::parse(words).map(Some) }
}

fn answer(answer: &Answer, out: &mut dyn Write) -> Outcome {
    let written = answer.write(out).and_then(|()| out.flush());
    written.map_err(|error| Stop::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_only_lines_that_are_understood() {
        let lines = HELP.lines().filter(|line| line.starts_with("  "));
        let names = lines.flat_map(|line| line.split("  ").map(str::trim).filter(|part| !part.is_empty()));
        let mut count = 0;
        for name in names.filter_map(|line| line.split(' ').next()) {
            let parsed = Line::parse(vec![name.to_owned()]);
            let unknown = parsed.is_err_and(|failure| failure.message.starts_with("there is no command"));
            assert!(!unknown, "{name}");
            count += 1;
        }
        assert_eq!(count, 28, "every line is named once");
    }
}
