//! Whose a directory is: topic ids, and directories that are renamed, copied and mixed up.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use riverbed::{ErrorKind, FetchLimit, LeaderEpoch, Offset, Partition, PartitionOptions, Store, TopicConfig};
use support::partition::{counted, fill, open, values};
use support::{TestDir, copy_dir, golden};

const METADATA: &str = "partition.metadata";

/// APP-17.
#[test]
fn the_topic_id_is_there_before_the_first_record_and_is_read_again() {
    let dir = TestDir::new("topic-id");
    let store = Store::open(&dir).unwrap();
    let topic = store.create_topic("a", TopicConfig::default().partitions(2)).unwrap();
    let id = topic.id();
    let expected = format!("version: 0\ntopic_id: {id}");
    let check = || {
        for partition in ["a-0", "a-1"] {
            assert_eq!(std::fs::read_to_string(dir.join(partition).join(METADATA)).unwrap(), expected);
        }
    };
    check();
    fill(&topic.partition(0).unwrap(), 3);
    store.close().unwrap();
    check();
    std::fs::remove_file(dir.join("a-1").join(METADATA)).unwrap();
    let store = Store::open(&dir).unwrap();
    assert_eq!(store.topic("a").unwrap().id(), id);
    store.close().unwrap();
    check();
}

/// APP-18: two partitions of the same name were exchanged, and each topic read the other's records.
#[test]
fn the_directory_of_another_topic_is_refused() {
    let dir = TestDir::scratch("another-topic");
    let store = Store::open(&dir).unwrap();
    for name in ["a", "b"] {
        let topic = store.create_topic(name, TopicConfig::default().partitions(2)).unwrap();
        fill(&topic.partition(0).unwrap(), 3);
    }
    store.close().unwrap();
    std::fs::rename(dir.join("a-0"), dir.join("aside")).unwrap();
    copy_dir(&dir.join("b-0"), &dir.join("a-0"));
    for read_only in [true, false] {
        let store = if read_only { Store::open_read_only(&dir) } else { Store::open(&dir) }.unwrap();
        let error = store.topic("a").unwrap().partition(0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        let path = error.corruption().and_then(|found| found.path.clone()).unwrap();
        assert!(path.ends_with(format!("a-0/{METADATA}")), "{path:?}");
        store.topic("a").unwrap().partition(1).unwrap();
        assert_eq!(values(&store.topic("b").unwrap().partition(0).unwrap(), 0), counted(0, 3));
        store.close().unwrap();
    }
    std::fs::remove_dir_all(dir.join("a-0")).unwrap();
    std::fs::rename(dir.join("aside"), dir.join("a-0")).unwrap();
    let store = Store::open(&dir).unwrap();
    assert_eq!(values(&store.topic("a").unwrap().partition(0).unwrap(), 0), counted(0, 3));
    store.close().unwrap();
}

/// APP-19, APP-20: a partition on its own goes on wherever its directory lies.
#[test]
fn a_directory_that_is_renamed_or_copied_keeps_its_topic_id_and_epochs() {
    let dir = TestDir::new("renamed");
    let partition = open(&dir, &[]);
    partition.begin_epoch(LeaderEpoch::new(4)).unwrap();
    fill(&partition, 3);
    partition.close().unwrap();
    let id = "version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw";
    std::fs::write(dir.join("orders-0").join(METADATA), id).unwrap();
    copy_dir(&dir.join("orders-0"), &dir.join("copied-1"));
    std::fs::rename(dir.join("orders-0"), dir.join("renamed-2")).unwrap();
    for name in ["copied-1", "renamed-2"] {
        let partition = Partition::open(dir.join(name), PartitionOptions::default()).unwrap();
        assert_eq!(values(&partition, 0), counted(0, 3), "{name}");
        partition.begin_epoch(LeaderEpoch::new(9)).unwrap();
        fill(&partition, 5);
        partition.close().unwrap();
        let read = |file: &str| std::fs::read_to_string(dir.join(name).join(file)).unwrap();
        assert_eq!((read(METADATA).as_str(), read("leader-epoch-checkpoint").as_str()), (id, "0\n2\n4 0\n9 3\n"));
    }
    assert!(!dir.join("orders-0").exists());
}

/// A topic whose directories do not state its id got another one at each look, and each look closed its handles.
#[test]
fn a_topic_of_kafkas_without_an_id_stays_the_same_at_every_look() {
    let dir = TestDir::scratch("no-id");
    copy_dir(&golden().join("log"), dir.path());
    let file = dir.join("plain-0").join(METADATA);
    std::fs::remove_file(&file).unwrap();
    let store = Store::open_read_only(&dir).unwrap();
    let partition = store.topic("plain").unwrap().partition(0).unwrap();
    let expected = partition.fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap().bytes;
    store.refresh().unwrap();
    assert_eq!(partition.fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap().bytes, expected);
    store.close().unwrap();
    assert!(!file.exists(), "a reader writes nothing");
    Store::adopt(&dir).unwrap();
    let store = Store::open(&dir).unwrap();
    let id = store.topic("plain").unwrap().id();
    assert!(!id.is_zero());
    assert!(std::fs::read_to_string(&file).unwrap().ends_with(&id.to_string()));
    store.close().unwrap();
}
