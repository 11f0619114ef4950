//! What may be found after a crash: the model of one partition's log.

use bytes::Bytes;

use crate::sim::CrashMode;
use crate::types::Timestamp;

/// A record, whose value names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) value: Bytes,
    pub(super) timestamp: Timestamp,
    /// Whether a batch ends with it: a log may end only there.
    pub(super) ends_batch: bool,
}

/// What an opened log may hold, and what it must.
#[derive(Clone, Debug, Default)]
pub(super) struct Expect {
    /// The longest log there can be: what is found is a prefix of it. Its index is the offset.
    pub(super) records: Vec<Expected>,
    /// So many of them survive the process.
    pub(super) written: usize,
    /// So many of them survive a power cut.
    pub(super) durable: usize,
    /// The lowest and the highest log start there can be.
    pub(super) start: (usize, usize),
    /// Whether the tail was ever cut.
    pub(super) was_cut: bool,
}

impl Expect {
    /// What is found may be either: an operation is under way, or it failed.
    pub(super) fn or(&self, other: &Expect) -> Expect {
        let longer = if other.records.len() > self.records.len() { other } else { self };
        Expect {
            records: longer.records.clone(),
            written: self.written.min(other.written),
            durable: self.durable.min(other.durable),
            start: (self.start.0.min(other.start.0), self.start.1.max(other.start.1)),
            was_cut: self.was_cut || other.was_cut,
        }
    }

    /// What holds after a crash.
    pub(super) fn after(&self, mode: CrashMode) -> Expect {
        if mode == CrashMode::Kill { self.clone() } else { self.after_power_cut() }
    }

    /// What holds after a power cut.
    pub(super) fn after_power_cut(&self) -> Expect {
        Expect { written: self.durable, ..self.clone() }
    }

    /// What holds once a log was found that ends at `end` and starts at `start`.
    pub(super) fn found(&self, start: usize, end: usize) -> Expect {
        let mut found = self.clone();
        found.records.truncate(end);
        found.written = end;
        found.durable = self.durable.min(end);
        found.start = (start, start);
        found
    }

    /// What a cut at `end` leaves.
    pub(super) fn cut(&self, end: usize) -> Expect {
        let mut cut = self.clone();
        cut.records.truncate(end);
        if let Some(last) = cut.records.last_mut() {
            last.ends_batch = true;
        }
        cut.written = cut.written.min(end);
        cut.durable = cut.durable.min(end);
        cut
    }

    /// The start of the batch that holds the record at `index`, or `index` behind the last one.
    pub(super) fn batch_start(&self, index: usize) -> usize {
        let starts = |at: &usize| *at == 0 || self.records.get(at - 1).is_some_and(|record| record.ends_batch);
        (0..=index.min(self.records.len())).rev().find(starts).unwrap_or(0)
    }

    /// Whether a log may end at `end`: where a batch does, or, as what lies below it may be gone, at the log start.
    pub(super) fn may_end_at(&self, end: usize) -> bool {
        self.batch_start(end) == end || (self.start.0..=self.start.1).contains(&end)
    }
}

/// An operation in a history: from which event to which, and what held after it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) after: Expect,
}

/// What held at the start, and after each operation.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) start: Expect,
    pub(super) steps: Vec<Step>,
}

impl Story {
    pub(super) fn last(&self) -> &Expect {
        self.steps.last().map_or(&self.start, |step| &step.after)
    }

    /// What a crash behind the first `point` events may leave, of page cache and all.
    pub(super) fn at(&self, point: usize) -> Expect {
        let done = self.steps.partition_point(|step| step.end <= point);
        let before = done.checked_sub(1).map_or(&self.start, |last| &self.steps[last].after);
        match self.steps.get(done) {
            Some(step) if step.begin <= point => before.or(&step.after),
            _ => before.clone(),
        }
    }
}
