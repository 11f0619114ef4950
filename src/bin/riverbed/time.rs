//! Points in time as people write them.

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use riverbed::Timestamp;

use crate::failure::Failure;

/// Where milliseconds count from.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Where a search for the first record at or after `time` begins: no record is from before 1970.
pub fn searched(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.millis().max(0))
}

/// Milliseconds since 1970, or a time of RFC 3339 such as `2024-05-01T12:00:00Z`.
pub fn parse(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(Timestamp::from_millis(millis));
    }
    let refused =
        |why: String| Failure::usage(format!("{text:?} is neither milliseconds nor a time of RFC 3339: {why}"));
    let pieces = Pieces::parse(text).map_err(|error| refused(error.to_string()))?;
    let time = pieces.time().ok_or_else(|| refused("the time of day is missing".into()))?;
    let offset = pieces.to_numeric_offset().ok_or_else(|| refused("the offset from UTC is missing".into()))?;
    // Not by way of a `jiff::Timestamp`, which ends before the year 9999 does.
    let local = pieces.date().to_datetime(time).duration_since(EPOCH);
    let nanos = local.as_nanos() - i128::from(offset.seconds()) * 1_000_000_000;
    Ok(Timestamp::from_millis(nanos.div_euclid(1_000_000).try_into().unwrap_or(i64::MAX)))
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
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("0000-01-01T00:00:00+01:00", -62_167_222_800_000),
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
