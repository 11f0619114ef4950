//! What many threads did to one partition and saw of it, and whether any order of it all can be right.
//!
//! Values name records: each is sent once. Times are ticks of one counter, taken before a call and after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// All that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub sends: Vec<Send>,
    pub ends: Vec<End>,
    pub polls: Vec<Poll>,
}

/// From when to when a call took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    pub begun: u64,
    pub done: u64,
}

/// A record that was sent, once or again.
#[derive(Clone, Copy, Debug)]
pub struct Send {
    pub writer: usize,
    pub value: u64,
    /// Where it lies; `None` if it was refused.
    pub offset: Option<u64>,
    pub transaction: Option<u64>,
    pub took: Took,
}

/// The end of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub transaction: u64,
    pub commit: bool,
    /// Where the marker lies.
    pub offset: u64,
    pub took: Took,
}

/// One fetch.
#[derive(Clone, Debug)]
pub struct Poll {
    pub reader: usize,
    pub from: u64,
    /// Where to go on.
    pub next: u64,
    pub committed: bool,
    /// Whether the reader sees all that is written, and not only what is durable or committed.
    pub written: bool,
    /// The reader's mark, looked at afterwards: it had not passed this one.
    pub mark: u64,
    pub records: Vec<(u64, u64)>,
    pub took: Took,
}

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// One offset, two values.
    TwoValues { offset: u64, values: (u64, u64) },
    /// One value, two offsets.
    Duplicate { value: u64, offsets: (u64, u64) },
    /// Something was read that nobody sent, or that was refused.
    Torn { offset: u64, value: u64 },
    /// A record that was acknowledged was passed over.
    Lost { reader: usize, offset: u64 },
    /// An offset was passed over that is no marker.
    Skipped { reader: usize, offset: u64 },
    /// A record of a transaction that was aborted, or never ended.
    AbortedRead { reader: usize, offset: u64 },
    /// A record of a transaction before anybody asked for its commit.
    PrecommittedRead { reader: usize, offset: u64 },
    /// A reader's offsets went back.
    NonmonotonicPoll { reader: usize, offset: u64 },
    /// A writer's offsets went back.
    NonmonotonicSend { writer: usize, offset: u64 },
    /// A record was acknowledged before another one was sent, and lies behind it.
    Reordered { offsets: (u64, u64) },
    /// A record was read at the reader's mark or above.
    BeyondMark { reader: usize, offset: u64 },
    /// Nothing was read at an offset that had been acknowledged.
    Stale { reader: usize, offset: u64 },
}

/// What is known of the sends and ends.
struct Known {
    /// Which value lies at an offset.
    values: BTreeMap<u64, u64>,
    transactions: HashMap<u64, u64>,
    accepted: HashMap<u64, u64>,
    ends: HashMap<u64, End>,
    markers: BTreeSet<u64>,
}

/// Everything that is wrong with a history. Takes n log n steps.
pub fn wrongs(history: &History) -> BTreeSet<Wrong> {
    let mut wrongs = BTreeSet::new();
    let known = know(history, &mut wrongs);
    order_of_sends(history, &mut wrongs);
    let mut last: HashMap<usize, u64> = HashMap::new();
    let acknowledged = acknowledged(history);
    for poll in &history.polls {
        let before = last.insert(poll.reader, poll.next).unwrap_or(0);
        if poll.from < before || poll.next < poll.from {
            wrongs.insert(Wrong::NonmonotonicPoll { reader: poll.reader, offset: poll.from });
        }
        check_records(poll, &known, &mut wrongs);
        check_passed(poll, &known, &mut wrongs);
        // What had been acknowledged before the call is there.
        if poll.written && poll.next == poll.from {
            let place = acknowledged.partition_point(|(done, _)| *done < poll.took.begun);
            let end = place.checked_sub(1).map_or(0, |place| acknowledged[place].1 + 1);
            if end > poll.from {
                wrongs.insert(Wrong::Stale { reader: poll.reader, offset: poll.from });
            }
        }
    }
    wrongs
}

fn know(history: &History, wrongs: &mut BTreeSet<Wrong>) -> Known {
    let mut known = Known {
        values: BTreeMap::new(),
        transactions: HashMap::new(),
        accepted: HashMap::new(),
        ends: history.ends.iter().map(|end| (end.transaction, *end)).collect(),
        markers: history.ends.iter().map(|end| end.offset).collect(),
    };
    let polled = history.polls.iter().flat_map(|poll| poll.records.iter().copied());
    let sent = history.sends.iter().filter_map(|send| Some((send.offset?, send.value)));
    let mut offsets: HashMap<u64, u64> = HashMap::new();
    for (offset, value) in sent.chain(polled) {
        let first = *known.values.entry(offset).or_insert(value);
        if first != value {
            wrongs.insert(Wrong::TwoValues { offset, values: (first, value) });
        }
        let first = *offsets.entry(value).or_insert(offset);
        if first != offset {
            wrongs.insert(Wrong::Duplicate { value, offsets: (first, offset) });
        }
    }
    for send in &history.sends {
        known.transactions.extend(send.transaction.map(|transaction| (send.value, transaction)));
        known.accepted.extend(send.offset.map(|offset| (send.value, offset)));
    }
    known
}

/// Each writer's offsets go up, and so do those of calls of which one was over before the other began.
fn order_of_sends(history: &History, wrongs: &mut BTreeSet<Wrong>) {
    let mut last: HashMap<usize, u64> = HashMap::new();
    let mut accepted: Vec<(u64, Took)> = Vec::new();
    let mut known: BTreeSet<u64> = BTreeSet::new();
    for send in &history.sends {
        // One that was sent again keeps its place.
        let Some(offset) = send.offset.filter(|offset| known.insert(*offset)) else { continue };
        if last.insert(send.writer, offset).is_some_and(|before| offset <= before) {
            wrongs.insert(Wrong::NonmonotonicSend { writer: send.writer, offset });
        }
        accepted.push((offset, send.took));
    }
    accepted.extend(history.ends.iter().map(|end| (end.offset, end.took)));
    let mut by_end = accepted.clone();
    by_end.sort_unstable_by_key(|(_, took)| took.done);
    accepted.sort_unstable_by_key(|(_, took)| took.begun);
    let (mut done, mut highest) = (by_end.into_iter().peekable(), None);
    for (offset, took) in accepted {
        while let Some((before, _)) = done.next_if(|(_, other)| other.done < took.begun) {
            highest = highest.max(Some(before));
        }
        if let Some(before) = highest.filter(|before| *before > offset) {
            wrongs.insert(Wrong::Reordered { offsets: (before, offset) });
        }
    }
}

/// By the time at which it was known: the highest offset acknowledged until then.
fn acknowledged(history: &History) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> =
        history.sends.iter().filter_map(|send| Some((send.took.done, send.offset?))).collect();
    all.sort_unstable();
    let mut highest = 0;
    for (_, offset) in &mut all {
        highest = highest.max(*offset);
        *offset = highest;
    }
    all
}

fn check_records(poll: &Poll, known: &Known, wrongs: &mut BTreeSet<Wrong>) {
    let reader = poll.reader;
    let mut before = None;
    for &(offset, value) in &poll.records {
        if before.is_some_and(|before| offset <= before) || offset < poll.from || offset >= poll.next {
            wrongs.insert(Wrong::NonmonotonicPoll { reader, offset });
        }
        before = Some(offset);
        if offset >= poll.mark {
            wrongs.insert(Wrong::BeyondMark { reader, offset });
        }
        if !known.accepted.contains_key(&value) {
            wrongs.insert(Wrong::Torn { offset, value });
        }
        let Some(transaction) = known.transactions.get(&value).filter(|_| poll.committed) else { continue };
        match known.ends.get(transaction) {
            Some(end) if end.commit && end.took.begun < poll.took.done => {}
            Some(end) if end.commit => _ = wrongs.insert(Wrong::PrecommittedRead { reader, offset }),
            _ => _ = wrongs.insert(Wrong::AbortedRead { reader, offset }),
        }
    }
}

/// What a poll passed over is a marker, or of no interest to a reader of committed records.
fn check_passed(poll: &Poll, known: &Known, wrongs: &mut BTreeSet<Wrong>) {
    let seen: BTreeSet<u64> = poll.records.iter().map(|(offset, _)| *offset).collect();
    for offset in poll.from..poll.next {
        if seen.contains(&offset) || known.markers.contains(&offset) {
            continue;
        }
        let Some(value) = known.values.get(&offset) else {
            wrongs.insert(Wrong::Skipped { reader: poll.reader, offset });
            continue;
        };
        let is_void = |transaction| known.ends.get(transaction).is_some_and(|end: &End| !end.commit);
        if !(poll.committed && known.transactions.get(value).is_some_and(is_void)) {
            wrongs.insert(Wrong::Lost { reader: poll.reader, offset });
        }
    }
}
