//! Codecs: one compressed stream for all the records of a batch, and back within limits.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstandard;

use super::batch_header::HEADER_LEN;
use super::payload::DecompressionLimits;
use crate::error::{CorruptionReason, Error, ErrorKind, Result};

/// How the records of a batch are compressed.
///
/// All are listed whatever is compiled in; using one whose feature is off is
/// [`ErrorKind::UnsupportedCompression`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, feature `gzip`: small, slow.
    Gzip,
    /// Snappy in the framing of snappy-java, feature `snappy`: fast, not small.
    Snappy,
    /// The LZ4 frame format, feature `lz4`: the fastest.
    Lz4,
    /// Zstandard, feature `zstd`: small and fast; the usual choice.
    Zstd,
}

impl Compression {
    /// All of them, in the order of their numbers.
    pub const ALL: [Compression; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number in a batch's attributes.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedCompression`] for 5 and above.
    pub fn from_codec(codec: u8) -> Result<Self> {
        Self::ALL.get(usize::from(codec)).copied().ok_or_else(|| {
            Error::new(ErrorKind::UnsupportedCompression, format!("codec {codec} does not exist, 0 to 4 do"))
        })
    }

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn codec(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec of this name, as Kafka's producers and tools write it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }

    /// The name in Kafka's configs and tools. (A topic's config says `uncompressed` for `none`.)
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Whether the codec is compiled in.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        match self {
            Self::None => true,
            Self::Gzip => cfg!(feature = "gzip"),
            Self::Snappy => cfg!(feature = "snappy"),
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }

    /// Checks a level: gzip has 1 to 9 and −1 for its own default, lz4 1 to 17, zstd −131072 to 22. Of lz4 only one
    /// speed is implemented: all its levels give the same, which is what Kafka's default level gives.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a level that the codec does not have.
    pub fn check_level(self, level: i32) -> Result<()> {
        let (known, range) = match self {
            Self::Gzip => (level == -1 || (1..=9).contains(&level), "-1 or 1 to 9"),
            Self::Lz4 => ((1..=17).contains(&level), "1 to 17"),
            Self::Zstd => ((-131_072..=22).contains(&level), "-131072 to 22"),
            Self::None | Self::Snappy => (false, "none"),
        };
        if known {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, format!("{self} has no level {level}, its levels are {range}")))
    }

    /// Appends `section`, compressed as one stream, to `out`. `level` has been checked; `None` is the codec's default.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd")),
        expect(unused_variables, reason = "no codec with levels is compiled in")
    )]
    pub(super) fn compress(self, level: Option<i32>, section: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::None => out.extend_from_slice(section),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::compress(level, section, out)?,
            #[cfg(feature = "snappy")]
            Self::Snappy => snappy::compress(section, out)?,
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4::compress(section, out),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstandard::compress(level, section, out)?,
            #[cfg(not(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")))]
            absent => return Err(absent.not_compiled_in()),
        }
        Ok(())
    }

    /// The records that the stream in `section` holds, which is all of it.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")),
        expect(unused_variables, reason = "no codec is compiled in")
    )]
    pub(super) fn decompress(self, section: &[u8], limits: &DecompressionLimits) -> Result<Vec<u8>> {
        if section.is_empty() && self != Self::None {
            return Err(damaged("the stream is empty"));
        }
        let bytes_max = limits.for_section(section.len());
        match self {
            Self::None => Ok(section.to_vec()),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip::decompress(section, bytes_max),
            #[cfg(feature = "snappy")]
            Self::Snappy => snappy::decompress(section, bytes_max),
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4::decompress(section, bytes_max),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstandard::decompress(section, bytes_max),
            #[cfg(not(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")))]
            absent => Err(absent.not_compiled_in()),
        }
    }

    #[cfg(not(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")))]
    fn not_compiled_in(self) -> Error {
        Error::new(ErrorKind::UnsupportedCompression, format!("{self} is not compiled in: it is a feature of riverbed"))
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a stream that does not decode.
fn damaged(message: impl ToString) -> Error {
    Error::corrupt(HEADER_LEN as u64, CorruptionReason::Codec(message.to_string()))
}

/// The error for a stream that expands too far.
#[cfg(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]
fn too_large(bytes_max: usize) -> Error {
    let message = format!("compressed records take more than {bytes_max} bytes");
    Error::new(ErrorKind::DecompressedTooLarge, message)
}

#[cfg(test)]
mod tests;
