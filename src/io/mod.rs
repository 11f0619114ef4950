//! Durability: the only module that knows `std::fs`, `memmap2` and `unsafe`.

mod budget;
#[cfg(test)]
pub(crate) mod child;
mod directory;
mod doomed;
mod durability;
mod fork;
mod group_sync;
mod handle;
mod kept;
mod lock;
mod look;
mod map;
mod mapped_write;
mod os_directory;
mod os_region;
mod positioned_write;
pub(crate) mod power;
mod replace;
mod room;
mod root;
mod sealed_region;
mod sigbus;
#[cfg(any(test, feature = "sim"))]
pub(crate) mod sim;
mod state;
#[cfg(test)]
pub(crate) mod suite;
mod tail_region;
mod view;

pub use budget::{Budget, BudgetStats};
pub(crate) use directory::DirectoryLock;
pub use directory::{Directory, Entry, EntryKind, FileRange, Region, Way};
#[cfg(any(test, feature = "sim"))]
pub(crate) use directory::{PowerIdentity, sealed};
pub(crate) use fork::generation;
pub(crate) use group_sync::GroupSync;
pub use look::Look;
pub use os_directory::OsDirectory;
pub use root::OpenMode;
pub use sigbus::guard_against_sigbus;
pub(crate) use view::Source;
pub use view::View;
