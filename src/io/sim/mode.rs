//! The kinds of crash that tests draw from.

use super::draw::{Choose, Cut, Sector};
use super::file::{PAGE, Part};
use super::image::{Image, Node};
use super::random::Random;

/// What happens, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrashMode {
    /// The process dies. Every store is there up to one, which may be cut off anywhere. None of it is more durable than
    /// before.
    Kill,
    /// The machine loses power: what was not synced may be lost, torn or reordered.
    PowerCut(PowerCut),
}

impl CrashMode {
    /// A mode drawn at random: one in four is a kill. Never one without powersafe overwrite.
    pub fn any(random: &mut Random) -> Self {
        if random.one_in(4) { CrashMode::Kill } else { CrashMode::PowerCut(PowerCut::any(random)) }
    }
}

/// How a power cut treats what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut {
    /// What is left of the bytes.
    pub left: Left,
    /// The unit that the disk writes as one.
    pub sector: SectorSize,
    /// Whether a directory's changes reach the disk in order. If not, any subset of them may be there.
    pub names_in_order: bool,
}

/// What a power cut leaves of the bytes, lengths and names that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// All up to one event, which may be torn: as if the disk wrote in order.
    Prefix,
    /// Of each sector independently, the stores up to any one.
    AnyPerSector,
    /// The same, and the store after the last may be there in any of its 8-byte words.
    TornPerSector,
    /// Of each file the last page stored to, and nothing before it.
    LastPage,
    /// All sectors but one.
    AllButOneSector,
    /// The first parts of appends, and files written whole; no second part where the sector ends in one.
    Heads,
    /// The opposite: no first part of an append where its sector can be lost, and of files written whole nothing.
    Bodies,
    /// As [`Left::TornPerSector`], and one sector of the last page stored to is garbage, durable bytes in it or not:
    /// a disk without powersafe overwrite. Logs need not survive that; they have to notice.
    Garbage,
}

impl Left {
    const SAFE: [Left; 9] = [
        Left::Nothing,
        Left::All,
        Left::Prefix,
        Left::AnyPerSector,
        Left::TornPerSector,
        Left::LastPage,
        Left::AllButOneSector,
        Left::Heads,
        Left::Bodies,
    ];
}

/// The unit that a disk writes as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorSize {
    /// 512 bytes.
    Small,
    /// 4096 bytes.
    Large,
}

impl PowerCut {
    /// A power cut that leaves `left`, with sectors of 512 bytes and a directory's changes in any order.
    #[must_use]
    pub const fn leaving(left: Left) -> Self {
        Self { left, sector: SectorSize::Small, names_in_order: false }
    }

    /// A power cut drawn at random, on a disk with powersafe overwrite.
    pub fn any(random: &mut Random) -> Self {
        Self {
            left: random.pick(&Left::SAFE).copied().unwrap_or(Left::Nothing),
            sector: if random.one_in(4) { SectorSize::Large } else { SectorSize::Small },
            names_in_order: random.one_in(3),
        }
    }
}

/// Chooses as a [`PowerCut`] says, at random within it.
pub(super) struct Drawn<'a> {
    cut: PowerCut,
    random: &'a mut Random,
    /// Events before this one are on disk, if they are kept in order.
    until: u64,
    /// The sector that is lost, if it is just one: how many come before it.
    spared: Option<usize>,
    /// How many changes of this directory are still to be kept, if they are kept in order.
    changes: usize,
}

impl<'a> Drawn<'a> {
    pub(super) fn new(image: &Image, cut: PowerCut, random: &'a mut Random) -> Self {
        let until = random.below(image.seq() + 1);
        let mut drawn = Self { cut, random, until, spared: None, changes: 0 };
        if cut.left == Left::AllButOneSector {
            let size = drawn.sector_size();
            let dirty = image.nodes().iter().map(|node| match node {
                Node::File(file) => file.dirty_sectors(size),
                Node::Folder(_) => 0,
            });
            drawn.spared = Some(drawn.random.index(dirty.sum()));
        }
        drawn
    }

    fn torn(&mut self) -> Option<u64> {
        let words = self.random.bits();
        (!self.random.one_in(3)).then_some(words)
    }

    fn is_spared(&mut self) -> bool {
        let spared = self.spared == Some(0);
        self.spared = self.spared.and_then(|left| left.checked_sub(1));
        spared
    }
}

impl Choose for Drawn<'_> {
    fn sector_size(&self) -> usize {
        match self.cut.sector {
            SectorSize::Small => 512,
            SectorSize::Large => PAGE,
        }
    }

    fn cut(&mut self, sector: &Sector<'_>) -> Cut {
        let all = sector.stores.len();
        let ends_with = |wanted: fn(Part) -> bool| {
            let last = sector.stores.iter().rposition(|store| wanted(store.part));
            last.map_or(0, |index| index + 1)
        };
        match self.cut.left {
            Left::Nothing => Cut::clean(0),
            Left::All => Cut::clean(all),
            Left::Prefix => {
                let kept = sector.stores.partition_point(|store| store.seq < self.until);
                let at_the_cut = sector.stores.get(kept).is_some_and(|store| store.seq == self.until);
                Cut { kept, torn: if at_the_cut { self.torn() } else { None } }
            }
            Left::AnyPerSector => Cut::clean(self.random.index(all + 1)),
            Left::TornPerSector | Left::Garbage => {
                let kept = self.random.index(all + 1);
                Cut { kept, torn: self.torn() }
            }
            Left::LastPage => Cut::clean(if sector.in_last_page { all } else { 0 }),
            Left::AllButOneSector => Cut::clean(if self.is_spared() { self.random.index(all) } else { all }),
            Left::Heads => Cut::clean(ends_with(|part| part != Part::Body)),
            Left::Bodies => {
                let head = sector.stores.iter().position(|store| matches!(store.part, Part::Head | Part::Whole));
                Cut::clean(head.unwrap_or(all))
            }
        }
    }

    fn length(&mut self, lengths: &[(u64, u64)]) -> usize {
        match self.cut.left {
            Left::Nothing => 0,
            Left::All => lengths.len(),
            Left::Prefix => lengths.partition_point(|&(seq, _)| seq < self.until),
            _ => self.random.index(lengths.len() + 1),
        }
    }

    fn start_directory(&mut self, changes: usize) {
        self.changes = self.random.index(changes + 1);
    }

    fn keep_change(&mut self, seq: u64) -> bool {
        match self.cut.left {
            Left::Nothing => false,
            Left::All => true,
            Left::Prefix => seq < self.until,
            _ if self.cut.names_in_order => {
                let keep = self.changes > 0;
                self.changes = self.changes.saturating_sub(1);
                keep
            }
            _ => self.random.one_in(2),
        }
    }

    fn garble(&mut self) -> Option<Random> {
        (self.cut.left == Left::Garbage).then(|| self.random.fork())
    }
}
