//! Compacted logs under way, crashed at each point: keys with values and tombstones, transactions that end either way.
//!
//! What is read as a table must be the same before and after: no value is lost, and none comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Checked, ensure, works};
use super::host::{Host, Setting};
use super::table::{Entry, Expect};
use crate::clock::{Clock as _, ManualClock};
use crate::compaction::{Cleaner, CleanerConfig};
use crate::error::{ErrorKind, Result};
use crate::log::{AppendOrigin, FetchLimit, Log, LogConfig};
use crate::record::{BatchBuilder, DecompressionLimits, EndMarker, Record, RecordBatch, TransactionResult};
use crate::sim::{CrashMode, Failure, Fault, Random, Replay, SimDisk};
use crate::sync::Arc;
use crate::types::{Offset, ProducerEpoch, ProducerId, ReadUpTo, Sequence, Timestamp};

const KEYS: u64 = 5;

/// A log on a disk whose history is kept.
struct Run {
    disk: SimDisk,
    setting: Setting,
    cleaner: Cleaner,
    host: Option<Host>,
    /// From which event to which each operation went, and what held after it.
    steps: Vec<(usize, usize, Expect)>,
    start: Expect,
    next_value: u64,
    faulty: bool,
    /// Whether its tail is cut now and then.
    cuts: bool,
}

/// All that a log holds.
fn read(log: &Log) -> Checked<(BTreeMap<usize, Entry>, usize)> {
    let (mut found, mut next) = (BTreeMap::new(), log.log_start());
    let end = log.end(ReadUpTo::Written);
    let mut behind = Offset::ZERO;
    loop {
        let fetched = works("read", log.read(next, FetchLimit::bytes(300).up_to(ReadUpTo::Written)))?;
        if fetched.is_empty() {
            return Ok((found, usize::try_from(end.get()).unwrap_or(usize::MAX)));
        }
        for batch in fetched.batches() {
            works("check", batch.check())?;
            ensure!(batch.base_offset() >= behind, "{} behind {behind}", batch.base_offset());
            behind = batch.next_offset();
            let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
            for record in payload.records().filter(|_| !batch.attributes().is_control()) {
                let record = works("decode", record)?;
                let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or(u64::MAX);
                let producer = Some(batch.header().producer_id.get()).filter(|id| *id >= 0);
                let key = record.key().map(number).ok_or("no key")?;
                let entry = Entry::Record { key, value: record.value().map(number), producer };
                found.insert(usize::try_from(record.offset().get()).unwrap_or(usize::MAX), entry);
            }
        }
        next = fetched.next_offset;
    }
}

impl Run {
    fn open(disk: SimDisk, setting: Setting, keys: usize, start: Expect, next_value: u64) -> Checked<Self> {
        let cleaner = Cleaner::new(CleanerConfig { dedupe_bytes: keys * 27 + 100, bytes_per_second: None });
        let mut run = Self {
            disk,
            setting,
            cleaner,
            host: None,
            steps: Vec::new(),
            start,
            next_value,
            faulty: false,
            cuts: false,
        };
        let begin = run.disk.position();
        let found = run.reopen(&run.start.clone())?;
        run.steps.push((begin, run.disk.position(), found));
        Ok(run)
    }

    fn now(&self) -> &Expect {
        self.steps.last().map_or(&self.start, |(_, _, after)| after)
    }

    fn at(&self, point: usize) -> Expect {
        let done = self.steps.partition_point(|(_, end, _)| *end <= point);
        let before = done.checked_sub(1).map_or(&self.start, |last| &self.steps[last].2);
        match self.steps.get(done) {
            Some((begin, _, after)) if *begin <= point => before.or(after),
            _ => before.clone(),
        }
    }

    /// Opens the log, and checks what is found.
    fn reopen(&mut self, expect: &Expect) -> Checked<Expect> {
        let opened = match Host::open(&self.disk, &self.setting) {
            Err(_) if self.faulty => {
                self.disk.heal();
                self.faulty = false;
                Host::open(&self.disk, &self.setting)
            }
            opened => opened,
        };
        let host = works("open", opened)?;
        self.disk.pause_faults(true);
        let damage = &host.log.recovery().damage;
        ensure!(damage.is_empty(), "no bit has rotted: {damage:?}");
        let (found, end) = read(&host.log)?;
        ensure!(end >= expect.written, "ends at {end}, but {} were promised", expect.written);
        ensure!(end <= expect.entries.len(), "ends at {end}, but only {} were appended", expect.entries.len());
        expect.check(&found, end)?;
        let names: Vec<String> = works("list", host.directory().and_then(|directory| directory.list()))?
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        let is_left = |name: &&String| name.ends_with(".cleaned") || name.ends_with(".swap");
        ensure!(!names.iter().any(|name| is_left(&name)), "an opening left {names:?}");
        self.disk.pause_faults(false);
        let durable = usize::try_from(host.log.end(ReadUpTo::Durable).get()).unwrap_or(0);
        self.host = Some(host);
        Ok(Expect {
            entries: expect.entries[..end].to_vec(),
            written: end,
            durable: durable.max(expect.durable.min(end)),
            ..expect.clone()
        })
    }

    fn step(&mut self, act: impl FnOnce(&mut Self, &Expect) -> Checked<Expect>) -> Checked {
        let (begin, before) = (self.disk.position(), self.now().clone());
        let mut after = act(self, &before)?;
        if self.disk.has_lost_writes() {
            after.written = after.durable;
        }
        if let Some(host) = &self.host {
            self.disk.pause_faults(true);
            let (found, end) = read(&host.log)?;
            ensure!(end == after.entries.len(), "the log ends at {end}, not at {}", after.entries.len());
            after.check(&found, end)?;
            let durable = usize::try_from(host.log.end(ReadUpTo::Durable).get()).unwrap_or(0);
            after.durable = after.durable.max(durable.min(end));
            self.disk.pause_faults(false);
        }
        self.steps.push((begin, self.disk.position(), after));
        Ok(())
    }

    fn judge(&self, answer: Result<()>) -> Checked {
        use ErrorKind::{Io, PreviousFailure, StorageFull, TooManyFiles};
        let Err(error) = answer else { return Ok(()) };
        let is_typed = matches!(error.kind(), Io | PreviousFailure | StorageFull | TooManyFiles);
        ensure!(self.faulty && is_typed, "{error:?}");
        Ok(())
    }

    fn log(&self) -> Checked<&Log> {
        Ok(&self.host.as_ref().ok_or("not open")?.log)
    }

    fn append(&mut self, entries: &[Entry], batch: &[u8], origin: AppendOrigin) -> Checked {
        self.step(|run, before| {
            let batch = works("parse", RecordBatch::parse(batch))?;
            let appended = run.log()?.append(&batch, origin);
            let mut after = before.clone();
            if appended.is_ok() {
                after.entries.extend_from_slice(entries);
                after.written = after.entries.len();
            }
            run.judge(appended.map(drop))?;
            Ok(after)
        })
    }

    fn put(&mut self, random: &mut Random) -> Checked {
        // Of producers whose batches were cut compaction may have removed those before.
        let is_cut = !self.now().void.is_empty();
        let producer = Some(random.below(3).cast_signed()).filter(|id| *id > 0 && !is_cut);
        let mut builder = BatchBuilder::new();
        if let Some(id) = producer {
            let of = |entry: &&Entry| matches!(entry, Entry::Record { producer: Some(by), .. } if *by == id);
            let sequence = i32::try_from(self.now().entries.iter().filter(of).count()).unwrap_or(0);
            builder.producer(ProducerId::new(id), ProducerEpoch::new(0), Sequence::new(sequence)).transactional(true);
        }
        let mut entries = Vec::new();
        for _ in 0..=random.index(2) {
            let (key, value) = (random.below(KEYS), (!random.one_in(3)).then_some(self.next_value));
            self.next_value += 1;
            let bytes = value.map(u64::to_be_bytes);
            let record = Record::new().key(key.to_be_bytes().to_vec()).value(bytes.map(|bytes| bytes.to_vec()));
            works("build", builder.push(&record, self.setting.clock.now()))?;
            entries.push(Entry::Record { key, value, producer });
        }
        let batch = works("build", builder.finish())?.unwrap_or_default().to_vec();
        self.append(&entries, &batch, AppendOrigin::Client)
    }

    fn end(&mut self, producer: i64, result: TransactionResult) -> Checked {
        let of = |entry: &Entry| match entry {
            Entry::Record { producer: Some(by), .. } if *by == producer => Some(true),
            Entry::Marker { producer: by, .. } if *by == producer => Some(false),
            _ => None,
        };
        if !self.now().void.is_empty() || self.now().entries.iter().rev().find_map(of) != Some(true) {
            return Ok(());
        }
        let marker = EndMarker {
            result,
            producer_id: ProducerId::new(producer),
            producer_epoch: ProducerEpoch::new(0),
            coordinator_epoch: 0,
            timestamp: self.setting.clock.now(),
        };
        let batch = works("build", marker.encode())?;
        self.append(&[Entry::Marker { producer, result }], &batch, AppendOrigin::Coordinator)
    }

    fn truncate(&mut self, random: &mut Random) -> Checked {
        let to = random.index(self.now().entries.len() + 1);
        self.step(|run, before| {
            let cut = run.log()?.truncate(Offset::new(to as u64));
            let after = match &cut {
                Ok(end) => before.cut(usize::try_from(end.get()).unwrap_or(0)),
                // It stopped somewhere between, and nothing is written until the log is opened again.
                Err(_) => before.cutting(to.saturating_sub(2)),
            };
            run.judge(cut.map(drop))?;
            Ok(after)
        })
    }

    fn compact(&mut self) -> Checked {
        self.step(|run, before| {
            let compacted = run.cleaner.clean(run.log()?).map(drop);
            run.judge(compacted)?;
            Ok(before.clone())
        })
    }

    fn perform(&mut self, random: &mut Random) -> Checked {
        match random.index(13) {
            0..=4 => self.put(random),
            5 => self.end(1, TransactionResult::Commit),
            6 => self.end(2, TransactionResult::Abort),
            7 | 8 => self.step(|run, before| {
                run.judge(run.log()?.roll().map(drop))?;
                Ok(before.clone())
            }),
            12 if self.cuts => self.truncate(random),
            9 => {
                self.setting.clock.advance(Duration::from_millis(600));
                Ok(())
            }
            10 if random.one_in(3) => {
                self.step(|run, before| {
                    let host = run.host.take().ok_or("not open")?;
                    let closed = host.close();
                    let durable = if closed.is_ok() { before.entries.len() } else { before.durable };
                    run.judge(closed)?;
                    Ok(Expect { durable, ..before.clone() })
                })?;
                self.step(Self::reopen)
            }
            _ => self.compact(),
        }
    }
}

/// One seed's workload, and the states that were checked.
pub(super) struct Explorer {
    random: Random,
    config: LogConfig,
    keys: usize,
    cuts: bool,
    pub(super) states: u64,
}

impl Explorer {
    pub(super) fn new(seed: u64) -> Checked<Self> {
        let mut random = Random::new(seed);
        let bytes = random.pick(&["200", "400", "2000"]).copied().unwrap_or("400");
        let settings = [
            ("cleanup.policy", "compact"),
            ("segment.bytes", bytes),
            ("index.interval.bytes", "1"),
            ("delete.retention.ms", "1000"),
        ];
        let config = works("configure", LogConfig::from_pairs(settings))?;
        let keys = random.pick(&[2, 100]).copied().unwrap_or(100);
        let cuts = random.one_in(2);
        Ok(Self { random, config, keys, cuts, states: 0 })
    }

    fn setting(&self, clock: Timestamp) -> Setting {
        Setting { config: Arc::new(self.config.clone()), clock: ManualClock::at(clock) }
    }

    fn run(&mut self, ops: usize, mut before_each: impl FnMut(&mut Run, usize)) -> Checked<Run> {
        let setting = self.setting(Timestamp::from_millis(1_700_000_000_000));
        let mut run = Run::open(SimDisk::new(), setting, self.keys, Expect::default(), 0)?;
        run.cuts = self.cuts;
        for op in 0..ops {
            before_each(&mut run, op);
            run.perform(&mut self.random)?;
        }
        Ok(run)
    }

    /// Crashes a workload at each point of its history, so many times.
    pub(super) fn crash_everywhere(&mut self, draws: usize) -> Checked {
        let run = self.run(25, |_, _| {})?;
        let mut replay = run.disk.history().replay();
        loop {
            for _ in 0..draws {
                self.crash(&run, &replay)?;
            }
            if !replay.advance() {
                return Ok(());
            }
        }
    }

    /// All states, up to so many a point, that a power cut may leave of one compaction.
    pub(super) fn exhaust_a_compaction(&mut self, most: usize) -> Checked {
        let mut run = self.run(14, |_, _| {})?;
        run.step(|run, before| {
            works("roll", run.log()?.roll())?;
            Ok(before.clone())
        })?;
        let begin = run.disk.position();
        run.compact()?;
        let mut replay = run.disk.history().at(begin);
        loop {
            let expect = run.at(replay.position());
            let cut = Expect { written: expect.durable, ..expect };
            for state in replay.exhaustive_states(most) {
                self.check(&run, state, &cut).map_err(|wrong| {
                    format!("a state of event {}: {wrong}\n{}", replay.position(), run.disk.history())
                })?;
            }
            if !replay.advance() {
                return Ok(());
            }
        }
    }

    fn crash(&mut self, run: &Run, replay: &Replay) -> Checked {
        let mode = CrashMode::any(&mut self.random);
        let state = replay.crash_state(&mut self.random, mode);
        let mut expect = run.at(replay.position());
        if mode != CrashMode::Kill {
            expect.written = expect.durable;
        }
        self.check(run, state, &expect)
            .map_err(|wrong| format!("{mode:?} before event {} of\n{}{wrong}", replay.position(), run.disk.history()))
    }

    /// Opens a state, compacts it, and goes on.
    fn check(&mut self, run: &Run, state: SimDisk, expect: &Expect) -> Checked {
        self.states += 1;
        let setting = self.setting(run.setting.clock.now());
        let mut again = Run::open(state, setting, self.keys, expect.clone(), run.next_value)?;
        if again.disk.has_lost_writes() {
            return Ok(());
        }
        let at = |what: &'static str| move |wrong: String| format!("{what}: {wrong}");
        again.compact().map_err(at("compacting"))?;
        again.put(&mut self.random).map_err(at("appending"))?;
        let rolled = again.step(|run, before| {
            works("roll", run.log()?.roll())?;
            Ok(before.clone())
        });
        rolled.map_err(at("rolling"))?;
        again.setting.clock.advance(Duration::from_millis(700));
        again.compact().map_err(at("compacting again"))?;
        let now = again.now().clone();
        again.host.take().ok_or("not open")?.log.shut();
        again.reopen(&now).map(drop).map_err(at("reopening"))
    }

    /// Lets the n-th call from each operation on fail.
    pub(super) fn fail_calls(&mut self, failure: Failure) -> Checked {
        let mut random = Random::new(self.random.bits());
        let run = self.run(30, |run, _| {
            if random.one_in(2) {
                run.faulty = true;
                run.disk.fail(Fault::next_of_any_kind(failure).after(random.below(25)));
            }
        });
        let mut run = run?;
        self.states += 1;
        let now = run.now().clone();
        if let Some(host) = run.host.take() {
            host.log.shut();
        }
        run.disk.heal();
        run.reopen(&now).map(drop)
    }
}
