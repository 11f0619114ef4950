//! Zstandard: frames one behind the other, without a dictionary.

#![expect(clippy::little_endian_bytes, reason = "the format of Zstandard is little-endian")]

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use super::{damaged, too_large};
use crate::error::{Error, ErrorKind, Result};

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// The largest window that is decoded: what the reference implementation takes unless told otherwise.
const WINDOW_MAX: u64 = 1 << 27;
/// What a frame that does not say how much it holds is first thought to hold, in multiples of its own size.
const RATIO_GUESS: usize = 8;
const GUESS_MIN: usize = 16 << 10;

thread_local! {
    /// One context a thread each way: making one takes longer than to use it for a small batch.
    static COMPRESSOR: RefCell<Compressor<'static>> = RefCell::new(Compressor::default());
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::default());
}

pub(super) fn compress(level: Option<i32>, section: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Io, format!("zstd failed: {error}"));
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    let start = out.len();
    out.resize(start + zstd_safe::compress_bound(section.len()), 0);
    let len = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.set_compression_level(level).map_err(failed)?;
        compressor.compress_to_buffer(section, &mut out[start..]).map_err(failed)
    })?;
    out.truncate(start + len);
    Ok(())
}

pub(super) fn decompress(section: &[u8], bytes_max: usize) -> Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| decode_all(decompressor, section, bytes_max))
}

fn decode_all(decompressor: &mut Decompressor<'_>, section: &[u8], bytes_max: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = section;
    while !rest.is_empty() {
        let len =
            zstd_safe::find_frame_compressed_size(rest).map_err(|code| damaged(zstd_safe::get_error_name(code)))?;
        let (frame, behind) = rest.split_at_checked(len).ok_or_else(|| damaged("a zstd frame is cut off"))?;
        check_window(frame)?;
        let frame = decode(decompressor, frame, bytes_max - out.len())?.ok_or_else(|| too_large(bytes_max))?;
        if out.is_empty() {
            out = frame;
        } else {
            out.extend_from_slice(&frame);
        }
        rest = behind;
    }
    Ok(out)
}

/// What `frame` holds, or `None` if that is more than `bytes_max`.
///
/// It is decoded in one go, so that there is no buffer but the result.
fn decode(decompressor: &mut Decompressor<'_>, frame: &[u8], bytes_max: usize) -> Result<Option<Vec<u8>>> {
    let stated = zstd_safe::get_frame_content_size(frame)
        .map_err(|_| damaged("a zstd frame has a header that is not possible"))?;
    if let Some(stated) = stated {
        let capacity = usize::try_from(stated).unwrap_or(usize::MAX);
        if capacity > bytes_max {
            return Ok(None);
        }
        return decompressor.decompress(frame, capacity).map(Some).map_err(damaged);
    }
    let mut capacity = frame.len().saturating_mul(RATIO_GUESS).max(GUESS_MIN).min(bytes_max);
    loop {
        match decompressor.decompress(frame, capacity) {
            Ok(contents) => return Ok(Some(contents)),
            Err(error) if !is_too_small(&error) => return Err(damaged(error)),
            Err(_) if capacity >= bytes_max => return Ok(None),
            Err(_) => capacity = capacity.saturating_mul(4).min(bytes_max),
        }
    }
}

/// The crate gives the library's errors by their names only.
fn is_too_small(error: &std::io::Error) -> bool {
    error.to_string().contains("Destination buffer is too small")
}

/// Refuses a window that a decoder of streams would have to allocate.
fn check_window(frame: &[u8]) -> Result<()> {
    const SINGLE_SEGMENT: u8 = 0x20;
    let Some([flags, window, ..]) = frame.strip_prefix(&MAGIC) else {
        return Ok(()); // a frame to be skipped
    };
    if flags & SINGLE_SEGMENT != 0 {
        return Ok(()); // the contents are the window
    }
    let base = 1u64 << (10 + (window >> 3));
    let size = base + base / 8 * u64::from(window & 7);
    if size <= WINDOW_MAX {
        return Ok(());
    }
    Err(damaged(format!("zstd window takes {size} bytes, at most {WINDOW_MAX} are allowed")))
}
