//! `tests/kafka-behaviours.md`: each behaviour stands there once, in order, with tests that exist or the reason for none.

use std::collections::BTreeMap;

use crate::source::Source;

/// The groups and how many behaviours each has, numbered from 01.
const GROUPS: &[(&str, usize)] = &[
    ("VAL", 32),
    ("APP", 24),
    ("READ", 16),
    ("ROLL", 24),
    ("OIX", 11),
    ("TIX", 8),
    ("XIX", 8),
    ("REC", 37),
    ("TRU", 13),
    ("DUR", 6),
    ("RET", 20),
    ("OFF", 10),
    ("IDM", 20),
    ("SNP", 9),
    ("TXN", 23),
    ("CLN", 32),
    ("CLM", 12),
    ("EPO", 12),
];

pub fn problems(list: &str, sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut before: Option<String> = None;
    for (line, row) in list.lines().enumerate() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let &["", id, what, shown, ""] = cells.as_slice() else { continue };
        if !GROUPS.iter().any(|(group, _)| id.starts_with(&format!("{group}-"))) {
            continue;
        }
        *seen.entry(id.to_string()).or_default() += 1;
        let mut complain = |why: &str| problems.push(format!("tests/kafka-behaviours.md:{}: {id} {why}", line + 1));
        if what.is_empty() {
            complain("says nothing");
        }
        let named = tests_named(shown);
        if named.is_empty() && !shown.starts_with("none: ") {
            complain("names no test and no reason");
        }
        if shown.split_whitespace().any(|word| word == "pending") {
            complain("is put off: a reason says what takes its place, or which layer it belongs to");
        }
        if number(id) != Some(1) && Some(id.to_string()) != before.as_deref().and_then(following) {
            complain("does not follow the one before");
        }
        before = Some(id.to_string());
        for name in named.iter().filter(|name| !exists(name, sources)) {
            complain(&format!("names {name}, which is not there"));
        }
    }
    for id in GROUPS.iter().flat_map(|(group, count)| (1..=*count).map(move |n| format!("{group}-{n:02}"))) {
        match seen.remove(&id) {
            Some(1) => {}
            Some(n) => problems.push(format!("{id} stands there {n} times")),
            None => problems.push(format!("{id} is missing")),
        }
    }
    problems.extend(seen.into_keys().map(|id| format!("{id} is no behaviour")));
    problems
}

fn number(id: &str) -> Option<usize> {
    id.rsplit_once('-')?.1.parse().ok()
}

/// The id behind `id` in its group.
fn following(id: &str) -> Option<String> {
    Some(format!("{}-{:02}", id.rsplit_once('-')?.0, number(id)? + 1))
}

/// What stands between backticks and has the form `path::name`.
fn tests_named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).filter(|span| span.contains(".rs::")).collect()
}

fn exists(test: &str, sources: &[Source]) -> bool {
    let Some((path, name)) = test.split_once("::") else { return false };
    sources.iter().find(|file| file.path == path).is_some_and(|file| has_test(file, name))
}

/// Whether the file has a test of this name.
pub fn has_test(file: &Source, name: &str) -> bool {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let function = format!("fn {name}(");
    let about = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
    let is_test = |i: usize| lines[..i].iter().rev().take_while(about).any(|line| *line == "#[test]");
    lines.iter().enumerate().any(|(i, line)| line.starts_with(&function) && is_test(i))
}

#[test]
fn missing_doubled_and_invented_rows_are_found() {
    let sources = [Source::new("src/a.rs", "#[test]\nfn it_holds() {}\nfn helper() {}\n")];
    let good: Vec<String> = GROUPS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |n| format!("| {group}-{n:02} | it | `src/a.rs::it_holds` |")))
        .collect();
    let check = |rows: &[String]| problems(&rows.join("\n"), &sources).len();
    assert_eq!(check(&good), 0);
    assert_eq!(check(&good[1..]), 2, "missing, and the next one does not follow");
    let mut swapped = good.clone();
    swapped.swap(3, 4);
    assert_eq!(check(&swapped), 3);
    let changed = |row: &str| {
        let mut rows = good.clone();
        rows[0] = row.to_string();
        check(&rows)
    };
    assert_eq!(changed("| VAL-01 | it | none: there is no such thing here |"), 0);
    assert_eq!(changed("| VAL-01 | it | `src/a.rs::it_fell` |"), 1);
    assert_eq!(changed("| VAL-01 | it | `src/a.rs::helper` |"), 1);
    assert_eq!(changed("| VAL-01 | it | `src/b.rs::it_holds` |"), 1);
    assert_eq!(changed("| VAL-01 | it | |"), 1);
    assert_eq!(changed("| VAL-01 | it | none: pending |"), 1);
    assert_eq!(changed("| VAL-02 | it | `src/a.rs::it_holds` |"), 4);
    assert_eq!(changed("| VAL-99 | it | `src/a.rs::it_holds` |"), 4);
}
