//! What crashes leave.

use std::collections::BTreeSet;

use crate::io::Way;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random, SectorSize, SimDisk};

/// A disk whose file `log` durably holds `durable` bytes of 1.
fn disk_with_log(durable: usize) -> (SimDisk, std::sync::Arc<dyn crate::io::Region>) {
    let disk = SimDisk::new();
    let root = disk.root();
    let log = root.create("log", 1 << 20).unwrap();
    log.reserve(durable as u64).unwrap();
    log.append(&vec![1; durable], &[], Way::Map).unwrap();
    log.sync().unwrap();
    root.sync().unwrap();
    (disk, log)
}

fn read(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.root().read(name, u64::MAX).ok()
}

fn cut(left: Left) -> CrashMode {
    CrashMode::PowerCut(PowerCut::leaving(left))
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_drops_or_keeps_the_rest() {
    let (disk, log) = disk_with_log(100);
    log.append(&[2; 50], &[3; 50], Way::Map).unwrap();
    let mut random = Random::new(1);
    let nothing = read(&disk.crash_state(&mut random, cut(Left::Nothing)), "log").unwrap();
    let all = read(&disk.crash_state(&mut random, cut(Left::All)), "log").unwrap();
    assert_eq!(nothing[..100], [1; 100]);
    assert!(nothing[100..].iter().all(|&byte| byte == 0));
    assert_eq!(all[100..200], [[2; 50], [3; 50]].concat());
    let heads = read(&disk.crash_state(&mut random, cut(Left::Heads)), "log").unwrap();
    assert_eq!(heads[100..150], [2; 50]);
    assert!(heads[150..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_power_cut_changes_the_power_and_a_kill_does_not() {
    let disk = SimDisk::new();
    let root = disk.root();
    let lock = root.lock().unwrap();
    assert!(!lock.same_power(), "an empty lock file tells nothing");
    lock.keep_power().unwrap();
    let mut random = Random::new(2);
    assert!(disk.crash_state(&mut random, CrashMode::Kill).root().lock().unwrap().same_power());
    assert!(!disk.crash_state(&mut random, cut(Left::All)).root().lock().unwrap().same_power());
}

#[test]
fn a_kill_leaves_dirty_bytes_dirty() {
    let (disk, log) = disk_with_log(10);
    log.append(&[2; 5], &[], Way::Map).unwrap();
    log.reserve(9_000).unwrap();
    let mut random = Random::new(3);
    let killed = disk.crash_state(&mut random, CrashMode::Kill);
    assert_eq!(read(&killed, "log").unwrap()[10..15], [2; 5]);
    let cut = killed.crash_state(&mut random, cut(Left::Nothing));
    assert_eq!(read(&cut, "log").unwrap()[10..15], [0; 5]);
}

#[test]
fn a_kill_cuts_a_store_through_a_map_at_any_byte_and_a_positioned_write_at_pages() {
    for (way, expected) in [(Way::Map, 9_001), (Way::Positioned, 4)] {
        let (disk, log) = disk_with_log(100);
        log.reserve(10_000).unwrap();
        let before = disk.position();
        log.append(&[], &[2; 9_000], way).unwrap();
        let replay = disk.history().at(before);
        let mut random = Random::new(4);
        let mut lengths = BTreeSet::new();
        for _ in 0..40_000 {
            let killed = read(&replay.crash_state(&mut random, CrashMode::Kill), "log").unwrap();
            let twos = killed.iter().filter(|&&byte| byte == 2).count();
            assert!(killed[100..100 + twos].iter().all(|&byte| byte == 2), "the bytes there are the first ones");
            lengths.insert(twos);
        }
        assert!(lengths.len() > expected * 9 / 10 && lengths.len() <= expected, "{way:?}: {}", lengths.len());
        if way == Way::Positioned {
            assert_eq!(lengths, BTreeSet::from([0, 3_996, 8_092, 9_000]));
        }
    }
}

#[test]
fn sectors_are_cut_one_by_one_and_torn_at_words() {
    let (disk, log) = disk_with_log(512);
    log.reserve(4096).unwrap();
    for value in 2..5 {
        log.append(&[value; 512], &[], Way::Map).unwrap();
    }
    let mut random = Random::new(5);
    let (mut holes, mut torn) = (0, 0);
    for _ in 0..2_000 {
        let bytes = read(&disk.crash_state(&mut random, cut(Left::TornPerSector)), "log").unwrap();
        assert_eq!(bytes[..512], [1; 512]);
        let sectors: Vec<&[u8]> = bytes[512..].chunks(512).take(3).collect();
        for (sector, value) in sectors.iter().zip(2u8..) {
            for word in sector.chunks(8) {
                assert!(word.iter().all(|&byte| byte == word[0]) && [0, value].contains(&word[0]));
            }
            torn += usize::from(sector.len() == 512 && sector.contains(&0) && sector.contains(&value));
        }
        holes += usize::from(sectors.len() == 3 && sectors[0][0] == 0 && sectors[2].iter().all(|&byte| byte == 4));
    }
    assert!(holes > 100, "valid data behind a hole is a normal state: {holes}");
    assert!(torn > 500, "{torn}");
}

#[test]
fn a_length_may_be_any_the_file_had_since_its_last_sync() {
    let (disk, log) = disk_with_log(100);
    log.reserve(4_097).unwrap();
    log.finish().unwrap();
    let mut random = Random::new(6);
    let lengths: BTreeSet<usize> =
        (0..200).map(|_| read(&disk.crash_state(&mut random, cut(Left::AnyPerSector)), "log").unwrap().len()).collect();
    assert_eq!(lengths, BTreeSet::from([100, 4_096, 8_192]));
}

#[test]
fn names_come_in_any_subset_or_as_a_prefix_until_the_directory_is_synced() {
    let disk = SimDisk::new();
    for name in ["a", "b", "c"] {
        disk.root().create(name, 10).unwrap();
    }
    let seen = |names_in_order| {
        let mut random = Random::new(7);
        let cut = PowerCut { left: Left::AnyPerSector, sector: SectorSize::Small, names_in_order };
        let states = (0..500).map(|_| {
            let left = disk.crash_state(&mut random, CrashMode::PowerCut(cut)).root().list().unwrap();
            left.into_iter().map(|entry| entry.name).collect::<String>()
        });
        states.collect::<BTreeSet<String>>()
    };
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(seen(false), named(&["", "a", "ab", "abc", "ac", "b", "bc", "c"]));
    assert_eq!(seen(true), named(&["", "a", "ab", "abc"]));
    disk.root().sync().unwrap();
    assert_eq!(seen(false), named(&["abc"]));
}

#[test]
fn exhaustive_states_are_all_combinations_once() {
    // 12 sectors, each there or not: 4,096 subsets.
    let (disk, log) = disk_with_log(0);
    log.reserve(8_192).unwrap();
    log.sync().unwrap();
    for value in 1..=12 {
        log.append(&[value; 512], &[], Way::Map).unwrap();
    }
    let mut states = disk.exhaustive_states(5_000);
    let distinct: BTreeSet<Vec<u8>> = states.by_ref().map(|disk| read(&disk, "log").unwrap()).collect();
    assert_eq!(distinct.len(), 4_096);
    assert!(states.is_complete());

    // Two stores to one sector are 3 states, two lengths 2, two names 4; a file without a name takes its states along.
    let disk = SimDisk::new();
    let log = disk.root().create("log", 4_096).unwrap();
    disk.root().sync().unwrap();
    log.reserve(100).unwrap();
    log.append(&[1; 10], &[2; 10], Way::Map).unwrap();
    disk.root().create("x", 1).unwrap();
    disk.root().create("y", 1).unwrap();
    assert_eq!(disk.exhaustive_states(usize::MAX).count(), 3 * 2 * 4);
    let mut first = disk.exhaustive_states(5);
    assert_eq!(first.by_ref().count(), 5);
    assert!(!first.is_complete());
}

#[test]
fn a_history_crashes_at_each_of_its_points() {
    let (disk, log) = disk_with_log(100);
    let before = disk.position();
    log.append(&[2; 100], &[], Way::Positioned).unwrap();
    log.sync().unwrap();
    log.append(&[3; 100], &[], Way::Positioned).unwrap();
    let history = disk.history();
    assert_eq!(history.len(), before + 3);
    assert!(history.sync_points().ends_with(&[before + 1, before + 2]));
    let mut random = Random::new(8);
    let twos = |point: usize, random: &mut Random, left| {
        let disk = history.at(point).crash_state(random, cut(left));
        read(&disk, "log").unwrap().iter().filter(|&&byte| byte == 2).count()
    };
    assert_eq!(twos(before, &mut random, Left::All), 0);
    assert_eq!(twos(before + 1, &mut random, Left::All), 100);
    assert_eq!(twos(before + 1, &mut random, Left::Nothing), 0);
    assert_eq!(twos(before + 2, &mut random, Left::Nothing), 100);
    assert_eq!(history.at(usize::MAX).position(), history.len());
}

#[test]
fn the_same_seed_draws_the_same_states() {
    let (disk, log) = disk_with_log(700);
    log.reserve(3_000).unwrap();
    log.append(&[2; 500], &[3; 1_500], Way::Map).unwrap();
    disk.root().create("other", 10).unwrap();
    let states = |seed| {
        let mut random = Random::new(seed);
        let states = (0..50).map(|_| {
            let mode = CrashMode::any(&mut random);
            let left = disk.crash_state(&mut random, mode);
            (read(&left, "log"), read(&left, "other"))
        });
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(9), states(9));
    assert_ne!(states(9), states(10));
}

#[test]
fn without_powersafe_overwrite_durable_bytes_are_garbled_too() {
    let (disk, log) = disk_with_log(512);
    log.append(&[], &[], Way::Map).unwrap();
    log.reserve(1_000).unwrap();
    log.append(&[2; 10], &[], Way::Map).unwrap();
    let mut random = Random::new(10);
    let hurt = (0..100).filter(|_| {
        let left = disk.crash_state(&mut random, cut(Left::Garbage));
        read(&left, "log").unwrap()[..512] != [1; 512]
    });
    assert!((1..100).contains(&hurt.count()));
}

#[test]
fn a_file_whose_removal_was_not_synced_may_come_back() {
    let (disk, _log) = disk_with_log(100);
    disk.root().unlink("log").unwrap();
    assert_eq!(disk.used(), 0);
    let mut random = Random::new(11);
    assert_eq!(read(&disk.crash_state(&mut random, cut(Left::Nothing)), "log").unwrap()[..100], [1; 100]);
    assert_eq!(read(&disk.crash_state(&mut random, cut(Left::All)), "log"), None);
}

#[test]
fn tens_of_thousands_of_states_of_a_small_log_come_in_a_second() {
    let (disk, log) = disk_with_log(300);
    log.reserve(9_000).unwrap();
    for _ in 0..20 {
        log.append(&[2; 61], &[3; 100], Way::Map).unwrap();
    }
    let mut random = Random::new(12);
    let clock = crate::clock::SystemClock::precise();
    let start = crate::clock::Clock::monotonic(&clock);
    for _ in 0..5_000 {
        let mode = CrashMode::any(&mut random);
        assert_eq!(disk.crash_state(&mut random, mode).position(), 0);
    }
    let taken = crate::clock::Clock::monotonic(&clock) - start;
    assert!(taken.as_millis() < 2_500, "5,000 states took {taken:?}");
}

#[test]
fn a_history_replayed_ends_as_the_disk_it_is_of_though_that_was_read_in_between() {
    let (disk, log) = disk_with_log(100);
    log.reserve(1_500).unwrap();
    log.append(&[2; 700], &[], Way::Map).unwrap();
    disk.fail(Fault::next(Call::Sync, Failure::Device));
    log.sync().unwrap_err();
    assert_eq!(read(&disk, "log").unwrap().len(), 4_096, "read with the zeros behind what was stored");
    disk.root().open_append("log", 800, 4_096).unwrap();
    let replayed = disk.history().at(usize::MAX);
    for left in [Left::Nothing, Left::All] {
        let states = [&disk, &replayed.crash_state(&mut Random::new(1), CrashMode::Kill)]
            .map(|disk| read(&disk.crash_state(&mut Random::new(1), cut(left)), "log"));
        assert_eq!(states[0], states[1]);
    }
    assert!(!disk.has_lost_writes(), "shortening the file made its last page dirty, and then it was synced");
}

/// An opening that found the length it wanted took it for durable. The process that had set it may have died before its
/// sync: then a power cut brought the cut bytes back, behind whatever was appended in their place.
#[test]
fn a_length_that_a_killed_process_set_is_durable_once_its_successor_may_append() {
    let (disk, _) = disk_with_log(1_000);
    let before = disk.position();
    disk.root().open_append("log", 400, 4_096).unwrap();
    let mut random = Random::new(1);
    let killed = disk.history().at(before + 1).crash_state(&mut random, CrashMode::Kill);
    assert_eq!(read(&killed, "log").unwrap().len(), 400, "cut, and killed before the sync");
    assert_ne!(read(&killed.crash_state(&mut random, cut(Left::Nothing)), "log").unwrap().len(), 400);
    killed.root().open_append("log", 400, 4_096).unwrap();
    assert_eq!(read(&killed.crash_state(&mut random, cut(Left::Nothing)), "log").unwrap(), [1; 400]);
}
