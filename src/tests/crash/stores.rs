//! Stores under way: topics come and go, transactions end or do not; crashed at each point, and with each call failing.

use super::check::{Checked, ensure, works};
use super::world::{Entry, Expected, World, check_partition};
use crate::clock::ManualClock;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{AppendOrigin, Appended};
use crate::partition::Partition;
use crate::record::{BatchBuilder, EndMarker, Record, TransactionResult};
use crate::sim::{CrashMode, Failure, Fault, Random, Replay, SimDisk};
use crate::store::{Store, StoreConfig, TopicConfig};
use crate::sync::Arc;
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const NAMES: [&str; 2] = ["orders", "bills"];
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// One thing that is done to a store, most to the topic of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Create(usize),
    Delete(usize),
    Append(usize),
    AppendIn(usize, i64),
    End(usize, i64, TransactionResult),
    Sync(usize),
    Roll(usize),
    DeleteRecords(usize, usize),
    Reopen,
}

/// A store on a disk whose history is kept.
pub(super) struct Run {
    pub(super) disk: SimDisk,
    store: Option<Store>,
    start: World,
    /// From which event to which each operation went, and what held after it.
    steps: Vec<(usize, usize, World)>,
    next_id: u64,
    /// Whether calls are planned to fail.
    faulty: bool,
}

impl Run {
    pub(super) fn open(disk: SimDisk, expected: World, next_id: u64, faulty: bool) -> Checked<Self> {
        let mut run = Self { disk, store: None, start: expected, steps: Vec::new(), next_id, faulty };
        let found = run.reopen(&run.start.clone())?;
        run.steps.push((0, run.disk.position(), found));
        Ok(run)
    }

    pub(super) fn now(&self) -> &World {
        self.steps.last().map_or(&self.start, |(_, _, after)| after)
    }

    /// What a crash behind the first `point` events may leave, of page cache and all.
    fn at(&self, point: usize) -> World {
        let done = self.steps.partition_point(|(_, end, _)| *end <= point);
        let before = done.checked_sub(1).map_or(&self.start, |last| &self.steps[last].2);
        match self.steps.get(done) {
            Some((begin, _, after)) if *begin <= point => either(before, after),
            _ => before.clone(),
        }
    }

    pub(super) fn perform(&mut self, op: Op) -> Checked {
        let (begin, before) = (self.disk.position(), self.now().clone());
        if op == Op::Reopen {
            let mut closed = before.clone();
            if let Some(store) = self.store.take() {
                let answer = store.close();
                self.judge(&answer)?;
                if answer.is_ok() {
                    closed.values_mut().for_each(|topic| topic.durable = topic.entries.len());
                }
            }
            let before = closed.clone();
            self.steps.push((begin, self.disk.position(), closed));
            let begin = self.disk.position();
            let found = self.reopen(&before).map_err(|wrong| format!("{op:?}: {wrong}"))?;
            self.steps.push((begin, self.disk.position(), found));
            return Ok(());
        }
        let after = self.act(op, &before).map_err(|wrong| format!("{op:?}: {wrong}"))?;
        self.steps.push((begin, self.disk.position(), after));
        Ok(())
    }

    /// Opens the store and checks all that is found. An opening that fails is tried again without faults.
    fn reopen(&mut self, expected: &World) -> Checked<World> {
        // A partition whose files could not be read is one that is not open.
        let opened = open(&self.disk).and_then(|store| all_open(&store).map(|()| store));
        let store = match opened {
            Err(_) if self.faulty => {
                self.heal();
                open(&self.disk)
            }
            opened => opened,
        };
        let store = works("open", store)?;
        self.disk.pause_faults(true);
        let found = look(&store, expected)?;
        self.disk.pause_faults(false);
        self.store = Some(store);
        Ok(found)
    }

    pub(super) fn heal(&mut self) {
        self.disk.heal();
        self.faulty = false;
    }

    /// Drops the store without closing it: its threads and locks are gone, and what it wrote is what it wrote.
    fn act(&mut self, op: Op, before: &World) -> Checked<World> {
        let store = self.store.clone().ok_or("not open")?;
        let mut after = before.clone();
        match op {
            Op::Create(topic) if !is_there(&store, topic) => {
                let created = store.create_topic(NAMES[topic], config()).map(drop);
                self.judge(&created)?;
                after.insert(NAMES[topic], Expected { may_be_gone: created.is_err(), ..Expected::default() });
            }
            Op::Delete(topic) if is_there(&store, topic) => {
                let deleted = store.delete_topic(NAMES[topic]);
                self.judge(&deleted)?;
                match (deleted, after.get_mut(NAMES[topic])) {
                    (Err(_), Some(expected)) => expected.may_be_gone = true,
                    _ => _ = after.remove(NAMES[topic]),
                }
            }
            Op::Create(_) | Op::Delete(_) | Op::Reopen => {}
            Op::Append(topic)
            | Op::AppendIn(topic, _)
            | Op::End(topic, ..)
            | Op::Sync(topic)
            | Op::Roll(topic)
            | Op::DeleteRecords(topic, _) => {
                let partition = store.topic(NAMES[topic]).and_then(|topic| topic.partition(0));
                if let (Ok(partition), Some(expected)) = (partition, after.get_mut(NAMES[topic])) {
                    self.act_on(op, &partition, expected)?;
                    let durable = usize::try_from(partition.offsets().1.durable.get()).unwrap_or(usize::MAX);
                    expected.durable = expected.durable.max(durable.min(expected.entries.len()));
                }
            }
        }
        if self.disk.has_lost_writes() {
            after.values_mut().for_each(|topic| topic.written = topic.durable);
        }
        Ok(after)
    }

    fn act_on(&mut self, op: Op, partition: &Partition, expected: &mut Expected) -> Checked {
        let answer = match op {
            Op::Append(_) => self.append(partition, expected, Entry::Plain(self.next_id)),
            Op::AppendIn(_, producer) => {
                let sequence = expected.next_sequence(producer);
                self.append(partition, expected, Entry::InTransaction { id: self.next_id, producer, sequence })
            }
            Op::End(_, producer, result) if expected.is_open(producer) => {
                self.append(partition, expected, Entry::Marker { producer, result })
            }
            Op::Sync(_) => partition.sync().map(drop),
            Op::Roll(_) => partition.roll().map(drop),
            Op::DeleteRecords(_, tenths) => {
                let to = expected.entries.len() * tenths / 10;
                let deleted = partition.delete_records(..Offset::new(to as u64)).map(drop);
                expected.start.1 = expected.start.1.max(to);
                if deleted.is_ok() {
                    expected.start.0 = expected.start.0.max(to);
                }
                deleted
            }
            _ => Ok(()),
        };
        self.judge(&answer)
    }

    fn append(&mut self, partition: &Partition, expected: &mut Expected, entry: Entry) -> Result<()> {
        self.next_id += 1;
        let appended = append(partition, entry)?;
        if appended.offsets.start().get() == expected.entries.len() as u64 {
            expected.entries.push(entry);
            expected.written = expected.entries.len();
        }
        Ok(())
    }

    /// P3, P4: an error is of a kind that says what is wrong.
    fn judge(&self, answer: &Result<()>) -> Checked {
        use ErrorKind::{Io, PreviousFailure, StorageFull, TooManyFiles};
        let Err(error) = answer else { return Ok(()) };
        let is_typed = matches!(error.kind(), Io | PreviousFailure | StorageFull | TooManyFiles);
        ensure!(self.faulty && is_typed, "{error:?}");
        Ok(())
    }

    /// P9: the last record of an open transaction is known when it comes again, a later one is out of order; and the
    /// transaction can be ended.
    fn finish_transactions(&mut self) -> Checked {
        for (number, name) in NAMES.iter().enumerate() {
            let Some(expected) = self.now().get(name).cloned() else { continue };
            let store = self.store.clone().ok_or("not open")?;
            let partition = works("find", store.topic(name).and_then(|topic| topic.partition(0)))?;
            for producer in 0..2 {
                let is_last = |entry: &&(usize, Entry)| matches!(entry.1, Entry::InTransaction { producer: by, .. } if by == producer);
                let last = expected.entries.iter().copied().enumerate().collect::<Vec<_>>();
                let Some((offset, entry)) = last.iter().rev().find(is_last).copied() else { continue };
                if !expected.is_open(producer) || offset < expected.start.1 {
                    continue;
                }
                let again = works("append again", append(&partition, entry))?;
                ensure!(again.duplicate && again.offsets.start().get() == offset as u64, "{entry:?} again: {again:?}");
                if let Entry::InTransaction { id, sequence, .. } = entry {
                    let ahead = append(&partition, Entry::InTransaction { id, producer, sequence: sequence + 5 });
                    let refused = ahead.map(drop).map_err(|error| error.kind());
                    ensure!(refused == Err(ErrorKind::OutOfOrderSequence), "a gap in the sequence: {refused:?}");
                }
                self.perform(Op::End(number, producer, TransactionResult::Commit))?;
            }
        }
        Ok(())
    }
}

fn is_there(store: &Store, topic: usize) -> bool {
    store.topic(NAMES[topic]).is_ok()
}

fn all_open(store: &Store) -> Result<()> {
    store.topics()?.iter().try_for_each(|topic| topic.partition(0).map(drop))
}

fn config() -> TopicConfig {
    TopicConfig::default().set("segment.bytes", "400").unwrap_or_default()
}

fn open(disk: &SimDisk) -> Result<Store> {
    Store::open_on(disk.root(), StoreConfig::default().clock(Arc::new(ManualClock::at(NOW))).maintenance(false))
}

fn append(partition: &Partition, entry: Entry) -> Result<Appended> {
    let mut builder = BatchBuilder::new();
    let id = match entry {
        Entry::Marker { producer, result } => {
            let marker = EndMarker {
                result,
                producer_id: ProducerId::new(producer),
                producer_epoch: ProducerEpoch::new(0),
                coordinator_epoch: 0,
                timestamp: NOW,
            };
            return partition.append_as(&marker.encode()?, AppendOrigin::Coordinator);
        }
        Entry::Plain(id) => id,
        Entry::InTransaction { id, producer, sequence } => {
            builder.producer(ProducerId::new(producer), ProducerEpoch::new(0), Sequence::new(sequence));
            builder.transactional(true);
            id
        }
    };
    let value = [id.to_be_bytes().as_slice(), &[0xa5; 30]].concat();
    builder.push(&Record::new().value(value.as_slice()).timestamp(NOW), NOW)?;
    let batch = builder.finish()?.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "no record"))?.to_vec();
    partition.append_as(&batch, AppendOrigin::Client)
}

/// Checks what a store holds, and answers what may be built on.
fn look(store: &Store, expected: &World) -> Checked<World> {
    let mut found = World::new();
    for (name, expected) in expected {
        let topic = match store.topic(name) {
            Err(error) if error.kind() == ErrorKind::UnknownTopic => {
                ensure!(expected.may_be_gone, "{name} is gone");
                continue;
            }
            topic => works("find", topic)?,
        };
        let partition = works("open the partition", topic.partition(0))?;
        let (start, end) = check_partition(&partition, expected).map_err(|wrong| format!("{name}: {wrong}"))?;
        let durable = usize::try_from(partition.offsets().1.durable.get()).unwrap_or(usize::MAX);
        let durable = expected.durable.max(durable).min(end);
        let entries = expected.entries[..end].to_vec();
        found.insert(name, Expected { entries, written: end, durable, start: (start, start), may_be_gone: false });
    }
    let topics = works("list", store.topics())?;
    ensure!(topics.len() == found.len(), "{} topics instead of {}", topics.len(), found.len());
    Ok(found)
}

/// The topics of both; what only one of them has may be gone.
fn either(one: &World, other: &World) -> World {
    let names = one.keys().chain(other.keys());
    let merge = |name: &&'static str| match (one.get(name), other.get(name)) {
        (Some(a), Some(b)) => a.or(b),
        (a, b) => Expected { may_be_gone: true, ..a.or(b).cloned().unwrap_or_default() },
    };
    names.map(|name| (*name, merge(name))).collect()
}

/// Draws operations: mostly appends to a few topics, each workload with kinds of its own.
fn draw(random: &mut Random) -> Vec<Op> {
    let mut ops = vec![Op::Create(0)];
    for _ in 0..4 + random.index(10) {
        let (topic, producer) = (random.index(4) / 3, if random.one_in(2) { 0 } else { 1 });
        let result = if random.one_in(2) { TransactionResult::Commit } else { TransactionResult::Abort };
        ops.push(match random.index(16) {
            0..=2 => Op::Append(topic),
            3..=6 => Op::AppendIn(topic, producer),
            7..=9 => Op::End(topic, producer, result),
            10 => Op::Create(1),
            11 => Op::Delete(topic),
            12 => Op::Roll(topic),
            13 => Op::DeleteRecords(topic, random.index(11)),
            14 => Op::Reopen,
            _ => Op::Sync(topic),
        });
    }
    ops
}

/// Crashes a drawn workload at each point of its history. Returns how many states were checked.
pub(super) fn crash_everywhere(seed: u64) -> Checked<u64> {
    let mut random = Random::new(seed);
    let ops = draw(&mut random);
    let mut explored = || -> Checked<u64> {
        let disk = SimDisk::new();
        disk.keep_waiting(seed);
        let mut run = Run::open(disk, World::new(), 1, false)?;
        for op in &ops {
            run.perform(*op)?;
        }
        let (mut replay, mut states) = (run.disk.history().replay(), 0);
        while replay.advance() {
            states += crash(&run, &replay, &mut random, 2)?;
        }
        Ok(states)
    };
    explored().map_err(|wrong| format!("{wrong}\nof {ops:?}"))
}

/// One drawn crash at one point; the state is opened, checked, and used.
fn crash(run: &Run, replay: &Replay, random: &mut Random, depth: u32) -> Checked<u64> {
    let mode = CrashMode::any(random);
    let state = replay.crash_state(random, mode);
    let expected: World = run.at(replay.position()).iter().map(|(name, topic)| (*name, topic.after(mode))).collect();
    let mut states = 1;
    let checked = || -> Checked {
        let mut after = Run::open(state, expected, run.next_id, false)?;
        after.finish_transactions()?;
        after.perform(Op::Append(0))?;
        after.perform(Op::Reopen)?;
        if depth > 1 && random.one_in(6) {
            let history = after.disk.history();
            for _ in 0..3 {
                let replay = history.at(random.index(history.len() + 1));
                states += crash(&after, &replay, random, depth - 1)?;
            }
        }
        Ok(())
    };
    checked()
        .map_err(|wrong| format!("{mode:?} before event {} of\n{}{wrong}", replay.position(), run.disk.history()))?;
    Ok(states)
}

/// P3, P4: in a workload of all operations each call fails once, in each way. What answered an error is of a kind that
/// says so; and what was promised is there after a kill and after a power cut. Returns how many calls there are.
pub(super) fn fail_every_call(failure: Failure) -> Checked<u64> {
    use TransactionResult::{Abort, Commit};
    let ops = [
        Op::Create(0),
        Op::Append(0),
        Op::AppendIn(0, 0),
        Op::AppendIn(0, 1),
        Op::End(0, 0, Abort),
        Op::Sync(0),
        Op::Roll(0),
        Op::Create(1),
        Op::Append(1),
        Op::AppendIn(0, 0),
        Op::End(0, 1, Commit),
        Op::Sync(0),
        Op::DeleteRecords(0, 5),
        Op::Reopen,
        Op::AppendIn(0, 0),
        Op::Delete(1),
        Op::End(0, 0, Abort),
        Op::Append(0),
        Op::Create(1),
        Op::Append(1),
        Op::Sync(1),
    ];
    for call in 0.. {
        let mut random = Random::new(call);
        let disk = SimDisk::new();
        let calls = disk.calls(None);
        disk.fail(Fault::next_of_any_kind(failure).after(call));
        let mut ran = || -> Checked<bool> {
            let mut run = Run::open(disk.clone(), World::new(), 1, true)?;
            for op in ops {
                run.perform(op)?;
            }
            let is_over = disk.calls(None) - calls <= call;
            let history = run.disk.history();
            let replay = history.at(history.len());
            run.heal();
            for _ in 0..4 {
                if !run.disk.has_lost_writes() {
                    crash(&run, &replay, &mut random, 1)?;
                }
            }
            Ok(is_over)
        };
        if ran().map_err(|wrong| format!("{failure:?} of call {call}: {wrong}"))? {
            return Ok(call);
        }
    }
    Ok(0)
}
