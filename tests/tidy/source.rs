//! Source files, and the same with comments, strings or tests blanked out.

use std::path::{Path, PathBuf};

/// A text file of the repository.
pub struct Source {
    /// Its path from the repository's root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    pub fn read(path: &str) -> Self {
        Self::new(path, &std::fs::read_to_string(root().join(path)).unwrap())
    }

    /// The text with every comment and the inside of every literal blanked out; lines and lengths stay.
    pub fn code(&self) -> String {
        blank(&self.text)
    }

    /// The same without modules under `#[cfg(test)]`; nothing for files that are tests as a whole.
    pub fn production_code(&self) -> String {
        let whole = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        if whole { String::new() } else { without_tests(&self.code()) }
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn rust_files(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&root().join(folder), "rs", &mut found);
    }
    found
}

pub fn markdown_files() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), "md", &mut found);
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "target" && name != "kafka-4.3.1" && !name.starts_with('.') {
                collect(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            let relative = path.strip_prefix(root()).unwrap().to_str().unwrap();
            found.push(Source::read(relative));
        }
    }
}

/// Replaces comments and the inside of literals by spaces.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = token_end(&chars, at);
        let is_code = end == at + 1;
        for &c in &chars[at..end] {
            out.push(if is_code || c == '\n' { c } else { ' ' });
        }
        at = end;
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at + 1` if it is ordinary code.
fn token_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next == Some('/') => line_end(chars, at),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1, 0, true),
        'r' if !in_word || chars[at - 1] == 'b' => raw_string_end(chars, at).unwrap_or(at + 1),
        '\'' if next == Some('\\') => find(chars, at + 3, '\'') + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at + 1,
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    find(chars, at, '\n')
}

fn find(chars: &[char], from: usize, wanted: char) -> usize {
    (from..chars.len()).find(|&i| chars[i] == wanted).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let quote = at + 1 + hashes;
    (chars.get(quote) == Some(&'"')).then(|| string_end(chars, quote + 1, hashes, false))
}

fn string_end(chars: &[char], from: usize, hashes: usize, escapes: bool) -> usize {
    let mut i = from;
    while i < chars.len() {
        if escapes && chars[i] == '\\' {
            i += 2;
            continue;
        }
        let closes = chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

/// Blanks every `mod` under `#[cfg(test)]`, or under a longer condition that starts with `test`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_string();
    while let Some(start) = out.find("#[cfg(test)]").or_else(|| out.find("#[cfg(all(test")) {
        let rest = &out[start..];
        let semicolon = rest.find(';').unwrap_or(rest.len());
        let end = match rest.find('{') {
            Some(open) if open < semicolon => start + closing_brace(rest, open),
            _ => start + (semicolon + 1).min(rest.len()),
        };
        let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blanked);
    }
    out
}

fn closing_brace(text: &str, open: usize) -> usize {
    let mut depth = 0;
    for (i, c) in text.char_indices().skip_while(|&(i, _)| i < open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    text.len()
}

/// Places in `code` where the words of `path` (`std::fs`, say) stand as whole words, as line numbers from 1.
pub fn lines_with(code: &str, path: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = |i: usize| !code[..i].ends_with(is_word);
    let ends = |i: usize| path.ends_with(|c| !is_word(c)) || !code[i + path.len()..].starts_with(is_word);
    let hits = code.match_indices(path).filter(|&(i, _)| starts(i) && ends(i));
    hits.map(|(i, _)| code[..i].matches('\n').count() + 1).collect()
}

#[test]
fn comments_literals_and_tests_are_blanked() {
    let text = "a // x\nb /* y /* z */ */ c \"d \\\" e\" r#\"f\"g\"# 'h' '\\'' &'i j b\"k\"\n#[cfg(test)]\nmod tests { l {} }\nm";
    let source = Source::new("src/x.rs", text);
    let words: String = source.code().split_whitespace().collect();
    assert_eq!(words, "abc&'ijb#[cfg(test)]modtests{l{}}m");
    let words: String = source.production_code().split_whitespace().collect();
    assert_eq!(words, "abc&'ijbm");
    assert_eq!(Source::new("src/x/tests.rs", text).production_code(), "");
    assert_eq!(source.code().lines().count(), text.lines().count());
}

#[test]
fn words_are_found_whole() {
    assert_eq!(lines_with("std::fs::File\nstd::fsx\nmystd::fs\n{std::fs}", "std::fs"), [1, 4]);
}
