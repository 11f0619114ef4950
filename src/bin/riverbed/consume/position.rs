//! Where reading starts.

use std::str::FromStr;

use riverbed::Timestamp;

use crate::failure::Failure;
use crate::time;

/// What `--from` may say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// The log start.
    #[default]
    Earliest,
    /// The log end.
    Latest,
    /// An offset.
    Offset(i64),
    /// The first record at or after a time.
    Time(Timestamp),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@') {
            return time::parse(time).map(Self::Time).map_err(|Failure { message, .. }| message);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let offset = text.parse().ok().filter(|_| is_number);
        offset.map(Self::Offset).ok_or_else(|| format!("{text:?} is not earliest, latest, an offset or @TIME"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_an_offset_or_a_time() {
        let table = [
            ("earliest", From::Earliest),
            ("latest", From::Latest),
            ("0", From::Offset(0)),
            ("42", From::Offset(42)),
            ("@42", From::Time(Timestamp::from_millis(42))),
            ("@1970-01-01T00:00:01Z", From::Time(Timestamp::from_millis(1000))),
        ];
        for (text, from) in table {
            assert_eq!(text.parse(), Ok(from), "{text}");
        }
        for text in ["", "-1", "+1", "first", "@", "@soon", "1.5", "9223372036854775808"] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
    }
}
