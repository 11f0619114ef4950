//! `riverbed retain` and the shell's line `retain`.

use serde_json::json;

use crate::program::{Shell, json_lines, run};
use crate::support::TestDir;

fn at<'a>(directory: &'a TestDir, args: &[&'a str]) -> Vec<&'a str> {
    [args, &["--dir", directory.path().to_str().unwrap()]].concat()
}

/// A topic `t` whose partition 1 has segments at 0, 5 and 10 with records of the year 2023, and an empty one at 15; and a
/// topic that keeps everything.
fn filled(name: &str, shell_stays: bool) -> (TestDir, Option<Shell>) {
    let dir = TestDir::new(name);
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 2 retention.ms=1000");
    shell.ok("create kept 1 retention.ms=-1");
    for n in 0..15 {
        shell.ok(&format!("append t 1 k v{n} ts=170000000000{}", n % 10));
        shell.ok(&format!("append kept 0 k v{n} ts=5"));
        if n % 5 == 4 {
            shell.ok("roll t 1");
        }
    }
    if shell_stays {
        return (dir, Some(shell));
    }
    shell.quit();
    (dir, None)
}

fn bytes_of(dir: &TestDir) -> u64 {
    let length = |base: u64| std::fs::metadata(dir.join(format!("t-1/{base:020}.log"))).unwrap().len();
    [0, 5, 10].into_iter().map(length).sum()
}

#[test]
fn what_is_too_old_is_listed_and_then_removed() {
    let (dir, _) = filled("retain", false);
    let bytes = bytes_of(&dir);
    let listed = json_lines(&run(at(&dir, &["retain", "--dry-run", "--json"])).good());
    assert_eq!(listed.len(), 3);
    let first = std::fs::metadata(dir.join("t-1/00000000000000000000.log")).unwrap().len();
    let expected = json!({
        "topic": "t", "partition": 1, "base_offset": 0, "end_offset": 5, "bytes": first, "reason": "retention.ms"
    });
    assert_eq!(listed[0], expected);
    let text = run(at(&dir, &["retain", "--dry-run"])).good();
    assert_eq!(text.lines().count(), 1 + 3 + 1, "{text}");
    assert!(text.lines().last().unwrap().starts_with("would remove 3 segments, "), "{text}");
    let removed = json_lines(&run(at(&dir, &["retain", "--json"])).good());
    assert_eq!(removed, [json!({"segments": 3, "bytes": bytes})]);
    assert_eq!(run(at(&dir, &["retain"])).good(), "removed 0 segments, 0 B\n");
    assert_eq!(run(at(&dir, &["retain", "--dry-run"])).good(), "would remove 0 segments, 0 B\n");
    assert_eq!(run(at(&dir, &["retain", "--dry-run", "--json"])).good(), "");
    let stats = json_lines(&run(at(&dir, &["stats", "--json"])).good());
    let ends: Vec<_> = stats.iter().map(|line| (line["log_start"].clone(), line["log_end"].clone())).collect();
    assert_eq!(ends, [(0.into(), 15.into()), (0.into(), 0.into()), (15.into(), 15.into())]);
    run(at(&dir, &["verify"])).good();
}

#[test]
fn a_shell_retains_when_it_is_told_and_never_by_itself() {
    let (dir, shell) = filled("retain-shell", true);
    let mut shell = shell.unwrap();
    assert_eq!(shell.ok("segments t 1")["segments"].as_array().unwrap().len(), 4);
    let listed = json_lines(&run(at(&dir, &["retain", "--dry-run", "--json"])).good());
    assert_eq!(listed.len(), 3, "beside a writer, too");
    run(at(&dir, &["retain"])).failed(1, "AlreadyOpen");
    let bytes: u64 = listed.iter().map(|line| line["bytes"].as_u64().unwrap()).sum();
    assert_eq!(shell.answer("retain"), format!(r#"ok {{"segments":3,"bytes":{bytes}}}"#));
    assert_eq!(shell.answer("retain"), r#"ok {"segments":0,"bytes":0}"#);
    assert_eq!(shell.ok("offsets t 1")["log_start"], 15);
    assert_eq!(shell.ok("offsets kept 0")["log_start"], 0);
    assert_eq!(shell.ok("append t 1 k v")["offset"], 15);
    shell.quit();
}

#[test]
fn a_shells_clock_makes_segments_due_and_removes_none() {
    let dir = TestDir::new("retain-clock");
    let mut shell = Shell::open(dir.path(), &["--clock"]);
    shell.ok("create t 1 retention.ms=1000");
    let now = shell.ok("append t 0 k v")["timestamp"].as_i64().unwrap();
    shell.ok(&format!("clock {}", now + 1000));
    assert_eq!(shell.ok("retain")["segments"], 0);
    shell.ok(&format!("clock {}", now + 3_600_000));
    assert_eq!(shell.ok("offsets t 0")["log_start"], 0);
    assert_eq!(shell.ok("retain")["segments"], 1);
    assert_eq!(shell.ok("offsets t 0")["log_start"], 1);
    shell.quit();
}

/// What one partition answered was all that was told, and what had been removed of the others was not.
#[test]
fn a_partition_that_cannot_be_retained_is_told_behind_what_the_others_did() {
    let (dir, _) = filled("retain-damage", false);
    let bytes = bytes_of(&dir);
    std::fs::remove_dir_all(dir.join("t-0")).unwrap();
    let ran = run(at(&dir, &["retain", "--json"]));
    ran.failed(1, "Corruption");
    assert!(ran.last_error().contains("t-0"), "{}", ran.last_error());
    assert_eq!(json_lines(&ran.out), [json!({"segments": 3, "bytes": bytes})]);
}
