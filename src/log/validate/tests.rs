use super::*;
use crate::record::batch_header::{CRC, CRC_START};
use crate::record::checksum::crc32c;
use crate::record::{Attributes, EndMarker, Record, TransactionResult};
use crate::types::ProducerId;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const CODECS: [Compression; 5] = Compression::ALL;

fn config(pairs: &[(&str, &str)]) -> LogConfig {
    LogConfig::from_pairs(pairs.iter().copied()).unwrap()
}

fn rules(config: &LogConfig, origin: Origin) -> ValidationRules<'_> {
    ValidationRules { config, limits: DecompressionLimits::default(), origin, now: NOW }
}

/// A client's batch of records with these times, keys `k0`, `k1` … and values of some length.
fn batch(codec: Compression, times: &[i64]) -> Vec<u8> {
    build(codec, times, |_| {})
}

fn build(codec: Compression, times: &[i64], change: impl FnOnce(&mut BatchBuilder)) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.compression(codec);
    change(&mut builder);
    for (number, time) in times.iter().enumerate() {
        let (key, value) = (format!("k{number}"), "value ".repeat(20));
        let record = Record::new().key(key.as_str()).value(value.as_str()).timestamp(Timestamp::from_millis(*time));
        builder.push(&record, NOW).unwrap();
    }
    builder.finish().unwrap().unwrap().to_vec()
}

/// The same batch with another header, and a checksum that fits.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::parse(bytes).unwrap();
    change(&mut header);
    let mut bytes = [&header.encode()[..], &bytes[HEADER_LEN..]].concat();
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[CRC].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// What is stored, whether it was rebuilt, after all its promises were checked.
fn store(bytes: &[u8], config: &LogConfig, origin: Origin) -> Result<(RecordBatch<Vec<u8>>, bool)> {
    let batch = single_batch(bytes)?;
    let mut validated = validate(&batch, &rules(config, origin))?;
    validated.stamp(Offset::new(100), LeaderEpoch::new(7));
    let stored = RecordBatch::parse([&validated.head()[..], validated.section()].concat()).unwrap();
    assert_eq!(stored.header(), validated.header());
    assert_eq!((stored.base_offset().get(), stored.header().leader_epoch.get()), (100, 7));
    assert_eq!(stored.record_count(), batch.record_count());
    Ok((stored, validated.is_rebuilt()))
}

fn times(batch: &RecordBatch<Vec<u8>>) -> Vec<i64> {
    let payload = batch.payload(&DecompressionLimits::default()).unwrap();
    let records: Vec<_> = payload.records().map(Result::unwrap).collect();
    let offsets: Vec<_> = records.iter().map(|record| record.offset().get()).collect();
    assert_eq!(offsets, (100..100 + offsets.len() as u64).collect::<Vec<_>>());
    records.iter().map(|record| record.timestamp().millis()).collect()
}

fn refusal(bytes: &[u8], config: &LogConfig, origin: Origin) -> Error {
    store(bytes, config, origin).unwrap_err()
}

fn reason(bytes: &[u8]) -> Option<InvalidRecordReason> {
    refusal(bytes, &LogConfig::default(), Origin::Client).invalid_record_reason()
}

fn same_codec_configs() -> impl Iterator<Item = (Compression, LogConfig)> {
    CODECS.into_iter().map(|codec| (codec, LogConfig::default()))
}

#[test]
fn val_01_and_02_a_client_appends_exactly_one_batch() {
    for codec in CODECS {
        let one = batch(codec, &[1, 2]);
        for bytes in [vec![], [&one[..], &one].concat(), [&one[..], &one, &one].concat()] {
            assert_eq!(reason(&bytes), Some(InvalidRecordReason::Count), "{codec} {}", bytes.len());
        }
        for bytes in [&one[..one.len() - 1], &[&one[..], &[0]].concat()] {
            assert_eq!(refusal(bytes, &LogConfig::default(), Origin::Client).kind(), ErrorKind::Corruption);
        }
    }
}

#[test]
fn val_03_a_batch_without_records_is_refused() {
    let empty = with_header(&batch(Compression::None, &[1])[..HEADER_LEN], |header| {
        header.batch_length = 49;
        header.record_count = 0;
    });
    for (codec, _) in same_codec_configs() {
        let bytes = with_header(&empty, |header| header.attributes = header.attributes.with_codec(codec.codec()));
        assert_eq!(reason(&bytes), Some(InvalidRecordReason::Count), "{codec}");
    }
}

#[test]
fn val_04_and_06_the_count_is_that_of_the_offsets() {
    for codec in CODECS {
        let three = batch(codec, &[1, 2, 3]);
        for (count, last) in [(2, 2), (4, 2), (3, 1), (3, 3), (3, i32::MAX - 1)] {
            let bytes = with_header(&three, |header| {
                header.record_count = count;
                header.last_offset_delta = last;
            });
            assert_eq!(reason(&bytes), Some(InvalidRecordReason::Count), "{codec} {count} {last}");
        }
    }
}

#[test]
fn val_05_the_count_is_that_of_the_records() {
    for codec in CODECS {
        let three = batch(codec, &[1, 2, 3]);
        for count in [1, 2, 4, 1000] {
            let bytes = with_header(&three, |header| {
                header.record_count = count;
                header.last_offset_delta = count - 1;
            });
            assert_eq!(reason(&bytes), Some(InvalidRecordReason::Count), "{codec} {count}");
        }
    }
}

#[test]
fn val_07_08_13_26_and_30_a_batch_is_kept_as_it_came() {
    for (codec, config) in same_codec_configs() {
        let bytes = build(codec, &[10, 30, 20], |builder| {
            builder.producer(ProducerId::new(5), ProducerEpoch::new(2), Sequence::new(9)).transactional(true);
        });
        let (stored, rebuilt) = store(&bytes, &config, Origin::Client).unwrap();
        assert!(!rebuilt);
        assert_eq!(stored.bytes()[CRC.start..], bytes[CRC.start..], "{codec}");
        assert_eq!(times(&stored), [10, 30, 20]);
        assert_eq!((stored.max_timestamp().millis(), stored.last_offset().get()), (30, 102));
    }
}

#[test]
fn val_09_and_10_the_logs_time_stands_for_all_records() {
    let config = config(&[("message.timestamp.type", "LogAppendTime")]);
    for codec in CODECS {
        let bytes = batch(codec, &[10, -1, i64::MAX / 2]);
        let (stored, rebuilt) = store(&bytes, &config, Origin::Client).unwrap();
        assert!(!rebuilt);
        assert_eq!(stored.bytes()[HEADER_LEN..], bytes[HEADER_LEN..], "the records stay");
        assert_eq!(stored.header().base_timestamp.millis(), 10, "so does what they count from");
        assert_eq!((times(&stored), stored.max_timestamp()), (vec![NOW.millis(); 3], NOW));
    }
}

#[test]
fn val_11_the_logs_time_and_another_codec_go_together() {
    let config = config(&[("message.timestamp.type", "LogAppendTime"), ("compression.type", "zstd")]);
    let (stored, rebuilt) = store(&batch(Compression::Gzip, &[10, 20]), &config, Origin::Client).unwrap();
    assert!(rebuilt);
    assert_eq!((stored.attributes().codec(), times(&stored)), (Compression::Zstd.codec(), vec![NOW.millis(); 2]));
    assert_eq!(stored.attributes().timestamp_type(), TimestampType::LogAppendTime);
}

#[test]
fn val_12_the_largest_timestamp_is_put_right() {
    for (codec, config) in same_codec_configs() {
        for wrong in [-1, 0, 29, 31, i64::MAX] {
            let bytes = with_header(&batch(codec, &[10, 30, 20]), |header| {
                header.max_timestamp = Timestamp::from_millis(wrong);
            });
            let (stored, _) = store(&bytes, &config, Origin::Client).unwrap();
            assert_eq!(stored.max_timestamp().millis(), 30, "{codec} {wrong}");
        }
    }
    let (stored, _) = store(&batch(Compression::None, &[-1, -1]), &LogConfig::default(), Origin::Client).unwrap();
    assert_eq!(stored.max_timestamp(), Timestamp::NONE);
}

#[test]
fn val_14_15_16_17_and_19_times_lie_between_both_limits() {
    let config = config(&[("message.timestamp.before.max.ms", "100"), ("message.timestamp.after.max.ms", "50")]);
    let now = NOW.millis();
    for codec in CODECS {
        let (stored, _) = store(&batch(codec, &[now - 100, now, now + 50, -1]), &config, Origin::Client).unwrap();
        assert_eq!(stored.max_timestamp().millis(), now + 50);
        for bad in [now - 101, now + 51, 0, i64::MAX] {
            let bytes = batch(codec, &[now, bad, now, bad]);
            let error = refusal(&bytes, &config, Origin::Client);
            assert_eq!(error.kind(), ErrorKind::InvalidTimestamp, "{codec} {bad}");
            let listed = format!("record 1 (time {bad}), record 3 (time {bad}): ");
            assert!(error.to_string().starts_with(&listed), "{error}");
        }
    }
    let many = refusal(&batch(Compression::None, &[5; 25]), &config, Origin::Client).to_string();
    assert!(many.contains("record 9 (time 5) and 15 more: "), "{many}");
    store(&batch(Compression::None, &[0, now + 3_600_000]), &LogConfig::default(), Origin::Client).unwrap();
    assert!(store(&batch(Compression::None, &[now + 3_600_001]), &LogConfig::default(), Origin::Client).is_err());
}

#[test]
fn val_18_a_client_cannot_claim_the_time_of_the_append() {
    let claim = |time: i64, own: i64| {
        build(Compression::None, &[own, own + 1], |builder| {
            builder.append_time(Some(Timestamp::from_millis(time)));
        })
    };
    let (now, limits) = (NOW.millis(), [("message.timestamp.before.max.ms", "100")]);
    for (time, own) in [(now - 101, now), (now + 3_600_001, now), (-1, now), (now, now - 102)] {
        let error = refusal(&claim(time, own), &config(&limits), Origin::Client);
        assert_eq!(error.kind(), ErrorKind::InvalidTimestamp, "{time} {own}");
    }
    let (stored, _) = store(&claim(now, now - 50), &config(&limits), Origin::Client).unwrap();
    assert_eq!(stored.attributes().timestamp_type(), TimestampType::CreateTime);
    assert_eq!((times(&stored), stored.max_timestamp().millis()), (vec![now - 50, now - 49], now - 49));
    let append_time = config(&[("message.timestamp.type", "LogAppendTime")]);
    let error = refusal(&claim(now, now), &append_time, Origin::Client);
    assert_eq!(error.kind(), ErrorKind::InvalidTimestamp);
}

fn keyless(codec: Compression, keyed_time: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.compression(codec);
    builder.push(&Record::new().key("k").timestamp(Timestamp::from_millis(keyed_time)), NOW).unwrap();
    builder.push(&Record::new().value("v"), NOW).unwrap();
    builder.finish().unwrap().unwrap().to_vec()
}

#[test]
fn val_20_and_21_a_compacted_topic_needs_keys() {
    for codec in CODECS {
        for policy in ["compact", "compact,delete"] {
            let config = config(&[("cleanup.policy", policy), ("message.timestamp.before.max.ms", "100")]);
            let error = refusal(&keyless(codec, NOW.millis()), &config, Origin::Client);
            assert_eq!(error.invalid_record_reason(), Some(InvalidRecordReason::KeyMissing), "{codec}");
            assert!(error.to_string().contains("record 1: "), "{error}");
            let error = refusal(&keyless(codec, 5), &config, Origin::Client);
            assert_eq!(error.kind(), ErrorKind::InvalidTimestamp, "{codec}: times come first");
        }
        store(&keyless(codec, 5), &LogConfig::default(), Origin::Client).unwrap();
    }
}

#[test]
fn val_22_and_23_control_batches_are_a_coordinators_and_stay_as_they_are() {
    let end = EndMarker {
        result: TransactionResult::Abort,
        producer_id: ProducerId::new(5),
        producer_epoch: ProducerEpoch::new(2),
        coordinator_epoch: 1,
        timestamp: Timestamp::from_millis(3),
    };
    let marker = end.encode().unwrap();
    assert_eq!(reason(&marker), Some(InvalidRecordReason::ControlFromClient));
    for codec in ["producer", "zstd", "gzip"] {
        let narrow = [("compression.type", codec), ("max.message.bytes", "0"), ("cleanup.policy", "compact")];
        let config = config(&[&narrow[..], &[("message.timestamp.before.max.ms", "0")]].concat());
        let (stored, rebuilt) = store(&marker, &config, Origin::Coordinator).unwrap();
        assert_eq!((stored.bytes()[CRC.start..] == marker[CRC.start..], rebuilt), (true, false), "{codec}");
    }
}

#[test]
fn val_24_and_the_fields_that_do_not_go_together() {
    use InvalidRecordReason as Reason;
    let good = build(Compression::None, &[1], |builder| {
        builder.producer(ProducerId::new(5), ProducerEpoch::new(2), Sequence::new(9));
    });
    let changed = |change: fn(&mut BatchHeader)| with_header(&good, change);
    for (bytes, expected) in [
        (changed(|header| header.base_sequence = Sequence::NONE), Reason::Sequence),
        (changed(|header| header.base_sequence = Sequence::new(i32::MIN)), Reason::Sequence),
        (changed(|header| header.producer_epoch = ProducerEpoch::NONE), Reason::ProducerId),
        (changed(|header| header.base_offset = Offset::new(1)), Reason::OffsetRange),
        (changed(|header| header.attributes = header.attributes.with_delete_horizon(true)), Reason::Attributes),
        (changed(|header| header.attributes = Attributes::from_bits(0x80)), Reason::Attributes),
        (changed(|header| header.attributes = Attributes::from_bits(i16::MIN)), Reason::Attributes),
        (
            changed(|header| {
                header.producer_id = ProducerId::NONE;
                header.attributes = header.attributes.with_transactional(true);
            }),
            Reason::ProducerId,
        ),
    ] {
        assert_eq!(reason(&bytes), Some(expected));
    }
    let unsequenced = changed(|header| header.base_sequence = Sequence::NONE);
    store(&unsequenced, &LogConfig::default(), Origin::Coordinator).unwrap();
    let codec = changed(|header| header.attributes = header.attributes.with_codec(5));
    let error = refusal(&codec, &LogConfig::default(), Origin::Client);
    assert_eq!(error.kind(), ErrorKind::UnsupportedCompression);
}

#[test]
fn val_25_28_29_and_30_another_codec_is_what_building_with_it_gives() {
    let producer = |builder: &mut BatchBuilder| {
        builder.producer(ProducerId::new(5), ProducerEpoch::new(2), Sequence::new(9)).transactional(true);
    };
    for source in CODECS {
        for target in CODECS {
            let name = if target == Compression::None { "uncompressed" } else { target.name() };
            let config = config(&[("compression.type", name)]);
            let (stored, rebuilt) = store(&build(source, &[10, 30, 20], producer), &config, Origin::Client).unwrap();
            assert_eq!(rebuilt, source != target, "{source} to {target}");
            let direct = build(target, &[10, 30, 20], producer);
            assert_eq!(stored.bytes()[CRC.start..], direct[CRC.start..], "{source} to {target}");
        }
    }
}

#[test]
fn val_27_another_level_is_no_reason_to_compress_again() {
    let config = config(&[("compression.type", "zstd"), ("compression.zstd.level", "19")]);
    let bytes = batch(Compression::Zstd, &[1, 2, 3]);
    let (stored, rebuilt) = store(&bytes, &config, Origin::Client).unwrap();
    assert_eq!((stored.bytes()[CRC.start..] == bytes[CRC.start..], rebuilt), (true, false));
    assert!(store(&batch(Compression::Gzip, &[1]), &config, Origin::Client).unwrap().1);
}

/// The records at `offsets` of a batch of five, in a batch whose header says that they are at 0, 1 and 2.
fn with_offsets(codec: Compression, offsets: [u64; 3]) -> Vec<u8> {
    let five = RecordBatch::parse(batch(Compression::None, &[10, 11, 12, 13, 14])).unwrap();
    let payload = five.payload(&DecompressionLimits::default()).unwrap();
    let mut builder = BatchBuilder::new();
    builder.compression(codec);
    for record in payload.records().map(Result::unwrap).filter(|record| offsets.contains(&record.offset().get())) {
        builder.push_view(&record).unwrap();
    }
    with_header(builder.finish().unwrap().unwrap(), |header| header.last_offset_delta = 2)
}

#[test]
fn val_31_offsets_of_compressed_records_are_put_right_and_of_others_refused() {
    for codec in CODECS {
        for offsets in [[0, 1, 3], [1, 2, 3], [0, 2, 4]] {
            let bytes = with_offsets(codec, offsets);
            if codec == Compression::None {
                assert_eq!(reason(&bytes), Some(InvalidRecordReason::Offset));
                continue;
            }
            let (stored, rebuilt) = store(&bytes, &LogConfig::default(), Origin::Client).unwrap();
            let expected: Vec<_> = offsets.iter().map(|offset| 10 + offset.cast_signed()).collect();
            assert_eq!((times(&stored), rebuilt), (expected, true), "{codec} {offsets:?}");
            assert_eq!(stored.attributes().codec(), codec.codec());
        }
    }
}

#[test]
fn batches_larger_than_the_topic_allows_are_refused_before_and_after_they_are_rebuilt() {
    let bytes = batch(Compression::Zstd, &[1; 50]);
    let (exact, less) = (bytes.len().to_string(), (bytes.len() - 1).to_string());
    store(&bytes, &config(&[("max.message.bytes", &exact)]), Origin::Client).unwrap();
    store(&bytes, &config(&[("segment.bytes", &exact)]), Origin::Client).unwrap();
    for pairs in [
        vec![("max.message.bytes", less.as_str())],
        vec![("segment.bytes", less.as_str())],
        vec![("max.message.bytes", exact.as_str()), ("compression.type", "uncompressed")],
    ] {
        let error = refusal(&bytes, &config(&pairs), Origin::Client);
        assert_eq!(error.kind(), ErrorKind::BatchTooLarge, "{pairs:?}");
    }
}

#[test]
fn a_compressed_batch_expands_only_so_far() {
    let bytes = batch(Compression::Zstd, &[1; 5000]);
    let (parsed, config) = (RecordBatch::parse(&bytes[..]).unwrap(), LogConfig::default());
    let mut rules = rules(&config, Origin::Client);
    validate(&parsed, &rules).unwrap();
    rules.limits.bytes_max = 10_000;
    assert_eq!(validate(&parsed, &rules).unwrap_err().kind(), ErrorKind::DecompressedTooLarge);
}

#[test]
fn a_leaders_batch_is_stored_whatever_it_is() {
    let odd = with_header(&batch(Compression::None, &[5, 6]), |header| {
        header.attributes = header.attributes.with_delete_horizon(true);
        header.last_offset_delta = 9;
        header.max_timestamp = Timestamp::from_millis(77);
    });
    let config = config(&[("max.message.bytes", "0"), ("message.timestamp.type", "LogAppendTime")]);
    let parsed = RecordBatch::parse(&odd[..]).unwrap();
    let validated = validate(&parsed, &rules(&config, Origin::Replication)).unwrap();
    assert_eq!([&validated.head()[..], validated.section()].concat(), odd);
}

#[test]
fn records_that_break_the_format_are_refused() {
    let good = batch(Compression::None, &[10, 20]);
    for place in HEADER_LEN..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[place] ^= 1 << bit;
            let bytes = with_header(&bytes, |_| {});
            if let Err(error) = store(&bytes, &LogConfig::default(), Origin::Client) {
                let expected = [ErrorKind::InvalidRecord, ErrorKind::InvalidTimestamp];
                assert!(expected.contains(&error.kind()), "byte {place}: {error}");
            }
        }
    }
}
