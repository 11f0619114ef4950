//! What the shell answers: `ok {…}` or `err {…}`, one line each.

use std::io::{self, Write};

use crate::failure::Failure;
use crate::json::Object;

/// The answer to one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok(Object),
    /// With fields that tell how far it came.
    Err(Failure, Object),
}

impl Answer {
    /// Writes the answer as one line.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Ok(fields) => writeln!(out, "ok {fields}"),
            Self::Err(failure, progress) => {
                let mut fields = Object::new().with("kind", failure.kind.to_string()).with("message", &failure.message);
                fields.extend(progress);
                writeln!(out, "err {fields}")
            }
        }
    }
}

impl<E: Into<Failure>> From<Result<Object, E>> for Answer {
    fn from(result: Result<Object, E>) -> Self {
        match result {
            Ok(fields) => Self::Ok(fields),
            Err(error) => Self::Err(error.into(), Object::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(answer: &Answer) -> String {
        let mut bytes = Vec::new();
        answer.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_answer_is_one_line() {
        assert_eq!(line(&Answer::Ok(Object::new())), "ok {}\n");
        let failure = Failure::usage("a \"word\"\nof two lines");
        let text = line(&Answer::from(Err::<Object, _>(failure.clone())));
        assert_eq!(text, "err {\"kind\":\"Usage\",\"message\":\"a \\\"word\\\"\\nof two lines\"}\n");
        let progress = Object::new().with("first", 3_u64).with("last", None::<u64>);
        let text = line(&Answer::Err(failure, progress));
        assert!(text.ends_with("lines\",\"first\":3,\"last\":null}\n"), "{text}");
    }
}
