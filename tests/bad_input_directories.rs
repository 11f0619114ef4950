//! Bad input, what lies in a directory: each is a typed error or is left alone, and nothing blocks, follows or panics.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use riverbed::{
    CorruptionReason as Corrupt, Error, ErrorKind, FetchLimit, Offset, Partition, PartitionOptions, Store, TopicConfig,
};
use support::partition::{config, counted, fill, values};
use support::refused::files;
use support::{TestDir, copy_dir, golden};

const SETTINGS: [(&str, &str); 1] = [("segment.bytes", "200")];
/// What is done to a file, or made in its place.
type Harm = fn(&Path);

const FIRST: &str = "00000000000000000000.log";
const ODD: &str = "00000000000000000777.log";

/// A partition of several segments, closed.
fn prepared(name: &str) -> TestDir {
    let dir = TestDir::scratch(name);
    let partition = open(&dir).unwrap();
    fill(&partition, 8);
    assert!(partition.segments().len() > 2);
    partition.close().unwrap();
    dir
}

fn open(dir: &TestDir) -> riverbed::Result<Partition> {
    Partition::open(dir.join("orders-0"), PartitionOptions::default().config(config(&SETTINGS)))
}

/// What opening and then reading everything is refused with.
fn refused(dir: &TestDir) -> Error {
    open(dir).map(|partition| values(&partition, 0)).unwrap_err()
}

#[test]
fn what_is_nobodys_is_left_alone() {
    let dir = prepared("foreign");
    let inside = |name: &str| dir.join("orders-0").join(name);
    fs::write(inside("notes.txt"), "mine").unwrap();
    fs::write(inside("000000000000000000000.log"), "21 digits").unwrap();
    fs::write(inside("1.log"), "1 digit").unwrap();
    fs::write(inside("99999999999999999999.log"), "above all offsets").unwrap();
    fs::create_dir(inside("photos")).unwrap();
    symlink("/etc/passwd", inside("link")).unwrap();
    assert!(Command::new("mkfifo").arg(inside("pipe")).status().unwrap().success());
    let partition = open(&dir).unwrap();
    assert_eq!(values(&partition, 0), counted(0, 8));
    fill(&partition, 10);
    partition.close().unwrap();
    assert_eq!(fs::read(inside("notes.txt")).unwrap(), b"mine");
    assert!(inside("photos").is_dir() && inside("link").is_symlink() && inside("pipe").exists());
}

#[test]
fn what_has_a_segments_name_and_is_no_file_is_refused_without_touching_it() {
    let makers: [(&str, Harm); 5] = [
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("symbolic link to a file", |path| symlink("/etc/passwd", path).unwrap()),
        ("symbolic link to nothing", |path| symlink("nowhere", path).unwrap()),
        ("fifo", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
        ("socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
    ];
    for (what, make) in makers {
        let dir = prepared("odd");
        // Relative, as a socket's path is short.
        let odd = dir.join("orders-0").join(ODD);
        if what == "socket" && odd.as_os_str().len() > 100 {
            continue;
        }
        make(&odd);
        let error = refused(&dir);
        assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error:?}");
        assert!(matches!(error.corruption().unwrap().reason, Corrupt::Layout(_)), "{what}: {error:?}");
        assert!(odd.symlink_metadata().is_ok(), "{what} is still there");
    }
}

#[test]
fn devices_are_refused_like_everything_that_is_no_file() {
    let dir = prepared("device");
    let made = Command::new("mknod").arg(dir.join("orders-0").join(ODD)).args(["c", "1", "5"]).output().unwrap();
    if !made.status.success() {
        println!("1 skipped: mknod: {}", String::from_utf8_lossy(&made.stderr).trim());
        return;
    }
    assert_eq!(refused(&dir).kind(), ErrorKind::Corruption);
}

#[test]
fn a_log_larger_than_a_segment_can_be_is_refused_unread() {
    let dir = prepared("sparse");
    let file = File::options().write(true).open(dir.join("orders-0").join(FIRST)).unwrap();
    // The file system's own limit comes first: 8 EiB cannot be had on all.
    let largest = (40..63).rev().find(|power| file.set_len(1 << power).is_ok()).unwrap();
    let before = file.metadata().unwrap().len();
    assert!(before >= 1 << largest);
    let error = refused(&dir);
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error:?}");
    assert!(matches!(error.corruption().unwrap().reason, Corrupt::Layout(_)), "{error:?}");
}

#[test]
fn segments_that_are_missing_overlap_or_lie_about_their_base_are_damage() {
    let middle = |dir: &TestDir| {
        let mut logs: Vec<_> = files(&dir.join("orders-0")).into_keys().collect();
        logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs[1].clone()
    };
    let harms: [(&str, Harm); 4] = [
        ("missing", |log| fs::remove_file(log).unwrap()),
        ("empty", |log| fs::write(log, "").unwrap()),
        ("another's", |log| assert!(fs::copy(log.with_file_name(FIRST), log).is_ok())),
        ("zeros", |log| fs::write(log, vec![0; 150]).unwrap()),
    ];
    for (what, harm) in harms {
        let dir = prepared("harmed");
        harm(&middle(&dir));
        let opened = open(&dir);
        let error = match opened {
            Err(error) => error,
            // What is below the recovery point is damage of what is read, not of the whole.
            Ok(partition) => {
                let read = (0..8).filter_map(|offset| partition.fetch(Offset::new(offset), FetchLimit::bytes(1)).err());
                read.into_iter().next().unwrap_or_else(|| panic!("{what} was not noticed: {:?}", partition.recovery()))
            }
        };
        assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error:?}");
    }
    let dir = prepared("overlap");
    fs::copy(dir.join("orders-0").join(FIRST), dir.join("orders-0/00000000000000000001.log")).unwrap();
    // The same batches twice: whichever is read, each offset has its one record.
    let partition = open(&dir).unwrap();
    let one = FetchLimit::bytes(1);
    for offset in 0..8 {
        match partition.fetch(Offset::new(offset), one) {
            Ok(fetched) => assert_eq!(fetched.batches().next().unwrap().base_offset().get(), offset),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corruption, "{offset}: {error:?}"),
        }
    }
}

#[test]
fn files_of_a_newer_version_are_not_touched() {
    for file in ["riverbed.topics", "riverbed.clean", "t-0/log-checkpoint"] {
        let dir = TestDir::scratch("newer");
        let store = Store::open(&dir).unwrap();
        fill(&store.create_topic("t", TopicConfig::default()).unwrap().partition(0).unwrap(), 3);
        store.close().unwrap();
        let mut bytes = fs::read(dir.join(file)).unwrap();
        // The version stands behind the magic.
        bytes[8..10].copy_from_slice(&99_u16.to_be_bytes());
        fs::write(dir.join(file), &bytes).unwrap();
        let opened = Store::open(&dir).and_then(|store| store.topic("t")?.partition(0));
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedVersion, "{file}: {error:?}");
        assert_eq!(fs::read(dir.join(file)).unwrap(), bytes, "{file} was touched");
    }
}

#[test]
fn a_list_of_topics_that_is_damaged_opens_nothing_and_stays() {
    for harm in [&b""[..], b"short", &[0; 100]] {
        let dir = TestDir::scratch("list");
        Store::open(&dir).unwrap().close().unwrap();
        fs::write(dir.join("riverbed.topics"), harm).unwrap();
        let error = Store::open(&dir).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error:?}");
        assert_eq!(error.corruption().unwrap().path, Some(dir.join("riverbed.topics")));
        assert_eq!(fs::read(dir.join("riverbed.topics")).unwrap(), harm);
    }
}

#[test]
fn a_directory_of_kafkas_is_opened_for_writing_only_by_adopting_it() {
    let dir = TestDir::scratch("kafkas");
    copy_dir(&golden().join("log"), dir.path());
    let before = files(dir.path());
    assert_eq!(Store::open(&dir).unwrap_err().kind(), ErrorKind::ForeignDirectory);
    let mut after = files(dir.path());
    after.remove(&dir.join(".lock"));
    assert!(after == before, "nothing has changed");
}

#[test]
fn a_path_that_leads_to_no_directory_is_told() {
    let dir = TestDir::scratch("paths");
    fs::write(dir.join("file"), "").unwrap();
    fs::write(dir.join("orders-0"), "").unwrap();
    let kind = |path: &Path| Store::open(path).unwrap_err().kind();
    assert_eq!(kind(&dir.join("file")), ErrorKind::NotADirectory);
    assert_eq!(kind(&dir.join("file/below")), ErrorKind::NotADirectory);
    assert_eq!(Store::open_read_only(dir.join("nowhere")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(open(&dir).unwrap_err().kind(), ErrorKind::NotADirectory);
    let read_only = PartitionOptions::default().read_only();
    assert_eq!(Partition::open(dir.join("nowhere-0"), read_only).unwrap_err().kind(), ErrorKind::NotFound);
}
