//! What any [`Directory`] must do: run on the operating system's and on the simulated one.

use super::{Directory, EntryKind, View, Way};
use crate::error::{ErrorKind, Result};
use crate::sync::Arc;

/// One promise, as a name and a test that takes an empty directory.
pub(crate) type Case = (&'static str, fn(Arc<dyn Directory>));

/// Runs all cases, each on a fresh directory of `new`.
pub(crate) fn run(new: impl Fn() -> Arc<dyn Directory>) {
    for (name, case) in CASES {
        // The last line printed tells which one failed.
        eprintln!("{name}");
        case(new());
    }
}

const CASES: &[Case] = &[
    ("appends are read back, by both ways and across", appends_are_read_back),
    ("a view is of its moment and outlives everything", a_view_outlives_everything),
    ("an append beyond the capacity changes nothing", beyond_the_capacity),
    ("a new file must not exist", a_new_file_must_not_exist),
    ("opening to append cuts what lies above", open_append_cuts),
    ("a finished file takes no appends", finished_takes_no_appends),
    ("a sealed file that is shorter is corrupt", a_short_sealed_file_is_corrupt),
    ("windows and slices are clipped and owned", windows_and_slices),
    ("a tail follows its file", a_tail_follows),
    ("small files are replaced whole", replaced_whole),
    ("names that lead elsewhere are refused", bad_names),
    ("renames replace and unlinks forgive", renames_and_unlinks),
    ("subdirectories come and go with their files", subdirectories),
    ("one lock at a time, free after its drop", one_lock),
    ("zero-filling ahead changes nothing that is read", zero_ahead_changes_nothing),
    ("a doomed file counts until its last slice goes", doomed_bytes_count),
    ("file ranges are of published bytes", file_ranges),
];

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|e| e.kind())
}

/// `len` bytes that differ from one place to the next.
fn sample(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((seed * 31 + i * 7 + i / 251) % 251).unwrap()).collect()
}

fn appends_are_read_back(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 20).unwrap();
    let mut expected = Vec::new();
    for i in 0..300 {
        let (head, body) = (sample(i, i % 62), sample(i + 1, (i * 37) % 5000));
        let way = if i % 3 == 0 { Way::Positioned } else { Way::Map };
        let end = (expected.len() + head.len() + body.len()) as u64;
        if end > 1 << 20 {
            break;
        }
        region.reserve(end).unwrap();
        region.append(&head, &body, way).unwrap();
        expected.extend_from_slice(&head);
        expected.extend_from_slice(&body);
        assert_eq!(region.len(), end);
    }
    assert!(expected.len() > 500_000, "the test writes something");
    assert_eq!(*region.view().unwrap(), *expected);
    region.sync().unwrap();
    region.sync().unwrap();
    drop(region);
    assert_eq!(*directory.open_sealed("a.log", expected.len() as u64).view().unwrap(), *expected);
    assert!(!directory.open_sealed("a.log", 1).poisoned());
}

fn a_view_outlives_everything(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 16).unwrap();
    assert_eq!(region.view().unwrap().len(), 0);
    region.append(b"head", b"body", Way::Map).unwrap();
    let view: View = region.view().unwrap();
    region.append(b"more", &[7; 9000], Way::Map).unwrap();
    let slice = region.view().unwrap().slice(4..12);
    assert_eq!(&*view, b"headbody");
    region.finish().unwrap();
    directory.unlink("a.log").unwrap();
    drop(region);
    drop(directory);
    assert_eq!(&*view, b"headbody");
    assert_eq!(&*slice, b"bodymore");
}

fn beyond_the_capacity(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 100).unwrap();
    region.append(&[1; 50], &[2; 40], Way::Map).unwrap();
    for way in [Way::Map, Way::Positioned] {
        assert_eq!(kind(region.append(&[3; 5], &[3; 6], way)), Some(ErrorKind::InvalidArgument));
    }
    assert_eq!(kind(region.reserve(101)), Some(ErrorKind::InvalidArgument));
    region.append(&[], &[4; 10], Way::Map).unwrap();
    assert_eq!(region.view().unwrap()[90..], [4; 10]);
    assert_eq!(region.len(), 100);
}

fn a_new_file_must_not_exist(directory: Arc<dyn Directory>) {
    directory.create("a.log", 100).unwrap().append(b"", b"x", Way::Map).unwrap();
    assert!(directory.create("a.log", 100).is_err());
    assert_eq!(kind(directory.open_append("b.log", 0, 100)), Some(ErrorKind::NotFound));
    assert_eq!(kind(directory.open_sealed("b.log", 1).view()), Some(ErrorKind::NotFound));
    assert_eq!(kind(directory.read("b.log", 9)), Some(ErrorKind::NotFound));
}

fn open_append_cuts(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 20).unwrap();
    region.append(b"", &[1; 300_000], Way::Map).unwrap();
    drop(region);
    let region = directory.open_append("a.log", 5000, 1 << 20).unwrap();
    assert_eq!(region.len(), 5000);
    assert_eq!(directory.open_tail("a.log").unwrap().len(), 5000);
    region.append(&[2], &[], Way::Map).unwrap();
    region.finish().unwrap();
    let view = region.view().unwrap();
    assert!(view[..5000] == [1; 5000] && view[5000..] == [2]);
    assert_eq!(kind(directory.open_append("a.log", 5002, 1 << 20)), Some(ErrorKind::Corruption));
}

fn finished_takes_no_appends(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 20).unwrap();
    region.append(b"ab", b"c", Way::Map).unwrap();
    region.finish().unwrap();
    region.finish().unwrap();
    region.sync().unwrap();
    assert!(region.append(b"d", b"", Way::Map).is_err() && region.append(b"d", b"", Way::Positioned).is_err());
    assert_eq!(directory.list().unwrap()[0].len, 3);
    assert_eq!(&*region.view().unwrap(), b"abc");
    let sealed = directory.open_sealed("a.log", 3);
    assert!(sealed.append(b"d", b"", Way::Map).is_err());
    sealed.sync().unwrap();
    assert_eq!(&*sealed.view().unwrap(), b"abc");
}

fn a_short_sealed_file_is_corrupt(directory: Arc<dyn Directory>) {
    directory.put("a.log", &[1; 4096]).unwrap();
    for len in [4097, 8192, 1 << 40] {
        let error = directory.open_sealed("a.log", len).view().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    }
    assert_eq!(directory.open_sealed("a.log", 4095).view().unwrap().len(), 4095);
    assert_eq!(directory.open_sealed("a.log", 0).view().unwrap().len(), 0);
}

fn windows_and_slices(directory: Arc<dyn Directory>) {
    directory.put("a.log", b"0123456789").unwrap();
    for region in [directory.open_sealed("a.log", 10), directory.open_tail("a.log").unwrap()] {
        let window = region.window(3..7).unwrap();
        assert_eq!(&*window, b"3456");
        assert_eq!(&*window.slice(1..3), b"45");
        assert_eq!(&*region.window(8..100).unwrap(), b"89");
        assert_eq!(&*region.window(100..u64::MAX).unwrap(), b"");
        let slice = window.slice(4..4);
        assert!(slice.is_empty());
        let beyond = std::panic::AssertUnwindSafe(|| window.slice(3..5));
        assert!(std::panic::catch_unwind(beyond).is_err(), "a slice lies inside its view");
    }
}

fn a_tail_follows(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 20).unwrap();
    let tail = directory.open_tail("a.log").unwrap();
    for i in 1..=20u8 {
        region.append(&[i; 10], &[i; 90], Way::Map).unwrap();
        assert!(tail.len() >= u64::from(i) * 100);
        assert_eq!(tail.window(0..u64::from(i) * 100).unwrap()[..], region.view().unwrap()[..]);
    }
    region.finish().unwrap();
    assert_eq!(tail.len(), 2000);
    assert_eq!(*tail.view().unwrap(), *region.view().unwrap());
    assert!(tail.append(b"x", b"", Way::Positioned).is_err());
    assert_eq!(kind(directory.open_tail("b.log")), Some(ErrorKind::NotFound));
}

fn replaced_whole(directory: Arc<dyn Directory>) {
    directory.put("c.tmp", b"left over from an attempt that was longer").unwrap();
    for contents in [&b"old"[..], b"", b"newer"] {
        directory.replace("c", contents).unwrap();
        assert_eq!(directory.read("c", 5).unwrap(), contents);
    }
    assert_eq!(kind(directory.read("c", 4)), Some(ErrorKind::Corruption));
    directory.put("c", b"put").unwrap();
    directory.sync().unwrap();
    assert_eq!(directory.read("c", 4).unwrap(), b"put");
    let names: Vec<_> = directory.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["c"], "the temporary file is gone");
}

fn bad_names(directory: Arc<dyn Directory>) {
    let long = "x".repeat(256);
    for name in ["", ".", "..", "a/b", "/etc", "../x", "a\0b", &long] {
        let refused = Some(ErrorKind::InvalidArgument);
        assert_eq!(kind(directory.create(name, 10)), refused, "{name:?}");
        assert_eq!(kind(directory.open_append(name, 0, 10)), refused, "{name:?}");
        assert_eq!(kind(directory.open_sealed(name, 1).view()), refused, "{name:?}");
        assert_eq!(kind(directory.open_tail(name)), refused, "{name:?}");
        assert_eq!(kind(directory.read(name, 10)), refused, "{name:?}");
        assert_eq!(kind(directory.replace(name, b"")), refused, "{name:?}");
        assert_eq!(kind(directory.put(name, b"")), refused, "{name:?}");
        assert_eq!(kind(directory.rename(name, "a")), refused, "{name:?}");
        assert_eq!(kind(directory.rename("a", name)), refused, "{name:?}");
        assert_eq!(kind(directory.unlink(name)), refused, "{name:?}");
        assert_eq!(kind(directory.subdirectory(name)), refused, "{name:?}");
        assert_eq!(kind(directory.create_subdirectory(name)), refused, "{name:?}");
        assert_eq!(kind(directory.remove_subdirectory(name)), refused, "{name:?}");
    }
    assert!(directory.list().unwrap().is_empty());
}

fn renames_and_unlinks(directory: Arc<dyn Directory>) {
    directory.put("a", b"a").unwrap();
    directory.put("b", b"bb").unwrap();
    directory.rename("a", "b").unwrap();
    assert_eq!(directory.read("b", 9).unwrap(), b"a");
    assert_eq!(kind(directory.rename("a", "c")), Some(ErrorKind::NotFound));
    directory.unlink("b").unwrap();
    directory.unlink("b").unwrap();
    directory.sync().unwrap();
    assert!(directory.list().unwrap().is_empty());
}

fn subdirectories(directory: Arc<dyn Directory>) {
    let absent = directory.subdirectory("t-0").unwrap();
    assert_eq!(kind(absent.list()), Some(ErrorKind::NotFound));
    let sub = directory.create_subdirectory("t-0").unwrap();
    directory.create_subdirectory("t-0").unwrap();
    let region = sub.create("a.log", 100).unwrap();
    region.append(b"x", b"y", Way::Map).unwrap();
    sub.sync().unwrap();
    directory.sync().unwrap();
    let entry = &directory.list().unwrap()[0];
    assert_eq!((entry.name.as_str(), entry.kind), ("t-0", EntryKind::Directory));
    directory.rename("t-0", "t-0-delete").unwrap();
    let renamed = directory.subdirectory("t-0-delete").unwrap();
    assert_eq!(renamed.list().unwrap()[0].name, "a.log");
    directory.remove_subdirectory("t-0-delete").unwrap();
    directory.remove_subdirectory("t-0-delete").unwrap();
    assert!(directory.list().unwrap().is_empty());
    directory.put("file", b"").unwrap();
    assert!(directory.create_subdirectory("file").is_err());
}

fn one_lock(directory: Arc<dyn Directory>) {
    let lock = directory.lock().unwrap();
    assert!(!lock.same_power(), "nothing was kept yet");
    assert_eq!(kind(directory.lock()), Some(ErrorKind::AlreadyOpen));
    lock.keep_power().unwrap();
    drop(lock);
    let lock = directory.lock().unwrap();
    let same = lock.same_power();
    lock.keep_power().unwrap();
    drop(lock);
    assert_eq!(directory.lock().unwrap().same_power(), same);
}

fn zero_ahead_changes_nothing(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 20).unwrap();
    let mut expected = Vec::new();
    for i in 0..200 {
        region.zero_ahead().unwrap();
        let piece = sample(i, 3000);
        region.append(&piece[..61], &piece[61..], if i % 2 == 0 { Way::Map } else { Way::Positioned }).unwrap();
        expected.extend_from_slice(&piece);
    }
    assert_eq!(*region.view().unwrap(), *expected);
    region.finish().unwrap();
    region.sync().unwrap();
    drop(region);
    assert_eq!(*directory.open_sealed("a.log", expected.len() as u64).view().unwrap(), *expected);
}

fn doomed_bytes_count(directory: Arc<dyn Directory>) {
    let below = directory.create_subdirectory("a-0").unwrap();
    let kept = below.create("kept.log", 1 << 16).unwrap();
    kept.append(b"kept", b"", Way::Map).unwrap();
    let written = below.create("written.log", 1 << 16).unwrap();
    written.append(b"head", b"body", Way::Map).unwrap();
    written.finish().unwrap();
    below.replace("sealed.log", b"sealed bytes").unwrap();
    let sealed = below.open_sealed("sealed.log", 12);
    let slices = [written.view().unwrap().slice(4..8), sealed.view().unwrap().slice(0..6)];
    for (region, name) in [(&written, "written.log"), (&sealed, "sealed.log")] {
        below.unlink(name).unwrap();
        region.doom();
        region.doom();
    }
    let bytes = || (below.doomed_bytes(), directory.doomed_bytes());
    assert_eq!(bytes(), (20, 20));
    drop((written, sealed));
    assert_eq!(bytes(), (20, 20), "the slices are left");
    let [of_written, of_sealed] = slices;
    assert_eq!((&of_written[..], &of_sealed[..]), (&b"body"[..], &b"sealed"[..]));
    let clone = of_written.clone();
    drop(of_written);
    drop(of_sealed);
    assert_eq!(bytes(), (8, 8), "a clone of one is left");
    drop(clone);
    assert_eq!(bytes(), (0, 0));
    drop(kept);
}

fn file_ranges(directory: Arc<dyn Directory>) {
    let region = directory.create("a.log", 1 << 20).unwrap();
    region.append(b"01234", b"56789", Way::Map).unwrap();
    assert_eq!(kind(region.file_range(5..11)), Some(ErrorKind::InvalidArgument));
    region.finish().unwrap();
    for region in [region, directory.open_sealed("a.log", 10)] {
        let Ok(found) = region.file_range(2..5) else { continue };
        assert_eq!(found.range, 2..5);
        let mut bytes = [0; 3];
        std::os::unix::fs::FileExt::read_exact_at(&*found.file, &mut bytes, found.range.start).unwrap();
        assert_eq!(&bytes, b"234");
    }
}
