//! `.snapshot` files: a log's producers as of the offset in the file's name, in Kafka's `ProducerSnapshot` format.

use std::collections::HashSet;

use crate::error::{CorruptionReason, Error, ErrorKind, Result};
use crate::log::producer_entry::{BatchMetadata, ProducerEntry};
use crate::record::checksum::crc32c;
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const VERSION: i16 = 1;

/// Version, checksum, number of entries.
const HEADER_LEN: usize = 2 + 4 + 4;
/// What the checksum covers starts here and ends with the file.
const CRC_START: usize = 6;
const ENTRY_LEN: usize = 46;

/// The file of these producers, sorted by their ids. Of each producer's batches only the last one is kept.
pub(crate) fn encode<'a>(producers: impl Iterator<Item = (ProducerId, &'a ProducerEntry)>) -> Vec<u8> {
    let mut producers: Vec<_> = producers.collect();
    producers.sort_unstable_by_key(|(id, _)| *id);
    producers.truncate(i32::MAX.cast_unsigned() as usize);
    let count = i32::try_from(producers.len()).unwrap_or(i32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_LEN + producers.len() * ENTRY_LEN);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(count.to_be_bytes());
    for (id, entry) in producers {
        encode_entry(&mut bytes, id, entry);
    }
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[2..CRC_START].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_entry(bytes: &mut Vec<u8>, id: ProducerId, entry: &ProducerEntry) {
    let last = entry.last_batch();
    bytes.extend(id.get().to_be_bytes());
    bytes.extend(entry.epoch.get().to_be_bytes());
    bytes.extend(entry.last_sequence().get().to_be_bytes());
    bytes.extend(last.map_or(-1, |batch| batch.last_offset.as_i64()).to_be_bytes());
    bytes.extend(last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
    bytes.extend(entry.last_timestamp.millis().to_be_bytes());
    bytes.extend(entry.coordinator_epoch.to_be_bytes());
    bytes.extend(entry.transaction_start.map_or(-1, Offset::as_i64).to_be_bytes());
}

/// The producers in a file's `bytes`.
///
/// # Errors
/// [`ErrorKind::UnsupportedVersion`] for a newer version, [`ErrorKind::Corruption`] for anything that is no snapshot:
/// an older one, or the log itself, has to be read instead.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>> {
    let count = check(bytes)?;
    let (entries, _) = bytes[HEADER_LEN..].as_chunks::<ENTRY_LEN>();
    let mut seen = HashSet::with_capacity(count);
    let mut producers = Vec::with_capacity(count);
    for (place, bytes) in entries.iter().enumerate() {
        let position = HEADER_LEN + place * ENTRY_LEN;
        let producer = decode_entry(bytes).filter(|(id, _)| seen.insert(*id));
        producers.push(producer.ok_or_else(|| damage(position, format!("producer entry {place} is not possible")))?);
    }
    Ok(producers)
}

/// Checks version, checksum and length. Answers how many entries there are, all of them whole.
fn check(bytes: &[u8]) -> Result<usize> {
    let Some(([v0, v1, c0, c1, c2, c3, n0, n1, n2, n3], entries)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        let reason = CorruptionReason::Truncated { expected: HEADER_LEN as u64, found: bytes.len() as u64 };
        return Err(Error::corrupt(0, reason));
    };
    let version = i16::from_be_bytes([*v0, *v1]);
    if version > VERSION {
        let message = format!("producer snapshot has version {version}, only {VERSION} is supported");
        return Err(Error::new(ErrorKind::UnsupportedVersion, message));
    }
    if version != VERSION {
        return Err(damage(0, format!("producer snapshot has version {version}, which does not exist")));
    }
    let (found, expected) = (u32::from_be_bytes([*c0, *c1, *c2, *c3]), crc32c(&bytes[CRC_START..]));
    if found != expected {
        return Err(Error::corrupt(0, CorruptionReason::Crc { expected, found }));
    }
    let count = i32::from_be_bytes([*n0, *n1, *n2, *n3]);
    match usize::try_from(count) {
        Ok(announced) if announced.checked_mul(ENTRY_LEN) == Some(entries.len()) => Ok(announced),
        _ => {
            let message = format!("producer snapshot announces {count} entries in {} bytes", entries.len());
            Err(damage(CRC_START, message))
        }
    }
}

fn decode_entry(bytes: &[u8; ENTRY_LEN]) -> Option<(ProducerId, ProducerEntry)> {
    let mut rest = &bytes[..];
    let id = ProducerId::new(i64::from_be_bytes(take(&mut rest)?));
    let mut entry = ProducerEntry::default();
    entry.enter(ProducerEpoch::new(i16::from_be_bytes(take(&mut rest)?)));
    let last_sequence = Sequence::new(i32::from_be_bytes(take(&mut rest)?));
    let last_offset = i64::from_be_bytes(take(&mut rest)?);
    let offset_delta = i32::from_be_bytes(take(&mut rest)?);
    let timestamp = Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?));
    entry.coordinator_epoch = i32::from_be_bytes(take(&mut rest)?);
    entry.transaction_start = Offset::from_i64(i64::from_be_bytes(take(&mut rest)?));
    if let Some(last_offset) = Offset::from_i64(last_offset) {
        let offset_delta = u32::try_from(offset_delta).ok()?;
        entry.remember(BatchMetadata { last_sequence, offset_delta, last_offset, timestamp });
    }
    entry.last_timestamp = timestamp;
    (id.is_some() && last_sequence >= Sequence::NONE).then_some((id, entry))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}

fn damage(position: usize, message: String) -> Error {
    Error::corrupt(position as u64, CorruptionReason::SideFile(message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::producer_entry::NO_COORDINATOR;
    use crate::record::vectors::documented;
    use crate::segment::file_name::{FileKind, parse_file_name};

    const EMPTY: [u8; 10] = [0x00, 0x01, 0x48, 0x67, 0x4b, 0xc7, 0x00, 0x00, 0x00, 0x00];
    #[rustfmt::skip]
    const ONE: [u8; 56] = [
        0x00, 0x01, 0x40, 0xd9, 0x00, 0xbc, 0x00, 0x00, 0x00, 0x01,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0f, 0xa0, 0x00, 0x01, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x05, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ];

    fn one() -> (ProducerId, ProducerEntry) {
        let timestamp = Timestamp::from_millis(1_700_000_000_005);
        let mut entry = ProducerEntry::default();
        entry.enter(ProducerEpoch::new(1));
        let (last_sequence, last_offset) = (Sequence::new(9), Offset::new(7));
        entry.remember(BatchMetadata { last_sequence, offset_delta: 2, last_offset, timestamp });
        (ProducerId::new(4000), entry)
    }

    fn file(producers: &[(ProducerId, ProducerEntry)]) -> Vec<u8> {
        encode(producers.iter().map(|(id, entry)| (*id, entry)))
    }

    /// The file with a right checksum.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let crc = crc32c(&bytes[CRC_START..]);
        bytes[2..CRC_START].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn snapshots_have_kafkas_bytes() {
        assert_eq!(file(&[]), EMPTY);
        assert_eq!(file(&[one()]), ONE);
        assert_eq!(documented("producer-snapshot"), ONE);
        assert_eq!(decode(&EMPTY).unwrap(), []);
        assert_eq!(decode(&ONE).unwrap(), [one()]);
    }

    #[test]
    fn a_producer_of_whom_only_a_marker_is_known_is_kept() {
        let mut entry = ProducerEntry::default();
        entry.enter(ProducerEpoch::new(3));
        entry.coordinator_epoch = 8;
        entry.last_timestamp = Timestamp::from_millis(5);
        let marked = (ProducerId::new(1), entry);
        assert_eq!(decode(&file(&[marked])).unwrap(), [marked]);
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        let put = |place: usize, new: &[u8]| {
            let mut bytes = ONE.to_vec();
            bytes[place..place + new.len()].copy_from_slice(new);
            bytes
        };
        let twice = sealed([&put(6, &[0, 0, 0, 2])[..], &ONE[10..]].concat());
        for (what, bytes, kind) in [
            ("empty", vec![], ErrorKind::Corruption),
            ("short header", ONE[..9].to_vec(), ErrorKind::Corruption),
            ("truncated", ONE[..55].to_vec(), ErrorKind::Corruption),
            ("truncated, checksum right", sealed(ONE[..55].to_vec()), ErrorKind::Corruption),
            ("trailing", sealed([&ONE[..], &[0]].concat()), ErrorKind::Corruption),
            ("checksum", put(30, &[9]), ErrorKind::Corruption),
            ("newer version", put(0, &[0, 2]), ErrorKind::UnsupportedVersion),
            ("version 0", put(0, &[0, 0]), ErrorKind::Corruption),
            ("negative version", put(0, &[0xff, 0xff]), ErrorKind::Corruption),
            ("negative count", sealed(put(6, &[0xff, 0xff, 0xff, 0xff])), ErrorKind::Corruption),
            ("too large a count", sealed(put(6, &[0x7f, 0xff, 0xff, 0xff])), ErrorKind::Corruption),
            ("negative producer", sealed(put(10, &[0x80])), ErrorKind::Corruption),
            ("negative sequence", sealed(put(20, &[0x80])), ErrorKind::Corruption),
            ("negative delta", sealed(put(32, &[0x80])), ErrorKind::Corruption),
            ("a producer twice", twice, ErrorKind::Corruption),
        ] {
            assert_eq!(decode(&bytes).unwrap_err().kind(), kind, "{what}");
        }
    }

    #[test]
    fn kafkas_snapshots_are_read_and_written_again() {
        let root = format!("{}/tests/golden/kafka-4.3.1/log", env!("CARGO_MANIFEST_DIR"));
        let mut producers = 0;
        for directory in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
            for file in std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap()) {
                let name = file.file_name().into_string().unwrap();
                if parse_file_name(&name).is_none_or(|(_, kind, _)| kind != FileKind::Snapshot) {
                    continue;
                }
                let bytes = std::fs::read(file.path()).unwrap();
                let entries = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
                let again = super::tests::file(&entries);
                assert_eq!(decode(&again).unwrap().len(), entries.len());
                if entries.len() < 2 {
                    assert_eq!(again, bytes, "{name}: with one entry there is one order");
                }
                producers += entries.len();
            }
        }
        assert!(producers > 20, "only {producers} producers seen");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_was_written_is_read_back(
            producers in prop::collection::btree_map(0i64.., (0i16.., 0i32.., 0i64.., 0u32..1000, -1i64.., NO_COORDINATOR.., -1i64..), 0..20)
        ) {
            let producers: Vec<_> = producers.into_iter().map(|(id, (epoch, sequence, offset, offset_delta, time, coordinator, start))| {
                let (last_sequence, last_offset) = (Sequence::new(sequence), Offset::from_i64(offset).unwrap());
                let timestamp = Timestamp::from_millis(time);
                let mut entry = ProducerEntry::default();
                entry.enter(ProducerEpoch::new(epoch));
                entry.remember(BatchMetadata { last_sequence, offset_delta, last_offset, timestamp });
                entry.coordinator_epoch = coordinator;
                entry.transaction_start = Offset::from_i64(start);
                (ProducerId::new(id), entry)
            }).collect();
            prop_assert_eq!(decode(&file(&producers)).unwrap(), producers);
        }

        #[test]
        fn any_bytes_are_a_snapshot_or_an_error(bytes in prop::collection::vec(any::<u8>(), 10..300)) {
            let mut bytes = bytes;
            bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
            if let Ok(producers) = decode(&sealed(bytes.clone())) {
                prop_assert_eq!(producers.len() * ENTRY_LEN + HEADER_LEN, bytes.len());
            }
        }
    }
}
