//! Integers of variable length: zigzag, then seven bits a byte, the lowest first.
//!
//! Reading takes padded forms up to the largest length, as Kafka's `ByteUtils` does, and refuses bits that do not fit.

/// The longest form of a 32-bit integer.
pub(crate) const I32_LEN_MAX: usize = 5;
/// The longest form of a 64-bit integer.
pub(crate) const I64_LEN_MAX: usize = 10;

const MORE: u8 = 0x80;

/// Takes a 32-bit integer off the front of `bytes`, or `None` if it ends early, is too long or does not fit.
#[inline]
pub(crate) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    let number = match **bytes {
        [low, ..] if low < MORE => {
            *bytes = bytes.get(1..)?;
            u32::from(low)
        }
        [low, high, ..] if high < MORE => {
            *bytes = bytes.get(2..)?;
            u32::from(low & !MORE) | u32::from(high) << 7
        }
        _ => u32::try_from(take_long(bytes, I32_LEN_MAX)?).ok()?,
    };
    Some(unzigzag(number))
}

/// Takes a 64-bit integer off the front of `bytes`, or `None` if it ends early, is too long or does not fit.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let number = match **bytes {
        [low, ..] if low < MORE => {
            *bytes = bytes.get(1..)?;
            u64::from(low)
        }
        _ => take_long(bytes, I64_LEN_MAX)?,
    };
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

fn take_long(bytes: &mut &[u8], len_max: usize) -> Option<u64> {
    let mut number = 0u64;
    for (index, &byte) in bytes.iter().take(len_max).enumerate() {
        let group = u64::from(byte & !MORE);
        let shift = 7 * index;
        if group << shift >> shift != group {
            return None;
        }
        number |= group << shift;
        if byte < MORE {
            *bytes = bytes.get(index + 1..)?;
            return Some(number);
        }
    }
    None
}

/// Appends `value` to `buffer`.
#[inline]
pub(crate) fn put_i32(buffer: &mut Vec<u8>, value: i32) {
    put_short(buffer, |short| short.put_i32(value));
}

/// Appends up to [`Short::LEN_MAX`] bytes to `buffer`: room is asked for once, and what `fill` leaves of it goes.
#[inline]
pub(crate) fn put_short(buffer: &mut Vec<u8>, fill: impl FnOnce(&mut Short<'_>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; Short::LEN_MAX]);
    if let Some(bytes) = buffer.last_chunk_mut() {
        let mut short = Short { bytes, len: 0 };
        fill(&mut short);
        let end = start + short.len;
        debug_assert!(end <= buffer.len(), "what is put together is short");
        buffer.truncate(end);
    }
}

/// A few bytes at the end of a buffer.
pub(crate) struct Short<'a> {
    bytes: &'a mut [u8; Short::LEN_MAX],
    len: usize,
}

impl Short<'_> {
    /// A power of two, so that a place in it needs no check but a mask.
    pub(crate) const LEN_MAX: usize = 32;

    /// Adds a byte.
    #[inline]
    pub(crate) fn put(&mut self, byte: u8) {
        self.bytes[self.len & (Self::LEN_MAX - 1)] = byte;
        self.len += 1;
    }

    /// Adds a number.
    #[inline]
    pub(crate) fn put_i64(&mut self, value: i64) {
        let mut rest = zigzag(value);
        while rest >= u64::from(MORE) {
            self.put(low_group(rest) | MORE);
            rest >>= 7;
        }
        self.put(low_group(rest));
    }

    /// Adds a number.
    #[inline]
    pub(crate) fn put_i32(&mut self, value: i32) {
        self.put_i64(i64::from(value));
    }
}

/// How many bytes `value` takes.
#[inline]
pub(crate) fn len_i32(value: i32) -> usize {
    len_i64(i64::from(value))
}

/// How many bytes `value` takes.
#[inline]
pub(crate) fn len_i64(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Small numbers of either sign become small: 0, −1, 1, −2 to 0, 1, 2, 3. A 32-bit number gives the same in 64 bits.
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The number that `zigzag` stands for.
#[inline]
pub(crate) const fn unzigzag(zigzag: u32) -> i32 {
    (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()
}

const fn low_group(number: u64) -> u8 {
    number.to_be_bytes()[7] & !MORE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_numbers_have_their_known_bytes() {
        let table: [(i32, &[u8]); 10] = [
            (0, &[0x00]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (-65, &[0x81, 0x01]),
            (300, &[0xd8, 0x04]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, bytes) in table {
            let mut written = Vec::new();
            put_i32(&mut written, value);
            assert_eq!(written, bytes, "{value}");
            assert_eq!(len_i32(value), bytes.len(), "{value}");
            assert_eq!(take_i32(&mut &*written), Some(value));
            assert_eq!(take_i64(&mut &*written), Some(i64::from(value)));
        }
    }

    #[test]
    fn padded_forms_are_read_and_their_bytes_taken() {
        let mut rest: &[u8] = &[0x82, 0x80, 0x80, 0x80, 0x00, 0x55];
        assert_eq!(take_i32(&mut rest), Some(1));
        assert_eq!(rest, [0x55]);
        let mut rest: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(take_i64(&mut rest), Some(0));
        assert_eq!(rest, []);
    }

    #[test]
    fn what_ends_early_or_does_not_fit_is_refused() {
        let refused: [&[u8]; 6] = [
            &[],
            &[0x80],
            &[0x80, 0x80, 0x80, 0x80],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0x80, 0x80, 0x80, 0x80, 0x7f],
        ];
        for bytes in refused {
            assert_eq!(take_i32(&mut { bytes }), None, "{bytes:02x?}");
        }
        assert_eq!(take_i64(&mut &[0xff; 10][..]), None);
        assert_eq!(take_i64(&mut [&[0xff; 9][..], &[0x02]].concat().as_slice()), None);
        assert_eq!(take_i64(&mut [&[0xff; 9][..], &[0x01]].concat().as_slice()), Some(i64::MIN));
        assert_eq!(take_i64(&mut &[0x80; 11][..]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_written_is_read_back(value: i64, shift in 0..64u32, behind: [u8; 3]) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_short(&mut bytes, |short| short.put_i64(value));
            prop_assert_eq!(bytes.len(), len_i64(value));
            bytes.extend(behind);
            let mut rest = &*bytes;
            prop_assert_eq!(take_i64(&mut rest), Some(value));
            prop_assert_eq!(rest, behind);
            if let Ok(narrow) = i32::try_from(value) {
                prop_assert_eq!(take_i32(&mut &*bytes), Some(narrow));
            } else {
                prop_assert_eq!(take_i32(&mut &*bytes), None);
            }
        }

        #[test]
        fn any_bytes_give_a_number_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &*bytes;
            if take_i32(&mut rest).is_some() {
                prop_assert!(bytes.len() - rest.len() <= I32_LEN_MAX);
            }
        }
    }
}
