//! The walk over the records of a batch: their keys and times, and the largest of these.

use crate::error::{Error, ErrorKind, InvalidRecordReason, Result};
use crate::log::validate::ValidationRules;
use crate::record::{BatchHeader, Payload, RecordView, Records};
use crate::types::{Timestamp, TimestampType};

/// How many records an error names; it counts all.
const NAMED_MAX: usize = 10;

/// What each record is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    keys_needed: bool,
    /// The times that are allowed.
    earliest: Timestamp,
    latest: Timestamp,
    /// The batch claims that the log has set its time.
    claimed: Option<Timestamp>,
    append_time: bool,
}

impl Scan {
    pub(super) fn new(header: &BatchHeader, rules: &ValidationRules<'_>) -> Self {
        let (config, now) = (rules.config, rules.now.millis());
        let append_time = config.timestamp_type == TimestampType::LogAppendTime;
        let bounds =
            (now.saturating_sub(config.timestamp_before_max_ms), now.saturating_add(config.timestamp_after_max_ms));
        let (earliest, latest) = if append_time { (i64::MIN, i64::MAX) } else { bounds };
        let claims = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            keys_needed: config.cleanup_policy.compact,
            earliest: Timestamp::from_millis(earliest),
            latest: Timestamp::from_millis(latest),
            claimed: claims.then_some(header.max_timestamp),
            append_time,
        }
    }

    /// Checks all records. Answers the largest of their timestamps, [`Timestamp::NONE`] if none has one.
    ///
    /// # Errors
    /// As of [`Scan::walk`].
    pub(super) fn run(&self, payload: &Payload<'_>) -> Result<Timestamp> {
        let summary = payload.summary()?;
        let fine = !(self.keys_needed && summary.key_missing)
            && self.is_allowed(summary.min_timestamp)
            && self.is_allowed(summary.max_timestamp)
            && self.claimed.is_none_or(|claimed| self.may_claim(claimed));
        if fine { Ok(summary.max_timestamp) } else { self.walk(payload.records()) }
    }

    /// Walks from record to record, to name those that break a rule. Answers the largest of their timestamps.
    ///
    /// # Errors
    /// That of a record which does not decode; else, once all were seen, [`ErrorKind::InvalidTimestamp`] if there is a
    /// time that is not allowed, and [`ErrorKind::InvalidRecord`] if a key is missing.
    pub(super) fn walk(&self, records: Records<'_>) -> Result<Timestamp> {
        let mut max_timestamp = Timestamp::NONE;
        let mut flaws = Flaws::default();
        for (index, record) in records.enumerate() {
            let record = record?;
            max_timestamp = max_timestamp.max(record.timestamp());
            if !self.is_fine(&record) {
                self.blame(index, &record, &mut flaws);
            }
        }
        flaws.result(self).map(|()| max_timestamp)
    }

    #[inline]
    fn is_fine(&self, record: &RecordView<'_>) -> bool {
        !(self.keys_needed && record.key().is_none())
            && self.is_allowed(record.timestamp())
            && self.claimed.is_none_or(|claimed| self.may_claim(claimed))
    }

    #[inline]
    fn is_allowed(&self, time: Timestamp) -> bool {
        !time.is_some() || (self.earliest <= time && time <= self.latest)
    }

    /// A producer cannot know the time of the append. The claim is overlooked where the topic takes the producer's
    /// times and the one claimed would be allowed.
    fn may_claim(&self, claimed: Timestamp) -> bool {
        !self.append_time && claimed.is_some() && self.is_allowed(claimed)
    }

    #[cold]
    fn blame(&self, index: usize, record: &RecordView<'_>, flaws: &mut Flaws) {
        let claim = self.claimed.filter(|claimed| !self.may_claim(*claimed));
        if self.keys_needed && record.key().is_none() {
            flaws.keys_missing.add(index, None);
        } else {
            flaws.times.add(index, Some(claim.unwrap_or(record.timestamp())));
        }
    }
}

/// Records that break a rule.
#[derive(Debug, Default)]
struct Flaws {
    keys_missing: Blamed,
    times: Blamed,
}

#[derive(Debug, Default)]
struct Blamed {
    first: Vec<(usize, Option<Timestamp>)>,
    count: usize,
}

impl Blamed {
    fn add(&mut self, index: usize, time: Option<Timestamp>) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push((index, time));
        }
    }

    /// "record 3 (time 5), record 7 (time 9) and 12 more".
    fn list(&self) -> String {
        let one = |(index, time): &(usize, Option<Timestamp>)| match time {
            Some(time) => format!("record {index} (time {time})"),
            None => format!("record {index}"),
        };
        let named = self.first.iter().map(one).collect::<Vec<_>>().join(", ");
        match self.count - self.first.len() {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

impl Flaws {
    fn result(self, scan: &Scan) -> Result<()> {
        if self.times.count > 0 {
            let list = self.times.list();
            let message = if scan.append_time {
                format!("{list}: the time of the append is the log's to set")
            } else {
                format!("{list}: the topic allows times from {} to {}", scan.earliest, scan.latest)
            };
            return Err(Error::new(ErrorKind::InvalidTimestamp, message));
        }
        if self.keys_missing.count > 0 {
            let message = format!("{}: a compacted topic needs keys", self.keys_missing.list());
            return Err(Error::invalid_record(InvalidRecordReason::KeyMissing, message));
        }
        Ok(())
    }
}
