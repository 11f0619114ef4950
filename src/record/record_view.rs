//! A record as it lies in a batch: decoded, checked, not copied.

use super::varint;
use crate::error::{Error, ErrorKind, InvalidRecordReason};
use crate::types::{Offset, Sequence, Timestamp};

/// The shortest record: its length, attributes, two deltas, two lengths and the number of headers, a byte each.
pub(crate) const RECORD_LEN_MIN: usize = 7;

/// A record of a batch. Its parts are slices of the batch's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    offset: Offset,
    timestamp: Timestamp,
    sequence: Sequence,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: HeaderViews<'a>,
}

impl<'a> RecordView<'a> {
    /// Its place in the partition.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Its time: the producer's, or that of the append if the batch says so.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Its place in what its idempotent producer sent, or [`Sequence::NONE`].
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The key, or `None` if it is null.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value, or `None` if it is null.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The headers, in order.
    #[must_use]
    pub fn headers(&self) -> HeaderViews<'a> {
        self.headers
    }
}

/// A header of a record in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderView<'a> {
    /// The name.
    pub name: &'a str,
    /// The value, or `None` if it is null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record in a batch, in order. They are known to be well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderViews<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> HeaderViews<'a> {
    /// The headers as they are stored, without their number.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Checks `count` headers that are to fill `bytes`.
    #[inline]
    fn check(count: i32, bytes: &'a [u8]) -> Result<Self, Flaw> {
        let count = u32::try_from(count).map_err(|_| Flaw::HeaderCount)?;
        if count > 0 {
            return Self::check_each(count, bytes);
        }
        if bytes.is_empty() { Ok(Self { count, bytes }) } else { Err(Flaw::LeftOver) }
    }

    fn check_each(count: u32, bytes: &'a [u8]) -> Result<Self, Flaw> {
        if count as usize > bytes.len() {
            return Err(Flaw::HeaderCount);
        }
        let mut rest = bytes;
        for _ in 0..count {
            take_header(&mut rest)?;
        }
        if rest.is_empty() { Ok(Self { count, bytes }) } else { Err(Flaw::LeftOver) }
    }
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        self.count = self.count.checked_sub(1)?;
        take_header(&mut self.bytes).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for HeaderViews<'_> {}

/// What all records of a batch have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) base_offset: u64,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    /// The time of the append, if it stands for the times of all records.
    pub(super) append_time: Option<Timestamp>,
    pub(super) base_sequence: Sequence,
    /// Records count as 0, 1, 2 … in the order in which they lie, whatever their own offsets say.
    pub(super) renumber: bool,
}

/// How a record breaks the rules of the format. Small, as it passes through the innermost loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Varint,
    Length,
    LeftOver,
    KeyLength,
    ValueLength,
    HeaderCount,
    HeaderName,
    HeaderNameText,
    HeaderValue,
    Offset,
    Timestamp,
}

impl Flaw {
    /// The error, for the record that is number `index` of the batch at `base_offset`.
    #[cold]
    pub(super) fn into_error(self, index: u32, base_offset: u64) -> Error {
        use InvalidRecordReason as Reason;
        let (reason, what) = match self {
            Self::Varint => (Reason::Varint, "has an integer that ends early, is too long or does not fit"),
            Self::Length => (Reason::Length, "has a length that is not possible in what is left of the batch"),
            Self::LeftOver => (Reason::Length, "has bytes left over behind its last field"),
            Self::KeyLength => (Reason::Field, "has a key length that is not possible"),
            Self::ValueLength => (Reason::Field, "has a value length that is not possible"),
            Self::HeaderCount => (Reason::Field, "has a number of headers that is not possible"),
            Self::HeaderName => (Reason::Field, "has a header with a name length that is not possible"),
            Self::HeaderNameText => (Reason::Field, "has a header whose name is not UTF-8"),
            Self::HeaderValue => (Reason::Field, "has a header with a value length that is not possible"),
            Self::Offset => (Reason::Offset, "has an offset that is not between the one before and the batch's last"),
            Self::Timestamp => {
                let message = format!("record {index} of the batch at {base_offset} has a time that is not possible");
                return Error::new(ErrorKind::InvalidTimestamp, message);
            }
        };
        Error::invalid_record(reason, format!("record {index} of the batch at {base_offset} {what}"))
    }
}

/// The record at the front of `bytes`, its offset delta and what lies behind it, if it is one as nearly all are:
/// without headers, and with numbers that take one or two bytes each. `None` says nothing about it: that is for
/// [`take_any_record`], which gives the same in more steps.
///
/// This is the innermost loop of every scan. The lengths are only added up, and one comparison with the record's end
/// tells whether they were right.
#[inline]
pub(super) fn take_plain_record<'a>(
    bytes: &'a [u8],
    frame: &Frame,
    delta_min: u32,
) -> Option<(RecordView<'a>, u32, &'a [u8])> {
    let head = bytes.first_chunk::<HEAD_LEN>()?;
    let mut at = 0;
    let length = plain_number(head, &mut at)?;
    let end = at + plain_length(length)?;
    at += 1; // attributes
    let timestamp_delta = plain_number(head, &mut at)?;
    let offset_delta = plain_number(head, &mut at)?;
    let key_length = plain_number(head, &mut at)?;
    let (key, key_end) = plain_field(bytes, key_length, at)?;
    let tail = bytes.get(key_end..)?.first_chunk()?;
    let mut at = 0;
    let value_length = plain_number::<2>(tail, &mut at)?;
    let (value, value_end) = plain_field(bytes, value_length, key_end + at)?;
    let behind = bytes.get(end..)?;
    if value_end + 1 != end || *bytes.get(value_end)? != 0 {
        return None;
    }
    let delta = frame.check_delta(varint::unzigzag(offset_delta), delta_min).ok()?;
    let record = RecordView {
        offset: Offset::new(frame.base_offset + u64::from(delta)),
        timestamp: frame.timestamp(i64::from(varint::unzigzag(timestamp_delta))).ok()?,
        sequence: frame.sequence(delta),
        key,
        value,
        headers: HeaderViews { count: 0, bytes: &[] },
    };
    Some((record, delta, behind))
}

/// More than the numbers up to a record's key take if they take one or two bytes each: nine. A power of two, so that
/// a place in it needs no check but a mask.
const HEAD_LEN: usize = 16;

/// The number at `at` before its zigzag is undone, if it takes one or two bytes.
#[inline]
fn plain_number<const N: usize>(bytes: &[u8; N], at: &mut usize) -> Option<u32> {
    const { assert!(N.is_power_of_two()) };
    let [low, high] = [bytes[*at & (N - 1)], bytes[(*at + 1) & (N - 1)]];
    if low < 0x80 {
        *at += 1;
        return Some(u32::from(low));
    }
    *at += 2;
    (high < 0x80).then(|| u32::from(low & 0x7f) | u32::from(high) << 7)
}

/// The length that `number` stands for, if it is not negative.
#[inline]
fn plain_length(number: u32) -> Option<usize> {
    (number & 1 == 0).then_some((number >> 1) as usize)
}

/// The key or value of the length that `number` stands for, and where it ends.
#[inline]
fn plain_field(bytes: &[u8], number: u32, start: usize) -> Option<(Option<&[u8]>, usize)> {
    const NULL: u32 = 1;
    if number == NULL {
        return Some((None, start));
    }
    let end = start + plain_length(number)?;
    Some((Some(bytes.get(start..end)?), end))
}

/// The record at the front of `bytes`, its offset delta and what lies behind it; or what is wrong with it. Its offset
/// delta has to be at least `delta_min`.
pub(super) fn take_any_record<'a>(
    bytes: &'a [u8],
    frame: &Frame,
    delta_min: u32,
) -> Result<(RecordView<'a>, u32, &'a [u8]), Flaw> {
    let mut rest = bytes;
    let length = varint::take_i32(&mut rest).ok_or(Flaw::Varint)?;
    let length = usize::try_from(length).map_err(|_| Flaw::Length)?;
    let (body, behind) = rest.split_at_checked(length).ok_or(Flaw::Length)?;
    let (_attributes, mut body) = body.split_first().ok_or(Flaw::Length)?;
    let timestamp_delta = varint::take_i64(&mut body).ok_or(Flaw::Varint)?;
    let offset_delta = varint::take_i32(&mut body).ok_or(Flaw::Varint)?;
    let key = take_nullable(&mut body, Flaw::KeyLength)?;
    let value = take_nullable(&mut body, Flaw::ValueLength)?;
    let header_count = varint::take_i32(&mut body).ok_or(Flaw::Varint)?;
    let delta = frame.check_delta(offset_delta, delta_min)?;
    let record = RecordView {
        offset: Offset::new(frame.base_offset + u64::from(delta)),
        timestamp: frame.timestamp(timestamp_delta)?,
        sequence: frame.sequence(delta),
        key,
        value,
        headers: HeaderViews::check(header_count, body)?,
    };
    Ok((record, delta, behind))
}

impl Frame {
    #[inline]
    fn check_delta(&self, delta: i32, delta_min: u32) -> Result<u32, Flaw> {
        if self.renumber {
            let fits = self.base_offset + u64::from(delta_min) <= Offset::MAX.get();
            return if fits { Ok(delta_min) } else { Err(Flaw::Offset) };
        }
        let in_range = delta <= self.last_offset_delta;
        u32::try_from(delta).ok().filter(|&delta| in_range && delta >= delta_min).ok_or(Flaw::Offset)
    }

    #[inline]
    pub(super) fn timestamp(&self, delta: i64) -> Result<Timestamp, Flaw> {
        if let Some(append_time) = self.append_time {
            return Ok(append_time);
        }
        let millis = self.base_timestamp.checked_add(delta).ok_or(Flaw::Timestamp)?;
        if millis < Timestamp::NONE.millis() { Err(Flaw::Timestamp) } else { Ok(Timestamp::from_millis(millis)) }
    }

    #[inline]
    fn sequence(&self, delta: u32) -> Sequence {
        if self.base_sequence < Sequence::ZERO { Sequence::NONE } else { self.base_sequence.increment(delta) }
    }
}

#[inline]
fn take_nullable<'a>(bytes: &mut &'a [u8], flaw: Flaw) -> Result<Option<&'a [u8]>, Flaw> {
    let length = varint::take_i32(bytes).ok_or(Flaw::Varint)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| flaw)?;
    let (field, rest) = bytes.split_at_checked(length).ok_or(flaw)?;
    *bytes = rest;
    Ok(Some(field))
}

fn take_header<'a>(bytes: &mut &'a [u8]) -> Result<HeaderView<'a>, Flaw> {
    let name = take_nullable(bytes, Flaw::HeaderName)?.ok_or(Flaw::HeaderName)?;
    let name = std::str::from_utf8(name).map_err(|_| Flaw::HeaderNameText)?;
    let value = take_nullable(bytes, Flaw::HeaderValue)?;
    Ok(HeaderView { name, value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: Frame = Frame {
        base_offset: 1000,
        last_offset_delta: 9000,
        base_timestamp: 1_700_000_000_000,
        append_time: None,
        base_sequence: Sequence::new(i32::MAX - 3),
        renumber: false,
    };

    /// A record that the quick way is made for, its numbers encoded.
    fn plain(timestamp_delta: i32, offset_delta: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
        let mut body = vec![0];
        varint::put_i32(&mut body, timestamp_delta);
        varint::put_i32(&mut body, offset_delta);
        for field in [key, value] {
            varint::put_i32(&mut body, field.map_or(-1, |field| i32::try_from(field.len()).unwrap()));
            body.extend(field.unwrap_or_default());
        }
        body.push(0);
        let mut record = Vec::new();
        varint::put_i32(&mut record, i32::try_from(body.len()).unwrap());
        record.extend(body);
        record
    }

    fn frames() -> [Frame; 5] {
        let no_sequence = Frame { base_sequence: Sequence::NONE, ..FRAME };
        let append_time = Frame { append_time: Some(Timestamp::from_millis(7)), ..FRAME };
        let edges = Frame { base_timestamp: i64::MAX - 2, last_offset_delta: 3, ..FRAME };
        let renumbered = Frame { renumber: true, ..FRAME };
        [FRAME, no_sequence, append_time, edges, renumbered]
    }

    fn assert_same(bytes: &[u8], delta_min: u32) {
        for frame in &frames() {
            if let Some(quick) = take_plain_record(bytes, frame, delta_min) {
                assert_eq!(take_any_record(bytes, frame, delta_min), Ok(quick), "{bytes:02x?} in {frame:?}");
            }
        }
    }

    #[test]
    fn the_quick_way_takes_what_it_is_made_for() {
        let value = vec![b'v'; 4000];
        for (key, value) in [(None, Some(&value[..])), (Some(&value[..70]), Some(&value[..100])), (Some(b""), None)] {
            for (timestamp_delta, offset_delta) in [(0, 0), (-5, 1), (8191, 64), (-8192, 8191)] {
                let record = [&plain(timestamp_delta, offset_delta, key, value)[..], &[0; 16]].concat();
                let (view, delta, behind) = take_plain_record(&record, &FRAME, 0).unwrap();
                assert_eq!((view.key(), view.value()), (key, value));
                assert_eq!(view.timestamp().millis(), FRAME.base_timestamp + i64::from(timestamp_delta));
                assert_eq!((i64::from(delta), behind), (i64::from(offset_delta), &[0; 16][..]));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_ways_agree(
            numbers in (-9000..9000i32, -10..9010i32, 0..20u32),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
            flip in (0..20usize, any::<u8>()),
        ) {
            let mut record = plain(numbers.0, numbers.1, key.as_deref(), value.as_deref());
            record.extend([0; 20]);
            assert_same(&record, numbers.2);
            record[flip.0] ^= flip.1;
            assert_same(&record, numbers.2);
        }

        #[test]
        fn both_ways_agree_on_anything(bytes in proptest::collection::vec(0..24u8, 16..40), delta_min in 0..3u32) {
            assert_same(&bytes, delta_min);
        }
    }
}
