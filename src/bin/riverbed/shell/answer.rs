//! What the shell answers: `ok {…}` or `err {…}`, one line each.

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
    /// The answer as one line, with its end.
    pub fn to_line(&self) -> String {
        match self {
            Self::Ok(fields) => format!("ok {fields}\n"),
            Self::Err(failure, progress) => {
                let mut fields = Object::new().with("kind", failure.kind.to_string()).with("message", &failure.message);
                fields.extend(progress);
                format!("err {fields}\n")
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

    #[test]
    fn an_answer_is_one_line() {
        assert_eq!(Answer::Ok(Object::new()).to_line(), "ok {}\n");
        let failure = Failure::usage("a \"word\"\nof two lines");
        let line = Answer::from(Err::<Object, _>(failure.clone())).to_line();
        assert_eq!(line, "err {\"kind\":\"Usage\",\"message\":\"a \\\"word\\\"\\nof two lines\"}\n");
        let progress = Object::new().with("first", 3_u64).with("last", None::<u64>);
        let line = Answer::Err(failure, progress).to_line();
        assert!(line.ends_with("lines\",\"first\":3,\"last\":null}\n"), "{line}");
    }
}
