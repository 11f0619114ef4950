//! Transactions in the log: what is stable, what was aborted, who is fenced; in memory, reopened and rebuilt.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;

use riverbed::{
    AppendOrigin, BatchBuilder, Clock, EndMarker, ErrorKind, FetchLimit, Isolation, ManualClock, Offset, Partition,
    ProducerEpoch, ProducerId, Record, Result, Sequence, Store, StoreConfig, Timestamp, TopicConfig, TransactionResult,
};
use support::partition::{append, bases, open_at};
use support::{TestDir, copy_dir};

const SMALL: [(&str, &str); 1] = [("segment.bytes", "500")];

/// A clock in the time of the records, so that no producer expires.
fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_000)))
}

fn open(dir: &TestDir) -> Partition {
    open_at(dir, &SMALL, &clock())
}

/// Appends one record of a producer's transaction.
fn send(partition: &Partition, id: i64, sequence: i32) -> u64 {
    let mut builder = BatchBuilder::new();
    builder.producer(ProducerId::new(id), ProducerEpoch::new(0), Sequence::new(sequence)).transactional(true);
    builder.push(&Record::new().key("k").value("in a transaction"), Timestamp::from_millis(900)).unwrap();
    partition.append(builder.finish().unwrap().unwrap()).unwrap().offsets.start().get()
}

fn end(partition: &Partition, id: i64, result: TransactionResult) -> Result<u64> {
    end_as(partition, id, result, 0, 0)
}

fn end_as(partition: &Partition, id: i64, result: TransactionResult, epoch: i16, coordinator: i32) -> Result<u64> {
    let marker = EndMarker {
        result,
        producer_id: ProducerId::new(id),
        producer_epoch: ProducerEpoch::new(epoch),
        coordinator_epoch: coordinator,
        timestamp: Timestamp::from_millis(950),
    };
    Ok(partition.append_as(&marker.encode()?, AppendOrigin::Coordinator)?.offsets.start().get())
}

fn commit(partition: &Partition, id: i64) -> u64 {
    end(partition, id, TransactionResult::Commit).unwrap()
}

fn abort(partition: &Partition, id: i64) -> u64 {
    end(partition, id, TransactionResult::Abort).unwrap()
}

fn stable(partition: &Partition) -> u64 {
    partition.log().last_stable_offset().get()
}

fn committed() -> FetchLimit {
    FetchLimit::bytes(100_000).isolation(Isolation::ReadCommitted)
}

/// The aborted transactions that a committed read at `offset` tells: producer and first offset.
fn aborted(partition: &Partition, offset: u64) -> Vec<(i64, u64)> {
    let fetched = partition.fetch(Offset::new(offset), committed()).unwrap();
    fetched.aborted.iter().map(|entry| (entry.producer_id.get(), entry.first_offset.get())).collect()
}

/// TXN-01, TXN-02, TXN-18, READ-10.
#[test]
fn the_first_open_transaction_holds_committed_reads_back() {
    let dir = TestDir::new("open-transaction");
    let partition = open(&dir);
    append(&partition, "ordinary", 900);
    assert_eq!(stable(&partition), 1);
    assert_eq!(send(&partition, 1, 0), 1);
    append(&partition, "ordinary", 900);
    assert_eq!(send(&partition, 2, 0), 3);
    assert_eq!(send(&partition, 1, 1), 4);
    assert_eq!(stable(&partition), 1);
    let fetched = partition.fetch(Offset::ZERO, committed()).unwrap();
    assert_eq!((fetched.next_offset.get(), fetched.aborted.len()), (1, 0));
    assert!(partition.fetch(Offset::new(3), committed()).unwrap().is_empty());
    assert_eq!(commit(&partition, 1), 5);
    assert_eq!(stable(&partition), 3, "the next open one");
    assert_eq!(commit(&partition, 2), 6);
    assert_eq!(stable(&partition), 7, "behind the marker");
    partition.close().unwrap();
}

/// TXN-22: under a high watermark that follows the disk.
#[test]
fn a_commit_is_stable_once_its_marker_is_below_the_high_watermark() {
    let dir = TestDir::new("marker-durable");
    let partition = open_at(&dir, &[("high.watermark", "durable")], &clock());
    send(&partition, 1, 0);
    partition.sync().unwrap();
    commit(&partition, 1);
    assert_eq!(stable(&partition), 0);
    partition.sync().unwrap();
    assert_eq!(stable(&partition), 2);
    partition.close().unwrap();
}

/// TXN-05, TXN-06, TXN-21, TXN-23, REC-24: over many segments, reopened, without snapshots and without indexes.
#[test]
fn aborted_transactions_are_told_for_reads_in_every_segment() {
    let dir = TestDir::new("aborted");
    let partition = open(&dir);
    for n in 0..12 {
        send(&partition, 1, n);
        append(&partition, "between", 900);
    }
    assert_eq!(abort(&partition, 1), 24);
    send(&partition, 2, 0);
    assert_eq!(commit(&partition, 2), 26);
    assert!(bases(&partition).len() > 3);
    let expected: Vec<_> = (0..27).map(|offset| aborted(&partition, offset)).collect();
    assert!(expected[..24].iter().all(|told| *told == [(1, 0)]), "{expected:?}");
    partition.close().unwrap();
    for round in ["as closed", "without snapshots", "without transaction indexes", "from the log alone"] {
        let extension: &[&str] = match round {
            "without snapshots" => &["snapshot"],
            "without transaction indexes" => &["txnindex"],
            "from the log alone" => &["snapshot", "txnindex", "index", "timeindex"],
            _ => &[],
        };
        for entry in std::fs::read_dir(dir.join("orders-0")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|found| extension.iter().any(|e| found == *e)) {
                std::fs::remove_file(path).unwrap();
            }
        }
        let partition = open(&dir);
        assert_eq!(stable(&partition), 27, "{round}");
        let told: Vec<_> = (0..27).map(|offset| aborted(&partition, offset)).collect();
        assert_eq!(told, expected, "{round}");
        partition.close().unwrap();
    }
}

/// TXN-23, TRU-06: a transaction goes on after reopening, and a cut may take its start.
#[test]
fn an_open_transaction_survives_reopening_and_goes_with_a_cut() {
    let dir = TestDir::new("goes-on");
    let partition = open(&dir);
    append(&partition, "before", 900);
    send(&partition, 1, 0);
    partition.close().unwrap();
    let partition = open(&dir);
    assert_eq!(stable(&partition), 1);
    send(&partition, 1, 1);
    assert_eq!(stable(&partition), 1);
    partition.truncate(Offset::new(2)).unwrap();
    assert_eq!(stable(&partition), 1, "its first record is still there");
    partition.truncate(Offset::new(1)).unwrap();
    assert_eq!(stable(&partition), 1, "the log end");
    append(&partition, "after", 900);
    assert_eq!(stable(&partition), 2, "nothing is open");
    partition.close().unwrap();
}

/// XIX-07, XIX-08: it comes with the first aborted transaction, and goes with its segment.
#[test]
fn a_transaction_index_is_there_only_where_something_was_aborted() {
    let dir = TestDir::new("index-files");
    let partition = open(&dir);
    for (id, result) in [(1, TransactionResult::Commit), (2, TransactionResult::Abort), (3, TransactionResult::Abort)] {
        send(&partition, id, 0);
        end(&partition, id, result).unwrap();
        partition.roll().unwrap();
        partition.sync().unwrap();
    }
    assert_eq!(bases(&partition), [0, 2, 4, 6]);
    let exists = |base: u64| dir.join(format!("orders-0/{base:020}.txnindex")).exists();
    assert_eq!([0, 2, 4, 6].map(exists), [false, true, true, false]);
    partition.truncate(Offset::new(4)).unwrap();
    assert_eq!([0, 2, 4].map(exists), [false, true, false]);
    partition.delete_records(..Offset::new(4)).unwrap();
    assert_eq!([0, 2, 4].map(exists), [false; 3]);
    assert_eq!(send(&partition, 3, 0), 4);
    assert_eq!(abort(&partition, 3), 5);
    partition.close().unwrap();
    assert!(exists(4));
    let partition = open(&dir);
    assert_eq!(aborted(&partition, 4), [(3, 4)]);
    partition.close().unwrap();
}

/// REC-24, TXN-05: from the log files alone, as where nothing was synced; and by a follower.
#[test]
fn recovered_transaction_indexes_tell_the_same() {
    let dir = TestDir::new("recovered-index");
    let partition = open(&dir);
    for round in 0..6 {
        for id in 1..4 {
            send(&partition, id, 2 * round);
            append(&partition, "between", 900);
            send(&partition, id, 2 * round + 1);
        }
        for (id, result) in
            [(2, TransactionResult::Abort), (1, TransactionResult::Commit), (3, TransactionResult::Abort)]
        {
            end(&partition, id, result).unwrap();
        }
    }
    let log_end = partition.offsets().1.end.get();
    assert!(bases(&partition).len() > 6);
    let expected: Vec<_> = (0..log_end).map(|offset| aborted(&partition, offset)).collect();
    let copy = TestDir::scratch("recovered-index-copy");
    copy_dir(&dir.join("orders-0"), &copy.join("orders-0"));
    partition.close().unwrap();
    for entry in std::fs::read_dir(copy.join("orders-0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let partition = open(&copy);
    assert!(partition.recovery().rebuilt_indexes > 5, "{:?}", partition.recovery());
    let told: Vec<_> = (0..log_end).map(|offset| aborted(&partition, offset)).collect();
    assert_eq!(told, expected);
    let follower_dir = TestDir::new("aborted-follower");
    let follower = open_at(&follower_dir, &[("segment.bytes", "900")], &clock());
    let mut next = Offset::ZERO;
    while next.get() < log_end {
        let fetched = partition.fetch(next, FetchLimit::bytes(1_000)).unwrap();
        follower.append_as_follower(&fetched.bytes).unwrap();
        next = fetched.next_offset;
    }
    assert_eq!(stable(&follower), stable(&partition));
    let all =
        |partition: &Partition| (0..log_end).flat_map(|offset| aborted(partition, offset)).collect::<HashSet<_>>();
    assert_eq!(all(&follower), all(&partition));
    follower.close().unwrap();
    partition.close().unwrap();
}

/// REC-26: a leader's log is taken as it is, also where a coordinator's epoch goes back.
#[test]
fn coordinator_epochs_that_go_back_are_recovered() {
    let dir = TestDir::new("epochs-go-back");
    let partition = open(&dir);
    for (offset, coordinator) in [(0, 9), (1, 4), (2, 5)] {
        let marker = EndMarker {
            result: TransactionResult::Commit,
            producer_id: ProducerId::new(1),
            producer_epoch: ProducerEpoch::new(0),
            coordinator_epoch: coordinator,
            timestamp: Timestamp::from_millis(950),
        };
        let mut bytes = marker.encode().unwrap();
        bytes[..8].copy_from_slice(&u64::to_be_bytes(offset));
        partition.append_as_follower(&bytes).unwrap();
    }
    let copy = TestDir::scratch("epochs-go-back-copy");
    copy_dir(&dir.join("orders-0"), &copy.join("orders-0"));
    partition.close().unwrap();
    for dir in [&dir, &copy] {
        let partition = open(dir);
        assert_eq!((partition.offsets().1.end.get(), partition.recovery().cut_bytes), (3, 0));
        assert!(end_as(&partition, 1, TransactionResult::Commit, 0, 4).is_err(), "the last one was 5");
        assert_eq!(end_as(&partition, 1, TransactionResult::Commit, 0, 5).unwrap(), 3);
        partition.close().unwrap();
    }
}

/// TXN-07.
#[test]
fn the_last_stable_offset_is_never_below_the_log_start() {
    let dir = TestDir::new("start-above");
    let partition = open(&dir);
    send(&partition, 1, 0);
    for _ in 0..20 {
        append(&partition, "later", 900);
    }
    assert_eq!(stable(&partition), 0);
    for start in [1, 3, bases(&partition)[1], bases(&partition)[2]] {
        partition.delete_records(..Offset::new(start)).unwrap();
        let (log_start, marks) = partition.offsets();
        assert_eq!(log_start.get(), start);
        assert!(marks.last_stable >= log_start, "{marks:?} above {start}");
    }
    partition.close().unwrap();
}

/// TXN-04, TXN-08, TXN-09, TXN-10, TXN-11.
#[test]
fn markers_of_zombies_are_refused_and_higher_epochs_fence() {
    let dir = TestDir::new("zombies");
    let partition = open(&dir);
    let end = |epoch, coordinator| end_as(&partition, 1, TransactionResult::Commit, epoch, coordinator);
    send(&partition, 1, 0);
    end(0, 5).unwrap();
    assert!(end(0, 4).is_err(), "an older coordinator");
    end(3, 5).unwrap();
    assert_eq!(end(2, 5).unwrap_err().kind(), ErrorKind::ProducerFenced);
    let mut builder = BatchBuilder::new();
    builder.producer(ProducerId::new(1), ProducerEpoch::new(0), Sequence::new(1)).transactional(true);
    builder.push(&Record::new().value("x"), Timestamp::from_millis(900)).unwrap();
    let fenced = partition.append(builder.finish().unwrap().unwrap()).unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::ProducerFenced);
    send(&partition, 7, 0);
    let mixed = partition.append(&support::partition::from_producer(7, 0, 1, &[("ordinary", 900)])).unwrap_err();
    assert_eq!(mixed.kind(), ErrorKind::InvalidTxnState);
    partition.close().unwrap();
    let partition = open(&dir);
    assert!(end_as(&partition, 1, TransactionResult::Commit, 3, 4).is_err(), "also after reopening");
    partition.close().unwrap();
}

const MINUTE: i64 = 60_000;

/// TXN-20, TRU-11, IDM-18, IDM-19: in a store, which counts, and reopened, where nothing is loaded for the count.
#[test]
fn late_transactions_and_producers_are_counted() {
    let dir = TestDir::new("late");
    let hands = ManualClock::at(Timestamp::from_millis(1_000));
    let open = || StoreConfig::default().clock(Arc::new(hands.clone())).open(&dir).unwrap();
    let first = |store: &Store| store.topic("a").unwrap().partition(0).unwrap();
    let counts = |store: &Store| {
        let stats = &store.stats().unwrap().partitions[0];
        (stats.producers, stats.late_transactions)
    };
    let store = open();
    store.create_topic("a", TopicConfig::default()).unwrap();
    assert_eq!(counts(&store), (Some(0), 0));
    let partition = first(&store);
    partition.append(&support::partition::from_producer(3, 4, 0, &[("v0", 900), ("v1", 900)])).unwrap();
    send(&partition, 1, 0);
    hands.set(Timestamp::from_millis(900 + 20 * MINUTE));
    assert_eq!(counts(&store), (Some(2), 0));
    hands.set(Timestamp::from_millis(901 + 20 * MINUTE));
    assert_eq!(counts(&store), (Some(2), 1));
    store.close().unwrap();
    let store = open();
    assert_eq!(counts(&store), (Some(2), 1), "reopened");
    let partition = first(&store);
    let known: Vec<_> = partition.log().producers().unwrap();
    let facts = known.iter().map(|one| (one.id.get(), one.epoch.get(), one.last_sequence.get(), one.transaction_start));
    assert_eq!(facts.collect::<Vec<_>>(), [(1, 0, 0, Some(Offset::new(2))), (3, 4, 1, None)]);
    assert_eq!((known[1].last_timestamp.millis(), known[1].coordinator_epoch), (900, None));
    send(&partition, 2, 0);
    assert_eq!(counts(&store), (Some(3), 2));
    partition.truncate(Offset::new(3)).unwrap();
    assert_eq!(counts(&store), (Some(2), 1), "behind a cut that took one of them");
    abort(&partition, 1);
    assert_eq!(counts(&store), (Some(2), 0));
    partition.truncate(Offset::new(3)).unwrap();
    assert_eq!(counts(&store), (Some(2), 1), "behind a cut that took its end");
    partition.truncate(Offset::ZERO).unwrap();
    assert_eq!(counts(&store), (Some(0), 0));
    store.close().unwrap();
    let store = open();
    assert_eq!(counts(&store), (None, 0), "nobody needs to know");
    store.close().unwrap();
}

/// IDM-17: producers were forgotten at opening alone, so that a log that stayed open remembered all that ever wrote.
#[test]
fn silent_producers_are_forgotten_while_the_log_is_open() {
    let dir = TestDir::new("forgotten");
    let hands = ManualClock::at(Timestamp::from_millis(1_000));
    let clock: Arc<dyn Clock> = Arc::new(hands.clone());
    let partition = open_at(&dir, &[], &clock);
    let ordinary = |id, sequence, time| support::partition::from_producer(id, 0, sequence, &[("x", time)]);
    partition.append(&ordinary(1, 0, 900)).unwrap();
    send(&partition, 2, 0);
    let known = || partition.log().producers().unwrap().iter().map(|one| one.id.get()).collect::<Vec<_>>();
    for (now, expected) in [(24 * 60 * MINUTE, [1, 2, 3].as_slice()), (24 * 60 * MINUTE + 10 * MINUTE, &[2, 3])] {
        hands.set(Timestamp::from_millis(900 + now - 1));
        let sequence = i32::from(expected.len() == 2);
        partition.append(&ordinary(3, sequence, 900 + now - 1)).unwrap();
        assert_eq!(known(), expected, "after {now} ms");
    }
    partition.append(&ordinary(1, 77, 900 + 24 * 60 * MINUTE)).unwrap();
    let gap = partition.append(&ordinary(3, 9, 900 + 24 * 60 * MINUTE)).unwrap_err();
    assert_eq!(gap.kind(), ErrorKind::OutOfOrderSequence, "who is known is still checked");
    partition.close().unwrap();
}
