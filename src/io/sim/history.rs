//! What happened to a disk, so that it can crash at any point of it.

use std::fmt;

use super::draw;
use super::exhaustive::ExhaustiveStates;
use super::image::{Event, Image};
use super::mode::{CrashMode, Drawn};
use super::random::Random;
use super::{SimDisk, power};
use crate::sync::Arc;

/// All events of a disk, from its making to the moment when this was taken.
///
/// Events are numbered; [`SimDisk::position`] tells a workload where it is, so that it can note what was promised when.
#[derive(Clone, Debug)]
pub struct History {
    start: Image,
    events: Arc<[Event]>,
}

impl History {
    pub(super) fn new(start: Image, events: Arc<[Event]>) -> Self {
        Self { start, events }
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The points just before and just after each sync of a file or directory.
    #[must_use]
    pub fn sync_points(&self) -> Vec<usize> {
        let syncs = self.events.iter().enumerate().filter(|(_, event)| event.is_sync());
        let mut points: Vec<usize> = syncs.flat_map(|(index, _)| [index, index + 1]).collect();
        points.dedup();
        points
    }

    /// Stands before the first event.
    #[must_use]
    pub fn replay(&self) -> Replay {
        Replay { image: self.start.clone(), events: Arc::clone(&self.events), at: 0 }
    }

    /// Stands behind the first `point` events, or behind all if there are fewer.
    #[must_use]
    pub fn at(&self, point: usize) -> Replay {
        let mut replay = self.replay();
        while replay.at < point && replay.advance() {}
        replay
    }
}

/// One numbered line for each event, to read after a failure.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut image = self.start.clone();
        for (number, event) in self.events.iter().enumerate() {
            writeln!(f, "{number:4}  {}", image.describe(event))?;
            image.apply(event);
        }
        Ok(())
    }
}

/// A point of a [`History`], from which it can go on.
#[derive(Clone, Debug)]
pub struct Replay {
    image: Image,
    events: Arc<[Event]>,
    at: usize,
}

impl Replay {
    /// How many events have happened.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Lets the next event happen; false at the end.
    pub fn advance(&mut self) -> bool {
        let Some(event) = self.events.get(self.at) else { return false };
        self.image.apply(event);
        self.at += 1;
        true
    }

    /// A disk as a crash at this point may leave it. A kill may come in the middle of the next event.
    #[must_use]
    pub fn crash_state(&self, random: &mut Random, mode: CrashMode) -> SimDisk {
        crash_state(&self.image, self.events.get(self.at), random, mode)
    }

    /// All disks that a power cut at this point may leave, at most `max`.
    #[must_use]
    pub fn exhaustive_states(&self, max: usize) -> ExhaustiveStates {
        ExhaustiveStates::new(self.image.clone(), max)
    }
}

pub(super) fn crash_state(image: &Image, next: Option<&Event>, random: &mut Random, mode: CrashMode) -> SimDisk {
    SimDisk::of(match mode {
        CrashMode::Kill => draw::kill(image, next, random),
        CrashMode::PowerCut(cut) => {
            let power = power::another(image.power(), random);
            draw::power_cut(image, power, &mut Drawn::new(image, cut, random))
        }
    })
}
