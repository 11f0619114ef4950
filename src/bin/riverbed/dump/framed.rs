//! riverbed's own small files: a magic, a version, a length and a CRC-32 around a body.

use riverbed::{TopicId, crc32};

use super::entry::{Entry, Value};
use super::report::Report;
use crate::failure::Outcome;
use crate::files::Fields;

/// What the magics of all such files begin with.
pub const MAGIC_PREFIX: &[u8] = b"rvrb";

/// Magic, version and length, which the checksum covers along with the body; it lies between them and the body.
const COVERED: usize = 14;

/// Prints the frame, and what is in it if that is known.
pub fn dump(bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    let mut fields = Fields(bytes);
    let (Some(magic), Some(version), Some(length), Some(crc)) =
        (fields.take::<8>(), fields.i16(), fields.u32(), fields.u32())
    else {
        report.damage(0_u64, format!("a frame has at least 18 bytes, not {}", bytes.len()));
        return Ok(());
    };
    let body = fields.0;
    let computed = crc32(&[bytes.get(..COVERED).unwrap_or_default(), body].concat());
    let head = Entry::new()
        .with("magic", Value::Data(&magic))
        .with("version", version)
        .with("length", length)
        .with("crc", crc)
        .with("isvalid", crc == computed);
    report.entry(&head)?;
    if usize::try_from(length).ok() != Some(body.len()) {
        report.damage(10_u64, format!("body has {} bytes, stated are {length}", body.len()));
    } else if crc != computed {
        report.damage(14_u64, format!("checksum is {crc:#010x}, the bytes give {computed:#010x}"));
    }
    let printed = match (&magic, version) {
        (b"rvrblogc", 1 | 2) => log_checkpoint(version, body),
        (b"rvrbtopc", 1) => topics(body),
        (b"rvrbclen", 1) => clean_mark(body),
        _ => Some(vec![Entry::new().with("body", Value::Data(body))]),
    };
    match printed {
        Some(entries) => entries.iter().try_for_each(|entry| report.entry(entry)),
        None => {
            report.damage(18_u64, "the body is not of the form that the magic announces");
            Ok(())
        }
    }
}

/// `log-checkpoint`: up to where a partition is synced, where it starts, how far it is committed and compacted, and the
/// segments whose files a cut left longer than they are.
fn log_checkpoint(version: i16, body: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut fields = Fields(body);
    let names =
        ["recoveryPoint", "recoverySegment", "recoveryPosition", "logStart", "highWatermark", "cuts", "mayHaveGaps"];
    let mut entry = numbers(Entry::new(), &mut fields, &names)?;
    if version > 1 {
        entry = numbers(entry, &mut fields, &["cleanedTo", "nextHorizon"])?;
    }
    let mut entries = vec![entry];
    while !fields.0.is_empty() {
        entries.push(numbers(Entry::new(), &mut fields, &["cutSegment", "cutEnd", "cutBytes"])?);
    }
    Some(entries)
}

/// `riverbed.topics`: the topics, and those whose directories may still have to be removed.
fn topics(body: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut fields = Fields(body);
    let mut entries = Vec::new();
    for _ in 0..fields.u32()? {
        let name = text(&mut fields)?;
        let id = TopicId::from_bytes(fields.take()?).to_string();
        let mut entry = Entry::new().with("topic", name).with("topicId", Value::Text(id.into()));
        entry = entry.with("partitions", fields.u32()?);
        for _ in 0..fields.u32()? {
            let (name, value) = (text(&mut fields)?, text(&mut fields)?);
            entry = entry.with(name, value);
        }
        entries.push(entry);
    }
    for _ in 0..fields.u32()? {
        let id = TopicId::from_bytes(fields.take()?).to_string();
        entries.push(Entry::new().with("deletedTopicId", Value::Text(id.into())));
    }
    fields.0.is_empty().then_some(entries)
}

/// `riverbed.clean`: where each partition ended at the last clean close.
fn clean_mark(body: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut fields = Fields(body);
    let mut entries = vec![numbers(Entry::new(), &mut fields, &["generation"])?];
    for _ in 0..fields.u32()? {
        let entry = Entry::new().with("partition", text(&mut fields)?);
        let names = ["logStart", "lastStable", "logEnd", "lastSegment", "lastSegmentBytes"];
        entries.push(numbers(entry, &mut fields, &names)?);
    }
    fields.0.is_empty().then_some(entries)
}

fn numbers<'a>(entry: Entry<'a>, fields: &mut Fields<'_>, names: &[&'a str]) -> Option<Entry<'a>> {
    names.iter().try_fold(entry, |entry, name| Some(entry.with(name, fields.i64()?)))
}

/// A length and so many bytes of text.
fn text<'a>(fields: &mut Fields<'a>) -> Option<&'a str> {
    let length = usize::try_from(fields.u32()?).ok()?;
    let (text, rest) = fields.0.split_at_checked(length)?;
    fields.0 = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(entries: Option<Vec<Entry<'_>>>) -> Option<Vec<String>> {
        Some(entries?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn bodies_are_read_to_their_end_or_refused() {
        let bytes = |list: &[u64]| list.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
        let checkpoint = bytes(&[9, 5, 700, 2, 8, 1, 0, 4, 77]);
        let line = "recoveryPoint: 9 recoverySegment: 5 recoveryPosition: 700 logStart: 2 highWatermark: 8 cuts: 1 \
                    mayHaveGaps: 0";
        let newer = format!("{line} cleanedTo: 4 nextHorizon: 77");
        assert_eq!(lines(log_checkpoint(1, &checkpoint[..56])), Some(vec![line.into()]));
        assert_eq!(lines(log_checkpoint(2, &checkpoint)), Some(vec![newer.clone()]));
        for len in 0..checkpoint.len() {
            assert!(log_checkpoint(2, &checkpoint[..len]).is_none());
        }
        let with_cuts = [checkpoint, bytes(&[4, 6, 90])].concat();
        let cut = "cutSegment: 4 cutEnd: 6 cutBytes: 90";
        assert_eq!(lines(log_checkpoint(2, &with_cuts)), Some(vec![newer, cut.into()]));
        assert!(log_checkpoint(2, &[0; 73]).is_none());
        assert!(log_checkpoint(1, &[0; 57]).is_none());
        assert_eq!(lines(topics(&[0; 8])), Some(vec![]));
        assert!(topics(&[0xff; 40]).is_none());
        assert!(clean_mark(&[0xff; 40]).is_none());
    }
}
