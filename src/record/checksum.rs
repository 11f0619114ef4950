//! The two checksums: CRC-32C of Kafka's batches, CRC-32 of the files whose format is our own.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C (Castagnoli) of `bytes`, as in a batch's header and in Kafka's binary side files.
#[inline]
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of the `parts` one behind the other. Each part costs a start of its own: one slice is faster.
pub(crate) fn crc32c_of(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a 32-bit checksum in the low half of the digest")]
    let crc = digest.finalize() as u32;
    crc
}

/// CRC-32 (IEEE) of `bytes`, for the files whose format is our own.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_are_those_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn every_length_agrees_with_the_bitwise_definition() {
        let bytes: Vec<u8> = (0..1500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_be_bytes()[3]).collect();
        for len in (0..300).chain([511, 512, 513, 1023, 1024, 1025, 1500]) {
            assert_eq!(crc32c(&bytes[..len]), bitwise(&bytes[..len]), "of {len} bytes");
        }
    }

    #[test]
    fn parts_give_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
        for cut in 0..bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(crc32c_of(&[front, b"", back]), crc32c(&bytes), "cut at {cut}");
        }
    }

    fn bitwise(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
    }
}
