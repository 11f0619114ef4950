//! The records that `fill` makes: told by a seed alone, so that a test can tell them again.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Makes record after record of one `fill` line.
///
/// Record i has the key `SEED-i`. Its value is the first so many bytes of `SEED-i:` and then the 64 lower-case hex
/// digits of the SHA-256 of `SEED-i`, over and over.
#[derive(Debug)]
pub struct Generator {
    seed: String,
    bytes: usize,
    next: u64,
    key: String,
    value: Vec<u8>,
}

impl Generator {
    pub fn new(seed: String, bytes: usize) -> Self {
        Self { seed, bytes, next: 0, key: String::new(), value: Vec::new() }
    }

    /// Key and value of the next record.
    pub fn make_next(&mut self) -> (&[u8], &[u8]) {
        self.key.clear();
        let _infallible = write!(self.key, "{}-{}", self.seed, self.next);
        self.next += 1;
        self.value.clear();
        self.value.extend_from_slice(self.key.as_bytes());
        self.value.push(b':');
        let digits = hex(&Sha256::digest(self.key.as_bytes()));
        while self.value.len() < self.bytes {
            self.value.extend_from_slice(&digits);
        }
        self.value.truncate(self.bytes);
        (self.key.as_bytes(), &self.value)
    }
}

/// The digits of a hash, lower-case.
fn hex(hash: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    hash.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // From `printf '%s' s-0 | sha256sum`.
    const HASH_OF_S_0: &str = "74d7151be70fb7deb7900896e81edef265f8cf2293ab40f9561704e781016903";

    fn values(seed: &str, bytes: usize, count: usize) -> Vec<(String, String)> {
        let mut generator = Generator::new(seed.to_owned(), bytes);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (0..count)
            .map(|_| {
                let (key, value) = generator.make_next();
                (text(key), text(value))
            })
            .collect()
    }

    #[test]
    fn a_value_is_its_key_once_and_then_its_hash_for_ever() {
        let of_s_0 = HASH_OF_S_0;
        let made = values("s", 4 + 64 + 64 + 3, 1);
        assert_eq!(made[0].0, "s-0");
        assert_eq!(made[0].1, format!("s-0:{of_s_0}{of_s_0}{}", &of_s_0[..3]));
    }

    #[test]
    fn short_values_are_cut() {
        for (bytes, value) in [(0, ""), (1, "s"), (3, "s-0"), (4, "s-0:"), (6, "s-0:XX")] {
            let expected = value.replace("XX", &HASH_OF_S_0[..2]);
            assert_eq!(values("s", bytes, 1)[0].1, expected);
        }
    }

    #[test]
    fn records_count_from_zero_and_the_seed_is_literal() {
        let keys: Vec<String> = values("b64:-=ü", 5, 12).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys[0], "b64:-=ü-0");
        assert_eq!(keys[11], "b64:-=ü-11");
    }
}
