use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// The name of a topic, valid because it exists: 1 to 249 characters of `[a-zA-Z0-9._-]`, not `.` and not `..`.
///
/// The rule is Kafka's (`Topic.validate`): with a partition number behind it the name must fit a directory's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 249;

    /// Checks `name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTopic`], with the rule that is broken.
    pub fn new(name: &str) -> Result<Self> {
        let refuse = |why: String| Err(Error::new(ErrorKind::InvalidTopic, why));
        if name.is_empty() {
            return refuse("a topic name cannot be empty".into());
        }
        if name.len() > Self::MAX_LEN {
            return refuse(format!("a topic name has at most {} characters, not {}", Self::MAX_LEN, name.len()));
        }
        if name == "." || name == ".." {
            return refuse(format!("{name:?} cannot be a topic name"));
        }
        match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
            Some(bad) => {
                refuse(format!("topic name {name:?} contains {bad:?}; allowed are a-z, A-Z, 0-9, '.', '_', '-'"))
            }
            None => Ok(Self(name.into())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the two names differ only in `.` and `_`, or not at all: Kafka's metrics could not tell them apart.
    #[must_use]
    pub fn collides_with(&self, other: &TopicName) -> bool {
        let same = |a: u8, b: u8| a == b || (matches!(a, b'.' | b'_') && matches!(b, b'.' | b'_'));
        self.0.len() == other.0.len() && self.0.bytes().zip(other.0.bytes()).all(|(a, b)| same(a, b))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Number of a partition in its topic, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The partition with this number. Kafka counts to 2³¹ − 1; a topic has far fewer.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for PartitionId {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a topic. Its directory is named `<topic>-<partition>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
}

impl TopicPartition {
    /// Names a partition.
    #[must_use]
    pub fn new(topic: TopicName, partition: PartitionId) -> Self {
        Self { topic, partition }
    }

    /// The partition that a directory of this name holds, or `None` if it is no partition's.
    ///
    /// The number comes behind the *last* `-`, since topics may contain one, and is written as [`fmt::Display`] does.
    #[must_use]
    pub fn from_directory_name(name: &str) -> Option<Self> {
        let (topic, number) = name.rsplit_once('-')?;
        let partition: u32 = number.parse().ok()?;
        let canonical = partition.to_string() == number && i32::try_from(partition).is_ok();
        let topic = TopicName::new(topic).ok().filter(|_| canonical)?;
        Some(Self::new(topic, PartitionId(partition)))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Tells a topic from an earlier one of the same name: a random UUID, written in URL-safe base64 without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// The id of these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether all bytes are zero, which names no topic.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }

    /// The id that `text`, 22 characters of URL-safe base64, stands for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 22 {
            return None;
        }
        let mut bits: u32 = 0;
        let mut held = 0;
        let mut bytes = Vec::with_capacity(16);
        for character in text.bytes() {
            let value = ALPHABET.iter().position(|a| *a == character)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held & 0xff) as u8);
            }
        }
        let unused = bits & ((1 << held) - 1);
        bytes.try_into().ok().filter(|_| unused == 0).map(Self)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.0.chunks(3) {
            let mut bytes = [0; 4];
            bytes[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(bytes);
            for place in 0..=group.len() {
                let value = bits >> (18 - 6 * place) & 0x3f;
                write!(f, "{}", char::from(ALPHABET[value as usize]))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_rule_are_refused() {
        let long = "x".repeat(250);
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0", "a\n", "ä", "a b", long.as_str()] {
            assert_eq!(TopicName::new(bad).unwrap_err().kind(), ErrorKind::InvalidTopic, "{bad:?}");
        }
        for good in ["a", "...", "A-1_b.c", "x".repeat(249).as_str()] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_that_differ_in_dot_and_underscore_collide() {
        let name = |text| TopicName::new(text).unwrap();
        assert!(name("a.b_c").collides_with(&name("a_b.c")));
        assert!(!name("a.b").collides_with(&name("a-b")));
        assert!(!name("a.b").collides_with(&name("A.b")));
    }

    #[test]
    fn directory_names_split_at_the_last_dash() {
        let parsed = TopicPartition::from_directory_name("my-topic.x-12").unwrap();
        assert_eq!((parsed.topic.as_str(), parsed.partition.get()), ("my-topic.x", 12));
        assert_eq!(parsed.to_string(), "my-topic.x-12");
        for bad in ["", "-", "a-", "-1", "a", "a-01", "a-x", "a-+1", "a-2147483648", "a-0.0123-delete"] {
            assert_eq!(TopicPartition::from_directory_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_are_url_safe_base64() {
        let id = TopicId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(id.to_string(), "AAECAwQFBgcICQoLDA0ODw");
        assert_eq!(TopicId::parse("AAECAwQFBgcICQoLDA0ODw"), Some(id));
        for bad in ["", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODx", "AAECAwQFBgcICQoLDA0OD="] {
            assert_eq!(TopicId::parse(bad), None, "{bad:?}");
        }
        assert!(TopicId::from_bytes([0; 16]).is_zero());
    }
}
