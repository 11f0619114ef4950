//! Appends: what a leader assigns and refuses, what a follower keeps.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use riverbed::{
    BatchBuilder, Compression, CorruptionReason, ErrorKind, LeaderEpoch, Offset, ReadUpTo, Record, Timestamp,
};
use support::TestDir;
use support::partition::{append, bases, batch, compressed, counted, fill, from_producer, open, range, stored, values};

/// APP-01, APP-02.
#[test]
fn a_leader_gives_consecutive_offsets_whatever_the_codec() {
    let dir = TestDir::new("consecutive");
    let partition = open(&dir, &[("compression.type", "producer")]);
    let three = [("a", 1), ("b", 2), ("c", 3)];
    let mut expected = 0;
    for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let appended = partition.append(&compressed(codec, &three)).unwrap();
        assert_eq!(range(&appended), (expected, expected + 2), "{codec}");
        expected += 3;
        let (_, marks) = partition.offsets();
        assert_eq!((marks.end.get(), marks.durable.get()), (expected, 0));
    }
    assert_eq!(values(&partition, 0).len(), 15);
    partition.close().unwrap();
}

/// APP-09, APP-11: and nothing was written.
#[test]
fn a_leader_refuses_what_is_too_large() {
    let dir = TestDir::new("too-large");
    for settings in [
        [("max.message.bytes", "200"), ("segment.bytes", "1000")],
        [("segment.bytes", "200"), ("max.message.bytes", "1000")],
    ] {
        let partition = open(&dir, &settings);
        let (_, before) = partition.offsets();
        let error = partition.append(&batch(&[(&"x".repeat(300), 1)])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BatchTooLarge, "{error}");
        assert_eq!(partition.offsets().1.end, before.end);
        append(&partition, "small", 1);
        partition.close().unwrap();
    }
}

/// APP-10.
#[test]
fn a_follower_takes_what_its_leader_took() {
    let dir = TestDir::new("follower-large");
    let partition = open(&dir, &[("max.message.bytes", "200")]);
    let large = "x".repeat(300);
    partition.append_as_follower(&stored(0, 0, &[(&large, 1)])).unwrap();
    assert_eq!(values(&partition, 0), [(0, large)]);
    partition.close().unwrap();
}

/// APP-05, READ-02, READ-03.
#[test]
fn a_follower_keeps_offsets_with_gaps() {
    let dir = TestDir::scratch("gaps");
    let partition = open(&dir, &[]);
    partition.append_as_follower(&stored(5, 1, &[("five", 50)])).unwrap();
    partition.append_as_follower(&[stored(9, 1, &[("nine", 90)]), stored(20, 2, &[("twenty", 200)])].concat()).unwrap();
    partition.roll().unwrap();
    partition.append_as_follower(&stored(30, 2, &[("thirty", 300)])).unwrap();
    let expected = [(5, "five"), (9, "nine"), (20, "twenty"), (30, "thirty")].map(|(n, v)| (n, v.to_string()));
    assert_eq!(values(&partition, 5), expected);
    assert_eq!(values(&partition, 6), expected[1..]);
    assert_eq!(values(&partition, 21), expected[3..], "the gap between two segments reads the next one");
    assert_eq!(partition.offsets().1.end.get(), 31);
    partition.close().unwrap();
}

/// APP-06, APP-07, APP-08.
#[test]
fn a_follower_refuses_what_does_not_follow() {
    let dir = TestDir::new("does-not-follow");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    for (what, bytes, appended) in [
        ("below the log end", stored(1, 0, &[("x", 1)]), 3),
        ("the second before the first", [stored(3, 0, &[("v3", 30)]), stored(2, 0, &[("x", 1)])].concat(), 4),
        ("an older epoch", stored(4, -1, &[("x", 1)]), 4),
    ] {
        let error = partition.append_as_follower(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{what}");
        assert_eq!(partition.offsets().1.end.get(), appended, "{what}");
    }
    let below = partition.append_as_follower(&stored(1, 0, &[("x", 1), ("y", 1)])).unwrap_err();
    let reason = below.corruption().unwrap().reason.clone();
    assert_eq!(reason, CorruptionReason::BaseOffset { expected: 4, found: 1 });
    assert_eq!(values(&partition, 0), counted(0, 4));
    partition.reset_to(Offset::new(10)).unwrap();
    for codec in [Compression::None, Compression::Lz4] {
        let mut bytes = compressed(codec, &[("below the start", 1)]);
        bytes[7] = 9;
        bytes[12..16].fill(0);
        assert_eq!(partition.append_as_follower(&bytes).unwrap_err().kind(), ErrorKind::Corruption, "{codec}");
        assert_eq!(partition.offsets().1.end.get(), 10, "{codec}");
    }
    partition.close().unwrap();
}

/// APP-12, APP-13, VAL-21.
#[test]
fn a_compacted_topic_wants_keys_and_takes_null_values() {
    let dir = TestDir::new("keys");
    let partition = open(&dir, &[("cleanup.policy", "compact")]);
    let time = Timestamp::from_millis(1);
    let (keyed, keyless) = (Record::new().key("k").value("v"), Record::new().value("v"));
    for codec in [Compression::None, Compression::Zstd] {
        for records in [vec![&keyless], vec![&keyed, &keyless]] {
            let mut builder = BatchBuilder::new();
            builder.compression(codec);
            for record in records {
                builder.push(record, time).unwrap();
            }
            let error = partition.append(builder.finish().unwrap().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRecord, "{codec}: {error}");
        }
    }
    assert_eq!(partition.offsets().1.end, Offset::ZERO);
    partition.append_record(&keyed).unwrap();
    partition.append_record(&Record::new().key("k")).unwrap();
    assert_eq!(values(&partition, 0), [(0, "v".to_string()), (1, "null".to_string())]);
    partition.close().unwrap();
}

/// APP-14, VAL-17.
#[test]
fn a_record_may_have_no_time() {
    let dir = TestDir::new("no-time");
    let partition = open(&dir, &[]);
    append(&partition, "timeless", -1);
    let fetched = partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(100)).unwrap();
    assert_eq!(fetched.batches().next().unwrap().max_timestamp(), Timestamp::NONE);
    assert_eq!(partition.offset_for_time(Timestamp::from_millis(0), ReadUpTo::Written).unwrap(), None);
    partition.close().unwrap();
}

/// APP-15.
#[test]
fn a_followers_records_are_found_by_time() {
    let dir = TestDir::new("follower-time");
    let partition = open(&dir, &[("index.interval.bytes", "1")]);
    for n in 0..20 {
        partition.append_as_follower(&stored(n, 0, &[("x", n as i64 * 10)])).unwrap();
    }
    for check in 0..2 {
        let found = partition.offset_for_time(Timestamp::from_millis(95), ReadUpTo::Written).unwrap().unwrap();
        assert_eq!((found.offset.get(), found.timestamp.millis()), (10, 100), "look-up {check}");
        partition.roll().unwrap();
    }
    partition.close().unwrap();
    let index = std::fs::read(dir.join("orders-0/00000000000000000000.timeindex")).unwrap();
    assert!(index.len() >= 12 * 15, "{} bytes of time index", index.len());
}

/// APP-21, VAL-26.
#[test]
fn a_leader_stamps_its_epoch_and_a_follower_learns_it() {
    let dir = TestDir::new("epochs");
    let partition = open(&dir, &[]);
    append(&partition, "of nobody", 1);
    partition.append_as_follower(&stored(1, 7, &[("of the seventh", 2)])).unwrap();
    append(&partition, "of the seventh again", 3);
    partition.append(&compressed(Compression::Lz4, &[("compressed", 4)])).unwrap();
    let fetched = partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(10_000)).unwrap();
    let epochs: Vec<_> = fetched.batches().map(|batch| batch.header().leader_epoch).collect();
    assert_eq!(epochs, [0, 7, 7, 7].map(LeaderEpoch::new));
    partition.close().unwrap();
    let file = std::fs::read_to_string(dir.join("orders-0/leader-epoch-checkpoint")).unwrap();
    assert_eq!(file, "0\n2\n0 0\n7 1\n");
}

/// APP-04: what a leader appends has the epoch that was begun, whatever the batch says; and epochs only grow.
#[test]
fn a_leader_writes_in_the_epoch_that_was_begun_and_no_other() {
    let dir = TestDir::new("begun");
    let partition = open(&dir, &[]);
    let log = partition.log();
    for (offset, epoch) in [(0, 3), (1, 8)] {
        partition.begin_epoch(LeaderEpoch::new(epoch)).unwrap();
        for older in [epoch, epoch - 1, -1] {
            assert_eq!(partition.begin_epoch(LeaderEpoch::new(older)).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        partition.append(&stored(0, 5, &[("of another leader", 1)])).unwrap();
        let fetched = partition.fetch(Offset::new(offset), riverbed::FetchLimit::bytes(1)).unwrap();
        let batch = fetched.batches().next().unwrap();
        assert_eq!((batch.base_offset().get(), batch.header().leader_epoch), (offset, LeaderEpoch::new(epoch)));
        assert_eq!(log.epoch_at(Offset::new(offset)).unwrap(), Some(LeaderEpoch::new(epoch)));
    }
    partition.close().unwrap();
}

/// APP-23, APP-24.
#[test]
fn a_closed_handle_answers_closed_and_closes_again() {
    let dir = TestDir::new("closed");
    let partition = open(&dir, &[]);
    fill(&partition, 5);
    let held = partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(10_000)).unwrap();
    partition.close().unwrap();
    partition.close().unwrap();
    assert_eq!(partition.append(&batch(&[("x", 1)])).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(partition.roll().unwrap_err().kind(), ErrorKind::Closed);
    let read = partition.fetch(Offset::ZERO, riverbed::FetchLimit::bytes(10_000));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(held.batches().count(), 5, "slices stay readable");
    let partition = open(&dir, &[]);
    assert_eq!(values(&partition, 0), counted(0, 5));
    assert_eq!(bases(&partition), [0]);
    partition.close().unwrap();
}

/// IDM-01, IDM-02, IDM-03, IDM-20.
#[test]
fn a_repeat_is_answered_with_its_first_offsets_and_adds_nothing() {
    let dir = TestDir::new("repeats");
    let partition = open(&dir, &[]);
    let first = from_producer(9, 0, 0, &[("a", 1), ("b", 2)]);
    let second = from_producer(9, 0, 2, &[("c", 3)]);
    assert_eq!(range(&partition.append(&first).unwrap()), (0, 1));
    assert_eq!(range(&partition.append(&second).unwrap()), (2, 2));
    for again in 0..2 {
        let repeat = partition.append(&first).unwrap();
        assert_eq!((range(&repeat), repeat.duplicate), ((0, 1), true), "time {again}");
    }
    let gap = partition.append(&from_producer(9, 0, 4, &[("e", 5)])).unwrap_err();
    assert_eq!(gap.kind(), ErrorKind::OutOfOrderSequence);
    partition.append(&from_producer(9, 1, 0, &[("new epoch", 6)])).unwrap();
    let zombie = partition.append(&from_producer(9, 0, 3, &[("d", 4)])).unwrap_err();
    assert_eq!(zombie.kind(), ErrorKind::ProducerFenced);
    assert_eq!(partition.offsets().1.end.get(), 4);
    partition.close().unwrap();

    let partition = open(&dir, &[]);
    let repeat = partition.append(&from_producer(9, 1, 0, &[("new epoch", 6)])).unwrap();
    assert_eq!((range(&repeat), repeat.duplicate), ((3, 3), true), "also after reopening");
    partition.close().unwrap();
}

/// VAL-01, VAL-02.
#[test]
fn an_append_is_exactly_one_batch() {
    let dir = TestDir::new("one-batch");
    let partition = open(&dir, &[]);
    for codec in [Compression::None, Compression::Gzip] {
        let one = compressed(codec, &[("a", 1)]);
        assert!(partition.append(&[one.as_slice(), one.as_slice()].concat()).is_err());
        assert!(partition.append(&one[..one.len() - 1]).is_err());
    }
    assert_eq!(partition.append(&[]).unwrap_err().kind(), ErrorKind::InvalidRecord);
    assert_eq!(partition.offsets().1.end, Offset::ZERO);
    partition.close().unwrap();
}
