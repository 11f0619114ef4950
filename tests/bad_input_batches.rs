//! Bad input, a batch as a whole: each is refused by a typed error, and the log stays as it was.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use riverbed::{
    AppendOrigin, BatchBuilder, Compression, CorruptionReason as Corrupt, EndMarker, ErrorKind, FetchLimit,
    InvalidRecordReason as Invalid, Offset, ProducerEpoch, ProducerId, Record, Timestamp, TransactionResult,
};
use support::TestDir;
use support::partition::{compressed, fill, from_producer, open, range, values};
use support::refused::{
    ATTRIBUTES, BASE_OFFSET, BASE_SEQUENCE, COUNT, CRC, EPOCH, HEADER, LAST_OFFSET_DELTA, LENGTH, MAGIC, Refusing,
    batch_of, good, seal, torn, with,
};

#[test]
fn a_batch_is_as_long_as_it_says() {
    let log = Refusing::new("lengths", &[("max.message.bytes", "2000"), ("segment.bytes", "3000")]);
    for len in 1..HEADER {
        assert!(matches!(log.corruption(&good()[..len]), Corrupt::Truncated { .. }), "{len} bytes");
    }
    for length in [48, 0, -1, i32::MIN] {
        let found = log.corruption(&torn(good(), LENGTH, &i32::to_be_bytes(length)));
        assert_eq!(found, Corrupt::BatchLength { found: length.into() });
    }
    let len = good().len();
    for announced in [len + 1, usize::try_from(i32::MAX).unwrap()] {
        let length = i32::try_from(announced - LENGTH.end.min(announced)).unwrap();
        let found = log.corruption(&torn(good(), LENGTH, &length.to_be_bytes()));
        assert!(matches!(found, Corrupt::Truncated { found, .. } if found == len as u64), "{found:?}");
    }
    let large = |size: usize| support::partition::batch(&[(&"x".repeat(size), 1)]);
    assert_eq!(log.refuses(&large(2_000)).kind(), ErrorKind::BatchTooLarge);
    assert_eq!(log.refuses(&large(4_000)).kind(), ErrorKind::BatchTooLarge);
    log.end();
}

#[test]
fn only_version_2_is_taken() {
    let log = Refusing::new("magic", &[]);
    for magic in (i8::MIN..=i8::MAX).filter(|magic| *magic != 2) {
        let error = log.refuses(&torn(good(), MAGIC, &magic.to_be_bytes()));
        assert_eq!(error.kind(), ErrorKind::UnsupportedMagic, "{magic}");
    }
    log.end();
}

#[test]
fn a_changed_byte_anywhere_behind_the_checksum_is_noticed() {
    let log = Refusing::new("crc", &[]);
    let good = good();
    for position in CRC.start..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 0x10;
        let Corrupt::Crc { expected, found } = log.corruption(&bad) else { panic!("byte {position}") };
        assert_ne!(expected, found);
    }
    log.end();
}

/// What is changed in a file's bytes, in the batch at a position.
type Change = fn(Vec<u8>, usize) -> Vec<u8>;

/// Base offset, length and epoch lie outside the checksum: in a file they are held to what they must be.
#[test]
fn in_a_file_a_changed_header_is_damage_where_it_was_durable_and_the_end_where_not() {
    let changes: [(&str, Change); 7] = [
        ("offset 9", |file, at| torn(file, shifted(BASE_OFFSET, at), &9_u64.to_be_bytes())),
        ("offset 0", |file, at| torn(file, shifted(BASE_OFFSET, at), &[0; 8])),
        ("offset 3", |file, at| torn(file, shifted(BASE_OFFSET, at), &3_u64.to_be_bytes())),
        ("length 0", |file, at| torn(file, shifted(LENGTH, at), &[0; 4])),
        ("length 99", |file, at| torn(file, shifted(LENGTH, at), &99_i32.to_be_bytes())),
        ("epoch -1", |file, at| torn(file, shifted(EPOCH, at), &(-1_i32).to_be_bytes())),
        ("checksum", |file, at| torn(file, shifted(CRC, at), &[1; 4])),
    ];
    for (what, change) in changes {
        for durable in [true, false] {
            if durable && what.starts_with("epoch") {
                // Recovery compares a batch's epoch with the one before; a read of what was durable does not.
                continue;
            }
            let dir = TestDir::scratch("header");
            let partition = open(&dir, &[]);
            fill(&partition, 4);
            if durable {
                partition.close().unwrap();
            }
            let file = dir.join("orders-0/00000000000000000000.log");
            let bytes = std::fs::read(&file).unwrap();
            let one = usize::try_from(partition.segments()[0].size()).unwrap() / 4;
            // A copy stands for what a process that died left.
            let copy = TestDir::scratch("header-copy");
            support::copy_dir(&dir.join("orders-0"), &copy.join("orders-0"));
            std::fs::remove_file(copy.join("orders-0/.lock")).unwrap();
            std::fs::write(copy.join("orders-0/00000000000000000000.log"), change(bytes, one * 2)).unwrap();
            let opened = open(&copy, &[]);
            let end = opened.offsets().1.end.get();
            if durable {
                assert_eq!(end, 4, "{what}: nothing durable is cut");
                let fetched = opened.fetch(Offset::new(2), FetchLimit::bytes(1000));
                let error = fetched.expect_err(what);
                assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error:?}");
                let damage = error.corruption().unwrap();
                assert!((one * 2..one * 3).contains(&usize::try_from(damage.position).unwrap()), "{what}: {error:?}");
                assert!(damage.path.is_some() && is_of(what, &damage.reason), "{what}: {error:?}");
                if !what.starts_with("length") {
                    assert_eq!(values(&opened, 3).len(), 1, "{what}: what lies behind is read");
                }
            } else {
                assert_eq!(end, 2, "{what}: {:?}", opened.recovery());
                assert_eq!(values(&opened, 0).len(), 2);
            }
            fill(&opened, end + 1);
        }
    }
}

/// The base offset lies outside of the checksum. A batch whose base moved by less than its length was read at offsets
/// that are its neighbour's, by whoever began to read just there.
#[test]
fn a_batch_that_moved_is_read_nowhere() {
    let ten: Vec<(String, i64)> = (0..10).map(|n| (format!("value {n}"), 1)).collect();
    let ten: Vec<(&str, i64)> = ten.iter().map(|(value, time)| (value.as_str(), *time)).collect();
    for moved in [0, 1] {
        let dir = TestDir::scratch("moved");
        let partition = open(&dir, &[]);
        for _ in 0..3 {
            partition.append(&support::partition::batch(&ten)).unwrap();
        }
        partition.close().unwrap();
        let path = dir.join("orders-0/00000000000000000000.log");
        let mut file = std::fs::read(&path).unwrap();
        let at = file.len() / 3 * moved;
        file[at + 7] += 5;
        std::fs::write(&path, file).unwrap();
        let partition = open(&dir, &[]);
        let first = u64::try_from(moved).unwrap() * 10;
        for offset in 0..30 {
            let fetched = partition.fetch(Offset::new(offset), FetchLimit::bytes(1));
            if (first..first + 10).contains(&offset) {
                let damage = fetched.unwrap_err().corruption().unwrap().clone();
                assert_eq!(damage.position, at as u64, "{offset}");
                assert!(matches!(damage.reason, Corrupt::BaseOffset { .. }), "{offset}: {damage:?}");
            } else {
                assert_eq!(fetched.unwrap().batches().next().unwrap().base_offset().get(), offset / 10 * 10);
            }
        }
    }
}

fn shifted(place: std::ops::Range<usize>, by: usize) -> std::ops::Range<usize> {
    place.start + by..place.end + by
}

fn is_of(what: &str, reason: &Corrupt) -> bool {
    match what.split(' ').next() {
        Some("offset") => matches!(reason, Corrupt::BaseOffset { .. }),
        Some("length") => {
            matches!(reason, Corrupt::BatchLength { .. } | Corrupt::Crc { .. } | Corrupt::Truncated { .. })
        }
        _ => matches!(reason, Corrupt::Crc { .. }),
    }
}

#[test]
fn the_count_is_that_of_the_records_and_of_the_offsets() {
    let log = Refusing::new("counts", &[]);
    for count in [-1, 0, 1, 3, i32::MAX, i32::MIN] {
        assert_eq!(log.reason(&with(good(), COUNT, &count.to_be_bytes())), Invalid::Count, "{count}");
    }
    let records = &good()[HEADER..];
    for count in [3, 1000, i32::MAX] {
        assert_eq!(log.reason(&batch_of(count, records)), Invalid::Count, "{count}");
    }
    assert!(matches!(log.reason(&batch_of(1, records)), Invalid::Length | Invalid::Count));
    log.end();
}

#[test]
fn the_range_of_offsets_is_possible() {
    let log = Refusing::new("ranges", &[]);
    for delta in [-1, i32::MIN] {
        assert_eq!(log.reason(&with(good(), LAST_OFFSET_DELTA, &i32::to_be_bytes(delta))), Invalid::OffsetRange);
    }
    assert_eq!(log.reason(&with(good(), BASE_OFFSET, &i64::MAX.to_be_bytes())), Invalid::OffsetRange);
    assert!(matches!(log.corruption(&with(good(), BASE_OFFSET, &(-1_i64).to_be_bytes())), Corrupt::Header(_)));
    log.end();
}

#[test]
fn attributes_and_producer_fields_go_together() {
    let log = Refusing::new("attributes", &[]);
    for bit in 7..16 {
        let bits = 1_u16 << bit;
        assert_eq!(log.reason(&with(good(), ATTRIBUTES, &bits.to_be_bytes())), Invalid::Attributes, "bit {bit}");
    }
    assert_eq!(log.reason(&with(good(), ATTRIBUTES, &0x20_u16.to_be_bytes())), Invalid::ControlFromClient);
    assert_eq!(log.reason(&with(good(), ATTRIBUTES, &0x10_u16.to_be_bytes())), Invalid::ProducerId);
    let mine = from_producer(7, 0, 0, &[("a", 1)]);
    assert_eq!(log.reason(&with(mine.clone(), BASE_SEQUENCE, &(-1_i32).to_be_bytes())), Invalid::Sequence);
    assert_eq!(log.reason(&with(mine, BASE_SEQUENCE, &i32::MIN.to_be_bytes())), Invalid::Sequence);
    log.end();
}

#[test]
fn codecs_that_do_not_exist_and_streams_that_do_not_decode_are_refused() {
    let log = Refusing::new("codecs", &[]);
    for codec in 5..8_u16 {
        assert_eq!(
            log.refuses(&with(good(), ATTRIBUTES, &codec.to_be_bytes())).kind(),
            ErrorKind::UnsupportedCompression
        );
    }
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let good = compressed(codec, &[("one", 1), ("two", 2)]);
        let remade = |section: &[u8]| {
            let bytes = [&good[..HEADER], section].concat();
            let length = i32::try_from(bytes.len() - LENGTH.end).unwrap();
            with(bytes, LENGTH, &length.to_be_bytes())
        };
        let stream = &good[HEADER..];
        for bad in [&[][..], &stream[..stream.len() / 2], &[stream, b"x"].concat(), &vec![0x5a; stream.len()]] {
            let found = log.refuses(&remade(bad));
            let codec_error = found.corruption().is_some_and(|damage| matches!(damage.reason, Corrupt::Codec(_)));
            assert!(codec_error, "{codec}, {} bytes: {found:?}", bad.len());
        }
        // Compressed twice: what comes out is no record.
        let twice = compressed_section(codec, stream);
        assert!(log.refuses(&remade(&twice)).invalid_record_reason().is_some(), "{codec}, nested");
    }
    log.end();
}

/// The compressed form of any bytes: those of a record's value, which is all of the batch but for a few bytes.
fn compressed_section(codec: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.compression(codec);
    builder.push(&Record::new().value(bytes), Timestamp::from_millis(1)).unwrap();
    builder.finish().unwrap().unwrap()[HEADER..].to_vec()
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let log = Refusing::new("bombs", &[]);
    let zeros = vec![0_u8; 300 << 20];
    for codec in [Compression::Gzip, Compression::Zstd] {
        let mut builder = BatchBuilder::new();
        builder.compression(codec);
        builder.push(&Record::new().value(zeros.as_slice()), Timestamp::from_millis(1)).unwrap();
        let bomb = builder.finish().unwrap().unwrap();
        assert!(bomb.len() < 1_000_000, "{codec} makes {} bytes of it", bomb.len());
        assert_eq!(log.refuses(bomb).kind(), ErrorKind::DecompressedTooLarge, "{codec}");
    }
    log.end();
}

#[test]
fn a_producers_batches_follow_each_other() {
    let log = Refusing::new("sequences", &[]);
    let send = |epoch, sequence| from_producer(7, epoch, sequence, &[("v", 1), ("w", 2)]);
    let kind = |epoch, sequence| log.refuses(&send(epoch, sequence)).kind();
    let ok = |epoch, sequence| range(&log.partition.append(&send(epoch, sequence)).unwrap());
    assert_eq!(ok(0, 100), (5, 6), "a producer that is not known may start anywhere");
    assert_eq!(kind(0, 103), ErrorKind::OutOfOrderSequence, "a gap");
    assert_eq!(kind(0, 101), ErrorKind::OutOfOrderSequence, "half of it is there");
    assert_eq!(ok(0, 100), (5, 6), "sent again: the offsets of the first time");
    for n in 1..=5 {
        assert_eq!(ok(0, 100 + n * 2).0, 5 + u64::try_from(n).unwrap() * 2);
    }
    assert_eq!(kind(0, 100), ErrorKind::OutOfOrderSequence, "older than the last five");
    assert_eq!(ok(0, 102), (7, 8), "the oldest of the last five");
    assert_eq!(kind(1, 5), ErrorKind::OutOfOrderSequence, "a new epoch starts at 0");
    assert_eq!(ok(1, 0).0, 17);
    assert_eq!(kind(0, 112), ErrorKind::ProducerFenced);
    let wrapping = |sequence| from_producer(8, 0, sequence, &[("v", 1), ("w", 2)]);
    assert_eq!(range(&log.partition.append(&wrapping(i32::MAX)).unwrap()).0, 19);
    assert_eq!(range(&log.partition.append(&wrapping(1)).unwrap()).0, 21, "behind 2147483647 comes 0");
    log.partition.close().unwrap();
}

#[test]
fn a_marker_of_a_coordinator_that_was_replaced_or_of_an_old_epoch_is_fenced() {
    let log = Refusing::new("markers", &[]);
    let marker = |epoch, coordinator_epoch| {
        let (producer_id, producer_epoch) = (ProducerId::new(7), ProducerEpoch::new(epoch));
        let (result, timestamp) = (TransactionResult::Commit, Timestamp::from_millis(1));
        EndMarker { producer_id, producer_epoch, timestamp, result, coordinator_epoch }.encode().unwrap()
    };
    log.partition.append_as(&marker(3, 5), AppendOrigin::Coordinator).unwrap();
    let kind = |bytes: &[u8]| log.refuses_as(bytes, AppendOrigin::Coordinator).kind();
    assert_eq!(kind(&marker(3, 4)), ErrorKind::ProducerFenced, "a zombie coordinator");
    assert_eq!(kind(&marker(2, 5)), ErrorKind::ProducerFenced, "a zombie producer's");
    assert_eq!(log.reason(&marker(3, 6)), Invalid::ControlFromClient);
    log.partition.close().unwrap();
}

#[test]
fn an_append_is_one_batch() {
    let log = Refusing::new("one", &[]);
    assert_eq!(log.refuses(&[good(), good()].concat()).kind(), ErrorKind::InvalidRecord);
    assert_eq!(log.reason(&[]), Invalid::Count);
    let trailing = log.refuses(&[good(), vec![0; 7]].concat());
    assert!(matches!(trailing.kind(), ErrorKind::Corruption | ErrorKind::InvalidRecord), "{trailing:?}");
    assert_eq!(log.refuses(&seal(batch_of(0, &[]))).kind(), ErrorKind::InvalidRecord);
    log.end();
}
