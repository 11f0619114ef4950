//! A store beside what it is to be: each operation is done to both.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check;
use super::op::{At, Op, setting};
use super::reference::{Reference, Seen};
use crate::clock::ManualClock;
use crate::error::{ErrorKind, Result};
use crate::log::FetchLimit;
use crate::partition::Partition;
use crate::sim::{CrashMode, PowerCut, Random, SimDisk};
use crate::store::{Store, StoreConfig, TopicConfig};
use crate::sync::Arc;
use crate::tests::crash::check::{Checked, ensure, works};
use crate::types::{Isolation, Offset, ReadUpTo, Timestamp};

const NAMES: [&str; 2] = ["orders", "bills"];

/// A topic as it is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Topic {
    pub(super) config: TopicConfig,
    pub(super) partitions: Vec<Reference>,
}

/// A store under way.
pub(super) struct Run {
    disk: SimDisk,
    pub(super) clock: ManualClock,
    store: Store,
    pub(super) topics: BTreeMap<usize, Topic>,
    /// What each partition showed last, since the store was opened.
    seen: BTreeMap<(usize, usize), Seen>,
    pub(super) next_id: u64,
    /// The disk may be full.
    pub(super) full: bool,
}

fn config(clock: &ManualClock) -> StoreConfig {
    StoreConfig::default().clock(Arc::new(clock.clone())).threadless()
}

impl Run {
    pub(super) fn new() -> Checked<Self> {
        let (disk, clock) = (SimDisk::new(), ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        let store = works("open", Store::open_on(disk.root(), config(&clock)))?;
        Ok(Self { disk, clock, store, topics: BTreeMap::new(), seen: BTreeMap::new(), next_id: 0, full: false })
    }

    /// Does one operation, and checks what is cheap to check.
    pub(super) fn perform(&mut self, op: &Op) -> Checked {
        let goes_on =
            matches!(op, Op::Append { .. } | Op::Produce { .. } | Op::End { .. } | Op::Roll(_) | Op::Create { .. });
        if self.full && !goes_on {
            self.free();
        }
        match op {
            Op::Create { topic, partitions, settings } => self.create(*topic, *partitions, settings)?,
            Op::Delete(topic) => self.delete(*topic)?,
            Op::Alter { topic, setting } => self.alter(*topic, *setting)?,
            Op::Grow(topic) => self.grow(*topic)?,
            Op::Wait(millis) => {
                self.clock.advance(Duration::from_millis((*millis).into()));
                self.store.run_background();
            }
            Op::Fill(left) => {
                self.disk.set_capacity(Some(self.disk.used() + u64::from(*left)));
                self.full = true;
            }
            Op::Free => self.free(),
            Op::Reopen => self.reopen()?,
            Op::Kill => self.crash(CrashMode::Kill, &mut Random::new(0))?,
            Op::PowerCut(seed) => {
                let mut random = Random::new(*seed);
                let cut = PowerCut::any(&mut random);
                self.crash(CrashMode::PowerCut(cut), &mut random)?;
            }
            Op::Look => self.look()?,
            Op::Append { at, .. }
            | Op::Produce { at, .. }
            | Op::End { at, .. }
            | Op::Fetch { at, .. }
            | Op::ByTime { at, .. }
            | Op::DeleteRecords { at, .. }
            | Op::Truncate { at, .. }
            | Op::Roll(at)
            | Op::Sync(at)
            | Op::WaitDurable { at, .. } => self.perform_at(op, *at)?,
        }
        Ok(())
    }

    fn free(&mut self) {
        self.disk.set_capacity(None);
        self.full = false;
    }

    /// Whether the answer is that the disk is full, as it may be. Any other error must not be.
    fn is_full<T>(&self, what: &str, answer: Result<T>) -> Checked<Option<T>> {
        match answer {
            Err(error) if self.full && error.kind() == ErrorKind::StorageFull => Ok(None),
            answer => works(what, answer).map(Some),
        }
    }

    fn create(&mut self, topic: usize, partitions: u32, settings: &[(usize, usize)]) -> Checked {
        let set = |config: TopicConfig, drawn: &(usize, usize)| {
            let (name, value) = setting(*drawn);
            config.set(name, value)
        };
        let config = works("set", settings.iter().try_fold(TopicConfig::default().partitions(partitions), set))?;
        let created = self.store.create_topic(NAMES[topic], config.clone());
        if self.topics.contains_key(&topic) {
            let kind = created.map(drop).map_err(|error| error.kind());
            ensure!(kind == Err(ErrorKind::TopicExists), "created twice: {kind:?}");
            return Ok(());
        }
        if self.is_full("create", created)?.is_some() {
            let partitions = (0..partitions).map(|_| Reference::default()).collect();
            self.topics.insert(topic, Topic { config, partitions });
        }
        self.list()
    }

    fn delete(&mut self, topic: usize) -> Checked {
        let deleted = self.store.topic(NAMES[topic]).and_then(|topic| topic.partition(0));
        let answer = self.store.delete_topic(NAMES[topic]);
        match self.topics.remove(&topic) {
            Some(_) => works("delete", answer)?,
            None => {
                let kind = answer.map_err(|error| error.kind());
                ensure!(kind == Err(ErrorKind::UnknownTopic), "deleted what is not there: {kind:?}");
                return Ok(());
            }
        }
        self.seen.retain(|(of, _), _| *of != topic);
        let answer = works("find", deleted)?.fetch(Offset::ZERO, FetchLimit::bytes(1)).map_err(|error| error.kind());
        ensure!(answer.as_ref().is_err_and(|kind| *kind == ErrorKind::UnknownTopic), "an old handle: {answer:?}");
        self.list()
    }

    fn alter(&mut self, topic: usize, drawn: (usize, usize)) -> Checked {
        let (name, value) = setting(drawn);
        let Some(known) = self.topics.get_mut(&topic).filter(|_| name != "high.watermark") else { return Ok(()) };
        works("alter", self.store.topic(NAMES[topic]).and_then(|topic| topic.alter([(name, value)])))?;
        known.config = works("set", known.config.clone().set(name, value))?;
        Ok(())
    }

    fn grow(&mut self, topic: usize) -> Checked {
        let Some(known) = self.topics.get_mut(&topic).filter(|known| known.partitions.len() < 4) else { return Ok(()) };
        known.partitions.push(Reference::default());
        let partitions = u32::try_from(known.partitions.len()).unwrap_or(1);
        works("grow", self.store.topic(NAMES[topic]).and_then(|topic| topic.grow(partitions)))?;
        self.list()
    }

    /// The topics, their partitions and settings are those that they are to be.
    fn list(&self) -> Checked {
        let topics = works("list", self.store.topics())?;
        ensure!(topics.len() == self.topics.len(), "{topics:?} are there");
        for (number, known) in &self.topics {
            let topic = works("find", self.store.topic(NAMES[*number]))?;
            let count = topic.partition_count() as usize;
            ensure!(count == known.partitions.len(), "{count} partitions of {}", topic.name());
            ensure!(topic.config() == *known.config.log(), "{:?} of {}", topic.config().non_default(), topic.name());
        }
        Ok(())
    }

    fn reopen(&mut self) -> Checked {
        works("close", self.store.clone().close())?;
        for reference in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            reference.durable = reference.end;
        }
        self.open()?;
        ensure!(self.store.recovery().is_empty(), "behind a clean close: {:?}", self.store.recovery());
        Ok(())
    }

    /// P1, P2, I1, I2, I8.
    fn crash(&mut self, mode: CrashMode, random: &mut Random) -> Checked {
        self.disk = self.disk.crash_state(random, mode);
        self.open_after(mode)?;
        let again = self.disk.crash_state(random, CrashMode::Kill);
        let again = works("open again", Store::open_on(again.root(), config(&self.clock)))?;
        for (topic, number, partition) in self.partitions()? {
            let other = works("find", again.topic(NAMES[topic]).and_then(|found| found.partition(number)))?;
            let ends = |partition: &Partition| (partition.offsets().0, partition.offsets().1.end);
            ensure!(ends(&other) == ends(&partition), "opened twice: {:?}", ends(&other));
        }
        Ok(())
    }

    fn open(&mut self) -> Checked {
        self.open_after(CrashMode::Kill)
    }

    /// Opens what is on the disk, of which a power cut may have taken what was not durable.
    fn open_after(&mut self, mode: CrashMode) -> Checked {
        self.disk.forget_history();
        self.store = works("open", Store::open_on(self.disk.root(), config(&self.clock)))?;
        self.seen.clear();
        self.list()?;
        for (topic, number, partition) in self.partitions()? {
            let damage = &partition.recovery().damage;
            ensure!(damage.is_empty(), "no bit has rotted: {damage:?}");
            let end = partition.offsets().1.end.get();
            let reference = self.reference(topic, number)?;
            if mode != CrashMode::Kill && end < reference.end {
                ensure!(end >= reference.durable, "{end} is the end, and {} was durable", reference.durable);
                ensure!(reference.may_end_at(end), "ends at {end}, in the middle of a batch");
                reference.cut(end);
            }
            reference.replayed = end;
        }
        self.check_all()
    }

    /// I8, I18: who opens read-only beside the writer sees what is written and writes nothing; no second writer gets in.
    fn look(&mut self) -> Checked {
        let second = Store::open_on(self.disk.root(), config(&self.clock)).map(drop).map_err(|error| error.kind());
        ensure!(second == Err(ErrorKind::AlreadyOpen), "opened for writing twice: {second:?}");
        let position = self.disk.position();
        let beside = works("open read-only", Store::open_read_only_on(self.disk.root(), config(&self.clock)))?;
        for (number, known) in &self.topics {
            for (partition, reference) in (0..).zip(&known.partitions) {
                let found = beside.topic(NAMES[*number]).and_then(|topic| topic.partition(partition));
                let found = match found {
                    // One that was never written may not be there yet for who does not write.
                    Err(error) if error.kind() == ErrorKind::NotFound && reference.end == 0 => continue,
                    found => works("find", found)?,
                };
                let (start, marks) = found.offsets();
                let ends = (start.get(), marks.end.get());
                ensure!(ends == (reference.start, reference.end), "read-only sees {ends:?} of {reference:?}");
                let limit = FetchLimit::bytes(500).up_to(ReadUpTo::Written);
                let mut next = reference.start;
                while next < reference.end {
                    let at = (next, reference.end);
                    next = check::fetch(&found, reference, at, limit, Isolation::ReadUncommitted)
                        .map_err(|wrong| format!("read-only: {wrong}"))?;
                }
            }
        }
        drop(beside);
        ensure!(self.disk.position() == position, "a read-only opening wrote something");
        Ok(())
    }

    fn partitions(&self) -> Checked<Vec<(usize, u32, Partition)>> {
        let mut all = Vec::new();
        for (topic, known) in &self.topics {
            for number in (0..).take(known.partitions.len()) {
                let found = self.store.topic(NAMES[*topic]).and_then(|topic| topic.partition(number));
                all.push((*topic, number, works("find", found)?));
            }
        }
        Ok(all)
    }

    pub(super) fn reference(&mut self, topic: usize, number: u32) -> Checked<&mut Reference> {
        let known = self.topics.get_mut(&topic).and_then(|topic| topic.partitions.get_mut(number as usize));
        known.ok_or_else(|| "no such partition".to_owned())
    }

    /// Everything, of all partitions.
    pub(super) fn check_all(&mut self) -> Checked {
        for (topic, number, partition) in self.partitions()? {
            let seen = self.check_marks(topic, number, &partition)?;
            check::contents(&partition, self.reference(topic, number)?, &seen)
                .map_err(|wrong| format!("{}-{number}: {wrong}", NAMES[topic]))?;
        }
        Ok(())
    }

    /// I7: where the marks are, and that none went back while the store was open.
    fn check_marks(&mut self, topic: usize, number: u32, partition: &Partition) -> Checked<Seen> {
        let reference = self.reference(topic, number)?;
        let seen = check::marks(partition, reference).map_err(|wrong| format!("{}-{number}: {wrong}", NAMES[topic]))?;
        reference.durable = seen.durable;
        if let Some(before) = self.seen.insert((topic, number as usize), seen) {
            let back = seen.start < before.start
                || seen.stable < before.stable
                || seen.high < before.high
                || seen.durable < before.durable
                || seen.end < before.end;
            ensure!(!back, "from {before:?} back to {seen:?}");
        }
        Ok(seen)
    }

    fn perform_at(&mut self, op: &Op, at: At) -> Checked {
        let Some(known) = self.topics.get(&at.topic) else { return Ok(()) };
        let number = at.partition % u32::try_from(known.partitions.len()).unwrap_or(1);
        let found = self.store.topic(NAMES[at.topic]).and_then(|topic| topic.partition(number));
        let partition = works("find", found)?;
        let seen = self.check_marks(at.topic, number, &partition)?;
        let place = |sixteenths: usize| seen.start + (seen.end - seen.start) * sixteenths as u64 / 16;
        let mut thorough = false;
        match op {
            Op::Append { batch, .. } => self.append(&partition, (at.topic, number), *batch, None)?,
            Op::Produce { batch, producer, transactional, how, .. } => {
                let (batch, by) = self.draw_by((at.topic, number), *batch, (*producer, *transactional), *how)?;
                self.append(&partition, (at.topic, number), batch, Some(by))?;
            }
            Op::End { producer, commit, how, .. } => {
                self.end(&partition, (at.topic, number), (*producer, *commit), *how)?;
            }
            Op::Fetch { from, bytes, mark, committed, .. } => {
                let up_to = check::MARKS[*mark];
                let isolation = if *committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
                let limit = FetchLimit::bytes(*bytes).up_to(up_to).isolation(isolation);
                let (from, mark) = (place(*from), seen.limit(up_to, isolation));
                if from < mark {
                    check::fetch(&partition, self.reference(at.topic, number)?, (from, mark), limit, isolation)?;
                }
            }
            Op::ByTime { from, mark, .. } => {
                let reference = self.reference(at.topic, number)?;
                let target = reference.times(seen.end).nth(*from).map_or(1, |(_, time)| time + 1);
                check::by_time(&partition, reference, &seen, check::MARKS[*mark], target)?;
            }
            Op::DeleteRecords { to, .. } => {
                let reference = self.reference(at.topic, number)?;
                // Of a transaction whose start is deleted the log need not know that it is open.
                let to = place(*to).min(seen.high).min(reference.first_open().unwrap_or(u64::MAX)).max(seen.start);
                works("delete records", partition.delete_records(..Offset::new(to)))?;
                reference.start = to;
                thorough = true;
            }
            Op::Truncate { to, .. } => {
                self.truncate(&partition, (at.topic, number), place(*to))?;
                thorough = true;
            }
            Op::Roll(_) => {
                let rolled = self.is_full("roll", partition.roll())?;
                ensure!(rolled.is_none_or(|base| base.get() == seen.end), "rolled at {rolled:?}");
            }
            Op::Sync(_) => {
                let durable = works("sync", partition.sync())?.get();
                ensure!(durable == seen.end, "synced up to {durable} of {}", seen.end);
                self.reference(at.topic, number)?.durable = durable;
            }
            Op::WaitDurable { to, .. } => {
                works("wait", partition.wait_durable(Offset::new(place(*to))))?;
                self.reference(at.topic, number)?.durable = seen.durable.max(place(*to));
            }
            _ => {}
        }
        let seen = self.check_marks(at.topic, number, &partition)?;
        if thorough {
            check::contents(&partition, self.reference(at.topic, number)?, &seen)?;
        }
        Ok(())
    }

    fn truncate(&mut self, partition: &Partition, (topic, number): (usize, u32), to: u64) -> Checked {
        let reference = self.reference(topic, number)?;
        let cut = reference.batch_start(to).max(reference.start);
        // Whether the log then knows that a transaction is open again whose start is deleted is not said.
        if reference.reopens_deleted(cut) {
            return Ok(());
        }
        let found = works("truncate", partition.truncate(Offset::new(to)))?.get();
        ensure!(found == cut, "cut at {found} instead of {cut}");
        reference.cut(cut);
        self.seen.remove(&(topic, number as usize));
        Ok(())
    }
}
