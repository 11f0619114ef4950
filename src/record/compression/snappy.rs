//! Snappy as snappy-java frames it: a header, then blocks, each behind its length.
//!
//! Without that header the whole section is one raw block: some clients that are not Java's write it so.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{damaged, too_large};
use crate::error::{Error, ErrorKind, Result};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// The magic, the version and the oldest version that can read the rest.
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// How much input a block takes.
const BLOCK_LEN: usize = 32 << 10;

pub(super) fn compress(section: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let failed = |error: String| Error::new(ErrorKind::Io, format!("snappy failed: {error}"));
    out.extend_from_slice(&HEADER);
    let mut encoder = Encoder::new();
    for block in section.chunks(BLOCK_LEN) {
        let start = out.len();
        let data = start + 4;
        out.resize(data + max_compress_len(block.len()), 0);
        let len = encoder.compress(block, &mut out[data..]).map_err(|error| failed(error.to_string()))?;
        let stated = u32::try_from(len).map_err(|error| failed(error.to_string()))?;
        out[start..data].copy_from_slice(&stated.to_be_bytes());
        out.truncate(data + len);
    }
    Ok(())
}

pub(super) fn decompress(section: &[u8], bytes_max: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let Some(mut rest) = section.strip_prefix(&MAGIC) else {
        put_block(section, bytes_max, &mut out)?;
        return Ok(out);
    };
    skip_versions(&mut rest)?;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(&MAGIC) {
            // Streams written one behind the other: a header in the place of a block.
            rest = behind;
            skip_versions(&mut rest)?;
            continue;
        }
        let (len, behind) =
            rest.split_first_chunk().ok_or_else(|| damaged("the length of a snappy block is cut off"))?;
        let len = u32::from_be_bytes(*len);
        let Some((block, behind)) = behind.split_at_checked(len as usize) else {
            let left = behind.len();
            return Err(damaged(format!("a snappy block of {len} bytes has {left}")));
        };
        put_block(block, bytes_max, &mut out)?;
        rest = behind;
    }
    Ok(out)
}

fn skip_versions(rest: &mut &[u8]) -> Result<()> {
    const VERSIONS_LEN: usize = HEADER.len() - MAGIC.len();
    let (versions, behind) =
        rest.split_at_checked(VERSIONS_LEN).ok_or_else(|| damaged("a snappy header is cut off"))?;
    if versions[..4] < HEADER[MAGIC.len()..][..4] {
        return Err(damaged("snappy header of a version below 1"));
    }
    *rest = behind;
    Ok(())
}

/// Decodes a raw block behind what `out` holds, which may grow to `bytes_max`.
fn put_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<()> {
    let len = decompress_len(block).map_err(damaged)?;
    let start = out.len();
    if len > bytes_max - start {
        return Err(too_large(bytes_max));
    }
    out.resize(start + len, 0);
    Decoder::new().decompress(block, &mut out[start..]).map_err(damaged)?;
    Ok(())
}
