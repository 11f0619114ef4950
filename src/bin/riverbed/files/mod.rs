//! The files of a data directory, read as they are, damaged or not.

mod fields;
mod log_file;
mod problem;

pub use fields::Fields;
pub use log_file::{Found, LogFile};
pub use problem::Problem;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use riverbed::ErrorKind;

use crate::failure::Failure;

/// The largest file that is read as a whole; logs are not.
const FILE_MAX: u64 = 1 << 30;

/// What Kafka and riverbed put behind the names of files that they are about to remove or to bring in.
const SUFFIXES: [&str; 4] = [".deleted", ".swap", ".cleaned", ".tmp"];

/// The file's name without what marks it as leaving or coming.
pub fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    plain.unwrap_or(&name).to_owned()
}

/// All of a file that is not too large to be what it should be.
pub fn read(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {FILE_MAX} bytes")));
    }
    Ok(bytes)
}

/// What the operating system answered when `path` was to be read.
pub fn read_failed(path: &Path, error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::NotADirectory => ErrorKind::NotADirectory,
        _ => ErrorKind::Io,
    };
    Failure::new(kind, format!("could not read {}: {error}", path.display()))
}

/// What the name of a segment's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName {
    /// The segment's first offset, or the end of a snapshot of Kafka's metadata.
    pub base: i64,
    /// The epoch of such a snapshot.
    pub epoch: Option<i32>,
}

impl FileName {
    pub fn parse(name: &str) -> Option<Self> {
        let number = name.split_once('.')?.0;
        let (base, epoch) = match number.split_once('-') {
            Some((base, epoch)) => (base, Some(epoch.parse().ok()?)),
            None => (number, None),
        };
        let is_number = base.len() == 20 && base.bytes().all(|b| b.is_ascii_digit());
        Some(Self { base: base.parse().ok().filter(|_| is_number)?, epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments_are_known_by_their_twenty_digits() {
        let segment = FileName { base: 7, epoch: None };
        assert_eq!(FileName::parse("00000000000000000007.log"), Some(segment));
        let snapshot = FileName { base: 7, epoch: Some(3) };
        assert_eq!(FileName::parse("00000000000000000007-0000000003.checkpoint"), Some(snapshot));
        for other in ["7.log", "00000000000000000007", "0000000000000000000x.log", "99999999999999999999.log", "a-b.c"]
        {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn marks_behind_a_name_do_not_count() {
        assert_eq!(plain_name(Path::new("a/00000000000000000007.log.deleted")), "00000000000000000007.log");
        assert_eq!(plain_name(Path::new("leader-epoch-checkpoint.tmp")), "leader-epoch-checkpoint");
        assert_eq!(plain_name(Path::new("x.index")), "x.index");
    }
}
