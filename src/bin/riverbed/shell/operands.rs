//! The words behind a line's command: positional ones first, then options in any order.

use super::line::Place;
use super::value;
use crate::failure::Failure;

/// A record's headers, as a line gives them.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// The words of a line, taken from the front.
pub struct Operands {
    command: String,
    rest: std::vec::IntoIter<String>,
}

impl Operands {
    pub fn new(words: Vec<String>) -> Self {
        let mut rest = words.into_iter();
        Self { command: rest.next().unwrap_or_default(), rest }
    }

    pub fn command(&self) -> &str {
        &self.command
    }

    /// The next positional word. `what` names it in messages.
    pub fn next(&mut self, what: &str) -> Result<String, Failure> {
        self.rest.next().ok_or_else(|| Failure::usage(format!("{} needs {what}", self.command)))
    }

    pub fn integer(&mut self, what: &str) -> Result<i64, Failure> {
        value::integer(what, &self.next(what)?)
    }

    /// TOPIC PARTITION.
    pub fn place(&mut self) -> Result<Place, Failure> {
        Ok(Place { topic: self.next("TOPIC")?, partition: self.integer("PARTITION")? })
    }

    /// Everything that is left, as `k=v` options of which none comes twice.
    pub fn options(&mut self) -> Result<Options, Failure> {
        let mut options = Options { pairs: Vec::new() };
        for word in self.rest.by_ref() {
            options.add(&word)?;
        }
        Ok(options)
    }

    /// Everything that is left: `h:NAME=VALUE` in their order, repeats allowed, and the other options.
    pub fn options_and_headers(&mut self) -> Result<(Headers, Options), Failure> {
        let mut headers = Headers::new();
        let mut options = Options { pairs: Vec::new() };
        for word in self.rest.by_ref() {
            let Some(header) = word.strip_prefix("h:") else {
                options.add(&word)?;
                continue;
            };
            let Some((name, value)) = header.split_once('=') else {
                return Err(Failure::usage(format!("a header is h:NAME=VALUE, not {word:?}")));
            };
            headers.push((name.to_owned(), value::bytes(value)?));
        }
        Ok((headers, options))
    }

    /// Refuses words that are left over.
    pub fn end(&mut self) -> Result<(), Failure> {
        match self.rest.next() {
            None => Ok(()),
            Some(word) => Err(Failure::usage(format!("{} takes no further word {word:?}", self.command))),
        }
    }
}

/// Options of a line, not yet understood.
pub struct Options {
    pairs: Vec<(String, String)>,
}

impl Options {
    fn add(&mut self, word: &str) -> Result<(), Failure> {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::usage(format!("{word:?} is not of the form name=value")));
        };
        if self.pairs.iter().any(|(known, _)| known == name) {
            return Err(Failure::usage(format!("{name:?} is given twice")));
        }
        self.pairs.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    pub fn take(&mut self, name: &str) -> Option<String> {
        let index = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.swap_remove(index).1)
    }

    pub fn take_integer(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        self.take(name).map(|word| value::integer(name, &word)).transpose()
    }

    /// All of them, as topic configs.
    pub fn into_configs(self) -> Vec<(String, String)> {
        self.pairs
    }

    /// Refuses options that nobody took.
    pub fn end(self) -> Result<(), Failure> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(Failure::usage(format!("there is no option {name:?} here"))),
        }
    }
}
