//! Crashes a workload at each point of its history, and asks of each state whether the promises are kept.

use super::check::{Checked, ensure, opened, right_or_corrupt, works};
use super::expect::Expect;
use super::generate::Plan;
use super::host::{Host, Setting};
use super::workload::{Op, Run};
use crate::clock::ManualClock;
use crate::log::LogConfig;
use crate::sim::{CrashMode, Left, PowerCut, Random, Replay, SimDisk};
use crate::sync::Arc;
use crate::types::Timestamp;

/// How many crashes may follow one another: each but the first hits a recovery.
const DEPTH: u32 = 3;

/// One seed's workload, and the states that were checked.
pub(super) struct Explorer {
    random: Random,
    setting: Setting,
    /// How many states were checked.
    pub(super) states: u64,
}

impl Explorer {
    pub(super) fn new(seed: u64, config: LogConfig) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
        Self { random: Random::new(seed), setting: Setting { config: Arc::new(config), clock }, states: 0 }
    }

    /// Draws a workload and crashes it at each point, so many times.
    pub(super) fn random_workload(seed: u64, draws: usize) -> Checked<u64> {
        let mut random = Random::new(seed);
        let plan = Plan::of(&mut random);
        let mut explorer = Self::new(random.bits(), plan.config);
        let explored = explorer.run(&plan.ops).and_then(|run| explorer.every_point(&run, draws));
        explored.map_err(|wrong| format!("{wrong}\nof {:?}\nwith {:?}", plan.ops, explorer.setting.config))?;
        Ok(explorer.states)
    }

    /// Does `ops` on an empty disk.
    pub(super) fn run(&self, ops: &[Op]) -> Checked<Run> {
        let mut run = Run::open(SimDisk::new(), self.setting.clone(), Expect::default(), 0)?;
        for op in ops {
            run.perform(*op)?;
            // Names whose sync failed are shown, and will never be durable.
            if *op == Op::Reopen && run.disk.has_lost_writes() {
                break;
            }
        }
        Ok(run)
    }

    fn every_point(&mut self, run: &Run, draws: usize) -> Checked {
        let mut replay = run.disk.history().replay();
        loop {
            for _ in 0..draws {
                self.crash(run, &replay, DEPTH)?;
            }
            if !replay.advance() {
                return Ok(());
            }
        }
    }

    /// All states that power cuts may leave while the last operation of `run` is under way or just done; of points with
    /// more than `most` of them so many drawn ones.
    pub(super) fn exhaust_last(&mut self, run: &Run, most: usize) -> Checked {
        let story = run.story();
        let mut replay = run.disk.history().at(run.last_begin());
        loop {
            let expect = story.at(replay.position());
            let cut = expect.after_power_cut();
            let mut states = replay.exhaustive_states(most);
            for state in states.by_ref() {
                self.check(state, &cut, run.next_id(), 1)
                    .map_err(|wrong| format!("a state of event {}: {wrong}", replay.position()))?;
            }
            let drawn = if states.is_complete() { 2 } else { most };
            for _ in 0..drawn {
                self.crash(run, &replay, 2)?;
            }
            if !replay.advance() {
                return Ok(());
            }
        }
    }

    /// One drawn crash at one point.
    fn crash(&mut self, run: &Run, replay: &Replay, depth: u32) -> Checked {
        let mode = CrashMode::any(&mut self.random);
        let state = replay.crash_state(&mut self.random, mode);
        let expect = run.story().at(replay.position()).after(mode);
        self.check(state, &expect, run.next_id(), depth)
            .map_err(|wrong| format!("{mode:?} before event {} of\n{}{wrong}", replay.position(), run.disk.history()))
    }

    /// Crashes a drawn workload on a disk without powersafe overwrite, where durable bytes may turn to garbage. They may
    /// be lost; but what is answered is right or a typed error, from the log and from its files.
    pub(super) fn garbled_workload(seed: u64) -> Checked<u64> {
        let mut random = Random::new(seed);
        let plan = Plan::of(&mut random);
        let mut explorer = Self::new(random.bits(), plan.config);
        let run = explorer.run(&plan.ops)?;
        let history = run.disk.history();
        for _ in 0..100 {
            let replay = history.at(random.index(history.len() + 1));
            let state = replay.crash_state(&mut random, CrashMode::PowerCut(PowerCut::leaving(Left::Garbage)));
            explorer.states += 1;
            let host = works("open", Host::open(&state, &explorer.setting))?;
            right_or_corrupt(&host.log, &run.story().at(replay.position()).records)?;
        }
        Ok(explorer.states)
    }

    /// Opens a state, appends, closes, opens again, appends; and crashes while that goes on.
    fn check(&mut self, state: SimDisk, expect: &Expect, next_id: u64, depth: u32) -> Checked {
        self.states += 1;
        // What could not be written may go at any time: nothing that is done to such a disk can be promised.
        let is_sound = !state.has_lost_writes();
        if self.random.one_in(4) {
            self.look(&state, expect)?;
        }
        let mut run = Run::open(state, self.setting.clone(), expect.clone(), next_id)?;
        if is_sound && self.random.one_in(8) {
            self.recover_again(&run)?;
        }
        run.perform(Op::Append { records: 2, bytes: 10 })?;
        if self.random.one_in(2) {
            run.perform(Op::Sync)?;
        }
        run.perform(Op::Reopen)?;
        run.perform(Op::Append { records: 1, bytes: 100 })?;
        if is_sound && depth > 1 && self.random.one_in(4) {
            self.some_points(&run, 3, depth - 1)?;
        }
        Ok(())
    }

    fn some_points(&mut self, run: &Run, points: usize, depth: u32) -> Checked {
        let history = run.disk.history();
        for _ in 0..points {
            let replay = history.at(self.random.index(history.len() + 1));
            self.crash(run, &replay, depth)?;
        }
        Ok(())
    }

    /// I8: opening read-only finds what may be found, and writes nothing.
    fn look(&self, state: &SimDisk, expect: &Expect) -> Checked {
        let Some(log) = works("open read-only", Host::open_read_only(state, &self.setting))? else {
            ensure!(expect.written == 0, "there is no log");
            return Ok(());
        };
        opened(&log, expect).map_err(|wrong| format!("read-only: {wrong}"))?;
        ensure!(state.position() == 0, "opening read-only wrote something");
        Ok(())
    }

    /// I8: who recovers again finds the same, and cuts nothing.
    fn recover_again(&mut self, run: &Run) -> Checked {
        let killed = run.disk.crash_state(&mut self.random, CrashMode::Kill);
        let again = works("recover again", Host::open(&killed, &self.setting))?;
        let (log, before) = (&again.log, &run.host()?.log);
        let ends = |log: &crate::log::Log| (log.log_start(), log.end(crate::types::ReadUpTo::Written));
        ensure!(ends(log) == ends(before), "recovering again finds {:?}, not {:?}", ends(log), ends(before));
        // What a cut left in its segment's file stays there until a close, and is found again.
        let cut = log.recovery().cut_bytes;
        ensure!(cut == 0 || run.has_cut_segments(), "recovering again cuts {cut} bytes");
        Ok(())
    }
}
