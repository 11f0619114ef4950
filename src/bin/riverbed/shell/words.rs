//! Splits a line into words as a POSIX shell does: quotes and backslash only, nothing is expanded, no comments.

use crate::failure::Failure;

/// The words of `line`, without their quotes.
///
/// Blanks are space and tab. Between single quotes every character stands for itself; between double quotes a
/// backslash is one unless `$`, a back quote, `"` or `\` follows; elsewhere it takes the meaning from what follows.
pub fn split(line: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => single_quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '\\' => {
                let literal = rest.next().ok_or_else(|| Failure::usage("the line ends behind a backslash"))?;
                word.get_or_insert_default().push(literal);
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Failure> {
    loop {
        match rest.next() {
            Some('\'') => return Ok(()),
            Some(c) => word.push(c),
            None => return Err(Failure::usage("a single quote is not closed")),
        }
    }
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), Failure> {
    let open = || Failure::usage("a double quote is not closed");
    loop {
        match rest.next().ok_or_else(open)? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or_else(open)? {
                escaped @ ('$' | '`' | '"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_posix_shell() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" \t ", &[]),
            ("a b", &["a", "b"]),
            ("  a\t b  ", &["a", "b"]),
            ("''", &[""]),
            (r#"a '' "" b"#, &["a", "", "", "b"]),
            (r"'a b' c", &["a b", "c"]),
            (r#"'a"b' "c'd""#, &["a\"b", "c'd"]),
            (r"'a\b'", &[r"a\b"]),
            (r#"a'b c'"d e"f"#, &["ab cd ef"]),
            (r"a\ b \' \\ \n", &["a b", "'", r"\", "n"]),
            (r#""\$ \` \" \\ \n \a""#, &[r#"$ ` " \ \n \a"#]),
            (
                "# no; comment | nor > $operator `x` *",
                &["#", "no;", "comment", "|", "nor", ">", "$operator", "`x`", "*"],
            ),
            ("a#b ~ ü\u{a0}ß", &["a#b", "~", "ü\u{a0}ß"]),
            ("a\rb\r", &["a\rb\r"]),
        ];
        for (line, words) in table {
            assert_eq!(&split(line).unwrap(), words, "{line:?}");
        }
    }

    #[test]
    fn open_quotes_and_a_last_backslash_are_refused() {
        for line in ["'", "a 'b", "\"", "a \"b\\\"", "'a\\'b'", "a\\", "\"a\\"] {
            assert_eq!(split(line).unwrap_err().kind, riverbed::ErrorKind::Usage, "{line:?}");
        }
    }
}
