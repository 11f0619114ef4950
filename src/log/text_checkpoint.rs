//! Kafka's text checkpoints: a line with the version, one with the number of entries, then a line each.

use crate::error::{CorruptionReason, Error, Result};
use crate::types::{Offset, PartitionId, TopicName, TopicPartition};

/// The version that is written, and the newest that is read.
const VERSION: u16 = 0;

/// The file of these lines.
pub(crate) fn format_lines(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// What `parse` makes of each line of the file's `bytes`. A file without a count has no entries.
///
/// # Errors
/// [`ErrorKind::UnsupportedVersion`](crate::ErrorKind::UnsupportedVersion) for a newer version,
/// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) for bytes that are not such a file,
/// for a line that `parse` does not take, and for a count that is not that of the lines.
pub(crate) fn parse_lines<T>(bytes: &[u8], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let text = std::str::from_utf8(bytes).map_err(|error| damage(error.valid_up_to(), "bytes are no text".into()))?;
    let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n').scan(0, |position, line| {
        let start = *position;
        *position += line.len() + 1;
        Some((start, line))
    });
    check_version(lines.next().map_or("", |(_, line)| line))?;
    let Some((position, count)) = lines.next() else {
        return Ok(Vec::new());
    };
    let Ok(count) = count.parse::<u32>() else {
        return Err(damage(position, format!("{count:?} is no number of entries")));
    };
    let entry =
        |(position, line): (usize, &str)| parse(line).ok_or_else(|| damage(position, format!("{line:?} is no entry")));
    let entries = lines.map(entry).collect::<Result<Vec<T>>>()?;
    if u32::try_from(entries.len()) == Ok(count) {
        return Ok(entries);
    }
    Err(damage(position, format!("{count} entries are announced, {} are there", entries.len())))
}

fn check_version(line: &str) -> Result<()> {
    match line.parse() {
        _ if line.is_empty() => Ok(()),
        Ok(version) if version > VERSION => Err(Error::version(version, VERSION)),
        Ok(_) => Ok(()),
        Err(_) => Err(damage(0, format!("{line:?} is no version"))),
    }
}

fn damage(position: usize, message: String) -> Error {
    Error::corrupt(position as u64, CorruptionReason::SideFile(message))
}

/// One of the four checkpoints beside a broker's partitions: an offset for each of them.
pub(crate) fn format_offsets<'a>(entries: impl ExactSizeIterator<Item = (&'a TopicPartition, Offset)>) -> String {
    format_lines(entries.map(|(of, offset)| format!("{} {} {offset}", of.topic, of.partition)))
}

/// The entries of such a file.
///
/// # Errors
/// As of [`parse_lines`].
pub(crate) fn parse_offsets(bytes: &[u8]) -> Result<Vec<(TopicPartition, Offset)>> {
    parse_lines(bytes, |line| {
        let [topic, partition, offset] = words(line)?;
        let partition = partition.parse().ok().filter(|number| i32::try_from(*number).is_ok())?;
        let of = TopicPartition::new(TopicName::new(topic).ok()?, PartitionId::new(partition));
        Some((of, offset.parse().ok().and_then(Offset::from_i64)?))
    })
}

/// The line's words, if there are as many as asked for.
pub(crate) fn words<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut words = line.split_ascii_whitespace();
    let mut found = [""; N];
    for place in &mut found {
        *place = words.next()?;
    }
    words.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn entry(topic: &str, partition: u32, offset: u64) -> (TopicPartition, Offset) {
        let of = TopicPartition::new(TopicName::new(topic).unwrap(), PartitionId::new(partition));
        (of, Offset::new(offset))
    }

    #[test]
    fn a_file_is_version_count_and_entries() {
        let entries = [entry("orders", 0, 42), entry("a.b-c", 7, 0)];
        let text = format_offsets(entries.iter().map(|(of, offset)| (of, *offset)));
        assert_eq!(text, "0\n2\norders 0 42\na.b-c 7 0\n");
        assert_eq!(parse_offsets(text.as_bytes()).unwrap(), entries);
        assert_eq!(format_offsets([].into_iter()), "0\n0\n");
    }

    #[test]
    fn what_kafka_accepts_is_accepted() {
        for (text, entries) in [
            ("", 0),
            ("0", 0),
            ("0\n", 0),
            ("0\n0", 0),
            ("0\n0\n", 0),
            ("0\n1\na 1 2", 1),
            ("0\n1\n a\t1   2 \n", 1),
            ("0\n2\na 1 2\na 1 3\n", 2),
        ] {
            assert_eq!(parse_offsets(text.as_bytes()).unwrap().len(), entries, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_told_with_its_place() {
        for (text, position) in [
            ("x\n0\n", 0),
            ("-1\n0\n", 0),
            ("0\nx\n", 2),
            ("0\n-1\n", 2),
            ("0\n\n", 2),
            ("0\n2\na 1 2\n", 2),
            ("0\n0\na 1 2\n", 2),
            ("0\n1\na 1\n", 4),
            ("0\n1\na 1 2 3\n", 4),
            ("0\n1\na 1 -2\n", 4),
            ("0\n1\na -1 2\n", 4),
            ("0\n1\na 2147483648 2\n", 4),
            ("0\n1\na/b 1 2\n", 4),
            ("0\n2\na 1 2\na 1 9223372036854775808\n", 10),
            ("0\n1\na 1 2\n\n", 10),
        ] {
            let error = parse_offsets(text.as_bytes()).unwrap_err();
            assert_eq!(error.corruption().map(|found| found.position), Some(position), "{text:?}: {error}");
        }
        assert_eq!(parse_offsets(b"0\n1\na \xff 2\n").unwrap_err().corruption().unwrap().position, 6);
        assert_eq!(parse_offsets(b"1\n0\n").unwrap_err().kind(), ErrorKind::UnsupportedVersion);
    }

    #[test]
    fn kafkas_checkpoints_parse() {
        let directory = format!("{}/tests/golden/kafka-4.3.1/log", env!("CARGO_MANIFEST_DIR"));
        for (name, least) in [
            ("recovery-point-offset-checkpoint", 20),
            ("replication-offset-checkpoint", 20),
            ("log-start-offset-checkpoint", 1),
            ("cleaner-offset-checkpoint", 1),
        ] {
            let bytes = std::fs::read(format!("{directory}/{name}")).unwrap();
            let entries = parse_offsets(&bytes).unwrap();
            assert!(entries.len() >= least, "{name}");
            let text = format_offsets(entries.iter().map(|(of, offset)| (of, *offset)));
            assert_eq!(text.as_bytes(), bytes, "{name}");
        }
    }
}
