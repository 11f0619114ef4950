//! `riverbed compact`, and the shell's line of that name.

use serde_json::json;

use crate::program::{Shell, json_lines, run};
use crate::support::TestDir;

/// Three keys, twenty times over, and a topic that is not compacted.
fn filled(name: &str) -> TestDir {
    let dir = TestDir::scratch(name);
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create prices 1 cleanup.policy=compact segment.bytes=1000");
    shell.ok("create events 1 segment.bytes=1000");
    for n in 0..60 {
        shell.ok(&format!("append prices 0 k{} value-{n}", n % 3));
        shell.ok(&format!("append events 0 k{} value-{n}", n % 3));
    }
    shell.ok("roll prices 0");
    shell.quit();
    dir
}

#[test]
fn the_last_record_of_each_key_stays() {
    let dir = filled("compact-command");
    let path = dir.path().to_str().unwrap();
    let listed = run(["compact", "--dry-run", "--json", "--dir", path]).good();
    let [listed] = json_lines(&listed).try_into().unwrap();
    assert_eq!((&listed["topic"], &listed["first_dirty"]), (&"prices".into(), &0.into()));
    assert_eq!((&listed["first_uncleanable"], &listed["dirty_ratio"]), (&60.into(), &1.0.into()));
    let ratios = || {
        json_lines(&run(["stats", "--json", "--dir", path]).good()).into_iter().map(|line| line["dirty_ratio"].clone())
    };
    assert!(ratios().eq([json!(null), json!(1.0)]), "{:?}", ratios().collect::<Vec<_>>());
    let table = run(["compact", "--dry-run", "--dir", path]).good();
    assert!(table.contains("prices") && table.ends_with("to clean\n"), "{table}");
    let [done] = json_lines(&run(["compact", "--json", "--dir", path]).good()).try_into().unwrap();
    assert_eq!(done["records_removed"], 57);
    assert_eq!(done["bytes_before"], listed["cleanable_bytes"]);
    assert!(done["bytes_after"].as_u64() < done["bytes_before"].as_u64(), "{done}");
    let again = run(["compact", "--dir", path]).good();
    assert!(ratios().eq([json!(null), json!(0.0)]), "{:?}", ratios().collect::<Vec<_>>());
    assert_eq!(again, "rewrote 0 segments, 0 B to 0 B, without 0 records\n");
    let records = json_lines(&run(["consume", "prices", "--json", "--dir", path]).good());
    let offsets: Vec<_> = records.iter().map(|record| record["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [57, 58, 59]);
    assert_eq!(json_lines(&run(["consume", "events", "--json", "--dir", path]).good()).len(), 60);
    run(["verify", "--dir", path]).good();
    run(["compact", "--dir", &format!("{path}/none")]).failed(1, "NotFound");
}

#[test]
fn the_shell_answers_with_segments_and_bytes() {
    let dir = TestDir::scratch("compact-line");
    let mut shell = Shell::open(dir.path(), &["--clock"]);
    shell.ok("clock 1000000");
    shell.ok("create t 1 cleanup.policy=compact delete.retention.ms=5000");
    assert_eq!(shell.answer("compact"), r#"ok {"segments":0,"bytes_before":0,"bytes_after":0}"#);
    for line in ["append t 0 a one", "append t 0 b two", "append t 0 a -", "roll t 0"] {
        shell.ok(line);
    }
    let answer = shell.ok("compact");
    assert_eq!(answer["segments"], 1);
    assert!(answer["bytes_after"].as_u64() < answer["bytes_before"].as_u64(), "{answer}");
    let offsets = |shell: &mut Shell| {
        let read = shell.ok("read t 0 0 10");
        let records = read["records"].as_array().unwrap().clone();
        records.iter().map(|record| record["offset"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(offsets(&mut shell), [json!(1), json!(2)], "a tombstone stays for its time");
    shell.ok("clock 1004999");
    assert_eq!(shell.ok("compact")["segments"], 0);
    shell.ok("clock 1005000");
    assert_eq!(shell.ok("compact")["segments"], 1);
    assert_eq!(offsets(&mut shell), [json!(1)]);
    assert_eq!(shell.ok("verify")["problems"], json!([]));
    shell.ok("delete t");
    assert_eq!(shell.ok("compact")["segments"], 0);
    shell.quit();
}

/// What one partition answered was all that was told, and what had become of the others was not.
#[test]
fn a_partition_that_cannot_be_compacted_is_told_behind_what_the_others_did() {
    let dir = TestDir::scratch("compact-damage");
    let path = dir.path().to_str().unwrap();
    let mut shell = Shell::open(dir.path(), &[]);
    shell.ok("create t 3 cleanup.policy=compact");
    for number in 0..3 {
        for value in ["one", "two"] {
            shell.ok(&format!("append t {number} key {value}"));
        }
        shell.ok(&format!("roll t {number}"));
    }
    shell.quit();
    let file = dir.join("t-1/00000000000000000000.log");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let ran = run(["compact", "--json", "--dir", path]);
    ran.failed(1, "Corruption");
    assert!(ran.last_error().contains("t-1"), "{}", ran.last_error());
    let [done] = json_lines(&ran.out).try_into().unwrap();
    assert_eq!((&done["segments"], &done["records_removed"]), (&2.into(), &2.into()));
}
