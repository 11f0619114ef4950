//! Calls that fail, a disk that is full, locks.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{ErrorKind, Result};
use crate::io::Way;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random, SimDisk};

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn power_cut(disk: &SimDisk) -> SimDisk {
    disk.crash_state(&mut Random::new(1), CrashMode::PowerCut(PowerCut::leaving(Left::All)))
}

#[test]
fn the_call_that_was_chosen_fails_and_no_other() {
    let disk = SimDisk::new();
    let root = disk.root();
    disk.fail(Fault::next(Call::Create, Failure::Descriptors).after(1));
    disk.fail(Fault::next(Call::Sync, Failure::Device).on(".log").times(2));
    let log = root.create("a.log", 4_096).unwrap();
    assert_eq!(kind(root.create("b.log", 4_096)), ErrorKind::TooManyFiles);
    let other = root.create("c", 4_096).unwrap();
    other.sync().unwrap();
    assert_eq!(kind(log.sync()), ErrorKind::Io);
    assert_eq!(kind(log.sync()), ErrorKind::Io);
    log.sync().unwrap();
    assert_eq!(disk.calls(Some(Call::Sync)), 4);
    assert_eq!(disk.calls(Some(Call::Create)), 3);
    assert_eq!(disk.calls(None), 7);
    disk.fail(Fault::next_of_any_kind(Failure::Full));
    disk.pause_faults(true);
    assert_eq!(root.list().unwrap().len(), 2);
    disk.pause_faults(false);
    assert_eq!(disk.calls(None), 7);
    assert_eq!(kind(root.list()), ErrorKind::StorageFull);
    disk.fail(Fault::next(Call::List, Failure::Device));
    disk.heal();
    assert_eq!(root.list().unwrap().len(), 2);
}

#[test]
fn each_step_of_replacing_a_file_can_fail_and_leaves_the_old_or_the_new() {
    let mut failed = 0;
    loop {
        let disk = SimDisk::new();
        let root = disk.root();
        root.replace("mark", b"old").unwrap();
        disk.fail(Fault::next_of_any_kind(Failure::Device).after(failed));
        let replaced = root.replace("mark", b"new");
        disk.heal();
        let now = root.read("mark", 100).unwrap();
        assert_eq!(root.list().unwrap().len(), 1, "no temporary file is left");
        let mut random = Random::new(failed);
        for _ in 0..200 {
            let mode = CrashMode::any(&mut random);
            let left = disk.crash_state(&mut random, mode).root().read("mark", 100).unwrap();
            let possible: &[&[u8]] = if replaced.is_ok() { &[b"new"] } else { &[b"old", b"new"] };
            assert!(possible.contains(&left.as_slice()), "step {failed}: {left:?} was {now:?}");
        }
        if replaced.is_ok() {
            break;
        }
        failed += 1;
    }
    assert_eq!(failed, 6, "replace, create, write, sync, rename, sync of the directory");
}

#[test]
fn bytes_whose_sync_failed_never_become_durable_though_the_next_sync_succeeds() {
    let disk = SimDisk::new();
    let root = disk.root();
    let log = root.create("log", 100_000).unwrap();
    log.reserve(20_000).unwrap();
    root.sync().unwrap();
    log.append(&[1; 5_000], &[], Way::Positioned).unwrap();
    disk.fail(Fault::next(Call::Sync, Failure::Device));
    assert_eq!(kind(log.sync()), ErrorKind::Io);
    log.sync().unwrap();
    assert_eq!(log.view().unwrap()[..5_000], [1; 5_000], "the page cache still shows them");
    let left = power_cut(&disk).root().read("log", 100_000).unwrap();
    assert!(left.iter().all(|&byte| byte == 0));

    // A store into one of the pages makes that page dirty as a whole; the other stays lost.
    log.append(&[2; 100], &[], Way::Positioned).unwrap();
    log.sync().unwrap();
    assert!(disk.has_lost_writes());
    let left = power_cut(&disk).root().read("log", 100_000).unwrap();
    assert_eq!(left[..4_096], [0; 4_096]);
    assert_eq!(left[4_096..5_100], [[1; 904].as_slice(), &[2; 100]].concat());
}

#[test]
fn a_failed_write_back_is_told_once_to_those_who_had_the_file_open() {
    let disk = SimDisk::new();
    let root = disk.root();
    let log = root.create("log", 100).unwrap();
    log.reserve(100).unwrap();
    log.append(&[1; 10], &[], Way::Map).unwrap();
    disk.fail_write_back();
    let reopened = root.open_append("log", 10, 100).unwrap();
    reopened.sync().unwrap();
    assert_eq!(kind(log.sync()), ErrorKind::Io);
    log.sync().unwrap();
}

#[test]
fn a_failed_sync_of_a_directory_loses_its_changes_for_good() {
    let disk = SimDisk::new();
    let root = disk.root();
    root.create("lost", 10).unwrap();
    disk.fail(Fault::next(Call::SyncDirectory, Failure::Device));
    assert_eq!(kind(root.sync()), ErrorKind::Io);
    root.create("kept", 10).unwrap();
    root.sync().unwrap();
    let names =
        |disk: &SimDisk| -> Vec<String> { disk.root().list().unwrap().into_iter().map(|entry| entry.name).collect() };
    assert_eq!(names(&power_cut(&disk)), ["kept"]);
    // A killed process's successor sees what the cache shows, or, where that was dropped, what the disk holds.
    let mut random = Random::new(1);
    let seen: BTreeSet<_> = (0..50).map(|_| names(&disk.crash_state(&mut random, CrashMode::Kill))).collect();
    assert_eq!(seen, BTreeSet::from([vec!["kept".to_owned()], vec!["kept".to_owned(), "lost".to_owned()]]));
}

/// Without a descriptor a sync of a directory never began, and a file that is to be replaced is not.
#[test]
fn without_a_descriptor_for_its_directory_nothing_is_lost_and_nothing_replaced() {
    let disk = SimDisk::new();
    let root = disk.root();
    root.replace("mark", b"old").unwrap();
    root.create("kept", 10).unwrap();
    disk.fail(Fault::next(Call::SyncDirectory, Failure::Descriptors).times(2));
    assert_eq!(kind(root.sync()), ErrorKind::TooManyFiles);
    assert_eq!(kind(root.replace("mark", b"new")), ErrorKind::TooManyFiles);
    assert_eq!(root.read("mark", 10).unwrap(), b"old");
    root.sync().unwrap();
    let left = power_cut(&disk).root();
    assert_eq!(left.list().unwrap().len(), 2);
    assert_eq!(left.read("mark", 10).unwrap(), b"old");
}

#[test]
fn a_full_disk_refuses_room_and_undoes_what_it_gave() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(20_000));
    let root = disk.root();
    let log = root.create("log", 1 << 20).unwrap();
    log.reserve(10_000).unwrap();
    let used = disk.used();
    assert_eq!(kind(log.reserve(30_000)), ErrorKind::StorageFull);
    assert_eq!(disk.used(), used);
    log.append(&[1; 10_000], &[], Way::Map).unwrap();
    root.replace("mark", &[0; 5_000]).unwrap();
    assert_eq!(kind(root.replace("mark", &[0; 5_000])), ErrorKind::StorageFull, "both are there for a moment");
    assert_eq!(root.list().unwrap().len(), 2, "no temporary file is left");
    root.unlink("mark").unwrap();
    log.reserve(15_000).unwrap();
    disk.set_capacity(Some(0));
    assert_eq!(kind(root.create("more", 1)), ErrorKind::StorageFull);
    assert_eq!(kind(root.create_subdirectory("more")), ErrorKind::StorageFull);
    root.unlink("log").unwrap();
    assert_eq!(disk.used(), 0);
}

#[test]
fn a_failed_append_publishes_nothing_and_the_next_one_takes_its_place() {
    let disk = SimDisk::new();
    let log = disk.root().create("log", 100).unwrap();
    log.reserve(100).unwrap();
    log.append(&[1; 10], &[], Way::Map).unwrap();
    disk.fail(Fault::next(Call::Append, Failure::Full));
    assert_eq!(kind(log.append(&[2; 10], &[2; 10], Way::Positioned)), ErrorKind::StorageFull);
    assert_eq!(log.len(), 10);
    log.append(&[3; 5], &[3; 5], Way::Positioned).unwrap();
    assert_eq!(log.view().unwrap()[..], [[1; 10], [3; 10]].concat());
}

#[test]
fn a_directory_has_one_lock_and_a_crash_frees_it() {
    let disk = SimDisk::new();
    let root = disk.root();
    let lock = root.lock().unwrap();
    assert_eq!(kind(disk.root().lock()), ErrorKind::AlreadyOpen);
    disk.crash_state(&mut Random::new(1), CrashMode::Kill).root().lock().unwrap();
    drop(lock);
    root.lock().unwrap();
}

#[test]
fn a_bit_flips_where_it_is_told_to() {
    let disk = SimDisk::new();
    disk.root().replace("mark", &[0; 4]).unwrap();
    disk.flip_bit(Path::new("/mark"), 2, 7).unwrap();
    assert_eq!(disk.root().read("mark", 4).unwrap(), [0, 0, 0x80, 0]);
    assert_eq!(power_cut(&disk).root().read("mark", 4).unwrap(), [0, 0, 0x80, 0]);
    assert_eq!(kind(disk.flip_bit(Path::new("/mark"), 4, 0)), ErrorKind::InvalidArgument);
    assert_eq!(kind(disk.flip_bit(Path::new("/none"), 0, 0)), ErrorKind::NotFound);
}
