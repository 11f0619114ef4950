//! JSON with its fields in the order they are written, and of the shapes that the program prints.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value that can be written as JSON.
pub trait Json {
    fn write(&self, out: &mut String);
}

/// An object, built field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    fields: String,
}

impl Object {
    /// `{}`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The object with one field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Json) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a field that is a list, to be filled by [`Object::item`]: a long one is not held twice.
    pub fn start_list(&mut self, name: &str) {
        self.push_name(name);
        self.fields.push('[');
    }

    /// Adds an item to the list that was started.
    pub fn item(&mut self, value: impl Json) {
        if !self.fields.ends_with('[') {
            self.fields.push(',');
        }
        value.write(&mut self.fields);
    }

    /// Ends the list that was started.
    pub fn end_list(&mut self) {
        self.fields.push(']');
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: impl Json) {
        self.push_name(name);
        value.write(&mut self.fields);
    }

    fn push_name(&mut self, name: &str) {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        name.write(&mut self.fields);
        self.fields.push(':');
    }

    /// Adds the fields of another object.
    pub fn extend(&mut self, other: &Object) {
        if !self.fields.is_empty() && !other.fields.is_empty() {
            self.fields.push(',');
        }
        self.fields.push_str(&other.fields);
    }
}

impl Json for Object {
    fn write(&self, out: &mut String) {
        out.push('{');
        out.push_str(&self.fields);
        out.push('}');
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.fields)
    }
}

/// Bytes of a record: a string if they are UTF-8, else `{"base64": "…"}`.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a>(pub &'a [u8]);

impl Json for Data<'_> {
    fn write(&self, out: &mut String) {
        match std::str::from_utf8(self.0) {
            Ok(text) => text.write(out),
            Err(_) => {
                out.push_str(r#"{"base64":""#);
                STANDARD.encode_string(self.0, out);
                out.push_str(r#""}"#);
            }
        }
    }
}

impl Json for str {
    fn write(&self, out: &mut String) {
        let plain = |b: u8| b >= b' ' && b != b'"' && b != b'\\';
        if self.bytes().all(plain) {
            out.push('"');
            out.push_str(self);
            out.push('"');
        } else {
            out.push_str(&serde_json::Value::from(self).to_string());
        }
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Json for $number {
            fn write(&self, out: &mut String) {
                let _infallible = write!(out, "{self}");
            }
        }
    )*};
}

numbers!(u32, u64, i64, usize);

impl Json for f64 {
    fn write(&self, out: &mut String) {
        out.push_str(&serde_json::Value::from(*self).to_string());
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Json> Json for [T] {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (i, value) in self.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            value.write(out);
        }
        out.push(']');
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        self.as_slice().write(out);
    }
}

impl<A: Json, B: Json> Json for (A, B) {
    fn write(&self, out: &mut String) {
        out.push('[');
        self.0.write(out);
        out.push(',');
        self.1.write(out);
        out.push(']');
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_the_order_of_their_fields() {
        let object = Object::new()
            .with("offset", 5_u64)
            .with("timestamp", -1_i64)
            .with("active", true)
            .with("none", None::<u32>)
            .with("headers", vec![("a", Some(Data(b"1"))), ("", None)])
            .with("list", vec![Object::new(), Object::new().with("rate", 1.5)]);
        let expected = r#"{"offset":5,"timestamp":-1,"active":true,"none":null,"headers":[["a","1"],["",null]],"list":[{},{"rate":1.5}]}"#;
        assert_eq!(object.to_string(), expected);
        let parsed: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(parsed["headers"][1][1], serde_json::Value::Null);
    }

    #[test]
    fn a_list_can_be_filled_item_by_item() {
        let mut object = Object::new().with("a", 1_u64);
        object.start_list("none");
        object.end_list();
        object.start_list("some");
        object.item("x[");
        object.item(Object::new().with("list", vec![1_u64, 2]));
        object.item(Object::new());
        object.end_list();
        assert_eq!(object.to_string(), r#"{"a":1,"none":[],"some":["x[",{"list":[1,2]},{}]}"#);
    }

    #[test]
    fn bytes_are_strings_only_if_they_are_utf_8() {
        let table: [(&[u8], &str); 6] = [
            (b"", r#""""#),
            (b"plain", r#""plain""#),
            ("\u{fc}".as_bytes(), "\"\u{fc}\""),
            (b"a\"b\\c\n\x00\x7f", "\"a\\\"b\\\\c\\n\\u0000\x7f\""),
            (b"\xff\x00", r#"{"base64":"/wA="}"#),
            (b"\xc3", r#"{"base64":"ww=="}"#),
        ];
        for (bytes, expected) in table {
            assert_eq!(Object::new().with("k", Data(bytes)).to_string(), format!("{{\"k\":{expected}}}"));
        }
    }
}
