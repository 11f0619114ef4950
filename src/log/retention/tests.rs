//! Table tests of each rule, and drawn logs against three passes written down as Kafka has them.

use super::RetentionReason::{Age, LogStart, Size};
use super::*;
use crate::io::sim::Random;

const NOW: i64 = 100_000;

/// A log of segments of ten offsets each: bytes and time of the newest record. The last one is active.
#[derive(Clone, Debug)]
struct Drawn {
    segments: Vec<(u64, i64)>,
    limits: RetentionLimits,
    log_start: u64,
    barrier: u64,
}

const NO_LIMITS: RetentionLimits = RetentionLimits { delete: true, bytes: None, millis: None };

fn log(segments: &[(u64, i64)]) -> Drawn {
    Drawn { segments: segments.to_vec(), limits: NO_LIMITS, log_start: 0, barrier: 1_000 }
}

impl Drawn {
    fn bytes(self, bytes: u64) -> Self {
        Self { limits: RetentionLimits { bytes: Some(bytes), ..self.limits }, ..self }
    }

    fn millis(self, millis: i64) -> Self {
        Self { limits: RetentionLimits { millis: Some(millis), ..self.limits }, ..self }
    }

    fn end(&self, index: usize) -> u64 {
        (index as u64 + 1) * 10
    }

    /// What goes, by the code under test.
    fn due(&self) -> Vec<RetentionReason> {
        let state = LogState {
            log_start: Offset::new(self.log_start),
            barrier: Offset::new(self.barrier),
            bytes: self.segments.iter().map(|(bytes, _)| bytes).sum(),
            now: Timestamp::from_millis(NOW),
        };
        let mut retention = Retention::new(self.limits, state);
        let mut due = Vec::new();
        for (index, (bytes, newest)) in self.segments.iter().enumerate() {
            let end = Offset::new(self.end(index));
            let candidate = Candidate { end, bytes: *bytes, is_last: index + 1 == self.segments.len() };
            match retention.next(&candidate, || Ok(Timestamp::from_millis(*newest))).unwrap() {
                Some(reason) => due.push(reason),
                None => break,
            }
        }
        due
    }

    /// What goes, by three passes over what the one before left, as Kafka does it.
    fn modelled(&self) -> Vec<RetentionReason> {
        let mut gone = Vec::new();
        self.pass(&mut gone, LogStart, |log, index| index + 1 < log.segments.len() && log.end(index) <= log.log_start);
        if !self.limits.delete {
            return gone;
        }
        if let Some(limit) = self.limits.bytes {
            let total: u64 = self.segments[gone.len()..].iter().map(|(bytes, _)| bytes).sum();
            let mut excess = i128::from(total) - i128::from(limit);
            if excess >= 0 {
                self.pass(&mut gone, Size, |log, index| {
                    let bytes = i128::from(log.segments[index].0);
                    let goes = excess - bytes >= 0;
                    excess -= if goes { bytes } else { 0 };
                    goes
                });
            }
        }
        if let Some(limit) = self.limits.millis {
            self.pass(&mut gone, Age, |log, index| NOW - log.segments[index].1 > limit);
        }
        gone
    }

    fn pass(
        &self,
        gone: &mut Vec<RetentionReason>,
        reason: RetentionReason,
        mut goes: impl FnMut(&Self, usize) -> bool,
    ) {
        for index in gone.len()..self.segments.len() {
            let is_last_and_empty = index + 1 == self.segments.len() && self.segments[index].0 == 0;
            if self.barrier < self.end(index) || !goes(self, index) || is_last_and_empty {
                return;
            }
            gone.push(reason);
        }
    }
}

#[test]
fn ret_03_size_removes_only_what_leaves_the_limit_reached() {
    let three = log(&[(100, NOW), (100, NOW), (100, NOW)]);
    for (limit, gone) in [(301, 0), (300, 0), (201, 0), (200, 1), (199, 1), (101, 1), (100, 2), (1, 2), (0, 3)] {
        assert_eq!(three.clone().bytes(limit).due(), vec![Size; gone], "{limit}");
    }
    assert_eq!(log(&[(0, NOW), (100, NOW)]).bytes(100).due(), [Size], "an empty one takes nothing away");
    assert_eq!(log(&[(0, NOW), (100, NOW)]).bytes(101).due(), []);
}

#[test]
fn ret_04_age_removes_what_is_older_than_the_limit_and_not_what_is_as_old() {
    for (newest, gone) in [(NOW - 501, 1), (NOW - 500, 0), (NOW, 0), (NOW + 1, 0), (0, 1), (i64::MIN, 1), (i64::MAX, 0)]
    {
        assert_eq!(log(&[(9, newest), (0, NOW)]).millis(500).due(), vec![Age; gone], "{newest}");
    }
    assert_eq!(log(&[(9, NOW - 1), (0, NOW)]).millis(0).due(), [Age]);
    assert_eq!(log(&[(9, NOW), (0, NOW)]).millis(0).due(), []);
}

#[test]
fn a_record_from_the_future_holds_its_segment_and_all_behind_it() {
    let stuck = log(&[(10, NOW + 5), (10, 0), (10, 0), (10, NOW)]).millis(500);
    assert_eq!(stuck.due(), []);
    assert_eq!(stuck.clone().bytes(30).due(), [Size, Age, Age], "until size lets go of it");
    assert_eq!(Drawn { log_start: 12, ..stuck }.due(), [LogStart, Age, Age]);
}

#[test]
fn ret_05_and_06_a_compacted_topic_keeps_all_but_what_is_below_the_log_start() {
    let old = log(&[(10, 0), (10, 0), (10, 0)]).millis(1).bytes(0);
    let compacted = Drawn { limits: RetentionLimits { delete: false, ..old.limits }, ..old.clone() };
    assert_eq!(compacted.due(), []);
    assert_eq!(old.due(), [Size, Size, Size]);
    for (log_start, gone) in [(9, 0), (10, 1), (19, 1), (20, 2), (30, 2), (40, 2)] {
        assert_eq!(Drawn { log_start, ..compacted.clone() }.due(), vec![LogStart; gone], "{log_start}");
    }
}

#[test]
fn ret_07_nothing_goes_that_ends_above_the_barrier() {
    let old = log(&[(10, 0), (10, 0), (10, 0)]).millis(1);
    for (barrier, gone) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (29, 2), (30, 3)] {
        assert_eq!(Drawn { barrier, ..old.clone() }.due(), vec![Age; gone], "{barrier}");
    }
}

#[test]
fn ret_18_a_last_segment_goes_unless_it_is_empty() {
    assert_eq!(log(&[(10, 0)]).millis(1).due(), [Age]);
    assert_eq!(log(&[(0, 0)]).millis(1).bytes(0).due(), []);
    assert_eq!(log(&[(10, 0), (0, 0)]).millis(1).bytes(0).due(), [Size]);
    assert_eq!(log(&[]).millis(1).due(), []);
}

#[test]
fn the_newest_record_is_asked_for_only_where_it_decides() {
    let asked = |limits, log_start| {
        let state = LogState { log_start, barrier: Offset::new(10), bytes: 20, now: Timestamp::from_millis(NOW) };
        let candidate = Candidate { end: Offset::new(10), bytes: 10, is_last: false };
        let mut asked = 0;
        let newest = || {
            asked += 1;
            Ok(Timestamp::from_millis(NOW))
        };
        Retention::new(limits, state).next(&candidate, newest).unwrap();
        asked
    };
    let aged = RetentionLimits { millis: Some(5), ..NO_LIMITS };
    assert_eq!(asked(aged, Offset::ZERO), 1);
    assert_eq!(asked(aged, Offset::new(10)), 0);
    assert_eq!(asked(NO_LIMITS, Offset::ZERO), 0);
    assert_eq!(asked(RetentionLimits { bytes: Some(5), ..aged }, Offset::ZERO), 0);
    assert_eq!(asked(RetentionLimits { delete: false, ..aged }, Offset::ZERO), 0);
}

#[test]
fn drawn_logs_lose_what_kafkas_three_passes_remove() {
    let first = std::env::var("RIVERBED_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut reasons = [0; 3];
    for seed in first..first + 50_000 {
        let mut random = Random::new(seed);
        let some = |random: &mut Random, below| Some(random.below(below)).filter(|_| random.one_in(2));
        let segments = (0..random.index(7))
            .map(|_| (random.below(4) * 10, NOW + 20 - i64::try_from(random.below(100)).unwrap()))
            .collect::<Vec<_>>();
        let bytes = some(&mut random, 100);
        let millis = some(&mut random, 100).map(|millis| i64::try_from(millis).unwrap());
        let limits = RetentionLimits { delete: !random.one_in(4), bytes, millis };
        let barrier = if random.one_in(2) { 1_000 } else { random.below(75) };
        let log = Drawn { segments, limits, log_start: random.below(60), barrier };
        let due = log.due();
        let replay = format!("{log:?}\nRIVERBED_SEED={seed} cargo test --lib kafkas_three_passes");
        assert_eq!(due, log.modelled(), "seed {seed}: {replay}");
        for reason in due {
            reasons[reason as usize] += 1;
        }
    }
    assert!(first > 0 || reasons.iter().all(|count| *count > 1_000), "{reasons:?}");
}
