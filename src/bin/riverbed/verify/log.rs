//! Reads a segment's log: every batch, every record.

use std::io;
use std::path::Path;

use riverbed::{BatchHeader, DecompressionLimits, Error, RecordBatch};

use super::Findings;
use crate::files::{Found, LogFile, Problem};

/// What must hold from batch to batch, over all segments of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follows {
    next_offset: u64,
    epoch: i32,
}

impl Follows {
    /// The state in front of a partition's first batch.
    pub fn from_the_start() -> Self {
        Self { next_offset: 0, epoch: -1 }
    }

    /// What is wrong with the place of a batch. Compaction leaves gaps, so it may lie further on than expected.
    fn check(&mut self, segment: Extent, header: &BatchHeader) -> Option<String> {
        let (offset, epoch) = (header.base_offset.get(), header.leader_epoch.get());
        let expected = self.next_offset.max(segment.base);
        let before = std::mem::replace(self, Self { next_offset: header.next_offset().get(), epoch });
        if offset < expected {
            return Some(format!("base offset is {offset}, expected at least {expected}"));
        }
        if let Some(end) = segment.end.filter(|end| offset >= *end) {
            return Some(format!("base offset is {offset}, the segment ends at {end}"));
        }
        (epoch < before.epoch).then(|| format!("leader epoch is {epoch}, lower than {}", before.epoch))
    }
}

/// A segment to be checked.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Its first offset.
    pub base: u64,
    /// Where the next segment begins, and this one ends whatever its file still holds.
    pub end: Option<u64>,
    /// How many bytes of its file count.
    pub bytes: u64,
}

/// Checks the log of the segment at `path`.
pub fn check(path: &Path, extent: Extent, follows: &mut Follows, findings: &mut Findings<'_>) -> io::Result<()> {
    let mut log = LogFile::open(path)?;
    if log.remaining() < extent.bytes {
        let message = format!("the file has {} bytes, the segment {}", log.remaining(), extent.bytes);
        findings.problem(Problem::damage(path, log.remaining(), message));
    }
    let mut bytes = Vec::new();
    while log.position() < extent.bytes && extent.end != Some(follows.next_offset) {
        let Some(header) = header(&log, extent, findings)? else { return Ok(()) };
        if let Some(wrong) = follows.check(extent, &header) {
            findings.problem(Problem::damage(path, log.position(), wrong));
        }
        log.read(&header, &mut bytes)?;
        if let Err(error) = batch(&bytes) {
            findings.problem(Problem::error(path, log.position(), &error));
        }
        log.skip(&header);
        findings.advance(header.size() as u64);
        if findings.interrupted() {
            return Ok(());
        }
    }
    Ok(())
}

/// The header of the next batch. None if the bytes cannot be one, which is a problem.
fn header(log: &LogFile, extent: Extent, findings: &mut Findings<'_>) -> io::Result<Option<BatchHeader>> {
    let (path, position) = (log.path(), log.position());
    let problem = match log.peek()? {
        Found::Batch(header) => return Ok(Some(header)),
        Found::Invalid(error) => Problem::error(path, position, &error),
        Found::Torn | Found::Zeros => {
            Problem::damage(path, position, format!("{} bytes are no whole batch", extent.bytes - position))
        }
    };
    findings.problem(problem);
    Ok(None)
}

/// Decodes all of a batch.
fn batch(bytes: &[u8]) -> Result<(), Error> {
    let batch = RecordBatch::parse(bytes)?;
    for record in batch.payload(&DecompressionLimits::default())?.records() {
        record?;
    }
    Ok(())
}
