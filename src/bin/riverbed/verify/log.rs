//! Reads a segment's log: every batch, every record.

use std::io;
use std::path::Path;

use riverbed::{BatchHeader, DecompressionLimits, Error, FetchLimit, Offset, Partition, RecordBatch};

use super::Findings;
use crate::files::{Found, LogFile, Problem};

/// What must hold from batch to batch, over all segments of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Follows {
    next_offset: u64,
    epoch: i32,
    /// Below which offset nothing can be read, or was checked yet.
    checked: u64,
    /// Whether offsets may be left out, as far as the log was asked.
    may_have_gaps: bool,
}

impl Follows {
    /// The state in front of the first batch of a partition that starts at `log_start`.
    pub fn from_the_start(log_start: u64) -> Self {
        Self { next_offset: 0, epoch: -1, checked: log_start, may_have_gaps: false }
    }

    /// Asks the log for what lies between all that was checked and its end.
    pub fn ask_for_end(&mut self, log_end: u64, partition: &Partition) -> Option<Error> {
        self.ask_for_gap(self.checked, log_end, partition)
    }

    /// Asks the log for the offsets from `from` up to `to`, if there are any, as its files have none of them: only it
    /// knows whether they may be missing.
    fn ask_for_gap(&mut self, from: u64, to: u64, partition: &Partition) -> Option<Error> {
        if from >= to || self.may_have_gaps {
            return None;
        }
        let missing = Offset::from_i64(from.try_into().ok()?)?;
        let error = partition.fetch(missing, FetchLimit::bytes(0)).err().filter(|error| error.corruption().is_some());
        self.may_have_gaps = error.is_none();
        error
    }

    /// What is wrong with the place of a batch. Compaction leaves gaps, so it may lie further on than expected.
    fn check(&mut self, segment: Extent, header: &BatchHeader) -> Option<String> {
        let (offset, epoch) = (header.base_offset.get(), header.leader_epoch.get());
        let expected = self.next_offset.max(segment.base);
        let (next_offset, before) = (header.next_offset().get(), *self);
        *self = Self { next_offset, epoch, checked: self.checked.max(next_offset), ..before };
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
pub fn check(
    path: &Path,
    extent: Extent,
    partition: &Partition,
    follows: &mut Follows,
    findings: &mut Findings<'_>,
) -> io::Result<()> {
    let mut log = LogFile::open(path)?;
    if log.remaining() < extent.bytes {
        let message = format!("the file has {} bytes, the segment {}", log.remaining(), extent.bytes);
        findings.problem(Problem::damage(path, log.remaining(), message));
    }
    let mut bytes = Vec::new();
    while log.position() < extent.bytes && extent.end != Some(follows.next_offset) {
        let Some(header) = header(&log, extent, findings)? else { return Ok(()) };
        let checked = follows.checked;
        if let Some(wrong) = follows.check(extent, &header) {
            findings.problem(Problem::damage(path, log.position(), wrong));
        } else if let Some(lost) = follows.ask_for_gap(checked, header.base_offset.get(), partition) {
            findings.problem(Problem::opening(path, &lost));
        }
        log.read(&header, &mut bytes)?;
        let records = batch(&bytes).unwrap_or_else(|error| {
            findings.problem(Problem::error(path, log.position(), &error));
            0
        });
        log.skip(&header);
        findings.advance(header.size() as u64, records);
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

/// Decodes all of a batch, and counts its records.
fn batch(bytes: &[u8]) -> Result<u64, Error> {
    let batch = RecordBatch::parse(bytes)?;
    let mut count = 0;
    for record in batch.payload(&DecompressionLimits::default())?.records() {
        record?;
        count += 1;
    }
    Ok(count)
}
