//! Syncs, what they make durable, and what a killed process leaves.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, clippy::disallowed_methods, reason = "tests")]

mod support;

use std::time::Duration;

use riverbed::{
    Acks, BatchBuilder, ErrorKind, Offset, ProducerEpoch, ProducerId, ReadUpTo, Record, Sequence, Store, Timestamp,
    TopicConfig,
};
use support::TestDir;
use support::partition::{batch, counted, fill, open, range, values};

/// DUR-01, DUR-02, DUR-03.
#[test]
fn a_sync_makes_durable_all_that_is_written_and_never_goes_back() {
    let dir = TestDir::new("sync");
    let partition = open(&dir, &[("segment.bytes", "500")]);
    assert_eq!(partition.sync().unwrap(), Offset::ZERO);
    let mut durable = 0;
    for end in [5, 6, 20, 21] {
        fill(&partition, end);
        assert!(partition.log().end(ReadUpTo::Durable).get() >= durable);
        partition.wait_durable(Offset::new(end)).unwrap();
        durable = partition.log().end(ReadUpTo::Durable).get();
        assert_eq!(durable, end, "a sync takes all with it");
        assert_eq!(partition.sync().unwrap().get(), end);
    }
    partition.roll().unwrap();
    assert_eq!(partition.sync().unwrap().get(), 21, "an empty segment needs no sync");
    partition.close().unwrap();
}

/// DUR-04: in the background where there is one, or else at once.
#[test]
fn a_roll_syncs_what_it_sealed() {
    let dir = TestDir::new("roll-syncs");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    assert_eq!(partition.log().end(ReadUpTo::Durable), Offset::ZERO);
    partition.roll().unwrap();
    assert_eq!(partition.log().end(ReadUpTo::Durable), Offset::new(3));
    partition.close().unwrap();
    let store = Store::open(dir.join("store")).unwrap();
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    fill(&partition, 3);
    partition.roll().unwrap();
    partition.wait_readable(Offset::new(2), ReadUpTo::Durable, Duration::from_secs(20)).unwrap();
    store.close().unwrap();
}

/// DUR-05.
#[test]
fn a_sync_of_a_directory_that_vanished_is_an_error() {
    let dir = TestDir::scratch("vanished");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    std::fs::remove_dir_all(dir.join("orders-0")).unwrap();
    let error = partition.sync().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(partition.append(&batch(&[("x", 1)])).unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert!(partition.close().is_err());
}

/// DUR-01: by the topic's policy, or asked for with the append.
#[test]
fn acknowledgements_and_policies_sync() {
    let dir = TestDir::new("policies");
    let partition = open(&dir, &[]);
    let durable = |partition: &riverbed::Partition| partition.log().end(ReadUpTo::Durable).get();
    let one = batch(&[("v0", 0)]);
    for (acks, expected) in [(Acks::None, 0), (Acks::Leader, 0), (Acks::All, 0), (Acks::Durable, 4)] {
        partition.append_with(&one, acks).unwrap();
        assert_eq!(durable(&partition), expected, "{acks:?}");
    }
    partition.close().unwrap();
    let partition = open(&dir, &[("flush.messages", "3")]);
    for (append, expected) in [(5, 4), (6, 4), (7, 7), (8, 7)] {
        assert_eq!(range(&partition.append(&one).unwrap()).1 + 1, append);
        assert_eq!(durable(&partition), expected, "after {append}");
    }
    partition.close().unwrap();
}

/// Waiting above the log end is a mistake, and a wait for readers ends in time. Waiting for what is committed did not end
/// there.
#[test]
fn waits_end() {
    let dir = TestDir::new("waits");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    assert_eq!(partition.wait_durable(Offset::new(4)).unwrap_err().kind(), ErrorKind::OffsetOutOfRange);
    let beyond = partition.wait_committed(Offset::new(4)).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::OffsetOutOfRange, "{beyond}");
    let short = Duration::from_millis(20);
    partition.wait_readable(Offset::new(2), ReadUpTo::Written, short).unwrap();
    let late = partition.wait_readable(Offset::new(3), ReadUpTo::Written, short).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    partition.close().unwrap();
}

/// APP-22: who waits for an offset wakes when it is there, and when the log is closed.
#[test]
fn waiters_wake_on_append_and_on_close() {
    let dir = TestDir::new("wake");
    let partition = open(&dir, &[]);
    fill(&partition, 1);
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| partition.wait_readable(Offset::new(1), ReadUpTo::Written, Duration::from_secs(20)));
        fill(&partition, 2);
        waiting.join().unwrap().unwrap();
        let waiting =
            scope.spawn(|| partition.wait_readable(Offset::new(9), ReadUpTo::Written, Duration::from_secs(20)));
        std::thread::sleep(Duration::from_millis(10));
        partition.close().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    });
    let partition = open(&dir, &[]);
    assert_eq!(values(&partition, 0), counted(0, 2));
    partition.close().unwrap();
}

/// A producer whose answer was lost sends again while the sync of the first attempt is under way. The repeat was
/// answered at once, and a power cut took what had been acknowledged.
#[test]
fn a_repeat_is_as_durable_as_its_topic_asks_when_it_is_answered() {
    let dir = TestDir::new("repeat");
    let store = Store::open(&dir).unwrap();
    let topic = store.create_topic("a", TopicConfig::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let mut builder = BatchBuilder::new();
    builder.producer(ProducerId::new(7), ProducerEpoch::new(0), Sequence::ZERO);
    builder.push(&Record::new().value("once"), Timestamp::from_millis(1)).unwrap();
    let once = builder.finish().unwrap().unwrap().to_vec();
    partition.append(&once).unwrap();
    assert_eq!(partition.log().end(ReadUpTo::Durable), Offset::ZERO);
    topic.alter([("flush.messages", "1")]).unwrap();
    let again = partition.append(&once).unwrap();
    assert!(again.duplicate);
    assert_eq!(partition.log().end(ReadUpTo::Durable), Offset::new(1));
    store.close().unwrap();
}
