use std::fmt;

/// Which leader wrote a batch: grows with every change of the leader. −1 in batches that no leader has stamped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// "Not stamped by a leader", −1 in files.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
    /// The epoch of a log that never had another leader.
    pub const ZERO: LeaderEpoch = LeaderEpoch(0);

    /// The epoch with this number; any negative one means "none".
    #[must_use]
    pub const fn new(value: i32) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
