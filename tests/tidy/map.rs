//! The tree in `ARCHITECTURE.md`: it names each source file once, and nothing that is not there.

use std::collections::BTreeSet;

use crate::source::Source;

/// Where the tree stops: a file or a directory for each command, and tests.
const NOT_DRAWN: &[&str] = &["src/bin/", "src/tests/"];

pub fn problems(map: &str, files: &[Source]) -> Vec<String> {
    let drawn = drawn(map);
    let there: BTreeSet<String> = files.iter().map(|file| file.path.clone()).filter(|path| is_drawn(path)).collect();
    let missing = there.iter().filter(|path| !drawn.contains(path));
    let mut problems: Vec<String> =
        missing.map(|path| format!("ARCHITECTURE.md: the tree lacks {path}: add its name and what it is")).collect();
    let mut seen = BTreeSet::new();
    for path in &drawn {
        if !there.contains(path) {
            problems.push(format!("ARCHITECTURE.md: the tree draws {path}, which is not there"));
        }
        if !seen.insert(path) {
            problems.push(format!("ARCHITECTURE.md: the tree draws {path} twice"));
        }
    }
    problems
}

/// Whether the tree names a file. A `mod.rs` stands there as its directory, tests stand beside what they test.
fn is_drawn(path: &str) -> bool {
    let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
    !is_test && !path.ends_with("/mod.rs") && !NOT_DRAWN.iter().any(|place| path.starts_with(place))
}

/// The paths in the block that begins with `src/`. Two blanks of indentation are a directory.
fn drawn(map: &str) -> Vec<String> {
    let mut directories: Vec<&str> = Vec::new();
    let mut paths = Vec::new();
    let lines = map.lines().skip_while(|line| *line != "src/").take_while(|line| !line.starts_with("```"));
    for line in lines {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let Some(name) = line.split_whitespace().next() else { continue };
        directories.truncate(depth);
        if name.ends_with('/') {
            directories.push(name);
        } else {
            paths.push(format!("{}{name}", directories.concat()));
        }
    }
    paths
}

#[test]
fn files_that_are_missing_doubled_or_invented_are_found() {
    let files = ["src/lib.rs", "src/io/mod.rs", "src/io/room.rs", "src/io/room/tests.rs", "src/bin/main.rs"];
    let files = files.map(|path| Source::new(path, ""));
    let check = |tree: &str| problems(&format!("text\n```text\nsrc/\n{tree}```\nlib.rs"), &files).len();
    assert_eq!(check("  lib.rs  it\n  io/  disk\n    room.rs  room\n  bin/  program\n"), 0);
    assert_eq!(check("  lib.rs  it\n  io/  disk\n"), 1, "missing");
    assert_eq!(check("  lib.rs  it\n  io/  disk\n    room.rs  room\n    room.rs  room\n"), 1, "doubled");
    assert_eq!(check("  lib.rs  it\n  io/  disk\n    room.rs  room\n  room.rs  room\n"), 1, "invented");
}
