//! Numbers that a command line or a shell's line gives: well-formed, and now held against what they count.

use riverbed::{ErrorKind, Offset, Partition, Topic};

use crate::failure::Failure;

/// The partition of `topic` that a number names.
pub fn partition(topic: &Topic, number: i64) -> Result<(u32, Partition), Failure> {
    let known = u32::try_from(number).map_err(|_| {
        let message = format!("topic {} has no partition {number}", topic.name());
        Failure::new(ErrorKind::UnknownPartition, message)
    })?;
    Ok((known, topic.partition(known)?))
}

/// How many partitions a topic is to have.
pub fn partition_count(number: i64) -> Result<u32, Failure> {
    let message = || format!("a topic cannot have {number} partitions");
    u32::try_from(number).map_err(|_| Failure::new(ErrorKind::InvalidArgument, message()))
}

/// An offset.
pub fn offset(number: i64) -> Result<Offset, Failure> {
    let message = || format!("there is no offset {number}");
    Offset::from_i64(number).ok_or_else(|| Failure::new(ErrorKind::OffsetOutOfRange, message()))
}

/// A count of something, for people.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
