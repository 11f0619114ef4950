//! Links between documents: the file is there, and so is the heading.

use std::collections::HashSet;

use crate::source::Source;

/// What is wrong with the relative links of `files`; `exists` answers for paths from the repository's root.
pub fn problems(files: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        for (line, target) in links(&file.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').map_or((target.as_str(), None), |(p, a)| (p, Some(a)));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            if !exists(&path) {
                problems.push(format!("{}:{line}: {target}: there is no {path}", file.path));
            } else if let Some(anchor) = anchor
                && let Some(other) = files.iter().find(|other| other.path == path)
                && !anchors(&other.text).contains(anchor)
            {
                problems.push(format!("{}:{line}: {target}: {path} has no such heading", file.path));
            }
        }
    }
    problems
}

/// Lines outside of fenced code, with the inside of code spans blanked out, numbered from 1.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let parts = line.split('`').enumerate();
            let visible: Vec<_> = parts.map(|(i, part)| if i % 2 == 0 { part } else { "" }).collect();
            lines.push((number + 1, visible.join("`")));
        }
    }
    lines
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for (start, _) in line.match_indices("](") {
            let rest = &line[start + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            found.push((number, rest[..end].to_string()));
        }
    }
    found
}

/// `docs/format.md` + `../README.md` = `README.md`.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of all headings, made as GitHub makes them.
fn anchors(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let repeat = (1..).map(|n| format!("{anchor}-{n}")).find(|name| !found.contains(name));
        let name = if found.contains(&anchor) { repeat.unwrap() } else { anchor };
        found.insert(name);
    }
    found
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let check = |text: &str| {
        let files = [Source::new("docs/a.md", text), Source::new("README.md", "# Top\n## What it is, really?\n")];
        problems(&files, |path| files.iter().any(|file| file.path == path)).len()
    };
    assert_eq!(check("[x](../README.md) [y](../README.md#what-it-is-really) [z](https://example.org/#x)"), 0);
    assert_eq!(check("[x](../READ.md)"), 1);
    assert_eq!(check("[x](../README.md#what-it-was)"), 1);
    assert_eq!(check("# Own\n[x](#own) [y](#other)"), 1);
    assert_eq!(check("```text\n[x](nowhere.md)\n```\n`[x](nowhere.md)`"), 0);
}
