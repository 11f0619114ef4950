//! Kafka's text files: checkpoints, `partition.metadata`, `meta.properties`, `.kafka_cleanshutdown`.

use super::entry::{Entry, Value};
use super::report::Report;
use crate::failure::Outcome;

/// A checkpoint: a version, a count, and so many lines of the columns `names`.
pub fn checkpoint(text: &str, names: &[&str], report: &mut Report<'_>) -> Outcome {
    let mut position = 0;
    let mut lines = text.lines();
    let mut header = |what: &str, report: &mut Report<'_>| -> Option<usize> {
        let line = lines.next()?;
        let number = line.parse().ok();
        if number.is_none() {
            report.damage(position, format!("the {what} is {line:?}"));
        }
        position += line.len() + 1;
        number
    };
    let version = header("version", report);
    if version.is_some_and(|version| version != 0) {
        report.damage(0_u64, "the version of a checkpoint is 0");
    }
    let count = header("number of entries", report);
    let mut found = 0;
    for line in lines {
        columns(line, names, position, report)?;
        position += line.len() + 1;
        found += 1;
    }
    if count.unwrap_or(0) != found && !text.is_empty() {
        report.damage(position, format!("{} entries announced, {found} found", count.unwrap_or(0)));
    }
    Ok(())
}

fn columns(line: &str, names: &[&str], position: usize, report: &mut Report<'_>) -> Outcome {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_number = |(name, word): (&&str, &&str)| *name == "topic" || word.parse::<i64>().is_ok();
    if words.len() != names.len() || !names.iter().zip(&words).all(is_number) {
        report.damage(position, format!("{line:?} is not of the form \"{}\"", names.join(" ")));
        return Ok(());
    }
    let entry = names.iter().zip(words).fold(Entry::new(), |entry, (name, word)| match word.parse::<i64>() {
        Ok(number) if *name != "topic" => entry.with(name, number),
        _ => entry.with(name, word),
    });
    report.entry(&entry)
}

/// Lines of a name, `separator` and a value; those that start with `#` are comments.
pub fn properties(text: &str, separator: char, report: &mut Report<'_>) -> Outcome {
    let mut position = 0;
    for line in text.lines() {
        let content = line.trim();
        match content.split_once(separator) {
            _ if content.is_empty() || content.starts_with('#') => {}
            Some((name, value)) => report.entry(&Entry::new().with(name.trim(), value.trim()))?,
            None => report.damage(position, format!("{content:?} is no name{separator}value")),
        }
        position += line.len() + 1;
    }
    Ok(())
}

/// An object of JSON, its fields in one line. Kafka before 3.7 left the file empty.
pub fn object(text: &str, report: &mut Report<'_>) -> Outcome {
    if text.trim().is_empty() {
        return report.remark(format!("{} is empty.", report.path().display()));
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(fields) => {
            let entry = fields.iter().rev().fold(Entry::new(), |entry, (name, value)| {
                entry.with(name, value.as_i64().map_or_else(|| Value::Text(value.to_string().into()), Value::Int))
            });
            report.entry(&entry)
        }
        Err(error) => {
            report.damage(0_u64, format!("not an object of JSON: {error}"));
            Ok(())
        }
    }
}
