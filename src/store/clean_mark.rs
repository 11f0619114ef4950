//! The clean mark: where each partition ended when the store was closed. Overwritten before the first write of the next
//! opening, so that after a crash there is none.

use std::collections::HashMap;

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::io::Directory;
use crate::log::Ends;
use crate::record::framed::{self, Format};
use crate::store::fields::{Fields, put_str, put_u32};
use crate::types::{Offset, TopicPartition};

/// The file's name.
pub(crate) const FILE: &str = "riverbed.clean";

const FORMAT: Format = Format { magic: b"rvrbclen", version: 1 };
const FILE_MAX: u64 = 1 << 30;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CleanMark {
    /// Grows with every opening for writing.
    pub(crate) generation: u64,
    /// The ends of the partitions that were closed cleanly; of none while the store is open.
    pub(crate) ends: HashMap<TopicPartition, Ends>,
}

impl CleanMark {
    /// Reads the file. One that is missing or damaged is a mark of nothing.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedVersion`] for a newer one; what reading can answer.
    pub(crate) fn read(directory: &dyn Directory) -> Result<Self> {
        let bytes = match directory.read(FILE, FILE_MAX) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corruption) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error),
        };
        match Self::decode(&bytes) {
            Err(error) if error.kind() == ErrorKind::Corruption => Ok(Self::default()),
            decoded => decoded.map_err(|error| error.located(&directory.path().join(FILE), 0)),
        }
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, directory: &dyn Directory) -> Result<()> {
        directory.replace(FILE, &self.encode())
    }

    /// Puts a mark of nothing in the file's place, durably. Where there is no room for one, the file goes.
    pub(crate) fn overwrite(directory: &dyn Directory, generation: u64) -> Result<()> {
        match (Self { generation, ends: HashMap::new() }).write(directory) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                directory.unlink(FILE)?;
                directory.sync()
            }
            written => written,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = self.generation.to_be_bytes().to_vec();
        put_u32(&mut body, self.ends.len());
        for (partition, ends) in &self.ends {
            put_str(&mut body, &partition.to_string());
            let numbers =
                [ends.log_start.get(), ends.last_stable.get(), ends.log_end.get(), ends.last_base.get(), ends.last_len];
            body.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        }
        framed::frame(FORMAT, &body)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (_, body) = framed::unframe(FORMAT, bytes)?;
        let wrong = |text: &str| Error::corrupt(0, CorruptionReason::SideFile(text.to_owned()));
        let mut fields = Fields::new(body);
        let mut mark = Self { generation: fields.u64()?, ends: HashMap::new() };
        for _ in 0..fields.u32()? {
            let partition = TopicPartition::from_directory_name(fields.str()?);
            let mut offset = || {
                let number = fields.u64()?.cast_signed();
                Offset::from_i64(number).ok_or_else(|| wrong("clean mark holds a negative offset"))
            };
            let ends = Ends {
                log_start: offset()?,
                last_stable: offset()?,
                log_end: offset()?,
                last_base: offset()?,
                last_len: offset()?.get(),
            };
            mark.ends.insert(partition.ok_or_else(|| wrong("clean mark names no partition"))?, ends);
        }
        fields.end()?;
        Ok(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back() {
        let offset = Offset::new;
        let ends = Ends {
            log_start: offset(1),
            last_stable: offset(2),
            log_end: offset(3),
            last_base: offset(2),
            last_len: 77,
        };
        let partition = TopicPartition::from_directory_name("orders-3").unwrap();
        let mark = CleanMark { generation: 5, ends: HashMap::from([(partition, ends)]) };
        assert_eq!(CleanMark::decode(&mark.encode()).unwrap(), mark);
    }
}
