//! `riverbed shell`: how it reads, answers and ends.

use std::process::Stdio;

use crate::program::{Ran, Shell, interrupt, program, run, run_with};
use crate::support::TestDir;

#[test]
fn every_line_gets_exactly_one_answer() {
    let dir = TestDir::new("shell");
    let input = "create t 1\n\n   \t\ntopics\nfrobnicate\nappend t 0 'k v\nquit\ntopics\n";
    let ran = run_with(input, ["shell", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!((lines[0], lines[1], lines[4]), ("ok {}", r#"ok {"topics":["t"]}"#, "ok {}"));
    for line in &lines[2..4] {
        assert!(line.starts_with(r#"err {"kind":"Usage","message":""#), "{line}");
    }
}

#[test]
fn the_end_of_the_input_is_quit_without_an_answer() {
    let dir = TestDir::new("shell-end");
    let ran = run_with("create t 1\nappend t 0 k v", ["shell", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!((ran.status, ran.out.lines().count()), (0, 2));
    assert!(dir.join(".kafka_cleanshutdown").exists(), "closed cleanly");
    assert_eq!(run(["consume", "t", "--dir", dir.path().to_str().unwrap()]).good(), "v\n");
}

#[test]
fn lines_are_utf_8_of_at_most_16_mib() {
    let dir = TestDir::new("shell-lines");
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 1 max.message.bytes=20000000");
    shell.err(b"append t 0 k \xff", "Usage");
    let head = "append t 0 k ";
    let longest = format!("{head}{}", "x".repeat((16 << 20) - head.len()));
    shell.ok(&longest);
    shell.err(format!("{longest}x"), "Usage");
    shell.ok("append t 0 k after");
    shell.err("append t 0 k 'open", "Usage");
    shell.err("append t 0 k \\", "Usage");
    shell.quit();
}

#[test]
fn a_shell_that_cannot_open_answers_once() {
    let dir = TestDir::new("shell-locked");
    let mut first = Shell::open(dir.path(), &[]);
    first.ok("topics");
    assert_eq!(Shell::refused(dir.path(), &[])["kind"], "AlreadyOpen");
    first.quit();
    std::fs::write(dir.join("file"), "").unwrap();
    assert_eq!(Shell::refused(&dir.join("file"), &[])["kind"], "NotADirectory");
    std::fs::remove_file(dir.join("file")).unwrap();
    let ran = run_with("topics\n", ["shell"]);
    ran.failed(2, "Usage");
}

#[test]
fn a_crash_answers_nothing_and_loses_nothing_that_was_answered() {
    let dir = TestDir::new("shell-crash");
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 1");
    shell.ok("fill t 0 s 1000 100");
    shell.give("crash");
    let ran = shell.end();
    assert_eq!((ran.status, ran.out.as_str()), (-1, ""), "ended by a signal: {ran:?}");
    assert!(!dir.join(".kafka_cleanshutdown").exists());
    let mut shell = Shell::open(dir.path(), &[]);
    assert_eq!(shell.ok("offsets t 0")["log_end"], 1000);
    shell.ok("recovery");
    assert_eq!(shell.ok("append t 0 k v")["offset"], 1000);
    shell.quit();
}

#[test]
fn an_interrupted_shell_ends_with_130() {
    let dir = TestDir::new("shell-interrupt");
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 1");
    interrupt(shell.id());
    assert_eq!(shell.end().status, 130);
    run(["topic", "list", "--dir", dir.path().to_str().unwrap()]).good();
    Shell::open(dir.path(), &[]).quit();
}

#[test]
fn nobody_who_listens_is_no_failure() {
    let dir = TestDir::new("shell-pipe");
    let mut child = program()
        .args(["shell", "--dir", dir.path().to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"topics\ntopics\n").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
}

#[test]
fn the_clock_stands_still_until_it_is_moved() {
    let dir = TestDir::new("shell-clock");
    let mut shell = Shell::open(dir.path(), &["--clock"]);
    shell.ok("create t 1 flush.ms=1000");
    let now = shell.ok("append t 0 k v")["timestamp"].as_i64().unwrap();
    assert!(now > 1_704_067_200_000);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(shell.ok("append t 0 k v")["timestamp"], now);
    assert_eq!(shell.ok("offsets t 0")["durable"], 0);
    assert_eq!(shell.answer(format!("clock {}", now + 999)), "ok {}");
    assert_eq!(shell.ok("offsets t 0")["durable"], 0, "not due yet");
    assert_eq!(shell.answer(format!("clock {}", now + 1000)), "ok {}");
    assert_eq!(shell.ok("offsets t 0")["durable"], 2, "due, and synced before the answer");
    assert_eq!(shell.ok("append t 0 k v")["timestamp"], now + 1000);
    assert_eq!(shell.answer("clock 5"), "ok {}");
    assert_eq!(shell.ok("append t 0 k v ts=4")["timestamp"], 4);
    shell.quit();
    let mut shell = Shell::open(dir.path(), &[]);
    shell.err("clock 5", "InvalidArgument");
    shell.quit();
}

/// A limit on the size of files ended the program by a signal.
#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let dir = TestDir::scratch("file-size");
    let script =
        r#"ulimit -f 400; printf 'create t 1\nfill t 0 s 99999 100\nread t 0 0 1\nquit\n' | "$0" shell --dir "$1""#;
    let shell = std::process::Command::new("bash")
        .args(["-c", script])
        .arg(program().get_program())
        .arg(dir.path())
        .output()
        .unwrap();
    let ran = Ran::from(shell);
    let starts: Vec<&str> = ran.out.lines().map(|line| &line[..3]).collect();
    assert_eq!((ran.status, starts), (0, vec!["ok ", "err", "ok ", "ok "]), "{}", ran.err);
}
