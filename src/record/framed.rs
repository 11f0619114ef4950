//! The frame of the small files whose format is our own: a magic, a version, a length and a CRC-32 around a body.
//!
//! ```text
//!  0        8         10        14        18
//!  | magic  | version | length  | crc     | body …
//! ```
//!
//! Big-endian. The checksum covers magic, version, length and body. Such a file is replaced as a whole, so a damaged
//! one is damage, never a torn write.

use crate::error::{CorruptionReason, Error, Result};
use crate::record::checksum;

const HEAD: usize = 18;

/// The largest body that is believed.
pub(crate) const MAX_BODY: usize = 1 << 30;

/// What names a format: its magic and the newest version this build knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// The first eight bytes.
    pub(crate) magic: &'static [u8; 8],
    /// The version that is written; higher ones are refused, all lower ones are read.
    pub(crate) version: u16,
}

/// The file's bytes for `body`.
pub(crate) fn frame(format: Format, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= MAX_BODY);
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(format.magic);
    bytes.extend_from_slice(&format.version.to_be_bytes());
    bytes.extend_from_slice(&length.map_or([0xff; 4], u32::to_be_bytes));
    let crc = crc32_of(&bytes, body);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The version and body of a framed file.
///
/// # Errors
/// [`ErrorKind::UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) for one of a newer version,
/// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) for all else that is not as it was written.
pub(crate) fn unframe(format: Format, bytes: &[u8]) -> Result<(u16, &[u8])> {
    let side_file = |position: usize, text: String| Error::corrupt(position as u64, CorruptionReason::SideFile(text));
    let Some((head, body)) = bytes.split_at_checked(HEAD) else {
        let reason = CorruptionReason::Truncated { expected: HEAD as u64, found: bytes.len() as u64 };
        return Err(Error::corrupt(0, reason));
    };
    if head[..8] != format.magic[..] {
        return Err(side_file(0, format!("magic is {:02x?}, expected {:02x?}", &head[..8], format.magic)));
    }
    let version = u16::from_be_bytes([head[8], head[9]]);
    if version > format.version {
        return Err(Error::version(version, format.version));
    }
    let length = u32::from_be_bytes([head[10], head[11], head[12], head[13]]);
    if length as usize != body.len() {
        return Err(side_file(10, format!("body has {} bytes, stated are {length}", body.len())));
    }
    let expected = crc32_of(&head[..14], body);
    let found = u32::from_be_bytes([head[14], head[15], head[16], head[17]]);
    if expected != found {
        return Err(Error::corrupt(14, CorruptionReason::Crc { expected, found }));
    }
    if version == 0 {
        return Err(side_file(8, "version is 0".to_owned()));
    }
    Ok((version, body))
}

fn crc32_of(head: &[u8], body: &[u8]) -> u32 {
    let mut whole = Vec::with_capacity(head.len() + body.len());
    whole.extend_from_slice(head);
    whole.extend_from_slice(body);
    checksum::crc32(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const FORMAT: Format = Format { magic: b"rvrbtest", version: 3 };

    #[test]
    fn what_is_framed_comes_back() {
        let bytes = frame(FORMAT, b"hello");
        assert_eq!(unframe(FORMAT, &bytes).unwrap(), (3, &b"hello"[..]));
        assert_eq!(unframe(Format { version: 4, ..FORMAT }, &bytes).unwrap().0, 3, "older versions are read");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = frame(FORMAT, b"hello");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unframe(FORMAT, &bad).is_err(), "bit {bit} went unnoticed");
        }
        for len in 0..good.len() {
            assert_eq!(unframe(FORMAT, &good[..len]).unwrap_err().kind(), ErrorKind::Corruption, "{len}");
        }
    }

    #[test]
    fn a_newer_version_is_named_as_such() {
        let bytes = frame(Format { version: 4, ..FORMAT }, b"");
        assert_eq!(unframe(FORMAT, &bytes).unwrap_err().kind(), ErrorKind::UnsupportedVersion);
    }
}
