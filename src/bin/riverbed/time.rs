//! Points in time as people write them.

use riverbed::Timestamp;

use crate::failure::Failure;

/// Milliseconds since 1970, or a time of RFC 3339 such as `2024-05-01T12:00:00Z`.
pub fn parse(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(Timestamp::from_millis(millis));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => {
            Ok(Timestamp::from_millis(time.as_nanosecond().div_euclid(1_000_000).try_into().unwrap_or(i64::MAX)))
        }
        Err(error) => Err(Failure::usage(format!("{text:?} is neither milliseconds nor a time of RFC 3339: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_and_rfc_3339_are_understood() {
        let table = [
            ("0", 0),
            ("1700000000005", 1_700_000_000_005),
            ("-1", -1),
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20.005Z", 1_700_000_000_005),
            ("2023-11-14T23:13:20.005999+01:00", 1_700_000_000_005),
            ("2023-11-14 22:13:20.005Z", 1_700_000_000_005),
            ("1969-12-31T23:59:59.9995Z", -1),
        ];
        for (text, millis) in table {
            assert_eq!(parse(text).unwrap().millis(), millis, "{text}");
        }
    }

    #[test]
    fn everything_else_is_usage() {
        for text in ["", "now", "1.5", "2023-11-14", "2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "12:00"] {
            assert_eq!(parse(text).unwrap_err().kind, riverbed::ErrorKind::Usage, "{text}");
        }
    }
}
