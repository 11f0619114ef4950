//! What is fuzzed of the shell: any text as its lines. `fuzz/fuzz_targets/shell_lines.rs` includes this file.

use super::line::Line;
use super::words;

/// A line is understood or refused as usage; its words, quoted, are the same words and mean the same.
///
/// # Errors
/// What is wrong.
pub fn shell_lines(input: &[u8]) -> Result<(), String> {
    for text in String::from_utf8_lossy(input).split('\n') {
        let split = match words::split(text) {
            Ok(split) => split,
            Err(refused) if refused.kind == riverbed::ErrorKind::Usage => continue,
            Err(other) => return Err(format!("{text:?}: {other}")),
        };
        let quoted: Vec<String> = split.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        let again = words::split(&quoted.join(" ")).map_err(|refused| format!("{quoted:?}: {refused}"))?;
        if again != split {
            return Err(format!("{split:?}, quoted, are {again:?}"));
        }
        let (one, other) = (Line::parse(split), Line::parse(again));
        if one != other {
            return Err(format!("{text:?} is {one:?}, and then {other:?}"));
        }
        if let Err(refused) = one
            && refused.kind != riverbed::ErrorKind::Usage
        {
            return Err(format!("{text:?}: {refused}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::shell_lines;

    #[test]
    fn every_line_of_the_corpus_is_understood_or_refused() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/shell_lines");
        let mut files = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            for len in 0..=input.len() {
                shell_lines(&input[..len]).unwrap_or_else(|wrong| panic!("{} to {len}: {wrong}", path.display()));
            }
            files += 1;
        }
        assert!(files > 0);
    }
}
