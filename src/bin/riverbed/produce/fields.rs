//! Key and time of a record, taken from fields of a line that is JSON.

use std::collections::HashMap;

use riverbed::{ErrorKind, Timestamp};
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::time;

/// Which fields to look for. Without any, lines need not be JSON.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FieldOptions {
    /// Lines are JSON objects, and this field is the key: a string as it is, anything else as JSON, null no key
    #[arg(long, value_name = "F")]
    key_field: Option<String>,
    /// Lines are JSON objects, and this field is the timestamp: milliseconds or RFC 3339; without it, now
    #[arg(long, value_name = "F")]
    timestamp_field: Option<String>,
}

/// What a line says of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    pub key: Option<Vec<u8>>,
    pub timestamp: Option<Timestamp>,
}

impl FieldOptions {
    /// Key and time of the record that `line` is.
    pub fn extract(&self, line: &[u8]) -> Result<Extracted, Failure> {
        if self.key_field.is_none() && self.timestamp_field.is_none() {
            return Ok(Extracted::default());
        }
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(line)
            .map_err(|error| Failure::new(ErrorKind::InvalidRecord, format!("not an object of JSON: {error}")))?;
        let field = |name: &Option<String>| {
            let raw = name.as_ref().and_then(|name| fields.get(name));
            raw.map(|raw| raw.get()).filter(|text| *text != "null")
        };
        let timestamp = field(&self.timestamp_field).map(timestamp).transpose()?;
        Ok(Extracted { key: field(&self.key_field).map(key), timestamp })
    }
}

fn key(json: &str) -> Vec<u8> {
    match serde_json::from_str::<String>(json) {
        Ok(text) => text.into_bytes(),
        Err(_) => json.as_bytes().to_vec(),
    }
}

fn timestamp(json: &str) -> Result<Timestamp, Failure> {
    let text = serde_json::from_str::<String>(json);
    let text = text.as_deref().unwrap_or(json);
    time::parse(text).map_err(|failure| Failure::new(ErrorKind::InvalidRecord, failure.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extract(line: &str) -> Result<Extracted, Failure> {
        let options = FieldOptions { key_field: Some("k".into()), timestamp_field: Some("t".into()) };
        options.extract(line.as_bytes())
    }

    #[test]
    fn keys_are_strings_as_they_are_and_anything_else_as_json() {
        let table = [
            (r#"{}"#, None),
            (r#"{"k":null}"#, None),
            (r#"{"K":"x"}"#, None),
            (r#"{"k":""}"#, Some("")),
            (r#"{"k":"a\"\u00fc\n"}"#, Some("a\"\u{fc}\n")),
            (r#" { "k" : "null" } "#, Some("null")),
            (r#"{"k":17}"#, Some("17")),
            (r#"{"k":1.50}"#, Some("1.50")),
            (r#"{"k":123456789012345678901234567890}"#, Some("123456789012345678901234567890")),
            (r#"{"k":true}"#, Some("true")),
            (r#"{"k":{"b":1,"a":[2]}}"#, Some(r#"{"b":1,"a":[2]}"#)),
        ];
        for (line, key) in table {
            assert_eq!(extract(line).unwrap().key, key.map(|text| text.as_bytes().to_vec()), "{line}");
        }
    }

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        let table = [
            (r#"{"t":null}"#, None),
            (r#"{}"#, None),
            (r#"{"t":1700000000005}"#, Some(1_700_000_000_005)),
            (r#"{"t":"1700000000005"}"#, Some(1_700_000_000_005)),
            (r#"{"t":"2023-11-14T22:13:20.005Z"}"#, Some(1_700_000_000_005)),
        ];
        for (line, millis) in table {
            assert_eq!(extract(line).unwrap().timestamp, millis.map(Timestamp::from_millis), "{line}");
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in
            ["", "x", "[]", "7", "null", r#"{"k":1"#, r#"{} {}"#, r#"{"t":"soon"}"#, r#"{"t":1.5}"#, r#"{"t":[]}"#]
        {
            assert_eq!(extract(line).unwrap_err().kind, ErrorKind::InvalidRecord, "{line}");
        }
        let not_utf8 =
            FieldOptions { key_field: Some("k".into()), ..FieldOptions::default() }.extract(b"{\"k\":\"\xff\"}");
        assert_eq!(not_utf8.unwrap_err().kind, ErrorKind::InvalidRecord);
    }

    #[test]
    fn without_field_options_a_line_need_not_be_json() {
        assert_eq!(FieldOptions::default().extract(b"\xff{").unwrap(), Extracted::default());
    }
}
