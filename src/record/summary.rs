//! A quick walk over a batch's records: every one is checked, none is handed out.

use super::payload::{Payload, Records};
use super::varint::unzigzag;
use crate::error::Result;
use crate::types::Timestamp;

/// What is known of the records of a batch once all were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The smallest timestamp of the records that have one, or [`Timestamp::NONE`].
    pub(crate) min_timestamp: Timestamp,
    /// The largest timestamp, or [`Timestamp::NONE`].
    pub(crate) max_timestamp: Timestamp,
    /// Whether a record has no key.
    pub(crate) key_missing: bool,
}

/// A [`Summary`] of the records so far.
struct Gathered {
    /// As an unsigned number −1 is the largest: the smallest one is that of those that are times.
    min: u64,
    max: i64,
    key_missing: bool,
}

impl Gathered {
    #[inline]
    fn add(&mut self, time: Timestamp, key_missing: bool) {
        self.min = self.min.min(time.millis().cast_unsigned());
        self.max = self.max.max(time.millis());
        self.key_missing |= key_missing;
    }
}

impl Payload<'_> {
    /// Walks over all records, and refuses what [`Payload::records`] refuses.
    ///
    /// # Errors
    /// That of the first record that breaks the format, and the one for a wrong number of records.
    pub(crate) fn summary(&self) -> Result<Summary> {
        let mut gathered = Gathered { min: u64::MAX, max: Timestamp::NONE.millis(), key_missing: false };
        let mut records = self.records();
        loop {
            records.skim(&mut gathered);
            match records.next().transpose()? {
                Some(record) => gathered.add(record.timestamp(), record.key().is_none()),
                None => break,
            }
        }
        Ok(Summary {
            min_timestamp: Timestamp::from_millis(gathered.min.cast_signed()),
            max_timestamp: Timestamp::from_millis(gathered.max),
            key_missing: gathered.key_missing,
        })
    }
}

impl Records<'_> {
    /// Goes on over records of the usual form, each at the offset right behind the last: several times faster than
    /// handing them out. Stops in front of the first that needs a closer look.
    fn skim(&mut self, gathered: &mut Gathered) {
        if self.frame.append_time.is_some() || self.frame.renumber {
            return;
        }
        let last = self.frame.last_offset_delta.cast_unsigned();
        let (mut at, mut index, mut delta) = (0, self.index, self.delta_min);
        while index < self.count && delta <= last {
            let Some(record) = Skimmed::read(self.rest, at).filter(|record| record.offset_delta == delta << 1) else {
                break;
            };
            let Ok(time) = self.frame.timestamp(i64::from(unzigzag(record.timestamp_delta))) else {
                break;
            };
            gathered.add(time, record.key_missing);
            (at, index, delta) = (record.end, index + 1, delta + 1);
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        (self.index, self.delta_min) = (index, delta);
    }
}

/// What of a record does not need its key or value. Numbers are as stored, in zigzag.
struct Skimmed {
    timestamp_delta: u32,
    offset_delta: u32,
    key_missing: bool,
    end: usize,
}

impl Skimmed {
    /// The record at `start`, or `None` unless it is well formed, without headers, and its numbers are short.
    #[inline]
    fn read(bytes: &[u8], start: usize) -> Option<Self> {
        let mut at = start;
        let length = even(short(bytes, &mut at)?)?;
        let end = at + length;
        let bytes = bytes.get(..end)?;
        at += 1; // attributes
        let timestamp_delta = short(bytes, &mut at)?;
        let offset_delta = short(bytes, &mut at)?;
        let key_missing = skip_field(bytes, &mut at)?;
        skip_field(bytes, &mut at)?;
        let no_headers = *bytes.get(at)? == 0 && at + 1 == end;
        no_headers.then_some(Self { timestamp_delta, offset_delta, key_missing, end })
    }
}

/// A number of up to three bytes, 21 bits.
#[inline]
fn short(bytes: &[u8], at: &mut usize) -> Option<u32> {
    const MORE: u32 = 0x80;
    let mut next = || {
        let byte = bytes.get(*at).copied()?;
        *at += 1;
        Some(u32::from(byte))
    };
    let low = next()?;
    if low < MORE {
        return Some(low);
    }
    let middle = next()?;
    if middle < MORE {
        return Some(low & !MORE | middle << 7);
    }
    let high = next().filter(|high| *high < MORE)?;
    Some(low & !MORE | (middle & !MORE) << 7 | high << 14)
}

/// The length that a number in zigzag stands for, if it is not negative.
#[inline]
fn even(number: u32) -> Option<usize> {
    (number & 1 == 0).then_some((number >> 1) as usize)
}

/// Goes past a key or value, which may lie beyond the end: what is read next then is not there. Answers whether it is
/// null.
#[inline]
fn skip_field(bytes: &[u8], at: &mut usize) -> Option<bool> {
    const NULL: u32 = 1;
    let number = short(bytes, at)?;
    if number == NULL {
        return Some(true);
    }
    *at += even(number)?;
    Some(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::InvalidRecordReason;
    use crate::record::{BatchBuilder, DecompressionLimits, Record, RecordBatch};

    fn summary_by_records(payload: &Payload<'_>) -> Result<Summary> {
        let records = payload.records().collect::<Result<Vec<_>>>()?;
        let times = records.iter().map(|record| record.timestamp());
        Ok(Summary {
            min_timestamp: times.clone().filter(|time| time.is_some()).min().unwrap_or(Timestamp::NONE),
            max_timestamp: times.max().unwrap_or(Timestamp::NONE),
            key_missing: records.iter().any(|record| record.key().is_none()),
        })
    }

    /// The batch's header before the bytes of its records, whatever these are.
    fn payload<'a>(batch: &RecordBatch<&[u8]>, section: &'a [u8]) -> Payload<'a> {
        Payload::new(*batch.header(), section.into()).unwrap()
    }

    type Input = (i64, Option<Vec<u8>>, Option<Vec<u8>>, bool);

    fn build(records: &[Input]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for (time, key, value, header) in records {
            let record = Record::new().key(key.as_deref()).value(value.as_deref());
            let record = record.timestamp(Timestamp::from_millis(*time));
            let record = if *header { record.header("h", "v") } else { record };
            builder.push(&record, Timestamp::NONE).unwrap();
        }
        builder.finish().unwrap().unwrap().to_vec()
    }

    #[test]
    fn a_usual_batch_is_skimmed_to_its_end() {
        for len in [0, 60, 200, 9_000, 500_000] {
            let bytes = build(&vec![(1_000, Some(vec![1; 70]), Some(vec![2; len]), false); 200]);
            let batch = RecordBatch::parse(&bytes[..]).unwrap();
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            let mut records = payload.records();
            records.skim(&mut Gathered { min: 0, max: 0, key_missing: false });
            assert!(records.rest.is_empty() && records.next().is_none(), "{len}");
        }
    }

    #[test]
    fn too_few_records_and_too_many_are_refused() {
        let bytes = build(&vec![(1_000, None, Some(vec![7; 20]), false); 3]);
        let batch = RecordBatch::parse(&bytes[..]).unwrap();
        let records = batch.section();
        let one = &records[..records.len() / 3];
        assert!(payload(&batch, records).summary().is_ok());
        for section in [&records[one.len()..], &[records, one].concat(), &[records, &[0]].concat()] {
            let error = payload(&batch, section).summary().unwrap_err();
            assert_eq!(error.invalid_record_reason(), Some(InvalidRecordReason::Count));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_quick_walk_and_the_slow_one_agree(
            records in prop::collection::vec(
                (
                    prop_oneof![Just(-1), 0i64..3_000, any::<u32>().prop_map(i64::from)],
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..5)),
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..90)),
                    prop::bool::weighted(0.1),
                ),
                1..80,
            ),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let bytes = build(&records);
            let batch = RecordBatch::parse(&bytes[..]).unwrap();
            let mut section = batch.section().to_vec();
            let whole = payload(&batch, &section);
            prop_assert_eq!(whole.summary().unwrap(), summary_by_records(&whole).unwrap());
            for (place, flip) in flips {
                let place = place.index(section.len());
                section[place] ^= flip;
            }
            let damaged = payload(&batch, &section);
            let (quick, slow) = (damaged.summary(), summary_by_records(&damaged));
            prop_assert_eq!(quick.map_err(|e| e.to_string()), slow.map_err(|e| e.to_string()));
        }
    }
}
