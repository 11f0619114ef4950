//! One behaviour of Kafka's cleaner a test: records, tombstones, segments. Names begin with the numbers of
//! `tests/kafka-behaviours.md`.

use super::*;
use crate::error::ErrorKind;

#[test]
fn cln_01_what_is_superseded_goes_and_all_else_stays() {
    let host = Host::new(&[]);
    for n in 0..60 {
        host.put(&format!("k{}", n % 5), &format!("value {n}"));
    }
    host.roll();
    let before = host.log.segments().iter().map(|segment| segment.size()).sum::<u64>();
    let done = host.compact();
    assert_eq!(host.offsets(), [55, 56, 57, 58, 59]);
    assert_eq!((done.records_removed, done.bytes_before), (55, before));
    assert_eq!(done.bytes_after, host.log.segments().iter().map(|segment| segment.size()).sum::<u64>());
    assert_eq!(host.bases().last(), Some(&60));
}

#[test]
fn cln_02_and_06_a_map_for_one_key_gets_on_key_by_key_and_takes_nothing_it_does_not_know() {
    let host = Host::new(&[]).with_keys(1);
    let cleaner = Cleaner::new(CleanerConfig { dedupe_bytes: 0, bytes_per_second: None });
    for n in 0..12 {
        host.put(["a", "b", "c"][n % 3], &n.to_string());
    }
    host.roll();
    let mut cleaned = Vec::new();
    loop {
        let cleaning = host.log.begin_cleaning().unwrap();
        let round = cleaner.both_passes(&cleaning, &mut Compacted::default()).unwrap();
        let to = host.log.cleaned().to.get();
        cleaned.push(to);
        let behind: Vec<u64> = host.offsets().into_iter().filter(|offset| *offset >= to).collect();
        assert_eq!(behind, (to..12).collect::<Vec<_>>(), "what the map does not know stays");
        if matches!(round, Round::Done) {
            break;
        }
    }
    assert!(cleaned.len() > 4 && cleaned.is_sorted(), "{cleaned:?}");
    assert_eq!(host.offsets(), [9, 10, 11]);
}

#[test]
fn cln_03_records_without_a_key_go() {
    let host = Host::new(&[("cleanup.policy", "delete")]);
    host.put("a", "1");
    let mut builder = BatchBuilder::new();
    builder.push(&Record::new().value("no key"), START).unwrap();
    builder.push(&Record::new().key("").value("an empty one"), START).unwrap();
    let batch = RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap();
    host.log.append(&batch, AppendOrigin::Client).unwrap();
    host.put("b", "2");
    host.roll();
    assert_eq!(host.compact().records_removed, 1);
    assert_eq!(host.offsets(), [0, 2, 3]);
}

#[test]
fn cln_04_and_05_a_tombstone_goes_when_its_time_has_come_and_not_before() {
    let host = Host::new(&[("delete.retention.ms", "1000")]);
    host.put("a", "1");
    host.put("b", "2");
    host.delete("a");
    // Its own time says nothing.
    let late = Timestamp::from_millis(START.millis() + 3_000_000);
    let mut builder = BatchBuilder::new();
    builder.push(&Record::new().key("c").value(None::<&str>).timestamp(late), START).unwrap();
    builder.push(&Record::new().key("d").value("4").timestamp(late), START).unwrap();
    host.append(&mut builder, &[]);
    host.roll();
    host.compact();
    assert_eq!(host.offsets(), [1, 2, 3, 4]);
    assert_eq!(host.read(Isolation::ReadUncommitted)[2].time, late.millis());
    host.wait(999);
    dirty(&host, 1);
    host.roll();
    host.compact();
    assert_eq!(host.offsets(), [1, 2, 3, 4, 5]);
    host.wait(1);
    assert_eq!(host.compact().records_removed, 2);
    let left = host.read(Isolation::ReadUncommitted);
    assert_eq!(left.iter().map(|got| got.offset).collect::<Vec<_>>(), [1, 4, 5]);
    assert_eq!(left[1].time, late.millis());
    assert_eq!(host.compact(), Compacted::default());
}

#[test]
fn cln_05_two_cleanings_are_needed_even_without_a_retention() {
    let host = Host::new(&[("delete.retention.ms", "0")]);
    host.put("a", "1");
    host.delete("a");
    host.roll();
    assert_eq!(host.compact().records_removed, 1);
    assert_eq!(host.offsets(), [1]);
    assert_eq!(host.compact().records_removed, 1);
    assert_eq!(host.offsets(), []);
}

#[test]
fn cln_07_what_may_not_be_cleaned_is_not_touched() {
    let host = Host::new(&[]);
    host.put("a", "1");
    host.put("a", "2");
    host.roll();
    host.send(7, 0, &[("a", Some("3"))]);
    host.roll();
    host.put("a", "4");
    host.roll();
    host.put("a", "5");
    host.compact();
    assert_eq!(host.offsets(), [1, 2, 3, 4], "a transaction is open from 2 on");
    host.end(7, TransactionResult::Commit);
    host.compact();
    assert_eq!(host.offsets(), [3, 4], "the active segment stays");
}

#[test]
fn cln_08_gaps_at_the_ends_of_segments_are_passed() {
    let host = Host::new(&[]);
    let at = |base: u64, key: &str| {
        let mut builder = BatchBuilder::new();
        builder.base_offset(Offset::new(base)).leader_epoch(crate::types::LeaderEpoch::new(0));
        builder.push(&Record::new().key(key).value("v"), START).unwrap();
        host.log.append_as_follower(builder.finish().unwrap().unwrap()).unwrap();
    };
    at(3, "a");
    at(9, "b");
    host.roll();
    at(30, "a");
    host.roll();
    at(90, "c");
    host.roll();
    host.compact();
    assert_eq!(host.log.cleaned().to, Offset::new(91));
    assert_eq!(host.offsets(), [9, 30, 90]);
}

#[test]
fn cln_09_the_batch_in_front_of_what_is_not_cleaned_stays_if_without_records() {
    let host = Host::new(&[("delete.retention.ms", "0")]);
    host.put("a", "1");
    host.append(&mut BatchBuilder::new(), &[("a", None), ("a", None)]);
    host.roll();
    host.compact();
    host.compact();
    assert_eq!(host.batches(), [empty(1, 2, 0)]);
    assert_eq!(host.log.end(ReadUpTo::Written), Offset::new(3));
    let fetched = host.log.read(Offset::ZERO, FetchLimit::bytes(1)).unwrap();
    assert_eq!(fetched.next_offset, Offset::new(3));
    host.put("b", "2");
    host.roll();
    host.compact();
    assert_eq!(host.batches(), [(3, 3, 1, 0)], "the end is another now");
}

#[test]
fn cln_21_a_batch_may_be_larger_than_any_buffer() {
    let host = Host::new(&[("segment.bytes", "4000000"), ("max.message.bytes", "3000000")]);
    let large = "x".repeat(900_000);
    for n in 0..3 {
        host.append(&mut BatchBuilder::new(), &[("a", Some(&large)), ("b", Some(&n.to_string()))]);
    }
    host.append(&mut BatchBuilder::new(), &[("c", Some(&large)), ("d", Some(&large))]);
    host.roll();
    assert_eq!(host.compact().records_removed, 4);
    assert_eq!(host.offsets(), [4, 5, 6, 7]);
}

#[test]
fn cln_22_damage_is_told_nothing_is_lost_and_the_log_is_left_alone() {
    for (what, position) in [("record", 70), ("length", 11), ("magic", 16), ("base offset", 5)] {
        let mut host = Host::new(&[]);
        for n in 0..30 {
            host.put("a", &format!("value {n}"));
        }
        host.roll();
        host.reopen();
        let path = host.directory().path().join("00000000000000000000.log");
        host.disk.flip_bit(&path, position, 3).unwrap();
        let before = host.files();
        let error = host.cleaner.clean(&host.log).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{what}: {error}");
        assert_eq!(error.corruption().unwrap().path.as_ref(), Some(&path), "{what}");
        assert_eq!(host.files(), before, "{what}");
        host.disk.flip_bit(&path, position, 3).unwrap();
        let again = host.cleaner.clean(&host.log).unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "{what}: until it is opened again");
        host.put("b", "goes on");
        host.reopen();
        host.roll();
        assert_eq!(host.compact().records_removed, 29, "{what}");
    }
}

#[test]
fn cln_23_a_cleaned_file_is_as_long_as_its_batches() {
    let host = Host::new(&[("segment.bytes", "100000"), ("preallocate", "true")]);
    for n in 0..50 {
        host.put("a", &n.to_string());
    }
    host.roll();
    host.compact();
    let entries = host.directory().list().unwrap();
    let log = entries.iter().find(|entry| entry.name == "00000000000000000000.log").unwrap();
    assert_eq!(log.len, host.log.segments()[0].size());
    assert!(log.len < 100);
}

#[test]
fn cln_27_empty_segments_in_front_become_one() {
    let host = Host::new(&[("segment.bytes", "120")]);
    for n in 0..8 {
        host.put("a", &format!("{n:040}"));
    }
    host.roll();
    host.compact();
    let first = host.bases();
    assert_eq!(host.offsets(), [7]);
    host.put("b", "1");
    host.roll();
    host.compact();
    assert!(host.bases().len() < first.len(), "{first:?}, then {:?}", host.bases());
    assert_eq!(host.bases()[0], 0, "the first base stays");
    assert_eq!(host.offsets(), [7, 8]);
}

#[test]
fn cln_32_bases_ends_and_the_snapshots_of_what_was_merged() {
    let mut host = Host::new(&[("segment.bytes", "300")]);
    for n in 0..40 {
        host.append(&mut from(1, n), &[(&format!("k{}", n % 3), Some(&"x".repeat(40)))]);
    }
    host.roll();
    let before = host.bases();
    host.compact();
    host.append(&mut from(1, 40), &[("k0", Some("last"))]);
    host.roll();
    host.log.sync().unwrap();
    let ends = host.log.offsets();
    host.compact();
    let after = host.bases();
    assert!(after.len() < before.len(), "{after:?}");
    assert!(after.iter().all(|base| before.contains(base) || *base == 41), "{after:?}");
    assert_eq!((after[0], host.log.offsets()), (0, ends));
    let snapshots: Vec<u64> = host.log.snapshots().unwrap().into_iter().map(Offset::get).collect();
    assert!(snapshots.iter().all(|offset| after.contains(offset)), "{snapshots:?} of {after:?}");
    assert!(snapshots.contains(&41));
    host.reopen();
    assert_eq!(host.bases(), after);
    host.kill();
    assert_eq!(host.bases(), after);
}

/// A record that superseded another was lost with the power, and the other was gone.
#[test]
fn nothing_goes_for_a_record_that_is_not_durable() {
    let host = Host::new(&[]);
    host.put("a", "1");
    host.log.sync().unwrap();
    host.put("a", "2");
    host.roll();
    assert_eq!(host.log.end(ReadUpTo::Durable), Offset::new(1));
    host.compact();
    assert!(host.log.end(ReadUpTo::Durable) >= Offset::new(2));
}

/// Rates are held by waiting, which a close ends.
#[test]
fn a_slow_cleaning_ends_when_the_log_is_closed() {
    let mut host = Host::new(&[]);
    for n in 0..40 {
        host.put("a", &n.to_string());
    }
    host.roll();
    host.cleaner = Cleaner::new(CleanerConfig { dedupe_bytes: 1 << 20, bytes_per_second: Some(1) });
    std::thread::scope(|scope| {
        let cleaning = scope.spawn(|| host.cleaner.clean(&host.log).unwrap_err());
        while !host.log.is_cleaned_now() {
            std::thread::yield_now();
        }
        host.log.close().unwrap().unwrap();
        assert_eq!(cleaning.join().unwrap().kind(), ErrorKind::Closed);
    });
    assert!(!host.files().iter().any(|(name, _)| name.ends_with(".cleaned") || name.ends_with(".swap")));
}
