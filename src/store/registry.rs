//! The durable list of topics: a framed file, replaced as a whole. Its replacement is the commit point of creating,
//! altering and deleting a topic.

use std::collections::BTreeMap;

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::io::Directory;
use crate::log::LogConfig;
use crate::record::framed::{self, Format};
use crate::store::fields::{Fields, put_str, put_u32};
use crate::types::{TopicId, TopicName};

/// The file's name.
pub(crate) const FILE: &str = "riverbed.topics";

const FORMAT: Format = Format { magic: b"rvrbtopc", version: 1 };
const FILE_MAX: u64 = 1 << 30;

/// The most partitions of one topic.
pub(crate) const PARTITIONS_MAX: u32 = 1 << 20;

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicEntry {
    /// Its id, which its partitions' directories state too.
    pub(crate) id: TopicId,
    /// How many partitions it has.
    pub(crate) partitions: u32,
    /// Its configuration.
    pub(crate) config: LogConfig,
}

/// The topics of a data directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Registry {
    /// By name.
    pub(crate) topics: BTreeMap<TopicName, TopicEntry>,
    /// Deleted, but their directories may still be there.
    pub(crate) deleted: Vec<TopicId>,
}

impl Registry {
    /// Reads the file; `None` if there is none.
    pub(crate) fn read(directory: &dyn Directory) -> Result<Option<Self>> {
        match directory.read(FILE, FILE_MAX) {
            Ok(bytes) => Self::decode(&bytes).map(Some).map_err(|error| error.located(&directory.path().join(FILE), 0)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, directory: &dyn Directory) -> Result<()> {
        directory.replace(FILE, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_u32(&mut body, self.topics.len());
        for (name, entry) in &self.topics {
            put_str(&mut body, name.as_str());
            body.extend_from_slice(entry.id.as_bytes());
            body.extend_from_slice(&entry.partitions.to_be_bytes());
            let settings = entry.config.non_default();
            put_u32(&mut body, settings.len());
            for (name, value) in settings {
                put_str(&mut body, name);
                put_str(&mut body, &value);
            }
        }
        put_u32(&mut body, self.deleted.len());
        for id in &self.deleted {
            body.extend_from_slice(id.as_bytes());
        }
        framed::frame(FORMAT, &body)
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (_, body) = framed::unframe(FORMAT, bytes)?;
        let mut fields = Fields::new(body);
        let mut registry = Self::default();
        for _ in 0..fields.u32()? {
            let name = TopicName::new(fields.str()?).map_err(|error| wrong(&error))?;
            let (id, partitions) = (TopicId::from_bytes(fields.array()?), fields.u32()?);
            if !(1..=PARTITIONS_MAX).contains(&partitions) {
                let text = format!("topic {name} has {partitions} partitions, 1 to {PARTITIONS_MAX} are possible");
                return Err(Error::corrupt(0, CorruptionReason::SideFile(text)));
            }
            let mut settings = Vec::new();
            for _ in 0..fields.u32()? {
                settings.push((fields.str()?, fields.str()?));
            }
            let config = LogConfig::from_pairs(settings).map_err(|error| wrong(&error))?;
            registry.topics.insert(name, TopicEntry { id, partitions, config });
        }
        for _ in 0..fields.u32()? {
            registry.deleted.push(TopicId::from_bytes(fields.array()?));
        }
        fields.end()?;
        Ok(registry)
    }
}

fn wrong(error: &Error) -> Error {
    Error::corrupt(0, CorruptionReason::SideFile(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_back_with_what_is_not_default() {
        let mut registry = Registry { deleted: vec![TopicId::from_bytes([9; 16])], ..Registry::default() };
        let config = LogConfig::from_pairs([("segment.bytes", "1000"), ("cleanup.policy", "compact")]).unwrap();
        let entry = TopicEntry { id: TopicId::from_bytes([7; 16]), partitions: 3, config };
        registry.topics.insert(TopicName::new("orders").unwrap(), entry);
        assert_eq!(Registry::decode(&registry.encode()).unwrap(), registry);
        assert_eq!(Registry::decode(&Registry::default().encode()).unwrap(), Registry::default());
    }

    #[test]
    fn a_body_cut_short_is_damage() {
        let mut registry = Registry::default();
        let entry = TopicEntry { id: TopicId::from_bytes([7; 16]), partitions: 3, config: LogConfig::default() };
        registry.topics.insert(TopicName::new("orders").unwrap(), entry);
        let bytes = registry.encode();
        let (_, body) = framed::unframe(FORMAT, &bytes).unwrap();
        for len in 0..body.len() {
            let error = Registry::decode(&framed::frame(FORMAT, &body[..len])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{len}");
        }
    }

    #[test]
    fn a_number_of_partitions_that_no_topic_has_is_damage() {
        for partitions in [0, PARTITIONS_MAX + 1, u32::MAX] {
            let mut registry = Registry::default();
            let entry = TopicEntry { id: TopicId::from_bytes([7; 16]), partitions, config: LogConfig::default() };
            registry.topics.insert(TopicName::new("orders").unwrap(), entry);
            assert_eq!(Registry::decode(&registry.encode()).unwrap_err().kind(), ErrorKind::Corruption);
        }
    }
}
