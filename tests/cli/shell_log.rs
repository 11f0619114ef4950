//! The shell's lines about topics, records and logs, with their exact answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::program::{Shell, run};
use crate::support::TestDir;

fn shell(name: &str) -> (TestDir, Shell) {
    let dir = TestDir::new(name);
    let shell = Shell::open(dir.path(), &[]);
    (dir, shell)
}

#[test]
fn topics_come_and_go() {
    let (_dir, mut shell) = shell("lines-topics");
    assert_eq!(shell.answer("create b 3 segment.bytes=1000 'cleanup.policy=compact,delete'"), "ok {}");
    assert_eq!(shell.answer("create __a 1"), "ok {}");
    assert_eq!(shell.answer("topics"), r#"ok {"topics":["__a","b"]}"#);
    assert_eq!(shell.answer("alter b retention.ms=5 segment.bytes=2000"), "ok {}");
    for (line, kind) in [
        ("create b 1", "TopicExists"),
        ("create b.c 0", "InvalidArgument"),
        ("create b.c -1", "InvalidArgument"),
        ("create a/b 1", "InvalidTopic"),
        ("create '' 1", "InvalidTopic"),
        ("create c 1 no.such=1", "InvalidConfig"),
        ("create c 1 segment.bytes=60", "InvalidConfig"),
        ("alter b segment.bytes=x", "InvalidConfig"),
        ("alter c segment.bytes=1000", "UnknownTopic"),
        ("delete c", "UnknownTopic"),
        ("append c 0 k v", "UnknownTopic"),
        ("append b 3 k v", "UnknownPartition"),
        ("append b -1 k v", "UnknownPartition"),
        ("append b 4294967296 k v", "UnknownPartition"),
    ] {
        shell.err(line, kind);
    }
    assert_eq!(shell.answer("create x.y 1"), "ok {}");
    shell.err("create x_y 1", "TopicCollision");
    assert_eq!(shell.answer("delete b"), "ok {}");
    shell.err("offsets b 0", "UnknownTopic");
    assert_eq!(shell.answer("topics"), r#"ok {"topics":["__a","x.y"]}"#);
    shell.quit();
}

#[test]
fn records_come_back_as_they_were_appended() {
    let (_dir, mut shell) = shell("lines-records");
    shell.ok("create t 1");
    assert_eq!(shell.answer("append t 0 k v ts=1700000000000"), r#"ok {"offset":0,"timestamp":1700000000000}"#);
    assert_eq!(shell.ok("append t 0 - str:- h:a=1=2 ts=5 h:a=- h:=b64:/wA=")["offset"], 1);
    assert_eq!(shell.ok(r#"append t 0 "" 'str:b64:x y' ts=6"#)["offset"], 2);
    assert_eq!(shell.ok("append t 0 b64:/w== - ts=7")["offset"], 3);
    let records = shell.answer("read t 0 0 10");
    let expected = concat!(
        r#"ok {"records":["#,
        r#"{"offset":0,"timestamp":1700000000000,"key":"k","value":"v","headers":[]},"#,
        r#"{"offset":1,"timestamp":5,"key":null,"value":"-","headers":[["a","1=2"],["a",null],["",{"base64":"/wA="}]]},"#,
        r#"{"offset":2,"timestamp":6,"key":"","value":"b64:x y","headers":[]},"#,
        r#"{"offset":3,"timestamp":7,"key":{"base64":"/w=="},"value":null,"headers":[]}"#,
        r#"],"next":4}"#
    );
    assert_eq!(records, expected);
    assert_eq!(shell.answer("read t 0 0 0"), r#"ok {"records":[],"next":0}"#);
    assert_eq!(shell.answer("read t 0 4 1"), r#"ok {"records":[],"next":4}"#);
    let one = shell.ok("read t 0 2 1");
    assert_eq!((&one["records"][0]["offset"], &one["next"]), (&2.into(), &3.into()));
    shell.err("read t 0 5 1", "OffsetOutOfRange");
    shell.err("read t 0 5 0", "OffsetOutOfRange");
    shell.err("read t 0 -1 1", "OffsetOutOfRange");
    shell.err("read t 0 0 -1", "InvalidArgument");
    shell.err("append t 0 k v ts=-2", "InvalidTimestamp");
    shell.err("append t 0 k v ts=9223372036854775807", "InvalidTimestamp");
    shell.quit();
}

#[test]
fn readers_choose_how_far_they_see() {
    let (_dir, mut shell) = shell("lines-marks");
    shell.ok("create t 1 high.watermark=durable");
    shell.ok("append t 0 k a");
    assert_eq!(shell.answer("flush t 0"), r#"ok {"durable":1}"#);
    shell.ok("append t 0 k b");
    let marks = r#"ok {"log_start":0,"last_stable":1,"high_watermark":1,"durable":1,"log_end":2}"#;
    assert_eq!(shell.answer("offsets t 0"), marks);
    let mut seen = |options: &str| shell.ok(&format!("read t 0 0 9 {options}"))["next"].clone();
    assert_eq!(seen(""), 2);
    assert_eq!(seen("upto=written"), 2);
    assert_eq!(seen("upto=durable"), 1);
    assert_eq!(seen("upto=committed isolation=uncommitted"), 1);
    assert_eq!(seen("isolation=committed"), 1, "the lower limit wins");
    assert_eq!(shell.answer("read t 0 2 9 upto=durable"), r#"ok {"records":[],"next":2}"#);
    shell.quit();
}

#[test]
fn fill_makes_records_that_can_be_told_again() {
    let (_dir, mut shell) = shell("lines-fill");
    shell.ok("create t 1 flush.messages=1");
    assert_eq!(shell.answer("fill t 0 s 0 10"), r#"ok {"first":null,"last":null,"durable":null}"#);
    assert_eq!(shell.answer("fill t 0 s 7 80 batch=3"), r#"ok {"first":0,"last":6,"durable":7}"#);
    let records = shell.ok("read t 0 0 9")["records"].clone();
    // From sha256sum.
    let hash = "74d7151be70fb7deb7900896e81edef265f8cf2293ab40f9561704e781016903";
    assert_eq!(records[0]["value"], format!("s-0:{hash}{}", &hash[..12]));
    for i in 0..7 {
        assert_eq!(records[i]["key"], format!("s-{i}"));
        assert_eq!(records[i]["value"].as_str().unwrap().len(), 80);
    }
    assert_eq!(shell.ok("fill t 0 'a b' 1 3")["first"], 7);
    assert_eq!(shell.ok("read t 0 7 1")["records"][0]["value"], "a b");
    for line in ["fill t 0 s -1 10", "fill t 0 s 1 -1", "fill t 0 s 1 10 batch=0", "fill t 0 s 1 9223372036854775807"] {
        shell.err(line, "InvalidArgument");
    }
    shell.quit();
}

#[test]
fn a_fill_that_fails_tells_what_was_acknowledged() {
    let (_dir, mut shell) = shell("lines-fill-fails");
    shell.ok("create t 1");
    shell.ok("fill t 0 s 1 100 batch=1");
    let size = shell.ok("segments t 0")["segments"][0]["bytes"].clone();
    shell.ok(&format!("alter t max.message.bytes={size}"));
    let failed = shell.err("fill t 0 s 12 100 batch=1", "BatchTooLarge");
    assert_eq!((&failed["first"], &failed["last"]), (&1.into(), &10.into()), "key s-10 is one byte too long");
    let failed = shell.err("fill t 0 s 12 101 batch=1", "BatchTooLarge");
    assert_eq!((&failed["first"], &failed["last"]), (&Value::Null, &Value::Null));
    let failed = shell.err("fill u 0 s 12 101", "UnknownTopic");
    assert_eq!(failed["first"], Value::Null);
    shell.quit();
}

/// `fill` gathered whatever `batch=` and BYTES asked for, up to 2 GiB, before the log could refuse it.
#[test]
fn a_fill_gathers_no_more_than_the_topic_takes() {
    let (_dir, mut shell) = shell("lines-fill-large");
    shell.ok("create t 1 max.message.bytes=1000");
    for line in ["fill t 0 s 9223372036854775807 10 batch=9223372036854775807", "fill t 0 s 1 2147483647"] {
        let failed = shell.err(line, "BatchTooLarge");
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains("batch has 10") || message.contains("at most 1000"), "{line}: {message}");
        assert_eq!(failed["last"], Value::Null);
    }
    shell.quit();
}

#[test]
fn a_batch_is_appended_as_from_a_client() {
    let (dir, mut shell) = shell("lines-batch");
    shell.ok("create a 1");
    shell.ok("create b 1");
    shell.ok("fill a 0 s 3 20");
    shell.quit();
    let bytes = std::fs::read(dir.join("a-0/00000000000000000000.log")).unwrap();
    let mut shell = Shell::open(dir.path(), &[]);
    let line = |bytes: &[u8]| format!("batch b 0 {}", STANDARD.encode(bytes));
    assert_eq!(shell.answer(line(&bytes)), r#"ok {"first":0,"last":2}"#);
    assert_eq!(shell.answer(line(&bytes)), r#"ok {"first":3,"last":5}"#);
    let mut torn = bytes.clone();
    torn[70] ^= 1;
    shell.err(line(&torn), "Corruption");
    let mut old = bytes.clone();
    old[16] = 1;
    shell.err(line(&old), "UnsupportedMagic");
    shell.err(line(&[bytes.clone(), bytes.clone()].concat()), "InvalidRecord");
    assert!(shell.answer("batch b 0 ''").starts_with("err "));
    assert_eq!(shell.ok("offsets b 0")["log_end"], 6);
    shell.quit();
}

#[test]
fn times_are_looked_up() {
    let (_dir, mut shell) = shell("lines-time");
    shell.ok("create t 1");
    for time in [10, 30, 20] {
        shell.ok(&format!("append t 0 k v ts={time}"));
    }
    let before_all = [(i64::MIN, 0, 10), (-1, 0, 10), (0, 0, 10)];
    let table = before_all.into_iter().chain([(10, 0, 10), (11, 1, 30), (20, 1, 30), (30, 1, 30)]);
    for (asked, offset, timestamp) in table {
        let answer = format!("ok {{\"offset\":{offset},\"timestamp\":{timestamp}}}");
        assert_eq!(shell.answer(format!("time t 0 {asked}")), answer, "{asked}");
    }
    assert_eq!(shell.answer("time t 0 31"), r#"ok {"offset":null,"timestamp":null}"#);
    shell.quit();
}

#[test]
fn segments_are_rolled_listed_and_deleted() {
    let (dir, mut shell) = shell("lines-segments");
    shell.ok("create t 1");
    assert_eq!(shell.answer("segments t 0"), r#"ok {"segments":[]}"#, "nothing was ever written");
    assert_eq!(shell.answer("roll t 0"), r#"ok {"base_offset":0}"#, "an empty segment is not rolled");
    shell.ok("fill t 0 s 10 10");
    assert_eq!(shell.answer("roll t 0"), r#"ok {"base_offset":10}"#);
    shell.ok("fill t 0 s 10 10");
    let segments = shell.ok("segments t 0")["segments"].clone();
    assert_eq!((&segments[0]["base_offset"], &segments[0]["active"]), (&0.into(), &false.into()));
    assert_eq!((&segments[1]["base_offset"], &segments[1]["active"]), (&10.into(), &true.into()));
    assert_eq!(segments[0]["bytes"], segments[1]["bytes"]);
    assert_eq!(shell.answer("delete-records t 0 5"), r#"ok {"log_start":5}"#);
    assert_eq!(shell.answer("delete-records t 0 3"), r#"ok {"log_start":5}"#);
    shell.err("delete-records t 0 21", "OffsetOutOfRange");
    shell.err("delete-records t 0 -2", "OffsetOutOfRange");
    shell.err("read t 0 4 1", "OffsetOutOfRange");
    assert_eq!(shell.ok("read t 0 5 1")["records"][0]["offset"], 5);
    assert_eq!(shell.answer("delete-records t 0 12"), r#"ok {"log_start":12}"#);
    assert!(!dir.join("t-0/00000000000000000000.log").exists(), "gone when it answers");
    assert_eq!(shell.answer("delete-records t 0 -1"), r#"ok {"log_start":20}"#);
    let left = json!({"log_start": 20, "last_stable": 20, "high_watermark": 20, "durable": 20, "log_end": 20});
    let mut offsets = shell.ok("offsets t 0");
    offsets["durable"] = 20.into();
    assert_eq!(offsets, left);
    shell.ok("create c 1 cleanup.policy=compact");
    shell.ok("append c 0 k v");
    shell.err("delete-records c 0 1", "InvalidConfig");
    shell.quit();
    let mut shell = Shell::open(dir.path(), &[]);
    assert_eq!(shell.ok("offsets t 0")["log_start"], 20);
    shell.quit();
}

#[test]
fn a_log_is_cut() {
    let (_dir, mut shell) = shell("lines-truncate");
    shell.ok("create t 1");
    shell.ok("fill t 0 s 10 10 batch=1");
    assert_eq!(shell.answer("truncate t 0 4"), r#"ok {"log_end":4}"#);
    assert_eq!(shell.ok("offsets t 0")["log_end"], 4);
    assert_eq!(shell.ok("append t 0 k v")["offset"], 4);
    shell.err("truncate t 0 -1", "OffsetOutOfRange");
    shell.err("truncate t 1 0", "UnknownPartition");
    assert_eq!(shell.answer("verify"), r#"ok {"problems":[],"tail":[]}"#);
    shell.quit();
}

#[test]
fn recovery_and_verify_tell_what_a_damaged_log_suffered() {
    let dir = TestDir::scratch("lines-recovery");
    let mut shell = Shell::open(dir.path(), &[]);
    assert_eq!(shell.answer("recovery"), r#"ok {"list":[]}"#);
    shell.ok("create t 1");
    shell.ok("fill t 0 s 10 10 batch=1");
    shell.quit();
    let log = dir.join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let third = bytes.len() / 10 * 2;
    bytes[third + 65] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let mut shell = Shell::open(dir.path(), &[]);
    let found = shell.ok("verify");
    let problem = &found["problems"][0];
    assert_eq!((&problem["kind"], &problem["position"]), (&"Corruption".into(), &third.into()), "{found}");
    assert!(problem["path"].as_str().unwrap().ends_with("t-0/00000000000000000000.log"));
    assert!(problem["message"].as_str().unwrap().starts_with("checksum is "), "{problem}");
    assert_eq!(shell.ok("read t 0 0 2")["records"].as_array().unwrap().len(), 2, "what lies before is readable");
    shell.err("read t 0 2 1", "Corruption");
    assert_eq!(shell.ok("read t 0 3 9")["next"], 10, "and what lies behind");
    shell.quit();
}

#[test]
fn a_cut_tail_is_told_once() {
    let (dir, mut shell) = shell("lines-recovered");
    shell.ok("create t 1");
    shell.ok("fill t 0 s 10 10 batch=1");
    shell.give("crash");
    shell.end();
    let log = dir.join("t-0/00000000000000000000.log");
    let size = 10 * first_batch_size(&dir);
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 33], size).unwrap();
    let mut shell = Shell::open(dir.path(), &[]);
    let list = shell.ok("recovery")["list"].clone();
    assert_eq!((&list[0]["topic"], &list[0]["partition"]), (&"t".into(), &0.into()), "{list}");
    assert_eq!(list[0]["cut_batches"], 0);
    assert!(list[0]["cut_bytes"].as_u64().unwrap() >= 33, "{list}");
    assert!(list[0]["reason"].is_string());
    assert_eq!(shell.ok("offsets t 0")["log_end"], 10);
    shell.quit();
    let mut shell = Shell::open(dir.path(), &[]);
    assert_eq!(shell.answer("recovery"), r#"ok {"list":[]}"#);
    shell.quit();
}

fn first_batch_size(dir: &TestDir) -> u64 {
    let dump = run(["dump", "--json", dir.join("t-0/00000000000000000000.log").to_str().unwrap()]);
    let line = dump.out.lines().nth(1).unwrap();
    serde_json::from_str::<Value>(line).unwrap()["size"].as_u64().unwrap()
}

#[test]
fn what_does_not_exist_yet_is_unsupported_and_malformed_is_usage() {
    let (_dir, mut shell) = shell("lines-later");
    shell.ok("create t 1");
    for line in [
        "begin a",
        "commit a",
        "abort a",
        "send-offsets a g t 0 5",
        "commit-offset g t 0 5",
        "committed g t 0",
        "append t 0 k v txn=a",
        "fill t 0 s 1 1 txn=a",
    ] {
        shell.err(line, "Unsupported");
    }
    for line in
        ["begin", "commit a b", "send-offsets a g t x 5", "committed g t", "retain all", "append t 0 k v txn=a ts=x"]
    {
        shell.err(line, "Usage");
    }
    assert_eq!(shell.ok("offsets t 0")["log_end"], 0);
    shell.quit();
}
