//! Bad input, inside a batch's records: each is refused by a typed error, and the log stays as it was.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use riverbed::{BatchBuilder, Compression, ErrorKind, InvalidRecordReason as Invalid, Record, Timestamp};
use support::partition::{batch, open};
use support::refused::{BASE_TIMESTAMP, MAX_TIMESTAMP, Refusing, batch_of, good, with};

/// A zigzag varint.
fn varint(value: i64) -> Vec<u8> {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A record with its length in front.
fn record(body: &[u8]) -> Vec<u8> {
    [varint(i64::try_from(body.len()).unwrap()), body.to_vec()].concat()
}

/// What stands in front of a record's key: attributes, timestamp and offset delta.
fn start(delta: i64) -> Vec<u8> {
    [vec![0], varint(0), varint(delta)].concat()
}

/// A record's parts behind `start`: key, value and headers as they stand.
fn parts(delta: i64, rest: &[&[u8]]) -> Vec<u8> {
    record(&[start(delta), rest.concat()].concat())
}

#[test]
fn a_null_key_a_null_value_and_no_header_are_good() {
    let log = Refusing::new("good", &[]);
    log.partition.append(&batch_of(1, &parts(0, &[&varint(-1), &varint(-1), &varint(0)]))).unwrap();
    log.partition.close().unwrap();
}

#[test]
fn varints_are_short_enough_and_whole() {
    let log = Refusing::new("varints", &[]);
    let rest = [varint(-1), varint(-1), varint(0)].concat();
    let long = |len: usize| [vec![0x80; len - 1], vec![0]].concat();
    // The record's length, its offset delta, key, value and number of headers have five bytes at most.
    assert_eq!(log.reason(&batch_of(1, &[long(6), vec![0; 20]].concat())), Invalid::Varint);
    for place in 0..4 {
        let mut fields = [varint(0), varint(-1), varint(-1), varint(0)];
        fields[place] = long(6);
        let body = [vec![0], varint(0), fields.concat()].concat();
        assert_eq!(log.reason(&batch_of(1, &record(&body))), Invalid::Varint, "field {place}");
        fields[place] = vec![0xff, 0xff, 0xff, 0xff, 0x7f];
        let body = [vec![0], varint(0), fields.concat()].concat();
        assert_eq!(log.reason(&batch_of(1, &record(&body))), Invalid::Varint, "field {place} overflows");
    }
    // A timestamp has ten.
    let timed = |time: Vec<u8>| batch_of(1, &record(&[vec![0], time, varint(0), rest.clone()].concat()));
    assert_eq!(log.reason(&timed(long(11))), Invalid::Varint);
    assert_eq!(log.reason(&timed([vec![0xff; 9], vec![0x7f]].concat())), Invalid::Varint);
    for cut in [vec![0x80], vec![0xff, 0xff]] {
        let found = log.reason(&batch_of(1, &cut));
        assert!(matches!(found, Invalid::Varint | Invalid::Length | Invalid::Count), "{found:?}");
    }
    log.end();
}

#[test]
fn a_record_is_as_long_as_it_says() {
    let log = Refusing::new("record-lengths", &[]);
    let good = [start(0), varint(-1), varint(-1), varint(0)].concat();
    for length in [-1, 0, 1, 3, i64::from(i32::MIN), 7, 100, i64::from(i32::MAX)] {
        let found = log.reason(&batch_of(1, &[varint(length), good.clone()].concat()));
        assert!(matches!(found, Invalid::Length | Invalid::Varint | Invalid::Field), "{length}: {found:?}");
    }
    for behind in [1, 100] {
        let found = log.reason(&batch_of(1, &[record(&good), vec![0; behind]].concat()));
        assert!(matches!(found, Invalid::Length | Invalid::Count), "{found:?}");
        assert_eq!(log.reason(&batch_of(1, &record(&[good.clone(), vec![0; behind]].concat()))), Invalid::Length);
    }
    log.end();
}

#[test]
fn keys_values_and_headers_lie_within_their_record() {
    let log = Refusing::new("fields", &[]);
    let none = varint(-1);
    for length in [-2, -100, 1, 100, i64::from(i32::MAX), i64::from(i32::MIN)] {
        let length = varint(length);
        for fields in [[&length, &none, &varint(0)], [&none, &length, &varint(0)]] {
            // One that takes what belongs to the next field leaves that one short.
            let found = log.reason(&batch_of(1, &parts(0, &fields.map(Vec::as_slice))));
            assert!(matches!(found, Invalid::Field | Invalid::Varint), "{fields:?}: {found:?}");
        }
    }
    for count in [-1, 1, 2, 1_000_000, i64::from(i32::MAX)] {
        let found = log.reason(&batch_of(1, &parts(0, &[&none, &none, &varint(count)])));
        assert!(matches!(found, Invalid::Field | Invalid::Varint), "{count}: {found:?}");
    }
    let header = |name: &[u8], value: &[u8]| batch_of(1, &parts(0, &[&none, &none, &varint(1), name, value]));
    assert_eq!(log.reason(&header(&varint(-1), &varint(-1))), Invalid::Field, "a null name");
    assert_eq!(log.reason(&header(&varint(-2), &varint(-1))), Invalid::Field, "a negative name");
    assert_eq!(log.reason(&header(&[2, 0xff], &varint(-1))), Invalid::Field, "a name that is no text");
    assert_eq!(log.reason(&header(&[2, b'n'], &varint(-2))), Invalid::Field, "a negative value");
    assert_eq!(log.reason(&header(&[2, b'n'], &varint(9))), Invalid::Field, "a value beyond the record");
    log.partition.append(&header(&[2, b'n'], &varint(-1))).unwrap();
    log.partition.close().unwrap();
}

#[test]
fn attributes_of_a_record_mean_nothing_yet() {
    let log = Refusing::new("record-attributes", &[]);
    let rest = [varint(0), varint(0), varint(-1), varint(-1), varint(0)].concat();
    for attributes in [1, 0x80, 0xff] {
        // Kafka reads over them, and so do we: they are kept.
        log.partition.append(&batch_of(1, &record(&[vec![attributes], rest.clone()].concat()))).unwrap();
    }
    log.partition.close().unwrap();
}

#[test]
fn offsets_count_up_from_the_first() {
    let log = Refusing::new("deltas", &[]);
    let rest = [varint(-1), varint(-1), varint(0)].concat();
    for deltas in [[0, 2], [1, 2], [1, 0], [0, 0], [0, -1], [0, i64::from(i32::MAX)]] {
        let section: Vec<u8> = deltas.iter().flat_map(|delta| parts(*delta, &[&rest])).collect();
        let found = log.reason(&batch_of(2, &section));
        assert!(matches!(found, Invalid::Offset | Invalid::OffsetRange), "{deltas:?}: {found:?}");
    }
    log.end();
}

#[test]
fn times_are_possible_and_the_largest_is_put_right() {
    let log = Refusing::new("times", &[]);
    assert_eq!(log.refuses(&with(good(), BASE_TIMESTAMP, &(-2_i64).to_be_bytes())).kind(), ErrorKind::InvalidTimestamp);
    assert_eq!(log.refuses(&with(good(), BASE_TIMESTAMP, &i64::MIN.to_be_bytes())).kind(), ErrorKind::InvalidTimestamp);
    assert_eq!(log.refuses(&with(good(), BASE_TIMESTAMP, &i64::MAX.to_be_bytes())).kind(), ErrorKind::InvalidTimestamp);
    let future = i64::MAX / 2;
    assert_eq!(log.refuses(&batch(&[("v", future)])).kind(), ErrorKind::InvalidTimestamp);
    let appended = log.partition.append(&with(good(), MAX_TIMESTAMP, &77_i64.to_be_bytes())).unwrap();
    assert_eq!(appended.max_timestamp, Timestamp::from_millis(2));
    log.partition.close().unwrap();
}

/// The same rules hold for what comes out of a codec.
#[test]
fn compressed_records_are_held_to_the_same() {
    let log = Refusing::new("compressed", &[("cleanup.policy", "compact")]);
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut builder = BatchBuilder::new();
        builder.compression(codec);
        builder.push(&Record::new().value("no key"), Timestamp::from_millis(1)).unwrap();
        assert_eq!(log.reason(builder.finish().unwrap().unwrap()), Invalid::KeyMissing, "{codec}");
    }
    log.end();
}

/// What the builder is handed is checked where it is handed over.
#[test]
fn a_record_without_end_is_refused_before_it_is_built() {
    let dir = support::TestDir::new("endless");
    let partition = open(&dir, &[]);
    let large = vec![7; 1_200_000];
    let refused = partition.append_record(&Record::new().value(large.as_slice())).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BatchTooLarge);
    assert_eq!(partition.append_records([]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    partition.close().unwrap();
}
