//! `tests/planted`: each patch says what it plants, and names tests that exist.

use crate::behaviours::has_test;
use crate::source::{Source, root};

/// The patches.
pub fn patches() -> Vec<Source> {
    let folder = std::fs::read_dir(root().join("tests/planted")).unwrap();
    let mut names: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.iter().map(|name| Source::read(&format!("tests/planted/{name}"))).collect()
}

pub fn problems(patch: &Source, sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut planted, mut catches) = (0, 0);
    for line in patch.text.lines().take_while(|line| !line.starts_with("--- ")) {
        let mut complain = |why: String| problems.push(format!("{}: {why}", patch.path));
        match line.split_once(": ") {
            Some(("planted", _)) => planted += 1,
            Some(("catches", test)) => {
                catches += 1;
                let (folder, name) = place_of(test);
                if !sources.iter().any(|file| file.path.starts_with(&folder) && has_test(file, name)) {
                    complain(format!("names {name}, which is not in {folder}"));
                }
            }
            Some(("hangs", "yes") | ("needs", _)) => {}
            _ if line.is_empty() => {}
            _ => complain(format!("does not understand: {line}")),
        }
    }
    if planted != 1 || catches == 0 {
        problems.push(format!("{}: says what it plants once, and names at least one test", patch.path));
    }
    problems
}

/// Where a test is to be looked for, and its name: `lib path::of::a::test`, or `test FILE test`.
fn place_of(test: &str) -> (String, &str) {
    let words: Vec<&str> = test.split_whitespace().collect();
    match words.as_slice() {
        ["lib", path] => ("src/".into(), path.rsplit("::").next().unwrap_or(path)),
        ["test", file, name] => (format!("tests/{file}"), name.rsplit("::").next().unwrap_or(name)),
        _ => (String::new(), test),
    }
}

#[test]
fn patches_without_a_word_or_with_invented_tests_are_found() {
    let sources = [Source::new("src/a.rs", "#[test]\nfn it_holds() {}\n"), Source::new("tests/b.rs", "")];
    let check = |head: &str| {
        problems(&Source::new("tests/planted/p.patch", &format!("{head}\n--- a/src/a.rs\n")), &sources).len()
    };
    assert_eq!(check("planted: It fails.\ncatches: lib a::tests::it_holds\nhangs: yes\n"), 0);
    assert_eq!(check("planted: It fails.\ncatches: lib a::tests::it_fell\n"), 1);
    assert_eq!(check("planted: It fails.\ncatches: test b it_holds\n"), 1);
    assert_eq!(check("planted: It fails.\n"), 1);
    assert_eq!(check("catches: lib a::it_holds\nwhy: not\n"), 2);
}
