//! `riverbed verify` and `truncate`: what is wrong is told, and cut on the user's word.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::program::{Ran, Shell, json_lines, run};
use crate::support::TestDir;

const SEGMENT: &str = "t-0/00000000000000000000.log";

/// Fifty batches of two records in segments of about 2,000 bytes.
fn store() -> TestDir {
    let dir = TestDir::scratch("damage");
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 1 segment.bytes=2000 index.interval.bytes=300");
    shell.ok("fill t 0 s 100 40 batch=2");
    shell.quit();
    dir
}

fn verify(dir: &TestDir, options: &[&str]) -> Ran {
    run([&["verify", "--dir", dir.path().to_str().unwrap()], options].concat())
}

fn flip(path: PathBuf, place: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place).unwrap();
}

fn files(dir: &TestDir, suffix: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir.join("t-0")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().unwrap().ends_with(suffix));
    paths.sort();
    paths
}

#[test]
fn nothing_is_wrong_with_a_good_directory() {
    let dir = store();
    assert_eq!(verify(&dir, &[]).good(), "");
    assert_eq!(verify(&dir, &["--json"]).good(), "");
}

/// Somebody new could not tell silence from nothing done: a path that is no store was well, too.
#[test]
fn what_was_verified_is_told_and_what_is_no_store_is_refused() {
    let dir = store();
    assert_eq!(verify(&dir, &[]).err, "verified 1 topic, 1 partition, 50 batches, 100 records: no problem\n");
    assert_eq!(verify(&dir, &["--json"]).err, "");
    let ran = run(["verify", "--dir", dir.join("t-0").to_str().unwrap()]);
    ran.failed(1, "InvalidArgument");
    assert!(ran.last_error().contains("partition t-0: try "), "{ran:?}");
    let empty = TestDir::scratch("verify-empty");
    assert_eq!(verify(&empty, &[]).err, "verified 0 topics, 0 partitions, 0 batches, 0 records: no problem\n");
}

/// Only the shell's line `recovery` said that opening had cut something.
#[test]
fn what_opening_cut_is_told_on_standard_error() {
    let dir = store();
    let path = dir.path().to_str().unwrap();
    assert_eq!(run(["flush", "--dir", path]).err, "", "nothing happened");
    for command in [&["flush"][..], &["topic", "alter", "t", "--partitions", "1"], &["truncate", "t", "0", "99"]] {
        let mut shell = Shell::open(dir.path(), &[]);
        shell.ok("append t 0 k v");
        shell.give("crash");
        shell.end();
        let last = files(&dir, ".log").pop().unwrap();
        let file = OpenOptions::new().write(true).open(&last).unwrap();
        let bytes = fs::read(&last).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        file.write_all_at(&[0xff; 70], end + 1).unwrap();
        let ran = run([command, &["--dir", path]].concat());
        let told: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("recovered: t-0: ")).collect();
        assert_eq!(told.len(), 1, "{command:?}: {ran:?}");
        assert!(told[0].contains(" of an unfinished tail were cut: "), "{ran:?}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_with_its_place() {
    let dir = store();
    let batch = run(["dump", dir.join(SEGMENT).to_str().unwrap()]).good();
    let second = batch.lines().find(|line| line.starts_with("baseOffset: 2 ")).unwrap();
    let place: u64 = second.split(" position: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    for byte in [0, 7, 8, 11, 16, 17, 20, 21, 60, 61, 100] {
        flip(dir.join(SEGMENT), place + byte);
        let ran = verify(&dir, &["--json"]);
        assert_eq!(ran.status, 1, "byte {byte}: {ran:?}");
        assert!(ran.last_error().starts_with("Corruption: "), "{ran:?}");
        let problems = json_lines(&ran.out);
        assert!(problems[0]["path"].as_str().unwrap().ends_with(SEGMENT), "byte {byte}: {problems:?}");
        let at = problems[0]["position"].as_u64().unwrap();
        assert!(at >= place, "byte {byte}: {problems:?}");
        flip(dir.join(SEGMENT), place + byte);
    }
    verify(&dir, &[]).good();
}

#[test]
fn side_files_are_checked_too() {
    let dir = store();
    for kind in [".index", ".timeindex", ".snapshot"] {
        let paths = files(&dir, kind);
        let path = paths.iter().find(|path| fs::metadata(path).unwrap().len() > 8).unwrap();
        flip(path.clone(), 7);
        let ran = verify(&dir, &[]);
        ran.failed(1, "Corruption");
        assert!(ran.out.contains(path.file_name().unwrap().to_str().unwrap()), "{ran:?}");
        flip(path.clone(), 7);
    }
    fs::remove_file(&files(&dir, ".index")[0]).unwrap();
    assert_eq!(verify(&dir, &[]).good(), "", "what is derived may be missing");
}

#[test]
fn verify_beside_a_writer_takes_the_tail_for_what_it_is() {
    let dir = store();
    let mut writer = Shell::open(dir.path(), &[]);
    writer.ok("fill t 0 s 10 40 batch=2");
    assert_eq!(verify(&dir, &[]).good(), "");
    assert_eq!(writer.answer("verify"), r#"ok {"problems":[],"tail":[]}"#);
    writer.give("crash");
    writer.end();
    let last = files(&dir, ".log").pop().unwrap();
    let dump = run(["dump", last.to_str().unwrap()]).good();
    let end = dump.lines().rfind(|line| line.starts_with("baseOffset: ")).unwrap();
    let number = |name: &str| -> u64 {
        end.split(&format!(" {name}: ")).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    let end = number("position") + number("size");
    let file = OpenOptions::new().write(true).open(&last).unwrap();
    file.write_all_at(&[0xff; 70], end).unwrap();
    let tail = json_lines(&verify(&dir, &["--json"]).good());
    assert_eq!(tail.len(), 1);
    assert_eq!((&tail[0]["position"], &tail[0]["bytes"]), (&end.into(), &70.into()));
    let text = verify(&dir, &[]).good();
    assert!(text.starts_with("tail: 70 bytes behind byte "), "{text}");
}

#[test]
fn a_tail_is_cut_on_the_users_word() {
    let dir = store();
    let path = dir.path().to_str().unwrap();
    let told = run(["truncate", "t", "0", "51", "--dir", path, "--json"]).good();
    assert_eq!(told, "{\"log_end\":50}\n", "a batch that holds the offset goes as a whole");
    assert_eq!(run(["truncate", "t", "0", "7", "--dir", path]).good(), "t-0: removed 6..50, ends at 6 now\n");
    assert_eq!(run(["truncate", "t", "0", "7", "--dir", path]).good(), "t-0 ends at 6 now\n", "nothing goes");
    assert_eq!(run(["consume", "t", "--dir", path]).good().lines().count(), 6);
    verify(&dir, &[]).good();
    run(["truncate", "t", "1", "0", "--dir", path]).failed(1, "UnknownPartition");
    run(["truncate", "u", "0", "0", "--dir", path]).failed(1, "UnknownTopic");
    run(["truncate", "t", "-1", "0", "--dir", path]).failed(1, "UnknownPartition");
    run(["truncate", "t", "0", "-1", "--dir", path]).failed(1, "OffsetOutOfRange");
    run(["truncate", "t", "0", "9223372036854775808", "--dir", path]).failed(2, "Usage");
    run(["truncate", "t", "0", "--dir", path]).failed(2, "Usage");
}

/// `verify` looked at nothing beside the partitions, and named the directory of one whose checkpoint was damaged.
#[test]
fn files_beside_the_log_are_named_when_they_are_damaged() {
    let dir = store();
    for name in ["t-0/log-checkpoint", "riverbed.clean", "recovery-point-offset-checkpoint"] {
        flip(dir.join(name), 0);
        let ran = verify(&dir, &["--json"]);
        ran.failed(1, "Corruption");
        let problems = json_lines(&ran.out);
        assert!(problems.iter().any(|problem| problem["path"].as_str().unwrap().ends_with(name)), "{problems:?}");
        assert_eq!(problems[0]["position"], 0, "{problems:?}");
        flip(dir.join(name), 0);
    }
    verify(&dir, &[]).good();
}

/// A file of a newer version was refused without being named.
#[test]
fn a_file_of_a_newer_version_is_named() {
    let dir = store();
    for name in ["riverbed.topics", "riverbed.clean", "t-0/log-checkpoint"] {
        let bytes = fs::read(dir.join(name)).unwrap();
        let newer = [&bytes[..8], &[0x7f, 0xff], &bytes[10..]].concat();
        fs::write(dir.join(name), &newer).unwrap();
        let ran = run(["topic", "list", "--dir", dir.path().to_str().unwrap()]);
        ran.failed(1, "UnsupportedVersion");
        assert!(ran.last_error().contains(&format!("/{name} has version 32767, ")), "{ran:?}");
        assert_eq!(fs::read(dir.join(name)).unwrap(), newer, "it is not touched");
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// A partition's directory that belongs to another topic passed for this one's.
#[test]
fn a_directory_of_another_topic_is_told() {
    let dir = store();
    let path = dir.join("t-0/partition.metadata");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ").unwrap();
    let ran = verify(&dir, &[]);
    ran.failed(1, "Corruption");
    assert!(ran.out.contains("t-0/partition.metadata at byte 0: the directory is of topic AAAA"), "{ran:?}");
    fs::write(&path, text).unwrap();
    verify(&dir, &[]).good();
}

/// A segment was gone, and nothing was wrong: neither with the first, whose readers waited for ever, nor with another.
#[test]
fn a_lost_segment_is_told_wherever_it_lay() {
    let count = files(&store(), ".log").len();
    assert!(count > 3);
    for lost in 0..count {
        let dir = store();
        let path = dir.path().to_str().unwrap();
        fs::remove_file(&files(&dir, ".log")[lost]).unwrap();
        if lost + 1 < count {
            let ran = verify(&dir, &["--json"]);
            ran.failed(1, "Corruption");
            assert_eq!(json_lines(&ran.out).len(), 1, "{lost}: {ran:?}");
            run(["consume", "t", "--dir", path]).failed(1, "Corruption");
        }
    }
}
