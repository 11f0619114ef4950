//! `.index`, `.timeindex` and `.txnindex`: entries of fixed width, and whether they fit the log beside them.

use super::entry::Entry;
use super::report::Report;
use crate::failure::Outcome;
use crate::files::{Fields, FileName, Found, LogFile};

const OFFSET_ENTRY: usize = 8;
const TIME_ENTRY: usize = 12;
const TRANSACTION_ENTRY: usize = 34;

/// `.index`: offsets of batches and where they start.
pub fn offsets(name: &FileName, bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    if bytes.is_empty() {
        return report.remark(format!("{} is empty.", report.path().display()));
    }
    let log = open_log(name, report);
    for (i, chunk) in bytes.chunks_exact(OFFSET_ENTRY).enumerate() {
        let mut fields = Fields(chunk);
        let (Some(relative), Some(position)) = (fields.i32(), fields.i32()) else { break };
        if relative == 0 && i > 0 {
            return Ok(());
        }
        let offset = name.base.saturating_add(relative.into());
        report.entry(&Entry::new().with("offset", offset).with("position", position))?;
        if let Some(log) = &log {
            compare(log, i * OFFSET_ENTRY, offset, position, report);
        }
    }
    remainder(bytes, OFFSET_ENTRY, report);
    Ok(())
}

/// An entry names the last offset of the batch that starts at its position.
fn compare(log: &LogFile, at: usize, offset: i64, position: i32, report: &mut Report<'_>) {
    let start = u64::try_from(position).unwrap_or(u64::MAX);
    match log.header_at(start) {
        Ok(Found::Batch(header)) if header.last_offset().as_i64() == offset => {}
        Ok(Found::Batch(header)) => {
            report.damage(at, format!("index offset: {offset}, log offset: {}", header.last_offset()));
        }
        Ok(_) => report.damage(at, format!("no batch at position {position} of the log for offset {offset}")),
        Err(error) => report.unreadable(log.path(), &error),
    }
}

/// `.timeindex`: from which batch on a time is reached.
pub fn times(name: &FileName, bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    let mut log = open_log(name, report);
    let mut last = i64::MIN;
    for (i, chunk) in bytes.chunks_exact(TIME_ENTRY).enumerate() {
        let mut fields = Fields(chunk);
        let (Some(timestamp), Some(relative)) = (fields.i64(), fields.i32()) else { break };
        if relative == 0 && i > 0 {
            return Ok(());
        }
        let offset = name.base.saturating_add(relative.into());
        report.entry(&Entry::new().with("timestamp", timestamp).with("offset", offset))?;
        if timestamp <= last {
            report.damage(i * TIME_ENTRY, format!("index timestamp: {timestamp}, previously indexed: {last}"));
        }
        last = timestamp;
        if let Some(log) = &mut log {
            compare_time(log, i * TIME_ENTRY, offset, timestamp, report);
        }
    }
    remainder(bytes, TIME_ENTRY, report);
    Ok(())
}

/// An entry names the last offset of a batch, and the largest time in it. Offsets ascend, so the log is walked once.
fn compare_time(log: &mut LogFile, at: usize, offset: i64, timestamp: i64, report: &mut Report<'_>) {
    loop {
        match log.header_at(log.position()) {
            Ok(Found::Batch(header)) if header.last_offset().as_i64() < offset => log.skip(&header),
            Ok(Found::Batch(header)) if header.last_offset().as_i64() > offset => {
                let found = header.last_offset();
                return report.damage(at, format!("indexed offset: {offset}, found log offset: {found}"));
            }
            Ok(Found::Batch(header)) if header.max_timestamp.millis() != timestamp => {
                let found = header.max_timestamp;
                return report.damage(at, format!("index timestamp: {timestamp}, log timestamp: {found}"));
            }
            Ok(Found::Batch(_)) => return,
            Ok(_) => return report.damage(at, format!("indexed offset: {offset}, found log offset: -1")),
            Err(error) => return report.unreadable(log.path(), &error),
        }
    }
}

/// `.txnindex`: aborted transactions.
pub fn transactions(bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    for (i, chunk) in bytes.chunks_exact(TRANSACTION_ENTRY).enumerate() {
        let mut fields = Fields(chunk);
        let (Some(version), Some(producer_id)) = (fields.i16(), fields.i64()) else { break };
        let (Some(first), Some(last), Some(stable)) = (fields.i64(), fields.i64(), fields.i64()) else { break };
        let entry = Entry::new()
            .with("version", version)
            .with("producerId", producer_id)
            .with("firstOffset", first)
            .with("lastOffset", last)
            .with("lastStableOffset", stable);
        report.entry(&entry)?;
        if version != 0 {
            report.damage(i * TRANSACTION_ENTRY, format!("entry has version {version}, only 0 is known"));
        }
    }
    remainder(bytes, TRANSACTION_ENTRY, report);
    Ok(())
}

fn remainder(bytes: &[u8], width: usize, report: &mut Report<'_>) {
    let rest = bytes.len() % width;
    if rest != 0 {
        report.damage(bytes.len() - rest, format!("{rest} bytes are no whole entry of {width}"));
    }
}

/// The log beside an index. Without one the entries stand for themselves.
fn open_log(name: &FileName, report: &mut Report<'_>) -> Option<LogFile> {
    let path = report.path().with_file_name(format!("{:020}.log", name.base));
    match LogFile::open(&path) {
        Ok(log) => Some(log),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            report.unreadable(&path, &error);
            None
        }
    }
}
