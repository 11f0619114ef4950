//! gzip: one member of RFC 1952.

use std::io::{Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::{damaged, too_large};
use crate::error::{Error, ErrorKind, Result};

pub(super) fn compress(level: Option<i32>, section: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let level = level.and_then(|level| u32::try_from(level).ok());
    let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
    let mut encoder = GzEncoder::new(out, level);
    let done = encoder.write_all(section).and_then(|()| encoder.finish());
    done.map_err(|error| Error::new(ErrorKind::Io, format!("gzip failed: {error}")))?;
    Ok(())
}

pub(super) fn decompress(section: &[u8], bytes_max: usize) -> Result<Vec<u8>> {
    let mut decoder = GzDecoder::new(section);
    let mut out = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.by_ref().take(one_more).read_to_end(&mut out).map_err(damaged)?;
    if out.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    match decoder.into_inner().len() {
        0 => Ok(out),
        left => Err(damaged(format!("{left} bytes left over behind the gzip member"))),
    }
}
