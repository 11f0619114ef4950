//! `riverbed produce`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::{Ran, interrupt, json_lines, program, run, run_with};
use crate::support::TestDir;

fn store(partitions: &str) -> TestDir {
    let dir = TestDir::new("produce");
    run(["topic", "create", "t", "--partitions", partitions, "--dir", dir.path().to_str().unwrap()]).good();
    dir
}

fn produce(dir: &TestDir, input: &str, options: &[&str]) -> Ran {
    run_with(input, [&["produce", "t", "--dir", dir.path().to_str().unwrap()], options].concat())
}

fn records(dir: &TestDir) -> Vec<Value> {
    json_lines(&run(["consume", "t", "--json", "--dir", dir.path().to_str().unwrap()]).good())
}

fn fields(records: &[Value], name: &str) -> Vec<Value> {
    records.iter().map(|record| record[name].clone()).collect()
}

#[test]
fn a_line_is_a_value() {
    let dir = store("1");
    let told = produce(&dir, "one\n\n{not json\nlast", &["--json"]).good();
    let expected: Vec<Value> = (0..4).map(|offset| json!({"partition": 0, "offset": offset})).collect();
    assert_eq!(json_lines(&told), expected);
    let records = records(&dir);
    assert_eq!(fields(&records, "value"), ["one", "", "{not json", "last"]);
    assert_eq!(fields(&records, "key"), [Value::Null, Value::Null, Value::Null, Value::Null]);
    let told = produce(&dir, "x\ny\n", &[]).good();
    assert!(told.starts_with("2 records, 2 B, in "), "{told}");
    assert_eq!(produce(&dir, "", &["--json"]).good(), "");
}

#[test]
fn keys_and_times_come_from_fields() {
    let dir = store("1");
    let input = r#"{"k":"a","t":1700000000000,"x":1}
{"k":17,"t":"2023-11-14T22:13:21Z"}
{"k":{"n":[1]},"t":null}
{"k":null}
"#;
    produce(&dir, input, &["--key-field", "k", "--timestamp-field", "t", "--json"]).good();
    let records = records(&dir);
    assert_eq!(fields(&records, "key"), [json!("a"), json!("17"), json!(r#"{"n":[1]}"#), Value::Null]);
    assert_eq!(fields(&records, "value"), input.lines().collect::<Vec<_>>());
    assert_eq!(fields(&records[..2], "timestamp"), [1_700_000_000_000_u64, 1_700_000_001_000]);
    assert!(records[3]["timestamp"].as_u64().unwrap() > 1_704_067_200_000);
}

#[test]
fn a_bad_line_stops_and_earlier_ones_stay() {
    let dir = store("1");
    let ran = produce(&dir, "{\"k\":1}\n{\"k\":2}\nnot json\n{\"k\":4}\n", &["--key-field", "k", "--json"]);
    ran.failed(1, "InvalidRecord");
    assert!(ran.last_error().contains("line 3"), "{}", ran.last_error());
    assert_eq!(ran.out.lines().count(), 2);
    assert_eq!(fields(&records(&dir), "key"), ["1", "2"]);
    let far = r#"{"t":9999999999999999}"#;
    produce(&dir, far, &["--timestamp-field", "t"]).failed(1, "InvalidTimestamp");
    produce(&dir, &"x".repeat(2_000_000), &[]).failed(1, "BatchTooLarge");
    assert_eq!(records(&dir).len(), 2);
}

/// What the log refuses took the whole batch with it, earlier lines too, and named a place in the batch, not a line.
#[test]
fn a_line_that_the_topic_refuses_stops_and_earlier_ones_stay() {
    let options = ["--key-field", "k", "--timestamp-field", "t", "--json"];
    for (last, kind) in [
        (r#"{"k":"a","t":-5}"#, "InvalidTimestamp"),
        (r#"{"k":"a","t":9999999999999}"#, "InvalidTimestamp"),
        (r#"{"k":null}"#, "InvalidRecord"),
    ] {
        let dir = TestDir::new("produce-refused");
        let path = dir.path().to_str().unwrap();
        let compacted = ["--config", "cleanup.policy=compact", "--dir", path];
        run([&["topic", "create", "t", "--partitions", "3"][..], &compacted].concat()).good();
        let input = format!("{{\"k\":\"a\"}}\n{{\"k\":\"b\"}}\n{last}\n{{\"k\":\"c\"}}\n");
        let ran = produce(&dir, &input, &options);
        ran.failed(1, kind);
        assert!(ran.last_error().contains(": line 3: "), "{ran:?}");
        assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
        assert_eq!(records(&dir).len(), 2, "{last}");
        assert!(produce(&dir, &input, &options[..4]).out.starts_with("2 records, "), "people are told what stays");
    }
}

/// Lines were gathered into batches of 256 KiB, whatever a segment of the topic may hold: `BatchTooLarge`, although each
/// line would have fitted.
#[test]
fn batches_are_no_larger_than_the_topic_takes() {
    for setting in ["segment.bytes=5000", "max.message.bytes=5000"] {
        let dir = TestDir::new("produce-small");
        let path = dir.path().to_str().unwrap();
        run(["topic", "create", "t", "--config", setting, "--dir", path]).good();
        let input = format!("{}\n", "x".repeat(99)).repeat(500);
        let told = produce(&dir, &input, &[]).good();
        assert!(told.starts_with("500 records"), "{setting}: {told}");
        assert_eq!(records(&dir).len(), 500);
        produce(&dir, &"x".repeat(5000), &[]).failed(1, "BatchTooLarge");
    }
}

#[test]
fn keys_choose_partitions_as_kafkas_producer_does() {
    let dir = store("3");
    let input: String = (0..30).map(|i| format!("{{\"k\":\"{i}\"}}\n")).collect();
    let told = json_lines(&produce(&dir, &input, &["--key-field", "k", "--json"]).good());
    // "21" hashes to -973932308, whose lower 31 bits are 1173551340: divisible by 3.
    assert_eq!(told[21]["partition"], 0);
    let again = json_lines(&produce(&dir, &input, &["--key-field", "k", "--json"]).good());
    assert_eq!(fields(&told, "partition"), fields(&again, "partition"), "a key stays in its partition");
    let mut used: Vec<u64> = told.iter().map(|line| line["partition"].as_u64().unwrap()).collect();
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, [0, 1, 2]);
    let told = json_lines(&produce(&dir, &input, &["--partition", "2", "--key-field", "k", "--json"]).good());
    assert!(told.iter().all(|line| line["partition"] == 2));
    for line in told.windows(2) {
        assert_eq!(line[0]["offset"].as_u64().unwrap() + 1, line[1]["offset"].as_u64().unwrap());
    }
    produce(&dir, "x\n", &["--partition", "3"]).failed(1, "UnknownPartition");
}

#[test]
fn every_acknowledgement_and_codec_is_understood() {
    let dir = store("1");
    let acks = ["none", "written", "durable", "committed", "0", "1", "all"];
    for acks in acks {
        assert_eq!(produce(&dir, "x\n", &["--acks", acks, "--json"]).good().lines().count(), 1, "{acks}");
    }
    let mut codecs = vec!["none"];
    for (codec, built) in [
        ("gzip", cfg!(feature = "gzip")),
        ("snappy", cfg!(feature = "snappy")),
        ("lz4", cfg!(feature = "lz4")),
        ("zstd", cfg!(feature = "zstd")),
    ] {
        if built {
            codecs.push(codec);
        } else {
            produce(&dir, "x\n", &["--compression", codec]).failed(1, "UnsupportedCompression");
        }
    }
    for codec in &codecs {
        produce(&dir, &"value\n".repeat(50), &["--compression", codec, "--json"]).good();
    }
    let log = dir.join("t-0/00000000000000000000.log");
    let dump = run(["dump", log.to_str().unwrap()]).good();
    for codec in &codecs {
        assert!(dump.contains(&format!(" compresscodec: {codec} ")), "{codec}: {dump}");
    }
    assert_eq!(records(&dir).len(), acks.len() + 50 * codecs.len());
    produce(&dir, "x\n", &["--acks", "2"]).failed(2, "Usage");
    produce(&dir, "x\n", &["--compression", "brotli"]).failed(2, "Usage");
}

#[test]
fn a_file_can_be_the_input() {
    let dir = store("1");
    let file = dir.join("input");
    fs::write(&file, "a\nb\n").unwrap();
    assert_eq!(produce(&dir, "", &["--json", "--file", file.to_str().unwrap()]).good().lines().count(), 2);
    assert_eq!(fields(&records(&dir), "value"), ["a", "b"]);
    produce(&dir, "c\n", &["--file", "-"]).good();
    assert_eq!(fields(&records(&dir), "value"), ["a", "b", "c"]);
    fs::remove_file(&file).unwrap();
    produce(&dir, "", &["--file", file.to_str().unwrap()]).failed(1, "NotFound");
}

#[test]
fn a_record_is_told_as_soon_as_its_line_is_there() {
    let dir = store("1");
    let mut child = program()
        .args(["produce", "t", "--json", "--dir", dir.path().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for offset in 0..3 {
        input.write_all(b"x\n").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"partition\":0,\"offset\":{offset}}}\n"));
    }
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    assert_eq!(records(&dir).len(), 3);
}

#[test]
fn nothing_is_produced_to_what_is_not_there() {
    let dir = store("1");
    let path = dir.path().to_str().unwrap();
    run_with("x\n", ["produce", "u", "--dir", path]).failed(1, "UnknownTopic");
    let writer = crate::program::Shell::open(dir.path(), &[]);
    let mut writer = writer;
    writer.ok("topics");
    produce(&dir, "x\n", &[]).failed(1, "AlreadyOpen");
    writer.quit();
}

#[test]
fn progress_is_told_on_standard_error_only_if_asked_for() {
    let dir = store("1");
    let ran = produce(&dir, "x\n", &["--progress"]);
    assert_eq!(ran.status, 0);
    assert!(ran.out.starts_with("1 record,"), "{ran:?}");
}
