//! Workloads: what is done to a log, and what each operation promised.

use bytes::Bytes;

use super::check::{Checked, contents, ensure, opened, works};
use super::expect::{Expect, Expected, Step, Story};
use super::host::{Host, Setting};
use crate::clock::Clock as _;
use crate::error::{ErrorKind, Result};
use crate::log::{AppendOrigin, LogConfig};
use crate::record::{BatchBuilder, Record, RecordBatch};
use crate::sim::{Call, Failure, Fault, Random, SimDisk};
use crate::types::{Offset, ReadUpTo, Timestamp};

/// One thing that is done to a log. Places are in tenths of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Appends a batch of so many records with values of so many bytes.
    Append { records: u8, bytes: u16 },
    /// Waits until all is durable.
    Sync,
    /// Starts a new segment.
    Roll,
    /// Cuts the tail.
    Truncate(u8),
    /// Moves the log start.
    DeleteRecords(u8),
    /// Removes the oldest segments, so that about so much is left.
    Retain(u8),
    /// Lets time pass.
    Wait { millis: u16 },
    /// Closes cleanly and opens again.
    Reopen,
    /// Leaves so many bytes of room on the disk.
    Fill(u16),
    /// One of the next calls fails.
    Fail { after: u8, call: Option<Call>, failure: Failure },
    /// Makes room again, and lets no call fail.
    Heal,
}

/// A log under way, on a disk whose history is kept.
pub(super) struct Run {
    pub(super) disk: SimDisk,
    setting: Setting,
    host: Option<Host>,
    story: Story,
    next_id: u64,
    /// A call may be planned to fail, or the disk be full.
    faulty: bool,
    refuses: Refuses,
    /// Where the last operation began.
    last_begin: usize,
}

/// Whether writes are refused until the log is reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refuses {
    No,
    /// Something failed that may be reason enough.
    Maybe,
    /// A sync failed.
    Surely,
}

impl Run {
    /// Opens the log on `disk`, of which `expect` holds, and checks what is found.
    pub(super) fn open(disk: SimDisk, setting: Setting, expect: Expect, next_id: u64) -> Checked<Self> {
        let host = works("open", Host::open(&disk, &setting))?;
        let (start, end) = opened(&host.log, &expect)?;
        let mut after = expect.found(start, end);
        raise_durable(&host, &mut after);
        let step = Step { begin: 0, end: disk.position(), after };
        let story = Story { start: expect, steps: vec![step] };
        Ok(Self { disk, setting, host: Some(host), story, next_id, faulty: false, refuses: Refuses::No, last_begin: 0 })
    }

    pub(super) fn story(&self) -> &Story {
        &self.story
    }

    /// Whether a cut of the tail was ever begun, here or before the crash that this log comes from.
    pub(super) fn has_cut_segments(&self) -> bool {
        self.story.steps.iter().any(|step| step.after.was_cut) || self.story.start.was_cut
    }

    /// The event with which the last operation began: the first of all if there was none.
    pub(super) fn last_begin(&self) -> usize {
        self.last_begin
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(super) fn host(&self) -> Checked<&Host> {
        self.host.as_ref().ok_or_else(|| "the log could not be reopened".to_owned())
    }

    /// Does one operation, checks the log after it, and notes what it promised.
    pub(super) fn perform(&mut self, op: Op) -> Checked {
        self.last_begin = self.disk.position();
        if op == Op::Reopen {
            self.step(op, Self::close)?;
        }
        self.step(op, |run, before| run.act(op, before))
    }

    fn step(&mut self, op: Op, act: impl FnOnce(&mut Self, &Expect) -> Checked<Expect>) -> Checked {
        let begin = self.disk.position();
        let before = self.story.last().clone();
        let mut after = act(self, &before).map_err(|wrong| format!("{op:?}: {wrong}"))?;
        if self.disk.has_lost_writes() {
            // The kernel may forget what it could not write.
            after.written = after.durable;
        }
        if let Some(host) = &self.host {
            self.disk.pause_faults(true);
            contents(&host.log, &after.records).map_err(|wrong| format!("after {op:?}: {wrong}"))?;
            self.disk.pause_faults(false);
        }
        self.story.steps.push(Step { begin, end: self.disk.position(), after });
        Ok(())
    }

    fn act(&mut self, op: Op, before: &Expect) -> Checked<Expect> {
        let len = before.records.len();
        match op {
            Op::Append { records, bytes } => return self.append(before, records.into(), bytes.into()),
            Op::Sync => return self.sync(before),
            Op::Roll => {
                let rolled = self.host()?.log.roll();
                self.judge(rolled.map(|_| ()))?;
            }
            Op::Truncate(tenths) => {
                return self.truncate(before, len - (len - before.start.1) * usize::from(tenths) / 10);
            }
            Op::DeleteRecords(tenths) => return self.delete_records(before, len * usize::from(tenths) / 10),
            Op::Retain(tenths) => return self.retain(before, tenths),
            Op::Wait { millis } => self.setting.clock.advance(std::time::Duration::from_millis(millis.into())),
            Op::Reopen => return self.reopen(before),
            Op::Fill(left) => {
                self.faulty = true;
                self.disk.set_capacity(Some(self.disk.used() + u64::from(left)));
            }
            Op::Heal => self.heal(),
            Op::Fail { after, call, failure } => {
                self.faulty = true;
                let fault = match call {
                    Some(call) => Fault::next(call, failure),
                    None => Fault::next_of_any_kind(failure),
                };
                self.disk.fail(fault.after(after.into()));
            }
        }
        let mut after = before.clone();
        raise_durable(self.host()?, &mut after);
        Ok(after)
    }

    fn append(&mut self, before: &Expect, records: usize, bytes: usize) -> Checked<Expect> {
        let now = self.setting.clock.now();
        let mut appended = Vec::new();
        let mut builder = BatchBuilder::new();
        for place in 0..records {
            let value = value_of(self.next_id, bytes);
            self.next_id += 1;
            // Times go back and forth.
            let timestamp = Timestamp::from_millis(now.millis() - i64::try_from(self.next_id * 7 % 50).unwrap_or(0));
            works("build", builder.push(&Record::new().value(value.as_ref()).timestamp(timestamp), now))?;
            appended.push(Expected { value, timestamp, ends_batch: place + 1 == records });
        }
        let batch = works("build", builder.finish())?.ok_or("no record")?.to_vec();
        let batch = works("parse", RecordBatch::parse(batch))?;
        let host = self.host()?;
        let result = host.log.append(&batch, AppendOrigin::Client);
        let mut after = before.clone();
        if let Ok(done) = &result {
            ensure!(done.offsets.start().get() == before.records.len() as u64, "appended at {:?}", done.offsets);
            after.records.extend(appended);
            after.written = after.records.len();
        }
        let end = host.log.end(ReadUpTo::Written);
        ensure!(end.get() == after.records.len() as u64, "the log ends at {end} after {result:?}");
        raise_durable(host, &mut after);
        let too_large = batch.size() > self.setting.config.segment_bytes as usize;
        if too_large && result.as_ref().is_err_and(|error| error.kind() == ErrorKind::BatchTooLarge) {
            return Ok(after);
        }
        self.judge(result.map(|_| ()))?;
        Ok(after)
    }

    fn sync(&mut self, before: &Expect) -> Checked<Expect> {
        let host = self.host()?;
        let result = host.log.sync();
        let mut after = before.clone();
        if let Ok(durable) = &result {
            ensure!(durable.get() == before.records.len() as u64, "synced up to {durable}");
            after.durable = after.records.len();
            if before.durable == before.records.len() {
                // There was nothing to do, which even a log that refuses writes may say.
                return Ok(after);
            }
        }
        raise_durable(host, &mut after);
        let passes = |kind| matches!(kind, ErrorKind::PreviousFailure | ErrorKind::TooManyFiles);
        let failed = result.as_ref().is_err_and(|error| !passes(error.kind()));
        self.judge(result.map(|_| ()))?;
        if failed {
            self.refuses = Refuses::Surely;
        }
        Ok(after)
    }

    fn truncate(&mut self, before: &Expect, to: usize) -> Checked<Expect> {
        let host = self.host()?;
        let result = host.log.truncate(Offset::new(to as u64));
        let start = usize::try_from(host.log.log_start().get()).unwrap_or(usize::MAX);
        let cut = before.cut(before.batch_start(to).max(start));
        let mut after = match &result {
            Ok(at) => {
                ensure!(at.get() == cut.records.len() as u64, "cut at {at}, not at {}", cut.records.len());
                cut
            }
            Err(_) => before.or(&cut),
        };
        raise_durable(host, &mut after);
        after.was_cut = true;
        // Half a cut has to be finished by an opening.
        if result.is_err() {
            self.refuses = self.refuses.or_maybe();
        }
        self.judge(result.map(|_| ()))?;
        Ok(after)
    }

    fn delete_records(&mut self, before: &Expect, to: usize) -> Checked<Expect> {
        let host = self.host()?;
        let to = to.min(usize::try_from(host.log.end(ReadUpTo::HighWatermark).get()).unwrap_or(usize::MAX));
        let result = host.log.delete_records(..Offset::new(to as u64));
        let mut after = before.clone();
        after.start.1 = after.start.1.max(to);
        if result.is_ok() {
            after.start.0 = after.start.0.max(to);
        }
        raise_durable(host, &mut after);
        self.judge(result.map(|_| ()))?;
        Ok(after)
    }

    fn retain(&mut self, before: &Expect, tenths: u8) -> Checked<Expect> {
        let host = self.host()?;
        let bytes: u64 = host.log.segments().iter().map(|segment| segment.size()).sum();
        let retention_bytes = (bytes * u64::from(tenths) / 10).cast_signed();
        host.log.set_config(LogConfig { retention_bytes, ..self.setting.config.as_ref().clone() });
        self.disk.pause_faults(true);
        let due = works("ask what is due", host.log.due_segments())?;
        self.disk.pause_faults(false);
        let mut result = host.log.retain(2, |_, _| {});
        while result.as_ref().is_ok_and(|(_, more)| *more) {
            result = host.log.retain(2, |_, _| {});
        }
        let mut after = before.clone();
        if let Some(last) = due.last() {
            let to = usize::try_from(last.end_offset.get()).unwrap_or(usize::MAX);
            after.start.1 = after.start.1.max(to);
            if result.is_ok() {
                after.start.0 = after.start.0.max(to);
                ensure!(host.log.log_start() >= last.end_offset, "{} is left of {due:?}", host.log.log_start());
            }
            raise_durable(host, &mut after);
            self.judge(result.map(|_| ()))?;
        }
        Ok(after)
    }

    /// A close that fails leaves the log to the next opening.
    fn close(&mut self, before: &Expect) -> Checked<Expect> {
        let closed = self.host.take().ok_or("not open")?.close();
        let mut after = before.clone();
        if closed.is_ok() {
            after.durable = after.records.len();
        }
        self.judge(closed)?;
        Ok(after)
    }

    /// An opening that fails is tried again without faults.
    fn reopen(&mut self, before: &Expect) -> Checked<Expect> {
        let again = match Host::open(&self.disk, &self.setting) {
            Err(_) if self.faulty => {
                self.heal();
                Host::open(&self.disk, &self.setting)
            }
            result => result,
        };
        let host = works("reopen", again)?;
        self.disk.pause_faults(true);
        let (start, end) = opened(&host.log, before)?;
        self.disk.pause_faults(false);
        let mut found = before.found(start, end);
        raise_durable(&host, &mut found);
        self.host = Some(host);
        // What a failed sync had lost cannot always be written again.
        self.refuses = if self.faulty { Refuses::Maybe } else { Refuses::No };
        Ok(found)
    }

    fn heal(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
        self.faulty = false;
    }

    /// I16, I17, P4: notes a failure, and says whether it, or the success, may be.
    fn judge(&mut self, result: Result<()>) -> Checked {
        let Err(error) = result else {
            ensure!(self.refuses != Refuses::Surely, "it succeeds, though a sync has failed");
            return Ok(());
        };
        match error.kind() {
            ErrorKind::PreviousFailure if self.refuses != Refuses::No => {}
            ErrorKind::StorageFull if self.faulty => {}
            ErrorKind::Io | ErrorKind::TooManyFiles if self.faulty => self.refuses = self.refuses.or_maybe(),
            _ => return Err(format!("{error:?}")),
        }
        Ok(())
    }
}

impl Refuses {
    fn or_maybe(self) -> Self {
        if self == Refuses::No { Refuses::Maybe } else { self }
    }
}

/// The durable mark is a promise.
fn raise_durable(host: &Host, expect: &mut Expect) {
    let durable = usize::try_from(host.log.end(ReadUpTo::Durable).get()).unwrap_or(usize::MAX);
    expect.durable = expect.durable.max(durable.min(expect.records.len()));
}

/// A value that no other record has. Its last byte is not zero: half of it is never as good as the whole.
fn value_of(id: u64, bytes: usize) -> Bytes {
    let mut random = Random::new(id);
    let mut value = id.to_be_bytes().to_vec();
    while value.len() < bytes {
        value.extend(random.bits().to_be_bytes());
    }
    value.truncate(bytes.max(8));
    value.push(0xa5);
    value.into()
}
