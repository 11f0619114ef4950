//! Bad input, names and settings: each is refused by a typed error, and nothing of it is on the disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use riverbed::{
    ErrorKind, FetchLimit, LogConfig, Offset, Partition, PartitionOptions, ReadUpTo, Store, Timestamp, TopicConfig,
};
use support::TestDir;
use support::partition::{fill, open, values};
use support::refused::files;

fn kind<T>(answer: riverbed::Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

#[test]
fn names_that_no_directory_should_have_are_refused() {
    let dir = TestDir::new("names");
    let store = Store::open(&dir).unwrap();
    store.create_topic("a.b", TopicConfig::default()).unwrap();
    let before = files(dir.path());
    let long = "x".repeat(250);
    let bad = ["", ".", "..", &long, "a/b", "/", "../a", "a\\b", "a\0", "a\nb", "caf\u{e9}", "a b", "a:b", "a-delete"];
    let suffixed = ["orders-delete", "orders-stray", "orders-future", "-delete"];
    for name in bad.into_iter().chain(suffixed) {
        assert_eq!(kind(store.create_topic(name, TopicConfig::default())), Some(ErrorKind::InvalidTopic), "{name:?}");
        let looked_up = kind(store.topic(name)).unwrap();
        assert!(matches!(looked_up, ErrorKind::InvalidTopic | ErrorKind::UnknownTopic), "{name:?}: {looked_up}");
        let deleted = kind(store.delete_topic(name)).unwrap();
        assert!(matches!(deleted, ErrorKind::InvalidTopic | ErrorKind::UnknownTopic), "{name:?}: {deleted}");
    }
    assert_eq!(kind(store.create_topic("a_b", TopicConfig::default())), Some(ErrorKind::TopicCollision));
    assert_eq!(kind(store.create_topic("a.b", TopicConfig::default())), Some(ErrorKind::TopicExists));
    assert_eq!(kind(store.delete_topic("a_b")), Some(ErrorKind::UnknownTopic));
    assert!(files(dir.path()) == before, "nothing has changed");
    store.create_topic(&"x".repeat(249), TopicConfig::default()).unwrap();
    store.create_topic("deleted", TopicConfig::default()).unwrap();
    store.close().unwrap();
}

#[test]
fn partitions_that_are_not_there_are_refused() {
    let dir = TestDir::new("numbers");
    let store = Store::open(&dir).unwrap();
    for count in [0, (1 << 20) + 1, u32::MAX] {
        let refused = store.create_topic("t", TopicConfig::default().partitions(count));
        assert_eq!(kind(refused), Some(ErrorKind::InvalidArgument), "{count}");
    }
    let topic = store.create_topic("t", TopicConfig::default().partitions(2)).unwrap();
    for number in [2, 3, u32::MAX] {
        assert_eq!(kind(topic.partition(number)), Some(ErrorKind::UnknownPartition), "{number}");
    }
    for count in [0, 1, (1 << 20) + 1, u32::MAX] {
        assert_eq!(kind(topic.grow(count)), Some(ErrorKind::InvalidArgument), "{count}");
    }
    assert_eq!(topic.partition_count(), 2);
    store.close().unwrap();
    for name in ["orders", "orders-", "orders-x", "orders-01", "-0", "orders-2147483648", ".."] {
        let refused = Partition::open(dir.join(name), PartitionOptions::default());
        assert_eq!(kind(refused), Some(ErrorKind::InvalidArgument), "{name}");
        assert!(name == ".." || !dir.join(name).exists(), "{name} was created");
    }
}

#[test]
fn offsets_that_are_not_there_are_refused_at_both_ends() {
    let dir = TestDir::new("offsets");
    let partition = open(&dir, &[("segment.bytes", "200")]);
    fill(&partition, 10);
    partition.delete_records(..Offset::new(4)).unwrap();
    let limit = FetchLimit::bytes(1000);
    let message = |offset| partition.fetch(Offset::new(offset), limit).unwrap_err();
    for offset in [0, 3, 11, i64::MAX.cast_unsigned()] {
        let error = message(offset);
        assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange, "{offset}");
        assert!(error.to_string().contains('4') && error.to_string().contains("10"), "start and end: {error}");
    }
    assert_eq!(kind(partition.wait_durable(Offset::new(11))), Some(ErrorKind::OffsetOutOfRange));
    assert_eq!(kind(partition.truncate(Offset::new(3))), Some(ErrorKind::OffsetOutOfRange));
    assert_eq!(kind(partition.truncate(Offset::new(11))), None, "nothing lies above it");
    assert_eq!(kind(partition.delete_records(..Offset::new(11))), Some(ErrorKind::OffsetOutOfRange));
    assert_eq!(kind(partition.fetch(Offset::new(10), limit)), None, "the end has nothing to read yet");
    assert_eq!(values(&partition, 4).len(), 6);
    partition.close().unwrap();
}

/// A fetch of nothing is refused or answers the one batch that it must; times before all records find the first.
#[test]
fn limits_and_times_at_the_edge_are_answered() {
    let dir = TestDir::new("edges");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    let fetched = partition.fetch(Offset::ZERO, FetchLimit::bytes(0)).unwrap();
    assert_eq!(fetched.batches().count(), 1, "a reader always gets on");
    let strict = partition.fetch(Offset::ZERO, FetchLimit::bytes(0).strict()).unwrap();
    assert!(strict.is_empty() && strict.next_offset == Offset::ZERO);
    for time in [-1, -2, -100, i64::MIN] {
        let found = partition.offset_for_time(Timestamp::from_millis(time), ReadUpTo::Written);
        match found {
            Ok(found) => assert_eq!(found.unwrap().offset, Offset::ZERO, "{time}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{time}"),
        }
    }
    assert_eq!(partition.offset_for_time(Timestamp::from_millis(i64::MAX), ReadUpTo::Written).unwrap(), None);
    partition.close().unwrap();
}

#[test]
fn settings_that_cannot_be_are_refused_wherever_they_are_given() {
    const BAD: [(&str, &[&str]); 12] = [
        ("segment.bytes", &["0", "60", "-1", "2147483648", "9999999999999999999999", "", "x", "1.5", "0x10"]),
        ("max.message.bytes", &["-1", "2147483648"]),
        ("index.interval.bytes", &["-1", "2147483648"]),
        ("segment.index.bytes", &["3", "0", "-1"]),
        ("retention.ms", &["-2", "-100", "9223372036854775808"]),
        ("segment.ms", &["0", "-1"]),
        ("flush.messages", &["0", "-1"]),
        ("flush.ms", &["-1"]),
        ("cleanup.policy", &["keep", "delete;compact"]),
        ("compression.type", &["brotli", ""]),
        ("message.timestamp.type", &["logappendtime", "Now"]),
        ("no.such.setting", &["1"]),
    ];
    let dir = TestDir::new("settings");
    let store = Store::open(&dir).unwrap();
    let topic = store.create_topic("t", TopicConfig::default()).unwrap();
    let before = files(dir.path());
    for (name, value) in BAD.iter().flat_map(|(name, values)| values.iter().map(move |value| (*name, *value))) {
        let invalid = Some(ErrorKind::InvalidConfig);
        assert_eq!(kind(TopicConfig::default().set(name, value)), invalid, "{name}={value}");
        assert_eq!(kind(LogConfig::from_pairs([(name, value)])), invalid, "{name}={value}");
        assert_eq!(kind(topic.alter([("retention.ms", "5"), (name, value)])), invalid, "{name}={value}");
    }
    assert_eq!(topic.config(), LogConfig::default());
    assert!(files(dir.path()) == before, "nothing has changed");
    store.close().unwrap();
}

#[test]
fn a_read_only_store_changes_nothing() {
    let dir = TestDir::new("read-only");
    let store = Store::open(&dir).unwrap();
    let topic = store.create_topic("t", TopicConfig::default()).unwrap();
    fill(&topic.partition(0).unwrap(), 3);
    store.close().unwrap();
    let before = files(dir.path());
    let store = Store::open_read_only(&dir).unwrap();
    let read_only = Some(ErrorKind::ReadOnly);
    let topic = store.topic("t").unwrap();
    let partition = topic.partition(0).unwrap();
    assert_eq!(kind(store.create_topic("u", TopicConfig::default())), read_only);
    assert_eq!(kind(store.delete_topic("t")), read_only);
    assert_eq!(kind(topic.alter([("retention.ms", "1")])), read_only);
    assert_eq!(kind(topic.grow(2)), read_only);
    assert_eq!(kind(partition.append(&support::refused::good())), read_only);
    assert_eq!(kind(partition.truncate(Offset::new(1))), read_only);
    assert_eq!(kind(partition.delete_records(..Offset::new(1))), read_only);
    assert_eq!(kind(partition.roll()), read_only);
    assert_eq!(values(&partition, 0).len(), 3);
    store.close().unwrap();
    assert!(files(dir.path()) == before, "nothing has changed");
}
