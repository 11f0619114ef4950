//! Reads all files of a partition.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use riverbed::{ErrorKind, Partition};

use super::log::{self, Extent, Follows};
use super::{Findings, Tail};
use crate::dump;
use crate::files::{FileName, Problem, read_failed};

/// A segment, as the library has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    pub base: u64,
    /// How many bytes of its file are valid.
    pub bytes: u64,
}

/// A partition's directory and what it should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFiles {
    pub directory: PathBuf,
    /// The first offset and the one behind the last, as the log has them.
    pub log_start: u64,
    pub log_end: u64,
    pub segments: Vec<SegmentFile>,
    /// Whether the last segment was closed: otherwise its side files are not final.
    pub closed: bool,
}

impl PartitionFiles {
    fn path(&self, base: u64, kind: &str) -> PathBuf {
        self.directory.join(format!("{base:020}.{kind}"))
    }

    /// Checks everything.
    pub fn check(&self, partition: &Partition, findings: &mut Findings<'_>) {
        let mut follows = Follows::from_the_start(self.log_start);
        for (i, segment) in self.segments.iter().enumerate() {
            let path = self.path(segment.base, "log");
            let is_last = i + 1 == self.segments.len();
            let end = self.segments.get(i + 1).map(|next| next.base);
            let extent = Extent { base: segment.base, end, bytes: segment.bytes };
            let checked = log::check(&path, extent, partition, &mut follows, findings)
                .and_then(|()| if is_last { tail(&path, segment.bytes, findings) } else { Ok(()) });
            if let Err(error) = checked {
                self.unreadable(&path, &error, findings);
            }
            if !is_last || self.closed {
                for kind in ["index", "timeindex", "txnindex"] {
                    side_file(&self.path(segment.base, kind), findings);
                }
            }
        }
        if let Some(lost) = follows.ask_for_end(self.log_end, partition) {
            findings.problem(Problem::opening(&self.directory, &lost));
        }
        self.other_files(findings);
    }

    /// Producer snapshots and the texts.
    fn other_files(&self, findings: &mut Findings<'_>) {
        let names = match names(&self.directory) {
            Ok(names) => names,
            Err(error) => return self.unreadable(&self.directory, &error, findings),
        };
        for name in names {
            let is_snapshot = name.ends_with(".snapshot") && FileName::parse(&name).is_some();
            if is_snapshot || ["leader-epoch-checkpoint", "partition.metadata", "log-checkpoint"].contains(&&*name) {
                side_file(&self.directory.join(name), findings);
            }
        }
    }

    /// A file that is gone was removed by a writer that runs beside this check, if its directory still says otherwise.
    fn unreadable(&self, path: &Path, error: &io::Error, findings: &mut Findings<'_>) {
        findings.problem(Problem::unreadable(path, read_failed(path, error)));
    }
}

/// Checks a side file, if it is there: one that is missing can be made again.
pub fn side_file(path: &Path, findings: &mut Findings<'_>) {
    for problem in dump::check(path, findings.interrupt()) {
        if problem.kind != ErrorKind::NotFound {
            findings.problem(problem);
        }
    }
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Notes what lies behind the last batch, unless it is room that was allocated ahead.
fn tail(path: &Path, valid: u64, findings: &mut Findings<'_>) -> io::Result<()> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(valid))?;
    let (mut chunk, mut len, mut behind_last) = ([0; 1 << 14], 0, 0);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        if let Some(last) = chunk.iter().take(read).rposition(|byte| *byte != 0) {
            behind_last = len + last as u64 + 1;
        }
        len += read as u64;
    }
    if behind_last > 0 {
        findings.tail(Tail { path: path.to_owned(), position: valid, bytes: behind_last });
    }
    Ok(())
}
