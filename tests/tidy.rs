//! Holds what no lint knows: who imports whom, what may appear where, how long files are, whether links resolve and
//! whether documents name what exists. Each rule is a function from text to problems, and its own tests show it red.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

#[path = "tidy/behaviours.rs"]
mod behaviours;
#[path = "tidy/characters.rs"]
mod characters;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/map.rs"]
mod map;
#[path = "tidy/markdown.rs"]
mod markdown;
#[path = "tidy/orderings.rs"]
mod orderings;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{Source, markdown_files, rust_files};

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

fn check_each(files: &[Source], rule: fn(&Source) -> Vec<String>) {
    assert!(!files.is_empty(), "there are files to check");
    assert_none(&files.iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn modules_import_only_downwards() {
    check_each(&rust_files(&["src"]), layers::problems);
}

#[test]
fn files_unsafe_code_locks_clocks_and_codecs_stay_in_their_places() {
    check_each(&rust_files(&["src"]), words::misplaced);
}

#[test]
fn atomics_that_publish_are_not_relaxed() {
    check_each(&rust_files(&["src"]), orderings::problems);
}

#[test]
fn nothing_is_left_to_do() {
    check_each(&rust_files(&["src", "tests", "benches", "examples"]), words::unfinished);
}

#[test]
fn no_file_is_too_long() {
    check_each(&rust_files(&["src", "tests", "benches", "examples"]), sizes::problems);
}

#[test]
fn sources_hold_no_surprising_characters() {
    check_each(&rust_files(&["src", "tests", "benches", "examples"]), characters::problems);
}

#[test]
fn links_between_documents_resolve() {
    let files = markdown_files();
    assert_none(&markdown::problems(&files, |path| source::root().join(path).exists()));
}

#[test]
fn every_behaviour_names_tests_that_exist() {
    let list = Source::read("tests/kafka-behaviours.md");
    let tests = rust_files(&["src", "tests"]);
    assert_none(&behaviours::problems(&list.text, &tests));
}

#[test]
fn every_planted_bug_names_tests_that_exist() {
    let tests = rust_files(&["src", "tests"]);
    assert_none(&planted::patches().iter().flat_map(|patch| planted::problems(patch, &tests)).collect::<Vec<_>>());
}

#[test]
fn the_map_names_every_source_file() {
    assert_none(&map::problems(&Source::read("ARCHITECTURE.md").text, &rust_files(&["src"])));
}
