//! Every state that a power cut may leave, for workloads small enough to walk them all.

use super::draw::{Choose, Cut, Sector, power_cut};
use super::image::Image;
use super::random::Random;
use super::{SimDisk, power};

/// All states that a power cut may leave of a disk, one after the other: of each sector of 512 bytes the stores up to
/// any one, of each file any length it had, of each directory any subset of changes. No store is torn.
///
/// States that look the same may come more than once.
#[derive(Debug)]
pub struct ExhaustiveStates {
    image: Image,
    /// The choices of the state to come: what is chosen, out of how many.
    digits: Vec<(usize, usize)>,
    left: usize,
    done: bool,
}

impl ExhaustiveStates {
    pub(super) fn new(image: Image, max: usize) -> Self {
        Self { image, digits: Vec::new(), left: max, done: false }
    }

    /// Whether all states have come, rather than only as many as were asked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done
    }

    /// Moves on to the next combination: the last choice that can go on does, and those after it start again.
    fn step(&mut self) {
        while let Some((chosen, of)) = self.digits.pop() {
            if chosen + 1 < of {
                self.digits.push((chosen + 1, of));
                return;
            }
        }
        self.done = true;
    }
}

impl Iterator for ExhaustiveStates {
    type Item = SimDisk;

    fn next(&mut self) -> Option<SimDisk> {
        if self.done || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let power = power::another(self.image.power(), &mut Random::new(self.left as u64));
        let image = power_cut(&self.image, power, &mut Digits { digits: &mut self.digits, next: 0 });
        self.step();
        Some(SimDisk::of(image))
    }
}

/// Chooses by the digits of a counter that grows as more choices come.
struct Digits<'a> {
    digits: &'a mut Vec<(usize, usize)>,
    next: usize,
}

impl Digits<'_> {
    fn choose(&mut self, of: usize) -> usize {
        if self.next == self.digits.len() {
            self.digits.push((0, of));
        }
        self.next += 1;
        self.digits[self.next - 1].0
    }
}

impl Choose for Digits<'_> {
    fn cut(&mut self, sector: &Sector<'_>) -> Cut {
        Cut::clean(self.choose(sector.stores.len() + 1))
    }

    fn length(&mut self, lengths: &[(u64, u64)]) -> usize {
        self.choose(lengths.len() + 1)
    }

    fn keep_change(&mut self, _seq: u64) -> bool {
        self.choose(2) == 1
    }
}
