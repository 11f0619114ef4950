//! What a crash may leave of a disk. *Which* of the legal states it leaves is for a [`Choose`] to say.

use super::file::{PAGE, Store};
use super::image::{Event, Image, Node, NodeId};
use super::names::Folder;
use super::random::Random;
use crate::io::{PowerIdentity, Way};

/// A sector that was stored to since its file's last sync.
pub(super) struct Sector<'a> {
    /// The stores that touched it, oldest first.
    pub(super) stores: &'a [&'a Store],
    /// Whether it lies in the last page of its file that was stored to.
    pub(super) in_last_page: bool,
}

/// How much of what was stored to a sector is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first so many stores are.
    pub(super) kept: usize,
    /// Of the store after them, the words of 8 bytes whose bit is set are too.
    pub(super) torn: Option<u64>,
}

impl Cut {
    pub(super) const fn clean(kept: usize) -> Self {
        Self { kept, torn: None }
    }
}

/// Picks one of the states that a power cut may leave.
pub(super) trait Choose {
    /// The unit that the disk writes as one: 512 or 4096.
    fn sector_size(&self) -> usize {
        512
    }

    fn cut(&mut self, sector: &Sector<'_>) -> Cut;

    /// Which of the lengths the file had since its last sync it has: an index into `lengths`, which are the earlier
    /// ones with the event that ended each, or their number for the present one.
    fn length(&mut self, lengths: &[(u64, u64)]) -> usize;

    /// A directory comes, with so many changes since its last sync.
    fn start_directory(&mut self, _changes: usize) {}

    /// Whether the directory's next change, done by event `seq`, is on disk.
    fn keep_change(&mut self, seq: u64) -> bool;

    /// Noise for one sector of the last page stored to, if powersafe overwrite does not hold.
    fn garble(&mut self) -> Option<Random> {
        None
    }
}

/// The disk after a power cut and a restart: all that is left is durable.
pub(super) fn power_cut(image: &Image, power: PowerIdentity, choose: &mut dyn Choose) -> Image {
    let mut copied = vec![None; image.nodes().len()];
    let mut nodes = Vec::with_capacity(image.nodes().len());
    copy(image, NodeId::ROOT, &mut nodes, &mut copied, choose);
    Image::durable(nodes, power)
}

/// Copies what can be reached by a name that is left.
fn copy(
    image: &Image,
    from: NodeId,
    nodes: &mut Vec<Node>,
    copied: &mut [Option<NodeId>],
    choose: &mut dyn Choose,
) -> NodeId {
    if let Some(done) = copied[from.index()] {
        return done;
    }
    let to = NodeId::at(nodes.len());
    copied[from.index()] = Some(to);
    nodes.push(Node::Folder(Folder::default()));
    nodes[to.index()] = match &image.nodes()[from.index()] {
        Node::File(file) => Node::File(file.after_power_cut(choose)),
        Node::Folder(folder) => {
            let mut names = folder.after_power_cut(choose).as_ref().clone();
            for (_, node) in &mut names {
                *node = copy(image, *node, nodes, copied, choose);
            }
            Node::Folder(Folder::of(names))
        }
    };
    to
}

/// The disk after the process died, while it did `next` if that is given: the page cache is whole, but not durable.
pub(super) fn kill(image: &Image, next: Option<&Event>, random: &mut Random) -> Image {
    let mut left = image.clone();
    if let Some(Event::Store { file, at, bytes, part, way }) = next {
        let keep = interrupted(*at, random.index(bytes.len() + 1), bytes.len(), *way);
        left.apply(&Event::Store { file: *file, at: *at, bytes: bytes.slice(..keep), part: *part, way: *way });
    }
    if random.one_in(2) {
        left.evict_lost();
    }
    left
}

/// A store through a map stops at any byte, a positioned write between two pages.
fn interrupted(at: u64, keep: usize, len: usize, way: Way) -> usize {
    match way {
        Way::Map => keep,
        Way::Positioned if keep == len => len,
        Way::Positioned => {
            let start = usize::try_from(at).unwrap_or(0);
            ((start + keep) / PAGE * PAGE).saturating_sub(start)
        }
    }
}
