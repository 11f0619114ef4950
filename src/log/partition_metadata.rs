//! `partition.metadata`: which topic a partition's directory belongs to, whatever its name says.

use crate::error::{CorruptionReason, Error, Result};
use crate::log::text_checkpoint::words;
use crate::types::TopicId;

/// The file's name.
pub(crate) const FILE_NAME: &str = "partition.metadata";

/// The file's text.
pub(crate) fn format(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// The topic's id in the file's `bytes`. Newer versions are read like version 0: Kafka promises that they may be.
///
/// # Errors
/// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) unless the first two lines are a label and a value each, and
/// for the id that is all zero.
pub(crate) fn parse(bytes: &[u8]) -> Result<TopicId> {
    let text = std::str::from_utf8(bytes).map_err(|error| damage(error.valid_up_to(), "bytes are no text".into()))?;
    let mut lines = text.lines();
    let (first, second) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let version = words(first).and_then(|[_, version]| version.parse::<u32>().ok());
    if version.is_none() {
        return Err(damage(0, format!("{first:?} is no version")));
    }
    let id = words(second).and_then(|[_, id]| TopicId::parse(id)).filter(|id| !id.is_zero());
    id.ok_or_else(|| damage(first.len() + 1, format!("{second:?} is no topic id")))
}

fn damage(position: usize, message: String) -> Error {
    Error::corrupt(position as u64, CorruptionReason::SideFile(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_version_and_id() {
        let id = TopicId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(format(id), "version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw");
        assert_eq!(parse(format(id).as_bytes()).unwrap(), id);
        assert_eq!(parse(b"version: 3\r\nx  AAECAwQFBgcICQoLDA0ODw\n").unwrap(), id);
    }

    #[test]
    fn what_is_no_such_file_is_told_with_its_place() {
        for (text, position) in [
            ("", 0),
            ("version: 0", 11),
            ("version: -1\ntopic_id: AAECAwQFBgcICQoLDA0ODw", 0),
            ("version 0 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw", 0),
            ("version: 0\n", 11),
            ("version: 0\ntopic_id:", 11),
            ("version: 0\ntopic_id: AAECAwQFBgcICQoLDA0OD", 11),
            ("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", 11),
            ("version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw more", 11),
            ("version: 0\ntopic_id:\nAAECAwQFBgcICQoLDA0ODw", 11),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.corruption().unwrap().position, position, "{text:?}");
        }
        assert!(parse(b"version: 0\ntopic_id: \xff").is_err());
    }

    #[test]
    fn kafkas_file_is_made_again_from_its_id() {
        let path = "/tests/golden/kafka-4.3.1/log/plain-0/partition.metadata";
        let bytes = std::fs::read(format!("{}{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(format(parse(&bytes).unwrap()).as_bytes(), bytes);
    }
}
