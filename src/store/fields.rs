//! The fields of our own files: big-endian numbers, and strings behind their length.

use crate::error::{CorruptionReason, Error, Result};

/// Takes fields off the front of a file's body.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(|| damage("the body ends inside of a field"))?;
        self.rest = rest;
        Ok(*field)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn str(&mut self) -> Result<&'a str> {
        let len = self.u32()? as usize;
        let (text, rest) = self.rest.split_at_checked(len).ok_or_else(|| damage("the body ends inside of a string"))?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| damage("a string is not UTF-8"))
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(damage("bytes follow the last field")) }
    }
}

fn damage(text: &str) -> Error {
    Error::corrupt(0, CorruptionReason::SideFile(text.to_owned()))
}

/// Puts a count. Nothing here comes near four thousand million.
pub(super) fn put_u32(body: &mut Vec<u8>, count: usize) {
    body.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

/// Puts a string behind its length.
pub(super) fn put_str(body: &mut Vec<u8>, text: &str) {
    put_u32(body, text.len());
    body.extend_from_slice(text.as_bytes());
}
