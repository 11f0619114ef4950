//! `riverbed dump` says what Kafka's own tool says.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::program::{Ran, interrupt, program, run, run_in};
use crate::support::{TestDir, copy_dir, golden};

const ALL_CODECS: bool = cfg!(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"));

const FIRST: &str = "00000000000000000000";

fn partitions() -> Vec<PathBuf> {
    let entries = fs::read_dir(golden().join("log")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    assert_eq!(paths.len(), 27);
    paths
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| name(path).ends_with(suffix));
    paths.sort();
    paths
}

/// A copy of a golden partition, to be damaged.
fn copied(partition: &str) -> TestDir {
    let directory = TestDir::scratch("dump");
    copy_dir(&golden().join("log").join(partition), directory.path());
    directory
}

/// Kafka's listing has `# <file>` in front of each segment, and no keys and values.
fn as_listed(ran: Ran, file: &Path) -> String {
    let mut listed = format!("# {}\n", name(file));
    for line in ran.good().lines() {
        let line = match line.find("] key: ").or_else(|| line.find("] payload: ")) {
            Some(end) if line.starts_with("| offset: ") => &line[..=end],
            _ => line,
        };
        if ["Log starting offset: ", "baseOffset: ", "| offset: "].iter().any(|start| line.starts_with(start)) {
            listed.push_str(line);
            listed.push('\n');
        }
    }
    listed
}

#[test]
fn every_golden_log_is_listed_as_kafka_lists_it() {
    for partition in partitions() {
        let compressed = ["codec", "lz4", "zstd"].iter().any(|word| name(&partition).contains(word));
        if compressed && !ALL_CODECS {
            continue;
        }
        let expected = fs::read_to_string(golden().join("dump").join(format!("{}.txt", name(&partition)))).unwrap();
        let logs = files(&partition, ".log");
        let listed: String = logs
            .iter()
            .map(|log| as_listed(run([OsStr::new("dump"), log.as_os_str(), OsStr::new("--records")]), log))
            .collect();
        assert!(listed == expected, "{} differs", name(&partition));
        let batches = |text: &str| {
            text.lines().filter(|line| !line.starts_with('|')).map(|line| format!("{line}\n")).collect::<String>()
        };
        let listed: String =
            logs.iter().map(|log| as_listed(run([OsStr::new("dump"), log.as_os_str()]), log)).collect();
        assert!(listed == batches(&expected), "the batches of {} differ", name(&partition));
    }
}

#[test]
fn records_are_listed_with_their_data_as_kafka_does() {
    compare_sections("with-data.txt", &["--records"], 3);
}

#[test]
fn every_golden_index_and_snapshot_is_listed_as_kafka_lists_it() {
    compare_sections("side-files.txt", &[], 232);
}

/// Compares with what Kafka printed about some files, one after the other, each behind a line `Dumping <path>`.
fn compare_sections(listing: &str, options: &[&str], count: usize) {
    const TITLE: &str = "Dumping ";
    let listing = fs::read_to_string(golden().join("dump").join(listing)).unwrap();
    let sections: Vec<&str> =
        listing.split_inclusive(TITLE).skip(1).map(|text| text.strip_suffix(TITLE).unwrap_or(text)).collect();
    assert_eq!(sections.len(), count);
    for section in sections {
        let path = section.lines().next().unwrap();
        let ran = run_in(&golden().join("log"), [&["dump", path], options].concat());
        assert_eq!(ran.good(), format!("{TITLE}{section}"));
    }
}

#[test]
fn checkpoints_and_metadata_are_listed() {
    let log = golden().join("log");
    let lines = |path: &str| -> Vec<String> {
        run_in(&log, ["dump", path]).good().lines().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(lines("epochs-0/leader-epoch-checkpoint")[0], "epoch: 0 startOffset: 0");
    assert_eq!(lines("plain-0/partition.metadata")[0], "version: 0");
    assert!(lines("plain-0/partition.metadata")[1].starts_with("topic_id: "));
    assert_eq!(lines("cleaner-offset-checkpoint").len(), 4);
    let points = lines("recovery-point-offset-checkpoint");
    assert!(points.contains(&"topic: codec-zstd partition: 0 offset: 400".to_owned()), "{points:?}");
    assert!(lines("meta.properties").contains(&"version: 1".to_owned()));
    assert!(lines(".kafka_cleanshutdown")[0].starts_with("version: 0 brokerEpoch: "));
}

#[test]
fn a_lock_file_is_listed() {
    let dir = TestDir::scratch("dump-lock");
    let path = dir.path().to_str().unwrap();
    run(["topic", "create", "t", "--dir", path]).good();
    let dump = run(["dump", path]).good();
    assert!(dump.contains("magic: rvb-lock version: 1 bootId: "), "{dump}");
    fs::write(dir.join(".lock"), "").unwrap();
    assert!(run(["dump", path]).good().contains(".lock is empty."));
    fs::write(dir.join(".lock"), "rvb-lock").unwrap();
    run(["dump", path]).failed(1, "Corruption");
}

#[test]
fn a_directory_is_dumped_file_by_file() {
    let log = golden().join("log");
    let whole = run_in(&log, ["dump", "transactions-0", "--records"]);
    let single: Vec<u8> = files(&log.join("transactions-0"), "")
        .iter()
        .flat_map(|file| run_in(&log, ["dump", &format!("transactions-0/{}", name(file)), "--records"]).bytes)
        .collect();
    assert!(whole.bytes == single);
}

#[test]
fn json_has_the_same_fields() {
    let log = golden().join("log").join("transactions-0");
    let objects = |file: &str, options: &[&str]| -> Vec<serde_json::Value> {
        let out = run_in(&log, [&["dump", file, "--json"], options].concat()).good();
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let batches = objects(&format!("{FIRST}.log"), &[]);
    assert_eq!(batches[0], serde_json::json!({"file": format!("{FIRST}.log")}));
    assert_eq!((&batches[1]["baseOffset"], &batches[1]["isvalid"]), (&0.into(), &true.into()));
    assert_eq!(batches[1]["deleteHorizonMs"], serde_json::Value::Null);
    let records = objects(&format!("{FIRST}.log"), &["--records"]);
    assert_eq!((&records[2]["key"], &records[2]["keySize"]), (&"k16".into(), &3.into()));
    assert_eq!(objects(&format!("{FIRST}.timeindex"), &[]).len(), 1 + files_entries(&log, 12));
}

fn files_entries(partition: &Path, width: u64) -> usize {
    let bytes = fs::metadata(partition.join(format!("{FIRST}.timeindex"))).unwrap().len();
    usize::try_from(bytes / width).unwrap()
}

#[test]
fn a_flipped_bit_in_a_log_is_shown_and_told() {
    let directory = copied("plain-0");
    let path = directory.join(format!("{FIRST}.log"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[4000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let ran = run([OsStr::new("dump"), path.as_os_str()]);
    ran.failed(1, "Corruption");
    assert!(ran.last_error().contains("at byte 3549: checksum is 0x"), "{}", ran.last_error());
    let intact =
        run([OsStr::new("dump"), golden().join("log/plain-0").join(format!("{FIRST}.log")).as_os_str()]).good();
    assert_eq!(ran.out.lines().count(), intact.lines().count(), "what lies behind the damage is listed too");
    let invalid: Vec<&str> = ran.out.lines().filter(|line| line.ends_with("isvalid: false")).collect();
    assert_eq!(invalid.len(), 1);
    assert!(invalid[0].starts_with("baseOffset: 8 "));
}

#[test]
fn ends_of_logs_that_are_no_batches_are_told() {
    let directory = copied("plain-0");
    let path = directory.join(format!("{FIRST}.log"));
    let good = fs::read(&path).unwrap();
    let dump = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        run([OsStr::new("dump"), path.as_os_str()])
    };
    let torn = dump(&good[..5000]);
    torn.failed(1, "Corruption");
    assert!(torn.out.ends_with(&format!("Found 1451 invalid bytes at the end of {FIRST}.log\n")));
    let zeros = dump(&[good.as_slice(), &[0; 500]].concat()).good();
    assert!(zeros.ends_with(&format!("Found 500 invalid bytes at the end of {FIRST}.log\n")));
    let noise = dump(&[good.as_slice(), &[0xff; 500]].concat());
    assert_eq!((noise.status, noise.err.is_empty()), (1, false), "{noise:?}");
    let mixed = dump(&[good.as_slice(), &[0; 300], b"x"].concat());
    assert_eq!((mixed.status, mixed.err.is_empty()), (1, false), "{mixed:?}");
}

#[test]
fn damaged_side_files_are_printed_as_far_as_they_go() {
    let directory = copied("transactions-0");
    let damage = |file: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let path = directory.join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        edit(&mut bad);
        fs::write(&path, bad).unwrap();
        let ran = run([OsStr::new("dump"), path.as_os_str()]);
        fs::write(&path, good).unwrap();
        ran.failed(1, "Corruption");
        ran.out.lines().count()
    };
    let flip = |place: usize| move |bytes: &mut Vec<u8>| bytes[place] ^= 1;
    let lines = |file: &str| run([OsStr::new("dump"), directory.join(file).as_os_str()]).good().lines().count();
    let second = "00000000000000000016";
    for file in [format!("{FIRST}.index"), format!("{second}.index"), format!("{FIRST}.timeindex")] {
        if lines(&file) < 2 {
            continue;
        }
        assert_eq!(damage(&file, &flip(7)), lines(&file), "{file}");
        assert_eq!(damage(&file, &|bytes| bytes.push(1)), lines(&file), "{file}");
    }
    let transactions = format!("{second}.txnindex");
    assert_eq!(damage(&transactions, &|bytes| bytes.truncate(bytes.len() - 1)), lines(&transactions) - 1);
    assert_eq!(damage(&transactions, &flip(1)), lines(&transactions));
    let snapshot = format!("{second}.snapshot");
    assert_eq!(damage(&snapshot, &flip(30)), lines(&snapshot));
    assert_eq!(damage(&snapshot, &|bytes| bytes.truncate(20)), 1);
    assert_eq!(damage(&snapshot, &|bytes| bytes.truncate(9)), 1);
    assert_eq!(damage(&snapshot, &flip(1)), 1);
    let metadata = "partition.metadata";
    assert_eq!(damage(metadata, &|bytes| *bytes = b"version 0".to_vec()), 1);
    let epochs = "leader-epoch-checkpoint";
    for text in ["1\n0\n", "0\n2\n0 0\n", "0\nx\n0 0\n", "0\n1\n0\n", "0\n1\n0 a\n", "0\n1\n0 0 0\n"] {
        damage(epochs, &|bytes| *bytes = text.into());
    }
    damage(epochs, &|bytes| *bytes = vec![0xff]);
}

#[test]
fn what_cannot_be_dumped_is_told() {
    let directory = TestDir::scratch("dump");
    run([OsStr::new("dump"), directory.join("missing.log").as_os_str()]).failed(1, "NotFound");
    fs::write(directory.join("notes.txt"), "hello").unwrap();
    run([OsStr::new("dump"), directory.join("notes.txt").as_os_str()]).failed(1, "InvalidArgument");
    run([OsStr::new("dump"), directory.join("notes.txt/x").as_os_str()]).failed(1, "NotADirectory");
}

#[test]
fn a_closed_pipe_ends_a_dump_quietly() {
    let log = golden().join("log").join("large-0");
    let mut child = program()
        .args([OsStr::new("dump"), log.as_os_str(), OsStr::new("--records")])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

#[test]
fn an_interrupt_ends_with_status_130() {
    let mut child = program()
        .args([OsStr::new("dump"), golden().join("log").join("large-0").as_os_str(), OsStr::new("--records")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut [0; 1000]).unwrap();
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
