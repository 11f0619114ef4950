//! `riverbed verify`: reads everything and says what is wrong.

mod log;
mod partition;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use riverbed::{ErrorKind, Partition, PartitionId, Store, TopicPartition};

use crate::context::Context;
use crate::data_dir::{self, REGISTRY};
use crate::failure::{Failure, Outcome, Stop};
use crate::files::{Problem, read_failed};
use crate::interrupt::Interrupt;
use crate::json::Object;
use crate::numbers::counted;
use crate::progress::Progress;
use partition::{PartitionFiles, SegmentFile};

/// There as long as a directory is closed cleanly, Kafka's or ours.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// How often a partition is checked whose files change under the check.
const TRIES: usize = 5;

/// What lies beside the partitions and is read when a directory is opened.
const STORE_FILES: [&str; 6] = [
    "riverbed.clean",
    "cleaner-offset-checkpoint",
    "log-start-offset-checkpoint",
    "meta.properties",
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
];

/// Checks the data directory, and prints a line a problem.
pub fn run(context: &Context, out: &mut dyn Write) -> Outcome {
    let dir = context.dir()?;
    let store = data_dir::open_to_read(dir)?;
    refuse_stranger(&store, dir)?;
    let bytes = store.stats()?.partitions.iter().map(|stats| stats.bytes).sum();
    let findings = self::store(&store, dir, &context.interrupt, Progress::of_bytes(Some(bytes)))?;
    context.interrupt.check()?;
    for problem in &findings.problems {
        let line = if context.json { problem.to_json().to_string() } else { format!("{}: {problem}", problem.kind) };
        writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
    }
    for tail in &findings.tails {
        let line = if context.json { tail.to_json().to_string() } else { tail.to_string() };
        writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
    }
    match findings.problems.len() {
        0 => {
            if !context.json {
                let _unheard = writeln!(io::stderr(), "verified {}: no problem", findings.counts);
            }
            Ok(())
        }
        count => Err(Failure::new(ErrorKind::Corruption, format!("{count} problems in {}", dir.display())).into()),
    }
}

/// Refuses a directory that holds files, but neither a store of riverbed's nor partitions of Kafka's. One that is still
/// empty will be a store.
fn refuse_stranger(store: &Store, dir: &Path) -> Outcome {
    if !store.topics()?.is_empty() || [REGISTRY, "meta.properties"].iter().any(|name| dir.join(name).exists()) {
        return Ok(());
    }
    let entries = fs::read_dir(dir).map_err(|error| read_failed(dir, &error))?;
    let mut names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_nothing_yet = |name: String| name.starts_with('.') || name.starts_with("riverbed.") || name == "lost+found";
    if names.all(is_nothing_yet) {
        return Ok(());
    }
    let real = fs::canonicalize(dir).map_err(|error| read_failed(dir, &error))?;
    let id = real.file_name().and_then(|name| TopicPartition::from_directory_name(name.to_str()?));
    let hint = match (id, real.parent()) {
        (Some(id), Some(parent)) => {
            format!("; it is named as the directory of partition {id}: try {}", parent.display())
        }
        _ => String::new(),
    };
    let message = format!("{} is neither a riverbed store nor a directory of Kafka's{hint}", dir.display());
    Err(Failure::new(ErrorKind::InvalidArgument, message).into())
}

/// Checks every partition of an open store, whose files lie in `dir`.
pub fn store<'a>(
    store: &Store,
    dir: &Path,
    interrupt: &'a Interrupt,
    progress: Progress,
) -> Result<Findings<'a>, Failure> {
    let mut findings = Findings::new(interrupt, progress);
    for name in STORE_FILES {
        partition::side_file(&dir.join(name), &mut findings);
    }
    for topic in store.topics()? {
        findings.counts.topics += 1;
        for number in 0..topic.partition_count() {
            let id = TopicPartition::new(topic.name().clone(), PartitionId::new(number));
            self::partition(store, dir, &id, &mut findings);
        }
    }
    Ok(findings)
}

/// Checks a partition; again, if there was something wrong and a writer has changed the files since.
fn partition(store: &Store, dir: &Path, id: &TopicPartition, findings: &mut Findings<'_>) {
    let known = (findings.problems.len(), findings.tails.len(), findings.counts);
    let mut found = files(store, dir, id);
    for tries_left in (0..TRIES).rev() {
        match &found {
            Ok((partition, files)) => {
                findings.counts.partitions += 1;
                files.check(partition, findings);
            }
            Err(error) if error.kind() == ErrorKind::UnknownTopic || data_dir::is_elsewhere(dir, error) => return,
            Err(error) => findings.problem(Problem::opening(&dir.join(id.to_string()), error)),
        }
        if findings.problems.len() == known.0 || tries_left == 0 {
            return;
        }
        // Looking again fails where a topic goes at this moment; the next look tells.
        let refreshed = store.refresh();
        let again = files(store, dir, id);
        if refreshed.is_ok() && is_the_same(&found, &again) {
            return;
        }
        findings.problems.truncate(known.0);
        findings.tails.truncate(known.1);
        findings.counts = known.2;
        found = again;
    }
}

type Found = riverbed::Result<(Partition, PartitionFiles)>;

/// Whether a partition was left alone between two looks at it.
fn is_the_same(before: &Found, after: &Found) -> bool {
    match (before, after) {
        (Ok((_, before)), Ok((_, after))) => before == after,
        (Err(before), Err(after)) => before.kind() == after.kind(),
        _ => false,
    }
}

fn files(store: &Store, dir: &Path, id: &TopicPartition) -> Found {
    let partition = store.topic(id.topic.as_str())?.partition(id.partition.get())?;
    let (directory, closed) = (dir.join(id.to_string()), dir.join(CLEAN_SHUTDOWN).exists());
    let infos = partition.segment_infos()?;
    let segments = infos.iter().map(|info| SegmentFile { base: info.base_offset.get(), bytes: info.bytes }).collect();
    let (log_start, marks) = partition.offsets();
    let (log_start, log_end) = (log_start.get(), marks.end.get());
    Ok((partition, PartitionFiles { directory, log_start, log_end, segments, closed }))
}

/// What follows the last batch of a log: written by nobody who lived to finish it, or being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    pub path: PathBuf,
    pub position: u64,
    pub bytes: u64,
}

impl Tail {
    pub fn to_json(&self) -> Object {
        let path = self.path.display().to_string();
        Object::new().with("path", path).with("position", self.position).with("bytes", self.bytes)
    }
}

impl std::fmt::Display for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tail: {} bytes behind byte {} of {}", self.bytes, self.position, self.path.display())
    }
}

/// How much a check has read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    topics: u64,
    partitions: u64,
    batches: u64,
    records: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topics = counted(self.topics, "topic", "topics");
        let partitions = counted(self.partitions, "partition", "partitions");
        let batches = counted(self.batches, "batch", "batches");
        write!(f, "{topics}, {partitions}, {batches}, {}", counted(self.records, "record", "records"))
    }
}

/// What a check has found so far.
pub struct Findings<'a> {
    interrupt: &'a Interrupt,
    progress: Progress,
    pub problems: Vec<Problem>,
    pub tails: Vec<Tail>,
    counts: Counts,
}

impl<'a> Findings<'a> {
    pub fn new(interrupt: &'a Interrupt, progress: Progress) -> Self {
        Self { interrupt, progress, problems: Vec::new(), tails: Vec::new(), counts: Counts::default() }
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn tail(&mut self, tail: Tail) {
        self.tails.push(tail);
    }

    fn advance(&mut self, bytes: u64, records: u64) {
        self.counts.batches += 1;
        self.counts.records += records;
        self.progress.add(bytes);
    }

    fn interrupt(&self) -> &'a Interrupt {
        self.interrupt
    }

    fn interrupted(&self) -> bool {
        self.interrupt.check().is_err()
    }
}
