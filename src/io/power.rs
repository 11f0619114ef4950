//! Has the power been lost since? Told by the kernel's boot id and the file system's mount id.

use std::fs;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags, statx};

use super::directory::PowerIdentity;

/// `STATX_MNT_ID_UNIQUE`: a mount id that is never used again, since Linux 6.8.
const MOUNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

const MAGIC: [u8; 8] = *b"rvb-lock";
const VERSION: u16 = 1;
pub(crate) const LEN: usize = 8 + 2 + 16 + 8 + 4;

/// What the lock file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing that we wrote, or not all of it.
    Nothing,
    /// A version that we do not know.
    Newer(u16),
    Identity(PowerIdentity),
}

/// This uptime of the machine and this mount of `directory`'s file system, where the kernel tells both.
pub(crate) fn current(directory: impl AsFd) -> Option<PowerIdentity> {
    let boot = parse_uuid(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim())?;
    let stat = statx(directory, "", AtFlags::EMPTY_PATH, MOUNT_ID_UNIQUE).ok()?;
    let known = StatxFlags::from_bits_retain(stat.stx_mask).contains(MOUNT_ID_UNIQUE);
    known.then_some(PowerIdentity { boot, mount: stat.stx_mnt_id })
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let valid = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u128::from_str_radix(&digits, 16).ok().filter(|_| valid).map(u128::to_be_bytes)
}

/// ```text
/// magic "rvb-lock" (8)  version (2)  boot id (16)  mount id (8)  crc32 of all before (4)
/// ```
pub(crate) fn encode(identity: &PowerIdentity) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let (content, crc) = bytes.split_at_mut(LEN - 4);
    content[..8].copy_from_slice(&MAGIC);
    content[8..10].copy_from_slice(&VERSION.to_be_bytes());
    content[10..26].copy_from_slice(&identity.boot);
    content[26..].copy_from_slice(&identity.mount.to_be_bytes());
    crc.copy_from_slice(&crc32fast::hash(content).to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Kept {
    let Some(rest) = bytes.strip_prefix(&MAGIC) else { return Kept::Nothing };
    let Some((version, rest)) = rest.split_first_chunk::<2>() else { return Kept::Nothing };
    match u16::from_be_bytes(*version) {
        VERSION => {}
        newer if newer > VERSION => return Kept::Newer(newer),
        _ => return Kept::Nothing,
    }
    let fields = rest.split_first_chunk::<16>().and_then(|(boot, rest)| Some((boot, rest.split_first_chunk::<8>()?)));
    let Some((boot, (mount, crc))) = fields else { return Kept::Nothing };
    if crc != crc32fast::hash(&bytes[..LEN - 4]).to_be_bytes() {
        return Kept::Nothing;
    }
    Kept::Identity(PowerIdentity { boot: *boot, mount: u64::from_be_bytes(*mount) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: PowerIdentity = PowerIdentity { boot: [7; 16], mount: 0x0102_0304_0506_0708 };

    #[test]
    fn what_was_kept_is_found_again() {
        assert_eq!(decode(&encode(&SAMPLE)), Kept::Identity(SAMPLE));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = encode(&SAMPLE);
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&bad), Kept::Identity(_)), "bit {bit} went unnoticed");
        }
        for len in 0..good.len() {
            assert_eq!(decode(&good[..len]), if len < 10 { Kept::Nothing } else { decode(&good[..len]) });
            assert!(!matches!(decode(&good[..len]), Kept::Identity(_)), "a cut at {len} went unnoticed");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut newer = encode(&SAMPLE);
        newer[9] = 2;
        assert_eq!(decode(&newer), Kept::Newer(2));
        assert_eq!(decode(b""), Kept::Nothing);
    }

    #[test]
    fn this_boot_and_mount_stay_the_same() {
        let directory = fs::File::open("/").unwrap();
        assert_eq!(current(&directory), current(&directory));
        assert_eq!(parse_uuid("00000000-0000-0000-0000-00000000002a").map(|b| b[15]), Some(42));
        assert_eq!(parse_uuid("+0000000-0000-0000-0000-00000000002a"), None);
    }
}
