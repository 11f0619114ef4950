//! Code is ASCII. Comments may have a few typographic characters; literals may hold any letter, but nothing invisible.

use crate::source::Source;

/// What comments may hold besides ASCII.
const TYPOGRAPHIC: &str = "\u{2013}\u{2014}\u{2026}\u{2212}\u{d7}\u{b7}\u{2264}\u{2265}\u{2260}\u{2192}\u{2190}\u{2194}\
    \u{2191}\u{2193}\u{a7}\u{b5}\u{b2}\u{b3}\u{b9}\u{2070}\u{2074}\u{2075}\u{2076}\u{2077}\u{2078}\u{2079}\u{207b}\
    \u{b1}\u{bd}\u{221e}\u{2248}\u{e9}\u{fc}\u{e4}\u{f6}";

pub fn problems(file: &Source) -> Vec<String> {
    let code = file.code();
    let mut problems = Vec::new();
    for (number, (line, code)) in file.text.split('\n').zip(code.split('\n')).enumerate() {
        let mut complain = |what: String| problems.push(format!("{}:{}: {what}", file.path, number + 1));
        if line.ends_with([' ', '\t', '\r']) {
            complain("ends with blank space".into());
        }
        if let Some(bad) = code.chars().find(|c| !c.is_ascii()) {
            complain(format!("code holds {}", bad.escape_unicode()));
        }
        let is_comment = line.trim_start().starts_with("//");
        let refused = |c: &char| match c {
            ' '..='~' => false,
            c if TYPOGRAPHIC.contains(*c) => false,
            c => is_comment || !c.is_alphabetic(),
        };
        if let Some(bad) = line.chars().find(refused) {
            complain(format!("holds {}", bad.escape_unicode()));
        }
    }
    problems
}

#[test]
fn surprising_characters_are_found() {
    let red = |text: &str| problems(&Source::new("src/x.rs", text)).len();
    assert_eq!(red("// from 0 to 2\u{2076}\u{b3} \u{2212} 1\nlet a = \"\u{dc}n\u{ef}\";"), 0);
    assert_eq!(red("let \u{e4} = 1;"), 1);
    assert_eq!(red("let a = 1; "), 1);
    assert_eq!(red("\tlet a = 1;"), 1);
    assert_eq!(red("// right to left \u{202e}"), 1);
    assert_eq!(red("let a = \"\u{200b}\";"), 1);
    assert_eq!(red("// \u{201c}quoted\u{201d}"), 1);
}
