//! Which names of new files survive a power cut.

/// New names in the log's directory: how many there were, and how many of them a finished sync of the directory covers.
#[derive(Debug, Default)]
pub(super) struct NewNames {
    added: u64,
    durable: u64,
}

/// The names up to some point: what a sync of the directory that begins there makes durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamesSoFar(u64);

impl NewNames {
    /// A name was added.
    pub(super) fn add(&mut self) {
        self.added += 1;
    }

    /// Whether all of them are durable. One whose sync is under way is not.
    pub(super) fn are_durable(&self) -> bool {
        self.durable == self.added
    }

    /// To be asked in front of a sync of the directory.
    pub(super) fn so_far(&self) -> NamesSoFar {
        NamesSoFar(self.added)
    }

    /// The directory was synced since `names` was asked.
    pub(super) fn synced(&mut self, names: NamesSoFar) {
        self.durable = self.durable.max(names.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_covers_the_names_that_were_there_when_it_began() {
        let mut names = NewNames::default();
        assert!(names.are_durable());
        names.add();
        let (first, again) = (names.so_far(), names.so_far());
        assert!(!names.are_durable());
        names.add();
        names.synced(first);
        assert!(!names.are_durable());
        names.synced(names.so_far());
        assert!(names.are_durable());
        names.synced(again);
        assert!(names.are_durable());
    }
}
