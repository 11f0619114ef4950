//! What a dump says: lines on standard output, problems on standard error, and at the end whether there were any.

use std::io::{self, Write};
use std::path::Path;

use super::entry::Entry;
use crate::failure::{Outcome, Stop};
use crate::files::{Problem, read_failed};
use crate::interrupt::Interrupt;
use crate::json::Object;

/// Where the dump of one file goes.
pub struct Report<'a> {
    path: &'a Path,
    json: bool,
    interrupt: &'a Interrupt,
    out: &'a mut dyn Write,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub fn new(path: &'a Path, json: bool, interrupt: &'a Interrupt, out: &'a mut dyn Write) -> Self {
        Self { path, json, interrupt, out, problems: Vec::new() }
    }

    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// A line that is an entry of the file.
    pub fn entry(&mut self, entry: &Entry<'_>) -> Outcome {
        self.interrupt.check()?;
        let written = if self.json { writeln!(self.out, "{}", entry.to_json()) } else { writeln!(self.out, "{entry}") };
        written.map_err(|error| Stop::output(&error))
    }

    /// A line about the file as a whole, for people only.
    pub fn remark(&mut self, text: impl AsRef<str>) -> Outcome {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{}", text.as_ref()).map_err(|error| Stop::output(&error))
    }

    /// The name of the file, in front of everything else.
    pub fn title(&mut self) -> Outcome {
        let path = self.path.display().to_string();
        if self.json {
            let title = Object::new().with("file", path);
            return writeln!(self.out, "{title}").map_err(|error| Stop::output(&error));
        }
        self.remark(format!("Dumping {path}"))
    }

    /// Damage at byte `position` of the file.
    pub fn damage(&mut self, position: impl TryInto<u64>, message: impl Into<String>) {
        let position = position.try_into().unwrap_or(u64::MAX);
        self.problem(Problem::damage(self.path, position, message));
    }

    /// Something that is wrong.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A file that cannot be read, because of what the operating system says.
    pub fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.problem(Problem::unreadable(path, read_failed(path, error)));
    }

    /// What was found to be wrong.
    pub fn finish(self) -> Vec<Problem> {
        self.problems
    }
}
