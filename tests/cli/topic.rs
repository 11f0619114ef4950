//! `riverbed topic`, `stats` and `flush`.

use serde_json::Value;

use crate::program::{json_lines, run, run_with};
use crate::support::TestDir;

fn at<'a>(directory: &'a TestDir, args: &[&'a str]) -> Vec<&'a str> {
    [args, &["--dir", directory.path().to_str().unwrap()]].concat()
}

#[test]
fn topics_are_created_listed_described_altered_and_deleted() {
    let dir = TestDir::new("topics");
    let create = [
        "topic",
        "create",
        "orders",
        "--partitions",
        "3",
        "--config",
        "segment.bytes=1000",
        "--config",
        "retention.ms=-1",
    ];
    assert_eq!(run(at(&dir, &create)).good(), "");
    assert_eq!(run(at(&dir, &["topic", "create", "a.b"])).good(), "");
    assert_eq!(run(at(&dir, &["topic", "list"])).good(), "a.b\norders\n");
    let list = json_lines(&run(at(&dir, &["topic", "list", "--json"])).good());
    assert_eq!(list[1], serde_json::json!({"topic": "orders", "partitions": 3}));
    let describe = || json_lines(&run(at(&dir, &["topic", "describe", "orders", "--json"])).good()).remove(0);
    let described = describe();
    assert_eq!(described["topic"], "orders");
    assert_eq!(described["id"].as_str().unwrap().len(), 22);
    assert_eq!(described["configs"]["segment.bytes"], "1000");
    assert_eq!(described["configs"]["cleanup.policy"], "delete");
    let empty = serde_json::json!(
        {"partition": 2, "log_start": 0, "last_stable": 0, "high_watermark": 0, "durable": 0, "log_end": 0}
    );
    assert_eq!(described["partitions"][2], empty);
    run(at(&dir, &["topic", "alter", "orders", "--config", "segment.bytes=2000", "--partitions", "5"])).good();
    let altered = describe();
    assert_eq!(altered["configs"]["segment.bytes"], "2000");
    assert_eq!(altered["configs"]["retention.ms"], "-1");
    assert_eq!(altered["partitions"].as_array().unwrap().len(), 5);
    let text = run(at(&dir, &["topic", "describe", "orders"])).good();
    assert!(text.starts_with("orders, id ") && text.contains("segment.bytes=2000"), "{text}");
    assert_eq!(text.lines().count(), 2 + 5);
    run(at(&dir, &["topic", "delete", "orders"])).good();
    assert_eq!(run(at(&dir, &["topic", "list"])).good(), "a.b\n");
}

#[test]
fn topics_that_cannot_be_are_refused() {
    let dir = TestDir::new("refused-topics");
    run(at(&dir, &["topic", "create", "a.b"])).good();
    let table: &[(&[&str], &str)] = &[
        (&["topic", "create", "a.b"], "TopicExists"),
        (&["topic", "create", "a_b"], "TopicCollision"),
        (&["topic", "create", "a b"], "InvalidTopic"),
        (&["topic", "create", ""], "InvalidTopic"),
        (&["topic", "create", "c", "--partitions", "0"], "InvalidArgument"),
        (&["topic", "create", "c", "--config", "segment.byte=5"], "InvalidConfig"),
        (&["topic", "create", "c", "--config", "segment.bytes=x"], "InvalidConfig"),
        (&["topic", "alter", "c", "--partitions", "2"], "UnknownTopic"),
        (&["topic", "alter", "a.b", "--partitions", "0"], "InvalidArgument"),
        (&["topic", "alter", "a.b", "--config", "retention.ms=-2"], "InvalidConfig"),
        (&["topic", "describe", "c"], "UnknownTopic"),
        (&["topic", "delete", "c"], "UnknownTopic"),
    ];
    for (args, kind) in table {
        let ran = run(at(&dir, args));
        ran.failed(1, kind);
        assert_eq!(ran.out, "", "{args:?}");
    }
    assert_eq!(run(at(&dir, &["topic", "list"])).good(), "a.b\n");
}

#[test]
fn a_directory_that_is_not_there_is_read_by_nobody() {
    let dir = TestDir::scratch("missing");
    let missing = dir.join("no");
    let missing = missing.to_str().unwrap();
    for args in [&["topic", "list"][..], &["stats"], &["verify"], &["consume", "t"], &["topic", "describe", "t"]] {
        run([args, &["--dir", missing]].concat()).failed(1, "NotFound");
    }
    let lines: [&[&str]; 5] = [
        &["produce", "t"],
        &["flush"],
        &["truncate", "t", "0", "0"],
        &["topic", "delete", "t"],
        &["topic", "alter", "t", "--partitions", "2"],
    ];
    for args in lines {
        run([args, &["--dir", missing]].concat()).failed(1, "NotFound");
    }
    assert!(!dir.join("no").exists(), "what cannot hold the topic is not created");
    std::fs::write(dir.join("file"), "").unwrap();
    run(["topic", "list", "--dir", dir.join("file").to_str().unwrap()]).failed(1, "NotADirectory");
    run(["topic", "create", "t", "--dir", dir.join("file").to_str().unwrap()]).failed(1, "NotADirectory");
}

#[test]
fn stats_count_what_is_there() {
    let dir = TestDir::new("stats");
    run(at(&dir, &["topic", "create", "t", "--partitions", "2"])).good();
    let input = r#"{"t":1700000000000}
{"t":1700000001000}
{"t":1700000002000}
"#;
    run_with(input, at(&dir, &["produce", "t", "--partition", "1", "--timestamp-field", "t", "--json"])).good();
    let stats = json_lines(&run(at(&dir, &["stats", "--json"])).good());
    assert_eq!((&stats[0]["partition"], &stats[0]["log_end"]), (&0.into(), &0.into()));
    assert_eq!(stats[0]["records_per_second"], Value::Null);
    assert_eq!((&stats[1]["segments"], &stats[1]["log_end"], &stats[1]["durable"]), (&1.into(), &3.into(), &3.into()));
    assert_eq!(stats[1]["records_per_second"], 1.5);
    assert_eq!((&stats[1]["producers"], &stats[1]["late_transactions"]), (&0.into(), &0.into()));
    let bytes = std::fs::metadata(dir.join("t-1/00000000000000000000.log")).unwrap().len();
    assert_eq!(stats[1]["bytes"], bytes);
    let text = run(at(&dir, &["stats"])).good();
    assert!(text.lines().next().unwrap().contains("log end"), "{text}");
    assert_eq!(text.lines().count(), 1 + 2 + 1);
}

#[test]
fn flush_tells_how_far_everything_is_durable() {
    let dir = TestDir::new("flush");
    run(at(&dir, &["topic", "create", "t", "--partitions", "2"])).good();
    run_with("a\nb\n", at(&dir, &["produce", "t", "--partition", "1", "--json"])).good();
    let lines = json_lines(&run(at(&dir, &["flush", "--json"])).good());
    assert_eq!(lines[0], serde_json::json!({"topic": "t", "partition": 0, "durable": 0}));
    assert_eq!(lines[1], serde_json::json!({"topic": "t", "partition": 1, "durable": 2}));
    assert_eq!(run(at(&dir, &["flush"])).good(), "t-0 is durable up to 0\nt-1 is durable up to 2\n");
}

#[test]
fn stats_tell_which_partitions_could_not_be_opened() {
    let dir = TestDir::scratch("stats-closed");
    run(at(&dir, &["topic", "create", "t", "--partitions", "2"])).good();
    std::fs::remove_dir_all(dir.join("t-0")).unwrap();
    let stats = json_lines(&run(at(&dir, &["stats", "--json"])).good());
    assert_eq!((&stats[0]["partition"], &stats[0]["error"]), (&1.into(), &Value::Null));
    assert_eq!(stats[1]["partition"], 0);
    assert!(stats[1]["error"].as_str().unwrap().contains("gone"), "{}", stats[1]);
    let text = run(at(&dir, &["stats"])).good();
    assert!(text.lines().last().unwrap().starts_with("t-0 could not be opened: "), "{text}");
}
