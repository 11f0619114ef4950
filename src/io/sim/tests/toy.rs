//! A log in thirty lines, right and with bugs planted: the disk has to show each of them.

use crate::error::{ErrorKind, Result};
use crate::io::sim::{Call, CrashMode, Failure, Fault, Random, SimDisk};
use crate::io::{Directory, Region, Way};
use crate::sync::Arc;

/// What is wrong with the toy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    ForgetsDirectorySync,
    ForgetsSync,
    SyncsBeforeTheBody,
    TrustsTheLength,
    NoChecksum,
    RetriesAFailedSync,
    SyncsAfterTheAcknowledgement,
}

const ENTRY: usize = 24;

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(1, |sum: u32, &byte| sum.rotate_left(5).wrapping_mul(31) ^ u32::from(byte))
}

/// A head of number and checksum, and a body of 16 bytes.
fn entry(number: u32) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    for (byte, step) in bytes[8..].iter_mut().zip(0u8..) {
        *byte = number.to_be_bytes()[3].wrapping_mul(37).wrapping_add(step) | 1;
    }
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    let sum = checksum(&bytes[8..]) ^ number;
    bytes[4..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

struct Toy {
    log: Arc<dyn Region>,
    bug: Bug,
    next: u32,
}

impl Toy {
    fn create(root: &dyn Directory, bug: Bug) -> Result<Self> {
        let log = root.create("log", 1 << 16)?;
        if bug != Bug::ForgetsDirectorySync {
            root.sync()?;
        }
        Ok(Self { log, bug, next: 1 })
    }

    /// Returns once the entry is durable.
    fn append(&mut self) -> Result<()> {
        let bytes = entry(self.next);
        self.log.reserve(self.log.len() + ENTRY as u64)?;
        if self.bug == Bug::SyncsBeforeTheBody {
            self.log.append(&bytes[..8], &[], Way::Map)?;
            self.log.sync()?;
            self.log.append(&[], &bytes[8..], Way::Map)?;
        } else {
            self.log.append(&bytes[..8], &bytes[8..], Way::Map)?;
            self.sync()?;
        }
        self.next += 1;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        match self.bug {
            Bug::ForgetsSync | Bug::SyncsAfterTheAcknowledgement => Ok(()),
            Bug::RetriesAFailedSync => self.log.sync().or_else(|_| self.log.sync()),
            _ => self.log.sync(),
        }
    }

    fn after_acknowledgement(&self) -> Result<()> {
        if self.bug == Bug::SyncsAfterTheAcknowledgement { self.log.sync() } else { Ok(()) }
    }
}

/// How many entries are there, or what is wrong.
fn recover(disk: &SimDisk, bug: Bug) -> Result<u32, String> {
    let bytes = match disk.root().read("log", u64::MAX) {
        Ok(bytes) => bytes,
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(0),
        Err(other) => return Err(other.to_string()),
    };
    let mut found = 0;
    for chunk in bytes.chunks(ENTRY) {
        if bug == Bug::TrustsTheLength && chunk.len() < ENTRY {
            return Err(format!("the file ends at {}", bytes.len()));
        }
        let right = entry(found + 1);
        let follows = match bug {
            Bug::NoChecksum | Bug::TrustsTheLength => chunk[..4] == right[..4],
            _ => chunk == right,
        };
        if !follows {
            break;
        }
        if chunk != right {
            return Err(format!("entry {} is not what was written", found + 1));
        }
        found += 1;
    }
    Ok(found)
}

/// Appends three entries, crashes at each event in many ways; the first state that is wrong.
fn crash_everywhere(bug: Bug, seed: u64) -> Option<String> {
    let disk = SimDisk::new();
    let mut toy = Toy::create(disk.root().as_ref(), bug).unwrap();
    disk.fail(Fault::next(Call::Sync, Failure::Device).after(2));
    let mut acknowledged = vec![(disk.position(), 0)];
    for number in 1..=3 {
        if toy.append().is_err() {
            break;
        }
        acknowledged.push((disk.position(), number));
        if toy.after_acknowledgement().is_err() {
            break;
        }
    }
    let mut random = Random::new(seed);
    let mut replay = disk.history().replay();
    loop {
        let promised = acknowledged.iter().rfind(|(position, _)| *position <= replay.position());
        let promised = promised.map_or(0, |&(_, number)| number);
        for _ in 0..50 {
            let (first, then) = (CrashMode::any(&mut random), CrashMode::any(&mut random));
            let state = replay.crash_state(&mut random, first);
            // What a kill leaves is not durable: the power may go next.
            let later = state.crash_state(&mut random, then);
            for state in [state, later] {
                match recover(&state, bug) {
                    Ok(found) if found >= promised => {}
                    wrong => return Some(format!("{wrong:?} of {promised} after {first:?} and {then:?}")),
                }
            }
        }
        if !replay.advance() {
            return None;
        }
    }
}

#[test]
fn the_right_toy_survives_every_state() {
    for seed in 0..20 {
        assert_eq!(crash_everywhere(Bug::None, seed), None, "seed {seed}");
    }
}

#[test]
fn each_planted_bug_is_found() {
    for bug in [
        Bug::ForgetsDirectorySync,
        Bug::ForgetsSync,
        Bug::SyncsBeforeTheBody,
        Bug::NoChecksum,
        Bug::TrustsTheLength,
        Bug::RetriesAFailedSync,
        Bug::SyncsAfterTheAcknowledgement,
    ] {
        assert!(crash_everywhere(bug, 1).is_some(), "{bug:?} was not found");
    }
}

#[test]
fn the_exhaustive_walk_finds_a_forgotten_directory_sync_too() {
    for (bug, lost) in [(Bug::None, false), (Bug::ForgetsDirectorySync, true)] {
        let disk = SimDisk::new();
        let mut toy = Toy::create(disk.root().as_ref(), bug).unwrap();
        toy.append().unwrap();
        toy.append().unwrap();
        let mut states = disk.exhaustive_states(10_000);
        assert_eq!(states.any(|state| recover(&state, bug) != Ok(2)), lost, "{bug:?}");
        if !lost {
            assert!(states.is_complete(), "all states were walked");
        }
    }
}
