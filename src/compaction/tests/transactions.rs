//! Transactions and producers, one behaviour of Kafka's cleaner a test. Names begin with the numbers of
//! `tests/kafka-behaviours.md`.

use super::*;
use crate::error::ErrorKind;
use crate::record::control::TransactionResult::{Abort, Commit};

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x30;
const WITH_HORIZON: i16 = 0x70;

/// A batch of one record in a transaction, and its marker.
fn one(base: u64) -> (u64, u64, usize, i16) {
    (base, base, 1, TRANSACTIONAL)
}

fn marker(base: u64) -> (u64, u64, usize, i16) {
    (base, base, 1, CONTROL)
}

fn aborted(host: &Host) -> Vec<(u64, u64)> {
    let read = |name: String| host.directory().read(&name, 1 << 20).unwrap_or_default();
    let of = |base: &u64| {
        let bytes = read(format!("{base:020}.txnindex"));
        let index = crate::segment::transaction_index::TransactionIndex::parse(&bytes, Offset::ZERO..Offset::MAX);
        index.unwrap().iter().map(|one| (one.first_offset.get(), one.last_offset.get())).collect::<Vec<_>>()
    };
    host.bases().iter().flat_map(of).collect()
}

#[test]
fn cln_10_the_last_batch_of_a_producer_stays_if_without_records() {
    let mut host = Host::new(&[]);
    host.append(&mut from(1, 0), &[("a", Some("1"))]);
    host.append(&mut from(1, 1), &[("b", Some("2")), ("a", Some("3"))]);
    host.append(&mut from(2, 0), &[("a", Some("4"))]);
    host.send(3, 0, &[("c", Some("void"))]);
    host.end(3, Abort);
    host.append(&mut BatchBuilder::new(), &[("a", Some("5")), ("b", Some("6"))]);
    host.roll();
    host.compact();
    let stay = [empty(1, 2, 0), empty(3, 3, 0), empty(4, 4, TRANSACTIONAL), marker(5), (6, 7, 2, 0)];
    assert_eq!(host.batches(), stay);
    assert_eq!(host.read(Isolation::ReadCommitted).len(), 2);
    host.kill();
    let again = |producer, sequence| {
        let mut builder = from(producer, sequence);
        builder.push(&Record::new().key("a").value("again"), START).unwrap();
        let batch = RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap();
        host.log
            .append(&batch, AppendOrigin::Client)
            .map(|appended| (appended.offsets.start().get(), appended.duplicate))
    };
    assert_eq!(again(2, 0).unwrap(), (3, true), "cln_11");
    assert_eq!(again(2, 5).unwrap_err().kind(), ErrorKind::OutOfOrderSequence);
    assert_eq!(again(2, 1).unwrap(), (8, false));
    host.roll();
    host.compact();
    assert!(!host.batches().contains(&empty(3, 3, 0)), "a newer one tells of producer 2");
}

#[test]
fn cln_11_a_batch_that_was_compacted_is_known_when_it_comes_again() {
    for snapshots in [true, false] {
        let mut host = Host::new(&[]);
        host.append(&mut from(1, 0), &[("a", Some("1")), ("b", Some("2"))]);
        host.put("a", "3");
        host.put("b", "4");
        host.roll();
        host.compact();
        assert_eq!(host.offsets(), [2, 3]);
        if !snapshots {
            host.log.shut();
            for name in host.files().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(".snapshot")) {
                host.directory().unlink(&name).unwrap();
            }
        }
        host.kill();
        let mut builder = from(1, 0);
        for (key, value) in [("a", "1"), ("b", "2")] {
            builder.push(&Record::new().key(key).value(value), START).unwrap();
        }
        let batch = RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap();
        let appended = host.log.append(&batch, AppendOrigin::Client).unwrap();
        assert_eq!((appended.offsets, appended.duplicate), (Offset::ZERO..=Offset::new(1), true));
    }
}

#[test]
fn cln_12_an_aborted_transaction_goes_and_its_marker_after_it() {
    let host = Host::new(&[("delete.retention.ms", "1000")]);
    host.send(1, 0, &[("a", Some("void"))]);
    host.send(1, 1, &[("b", Some("void"))]);
    host.end(1, Abort);
    dirty(&host, 1);
    host.roll();
    host.compact();
    assert_eq!(host.batches(), [empty(1, 1, TRANSACTIONAL), marker(2), (3, 3, 1, 0)]);
    assert_eq!(aborted(&host), [(0, 2)]);
    // Another batch of the producer, and the empty one is needed no more.
    host.send(1, 2, &[("a", Some("1"))]);
    host.end(1, Commit);
    host.roll();
    host.compact();
    assert_eq!(host.batches(), [marker(2), (3, 3, 1, 0), one(4), marker(5)]);
    dirty(&host, 1);
    host.roll();
    host.compact();
    assert_eq!(host.batches(), [(2, 2, 1, WITH_HORIZON), one(4), marker(5), (6, 6, 1, 0)]);
    assert_eq!(aborted(&host), []);
    host.wait(999);
    assert_eq!(host.compact(), Compacted::default());
    host.wait(1);
    host.compact();
    assert_eq!(host.batches(), [one(4), marker(5), (6, 6, 1, 0)]);
}

#[test]
fn cln_13_a_commit_marker_goes_after_its_records_and_not_with_the_same_clock() {
    let host = Host::new(&[("delete.retention.ms", "1000")]);
    host.send(1, 0, &[("a", Some("1"))]);
    host.send(1, 1, &[("b", Some("2"))]);
    host.end(1, Commit);
    host.send(2, 0, &[("a", Some("3"))]);
    host.send(2, 1, &[("b", Some("4"))]);
    host.end(2, Commit);
    host.roll();
    host.compact();
    let held = [empty(1, 1, TRANSACTIONAL), marker(2), one(3), one(4), marker(5)];
    assert_eq!(host.batches(), held, "the last batch of producer 1 holds the marker");
    host.send(1, 2, &[("c", Some("5"))]);
    host.end(1, Commit);
    host.roll();
    host.compact();
    assert_eq!(host.batches()[0], marker(2));
    for _ in 0..2 {
        dirty(&host, 1);
        host.roll();
        host.compact();
    }
    assert_eq!(host.batches()[0], (2, 2, 1, WITH_HORIZON));
    host.wait(1_000);
    host.compact();
    assert_eq!(host.batches()[0], one(3));
}

#[test]
fn cln_14_the_marker_of_a_transaction_over_several_segments_stays_as_long_as_its_records() {
    let host = Host::new(&[("segment.bytes", "300"), ("delete.retention.ms", "0")]);
    host.send(1, 0, &[("a", Some("1"))]);
    host.roll();
    host.put("b", &"x".repeat(150));
    host.send(1, 1, &[("c", Some("2"))]);
    host.roll();
    host.end(1, Commit);
    host.roll();
    for _ in 0..3 {
        host.compact();
    }
    assert!(host.batches().contains(&marker(3)), "{:?}", host.batches());
    host.put("a", "3");
    host.put("c", "4");
    host.send(1, 2, &[("d", Some("5"))]);
    host.end(1, Commit);
    host.roll();
    for _ in 0..4 {
        dirty(&host, 1);
        host.roll();
        host.compact();
    }
    assert!(!host.batches().iter().any(|batch| batch.0 == 3), "{:?}", host.batches());
}

#[test]
fn cln_15_an_empty_control_batch_and_the_marker_of_an_idle_producer() {
    let host = Host::new(&[("delete.retention.ms", "0")]);
    // The producer is known by its marker alone, whose epoch fences what was before.
    host.send(1, 0, &[("a", Some("1"))]);
    let bump = EndMarker {
        result: Abort,
        producer_id: ProducerId::new(1),
        producer_epoch: ProducerEpoch::new(1),
        coordinator_epoch: 0,
        timestamp: START,
    };
    let batch = RecordBatch::parse(bump.encode().unwrap()).unwrap();
    host.log.append(&batch, AppendOrigin::Coordinator).unwrap();
    for _ in 0..4 {
        dirty(&host, 1);
        host.roll();
        host.compact();
    }
    assert_eq!(host.batches(), [empty(1, 1, CONTROL), (5, 5, 1, 0)]);
    let known = host.log.producers().unwrap();
    assert_eq!(known[0].epoch, ProducerEpoch::new(1));
    host.append(&mut BatchBuilder::new(), &[("x", Some("y"))]);
    host.roll();
    host.compact();
    assert_eq!(host.batches()[0], empty(1, 1, CONTROL), "once more it is passed, and stays");
}

#[test]
fn cln_17_a_key_that_looks_like_a_markers_takes_no_marker() {
    let host = Host::new(&[]);
    host.send(1, 0, &[("a", Some("1"))]);
    host.end(1, Commit);
    let mut builder = BatchBuilder::new();
    builder.push(&Record::new().key(&[0_u8, 0, 0, 1]).value("not a marker"), START).unwrap();
    builder.push(&Record::new().key(&[0_u8, 0, 0, 0]).value("not a marker"), START).unwrap();
    host.append(&mut builder, &[]);
    host.roll();
    host.compact();
    assert_eq!(host.batches(), [one(0), marker(1), (2, 3, 2, 0)]);
}

#[test]
fn cln_18_and_19_the_index_names_an_aborted_transaction_as_long_as_batches_of_it_are_there() {
    let host = Host::new(&[("segment.bytes", "400")]).with_keys(2);
    for n in 0..6 {
        let sequence = 2 * n;
        host.send(1, sequence, &[("a", Some("1")), ("b", Some("2"))]);
        host.end(1, if n % 2 == 0 { Abort } else { Commit });
    }
    host.roll();
    let committed = host.read(Isolation::ReadCommitted);
    host.compact();
    let after = host.read(Isolation::ReadCommitted);
    assert_eq!(after, committed[committed.len() - 2..]);
    assert_eq!(aborted(&host).len(), 3, "their batches were there when it passed");
    dirty(&host, 1);
    host.roll();
    host.compact();
    assert_eq!(aborted(&host), [], "no batch of an aborted transaction is left");
    let after = host.read(Isolation::ReadCommitted);
    host.send(1, 12, &[("a", Some("void"))]);
    host.end(1, Abort);
    host.roll();
    host.compact();
    assert_eq!(aborted(&host).len(), 1, "its last batch is the producer's last");
    assert_eq!(host.read(Isolation::ReadCommitted), after);
}

/// A cleaning that began inside of a segment took a producer for aborted whose aborted transaction had ended in front of
/// it: what its next one superseded stayed.
#[test]
fn a_transaction_that_was_aborted_in_front_of_the_cleaning_says_nothing_of_the_next() {
    let mut host = Host::new(&[]);
    // Room for one key.
    host.cleaner = Cleaner::new(CleanerConfig { dedupe_bytes: 0, bytes_per_second: None });
    host.put("c", "old");
    host.roll();
    host.compact();
    host.send(1, 0, &[("x", Some("void"))]);
    host.end(1, Abort);
    host.put("a", "1");
    host.put("b", "1");
    host.send(1, 1, &[("c", Some("new"))]);
    host.end(1, Commit);
    host.roll();
    host.compact();
    assert_eq!(host.log.cleaned().to, Offset::new(7));
    assert_eq!(host.offsets(), [3, 4, 5]);
}
