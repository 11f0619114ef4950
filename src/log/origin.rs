//! Who appends.

/// Who hands batches to the log: decides how much of them is checked, and who assigns their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// A producer: everything is checked.
    Client,
    /// A group or transaction coordinator: may write control batches, and batches of a producer without sequences.
    Coordinator,
    /// A leader that has checked them, or our own file: offsets stay, and nothing is refused.
    Replication,
}
