use super::*;
use crate::error::ErrorKind;
use crate::log::producer_check::Duplicate;
use crate::record::Attributes;
use crate::record::batch_header::HEADER_LEN;
use crate::types::{LeaderEpoch, ProducerEpoch, Sequence};

const DAY: i64 = 86_400_000;

/// A log that keeps headers only: checks, stamps and counts them as an append does.
#[derive(Default)]
struct Appender {
    state: ProducerState,
    completed: Vec<CompletedTransaction>,
}

#[derive(Clone, Copy)]
struct Batch {
    id: i64,
    epoch: i16,
    sequence: i32,
    count: i32,
    time: i64,
    transactional: bool,
}

fn batch(id: i64, epoch: i16, sequence: i32) -> Batch {
    Batch { id, epoch, sequence, count: 1, time: 1_000, transactional: false }
}

impl Batch {
    fn of(self, count: i32) -> Self {
        Self { count, ..self }
    }

    fn at(self, time: i64) -> Self {
        Self { time, ..self }
    }

    fn transactional(self) -> Self {
        Self { transactional: true, ..self }
    }

    fn header(self, base_offset: Offset) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: i32::try_from(HEADER_LEN).unwrap(),
            leader_epoch: LeaderEpoch::ZERO,
            crc: 0,
            attributes: Attributes::default().with_transactional(self.transactional),
            last_offset_delta: self.count - 1,
            base_timestamp: Timestamp::from_millis(self.time),
            max_timestamp: Timestamp::from_millis(self.time),
            producer_id: ProducerId::new(self.id),
            producer_epoch: ProducerEpoch::new(self.epoch),
            base_sequence: Sequence::new(self.sequence),
            record_count: self.count,
        }
    }
}

const fn marker(commit: bool, coordinator_epoch: i32) -> Marker {
    let result = if commit { TransactionResult::Commit } else { TransactionResult::Abort };
    Marker { result, coordinator_epoch }
}

impl Appender {
    /// The offset at which the batch was appended, or that of the one it repeats.
    fn append(&mut self, batch: Batch, origin: Origin) -> Result<u64> {
        let header = batch.header(self.state.end());
        match self.state.check(&header, None, origin, Proof::NotAsked)? {
            Check::Duplicate(duplicate) => Ok(duplicate.first_offset.get()),
            Check::New => {
                assert_eq!(self.state.apply(&header, None), None);
                Ok(header.base_offset.get())
            }
        }
    }

    fn send(&mut self, batch: Batch) -> Result<u64> {
        self.append(batch, Origin::Client)
    }

    fn refused(&mut self, batch: Batch) -> ErrorKind {
        let before = self.state.clone();
        let kind = self.send(batch).unwrap_err().kind();
        assert_eq!(self.state, before, "what is refused changes nothing");
        kind
    }

    /// The offset of the marker.
    fn mark(&mut self, id: i64, epoch: i16, marker: Marker, origin: Origin) -> Result<u64> {
        let mut header = Batch { sequence: -1, ..batch(id, epoch, 0).transactional() }.header(self.state.end());
        header.attributes = header.attributes.with_control(true);
        assert_eq!(self.state.check(&header, Some(marker), origin, Proof::NotAsked)?, Check::New);
        self.completed.extend(self.state.apply(&header, Some(marker)));
        Ok(header.base_offset.get())
    }

    fn end_transaction(&mut self, id: i64, commit: bool) -> u64 {
        self.mark(id, 0, marker(commit, 0), Origin::Coordinator).unwrap()
    }

    fn unstable(&self) -> Option<u64> {
        self.state.first_unstable_offset().map(Offset::get)
    }
}

/// IDM-01, IDM-10.
#[test]
fn an_unknown_producer_may_start_with_any_sequence() {
    for (epoch, sequence) in [(0, 0), (0, 15), (5, 118), (0, i32::MAX)] {
        let mut log = Appender::default();
        assert_eq!(log.send(batch(1, epoch, sequence)).unwrap(), 0);
        assert_eq!(log.state.producer(ProducerId::new(1)).unwrap().last_sequence().get(), sequence);
    }
}

/// IDM-02.
#[test]
fn the_next_sequence_follows_the_last() {
    let mut log = Appender::default();
    log.send(batch(1, 0, 0).of(10)).unwrap();
    for sequence in [11, 9, 5, 1] {
        assert_eq!(log.refused(batch(1, 0, sequence)), ErrorKind::OutOfOrderSequence, "{sequence}");
    }
    assert_eq!(log.refused(batch(1, 0, 0).of(9)), ErrorKind::OutOfOrderSequence, "a part of the last batch");
    assert_eq!(log.refused(batch(1, 0, 5).of(10)), ErrorKind::OutOfOrderSequence, "an overlap");
    assert_eq!(log.send(batch(1, 0, 10)).unwrap(), 10);
}

/// IDM-03, IDM-04, IDM-05.
#[test]
fn a_batch_that_comes_again_gets_its_first_answer() {
    let mut log = Appender::default();
    for number in 0..6 {
        log.send(batch(1, 0, 10 * number).of(10).at(i64::from(number))).unwrap();
        log.send(batch(2, 0, number)).unwrap();
        log.send(batch(-1, -1, -1)).unwrap();
    }
    let end = log.state.end();
    let repeated = batch(1, 0, 20).of(10).header(end);
    let answer =
        Duplicate { first_offset: Offset::new(24), last_offset: Offset::new(33), timestamp: Timestamp::from_millis(2) };
    assert_eq!(log.state.check(&repeated, None, Origin::Client, Proof::NotAsked).unwrap(), Check::Duplicate(answer));
    for number in 1..6 {
        assert_eq!(log.send(batch(1, 0, 10 * number).of(10)).unwrap(), 12 * u64::try_from(number).unwrap());
    }
    assert_eq!(log.state.end(), end, "nothing was written");
    assert_eq!(log.refused(batch(1, 0, 0).of(10)), ErrorKind::OutOfOrderSequence, "the sixth is forgotten");
    assert_eq!(log.send(batch(1, 0, 60)).unwrap(), end.get(), "a repeated batch takes no place");
}

/// IDM-06, IDM-07, IDM-11.
#[test]
fn a_leaders_batches_are_not_refused() {
    let mut log = Appender::default();
    let sent = [(1, 0, 0), (2, 0, 0), (1, 0, 1), (1, 0, 1), (1, 0, 7), (2, 3, 9), (2, 1, 4)];
    for (place, (id, epoch, sequence)) in sent.into_iter().enumerate() {
        let offset = log.append(batch(id, epoch, sequence), Origin::Replication).unwrap();
        assert_eq!(offset, place as u64);
    }
    let known = |id| {
        let entry = log.state.producer(ProducerId::new(id)).unwrap();
        (entry.epoch.get(), entry.last_sequence().get(), entry.batches().count())
    };
    assert_eq!((known(1), known(2)), ((0, 7, 4), (1, 4, 1)));
}

/// IDM-08.
#[test]
fn sequences_wrap() {
    let mut log = Appender::default();
    log.send(batch(1, 0, i32::MAX)).unwrap();
    assert_eq!(log.refused(batch(1, 0, 1)), ErrorKind::OutOfOrderSequence);
    log.send(batch(1, 0, 0)).unwrap();
    let mut log = Appender::default();
    log.send(batch(1, 0, i32::MAX - 2).of(5)).unwrap();
    assert_eq!(log.send(batch(1, 0, i32::MAX - 2).of(5)).unwrap(), 0, "it is known again");
    assert_eq!(log.refused(batch(1, 0, 3)), ErrorKind::OutOfOrderSequence);
    log.send(batch(1, 0, 2)).unwrap();
}

/// IDM-09, IDM-20.
#[test]
fn a_new_epoch_starts_at_zero_and_ends_the_old_one() {
    let mut log = Appender::default();
    log.send(batch(1, 1, 3)).unwrap();
    assert_eq!(log.refused(batch(1, 2, 4)), ErrorKind::OutOfOrderSequence);
    log.send(batch(1, 2, 0)).unwrap();
    assert_eq!(log.refused(batch(1, 1, 4)), ErrorKind::ProducerFenced);
    assert_eq!(log.refused(batch(1, 1, 3)), ErrorKind::ProducerFenced, "no duplicate of another epoch");
    log.send(batch(1, 2, 1)).unwrap();
    log.mark(1, 3, marker(false, 0), Origin::Coordinator).unwrap();
    assert_eq!(log.refused(batch(1, 3, 2)), ErrorKind::OutOfOrderSequence);
    assert_eq!(log.refused(batch(1, 2, 2)), ErrorKind::ProducerFenced);
    log.send(batch(1, 3, 0)).unwrap();
}

/// IDM-12.
#[test]
fn a_coordinators_sequences_are_not_checked() {
    let mut log = Appender::default();
    for sequence in [5, 0, -1, -1] {
        log.append(batch(1, 1, sequence), Origin::Coordinator).unwrap();
    }
    let error = log.append(batch(1, 0, 0), Origin::Coordinator).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProducerFenced);
    log.append(Batch { id: -1, epoch: -1, ..batch(-1, -1, 0) }, Origin::Coordinator).unwrap();
    assert_eq!(log.state.producers().len(), 1);
}

/// IDM-14.
#[test]
fn the_end_moves_for_every_batch() {
    let mut log = Appender::default();
    log.send(batch(-1, -1, -1).of(7)).unwrap();
    assert_eq!(log.state.end(), Offset::new(7));
    log.state.advance(Offset::new(9));
    log.state.advance(Offset::new(8));
    assert_eq!(log.state.end(), Offset::new(9));
    assert_eq!(log.state.producers().len(), 0);
}

/// IDM-15.
#[test]
fn a_batch_emptied_by_compaction_keeps_its_sequences() {
    let mut log = Appender::default();
    let header = BatchHeader { record_count: 0, ..batch(1, 0, 4).of(6).header(Offset::ZERO) };
    log.state.apply(&header, None);
    assert_eq!(log.state.producer(ProducerId::new(1)).unwrap().last_sequence().get(), 9);
    log.send(batch(1, 0, 10)).unwrap();
}

/// IDM-17.
#[test]
fn silent_producers_are_forgotten_unless_a_transaction_is_open() {
    let mut log = Appender::default();
    log.send(batch(1, 0, 0).at(100)).unwrap();
    log.send(batch(2, 0, 0).at(101)).unwrap();
    log.send(batch(3, 0, 0).at(0).transactional()).unwrap();
    assert_eq!(log.state.expire(Timestamp::from_millis(99 + DAY), DAY), 0);
    assert_eq!(log.state.expire(Timestamp::from_millis(100 + DAY), DAY), 1);
    assert_eq!(log.refused(batch(2, 0, 5)), ErrorKind::OutOfOrderSequence);
    assert_eq!(log.refused(batch(3, 0, 5).transactional()), ErrorKind::OutOfOrderSequence);
    log.send(batch(1, 0, 5)).unwrap();
    let entries: Vec<_> = log.state.producers().map(|(id, entry)| (id, *entry)).collect();
    let loaded = ProducerState::load(entries, Offset::new(4), Timestamp::from_millis(101 + DAY), DAY);
    let mut left: Vec<_> = loaded.producers().map(|(id, _)| id.get()).collect();
    left.sort_unstable();
    assert_eq!((left, loaded.first_unstable_offset()), (vec![1, 3], Some(Offset::new(2))));
    let mut timeless = ProducerEntry::default();
    timeless.last_timestamp = Timestamp::from_millis(i64::MIN);
    let loaded = ProducerState::load([(ProducerId::new(1), timeless)], Offset::ZERO, Timestamp::from_millis(0), DAY);
    assert_eq!(loaded.producers().len(), 0);
}

/// IDM-16, IDM-18, SNP-06, TXN-23.
#[test]
fn a_loaded_state_goes_on_where_the_saved_one_was() {
    let mut log = Appender::default();
    log.send(batch(1, 0, 0).transactional()).unwrap();
    log.send(batch(2, 4, 0).of(3)).unwrap();
    log.mark(3, 7, marker(true, 12), Origin::Coordinator).unwrap();
    let entries: Vec<_> = log.state.producers().map(|(id, entry)| (id, *entry)).collect();
    let state = ProducerState::load(entries, log.state.end(), Timestamp::from_millis(1_000), DAY);
    assert_eq!(state, log.state);
    let (id, entry) = state.oldest_transaction().unwrap();
    assert_eq!((id.get(), entry.transaction_start), (1, Some(Offset::ZERO)));
    let mut log = Appender { state, ..Appender::default() };
    log.send(batch(2, 4, 3)).unwrap();
    assert_eq!(log.mark(3, 7, marker(true, 11), Origin::Coordinator).unwrap_err().kind(), ErrorKind::ProducerFenced);
    log.end_transaction(1, false);
    assert_eq!(log.completed[0].transaction.first_offset, Offset::ZERO);
}

/// TXN-01, TXN-02, TXN-22.
#[test]
fn a_transaction_is_unstable_until_its_marker_is_replicated() {
    let mut log = Appender::default();
    log.send(batch(-1, -1, -1)).unwrap();
    log.send(batch(2, 0, 0)).unwrap();
    assert_eq!(log.unstable(), None);
    log.send(batch(1, 0, 0).transactional()).unwrap();
    log.send(batch(1, 0, 1).transactional()).unwrap();
    assert_eq!(log.unstable(), Some(2));
    let committed = log.end_transaction(1, true);
    assert_eq!((committed, log.unstable()), (4, Some(2)));
    log.state.on_replicated(Offset::new(4));
    assert_eq!(log.unstable(), Some(2), "the marker itself is not below the high watermark");
    log.state.on_replicated(Offset::new(5));
    assert_eq!(log.unstable(), None);
}

/// TXN-03, TXN-05, TXN-18.
#[test]
fn interleaved_transactions_are_unstable_from_the_first_one_on() {
    let mut log = Appender::default();
    for (id, sequence) in [(1, 0), (2, 0), (1, 1), (3, 0)] {
        log.send(batch(id, 0, sequence).transactional()).unwrap();
        log.send(batch(-1, -1, -1)).unwrap();
    }
    log.end_transaction(2, false);
    log.end_transaction(1, false);
    log.send(batch(2, 0, 1).transactional()).unwrap();
    log.end_transaction(3, true);
    log.end_transaction(2, false);
    let facts = |done: &CompletedTransaction| {
        let t = done.transaction;
        (
            done.result == TransactionResult::Commit,
            t.producer_id.get(),
            t.first_offset.get(),
            t.last_offset.get(),
            t.last_stable_offset.get(),
        )
    };
    let completed: Vec<_> = log.completed.iter().map(facts).collect();
    assert_eq!(completed, [(false, 2, 2, 8, 0), (false, 1, 0, 9, 6), (true, 3, 6, 11, 10), (false, 2, 10, 12, 13)]);
    let mut steps = Vec::new();
    for high_watermark in 0..=13 {
        log.state.on_replicated(Offset::new(high_watermark));
        steps.push(log.unstable());
    }
    let expected = [vec![Some(0); 10], vec![Some(6); 2], vec![Some(10)], vec![None]].concat();
    assert_eq!(steps, expected);
}

/// TXN-04.
#[test]
fn a_marker_without_a_transaction_ends_nothing_but_is_remembered() {
    let mut log = Appender::default();
    log.mark(1, 2, marker(false, 5), Origin::Coordinator).unwrap();
    assert_eq!((log.completed.len(), log.unstable()), (0, None));
    let entry = log.state.producer(ProducerId::new(1)).unwrap();
    assert_eq!((entry.epoch.get(), entry.coordinator_epoch, entry.last_sequence()), (2, 5, Sequence::NONE));
    assert_eq!(log.refused(batch(1, 1, 0)), ErrorKind::ProducerFenced);
    assert_eq!(log.refused(batch(1, 2, 1)), ErrorKind::OutOfOrderSequence);
    log.send(batch(1, 2, 0)).unwrap();
}

/// TXN-08, TXN-09, TXN-10.
#[test]
fn markers_of_zombies_are_refused() {
    let mut log = Appender::default();
    log.send(batch(1, 3, 0).transactional()).unwrap();
    log.mark(1, 3, marker(true, 10), Origin::Coordinator).unwrap();
    for (epoch, coordinator_epoch) in [(3, 9), (2, 10), (2, 11)] {
        let before = log.state.clone();
        let error = log.mark(1, epoch, marker(true, coordinator_epoch), Origin::Coordinator).unwrap_err();
        assert_eq!((error.kind(), &log.state), (ErrorKind::ProducerFenced, &before));
    }
    log.mark(1, 4, marker(false, 10), Origin::Coordinator).unwrap();
    assert_eq!(log.refused(batch(1, 3, 1).transactional()), ErrorKind::ProducerFenced);
    log.mark(1, 2, marker(false, 9), Origin::Replication).unwrap();
}

/// TXN-11.
#[test]
fn a_batch_outside_of_the_open_transaction_is_refused() {
    let mut log = Appender::default();
    log.send(batch(1, 0, 0).transactional()).unwrap();
    assert_eq!(log.refused(batch(1, 0, 1)), ErrorKind::InvalidTxnState);
    log.send(batch(2, 0, 0)).unwrap();
    log.end_transaction(1, true);
    log.send(batch(1, 0, 1)).unwrap();
}

/// TXN-12.
#[test]
fn a_control_batch_without_a_marker_changes_only_the_end() {
    let mut log = Appender::default();
    log.send(batch(1, 3, 5).transactional()).unwrap();
    let before = *log.state.producer(ProducerId::new(1)).unwrap();
    let mut header = Batch { sequence: -1, ..batch(1, 4, 0).transactional() }.header(log.state.end());
    header.attributes = header.attributes.with_control(true);
    header.record_count = 0;
    assert_eq!(log.state.check(&header, None, Origin::Replication, Proof::NotAsked).unwrap(), Check::New);
    assert_eq!(log.state.apply(&header, None), None);
    assert_eq!(log.state.producer(ProducerId::new(1)), Some(&before));
    assert_eq!((log.state.end(), log.unstable()), (Offset::new(2), Some(0)));
}
