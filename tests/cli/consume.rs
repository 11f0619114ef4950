//! `riverbed consume`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use crate::program::{Ran, Shell, interrupt, json_lines, program, run};
use crate::support::TestDir;

/// Two partitions: 0 holds 0..10 at the times 1000, 2000 and so on, 1 holds three others.
fn store() -> TestDir {
    let dir = TestDir::new("consume");
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 2");
    for i in 0..10 {
        shell.ok(&format!("append t 0 k{i} v{i} ts={}", (i + 1) * 1000));
    }
    shell.ok("append t 1 - -");
    shell.ok("append t 1 '' '' h:a=1 h:b=- h:a=b64:/w==");
    shell.ok("append t 1 b64:/w== 'two words'");
    shell.quit();
    dir
}

fn consume(dir: &TestDir, options: &[&str]) -> Ran {
    run([&["consume", "t", "--dir", dir.path().to_str().unwrap()], options].concat())
}

fn offsets(dir: &TestDir, options: &[&str]) -> Vec<u64> {
    let ran = consume(dir, &[&["--partition", "0", "--json"], options].concat());
    json_lines(&ran.good()).iter().map(|record| record["offset"].as_u64().unwrap()).collect()
}

#[test]
fn text_is_the_value_and_a_newline() {
    let dir = store();
    let text = consume(&dir, &[]).good();
    let expected: String = (0..10).map(|i| format!("v{i}\n")).collect();
    assert_eq!(text, expected + "\n\ntwo words\n", "partitions follow each other, null is an empty line");
}

#[test]
fn json_has_everything() {
    let dir = store();
    let records = json_lines(&consume(&dir, &["--partition", "1", "--json"]).good());
    let mut without_time = records.clone();
    for record in &mut without_time {
        assert!(record.as_object_mut().unwrap().remove("timestamp").unwrap().is_u64());
    }
    let expected = serde_json::json!([
        {"partition": 1, "offset": 0, "key": null, "value": null, "headers": []},
        {"partition": 1, "offset": 1, "key": "", "value": "", "headers": [["a", "1"], ["b", null], ["a", {"base64": "/w=="}]]},
        {"partition": 1, "offset": 2, "key": {"base64": "/w=="}, "value": "two words", "headers": []},
    ]);
    assert_eq!(serde_json::Value::Array(without_time), expected);
}

#[test]
fn positions_are_words_offsets_and_times() {
    let dir = store();
    let table: &[(&[&str], std::ops::Range<u64>)] = &[
        (&[], 0..10),
        (&["--from", "earliest"], 0..10),
        (&["--from", "latest"], 10..10),
        (&["--from", "7"], 7..10),
        (&["--from", "10"], 10..10),
        (&["--to", "3"], 0..3),
        (&["--to", "0"], 0..0),
        (&["--to", "99"], 0..10),
        (&["--from", "2", "--to", "5"], 2..5),
        (&["--from", "5", "--to", "2"], 5..5),
        (&["--from", "4", "--max", "2"], 4..6),
        (&["--max", "0"], 0..0),
        (&["--from", "@3000"], 2..10),
        (&["--from", "@3001"], 3..10),
        (&["--from", "@0"], 0..10),
        (&["--from", "@99999"], 10..10),
        (&["--from", "@-1"], 0..10),
        (&["--from", "@1969-12-31T23:59:59Z"], 0..10),
        (&["--from", "@9999-12-31T23:59:59Z"], 10..10),
        (&["--from", "@1970-01-01T00:00:09Z"], 8..10),
        (&["--from", "@1970-01-01T01:00:09+01:00", "--isolation", "read_committed"], 8..10),
    ];
    for (options, expected) in table {
        assert_eq!(offsets(&dir, options), expected.clone().collect::<Vec<_>>(), "{options:?}");
    }
    assert_eq!(consume(&dir, &["--max", "12"]).good().lines().count(), 12, "the maximum counts all partitions");
}

#[test]
fn what_is_not_there_is_refused() {
    let dir = store();
    consume(&dir, &["--partition", "0", "--from", "11"]).failed(1, "OffsetOutOfRange");
    consume(&dir, &["--partition", "2"]).failed(1, "UnknownPartition");
    run(["consume", "u", "--dir", dir.path().to_str().unwrap()]).failed(1, "UnknownTopic");
    consume(&dir, &["--partition", "-1"]).failed(1, "UnknownPartition");
    consume(&dir, &["--group", "g"]).failed(1, "Unsupported");
    for options in
        [&["--from", "first"][..], &["--from", "@soon"], &["--to", "-1"], &["--isolation", "none"], &["--max", "x"]]
    {
        consume(&dir, options).failed(2, "Usage");
    }
    run(["consume", "t"]).failed(2, "Usage");
}

#[test]
fn a_running_writer_is_followed() {
    let dir = store();
    let mut writer = Shell::open(dir.path(), &[]);
    writer.ok("append t 0 k first");
    let mut child = program()
        .args(["consume", "t", "--follow", "--from", "latest", "--dir", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    // The reader may start a little later than the writer goes on.
    let mut seen = String::new();
    for i in 0.. {
        writer.ok(&format!("append t 0 k w{i}"));
        if i == 0 {
            std::thread::sleep(std::time::Duration::from_millis(500));
        } else {
            seen = next();
            break;
        }
    }
    assert!(seen == "w0\n" || seen == "w1\n", "{seen}");
    writer.ok("roll t 0");
    writer.ok("append t 1 k other");
    let mut rest = vec![next()];
    if rest[0] != "other\n" {
        rest.push(next());
    }
    assert!(rest.contains(&"other\n".to_owned()), "{rest:?}");
    writer.ok("append t 0 k rolled");
    assert_eq!(next(), "rolled\n");
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    writer.quit();
}

#[test]
fn following_ends_where_it_was_told() {
    let dir = store();
    assert_eq!(offsets(&dir, &["--follow", "--to", "4"]), [0, 1, 2, 3]);
    assert_eq!(offsets(&dir, &["--follow", "--max", "2"]), [0, 1]);
    let mut writer = Shell::open(dir.path(), &[]);
    let mut child = program()
        .args(["consume", "t", "--partition", "0", "--follow", "--to", "11", "--dir", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writer.ok("append t 0 k eleventh");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 11);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    writer.quit();
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let dir = store();
    let mut writer = Shell::open(dir.path(), &[]);
    writer.ok("fill t 0 s 5000 200");
    writer.quit();
    let mut child = program()
        .args(["consume", "t", "--json", "--dir", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

/// `consume --follow | head -1` went on for ever: it heard of the closed pipe only from a next record, which never came.
#[test]
fn a_follower_ends_when_nobody_reads_any_more() {
    let dir = store();
    let mut child = program()
        .args(["consume", "t", "--follow", "--dir", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    for _ in 0..1000 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

/// A writer that deleted records under a reader made it fail: `NotFound` for a file it had listed and not yet opened.
#[test]
fn records_deleted_under_a_reader_are_passed_over() {
    let dir = TestDir::new("consume-deleted");
    let mut writer = Shell::open(dir.path(), &[]);
    writer.ok("create t 1 segment.bytes=50000");
    writer.ok("fill t 0 s 3000 1000 batch=10");
    let mut child = program()
        .args(["consume", "t", "--json", "--dir", dir.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    // The pipe is full now, and the reader far from the end.
    writer.ok("delete-records t 0 2500");
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let last = rest.lines().last().unwrap();
    assert!(last.starts_with(r#"{"partition":0,"offset":2999,"#), "{last}");
    assert!(rest.lines().count() < 2999);
    writer.quit();
}
