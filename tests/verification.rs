//! Transactions that have to be verified with a coordinator before they begin.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use riverbed::{
    AppendOrigin, BatchBuilder, Clock, EndMarker, ErrorKind, ManualClock, Partition, ProducerEpoch, ProducerId, Record,
    Result, Sequence, Timestamp, TransactionResult, VerificationGuard,
};
use support::TestDir;
use support::partition::{append, from_producer, open_at};

const ID: ProducerId = ProducerId::new(7);

fn open(dir: &TestDir) -> (Partition, ManualClock) {
    let hands = ManualClock::at(Timestamp::from_millis(1_000));
    let clock: Arc<dyn Clock> = Arc::new(hands.clone());
    (open_at(dir, &[], &clock), hands)
}

fn batch(epoch: i16, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.producer(ID, ProducerEpoch::new(epoch), Sequence::new(sequence)).transactional(true);
    builder.push(&Record::new().value("x"), Timestamp::from_millis(900)).unwrap();
    builder.finish().unwrap().unwrap().to_vec()
}

fn verify(partition: &Partition, epoch: i16, sequence: i32) -> Option<VerificationGuard> {
    partition.begin_verification(ID, ProducerEpoch::new(epoch), Sequence::new(sequence)).unwrap()
}

fn send(partition: &Partition, epoch: i16, sequence: i32, guard: Option<VerificationGuard>) -> Result<u64> {
    Ok(partition.append_verified(&batch(epoch, sequence), guard)?.offsets.start().get())
}

fn refused(partition: &Partition, epoch: i16, sequence: i32, guard: Option<VerificationGuard>) -> ErrorKind {
    let before = partition.offsets();
    let kind = send(partition, epoch, sequence, guard).unwrap_err().kind();
    assert_eq!(partition.offsets(), before);
    kind
}

fn end(partition: &Partition, epoch: i16) {
    let marker = EndMarker {
        result: TransactionResult::Abort,
        producer_id: ID,
        producer_epoch: ProducerEpoch::new(epoch),
        coordinator_epoch: 0,
        timestamp: Timestamp::from_millis(950),
    };
    partition.append_as(&marker.encode().unwrap(), AppendOrigin::Coordinator).unwrap();
}

/// TXN-15.
#[test]
fn a_guard_is_shared_and_stands_until_a_record_or_marker_comes() {
    let dir = TestDir::new("guards");
    let (partition, hands) = open(&dir);
    assert_eq!(refused(&partition, 0, 0, None), ErrorKind::InvalidTxnState);
    let first = verify(&partition, 0, 0);
    assert!(first.is_some());
    assert_eq!(verify(&partition, 0, 0), first, "whoever asks meanwhile");
    assert_eq!(refused(&partition, 0, 0, None), ErrorKind::InvalidTxnState);
    assert_eq!(send(&partition, 0, 0, first).unwrap(), 0);
    assert_eq!(verify(&partition, 0, 1), None, "the transaction is open");
    assert_eq!(send(&partition, 0, 1, None).unwrap(), 1);
    end(&partition, 0);
    assert_eq!(refused(&partition, 0, 2, first), ErrorKind::InvalidTxnState, "it was for another transaction");

    let second = verify(&partition, 0, 2);
    assert!(second.is_some() && second != first);
    assert_eq!(refused(&partition, 0, 2, first), ErrorKind::InvalidTxnState);
    end(&partition, 0);
    assert_eq!(refused(&partition, 0, 2, second), ErrorKind::InvalidTxnState, "ended before it began, and so for good");
    let repeat = partition.append_verified(&batch(0, 1), None).unwrap();
    assert!(repeat.duplicate, "what is there already needs no proof");

    let third = verify(&partition, 0, 2);
    hands.advance(Duration::from_secs(24 * 60 * 60));
    append(&partition, "time to look for what is over", 900);
    assert_eq!(refused(&partition, 0, 2, third), ErrorKind::InvalidTxnState, "a day later");
    assert!(!partition.append(&batch(0, 2)).unwrap().duplicate, "nobody asked");
    partition.append_verified(&from_producer(8, 0, 0, &[("ordinary", 900)]), None).unwrap();
    partition.close().unwrap();
}

/// TXN-16: of batches that are verified at a time, the one with the lowest sequence begins the transaction.
#[test]
fn no_batch_overtakes_a_lower_one_that_is_being_verified() {
    let dir = TestDir::new("overtaking");
    let (partition, _) = open(&dir);
    let guard = verify(&partition, 0, 5);
    assert_eq!(verify(&partition, 0, 8), guard);
    assert_eq!(refused(&partition, 0, 8, guard), ErrorKind::OutOfOrderSequence);
    assert_eq!(verify(&partition, 0, 3), guard, "lower ones lower it");
    assert_eq!(refused(&partition, 0, 5, guard), ErrorKind::OutOfOrderSequence);
    let plain = partition.append(&batch(0, 5)).unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::OutOfOrderSequence, "whoever appends");
    send(&partition, 0, 3, guard).unwrap();
    send(&partition, 0, 4, None).unwrap();
    end(&partition, 0);

    let guard = verify(&partition, 1, 4);
    assert_eq!(verify(&partition, 2, 6), guard, "a higher epoch begins anew");
    assert_eq!(verify(&partition, 2, 0), guard);
    assert_eq!(verify(&partition, 1, -1), guard, "a lower one counts for nothing");
    assert_eq!(refused(&partition, 2, 6, guard), ErrorKind::OutOfOrderSequence);
    send(&partition, 2, 0, guard).unwrap();
    partition.close().unwrap();
}

/// TXN-17.
#[test]
fn verification_that_is_switched_on_leaves_open_transactions_alone() {
    let dir = TestDir::new("switched-on");
    let (partition, _) = open(&dir);
    partition.append(&batch(0, 0)).unwrap();
    assert_eq!(send(&partition, 0, 1, None).unwrap(), 1);
    assert_eq!(refused(&partition, 1, 0, None), ErrorKind::InvalidTxnState, "another epoch's is none of it");
    partition.close().unwrap();
    let (partition, _) = open(&dir);
    assert_eq!(verify(&partition, 0, 2), None);
    assert_eq!(send(&partition, 0, 2, None).unwrap(), 2);
    let error = partition.begin_verification(ProducerId::NONE, ProducerEpoch::new(0), Sequence::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    partition.close().unwrap();
}
