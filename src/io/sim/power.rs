//! Which uptime of the simulated machine, and which mount, a disk belongs to.

use super::random::Random;
use crate::io::PowerIdentity;

/// The identity of a disk that was never crashed.
pub(super) const FIRST: PowerIdentity = PowerIdentity { boot: [1; 16], mount: 1 };

/// The identity after the power came back.
pub(super) fn another(before: PowerIdentity, random: &mut Random) -> PowerIdentity {
    let mut boot = [0; 16];
    boot[..8].copy_from_slice(&random.bits().to_be_bytes());
    boot[8..].copy_from_slice(&random.bits().to_be_bytes());
    PowerIdentity { boot, mount: before.mount.wrapping_add(1) }
}
