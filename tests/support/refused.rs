//! Batches that break a rule, and a log that must not take them.

#![allow(clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use riverbed::{AppendOrigin, CorruptionReason, Error, ErrorKind, InvalidRecordReason, Partition, crc32c};

use super::TestDir;
use super::partition::{batch, counted, fill, open, values};

pub const BASE_OFFSET: Range<usize> = 0..8;
pub const LENGTH: Range<usize> = 8..12;
pub const EPOCH: Range<usize> = 12..16;
pub const MAGIC: Range<usize> = 16..17;
pub const CRC: Range<usize> = 17..21;
pub const ATTRIBUTES: Range<usize> = 21..23;
pub const LAST_OFFSET_DELTA: Range<usize> = 23..27;
pub const BASE_TIMESTAMP: Range<usize> = 27..35;
pub const MAX_TIMESTAMP: Range<usize> = 35..43;
pub const PRODUCER_ID: Range<usize> = 43..51;
pub const BASE_SEQUENCE: Range<usize> = 53..57;
pub const COUNT: Range<usize> = 57..61;
pub const HEADER: usize = 61;

/// A batch of two records that any log takes.
pub fn good() -> Vec<u8> {
    batch(&[("one", 1), ("two", 2)])
}

/// The same with other bytes in a place, and nothing put right.
pub fn torn(mut bytes: Vec<u8>, place: Range<usize>, field: &[u8]) -> Vec<u8> {
    bytes[place].copy_from_slice(field);
    bytes
}

/// The same with a checksum that fits.
pub fn with(bytes: Vec<u8>, place: Range<usize>, field: &[u8]) -> Vec<u8> {
    seal(torn(bytes, place, field))
}

/// Stores the checksum that fits the rest.
pub fn seal(bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[ATTRIBUTES.start..]).to_be_bytes();
    torn(bytes, CRC, &crc)
}

/// An uncompressed batch of `count` records whose section is `section`.
pub fn batch_of(count: i32, section: &[u8]) -> Vec<u8> {
    let bytes = [&good()[..HEADER], section].concat();
    let length = i32::try_from(bytes.len() - LENGTH.end).unwrap();
    let bytes = torn(bytes, LENGTH, &length.to_be_bytes());
    let bytes = torn(bytes, COUNT, &count.to_be_bytes());
    with(bytes, LAST_OFFSET_DELTA, &(count - 1).to_be_bytes())
}

/// A log that holds something, and takes none of what is tried on it.
pub struct Refusing {
    dir: TestDir,
    pub partition: Partition,
}

impl Refusing {
    /// Five records, of which three are durable.
    pub fn new(name: &str, settings: &[(&str, &str)]) -> Self {
        let dir = TestDir::new(name);
        let partition = open(&dir, settings);
        fill(&partition, 3);
        partition.sync().unwrap();
        fill(&partition, 5);
        Self { dir, partition }
    }

    /// What a client's append of `bytes` is refused with.
    pub fn refuses(&self, bytes: &[u8]) -> Error {
        self.refuses_as(bytes, AppendOrigin::Client)
    }

    /// What an append is refused with, which leaves every byte and every mark as it was.
    pub fn refuses_as(&self, bytes: &[u8], origin: AppendOrigin) -> Error {
        let state = || (self.partition.offsets(), files(self.dir.path()));
        let before = state();
        let error = self.partition.append_as(bytes, origin).unwrap_err();
        assert!(state() == before, "{error:?} has changed something");
        error
    }

    /// The reason of an `InvalidRecord`.
    pub fn reason(&self, bytes: &[u8]) -> InvalidRecordReason {
        let error = self.refuses(bytes);
        assert_eq!(error.kind(), ErrorKind::InvalidRecord, "{error:?}");
        error.invalid_record_reason().unwrap()
    }

    /// The reason of a `Corruption` in bytes that have no file.
    pub fn corruption(&self, bytes: &[u8]) -> CorruptionReason {
        let error = self.refuses(bytes);
        let corruption = error.corruption().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!((error.kind(), &corruption.path), (ErrorKind::Corruption, &None));
        corruption.reason.clone()
    }

    /// The log reads as before, takes what is right, and closes cleanly.
    pub fn end(self) {
        assert_eq!(values(&self.partition, 0), counted(0, 5));
        fill(&self.partition, 7);
        assert_eq!(values(&self.partition, 0), counted(0, 7));
        self.partition.close().unwrap();
    }
}

/// Every file below a directory, with what is in it.
pub fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}
