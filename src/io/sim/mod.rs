//! A disk in memory, for tests of log semantics and of crashes.
//!
//! What a kill or a power cut may leave is drawn from everything that was done:
//!
//! - A **kill** leaves every store up to one, which may be cut off at any byte, and all names. None of that is durable
//!   unless it was synced: a power cut after the kill may still take it.
//! - A **power cut** leaves of each sector that was stored to since its file's last sync the stores up to any one, and
//!   of the next one any of its 8-byte words; of each file any length it had since its last sync; of each directory any
//!   of the changes since its last sync.
//!
//! Durable bytes in a sector that is stored to again are safe (powersafe overwrite), but for [`Left::Garbage`].

mod directory;
mod disk;
mod draw;
mod exhaustive;
mod faults;
mod file;
mod history;
mod image;
mod mode;
mod names;
mod power;
mod random;
mod region;
mod tail;
#[cfg(test)]
mod tests;

pub use directory::SimDirectory;
pub use disk::SimDisk;
pub use exhaustive::ExhaustiveStates;
pub use faults::{Call, Failure, Fault};
pub use history::{History, Replay};
pub use mode::{CrashMode, Left, PowerCut, SectorSize};
pub use random::Random;
pub use region::SimRegion;
