use proptest::prelude::*;

use super::*;
use crate::record::vectors::{EMPTY, ONE, THREE, TOMBSTONE, hex};
use crate::record::{DecompressionLimits, RecordBatch};

const T: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn after(millis: i64) -> Timestamp {
    Timestamp::from_millis(T.millis() + millis)
}

#[test]
fn one_record_has_its_known_bytes_both_ways() {
    let record = Record::new().key("k").value("v");
    let now = Timestamp::from_millis(1000);
    let mut builder = BatchBuilder::new();
    builder.leader_epoch(LeaderEpoch::ZERO).push(&record, now).unwrap();
    assert_eq!(builder.finish().unwrap().unwrap(), hex(ONE));

    let mut single = vec![9; 200];
    encode_single(&mut single, &record, now).unwrap();
    crate::record::stamp::stamp(single.first_chunk_mut().unwrap(), Offset::ZERO, LeaderEpoch::ZERO);
    assert_eq!(single, hex(ONE));
}

#[test]
fn an_idempotent_batch_with_headers_and_nulls_has_its_known_bytes() {
    let mut builder = BatchBuilder::new();
    builder.base_offset(Offset::new(5)).leader_epoch(LeaderEpoch::new(3)).producer(
        ProducerId::new(4000),
        ProducerEpoch::new(1),
        Sequence::new(7),
    );
    builder.push(&Record::new().key("a").value("1"), T).unwrap();
    let with_headers = Record::new().value("22").header("h", "x").header("n", None::<&str>);
    builder.push(&with_headers.timestamp(after(5)), T).unwrap();
    builder.push(&Record::new().key("a").timestamp(after(-3)), T).unwrap();
    assert_eq!((builder.record_count(), builder.size()), (3, 94));
    assert_eq!(builder.finish().unwrap().unwrap(), hex(THREE));
}

#[test]
fn a_tombstone_with_a_delete_horizon_has_its_known_bytes() {
    let mut builder = BatchBuilder::new();
    builder.base_offset(Offset::new(30)).leader_epoch(LeaderEpoch::new(4)).delete_horizon(Some(after(86_400_000)));
    builder.push(&Record::new().key("a"), T).unwrap();
    assert_eq!(builder.finish().unwrap().unwrap(), hex(TOMBSTONE));
}

#[test]
fn a_header_alone_has_its_known_bytes() {
    let mut bytes = vec![0; HEADER_LEN];
    encode::seal(&mut bytes, *RecordBatch::parse(hex(EMPTY)).unwrap().header());
    assert_eq!(bytes, hex(EMPTY));
}

#[test]
fn records_copied_one_by_one_give_the_same_batch() {
    for vector in [ONE, THREE, TOMBSTONE] {
        let batch = RecordBatch::parse(hex(vector)).unwrap();
        let header = batch.header();
        let mut builder = BatchBuilder::new();
        builder
            .base_offset(header.base_offset)
            .leader_epoch(header.leader_epoch)
            .producer(header.producer_id, header.producer_epoch, header.base_sequence)
            .delete_horizon(header.delete_horizon());
        for record in batch.payload(&DecompressionLimits::default()).unwrap().records() {
            builder.push_view(&record.unwrap()).unwrap();
        }
        assert_eq!(builder.finish().unwrap().unwrap(), batch.bytes());
    }
}

#[test]
fn offsets_survive_where_records_are_dropped() {
    let batch = RecordBatch::parse(hex(THREE)).unwrap();
    let payload = batch.payload(&DecompressionLimits::default()).unwrap();
    let middle = payload.records().nth(1).unwrap().unwrap();
    let mut builder = BatchBuilder::new();
    builder.base_offset(Offset::new(5)).last_offset(Some(Offset::new(7))).push_view(&middle).unwrap();
    let thinned = RecordBatch::parse(builder.finish().unwrap().unwrap()).unwrap();
    assert_eq!((thinned.base_offset().get(), thinned.last_offset().get(), thinned.record_count()), (5, 7, 1));
    let payload = thinned.payload(&DecompressionLimits::default()).unwrap();
    assert_eq!(payload.records().next().unwrap().unwrap().offset().get(), 6);

    let mut builder = BatchBuilder::new();
    builder.base_offset(Offset::new(7));
    assert_eq!(builder.push_view(&middle).unwrap_err().invalid_record_reason(), Some(InvalidRecordReason::Offset));
    builder.base_offset(Offset::new(5)).push_view(&middle).unwrap();
    assert_eq!(builder.push_view(&middle).unwrap_err().invalid_record_reason(), Some(InvalidRecordReason::Offset));
    builder.last_offset(Some(Offset::new(5)));
    assert_eq!(builder.finish().unwrap_err().invalid_record_reason(), Some(InvalidRecordReason::OffsetRange));
}

#[test]
fn a_builder_is_used_again() {
    let mut builder = BatchBuilder::new();
    assert_eq!(builder.finish().unwrap(), None);
    let record = Record::new().value("v");
    for round in 1..4 {
        for _ in 0..round {
            builder.push(&record, T).unwrap();
        }
        let batch = RecordBatch::parse(builder.finish().unwrap().unwrap()).unwrap();
        assert_eq!((batch.record_count(), batch.last_offset().get()), (round, round as u64 - 1));
        assert!(builder.is_empty());
        assert_eq!(builder.size(), HEADER_LEN);
    }
    builder.push(&record, T).unwrap();
    builder.clear();
    assert_eq!(builder.finish().unwrap(), None);
}

#[test]
fn the_time_of_the_append_stands_for_all() {
    let mut builder = BatchBuilder::new();
    builder.append_time(Some(after(50))).push(&Record::new().value("v"), T).unwrap();
    let batch = RecordBatch::parse(builder.finish().unwrap().unwrap()).unwrap();
    assert_eq!(batch.attributes().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!((batch.max_timestamp(), batch.header().base_timestamp), (after(50), T));
}

#[test]
fn times_that_cannot_be_stored_are_refused_and_change_nothing() {
    let mut builder = BatchBuilder::new();
    let at = |millis| Record::new().value("v").timestamp(Timestamp::from_millis(millis));
    let mut single = Vec::new();
    assert_eq!(encode_single(&mut single, &at(-2), T).unwrap_err().kind(), ErrorKind::InvalidTimestamp);
    assert_eq!(builder.push(&at(-2), T).unwrap_err().kind(), ErrorKind::InvalidTimestamp);
    builder.push(&at(-1), T).unwrap();
    assert_eq!(builder.push(&at(i64::MAX), T).unwrap_err().kind(), ErrorKind::InvalidTimestamp);
    builder.push(&at(i64::MAX - 1), T).unwrap();
    let batch = RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap();
    assert_eq!((batch.record_count(), batch.max_timestamp().millis()), (2, i64::MAX - 1));
    builder.push(&at(-1), T).unwrap();
    let batch = RecordBatch::parse(builder.finish().unwrap().unwrap()).unwrap();
    assert_eq!(batch.max_timestamp(), Timestamp::NONE, "nothing is left of the batch before");
}

#[test]
fn producers_must_be_whole() {
    let (id, epoch, sequence) = (ProducerId::new(1), ProducerEpoch::new(0), Sequence::ZERO);
    let table = [
        (ProducerId::NONE, ProducerEpoch::NONE, Sequence::NONE, true, Some(InvalidRecordReason::ProducerId)),
        (id, ProducerEpoch::NONE, sequence, false, Some(InvalidRecordReason::ProducerId)),
        (id, epoch, Sequence::NONE, false, Some(InvalidRecordReason::Sequence)),
        (id, epoch, sequence, true, None),
        (ProducerId::NONE, ProducerEpoch::NONE, Sequence::ZERO, false, None),
    ];
    for (id, epoch, sequence, transactional, reason) in table {
        let mut builder = BatchBuilder::new();
        builder.producer(id, epoch, sequence).transactional(transactional);
        builder.push(&Record::new(), T).unwrap();
        let finished = builder.finish().map(|batch| batch.map(<[u8]>::len));
        assert_eq!(finished.err().and_then(|error| error.invalid_record_reason()), reason);
    }
}

type Plain = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>, i64);

fn plain() -> impl Strategy<Value = Plain> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200));
    let headers = proptest::collection::vec((".{0,5}", bytes()), 0..4);
    (bytes(), bytes(), headers, -1..i64::MAX / 2)
}

fn record_of((key, value, headers, time): &Plain) -> Record<'_> {
    let record = Record::new().key(key.as_ref()).value(value.as_ref()).timestamp(Timestamp::from_millis(*time));
    headers.iter().fold(record, |record, (name, value)| record.header(name, value.as_ref()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_pushed_is_read_back(plain in proptest::collection::vec(plain(), 1..20), base in 0..u64::MAX / 4) {
        let mut builder = BatchBuilder::new();
        builder.base_offset(Offset::new(base));
        for plain in &plain {
            let record = record_of(plain);
            let bound = builder.size_with(&record);
            builder.push(&record, T).unwrap();
            prop_assert!(builder.size() <= bound);
        }
        let size = builder.size();
        let bytes = builder.finish().unwrap().unwrap();
        prop_assert_eq!(bytes.len(), size);
        let batch = RecordBatch::parse(bytes).unwrap();
        let payload = batch.payload(&DecompressionLimits::default()).unwrap();
        let mut views = payload.records();
        for (index, plain) in plain.iter().enumerate() {
            let view = views.next().unwrap().unwrap();
            prop_assert_eq!(view.offset().get(), base + index as u64);
            let headers = view.headers().map(|h| (h.name.to_owned(), h.value.map(<[u8]>::to_vec))).collect();
            let read = (view.key().map(<[u8]>::to_vec), view.value().map(<[u8]>::to_vec), headers);
            let read: Plain = (read.0, read.1, read.2, view.timestamp().millis());
            prop_assert_eq!(&read, plain);
        }
        prop_assert!(views.next().is_none());
        let latest = plain.iter().map(|plain| plain.3).max();
        prop_assert_eq!(Some(batch.max_timestamp().millis()), latest);
    }

    #[test]
    fn a_batch_of_one_is_the_same_by_both_ways(plain in plain()) {
        let record = record_of(&plain);
        let mut builder = BatchBuilder::new();
        builder.push(&record, T).unwrap();
        let mut single = Vec::new();
        let header = encode_single(&mut single, &record, T).unwrap();
        prop_assert_eq!(&single[..], builder.finish().unwrap().unwrap());
        prop_assert_eq!(header, BatchHeader::parse(&single).unwrap());
    }
}
