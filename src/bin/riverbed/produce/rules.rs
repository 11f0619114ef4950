//! What a topic asks of each record, held against it before it joins others in a batch: the log refuses batches as a
//! whole, and knows no lines.

use std::ops::RangeInclusive;

use riverbed::{ErrorKind, LogConfig, Timestamp};

use super::fields::Extracted;
use crate::failure::Failure;

/// The rules of one topic.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    needs_key: bool,
    /// How far a record's time may lie before and after now, in milliseconds. None if the log sets its own times.
    margins: Option<(i64, i64)>,
}

impl Rules {
    /// Those of a topic with this configuration.
    pub fn of(config: &LogConfig) -> Self {
        let text = |name| config.get(name).unwrap_or_default();
        let millis = |name| text(name).parse().unwrap_or(i64::MAX);
        let own_times = text("message.timestamp.type") != "LogAppendTime";
        let margins = || (millis("message.timestamp.before.max.ms"), millis("message.timestamp.after.max.ms"));
        Self {
            needs_key: text("cleanup.policy").split(',').any(|policy| policy == "compact"),
            margins: own_times.then(margins),
        }
    }

    /// Refuses a record that the log would refuse at `now`.
    pub fn check(&self, record: &Extracted, now: Timestamp) -> Result<(), Failure> {
        if self.needs_key && record.key.is_none() {
            return Err(Failure::new(ErrorKind::InvalidRecord, "the key is missing: a compacted topic needs keys"));
        }
        let Some(time) = record.timestamp.map(Timestamp::millis) else { return Ok(()) };
        let allowed = self.margins.map_or(-1..=i64::MAX, |margins| times(now.millis(), margins));
        if time < -1 || time >= 0 && !allowed.contains(&time) {
            let (first, last) = ((*allowed.start()).max(0), allowed.end());
            let message = format!("the topic allows times from {first} to {last}, not {time}");
            return Err(Failure::new(ErrorKind::InvalidTimestamp, message));
        }
        Ok(())
    }
}

fn times(now: i64, (before, after): (i64, i64)) -> RangeInclusive<i64> {
    now.saturating_sub(before)..=now.saturating_add(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(settings: &[(&str, &str)]) -> Rules {
        let mut config = LogConfig::default();
        for (name, value) in settings {
            config.set(name, value).unwrap();
        }
        Rules::of(&config)
    }

    fn kind(rules: Rules, key: Option<&str>, time: Option<i64>) -> Option<ErrorKind> {
        let key = key.map(|key| key.as_bytes().to_vec());
        let record = Extracted { key, timestamp: time.map(Timestamp::from_millis) };
        rules.check(&record, Timestamp::from_millis(10_000)).err().map(|failure| failure.kind)
    }

    #[test]
    fn keys_are_needed_where_they_are_compacted() {
        assert_eq!(kind(rules(&[]), None, None), None);
        let compacted = rules(&[("cleanup.policy", "delete,compact")]);
        assert_eq!(kind(compacted, None, None), Some(ErrorKind::InvalidRecord));
        assert_eq!(kind(compacted, Some(""), None), None);
    }

    #[test]
    fn times_lie_within_the_topics_margins() {
        let narrow = [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "500")];
        let refused = Some(ErrorKind::InvalidTimestamp);
        let table = [
            (8_999, refused),
            (9_000, None),
            (10_500, None),
            (10_501, refused),
            (-1, None),
            (-2, refused),
            (0, refused),
        ];
        for (time, expected) in table {
            assert_eq!(kind(rules(&narrow), None, Some(time)), expected, "{time}");
        }
        let own = [narrow[0], narrow[1], ("message.timestamp.type", "LogAppendTime")];
        assert_eq!(kind(rules(&own), None, Some(5)), None);
        assert_eq!(kind(rules(&[]), None, Some(0)), None);
        assert_eq!(kind(rules(&[]), None, Some(10_000 + 3_600_001)), refused);
    }
}
