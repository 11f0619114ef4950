use std::fs::File;
use std::os::unix::process::ExitStatusExt;

use super::*;
use crate::io::{Budget, Directory, OsDirectory, Region, Way, child};

const PAGE: u64 = 4096;

fn open(path: &std::path::Path) -> Arc<dyn Directory> {
    OsDirectory::create(path, Budget::of_process()).unwrap()
}

fn truncate(region: &Arc<dyn Region>, len: u64) {
    File::options().write(true).open(region.path()).unwrap().set_len(len).unwrap();
}

#[test]
fn a_truncated_file_shows_zeros_and_trips_its_latch_alone() {
    if child::succeeds("io::sigbus::tests::a_truncated_file_shows_zeros_and_trips_its_latch_alone") {
        return;
    }
    guard_against_sigbus().unwrap();
    guard_against_sigbus().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let directory = open(temporary.path());
    let contents = vec![7; 1 << 16];
    for name in ["hurt", "other"] {
        directory.put(name, &contents).unwrap();
    }
    let hurt = directory.open_sealed("hurt", 1 << 16);
    let other = directory.open_sealed("other", 1 << 16);
    let (view, other_view) = (hurt.view().unwrap(), other.view().unwrap());
    let slice = view.slice(5 * 4096..5 * 4096 + 10);
    truncate(&hurt, 2 * PAGE);
    assert!(!hurt.poisoned());
    assert!(view[..2 * 4096] == contents[..2 * 4096]);
    assert_eq!(*slice, [0; 10]);
    assert!(hurt.poisoned() && !other.poisoned());
    assert_eq!(hurt.view().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(*other_view, *contents);
    // Maps come and go; places in the table are used again.
    for _ in 0..100 {
        drop(directory.open_sealed("other", 1 << 16).view().unwrap());
    }
    assert!(UNUSED.load(Ordering::Relaxed) < 10);
}

#[test]
fn a_store_to_a_page_that_is_gone_is_not_published() {
    if child::succeeds("io::sigbus::tests::a_store_to_a_page_that_is_gone_is_not_published") {
        return;
    }
    guard_against_sigbus().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let region = open(temporary.path()).create("a.log", 1 << 20).unwrap();
    for _ in 0..10 {
        region.append(&[1; 61], &[2; 1000], Way::Map).unwrap();
    }
    let len = region.len();
    truncate(&region, 0);
    assert_eq!(region.append(&[3; 61], &[4; 1000], Way::Map).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(region.len(), len);
    assert!(region.append(&[3; 61], &[4; 1000], Way::Positioned).is_err());
}

#[test]
fn a_signal_that_is_not_ours_ends_the_process_as_before() {
    let name = "io::sigbus::tests::a_signal_that_is_not_ours_ends_the_process_as_before";
    let Some(output) = child::run(name) else {
        guard_against_sigbus().unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * PAGE).unwrap();
        // SAFETY: the file is not used by anybody else, and meant to be cut.
        let map = unsafe { memmap2::Mmap::map(&file).unwrap() };
        file.set_len(0).unwrap();
        // Ends here.
        std::process::exit(i32::from(map[5000]));
    };
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
}

#[test]
fn the_handler_that_was_there_before_gets_what_is_not_ours() {
    extern "C" fn exit_42(_: c_int) {
        // SAFETY: allowed in a handler.
        unsafe { libc::_exit(42) };
    }
    let name = "io::sigbus::tests::the_handler_that_was_there_before_gets_what_is_not_ours";
    let Some(output) = child::run(name) else {
        let mut action = action(None).unwrap();
        action.sa_flags = 0;
        action.sa_sigaction = exit_42 as extern "C" fn(c_int) as libc::sighandler_t;
        super::action(Some(&action)).unwrap();
        guard_against_sigbus().unwrap();
        // SAFETY: sends a signal to ourselves.
        unsafe { libc::raise(libc::SIGBUS) };
        return;
    };
    assert_eq!(output.status.code(), Some(42));
}
