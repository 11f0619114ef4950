//! Many threads on one partition: writers of all kinds, readers up to all marks, rolls, syncs and deletions; and a
//! checker that looks through what they did and saw. `RIVERBED_SECONDS` makes it last longer.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests choose their numbers, and may wait"
)]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use riverbed::{
    AppendOrigin, BatchBuilder, DecompressionLimits, EndMarker, ErrorKind, FetchLimit, Isolation, Offset, Partition,
    ProducerEpoch, ProducerId, ReadUpTo, Record, Sequence, Store, Timestamp, TopicConfig, TransactionResult,
};
use support::TestDir;
use support::history::{End, History, Poll, Send, Took, Wrong, wrongs};
use support::random::Random;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// What a writer sends in a second, at most: the checker keeps it all.
const SENDS_A_SECOND: u64 = 8_000;

/// What the threads have in common.
struct Run {
    partition: Partition,
    /// The clock of the history.
    ticks: AtomicU64,
    next_value: AtomicU64,
    stopped: AtomicBool,
    sends_each: u64,
    history: Mutex<History>,
}

/// A value that nobody else sends, which cannot be torn without being noticed.
fn value_of(id: u64) -> Vec<u8> {
    let mut random = Random::new(id);
    let mut value = id.to_be_bytes().to_vec();
    value.extend((0..id % 90).map(|_| random.bits().to_be_bytes()[0]));
    value
}

fn id_of(value: &[u8]) -> u64 {
    let id = value.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
    if value_of(id) == value { id } else { u64::MAX }
}

/// Who sends, and as whom.
struct Writer {
    number: usize,
    producer: Option<ProducerId>,
    sequence: i32,
    transaction: Option<u64>,
    sends: Vec<Send>,
}

impl Writer {
    fn new(number: usize, producer: Option<i64>) -> Self {
        Self { number, producer: producer.map(ProducerId::new), sequence: 0, transaction: None, sends: Vec::new() }
    }

    /// Sends a batch of new records, and as an idempotent producer perhaps again.
    fn send(&mut self, run: &Run, random: &mut Random) {
        let count = 1 + random.below(4);
        let ids: Vec<u64> = (0..count).map(|_| run.next_value.fetch_add(1, Ordering::Relaxed)).collect();
        let mut builder = BatchBuilder::new();
        if let Some(id) = self.producer {
            builder.producer(id, ProducerEpoch::new(0), Sequence::new(self.sequence));
            builder.transactional(self.transaction.is_some());
        }
        for id in &ids {
            builder.push(&Record::new().key("k").value(value_of(*id)), NOW).unwrap();
        }
        let batch = builder.finish().unwrap().unwrap();
        let times = if self.producer.is_some() && random.one_in(8) { 2 } else { 1 };
        for _ in 0..times {
            let begun = run.tick();
            let first = run.partition.append(batch).unwrap().offsets.start().get();
            let took = Took { begun, done: run.tick() };
            let sent = ids.iter().zip(first..).map(|(value, offset)| Send {
                writer: self.number,
                value: *value,
                offset: Some(offset),
                transaction: self.transaction,
                took,
            });
            self.sends.extend(sent);
        }
        self.sequence += i32::try_from(count).unwrap();
    }
}

impl Run {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    fn write(&self, number: usize, producer: Option<i64>) {
        let (mut writer, mut random) = (Writer::new(number, producer), Random::new(number as u64));
        while self.goes_on() && writer.sends.len() < usize::try_from(self.sends_each).unwrap() {
            writer.send(self, &mut random);
            if random.one_in(50) {
                let end = self.partition.offsets().1.end;
                self.partition.wait_durable(end).unwrap();
            }
        }
        self.history.lock().unwrap().sends.append(&mut writer.sends);
    }

    fn write_transactions(&self, number: usize, producer: i64) {
        let (mut writer, mut random) = (Writer::new(number, Some(producer)), Random::new(number as u64));
        let mut ends = Vec::new();
        for transaction in 0.. {
            if !self.goes_on() || writer.sends.len() >= usize::try_from(self.sends_each).unwrap() {
                break;
            }
            writer.transaction = Some(transaction * 10 + number as u64);
            for _ in 0..1 + random.below(5) {
                writer.send(self, &mut random);
            }
            let commit = !random.one_in(3);
            let marker = EndMarker {
                result: if commit { TransactionResult::Commit } else { TransactionResult::Abort },
                producer_id: ProducerId::new(producer),
                producer_epoch: ProducerEpoch::new(0),
                coordinator_epoch: 0,
                timestamp: NOW,
            };
            let begun = self.tick();
            let appended = self.partition.append_as(&marker.encode().unwrap(), AppendOrigin::Coordinator).unwrap();
            let offset = appended.offsets.start().get();
            let took = Took { begun, done: self.tick() };
            ends.push(End { transaction: writer.transaction.unwrap(), commit, offset, took });
        }
        let mut history = self.history.lock().unwrap();
        history.sends.append(&mut writer.sends);
        history.ends.append(&mut ends);
    }

    /// Follows the log until it stands still after the end of all writing.
    fn read(&self, reader: usize, up_to: ReadUpTo, isolation: Isolation) {
        let (mut next, mut polls, mut random) = (Offset::ZERO, Vec::new(), Random::new(reader as u64));
        loop {
            let last = !self.goes_on();
            let limit = FetchLimit::bytes(1 + usize::try_from(random.below(5000)).unwrap());
            let begun = self.tick();
            let fetched = match self.partition.fetch(next, limit.up_to(up_to).isolation(isolation)) {
                Ok(fetched) => fetched,
                Err(error) => {
                    // It was overtaken by a deletion.
                    let (start, _) = self.partition.offsets();
                    assert!(error.kind() == ErrorKind::OffsetOutOfRange && start > next, "{error} at {next}");
                    next = start;
                    continue;
                }
            };
            let took = Took { begun, done: self.tick() };
            let hidden = aborted(&fetched);
            let mut records = Vec::new();
            for batch in fetched.batches().filter(|batch| !batch.attributes().is_control()) {
                batch.check().unwrap();
                let payload = batch.payload(&DecompressionLimits::default()).unwrap();
                let is_hidden = hidden.contains(&batch.base_offset().get());
                for record in
                    payload.records().map(Result::unwrap).filter(|record| record.offset() >= next && !is_hidden)
                {
                    records.push((record.offset().get(), id_of(record.value().unwrap_or_default())));
                }
            }
            let (_, marks) = self.partition.offsets();
            let mark = match (up_to, isolation) {
                (_, Isolation::ReadCommitted) => marks.last_stable,
                (ReadUpTo::Written, _) => marks.end,
                (ReadUpTo::Durable, _) => marks.durable,
                _ => marks.high,
            };
            let is_empty = fetched.is_empty();
            polls.push(Poll {
                reader,
                from: next.get(),
                next: fetched.next_offset.get(),
                committed: isolation == Isolation::ReadCommitted,
                written: up_to == ReadUpTo::Written && isolation == Isolation::ReadUncommitted,
                mark: mark.get(),
                records,
                took,
            });
            next = fetched.next_offset;
            if is_empty && last {
                break;
            }
            if is_empty {
                thread::yield_now();
            }
        }
        self.history.lock().unwrap().polls.append(&mut polls);
    }

    /// Rolls, syncs and deletes.
    fn disturb(&self) {
        let mut random = Random::new(99);
        while self.goes_on() {
            thread::sleep(Duration::from_millis(1));
            match random.below(12) {
                0..=2 => _ = self.partition.roll().unwrap(),
                3..=5 => _ = self.partition.sync().unwrap(),
                6 => {
                    let (start, marks) = self.partition.offsets();
                    // Readers are not to be overtaken all the time.
                    let to = start.get() + (marks.last_stable.get() - start.get()) / 8;
                    _ = self.partition.delete_records(..Offset::new(to)).unwrap();
                }
                _ => {}
            }
        }
    }
}

/// Base offsets of the batches that a reader of committed records leaves out.
fn aborted(fetched: &riverbed::Fetched) -> Vec<u64> {
    let mut waiting: Vec<_> = fetched.aborted.iter().map(|one| (one.first_offset, one.producer_id)).collect();
    waiting.sort_unstable();
    let (mut waiting, mut hidden, mut found) = (waiting.into_iter().peekable(), Vec::new(), Vec::new());
    for batch in fetched.batches() {
        while let Some((_, id)) = waiting.next_if(|(first, _)| *first <= batch.last_offset()) {
            hidden.push(id);
        }
        let id = batch.header().producer_id;
        if batch.attributes().is_control() {
            hidden.retain(|hidden| *hidden != id);
        } else if batch.attributes().is_transactional() && hidden.contains(&id) {
            found.push(batch.base_offset().get());
        }
    }
    found
}

#[test]
fn what_threads_saw_of_one_another_can_be_put_in_order() {
    let seconds: u64 = std::env::var("RIVERBED_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let dir = TestDir::scratch("histories");
    let store = Store::open(dir.path()).unwrap();
    let config = TopicConfig::default().set("segment.bytes", "60000").unwrap();
    let config = config.set("message.timestamp.before.max.ms", &i64::MAX.to_string()).unwrap();
    let partition = store.create_topic("orders", config).unwrap().partition(0).unwrap();
    let run = Run {
        partition,
        ticks: AtomicU64::new(0),
        next_value: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        sends_each: SENDS_A_SECOND * seconds,
        history: Mutex::default(),
    };
    thread::scope(|scope| {
        let run = &run;
        scope.spawn(|| run.write(0, None));
        scope.spawn(|| run.write(1, None));
        scope.spawn(|| run.write(2, Some(1)));
        scope.spawn(|| run.write_transactions(3, 2));
        scope.spawn(|| run.write_transactions(4, 3));
        scope.spawn(|| run.read(0, ReadUpTo::Written, Isolation::ReadUncommitted));
        scope.spawn(|| run.read(1, ReadUpTo::Durable, Isolation::ReadUncommitted));
        scope.spawn(|| run.read(2, ReadUpTo::HighWatermark, Isolation::ReadUncommitted));
        scope.spawn(|| run.read(3, ReadUpTo::HighWatermark, Isolation::ReadCommitted));
        scope.spawn(|| run.disturb());
        thread::sleep(Duration::from_secs(seconds));
        run.stopped.store(true, Ordering::Relaxed);
    });
    // Once all is written: everything that is left, by one reader of each kind.
    let start = run.partition.offsets().0;
    run.partition.sync().unwrap();
    run.read_rest(start);
    let history = run.history.into_inner().unwrap();
    let wrongs = wrongs(&history);
    assert!(wrongs.is_empty(), "{} wrong of {} sends: {:?}", wrongs.len(), history.sends.len(), wrongs.first());
    println!("{} sends, {} ends, {} polls", history.sends.len(), history.ends.len(), history.polls.len());
    assert!(history.sends.len() > 1_000 && history.ends.len() > 20 && history.polls.len() > 100);
    store.close().unwrap();
}

impl Run {
    fn read_rest(&self, start: Offset) {
        let end = self.partition.offsets().1.end;
        for (reader, isolation) in [(10, Isolation::ReadUncommitted), (11, Isolation::ReadCommitted)] {
            self.read(reader, ReadUpTo::Durable, isolation);
            let history = self.history.lock().unwrap();
            let last = history.polls.last().unwrap();
            assert!(last.next == end.get() && start <= end, "{last:?} does not end at {end}");
        }
    }
}

/// Two writers, a committed and an aborted transaction, and readers who saw it all: nothing is wrong with it.
fn sound() -> History {
    let took = |begun| Took { begun, done: begun + 1 };
    let send =
        |writer, value, transaction| Send { writer, value, offset: Some(value), transaction, took: took(10 * value) };
    let end = |transaction, commit, offset: u64| End { transaction, commit, offset, took: took(10 * offset) };
    let poll = |reader, from, next, committed, records: &[u64]| Poll {
        reader,
        from,
        next,
        committed,
        written: !committed,
        mark: 8,
        records: records.iter().map(|offset| (*offset, *offset)).collect(),
        took: took(100),
    };
    History {
        sends: vec![
            send(0, 0, None),
            send(1, 1, None),
            send(0, 2, Some(7)),
            send(1, 3, Some(8)),
            send(0, 4, None),
            send(1, 7, None),
        ],
        ends: vec![end(7, true, 5), end(8, false, 6)],
        polls: vec![
            poll(0, 0, 4, false, &[0, 1, 2, 3]),
            poll(0, 4, 8, false, &[4, 7]),
            poll(0, 8, 8, false, &[]),
            poll(1, 0, 8, true, &[0, 1, 2, 4, 7]),
        ],
    }
}

#[test]
fn a_sound_history_is_found_sound() {
    assert_eq!(wrongs(&sound()), [].into());
}

#[test]
fn each_kind_of_wrong_is_found_in_a_history_that_has_it() {
    type Plant = fn(&mut History);
    let plants: [(Plant, Wrong); 13] = [
        (|h| h.polls[3].records[0].1 = 1, Wrong::TwoValues { offset: 0, values: (0, 1) }),
        (|h| h.polls[3].records[0].1 = 1, Wrong::Duplicate { value: 1, offsets: (1, 0) }),
        (|h| h.polls[1].records[0].1 = u64::MAX, Wrong::Torn { offset: 4, value: u64::MAX }),
        (|h| h.sends[4].offset = None, Wrong::Torn { offset: 4, value: 4 }),
        (|h| _ = h.polls[0].records.remove(1), Wrong::Lost { reader: 0, offset: 1 }),
        (|h| _ = h.polls[3].records.remove(2), Wrong::Lost { reader: 1, offset: 2 }),
        (|h| h.polls[2].next = 9, Wrong::Skipped { reader: 0, offset: 8 }),
        (|h| h.polls[3].records.insert(3, (3, 3)), Wrong::AbortedRead { reader: 1, offset: 3 }),
        (|h| h.ends[0].took.begun = 200, Wrong::PrecommittedRead { reader: 1, offset: 2 }),
        (|h| h.polls[1].from = 3, Wrong::NonmonotonicPoll { reader: 0, offset: 3 }),
        (|h| h.polls[0].records.swap(0, 1), Wrong::NonmonotonicPoll { reader: 0, offset: 0 }),
        (|h| h.polls[3].mark = 7, Wrong::BeyondMark { reader: 1, offset: 7 }),
        (|h| _ = (h.polls[1].next = 4, h.polls[1].records.clear()), Wrong::Stale { reader: 0, offset: 4 }),
    ];
    for (plant, wrong) in plants {
        let mut history = sound();
        plant(&mut history);
        let found = wrongs(&history);
        assert!(found.contains(&wrong), "{wrong:?} is not among {found:?}");
    }
}

#[test]
fn sends_in_a_wrong_order_are_found() {
    let mut history = sound();
    history.sends.swap(0, 2);
    assert!(wrongs(&history).contains(&Wrong::NonmonotonicSend { writer: 0, offset: 0 }));
    let mut history = sound();
    history.sends[5].took = Took { begun: 5, done: 6 };
    assert!(wrongs(&history).contains(&Wrong::Reordered { offsets: (7, 1) }), "{:?}", wrongs(&history));
}
