//! One line of a dump: names with their values, as Kafka's tool prints them, or as a JSON object.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::json::{Data, Json, Object};

/// A value in a dump.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Int(i64),
    Bool(bool),
    Text(Cow<'a, str>),
    /// Java's `OptionalLong`.
    Optional(Option<i64>),
    List(Vec<Cow<'a, str>>),
    Data(&'a [u8]),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Optional(None) => f.write_str("OptionalLong.empty"),
            Self::Optional(Some(number)) => write!(f, "OptionalLong[{number}]"),
            Self::List(items) => write!(f, "[{}]", items.join(",")),
            Self::Data(bytes) => String::from_utf8_lossy(bytes).fmt(f),
        }
    }
}

impl Json for Value<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Int(number) => number.write(out),
            Self::Bool(yes) => yes.write(out),
            Self::Text(text) => text.as_ref().write(out),
            Self::Optional(number) => number.write(out),
            Self::List(items) => items.iter().map(AsRef::as_ref).collect::<Vec<&str>>().write(out),
            Self::Data(bytes) => Data(bytes).write(out),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<i16> for Value<'_> {
    fn from(number: i16) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Optional(number)
    }
}

/// A line of a dump.
#[derive(Clone, Debug, Default)]
pub struct Entry<'a> {
    /// Stands in front of the text, not in the JSON.
    pub prefix: &'static str,
    fields: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Entry<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with(mut self, name: &'a str, value: impl Into<Value<'a>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub fn to_json(&self) -> Object {
        self.fields.iter().fold(Object::new(), |object, (name, value)| object.with(name, value))
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix)?;
        for (i, (name, value)) in self.fields.iter().enumerate() {
            if i > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{name}: {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_in_kafkas_tool_or_as_json() {
        let mut entry = Entry::new()
            .with("offset", 6_i64)
            .with("isvalid", true)
            .with("none", None)
            .with("some", Some(5))
            .with("headerKeys", Value::List(vec!["a".into(), "".into()]))
            .with("key", Value::Data(b"k\xff"));
        entry.prefix = "| ";
        let text =
            "| offset: 6 isvalid: true none: OptionalLong.empty some: OptionalLong[5] headerKeys: [a,] key: k\u{fffd}";
        assert_eq!(entry.to_string(), text);
        let json = r#"{"offset":6,"isvalid":true,"none":null,"some":5,"headerKeys":["a",""],"key":{"base64":"a/8="}}"#;
        assert_eq!(entry.to_json().to_string(), json);
    }
}
