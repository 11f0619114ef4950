//! Topic names, the names of directories, ids, and configs.

use super::{Checked, ensure, works};
use crate::error::ErrorKind;
use crate::log::LogConfig;
use crate::segment::file_name::{parse_file_name, suffixed_file_name};
use crate::types::{TopicId, TopicName, TopicPartition};

/// Any text is a name or is refused with a type; a name that was taken is safe in a file system and comes back from the
/// name of its directory. A config that was taken is spelled in one way and read back as it was.
///
/// # Errors
/// What is wrong.
pub fn names_and_configs(input: &[u8]) -> Checked {
    let text = String::from_utf8_lossy(input);
    for line in text.split('\n') {
        name(line)?;
        directory(line)?;
        if let Some(id) = TopicId::parse(line) {
            ensure!(id.to_string() == line, "id {line:?} is written {id}");
        }
        if let Some((base, kind, suffix)) = parse_file_name(line) {
            let again = suffixed_file_name(base, kind, suffix);
            ensure!(again == line, "file {line:?} is written {again:?}");
        }
    }
    configs(&text)
}

fn name(text: &str) -> Checked {
    let by_rule = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let allowed = (1..=249).contains(&text.len()) && text.chars().all(by_rule) && text != "." && text != "..";
    match TopicName::new(text) {
        Ok(name) => {
            ensure!(allowed, "{text:?} is a topic's name");
            ensure!(name.collides_with(&name) && name.as_str() == text, "{text:?} is not itself");
            Ok(())
        }
        Err(error) => {
            ensure!(!allowed && error.kind() == ErrorKind::InvalidTopic, "{text:?} is refused: {error:?}");
            Ok(())
        }
    }
}

fn directory(text: &str) -> Checked {
    let Some(partition) = TopicPartition::from_directory_name(text) else { return Ok(()) };
    ensure!(partition.to_string() == text, "directory {text:?} is written {partition}");
    ensure!(!text.contains('/') && text.len() < 256, "{text:?} is no single name");
    Ok(())
}

fn configs(text: &str) -> Checked {
    let pairs: Vec<(&str, &str)> = text.split('\n').filter_map(|line| line.split_once('=')).collect();
    let mut config = LogConfig::default();
    for (name, value) in &pairs {
        let before = config.clone();
        let known = LogConfig::names().any(|known| known == *name);
        match config.set(name, value) {
            Ok(()) => {
                let said = config.get(name);
                ensure!(known && said.is_some(), "{name} was set, and is {said:?}");
            }
            Err(error) => {
                ensure!(error.kind() == ErrorKind::InvalidConfig, "{name}={value}: {error:?}");
                ensure!(before == config, "{name}={value} was refused, and changed something");
            }
        }
    }
    let spelled = config.non_default();
    if let Err(error) = config.check() {
        ensure!(error.kind() == ErrorKind::InvalidConfig, "{config:?}: {error:?}");
        return Ok(());
    }
    let pairs = spelled.iter().map(|(name, value)| (*name, value.as_str()));
    let again = works("read back", LogConfig::from_pairs(pairs))?;
    ensure!(again == config, "{spelled:?} is read back as {again:?}");
    Ok(())
}
