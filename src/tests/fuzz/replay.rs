//! Each target on its corpus, and on a few mutations of every file of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{TARGETS, Target};
use crate::sim::Random;

/// Mutations of a corpus, all files together.
const MUTATIONS: usize = 1_000;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// The files of a corpus, in the order of their names.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// What is wrong with what a target makes of an input; a panic is.
fn wrong(target: Target, input: &[u8]) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| target(input))) {
        Ok(checked) => checked.err(),
        Err(_) => Some("it panics".into()),
    }
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no corpus");
    for (path, input) in &seeds {
        if let Some(wrong) = wrong(target, input) {
            panic!("{}: {wrong}", path.display());
        }
    }
    let seed = std::env::var("RIVERBED_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut random = Random::new(seed);
    for _ in 0..MUTATIONS {
        let (path, input) = random.pick(&seeds).unwrap();
        let mutated = mutated(input, &mut random);
        if let Some(wrong) = wrong(target, &mutated) {
            let replay = format!("RIVERBED_SEED={seed} cargo test --lib fuzz::replay::{name}");
            panic!("{wrong}\n{mutated:02x?}\nis made of {}\n{replay}", path.display());
        }
    }
}

/// A few changes to `input`: bits, bytes and numbers of interest, pieces taken out and put in.
fn mutated(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + random.index(4) {
        let at = random.index(bytes.len() + 1);
        let len = random.index((bytes.len() - at).min(16) + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => _ = bytes.drain(at..at + len),
            2 => bytes.insert(at, random.bits() as u8),
            3 => {
                let piece = bytes[at..at + len].to_vec();
                let to = random.index(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            4 => {
                let number = *random.pick(&[0u64, 1, 0x7f, 0x80, u64::MAX, u64::MAX >> 1]).unwrap();
                let number = number.to_be_bytes();
                bytes[at..].iter_mut().zip(&number[8 - random.index(9)..]).for_each(|(old, new)| *old = *new);
            }
            _ => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes
}

/// A test for each target, and none without.
macro_rules! replay {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )+

        #[test]
        fn every_target_has_a_test_and_a_file_for_fuzzing() {
            let tested = [$(stringify!($name)),+];
            let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(tested, targets[..]);
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
            for name in targets {
                assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml lacks {name}");
                assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "fuzz_targets lacks {name}.rs");
            }
        }
    };
}

replay! { batch codec directory names_and_configs operations round_trip side_files varint }
