//! The space of deleted files, which waits for those who still read them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use bytes::Bytes;
use riverbed::{FetchLimit, Offset, Partition, Store, TopicConfig};
use support::TestDir;
use support::partition::{append, bases, counted, fill, open, values};

const SMALL: [(&str, &str); 1] = [("segment.bytes", "500")];

fn slice_at(partition: &Partition, offset: u64) -> Bytes {
    partition.fetch(Offset::new(offset), FetchLimit::bytes(100)).unwrap().bytes
}

/// Nobody could tell why a disk stayed full after records had been deleted: what readers held was counted nowhere.
#[test]
fn bytes_of_deleted_segments_count_until_the_last_slice_is_dropped() {
    let dir = TestDir::new("doomed-records");
    let partition = open(&dir, &SMALL);
    fill(&partition, 60);
    partition.sync().unwrap();
    let (held, kept) = (slice_at(&partition, 0), slice_at(&partition, 50));
    let size = partition.segments()[0].size();
    let deleted = partition.delete_records(..Offset::new(30)).unwrap();
    assert!(deleted.segments > 1, "{deleted:?}");
    assert_eq!(partition.doomed_bytes(), size, "the others are held by nobody");
    let again = held.clone();
    drop(held);
    assert_eq!(partition.doomed_bytes(), size);
    drop(again);
    assert_eq!(partition.doomed_bytes(), 0);
    drop(kept);
    partition.close().unwrap();
}

#[test]
fn bytes_that_a_cut_took_count_until_the_last_slice_is_dropped() {
    let dir = TestDir::new("doomed-tail");
    let partition = open(&dir, &SMALL);
    fill(&partition, 60);
    partition.sync().unwrap();
    let last_sealed = *bases(&partition).iter().rev().nth(1).unwrap();
    let held = [slice_at(&partition, last_sealed), slice_at(&partition, 59)];
    let bytes = held.clone().map(|held| held.to_vec());
    partition.truncate(Offset::new(last_sealed)).unwrap();
    let segments = partition.segments();
    assert_eq!(segments.last().unwrap().base_offset().get(), last_sealed);
    fill(&partition, 60);
    let [sealed, active] = held;
    let both = partition.doomed_bytes();
    drop(active);
    let one = partition.doomed_bytes();
    assert!(both > one && one > 0, "{both} {one}");
    assert_eq!(sealed, bytes[0]);
    drop(sealed);
    assert_eq!(partition.doomed_bytes(), 0);
    assert_eq!(values(&partition, 0), counted(0, 60));
    partition.close().unwrap();
}

/// A handle of a deleted topic kept its files' space, though all it answers is that there is no such topic.
#[test]
fn a_deleted_topic_counts_in_the_store_for_its_readers_and_not_for_its_handles() {
    let dir = TestDir::new("doomed-topic");
    let store = Store::open(&dir).unwrap();
    let doomed = || store.stats().unwrap().doomed_bytes;
    let partition = store.create_topic("gone", TopicConfig::default()).unwrap().partition(0).unwrap();
    let other = store.create_topic("kept", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "v", 0);
    append(&other, "v", 0);
    let held = slice_at(&partition, 0);
    assert_eq!(doomed(), 0);
    store.delete_topic("gone").unwrap();
    assert!(doomed() >= held.len() as u64, "{}", doomed());
    assert_eq!(store.stats().unwrap().partitions[0].doomed_bytes, 0, "of the other topic");
    drop(held);
    assert_eq!(doomed(), 0, "a handle is left");
    assert!(slice_at(&other, 0).len() > 61);
    drop(partition);
    store.close().unwrap();
}
