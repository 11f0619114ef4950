use riverbed::ErrorKind;

use super::super::words;
use super::*;

fn parse(line: &str) -> Result<Line, Failure> {
    Line::parse(words::split(line)?)
}

fn place(topic: &str, partition: i64) -> Place {
    Place { topic: topic.into(), partition }
}

fn text(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn every_line_is_understood() {
    let configs = pairs(&[("segment.bytes", "1024"), ("cleanup.policy", "compact,delete"), ("x", "a=b")]);
    let table = [
        ("create t 3", Line::Create { topic: "t".into(), partitions: 3, configs: vec![] }),
        (
            "create t 3 segment.bytes=1024 'cleanup.policy=compact,delete' x=a=b",
            Line::Create { topic: "t".into(), partitions: 3, configs },
        ),
        ("delete t", Line::Delete { topic: "t".into() }),
        ("alter t retention.ms=", Line::Alter { topic: "t".into(), configs: pairs(&[("retention.ms", "")]) }),
        ("topics", Line::Topics),
        ("batch t 1 AAEC", Line::Batch { place: place("t", 1), bytes: vec![0, 1, 2] }),
        ("batch t 1 ''", Line::Batch { place: place("t", 1), bytes: vec![] }),
        ("offsets t 0", Line::Offsets(place("t", 0))),
        ("time t 0 -5", Line::Time { place: place("t", 0), millis: -5 }),
        ("flush t 0", Line::Flush(place("t", 0))),
        ("delete-records t 0 -1", Line::DeleteRecords { place: place("t", 0), before: -1 }),
        ("roll t 0", Line::Roll(place("t", 0))),
        ("segments 't' -1", Line::Segments(place("t", -1))),
        ("compact", Line::Compact),
        ("verify", Line::Verify),
        ("recovery", Line::Recovery),
        ("truncate t 0 7", Line::Truncate { place: place("t", 0), offset: 7 }),
        ("clock 1700000000000", Line::Clock { millis: 1_700_000_000_000 }),
        ("crash", Line::Crash),
        ("quit", Line::Quit),
    ];
    for (line, expected) in table {
        assert_eq!(parse(line).unwrap(), expected, "{line:?}");
    }
}

#[test]
fn append_takes_its_options_in_any_order() {
    let record = |headers, timestamp| NewRecord { key: text("k"), value: None, headers, timestamp };
    let headers = vec![("a".to_owned(), text("1=2")), (String::new(), None), ("a".to_owned(), text(""))];
    let table = [
        ("append t 0 k -", record(vec![], None)),
        ("append t 0 k - ts=5", record(vec![], Some(5))),
        ("append t 0 k - h:a=1=2 ts=5 h:=- h:a=", record(headers.clone(), Some(5))),
        ("append t 0 k - ts=5 h:a=1=2 h:=- h:a=str:", record(headers, Some(5))),
    ];
    for (line, record) in table {
        assert_eq!(parse(line).unwrap(), Line::Append { place: place("t", 0), record }, "{line:?}");
    }
    let Line::Append { record, .. } = parse("append t 0 h:a=b ts=5").unwrap() else { panic!("an append") };
    assert_eq!((record.key, record.value), (text("h:a=b"), text("ts=5")));
}

#[test]
fn fill_has_batches_of_a_hundred_unless_told() {
    let fill = |batch| FillWords { seed: "b64:x".into(), count: 5, bytes: 10, batch };
    let parsed = parse("fill t 2 b64:x 5 10").unwrap();
    assert_eq!(parsed, Line::Fill { place: place("t", 2), fill: fill(100) });
    let parsed = parse("fill t 2 b64:x 5 10 batch=7").unwrap();
    assert_eq!(parsed, Line::Fill { place: place("t", 2), fill: fill(7) });
}

#[test]
fn read_defaults_to_uncommitted_and_written() {
    let table = [
        ("read t 0 1 2", Isolation::ReadUncommitted, ReadUpTo::Written),
        ("read t 0 1 2 upto=written isolation=uncommitted", Isolation::ReadUncommitted, ReadUpTo::Written),
        ("read t 0 1 2 isolation=committed upto=durable", Isolation::ReadCommitted, ReadUpTo::Durable),
        ("read t 0 1 2 upto=committed", Isolation::ReadUncommitted, ReadUpTo::HighWatermark),
    ];
    for (line, isolation, up_to) in table {
        let read = ReadWords { offset: 1, max: 2, isolation, up_to };
        assert_eq!(parse(line).unwrap(), Line::Read { place: place("t", 0), read }, "{line:?}");
    }
}

#[test]
fn what_does_not_exist_yet_is_understood_and_unsupported() {
    let table = [
        ("append t 0 k v txn=a", "txn="),
        ("fill t 0 s 1 1 txn=a batch=2", "txn="),
        ("begin a", "begin"),
        ("commit a", "commit"),
        ("abort a", "abort"),
        ("send-offsets a g t 0 5", "send-offsets"),
        ("commit-offset g t 0 5", "commit-offset"),
        ("committed g t 0", "committed"),
    ];
    for (line, name) in table {
        assert_eq!(parse(line).unwrap(), Line::Unsupported(name), "{line:?}");
    }
}

const MALFORMED: &[&str] = &[
    "frobnicate",
    "''",
    "APPEND t 0 k v",
    "create",
    "create t",
    "create t x",
    "create t 1 a",
    "create t 1 =a",
    "create t 1 a=1 a=2",
    "delete",
    "delete a b",
    "alter",
    "alter t",
    "alter t a",
    "alter t a=1 a=1",
    "topics x",
    "append",
    "append t",
    "append t 0",
    "append t 0 k",
    "append t x k v",
    "append t 0 k v w",
    "append t 0 k v ts=1 ts=1",
    "append t 0 k v ts=x",
    "append t 0 k v ts=",
    "append t 0 k v h:a",
    "append t 0 k v H:a=b",
    "append t 0 b64:! v",
    "append t 0 k b64:AA",
    "append t 0 k v h:a=b64:?",
    "append t 0 k v batch=1",
    "append t 0 k v txn=a txn=b",
    "append t 0 k v txn=a ts=x",
    "append t 0 'k v",
    "fill t 0 s",
    "fill t 0 s 1",
    "fill t 0 s 1 x",
    "fill t 0 s 1 1 batch=x",
    "fill t 0 s 1 1 batch=1 batch=1",
    "fill t 0 s 1 1 h:a=b",
    "fill t 0 s 1 1 ts=5",
    "batch t 0",
    "batch t 0 AA",
    "batch t 0 b64:AA==",
    "batch t 0 AAAA x",
    "read t 0 0",
    "read t 0 0 x",
    "read t 0 0 1 isolation=read_committed",
    "read t 0 0 1 upto=all",
    "read t 0 0 1 upto=durable upto=durable",
    "read t 0 0 1 max=5",
    "offsets t",
    "offsets t 0 0",
    "time t 0",
    "time t 0 2024-01-01",
    "flush t",
    "flush",
    "delete-records t 0",
    "delete-records t 0 a",
    "roll t",
    "segments",
    "retain x",
    "compact x",
    "verify x",
    "recovery x",
    "begin",
    "begin a b",
    "commit",
    "abort",
    "send-offsets a g t 0",
    "send-offsets a g t x 5",
    "commit-offset g t 0",
    "commit-offset g t 0 x",
    "committed g t",
    "committed g t 0 0",
    "truncate t 0",
    "clock",
    "clock x",
    "crash 1",
    "quit now",
];

#[test]
fn malformed_lines_are_usage() {
    for line in MALFORMED {
        let kind = parse(line).map_err(|failure| failure.kind);
        assert_eq!(kind, Err(ErrorKind::Usage), "{line:?}");
    }
}
