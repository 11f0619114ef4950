//! LZ4: what Kafka reads and writes of its frame format, which is one frame of independent blocks.

#![expect(clippy::little_endian_bytes, reason = "the LZ4 frame format is little-endian")]

use lz4_flex::block;
use twox_hash::XxHash32;

use super::{damaged, too_large};
use crate::error::Result;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();

// The flags.
const VERSION_MASK: u8 = 0xc0;
const VERSION: u8 = 0x40;
const INDEPENDENT: u8 = 0x20;
const BLOCK_CHECKSUMS: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECKSUM: u8 = 0x04;
const RESERVED: u8 = 0x03;

/// Blocks of 64 KiB.
const BLOCK_CODE: u8 = 4 << 4;
const BLOCK_CODE_MASK: u8 = 0x70;
const BLOCK_LEN: usize = 64 << 10;
/// In a block's length: it is stored as it is.
const STORED: u32 = 1 << 31;
/// No block decodes to more than so many times its length: a byte adds at most 255 to the length of a match.
const EXPANSION_MAX: usize = 255;

pub(super) fn compress(section: &[u8], out: &mut Vec<u8>) {
    let descriptor = [VERSION | INDEPENDENT, BLOCK_CODE];
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    out.push(header_checksum(&descriptor));
    let mut compressed = vec![0; block::get_maximum_output_size(section.len().min(BLOCK_LEN))];
    for block in section.chunks(BLOCK_LEN) {
        let (flag, data) = match block::compress_into(block, &mut compressed) {
            Ok(len) if len < block.len() => (0, &compressed[..len]),
            _ => (STORED, block),
        };
        let len = u32::try_from(data.len()).unwrap_or(STORED - 1); // at most 64 KiB
        out.extend_from_slice(&(len | flag).to_le_bytes());
        out.extend_from_slice(data);
    }
    out.extend_from_slice(&0u32.to_le_bytes());
}

pub(super) fn decompress(section: &[u8], bytes_max: usize) -> Result<Vec<u8>> {
    let mut rest = section.strip_prefix(&MAGIC).ok_or_else(|| damaged("an lz4 frame does not begin like this"))?;
    let frame = Frame::take(&mut rest)?;
    let mut out = Vec::new();
    loop {
        let len = u32::from_le_bytes(*take(&mut rest, "the length of an lz4 block")?);
        if len == 0 {
            break;
        }
        let block = frame.take_block(len & !STORED, &mut rest)?;
        let room = bytes_max - out.len();
        if len & STORED == 0 {
            frame.put_compressed(block, room, &mut out).map_err(|full| full.unwrap_or_else(|| too_large(bytes_max)))?;
        } else if block.len() <= room {
            out.extend_from_slice(block);
        } else {
            return Err(too_large(bytes_max));
        }
    }
    if frame.flags & CONTENT_CHECKSUM != 0 {
        let _not_verified_by_kafka: &[u8; 4] = take(&mut rest, "the checksum of an lz4 frame")?;
    }
    if rest.is_empty() { Ok(out) } else { Err(damaged(format!("{} bytes left over behind the lz4 frame", rest.len()))) }
}

struct Frame {
    flags: u8,
    block_max: usize,
}

impl Frame {
    /// Takes what lies between the magic and the first block.
    fn take(rest: &mut &[u8]) -> Result<Self> {
        let whole = *rest;
        let [flags, block_code] = *take(rest, "an lz4 frame descriptor")?;
        if flags & VERSION_MASK != VERSION || flags & RESERVED != 0 || block_code & !BLOCK_CODE_MASK != 0 {
            return Err(damaged(format!("lz4 frame descriptor {flags:#04x} {block_code:#04x} has unknown bits")));
        }
        if flags & INDEPENDENT == 0 {
            return Err(damaged("lz4 blocks depend on each other, which Kafka does not allow"));
        }
        if flags & CONTENT_SIZE != 0 {
            let _ignored_by_kafka: &[u8; 8] = take(rest, "the content size of an lz4 frame")?;
        }
        let descriptor = &whole[..whole.len() - rest.len()];
        let [found] = *take(rest, "the checksum of an lz4 frame descriptor")?;
        let expected = header_checksum(descriptor);
        if found != expected {
            return Err(damaged(format!("lz4 header checksum is {found:#04x}, the bytes give {expected:#04x}")));
        }
        let block_max = match block_code >> 4 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            code => return Err(damaged(format!("lz4 block size code is {code}, 4 to 7 exist"))),
        };
        Ok(Self { flags, block_max })
    }

    /// Takes a block of `len` bytes and its checksum, if there is one.
    fn take_block<'a>(&self, len: u32, rest: &mut &'a [u8]) -> Result<&'a [u8]> {
        if len as usize > self.block_max {
            return Err(damaged(format!("an lz4 block takes {len} bytes, at most {} are allowed", self.block_max)));
        }
        let Some((block, behind)) = rest.split_at_checked(len as usize) else {
            return Err(damaged(format!("an lz4 block of {len} bytes has {}", rest.len())));
        };
        *rest = behind;
        if self.flags & BLOCK_CHECKSUMS != 0 {
            let found = u32::from_le_bytes(*take(rest, "the checksum of an lz4 block")?);
            let expected = XxHash32::oneshot(0, block);
            if found != expected {
                return Err(damaged(format!("lz4 block checksum is {found:#010x}, the bytes give {expected:#010x}")));
            }
        }
        Ok(block)
    }

    /// Decodes a block behind what `out` holds, which may grow by `room`. Without an error of its own the block did
    /// not fit there.
    fn put_compressed(&self, block: &[u8], room: usize, out: &mut Vec<u8>) -> Result<(), Option<crate::error::Error>> {
        let start = out.len();
        // What is not made is not cleared either: thousands of tiny blocks must not cost the largest block each.
        let most = block.len().saturating_mul(EXPANSION_MAX);
        out.resize(start + self.block_max.min(room).min(most), 0);
        match block::decompress_into(block, &mut out[start..]) {
            Ok(len) => {
                out.truncate(start + len);
                Ok(())
            }
            Err(block::DecompressError::OutputTooSmall { .. }) if room < self.block_max => Err(None),
            Err(error) => Err(Some(damaged(error))),
        }
    }
}

fn take<'a, const N: usize>(rest: &mut &'a [u8], what: &str) -> Result<&'a [u8; N]> {
    let (field, behind) = rest.split_first_chunk().ok_or_else(|| damaged(format!("{what} is cut off")))?;
    *rest = behind;
    Ok(field)
}

/// The second byte of the hash.
fn header_checksum(descriptor: &[u8]) -> u8 {
    XxHash32::oneshot(0, descriptor).to_le_bytes()[1]
}
