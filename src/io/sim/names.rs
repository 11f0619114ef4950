//! One directory: its names as processes see them, and the changes that a power cut may take back.

use super::draw::Choose;
use super::image::NodeId;
use crate::sync::Arc;

type Names = Vec<(Arc<str>, NodeId)>;

/// A directory's names, sorted, and the changes since it was last synced.
#[derive(Clone, Debug, Default)]
pub(super) struct Folder {
    names: Arc<Names>,
    durable: Arc<Names>,
    /// Since the last sync, oldest first, each with the number of its event.
    changes: Vec<(u64, Change)>,
    /// A sync failed: what was dirty then never reaches the disk.
    diverged: bool,
}

/// A change of a directory's names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Link(Arc<str>, NodeId),
    Remove(Arc<str>),
    Rename { from: Arc<str>, to: Arc<str>, node: NodeId },
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Change::Link(name, node) => link(names, name, *node),
            Change::Remove(name) => remove(names, name),
            Change::Rename { from, to, node } => {
                remove(names, from);
                link(names, to, *node);
            }
        }
    }
}

fn place(names: &Names, name: &str) -> Result<usize, usize> {
    names.binary_search_by(|(other, _)| other.as_ref().cmp(name))
}

fn link(names: &mut Names, name: &Arc<str>, node: NodeId) {
    match place(names, name) {
        Ok(index) => names[index].1 = node,
        Err(index) => names.insert(index, (Arc::clone(name), node)),
    }
}

fn remove(names: &mut Names, name: &str) {
    if let Ok(index) = place(names, name) {
        names.remove(index);
    }
}

impl Folder {
    /// A directory that durably holds `names`.
    pub(super) fn of(names: Names) -> Self {
        let names = Arc::new(names);
        Self { durable: Arc::clone(&names), names, ..Self::default() }
    }

    pub(super) fn names(&self) -> &[(Arc<str>, NodeId)] {
        &self.names
    }

    pub(super) fn find(&self, name: &str) -> Option<NodeId> {
        place(&self.names, name).ok().map(|index| self.names[index].1)
    }

    /// What has a name here, or has one on the disk.
    pub(super) fn all_names(&self) -> impl Iterator<Item = NodeId> {
        self.names.iter().chain(self.durable.iter()).map(|(_, node)| *node)
    }

    pub(super) fn change(&mut self, seq: u64, change: Change) {
        change.apply(Arc::make_mut(&mut self.names));
        self.changes.push((seq, change));
    }

    pub(super) fn sync(&mut self) {
        if !self.diverged {
            self.durable = Arc::clone(&self.names);
            self.changes.clear();
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        for (_, change) in self.changes.drain(..) {
            change.apply(durable);
        }
    }

    /// Whether changes whose sync failed are still shown.
    pub(super) fn has_lost(&self) -> bool {
        self.diverged
    }

    /// Drops what is only in the cache, so that changes whose sync failed are gone.
    pub(super) fn evict_lost(&mut self) {
        if std::mem::take(&mut self.diverged) {
            self.names = Arc::clone(&self.durable);
            for (_, change) in &self.changes {
                change.apply(Arc::make_mut(&mut self.names));
            }
        }
    }

    pub(super) fn fail_sync(&mut self) {
        self.diverged |= !self.changes.is_empty();
        self.changes.clear();
    }

    /// The names that a power cut may leave.
    pub(super) fn after_power_cut(&self, choose: &mut dyn Choose) -> Arc<Names> {
        let mut names = Arc::clone(&self.durable);
        choose.start_directory(self.changes.len());
        for (seq, change) in &self.changes {
            if choose.keep_change(*seq) {
                change.apply(Arc::make_mut(&mut names));
            }
        }
        names
    }
}
