use proptest::prelude::*;

use super::*;
use crate::error::{ErrorKind, InvalidRecordReason};
use crate::record::batch_header::{
    ATTRIBUTES, BASE_OFFSET, BASE_TIMESTAMP, BATCH_LENGTH, CRC, LAST_OFFSET_DELTA, LEADER_EPOCH, MAGIC, MAX_TIMESTAMP,
    RECORD_COUNT,
};
use crate::record::vectors::{ALL, COMMIT, EMPTY, ONE, THREE, TOMBSTONE, hex};
use crate::record::{Batches, RecordView};
use crate::types::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence, TimestampType};

const NO_LIMITS: DecompressionLimits = DecompressionLimits { bytes_max: usize::MAX, ratio_max: usize::MAX };

fn records<'a>(payload: &'a Payload<'_>) -> Vec<RecordView<'a>> {
    payload.records().collect::<Result<_>>().unwrap()
}

/// Stores the checksum that fits the rest.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[CRC].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A batch of `count` records whose section is `section`, with the header of vector [`ONE`] otherwise.
fn batch_of(count: i32, section: &[u8]) -> Vec<u8> {
    let mut bytes = [&hex(ONE)[..HEADER_LEN], section].concat();
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[BATCH_LENGTH].copy_from_slice(&length.to_be_bytes());
    bytes[RECORD_COUNT].copy_from_slice(&count.to_be_bytes());
    bytes[LAST_OFFSET_DELTA].copy_from_slice(&count.saturating_sub(1).max(0).to_be_bytes());
    seal(bytes)
}

fn with(vector: &str, place: std::ops::Range<usize>, field: &[u8]) -> Vec<u8> {
    let mut bytes = hex(vector);
    bytes[place].copy_from_slice(field);
    seal(bytes)
}

fn read_error(bytes: &[u8]) -> Error {
    let read = || {
        let batch = RecordBatch::parse(bytes)?;
        let payload = batch.payload(&DecompressionLimits::default())?;
        payload.records().try_for_each(|record| record.map(drop))
    };
    read().unwrap_err()
}

#[test]
fn one_record_reads_as_written() {
    let batch = RecordBatch::parse(hex(ONE)).unwrap();
    assert_eq!((batch.base_offset().get(), batch.next_offset().get(), batch.size()), (0, 1, 70));
    assert_eq!(batch.header().crc, 0x716A_6189);
    let payload = batch.payload(&NO_LIMITS).unwrap();
    let [record] = records(&payload)[..] else { panic!("one record") };
    assert_eq!((record.key(), record.value()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!((record.offset(), record.timestamp().millis()), (Offset::ZERO, 1000));
    assert_eq!(record.sequence(), Sequence::NONE);
    assert_eq!(record.headers().len(), 0);
}

#[test]
fn an_idempotent_batch_with_headers_and_nulls_reads_as_written() {
    let batch = RecordBatch::parse(hex(THREE)).unwrap();
    let header = batch.header();
    assert_eq!(header.leader_epoch, LeaderEpoch::new(3));
    assert_eq!((header.producer_id, header.producer_epoch), (ProducerId::new(4000), ProducerEpoch::new(1)));
    assert_eq!((header.base_sequence, header.last_sequence()), (Sequence::new(7), Sequence::new(9)));
    let payload = batch.payload(&NO_LIMITS).unwrap();
    let records = records(&payload);
    let seen: Vec<_> = records.iter().map(|r| (r.offset().get(), r.sequence().get(), r.key(), r.value())).collect();
    let (a, one, two): (&[u8], &[u8], &[u8]) = (b"a", b"1", b"22");
    assert_eq!(seen, [(5, 7, Some(a), Some(one)), (6, 8, None, Some(two)), (7, 9, Some(a), None)]);
    let times: Vec<_> = records.iter().map(|record| record.timestamp().millis() - 1_700_000_000_000).collect();
    assert_eq!(times, [0, 5, -3]);
    let headers: Vec<_> = records[1].headers().map(|header| (header.name, header.value)).collect();
    assert_eq!(headers, [("h", Some(&b"x"[..])), ("n", None)]);
}

#[test]
fn the_documented_example_is_this_batch() {
    assert_eq!(crate::record::vectors::documented("batch"), hex(THREE));
}

#[test]
fn markers_empty_batches_and_delete_horizons_read_as_written() {
    let commit = RecordBatch::parse(hex(COMMIT)).unwrap();
    assert!(commit.attributes().is_control() && commit.attributes().is_transactional());
    assert_eq!(records(&commit.payload(&NO_LIMITS).unwrap())[0].key(), Some(&[0, 0, 0, 1][..]));

    let empty = RecordBatch::parse(hex(EMPTY)).unwrap();
    assert_eq!((empty.base_offset().get(), empty.last_offset().get(), empty.record_count()), (20, 24, 0));
    assert_eq!(empty.header().last_sequence(), Sequence::new(11));
    assert_eq!(empty.payload(&NO_LIMITS).unwrap().records().count(), 0);

    let tombstone = RecordBatch::parse(hex(TOMBSTONE)).unwrap();
    assert_eq!(tombstone.header().delete_horizon(), Some(Timestamp::from_millis(1_700_086_400_000)));
    let payload = tombstone.payload(&NO_LIMITS).unwrap();
    let record = records(&payload)[0];
    assert_eq!((record.value(), record.timestamp().millis()), (None, 1_700_000_000_000));
}

#[test]
fn headers_encode_to_the_bytes_they_were_parsed_from() {
    for vector in ALL {
        let bytes = hex(vector);
        assert_eq!(BatchHeader::parse(&bytes).unwrap().encode()[..], bytes[..HEADER_LEN]);
    }
}

#[test]
fn every_flipped_bit_is_noticed_except_in_base_offset_and_epoch() {
    for vector in ALL {
        let good = hex(vector);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Outside of the checksum; the sign of the base offset is never set.
            let unseen = LEADER_EPOCH.contains(&(bit / 8)) || (BASE_OFFSET.contains(&(bit / 8)) && bit != 7);
            assert_eq!(RecordBatch::parse(&bad).is_ok(), unseen, "bit {bit}");
        }
    }
}

#[test]
fn every_cut_and_every_byte_too_many_is_noticed() {
    let good = hex(THREE);
    for len in 0..good.len() {
        let error = RecordBatch::parse(&good[..len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{len} bytes");
    }
    let long = [&good[..], &[0]].concat();
    let reason = CorruptionReason::Trailing { expected: 94, found: 95 };
    assert_eq!(RecordBatch::parse(&long).unwrap_err().corruption().unwrap().reason, reason);
}

#[test]
fn a_map_that_lost_a_page_fails_the_check() {
    let header = *RecordBatch::parse(hex(ONE)).unwrap().header();
    assert!(RecordBatch::trusted(header, hex(ONE)).check().is_ok());
    assert_eq!(RecordBatch::trusted(header, vec![0; 70]).check().unwrap_err().kind(), ErrorKind::Corruption);
}

#[test]
fn with_append_time_every_record_has_the_largest_timestamp() {
    let bits = Attributes::default().with_timestamp_type(TimestampType::LogAppendTime).bits();
    let bytes = with(THREE, ATTRIBUTES, &bits.to_be_bytes());
    let batch = RecordBatch::parse(bytes).unwrap();
    let payload = batch.payload(&NO_LIMITS).unwrap();
    assert!(records(&payload).iter().all(|record| record.timestamp() == batch.max_timestamp()));
}

#[test]
fn sequences_wrap_within_a_batch() {
    let place = crate::record::batch_header::BASE_SEQUENCE;
    let batch = RecordBatch::parse(with(THREE, place, &(i32::MAX - 1).to_be_bytes())).unwrap();
    let payload = batch.payload(&NO_LIMITS).unwrap();
    let sequences: Vec<_> = records(&payload).iter().map(|record| record.sequence().get()).collect();
    assert_eq!(sequences, [i32::MAX - 1, i32::MAX, 0]);
}

#[test]
fn headers_that_cannot_be_have_their_typed_error() {
    let table: [(Vec<u8>, ErrorKind); 12] = [
        (with(ONE, MAGIC, &[0]), ErrorKind::UnsupportedMagic),
        (with(ONE, MAGIC, &[1]), ErrorKind::UnsupportedMagic),
        (with(ONE, MAGIC, &[3]), ErrorKind::UnsupportedMagic),
        (with(ONE, MAGIC, &[0xff]), ErrorKind::UnsupportedMagic),
        (with(ONE, BATCH_LENGTH, &48i32.to_be_bytes()), ErrorKind::Corruption),
        (with(ONE, BATCH_LENGTH, &(-1i32).to_be_bytes()), ErrorKind::Corruption),
        (with(ONE, BATCH_LENGTH, &i32::MAX.to_be_bytes()), ErrorKind::Corruption),
        (with(ONE, BASE_OFFSET, &(-1i64).to_be_bytes()), ErrorKind::Corruption),
        (with(ONE, BASE_OFFSET, &i64::MAX.to_be_bytes()), ErrorKind::InvalidRecord),
        (with(ONE, RECORD_COUNT, &(-1i32).to_be_bytes()), ErrorKind::InvalidRecord),
        (with(ONE, LAST_OFFSET_DELTA, &(-1i32).to_be_bytes()), ErrorKind::InvalidRecord),
        (with(ONE, BASE_TIMESTAMP, &(-2i64).to_be_bytes()), ErrorKind::InvalidTimestamp),
    ];
    for (index, (bytes, kind)) in table.iter().enumerate() {
        assert_eq!(read_error(bytes).kind(), *kind, "row {index}");
    }
    for codec in 5..=7u8 {
        let bytes = with(ONE, ATTRIBUTES, &i16::from(codec).to_be_bytes());
        assert_eq!(read_error(&bytes).kind(), ErrorKind::UnsupportedCompression);
    }
}

/// The time of an append is the largest timestamp in the header, and was handed out whatever it was: times before −1,
/// which the quick walk over the records took for none.
#[test]
fn an_append_time_before_all_times_is_refused() {
    let by_append = |time: i64| {
        let mut bytes = with(ONE, ATTRIBUTES, &[0, 8]);
        bytes[MAX_TIMESTAMP].copy_from_slice(&time.to_be_bytes());
        seal(bytes)
    };
    assert_eq!(read_error(&by_append(-2)).kind(), ErrorKind::InvalidTimestamp);
    let batch = RecordBatch::parse(by_append(-1)).unwrap();
    let payload = batch.payload(&NO_LIMITS).unwrap();
    assert_eq!(payload.records().next().unwrap().unwrap().timestamp(), Timestamp::NONE);
}

#[test]
fn records_that_break_a_rule_have_their_reason() {
    use InvalidRecordReason as R;
    let far = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    // length, attributes, timestamp delta, offset delta, key length, value length, header count
    let table: Vec<(&str, i32, Vec<u8>, R)> = vec![
        ("no record, but bytes", 0, vec![12, 0, 0, 0, 1, 1, 0], R::Count),
        ("more records than bytes allow", 2, vec![12, 0, 0, 0, 1, 1, 0], R::Count),
        ("the most records", i32::MAX, vec![12, 0, 0, 0, 1, 1, 0], R::Count),
        ("fewer records than stated", 2, vec![26, 0, 0, 0, 1, 14, 1, 2, 3, 4, 5, 6, 7, 0], R::Count),
        ("more records than stated", 1, vec![12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0], R::Count),
        ("length 0", 1, vec![0, 0, 0, 0, 1, 1, 0], R::Length),
        ("negative length", 1, vec![1, 0, 0, 0, 1, 1, 0], R::Length),
        ("length beyond the batch", 1, vec![14, 0, 0, 0, 1, 1, 0], R::Length),
        ("a huge length", 1, [&far[..], &[0, 0, 0, 1, 1, 0]].concat(), R::Length),
        ("bytes left over in the record", 1, vec![14, 0, 0, 0, 1, 1, 0, 9], R::Length),
        ("length too short for the fields", 1, vec![10, 0, 0, 0, 1, 1, 0], R::Varint),
        ("length that does not fit", 1, vec![0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 1, 1, 0], R::Varint),
        ("length of six bytes", 1, vec![0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0], R::Varint),
        ("timestamp delta of eleven bytes", 1, [&[32, 0][..], &[0x80; 10], &[0, 0, 1, 1, 0]].concat(), R::Varint),
        ("a varint cut off by the end", 1, vec![12, 0, 0, 0, 1, 1, 0x80], R::Varint),
        ("key length -2", 1, vec![12, 0, 0, 0, 3, 1, 0], R::Field),
        ("key beyond the record", 1, vec![12, 0, 0, 0, 6, 1, 0], R::Field),
        ("value length -2", 1, vec![12, 0, 0, 0, 1, 3, 0], R::Field),
        ("value beyond the record", 1, vec![12, 0, 0, 0, 1, 4, 0], R::Field),
        ("value takes the header count", 1, vec![12, 0, 0, 0, 1, 2, 0], R::Varint),
        ("negative header count", 1, vec![12, 0, 0, 0, 1, 1, 1], R::Field),
        ("more headers than bytes", 1, vec![16, 0, 0, 0, 1, 1, 6, 0, 1], R::Field),
        ("null header name", 1, vec![16, 0, 0, 0, 1, 1, 2, 1, 1], R::Field),
        ("header name beyond the record", 1, vec![16, 0, 0, 0, 1, 1, 2, 4, 1], R::Field),
        ("header name not UTF-8", 1, vec![18, 0, 0, 0, 1, 1, 2, 2, 0xff, 1], R::Field),
        ("header value length -2", 1, vec![16, 0, 0, 0, 1, 1, 2, 0, 3], R::Field),
        ("header value beyond the record", 1, vec![16, 0, 0, 0, 1, 1, 2, 0, 2], R::Field),
        ("bytes behind the headers", 1, vec![18, 0, 0, 0, 1, 1, 2, 0, 1, 0], R::Length),
        ("offset delta beyond the last", 1, vec![12, 0, 0, 2, 1, 1, 0], R::Offset),
        ("negative offset delta", 1, vec![12, 0, 0, 1, 1, 1, 0], R::Offset),
        ("the same offset twice", 2, vec![12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 0, 1, 1, 0], R::Offset),
        ("offsets that go back", 2, vec![12, 0, 0, 2, 1, 1, 0, 12, 0, 0, 0, 1, 1, 0], R::Offset),
    ];
    for (what, count, section, reason) in table {
        let error = read_error(&batch_of(count, &section));
        assert_eq!(error.invalid_record_reason(), Some(reason), "{what}: {error}");
    }
    assert!(RecordBatch::parse(batch_of(1, &[12, 0, 0, 0, 1, 1, 0])).unwrap().payload(&NO_LIMITS).is_ok());
}

#[test]
fn timestamps_that_overflow_or_lie_before_all_time_are_refused() {
    let mut section = vec![0u8];
    section.extend([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]); // the largest delta
    section.extend([0, 1, 1, 0]);
    section.insert(0, 30);
    assert_eq!(read_error(&batch_of(1, &section)).kind(), ErrorKind::InvalidTimestamp);
    let before = batch_of(1, &[14, 0, 0xd3, 0x0f, 0, 1, 1, 0]); // 1000 - 1002
    assert_eq!(read_error(&before).kind(), ErrorKind::InvalidTimestamp);
    let none = batch_of(1, &[14, 0, 0xd1, 0x0f, 0, 1, 1, 0]); // 1000 - 1001
    let batch = RecordBatch::parse(none).unwrap();
    assert_eq!(records(&batch.payload(&NO_LIMITS).unwrap())[0].timestamp(), Timestamp::NONE);
}

#[test]
fn nothing_comes_after_an_error() {
    let batch = RecordBatch::parse(batch_of(2, &[12, 0, 0, 1, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0])).unwrap();
    let payload = batch.payload(&NO_LIMITS).unwrap();
    let mut records = payload.records();
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
}

#[test]
fn a_walk_tells_the_end_from_a_tear_and_from_damage() {
    let all: Vec<u8> = ALL.iter().flat_map(|vector| hex(vector)).collect();
    let positions = [0, 70, 164, 242, 303];
    let walk = |bytes: &[u8]| Batches::new(bytes).map(|(at, batch)| (at, batch.map(drop))).collect::<Vec<_>>();
    let whole = walk(&all);
    assert_eq!(whole.iter().map(|(at, _)| *at).collect::<Vec<_>>(), positions);
    assert!(whole.iter().all(|(_, batch)| batch.is_ok()));

    let room = [&all[..], &[0; 500]].concat();
    assert_eq!(walk(&room).len(), 5, "zeros are the end");
    assert_eq!(walk(&[&all[..], &[0; 5]].concat()).len(), 5, "few zeros too");

    assert_eq!(walk(&all[..310]).len(), 4, "a base offset's first bytes are zeros too");
    for cut in 311..all.len() {
        let (at, error) = walk(&all[..cut]).pop().unwrap();
        let corruption = error.unwrap_err().corruption().cloned().unwrap();
        assert_eq!((at, corruption.position), (303, 303), "cut at {cut}");
        assert!(matches!(corruption.reason, CorruptionReason::Truncated { .. }), "cut at {cut}");
    }

    let mut flipped = all.clone();
    flipped[160] ^= 1;
    let seen = walk(&flipped);
    assert_eq!(seen.len(), 5, "a wrong checksum does not hide what follows");
    let corruption = seen[1].1.as_ref().unwrap_err().corruption().unwrap();
    assert_eq!(corruption.position, 70);

    let garbage = [&all[..70], &[0xf7; 100]].concat();
    let seen = walk(&garbage);
    assert_eq!((seen.len(), seen[1].0), (2, 70));
    assert_eq!(seen[1].1.as_ref().unwrap_err().kind(), ErrorKind::Corruption, "no base offset is negative");
}

#[test]
fn a_huge_timestamp_is_no_reason_to_refuse_a_batch() {
    let bytes = with(ONE, MAX_TIMESTAMP, &i64::MAX.to_be_bytes());
    assert_eq!(RecordBatch::parse(bytes).unwrap().max_timestamp().millis(), i64::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_batch_with_a_right_checksum_reads_or_fails_without_a_panic(
        header in proptest::array::uniform32(any::<u8>()),
        place in 0..61usize,
        section in proptest::collection::vec(0..26u8, 0..60),
        count in 0..9i32,
    ) {
        let mut bytes = batch_of(count, &section);
        let end = HEADER_LEN.min(place + 4);
        bytes[place..end].copy_from_slice(&header[..end - place]);
        read_to_the_end(&bytes);
        read_to_the_end(&seal(bytes));
    }

    #[test]
    fn any_bytes_are_walked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let found = Batches::new(&bytes).count();
        prop_assert!(found <= 1 + bytes.len() / HEADER_LEN);
    }
}

/// Does all that can be done with a batch, whatever comes of it.
fn read_to_the_end(bytes: &[u8]) {
    let limits = DecompressionLimits { bytes_max: 1 << 16, ratio_max: 100 };
    let Ok(batch) = RecordBatch::parse(bytes) else { return };
    let _ = (batch.next_offset(), batch.header().last_sequence(), batch.header().offset_count());
    let Ok(payload) = batch.payload(&limits) else { return };
    for record in payload.records().chain(payload.renumbered_records()).flatten() {
        let _ = crate::record::ControlRecord::parse(&record);
        assert_eq!(record.headers().count(), record.headers().len());
    }
}
