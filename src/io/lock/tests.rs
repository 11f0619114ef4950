use std::os::fd::AsRawFd;
use std::process::Command;

use super::*;
use crate::io::{Budget, Directory, OpenMode, OsDirectory, Way, child};

fn directory(path: &std::path::Path) -> Arc<dyn Directory> {
    OsDirectory::open(path, OpenMode::Write, Budget::of_process()).unwrap()
}

fn refused(directory: &Arc<dyn Directory>) -> bool {
    match directory.lock() {
        Ok(_) => false,
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::AlreadyOpen, "{e}");
            true
        }
    }
}

#[test]
fn another_handle_another_process_and_a_record_lock_are_kept_out() {
    let temporary = tempfile::tempdir().unwrap();
    let lock = directory(temporary.path()).lock().unwrap();
    assert!(refused(&directory(temporary.path())), "another handle");
    // What Java's `FileLock` is, taken by another process.
    let program = "import fcntl,sys
try: fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError: sys.exit(7)";
    let try_it = || Command::new("python3").args(["-c", program]).arg(temporary.path().join(NAME)).status();
    match try_it() {
        Ok(status) => assert_eq!(status.code(), Some(7)),
        Err(e) => eprintln!("skipped, no python3: {e}"),
    }
    drop(lock);
    assert!(!refused(&directory(temporary.path())));
    if let Ok(status) = try_it() {
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn a_forked_child_neither_keeps_nor_frees_the_lock_and_its_handles_are_closed() {
    if child::succeeds("io::lock::tests::a_forked_child_neither_keeps_nor_frees_the_lock_and_its_handles_are_closed") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let directory = directory(temporary.path());
    let region = directory.create("a.log", 1 << 16).unwrap();
    region.append(b"a", b"b", Way::Map).unwrap();
    let view = region.view().unwrap();
    let mut lock = directory.lock().ok();
    let status = child::forked(|| {
        let closed = |kind: ErrorKind| kind == ErrorKind::Closed;
        let checks = [
            region.append(b"c", b"d", Way::Map).is_err_and(|e| closed(e.kind())),
            region.sync().is_err_and(|e| closed(e.kind())),
            directory.list().is_err_and(|e| closed(e.kind())),
            directory.unlink("a.log").is_err_and(|e| closed(e.kind())),
            lock.as_ref().unwrap().keep_power().is_err_and(|e| closed(e.kind())),
            &*view == b"ab",
        ];
        // Must not unlock the parent's.
        lock = None;
        checks == [true; 6]
    });
    assert_eq!(status, 0, "the child's handles answer that they are closed");
    assert!(lock.is_some() && refused(&directory), "the child's drop did not unlock");
    region.append(b"c", b"d", Way::Map).unwrap();
    assert_eq!(&*region.view().unwrap(), b"abcd");
}

#[test]
fn the_lock_outlives_a_childs_copy_and_ends_with_the_parents() {
    if child::succeeds("io::lock::tests::the_lock_outlives_a_childs_copy_and_ends_with_the_parents") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let directory = directory(temporary.path());
    let lock = directory.lock().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    // The child lives until the parent closes the pipe; it does not drop its copy of the lock.
    let status = child::forked(|| {
        let other = OsDirectory::open(temporary.path(), OpenMode::Write, Budget::of_process()).unwrap();
        refused(&other)
    });
    assert_eq!(status, 0, "the parent still has it");
    // SAFETY: as above; the child only waits.
    #[expect(unsafe_code, reason = "forks")]
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(writer);
        std::io::Read::read(&mut &reader, &mut [0]).unwrap();
        // SAFETY: ends the child at once.
        #[expect(unsafe_code, reason = "ends a child")]
        unsafe {
            libc::_exit(0)
        };
    }
    drop(lock);
    assert!(!refused(&directory), "the living child does not keep it");
    assert!(reader.as_raw_fd() >= 0);
    drop(writer);
}

#[test]
fn the_power_is_known_while_boot_and_mount_stay() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = directory(temporary.path());
    let lock = directory.lock().unwrap();
    let known = power::current(std::fs::File::open(temporary.path()).unwrap()).is_some();
    assert!(!lock.same_power());
    lock.keep_power().unwrap();
    drop(lock);
    assert_eq!(directory.lock().unwrap().same_power(), known);
    let path = temporary.path().join(NAME);
    let good = std::fs::read(&path).unwrap();
    for (place, kind) in [(12, None), (30, None), (9, Some(ErrorKind::UnsupportedVersion))] {
        let mut bytes = good.clone();
        let Some(byte) = bytes.get_mut(place) else { break };
        *byte ^= 2;
        std::fs::write(&path, &bytes).unwrap();
        let answer = directory.lock();
        assert_eq!(answer.as_ref().err().map(Error::kind), kind);
        assert!(answer.map_or(true, |lock| !lock.same_power()), "place {place}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "not touched");
    }
}

#[test]
fn a_lock_file_that_kafka_left_is_taken() {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::write(temporary.path().join(NAME), b"").unwrap();
    assert!(!directory(temporary.path()).lock().unwrap().same_power());
}
