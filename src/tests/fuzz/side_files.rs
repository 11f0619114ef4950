//! Any bytes as each of the files beside a log.

use super::input::Input;
use super::{Checked, ensure, works};
use crate::error::{Error, ErrorKind};
use crate::io::Directory;
use crate::io::power::{self, Kept};
use crate::log::epoch_cache::LeaderEpochCache;
use crate::log::{checkpoint, partition_metadata, producer_snapshot, text_checkpoint};
use crate::record::checksum::{crc32, crc32c};
use crate::segment::offset_index::OffsetIndex;
use crate::segment::time_index::TimeIndex;
use crate::segment::transaction_index::TransactionIndex;
use crate::sim::SimDisk;
use crate::store::{clean_mark, registry};
use crate::sync::Arc;
use crate::types::{Offset, Timestamp};

/// Any bytes are the file that the first one names, or are refused as damage or as newer; what was taken is written as
/// something that is read as the same. Checksums are put right in half of the inputs.
///
/// # Errors
/// What is wrong.
pub fn side_files(input: &[u8]) -> Checked {
    let mut input = Input::new(input);
    let kind = input.below(KINDS.len());
    let mended = input.flag();
    let mut bytes = input.rest().to_vec();
    let (mend, check) = KINDS[kind];
    if mended {
        mend(&mut bytes);
    }
    check(&bytes)
}

type Kind = (fn(&mut Vec<u8>), fn(&[u8]) -> Checked);

const KINDS: [Kind; 11] = [
    (nothing, offset_index),
    (nothing, time_index),
    (nothing, transaction_index),
    (mend_snapshot, snapshot),
    (nothing, epochs),
    (|bytes| frame(b"rvrblogc", bytes), log_checkpoint),
    (|bytes| frame(b"rvrbtopc", bytes), topics),
    (|bytes| frame(b"rvrbclen", bytes), mark),
    (nothing, lock),
    (nothing, metadata),
    (nothing, offsets),
];

const BASE: Offset = Offset::new(45);
const END: Offset = Offset::new(100_000);

fn nothing(_: &mut Vec<u8>) {}

/// Version, length and checksum of a frame around what there is.
fn frame(magic: &[u8; 8], bytes: &mut Vec<u8>) {
    let head = [&magic[..], &1u16.to_be_bytes(), &(bytes.len() as u32).to_be_bytes()].concat();
    let crc = crc32(&[&head[..], bytes].concat());
    *bytes = [&head[..], &crc.to_be_bytes(), bytes].concat();
}

/// Version, checksum and count in front of what there is.
fn mend_snapshot(bytes: &mut Vec<u8>) {
    let covered = [&(bytes.len() as u32 / 46).to_be_bytes()[..], bytes].concat();
    *bytes = [&1i16.to_be_bytes()[..], &crc32c(&covered).to_be_bytes(), &covered].concat();
}

fn refused(error: &Error) -> Checked {
    let typed = matches!(error.kind(), ErrorKind::Corruption | ErrorKind::UnsupportedVersion);
    ensure!(typed, "no error about a file: {error:?}");
    Ok(())
}

/// A file that is a value: taken, written, taken again.
fn value<T: PartialEq>(read: crate::Result<T>, again: impl FnOnce(&T) -> crate::Result<T>) -> Checked {
    match read {
        Ok(value) => {
            let again = works("read what was written", again(&value))?;
            ensure!(again == value, "what was written is read otherwise");
            Ok(())
        }
        Err(error) => refused(&error),
    }
}

/// Targets around what an index may hold.
fn targets(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let words = bytes.chunks(4).take(64).map(|word| word.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    words.chain([0, 44, 45, 46, 1 << 31, i64::MAX as u64])
}

fn offset_index(bytes: &[u8]) -> Checked {
    let index = OffsetIndex::new(bytes, BASE);
    let (quick, whole) = (index.check(u64::from(u32::MAX)), index.check_all(u64::from(u32::MAX)));
    ensure!(whole.is_err() || quick.is_ok(), "damage that only the quick check finds: {quick:?}");
    for target in targets(bytes).map(|target| Offset::new(target.min(Offset::MAX.get()))) {
        let found = index.floor(target);
        if let Some(found) = found {
            ensure!((BASE..=target).contains(&found.offset), "the floor of {target} is {}", found.offset);
        }
        if whole.is_ok() {
            let scanned = index.iter().filter(|entry| entry.offset <= target).last();
            ensure!(found == scanned, "the floor of {target} is {found:?}, a scan finds {scanned:?}");
        }
    }
    whole.err().map_or(Ok(()), |error| refused(&error))
}

fn time_index(bytes: &[u8]) -> Checked {
    let index = TimeIndex::new(bytes, BASE);
    let (quick, whole) = (index.check(END), index.check_all(END));
    ensure!(whole.is_err() || quick.is_ok(), "damage that only the quick check finds: {quick:?}");
    for target in targets(bytes).map(|target| Timestamp::from_millis(target as i64)) {
        let found = index.floor(target);
        if whole.is_ok() {
            let scanned = index.iter().filter(|entry| entry.timestamp <= target).last();
            ensure!(found == scanned, "the floor of {target} is {found:?}, a scan finds {scanned:?}");
        }
    }
    whole.err().map_or(Ok(()), |error| refused(&error))
}

fn transaction_index(bytes: &[u8]) -> Checked {
    let index = match TransactionIndex::parse(bytes, BASE..END) {
        Ok(index) => index,
        Err(error) => return refused(&error),
    };
    ensure!(index.to_bytes() == bytes, "the index is written otherwise");
    let mut found = Vec::new();
    index.collect(&(BASE..END), &mut found);
    ensure!(found.len() <= index.iter().count(), "more transactions than there are");
    Ok(())
}

fn snapshot(bytes: &[u8]) -> Checked {
    let again = |entries: &Vec<_>| {
        let entries = entries.iter().map(|(id, entry)| (*id, entry));
        producer_snapshot::decode(&producer_snapshot::encode(entries))
    };
    let read = producer_snapshot::decode(bytes).map(|mut entries| {
        entries.sort_by_key(|(id, _)| *id);
        entries
    });
    value(read, again)
}

fn epochs(bytes: &[u8]) -> Checked {
    value(LeaderEpochCache::parse(bytes), |cache| LeaderEpochCache::parse(cache.format().as_bytes()))
}

/// A directory that holds `bytes` under `name`.
fn holding(name: &str, bytes: &[u8]) -> crate::Result<Arc<dyn Directory>> {
    let root = SimDisk::new().root();
    root.replace(name, bytes)?;
    Ok(root)
}

fn log_checkpoint(bytes: &[u8]) -> Checked {
    let directory = works("write", holding(checkpoint::FILE, bytes))?;
    let read = || checkpoint::Checkpoint::read(directory.as_ref());
    value(read(), |found| {
        if let Some(found) = found {
            found.write(directory.as_ref())?;
        }
        read()
    })
}

fn topics(bytes: &[u8]) -> Checked {
    let directory = works("write", holding(registry::FILE, bytes))?;
    let read = || registry::Registry::read(directory.as_ref());
    value(read(), |found| {
        if let Some(found) = found {
            found.write(directory.as_ref())?;
        }
        read()
    })
}

/// A damaged mark is none.
fn mark(bytes: &[u8]) -> Checked {
    let directory = works("write", holding(clean_mark::FILE, bytes))?;
    let read = || clean_mark::CleanMark::read(directory.as_ref());
    if let Err(error) = read() {
        ensure!(error.kind() == ErrorKind::UnsupportedVersion, "no reason to refuse a mark: {error:?}");
        return Ok(());
    }
    value(read(), |found| {
        found.write(directory.as_ref())?;
        read()
    })
}

/// Whether the bytes tell a power's identity: not one that nobody wrote.
fn lock(bytes: &[u8]) -> Checked {
    if let Kept::Identity(identity) = power::decode(bytes) {
        ensure!(bytes.starts_with(&power::encode(&identity)), "{identity:?} is written otherwise");
    }
    Ok(())
}

fn metadata(bytes: &[u8]) -> Checked {
    value(partition_metadata::parse(bytes), |id| partition_metadata::parse(partition_metadata::format(*id).as_bytes()))
}

fn offsets(bytes: &[u8]) -> Checked {
    value(text_checkpoint::parse_offsets(bytes), |entries| {
        let entries = entries.iter().map(|(partition, offset)| (partition, *offset));
        text_checkpoint::parse_offsets(text_checkpoint::format_offsets(entries).as_bytes())
    })
}
