//! Who imports whom. A line of the table is a permission; there is no other.

use crate::source::{Source, lines_with};

/// Each module of the crate's root and what it may import from the crate, lowest first.
const LAYERS: &[(&str, &[&str])] = &[
    ("sync", &[]),
    ("types", &["error"]),
    ("error", &["types"]),
    ("clock", &["sync", "types"]),
    ("span", &[]),
    ("record", &["types", "error", "clock", "sync"]),
    ("io", &["types", "error", "clock", "sync"]),
    ("segment", &["record", "io", "types", "error", "clock", "sync"]),
    ("log", &["segment", "record", "io", "types", "error", "clock", "span", "sync"]),
    ("compaction", &["log", "segment", "record", "io", "types", "error", "clock", "span", "sync"]),
    ("partition", &["compaction", "log", "segment", "record", "io", "types", "error", "clock", "sync"]),
    ("store", &["partition", "compaction", "log", "segment", "record", "io", "types", "error", "clock", "sync"]),
    ("model", &["record", "types", "error"]),
];

/// Files that may import anything: the root, and tests of the whole crate.
const FREE: &[&str] = &["src/lib.rs", "src/tests/", "src/bin/"];

pub fn problems(file: &Source) -> Vec<String> {
    if FREE.iter().any(|free| file.path.starts_with(free)) {
        return Vec::new();
    }
    let code = file.code();
    let Some(module) = module_of(&file.path) else {
        return vec![format!("{}: not below src", file.path)];
    };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}: module {module:?} has no layer in tests/tidy/layers.rs", file.path)];
    };
    let mut problems = Vec::new();
    for (line, import) in imports(&code) {
        if import != module && !allowed.contains(&import.as_str()) {
            problems.push(format!("{}:{line}: {module} may not import crate::{import}", file.path));
        }
    }
    let to_the_root = vec!["super"; depth(&file.path)].join("::");
    for line in lines_with(&file.production_code(), &to_the_root) {
        problems.push(format!("{}:{line}: {to_the_root} reaches the root: write crate::", file.path));
    }
    problems
}

/// `src/io/room.rs` and `src/io.rs` belong to `io`.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    inside.split('/').next().map(|first| first.strip_suffix(".rs").unwrap_or(first))
}

/// How many modules deep the file's own module lies: 1 for `src/io/mod.rs`, 2 for `src/io/room.rs`.
fn depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

/// The first words behind every `crate::`, with their lines: also those of `crate::{a, b::{c, d}}`.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let line = code[..start].matches('\n').count() + 1;
        let rest = &code[start + "crate::".len()..];
        let firsts = if rest.starts_with('{') { first_words_in_braces(rest) } else { vec![first_word(rest)] };
        found.extend(firsts.into_iter().map(|word| (line, word)));
    }
    found
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn first_words_in_braces(text: &str) -> Vec<String> {
    let (mut depth, mut words) = (0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && matches!(c, '{' | ',') {
            words.push(first_word(&text[i + 1..]));
        }
        if depth == 0 {
            break;
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn an_import_upwards_is_found_in_every_spelling() {
    let red = |path: &str, text: &str| problems(&Source::new(path, text)).len();
    assert_eq!(red("src/io/room.rs", "use crate::types::Offset;\nuse crate::io::View;"), 0);
    assert_eq!(red("src/io/room.rs", "use crate::record::Batch;"), 1);
    assert_eq!(red("src/io/room.rs", "fn f() { crate::log::open() }"), 1);
    assert_eq!(red("src/io/room.rs", "use crate::{types::{Offset, Sequence}, log::Log, store};"), 2);
    assert_eq!(red("src/io/room.rs", "use super::super::log::Log;"), 1);
    assert_eq!(red("src/io/room.rs", "use crate::Error;"), 1);
    assert_eq!(red("src/io/room.rs", "// use crate::log::Log;"), 0);
    assert_eq!(red("src/log/mod.rs", "use super::store::Store;"), 1);
    assert_eq!(red("src/log/mod.rs", "#[cfg(test)]\nmod tests { use super::*; }"), 0);
    assert_eq!(red("src/log/open/tests.rs", "use super::super::Log;"), 0);
    assert_eq!(red("src/fresh/mod.rs", ""), 1);
    assert_eq!(red("src/lib.rs", "use crate::store::Store;"), 0);
}

#[test]
fn the_table_has_no_way_up() {
    let base = ["sync", "types", "error", "clock"];
    for (place, (name, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            let below = LAYERS.iter().position(|(other, _)| other == import).unwrap();
            let both_at_the_bottom = base.contains(name) && base.contains(import);
            assert!(below < place || both_at_the_bottom, "{name} may not import {import}, which stands above it");
        }
    }
}
