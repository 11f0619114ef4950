//! A partition's directory whose files are damaged as bytes choose, with checksums put right.

use super::batch::mended;
use super::input::Input;
use super::{Checked, ensure, works};
use crate::clock::ManualClock;
use crate::error::{Error, ErrorKind, Result};
use crate::io::Directory;
use crate::log::{AppendOrigin, Ends, FetchLimit, LastClose, Log, LogConfig, LogOptions, OpenMode};
use crate::record::batch_header::{BATCH_LENGTH, LENGTH_OVERHEAD};
use crate::record::{BatchBuilder, DecompressionLimits, Record, RecordBatch};
use crate::sim::SimDisk;
use crate::sync::Arc;
use crate::types::{Isolation, Offset, ProducerEpoch, ProducerId, ReadUpTo, Sequence, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// So many places that cannot be read are passed over.
const GAPS_MAX: usize = 40;

/// Whatever is done to its files, a partition opens or says why not; what is read has passed its checksum and lies where
/// it should; what is appended then is there after a close, and so is all that could be read before.
///
/// # Errors
/// What is wrong.
pub fn directory(input: &[u8]) -> Checked {
    let mut input = Input::new(input);
    let setting = Setting::of(&mut input);
    let (mut files, ends) = works("write a log", setting.written(&mut input))?;
    let mut is_forged = false;
    while !input.is_empty() && !files.is_empty() {
        is_forged |= damage(&mut files, &mut input);
    }
    let disk = SimDisk::new();
    let root = works("make a directory", disk.root().create_subdirectory("t-0"))?;
    for (name, bytes) in &files {
        works("put a file", root.replace(name, bytes))?;
    }
    let last_close = match setting.closed {
        true => ends.map_or(LastClose::Unclean { same_power: false }, LastClose::Clean),
        false => LastClose::Unclean { same_power: setting.same_power },
    };
    look_only(&root, &setting, last_close)?;
    let log = match setting.open(&root, last_close, OpenMode::Write) {
        Ok(log) => log,
        Err(error) => return refused("open", &error),
    };
    let before = read_whole(&log)?;
    let appended = append(&log)?;
    works("list segments", log.segment_infos())?;
    let with_appended = read_whole(&log)?;
    // A header whose checksum was put right may claim the offsets of those behind it.
    let keeps = is_forged || before.iter().all(|read| with_appended.contains(read));
    ensure!(keeps, "an append turns {before:?} into {with_appended:?}");
    let ends = match log.close() {
        Ok(ends) => ends,
        Err(error) => return refused("close", &error),
    };
    let last_close = ends.map_or(LastClose::Unclean { same_power: false }, LastClose::Clean);
    let again = works("open again", setting.open(&root, last_close, OpenMode::Write))?;
    let after = read_whole(&again)?;
    ensure!(is_forged || after == with_appended, "before the close there was {with_appended:?}, after it {after:?}");
    appended.map_or(Ok(()), |offset| is_there(&again, offset))
}

/// A record that was read: its offset, and what stands for the rest.
type Read = (u64, usize, i64);

/// Names of files, and what is in them.
type Files = Vec<(String, Vec<u8>)>;

struct Setting {
    config: LogConfig,
    closed: bool,
    same_power: bool,
}

impl Setting {
    fn of(input: &mut Input<'_>) -> Self {
        let mut config = LogConfig {
            segment_bytes: input.one_of(&[250, 600, 5_000, 1 << 20]),
            index_interval_bytes: input.one_of(&[1, 150, 4_096]),
            ..LogConfig::default()
        };
        let flags = input.byte();
        config.cleanup_policy.compact = flags & 4 == 4;
        Self { config, closed: flags & 1 == 1, same_power: flags & 2 == 2 }
    }

    fn open(&self, directory: &Arc<dyn Directory>, last_close: LastClose, mode: OpenMode) -> Result<Log> {
        let options = LogOptions {
            config: Arc::new(self.config.clone()),
            clock: Arc::new(ManualClock::at(NOW)),
            mode,
            last_close,
            verify_always: false,
        };
        Log::open(Arc::clone(directory), &options)
    }

    /// The files of a log to which bytes choose what is appended, and its ends if it was closed.
    fn written(&self, input: &mut Input<'_>) -> Result<(Files, Option<Ends>)> {
        let disk = SimDisk::new();
        let root = disk.root();
        let log = self.open(&root, LastClose::Unclean { same_power: true }, OpenMode::Write)?;
        let mut sequences = [0; 2];
        for _ in 0..input.below(9) {
            let (kind, records, bytes) = (input.below(6), 1 + input.below(4), input.below(120));
            match kind {
                0 => drop(log.roll()?),
                1 => drop(log.sync()?),
                _ => {
                    let producer = kind.checked_sub(4);
                    let room = self.config.segment_bytes as usize / (2 * records);
                    let bytes = bytes.min(room.saturating_sub(61));
                    let sequence = producer.map(|producer| &mut sequences[producer]);
                    let batch = batch(records, bytes, producer, sequence)?;
                    match log.append(&RecordBatch::parse(&batch[..])?, AppendOrigin::Client) {
                        Err(error) if error.kind() != ErrorKind::BatchTooLarge => return Err(error),
                        _ => {}
                    }
                }
            }
        }
        let ends = if self.closed { log.close()? } else { None };
        let mut files = Vec::new();
        for entry in root.list()? {
            files.push((entry.name.clone(), root.read(&entry.name, 1 << 22)?));
        }
        files.sort();
        Ok((files, ends))
    }
}

/// A batch of a producer, in its transaction if it is the second, or of nobody.
fn batch(records: usize, bytes: usize, producer: Option<usize>, sequence: Option<&mut i32>) -> Result<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    if let (Some(producer), Some(sequence)) = (producer, sequence) {
        builder.producer(ProducerId::new(producer as i64), ProducerEpoch::new(0), Sequence::new(*sequence));
        builder.transactional(producer == 1);
        *sequence += records as i32;
    }
    for _ in 0..records {
        builder.push(&Record::new().key("k").value(vec![0x5a; bytes]), NOW)?;
    }
    Ok(builder.finish()?.unwrap_or_default().to_vec())
}

/// One change to one file, or to which files there are. Answers whether a checksum was put right behind it.
fn damage(files: &mut Files, input: &mut Input<'_>) -> bool {
    let (place, kind) = (input.below(files.len()), input.below(10));
    let other = input.below(files.len());
    let source = files[other].1.clone();
    let (name, bytes) = &mut files[place];
    let at = usize::from(input.u16()) % (bytes.len() + 1);
    match kind {
        0 => drop(files.remove(place)),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_slice(input.stretch()),
        3 => bytes.resize(bytes.len() + at, 0),
        4 => *bytes = source,
        5 => {
            let from = usize::from(input.u16()) % (source.len() + 1);
            let len = usize::from(input.byte());
            put(bytes, at, &source[from..(from + len).min(source.len())]);
        }
        6 => {
            const SUFFIXES: [&str; 5] = ["", ".deleted", ".swap", ".cleaned", ".snapshot"];
            *name = format!("{:020}.{}{}", at % 40, input.one_of(&["log", "index"]), input.one_of(&SUFFIXES));
            let name = name.clone();
            files.retain({
                let mut seen = false;
                move |file| file.0 != name || !std::mem::replace(&mut seen, true)
            });
        }
        _ => {
            let len = 1 + input.below(8);
            let piece = input.bytes(len).to_vec();
            put(bytes, at, &piece);
            if name.ends_with(".log") && input.flag() {
                mend(bytes, at);
                return true;
            }
        }
    }
    false
}

fn put(bytes: &mut [u8], at: usize, piece: &[u8]) {
    bytes[at..].iter_mut().zip(piece).for_each(|(old, new)| *old = *new);
}

/// Puts right length, magic and checksum of the batch that `at` lies in.
fn mend(bytes: &mut [u8], at: usize) {
    let mut start = 0;
    while let Some(length) = bytes.get(start..).and_then(|rest| rest.get(BATCH_LENGTH)?.first_chunk()) {
        let size = LENGTH_OVERHEAD + usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let end = start.saturating_add(size).min(bytes.len());
        if at < end || end == bytes.len() {
            if let Some(mended) = mended(&bytes[start..end]) {
                bytes[start..end].copy_from_slice(&mended);
            }
            return;
        }
        start = end;
    }
}

/// An error about files tells what is wrong with them, or with what they hold.
fn refused(what: &str, error: &Error) -> Checked {
    match error.kind() {
        ErrorKind::UnsupportedVersion => Ok(()),
        _ => super::batch::refused(error).map_err(|wrong| format!("{what}: {wrong}")),
    }
}

/// Opening read-only reads what it can, and writes nothing.
fn look_only(root: &Arc<dyn Directory>, setting: &Setting, last_close: LastClose) -> Checked {
    let names = |root: &Arc<dyn Directory>| -> Result<Vec<_>> {
        let mut names: Vec<_> = root.list()?.into_iter().map(|entry| (entry.name, entry.len)).collect();
        names.sort();
        Ok(names)
    };
    let before = works("list", names(root))?;
    match setting.open(root, last_close, OpenMode::ReadOnly) {
        Ok(log) => drop(read_whole(&log)?),
        Err(error) => refused("open read-only", &error)?,
    }
    let after = works("list", names(root))?;
    ensure!(before == after, "opening read-only turns {before:?} into {after:?}");
    Ok(())
}

/// All that can be read, in order; of each place that cannot, the type of the error is right.
fn read_whole(log: &Log) -> Checked<Vec<Read>> {
    let (start, end) = (log.log_start(), log.end(ReadUpTo::Written));
    ensure!(start <= end, "the log goes from {start} to {end}");
    let (mut next, mut gaps, mut found) = (start, 0, Vec::new());
    while next < end && gaps < GAPS_MAX {
        let fetched = match log.read(next, FetchLimit::bytes(600).up_to(ReadUpTo::Written)) {
            Ok(fetched) => fetched,
            Err(error) => {
                refused("read", &error)?;
                (next, gaps) = (next.next(), gaps + 1);
                continue;
            }
        };
        for batch in fetched.batches() {
            works("check", batch.check())?;
            ensure!(batch.last_offset() < end, "a batch ends at {} of {end}", batch.last_offset());
            records(&batch, &mut found)?;
        }
        ensure!(fetched.next_offset >= next, "goes from {next} back to {}", fetched.next_offset);
        if fetched.next_offset == next {
            ensure!(fetched.is_empty(), "what is read at {next} does not lead on");
            break;
        }
        next = fetched.next_offset;
    }
    let ascends = found.is_sorted_by(|a: &Read, b: &Read| a.0 < b.0);
    ensure!(ascends, "offsets do not ascend: {found:?}");
    for time in [Timestamp::from_millis(0), NOW] {
        if let Err(error) = log.offset_for_time(time, ReadUpTo::Written) {
            refused("look up a time", &error)?;
        }
    }
    let committed = FetchLimit::bytes(1 << 20).isolation(Isolation::ReadCommitted);
    if let Err(error) = log.read(start, committed) {
        refused("read committed", &error)?;
    }
    Ok(found)
}

fn records(batch: &RecordBatch<&[u8]>, found: &mut Vec<Read>) -> Checked {
    let limits = DecompressionLimits { bytes_max: 1 << 20, ..DecompressionLimits::default() };
    let Ok(payload) = batch.payload(&limits) else { return Ok(()) };
    for record in payload.records() {
        match record {
            Ok(record) if found.last().is_none_or(|last: &Read| last.0 < record.offset().get()) => {
                found.push((record.offset().get(), record.value().map_or(0, <[u8]>::len), record.timestamp().millis()));
            }
            Ok(_) => {}
            Err(error) => return super::batch::refused(&error),
        }
    }
    Ok(())
}

/// Appends a record, and reads it; or says why a damaged log does not take it.
fn append(log: &Log) -> Checked<Option<Offset>> {
    let end = log.end(ReadUpTo::Written);
    let bytes = works("build", batch(1, 9, None, None))?;
    let batch = works("parse", RecordBatch::parse(&bytes[..]))?;
    let appended = match log.append(&batch, AppendOrigin::Client) {
        Ok(appended) => appended,
        Err(error) => {
            refused("append", &error)?;
            return Ok(None);
        }
    };
    ensure!(*appended.offsets.start() == end, "appended at {:?}, behind {end}", appended.offsets);
    is_there(log, end)?;
    works("sync", log.sync())?;
    ensure!(log.end(ReadUpTo::Durable) == Offset::new(end.get() + 1), "the durable end is not behind {end}");
    Ok(Some(end))
}

/// What was appended at `offset` is read there, unless damage in front of it claims the offset.
fn is_there(log: &Log, offset: Offset) -> Checked {
    let fetched = match log.read(offset, FetchLimit::bytes(1).up_to(ReadUpTo::Written)) {
        Ok(fetched) => fetched,
        Err(error) => return refused("read what was appended", &error),
    };
    let first = fetched.batches().next().map(|batch| batch.base_offset());
    ensure!(first == Some(offset), "what was appended at {offset} is read at {first:?}");
    Ok(())
}
