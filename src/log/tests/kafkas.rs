//! Logs as Kafka leaves them, with what it no longer writes, or would itself call damage.

use super::damage::{directory, log_name};
use super::*;
use crate::record::checksum::crc32;

/// How Kafka left a log whose first `synced` offsets it knows to be synced.
fn kafkas(clean: bool, synced: u64) -> LastClose {
    LastClose::Kafka {
        clean,
        recovery_point: Offset::new(synced),
        log_start: None,
        high_watermark: None,
        cleaned_to: None,
    }
}

/// A log of 20 records, and the last segment's base and bytes.
fn closed(disk: &SimDisk) -> (Offset, Vec<u8>) {
    let log = open(disk, UNCLEAN);
    fill(&log, 0..20);
    log.close().unwrap().unwrap();
    directory(disk).unlink(crate::log::checkpoint::FILE).unwrap();
    let base = log.segments().last().unwrap().base_offset();
    let bytes = directory(disk).read(&log_name(base), 10_000).unwrap();
    assert!(bytes.len() > 200 && base > Offset::ZERO);
    (base, bytes)
}

/// A message of Kafka's format before batches, which it called magic 1.
fn old_message(offset: u64) -> Vec<u8> {
    let mut body = vec![1, 0];
    body.extend(1_000_000_i64.to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(3_i32.to_be_bytes());
    body.extend(b"old");
    let mut message = offset.to_be_bytes().to_vec();
    message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend(crc32(&body).to_be_bytes());
    message.extend(body);
    message
}

fn put(disk: &SimDisk, base: Offset, bytes: &[u8]) {
    directory(disk).put(&log_name(base), bytes).unwrap();
}

/// A broken header in the last segment ended the log there without a word, and what was appended got offsets that Kafka
/// had given out, behind bytes that no reader passes.
#[test]
fn damage_in_a_closed_log_gives_no_offset_out_again() {
    for synced in [20, 0] {
        let disk = SimDisk::new();
        let (base, mut bytes) = closed(&disk);
        let half = bytes.len() / 2;
        bytes.truncate(half);
        put(&disk, base, &bytes);
        let log = open(&disk, kafkas(true, synced));
        assert_eq!(log.recovery().damage.len(), 1, "{:?}", log.recovery());
        let end = log.end(ReadUpTo::Written);
        if synced == 0 {
            let error = log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
            assert_eq!(log.truncate(end).unwrap(), end);
            append(&log, &["mended"]);
            continue;
        }
        assert_eq!(end, Offset::new(20));
        log.take_over().unwrap();
        let lost = log.read(Offset::new(19), FetchLimit::bytes(100)).unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Corruption, "{lost}");
        assert_eq!(*append(&log, &["behind"]).offsets.start(), Offset::new(20));
        assert_eq!(log.read(Offset::new(20), FetchLimit::bytes(100)).unwrap().next_offset, Offset::new(21));
        log.shut();
        assert_eq!(open(&disk, UNCLEAN).end(ReadUpTo::Written), Offset::new(21));
    }
}

/// Good messages of an old format were cut off as if a crash had torn them.
#[test]
fn messages_of_an_old_format_are_not_cut() {
    for synced in [20, 0] {
        let disk = SimDisk::new();
        let (base, mut bytes) = closed(&disk);
        bytes.extend((20..25).flat_map(old_message));
        put(&disk, base, &bytes);
        let log = open(&disk, kafkas(false, synced));
        assert_eq!(log.recovery().cut_bytes, 0);
        assert_eq!(log.recovery().damage.len(), 1, "{:?}", log.recovery());
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
        let error = log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedMagic, "{error}");
        assert_eq!(log.take_over().unwrap_err().kind(), ErrorKind::UnsupportedMagic);
        log.shut();
        assert_eq!(directory(&disk).read(&log_name(base), 10_000).unwrap(), bytes);
    }
}

/// What only looks like an old message is what a crash left.
#[test]
fn a_torn_tail_is_cut_whatever_its_magic() {
    let disk = SimDisk::new();
    let (base, mut bytes) = closed(&disk);
    let mut torn = old_message(20);
    *torn.last_mut().unwrap() ^= 1;
    bytes.extend(torn.repeat(3));
    put(&disk, base, &bytes);
    let log = open(&disk, kafkas(false, 20));
    assert!(log.recovery().cut_bytes > 0);
    assert_eq!(*append(&log, &["x"]).offsets.start(), Offset::new(20));
}

/// What Kafka had synced was cut with the batch in front of it that had rotted.
#[test]
fn what_kafka_synced_is_not_cut() {
    let disk = SimDisk::new();
    let (base, mut bytes) = closed(&disk);
    bytes[65] ^= 1;
    put(&disk, base, &bytes);
    let log = open(&disk, kafkas(false, 20));
    assert_eq!(log.recovery().damage.len(), 1, "{:?}", log.recovery());
    assert_eq!(log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err().kind(), ErrorKind::Corruption);
    log.shut();
    assert_eq!(directory(&disk).read(&log_name(base), 10_000).unwrap(), bytes);
}
