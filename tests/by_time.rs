//! Offsets by time.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use riverbed::{ErrorKind, LeaderEpoch, Offset, Partition, ReadUpTo, Store, Timestamp, TopicConfig};
use support::TestDir;
use support::partition::{append, batch, fill, open, stored};

fn look_up(partition: &Partition, time: i64) -> Option<(u64, i64)> {
    let found = partition.offset_for_time(Timestamp::from_millis(time), ReadUpTo::Written).unwrap();
    found.map(|found| (found.offset.get(), found.timestamp.millis()))
}

/// OFF-01: over several segments, in memory and from files.
#[test]
fn the_first_record_at_or_after_a_time_is_found() {
    let dir = TestDir::new("by-time");
    let settings = [("segment.bytes", "600"), ("index.interval.bytes", "150")];
    for _ in 0..2 {
        let partition = open(&dir, &settings);
        fill(&partition, 50);
        assert_eq!(look_up(&partition, 0), Some((0, 0)));
        for n in 1..50 {
            for time in [n * 10 - 9, n * 10 - 1, n * 10] {
                assert_eq!(look_up(&partition, time), Some((n.cast_unsigned(), n * 10)), "{time}");
            }
        }
        assert_eq!(look_up(&partition, 491), None);
        partition.close().unwrap();
    }
}

/// OFF-04.
#[test]
fn of_equal_times_the_first_is_found_and_none_below_the_log_start() {
    let dir = TestDir::new("equal-times");
    let partition = open(&dir, &[]);
    partition.append(&batch(&[("a", 5), ("b", 7), ("c", 7), ("d", 3), ("e", 9)])).unwrap();
    append(&partition, "f", 7);
    assert_eq!(look_up(&partition, 6), Some((1, 7)));
    assert_eq!(look_up(&partition, 8), Some((4, 9)));
    partition.delete_records(..Offset::new(2)).unwrap();
    assert_eq!(look_up(&partition, 6), Some((2, 7)));
    assert_eq!(look_up(&partition, 0), Some((2, 7)));
    partition.close().unwrap();
}

/// OFF-02, OFF-06.
#[test]
fn earliest_and_latest_are_the_ends_that_a_reader_sees() {
    let dir = TestDir::new("earliest-latest");
    let partition = open(&dir, &[("high.watermark", "durable")]);
    fill(&partition, 10);
    partition.sync().unwrap();
    fill(&partition, 15);
    partition.delete_records(..Offset::new(4)).unwrap();
    let log = partition.log();
    assert_eq!(log.log_start().get(), 4);
    assert_eq!(log.end(ReadUpTo::Written).get(), 15);
    assert_eq!(log.end(ReadUpTo::HighWatermark).get(), 10);
    assert_eq!(log.last_stable_offset().get(), 10);
    let hidden = partition.offset_for_time(Timestamp::from_millis(105), ReadUpTo::HighWatermark).unwrap();
    assert_eq!(hidden, None);
    partition.close().unwrap();
}

/// OFF-03.
#[test]
fn the_greatest_time_is_found_wherever_it_stands() {
    let dir = TestDir::new("greatest");
    let partition = open(&dir, &[]);
    let greatest = |partition: &Partition| {
        let found = partition.log().offset_of_max_timestamp(ReadUpTo::Written).unwrap();
        found.map(|found| (found.offset.get(), found.timestamp.millis()))
    };
    assert_eq!(greatest(&partition), None);
    partition.append(&batch(&[("a", 5), ("b", 90), ("c", 7)])).unwrap();
    partition.roll().unwrap();
    append(&partition, "d", 80);
    append(&partition, "e", 90);
    assert_eq!(greatest(&partition), Some((1, 90)));
    append(&partition, "f", 91);
    assert_eq!(greatest(&partition), Some((5, 91)));
    partition.truncate(Offset::ZERO).unwrap();
    assert_eq!(greatest(&partition), None);
    partition.close().unwrap();
}

/// The batch with the greatest time was chosen by its header, though the record that has it was deleted: then nothing was
/// found, whatever else there was.
#[test]
fn the_greatest_time_of_what_is_left_is_found() {
    let dir = TestDir::new("greatest-left");
    let partition = open(&dir, &[]);
    partition.append(&batch(&[("a", 90), ("b", 5), ("c", 8)])).unwrap();
    let greatest = |start: u64| {
        partition.delete_records(..Offset::new(start)).unwrap();
        let found = partition.log().offset_of_max_timestamp(ReadUpTo::Written).unwrap();
        found.map(|found| (found.offset.get(), found.timestamp.millis()))
    };
    assert_eq!(greatest(1), Some((2, 8)));
    append(&partition, "d", 7);
    assert_eq!(greatest(2), Some((2, 8)));
    append(&partition, "e", 9);
    assert_eq!(greatest(2), Some((4, 9)));
    partition.close().unwrap();
}

/// OFF-09: batches from before there were epochs have none, and no later one counts for them.
#[test]
fn the_epoch_of_the_log_start_is_told_where_it_is_known() {
    let dir = TestDir::new("start-epoch");
    let partition = open(&dir, &[]);
    let log = partition.log();
    for (offset, epoch) in [(0, -1), (1, -1), (2, 4), (3, 4), (4, 6)] {
        partition.append_as_follower(&stored(offset, epoch, &[("x", 1)])).unwrap();
    }
    for (start, expected) in [(0, None), (1, None), (2, Some(4)), (3, Some(4)), (4, Some(6)), (5, Some(6))] {
        partition.delete_records(..Offset::new(start)).unwrap();
        assert_eq!(partition.offsets().0.get(), start);
        assert_eq!(log.epoch_at(Offset::new(start)).unwrap(), expected.map(LeaderEpoch::new), "start {start}");
    }
    partition.close().unwrap();
}

/// OFF-05.
#[test]
fn a_partition_that_is_not_there_is_told() {
    let dir = TestDir::new("not-there");
    let store = Store::open(&dir).unwrap();
    let topic = store.create_topic("a", TopicConfig::default().partitions(2)).unwrap();
    for number in [2, u32::MAX] {
        assert_eq!(topic.partition(number).unwrap_err().kind(), ErrorKind::UnknownPartition);
    }
    assert_eq!(store.topic("b").unwrap_err().kind(), ErrorKind::UnknownTopic);
    store.close().unwrap();
}

/// A time before all time is no time.
#[test]
fn a_negative_time_is_refused() {
    let dir = TestDir::new("negative-time");
    let partition = open(&dir, &[]);
    fill(&partition, 1);
    for time in [-1, -2, i64::MIN] {
        let error = partition.offset_for_time(Timestamp::from_millis(time), ReadUpTo::Written).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{time}");
    }
    partition.close().unwrap();
}
