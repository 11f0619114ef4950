//! Kafka's own directories, read as they stand, and adopted.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::program::{Shell, json_lines, run};
use crate::support::{TestDir, copy_dir, golden};

const ALL_CODECS: bool = cfg!(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"));

/// The golden partitions that this build can read, as topic and number.
fn partitions() -> Vec<(String, String)> {
    let mut names: Vec<String> = fs::read_dir(golden().join("expect"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.contains('-') && !name.ends_with(".json"));
    names.retain(|name| ALL_CODECS || !["codec", "lz4", "zstd"].iter().any(|word| name.contains(word)));
    names.sort();
    assert!(!ALL_CODECS || names.len() == 27, "{names:?}");
    let split = |name: &String| {
        let (topic, number) = name.rsplit_once('-').unwrap();
        (topic.to_owned(), number.to_owned())
    };
    names.iter().map(split).collect()
}

/// What Kafka answered.
fn expected(partition: &str, file: &str) -> Vec<Value> {
    let directory = golden().join("expect").join(partition);
    let path = directory.join(file);
    let path = if path.exists() { path } else { directory.join("read_uncommitted.jsonl") };
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Bytes as the listing has them: base64, or null.
fn listed(bytes: &Value) -> Value {
    match bytes {
        Value::Null => Value::Null,
        Value::String(text) => STANDARD.encode(text).into(),
        other => other["base64"].clone(),
    }
}

fn as_listed(record: &Value) -> Value {
    let headers: Vec<Value> = record["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| Value::Array(vec![header[0].clone(), listed(&header[1])]))
        .collect();
    serde_json::json!({
        "offset": record["offset"], "timestamp": record["timestamp"],
        "key": listed(&record["key"]), "value": listed(&record["value"]), "headers": headers,
    })
}

fn of_listing(record: &Value) -> Value {
    serde_json::json!({
        "offset": record["offset"], "timestamp": record["timestamp"],
        "key": record["key"], "value": record["value"], "headers": record["headers"],
    })
}

fn consume(log: &Path, topic: &str, number: &str, isolation: &str) -> Vec<Value> {
    let log = log.to_str().unwrap();
    let args = ["consume", topic, "--partition", number, "--dir", log, "--json", "--isolation", isolation];
    json_lines(&run(args).good())
}

#[test]
fn every_golden_partition_is_read_as_kafka_reads_it() {
    for (topic, number) in partitions() {
        for isolation in ["read_uncommitted", "read_committed"] {
            let records = consume(&golden().join("log"), &topic, &number, isolation);
            assert!(records.iter().all(|record| record["partition"].as_u64() == number.parse().ok()));
            let found: Vec<Value> = records.iter().map(as_listed).collect();
            let name = format!("{topic}-{number}");
            let expected: Vec<Value> = expected(&name, &format!("{isolation}.jsonl")).iter().map(of_listing).collect();
            assert!(
                found == expected,
                "{name} under {isolation}: {} records, {} expected",
                found.len(),
                expected.len()
            );
        }
    }
}

#[test]
fn kafkas_directory_is_whole() {
    if ALL_CODECS {
        assert_eq!(run(["verify", "--dir", golden().join("log").to_str().unwrap()]).good(), "");
    }
    let log = golden().join("log");
    let stats = json_lines(&run(["stats", "--json", "--dir", log.to_str().unwrap()]).good());
    assert_eq!(stats.len(), 27);
    let trimmed = stats.iter().find(|stats| stats["topic"] == "trimmed").unwrap();
    assert_eq!((&trimmed["log_start"], &trimmed["log_end"]), (&307.into(), &600.into()));
}

fn adopted() -> (TestDir, PathBuf) {
    // Compaction left gaps, which the oracle would take for damage.
    let directory = TestDir::scratch("adopted");
    let log = directory.join("log");
    copy_dir(&golden().join("log"), &log);
    (directory, log)
}

#[test]
fn kafkas_directory_must_be_adopted_before_it_is_written() {
    let (_directory, log) = adopted();
    let dir = log.to_str().unwrap();
    for args in [&["produce", "plain"][..], &["flush"], &["topic", "create", "x"], &["truncate", "plain", "0", "5"]] {
        run([args, &["--dir", dir]].concat()).failed(1, "ForeignDirectory");
    }
    let refused = Shell::refused(&log, &[]);
    assert_eq!(refused["kind"], "ForeignDirectory");
    let names = run(["adopt", "--dir", dir]).good();
    assert_eq!(names, run(["topic", "list", "--dir", dir]).good());
    assert_eq!(names.lines().count(), 23);
    let again = run(["adopt", "--dir", dir]);
    again.failed(1, "InvalidArgument");
    assert!(again.last_error().ends_with(" is a riverbed store already"), "{again:?}");
}

/// Adopting cut in silence what an unclean stop had left.
#[test]
fn what_adopting_cut_is_told() {
    let directory = TestDir::scratch("adopted-cut");
    copy_dir(&golden().join("log/groups-input-0"), &directory.join("t-0"));
    let log = directory.join("t-0/00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend([0xff; 70]);
    fs::write(&log, bytes).unwrap();
    let ran = run(["adopt", "--dir", directory.path().to_str().unwrap()]);
    assert_eq!((ran.status, ran.out.as_str()), (0, "t\n"), "{ran:?}");
    assert!(ran.err.starts_with("recovered: t-0: 70 bytes (0 batches) of an unfinished tail were cut"), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1);
}

/// A lock file stayed behind.
#[test]
fn a_directory_that_is_not_adopted_is_left_as_it_is() {
    let directory = TestDir::scratch("not-adopted");
    run(["adopt", "--dir", directory.path().to_str().unwrap()]).failed(1, "InvalidArgument");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_adopted_directory_answers_as_kafka_did() {
    let (_directory, log) = adopted();
    let dir = log.to_str().unwrap();
    run(["adopt", "--dir", dir]).good();
    let mut shell = Shell::open(&log, &[]);
    for (topic, number) in partitions() {
        let name = format!("{topic}-{number}");
        let meta = fs::read_to_string(golden().join("expect").join(&name).join("meta.json")).unwrap();
        let meta: Value = serde_json::from_str(&meta).unwrap();
        let offsets = shell.ok(&format!("offsets {topic} {number}"));
        for (ours, kafkas) in [
            ("log_start", "log_start_offset"),
            ("high_watermark", "high_watermark"),
            ("last_stable", "last_stable_offset"),
        ] {
            assert_eq!(offsets[ours], meta[kafkas], "{name} {ours}");
        }
        // Kafka stops at empty segments there, riverbed finds the first record behind them.
        if topic == "compacted-transactions" {
            continue;
        }
        if !golden().join("expect").join(&name).join("times.jsonl").exists() {
            continue;
        }
        for time in expected(&name, "times.jsonl") {
            let answer = shell.ok(&format!("time {topic} {number} {}", time["ask"]));
            let found = (&answer["offset"], &answer["timestamp"]);
            assert_eq!(found, (&time["offset"], &time["timestamp"]), "{name} at {}", time["ask"]);
        }
    }
    shell.quit();
    for (topic, number) in partitions() {
        let found: Vec<Value> = consume(&log, &topic, &number, "read_committed").iter().map(as_listed).collect();
        let expected: Vec<Value> =
            expected(&format!("{topic}-{number}"), "read_committed.jsonl").iter().map(of_listing).collect();
        assert!(found == expected, "{topic}-{number} after it was adopted");
    }
    if ALL_CODECS {
        run(["verify", "--dir", dir]).good();
    }
}

#[test]
fn look_ups_by_time_pass_empty_segments_where_kafka_stops() {
    let (_directory, log) = adopted();
    run(["adopt", "--dir", log.to_str().unwrap()]).good();
    let mut shell = Shell::open(&log, &[]);
    let records = expected("compacted-transactions-0", "read_uncommitted.jsonl");
    let first = &records[0];
    let answer = shell.ok(&format!(
        "time compacted-transactions 0 {}",
        records.iter().map(|record| record["timestamp"].as_i64().unwrap()).min().unwrap()
    ));
    assert!(answer["offset"].as_i64().unwrap() <= first["offset"].as_i64().unwrap());
    shell.quit();
}

/// A broker has only those partitions of a topic that were assigned to it; the others were taken for lost.
#[test]
fn partitions_on_other_brokers_are_no_problem() {
    let directory = TestDir::scratch("some-partitions");
    copy_dir(&golden().join("log/groups-input-0"), &directory.join("t-2"));
    copy_dir(&golden().join("log/groups-input-0"), &directory.join("t-5"));
    let dir = directory.path().to_str().unwrap();
    let records = json_lines(&run(["consume", "t", "--json", "--dir", dir]).good());
    assert_eq!(records.len(), 180);
    assert!(records.iter().all(|record| record["partition"] == 2 || record["partition"] == 5));
    assert_eq!(run(["verify", "--dir", dir]).good(), "");
    run(["consume", "t", "--partition", "3", "--dir", dir]).failed(1, "NotFound");
}
