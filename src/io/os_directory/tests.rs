use std::cell::Cell;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::io::{Way, child, suite};

/// Runs the suite in directories below `base`. `prepare` sees each one first.
fn run_suite(base: &Path, prepare: impl Fn(&OsDirectory)) {
    let temporary = tempfile::tempdir_in(base).unwrap();
    let number = Cell::new(0);
    suite::run(|| {
        number.set(number.get() + 1);
        let path = temporary.path().join(number.get().to_string());
        fs::create_dir(&path).unwrap();
        let root = Root::open(&path, OpenMode::Write, Budget::new(100, 100)).unwrap();
        let directory = OsDirectory { place: Place::new(root) };
        prepare(&directory);
        Arc::new(directory)
    });
}

#[test]
fn it_keeps_the_promises_of_a_directory() {
    run_suite(&std::env::temp_dir(), |_| {});
    run_suite(Path::new("/dev/shm"), |_| {});
}

#[test]
fn it_keeps_them_without_openat2() {
    run_suite(&std::env::temp_dir(), |directory| directory.place.root.forget_openat2());
}

/// A directory for writing in a temporary one, with a secret file beside it.
fn beside_a_secret() -> (tempfile::TempDir, PathBuf, Arc<dyn Directory>) {
    let temporary = tempfile::tempdir().unwrap();
    fs::create_dir(temporary.path().join("elsewhere")).unwrap();
    let secret = temporary.path().join("elsewhere/a.log");
    fs::write(&secret, b"secret").unwrap();
    let data = OsDirectory::create(&temporary.path().join("deep/data"), Budget::of_process()).unwrap();
    (temporary, secret, data)
}

#[test]
fn a_planted_link_is_never_followed() {
    for walk in [false, true] {
        let (temporary, secret, _) = beside_a_secret();
        let data = temporary.path().join("deep/data");
        let root = Root::open(&data, OpenMode::Write, Budget::of_process()).unwrap();
        if walk {
            root.forget_openat2();
        }
        let directory = OsDirectory { place: Place::new(root) };
        for name in ["a.log", "b.tmp", ".lock"] {
            symlink(&secret, data.join(name)).unwrap();
        }
        symlink(temporary.path().join("elsewhere"), data.join("t-0")).unwrap();
        symlink(temporary.path().join("nothing"), data.join("dangling")).unwrap();
        assert!(directory.create("a.log", 100).is_err());
        assert!(directory.create("dangling", 100).is_err());
        assert!(directory.open_append("a.log", 0, 100).is_err());
        assert!(directory.open_sealed("a.log", 6).view().is_err());
        assert!(directory.open_tail("a.log").is_err());
        assert!(directory.read("a.log", 100).is_err());
        assert!(directory.lock().is_err());
        let below = directory.subdirectory("t-0").unwrap();
        assert!(below.list().is_err() && below.read("a.log", 100).is_err() && below.put("x", b"").is_err());
        assert!(below.unlink("a.log").is_err() && below.rename("a.log", "b.log").is_err() && below.sync().is_err());
        assert!(below.create("x", 10).is_err() && below.create_subdirectory("x").is_err());
        assert!(directory.create_subdirectory("t-0").is_err() && directory.remove_subdirectory("t-0").is_err());
        // A link where a temporary file goes is replaced, not written through, and so is one of the name itself.
        directory.replace("b", b"new").unwrap();
        directory.replace("a.log", b"new").unwrap();
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
        assert_eq!(fs::read_dir(temporary.path().join("elsewhere")).unwrap().count(), 1);
        assert!(!temporary.path().join("nothing").exists());
        let others = directory.list().unwrap().into_iter().filter(|entry| entry.kind == EntryKind::Other);
        assert_eq!(others.count(), 3, ".lock, t-0 and dangling");
    }
}

#[test]
fn a_fifo_does_not_block_and_is_no_file() {
    let (temporary, _, directory) = beside_a_secret();
    let path = temporary.path().join("deep/data/a.log");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let failed = directory.read("a.log", 100).unwrap_err();
    assert!(failed.to_string().contains("not a regular file"), "{failed}");
    assert!(directory.open_append("a.log", 0, 100).is_err());
    assert!(directory.open_tail("a.log").is_err());
    assert!(directory.open_sealed("a.log", 1).view().is_err());
    assert_eq!(directory.list().unwrap()[0].kind, EntryKind::Other);
    directory.replace("a.log", b"x").unwrap();
    assert_eq!(directory.read("a.log", 100).unwrap(), b"x");
}

#[test]
fn reading_only_changes_nothing() {
    let (temporary, _, writer) = beside_a_secret();
    writer.put("a.log", b"0123").unwrap();
    writer.create_subdirectory("t-0").unwrap();
    let path = temporary.path().join("deep/data");
    let names = || fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let before = names();
    let directory = OsDirectory::open(&path, OpenMode::ReadOnly, Budget::of_process()).unwrap();
    let answers = [
        directory.create("b.log", 10).map(drop),
        directory.open_append("a.log", 2, 10).map(drop),
        directory.replace("a.log", b"x"),
        directory.put("c", b"x"),
        directory.rename("a.log", "b.log"),
        directory.unlink("a.log"),
        directory.sync(),
        directory.create_subdirectory("t-1").map(drop),
        directory.remove_subdirectory("t-0"),
        directory.subdirectory("t-0").unwrap().put("c", b"x"),
        directory.lock().map(drop),
        directory.open_tail("a.log").unwrap().append(b"x", b"", Way::Positioned),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.err().map(|e| e.kind()), Some(ErrorKind::ReadOnly), "call {number}");
    }
    assert_eq!(names(), before);
    assert_eq!(&*directory.open_sealed("a.log", 4).view().unwrap(), b"0123");
    assert_eq!(directory.read("a.log", 4).unwrap(), b"0123");
}

#[test]
fn what_cannot_be_opened_says_why() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("file");
    fs::write(&file, b"").unwrap();
    let kind = |path: &Path, mode| OsDirectory::open(path, mode, Budget::of_process()).err().map(|e| e.kind());
    assert_eq!(kind(&file, OpenMode::Write), Some(ErrorKind::NotADirectory));
    assert_eq!(kind(&temporary.path().join("none"), OpenMode::ReadOnly), Some(ErrorKind::NotFound));
    assert!(OsDirectory::create(&file, Budget::of_process()).is_err());
}

#[test]
fn subdirectories_share_one_descriptor() {
    let temporary = tempfile::tempdir().unwrap();
    let budget = Budget::new(10, 10);
    let directory = OsDirectory::create(temporary.path(), Arc::clone(&budget)).unwrap();
    let below: Vec<_> = (0..200).map(|i| directory.create_subdirectory(&format!("t-{i}")).unwrap()).collect();
    for directory in &below {
        directory.put("a", b"a").unwrap();
        assert_eq!(directory.open_append("a", 1, 1 << 20).unwrap().len(), 1);
    }
    assert_eq!(budget.stats().descriptors, 1);
}

#[test]
fn too_few_descriptors_in_the_process_are_a_typed_error() {
    if child::succeeds("io::os_directory::tests::too_few_descriptors_in_the_process_are_a_typed_error") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: `limit` is valid; the process runs this test alone.
    #[expect(unsafe_code, reason = "sets a limit")]
    let answer = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(answer, 0);
    assert_eq!(Budget::of_process().stats().descriptors_max, 48);
    // A budget that the process cannot keep: the kernel says so, and all is as it was.
    let directory = OsDirectory::create(&temporary.path().join("a"), Budget::new(1000, 1000)).unwrap();
    let mut regions = Vec::new();
    let error = loop {
        match directory.create(&format!("{}.log", regions.len()), 1 << 16) {
            Ok(region) => regions.push(region),
            Err(e) => break e,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TooManyFiles, "{error}");
    regions.truncate(20);
    directory.create("after.log", 1 << 16).unwrap();
    drop(regions);
    // One that it can keep: many more files than descriptors are written to, and no byte is lost.
    let directory = OsDirectory::create(&temporary.path().join("b"), Budget::of_process()).unwrap();
    let regions: Vec<_> = (0..200).map(|i| directory.create(&format!("{i}.log"), 1 << 16).unwrap()).collect();
    for round in 0..3u8 {
        for region in &regions {
            region.append(&[round; 10], &[round; 90], if round == 1 { Way::Positioned } else { Way::Map }).unwrap();
        }
    }
    for region in &regions {
        region.sync().unwrap();
        let view = region.view().unwrap();
        assert!(view.len() == 300 && view[100..200] == [1; 100] && view[200..] == [2; 100]);
    }
    assert!(Budget::of_process().stats().descriptors <= 48);
}
