//! A process that appends is killed a hundred times, at moments nobody chose: nothing acknowledged is ever missing.
//!
//! The child appends to three topics, and tells each batch before it appends it and again when it is acknowledged. It is
//! killed while it opens, appends, rolls, syncs or closes. Then all records are read and compared with what they must
//! be, which their offsets alone say. `RIVERBED_SEED` replays a run's draws; the moments are the machine's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "tests choose their numbers, and may wait"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use riverbed::{
    Acks, BatchBuilder, Clock as _, Compression, DecompressionLimits, FetchLimit, Offset, Partition, ProducerEpoch,
    ProducerId, ReadUpTo, Record, Sequence, Store, SystemClock, Timestamp, TopicConfig,
};
use support::TestDir;
use support::child;
use support::random::{Random, seed};

const KILLS: u32 = 100;
const RECORDS: u64 = 50_000;

/// Each topic takes another way to the disk.
const TOPICS: [&str; 3] = ["mapped", "synced", "retried"];

fn settings(topic: &str) -> &'static [(&'static str, &'static str)] {
    match topic {
        "mapped" => &[("segment.bytes", "30000")],
        "synced" => &[("segment.bytes", "60000"), ("flush.messages", "100")],
        _ => &[("segment.bytes", "50000"), ("flush.ms", "3"), ("index.interval.bytes", "100")],
    }
}

/// The value of the record at `offset`: no two are the same, and lengths differ.
fn value(topic: &str, offset: u64) -> Vec<u8> {
    let mut random = Random::new(offset);
    let mut value = format!("{topic} {offset} ").into_bytes();
    let len = if topic == "synced" && random.one_in(50) { 9_000 } else { random.below(120) };
    value.extend((0..len).map(|_| b'a' + random.below(26) as u8));
    value
}

/// How many records the batch that starts at `offset` has: the same when it is sent again.
fn batch_len(topic: &str, offset: u64) -> u64 {
    if topic == "mapped" { 1 } else { 1 + Random::new(offset ^ 0x5eed).below(40) }
}

#[test]
fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    let seed = seed();
    println!("RIVERBED_SEED={seed} cargo test --test kill_loop");
    let dir = TestDir::new("killed");
    let mut random = Random::new(seed);
    let mut seen = Seen::default();
    let (mut kills, mut rounds) = (0, 0);
    while kills < KILLS || seen.acknowledged() < RECORDS {
        rounds += 1;
        assert!(rounds < 20 * KILLS, "{kills} kills and {seen:?} after {rounds} rounds");
        kills += u32::from(round(&dir, &mut random, &mut seen));
        if random.one_in(3) {
            // Recovered in memory, and left as it is: the next child recovers it on the disk.
            check(&Store::open_read_only(&dir), &mut seen);
        } else {
            let store = Store::open(&dir);
            check(&store, &mut seen);
            if random.one_in(2) {
                store.unwrap().close().unwrap();
            }
        }
    }
    let records: u64 = seen.ends.values().sum();
    println!("killed {kills} times: {} records acknowledged, {records} there, 0 missing", seen.acknowledged());
}

/// What the parent knows, by topic.
#[derive(Debug, Default)]
struct Seen {
    /// Behind the last record that a child told to be acknowledged.
    acknowledged: BTreeMap<String, u64>,
    /// Behind the last record that a child set out to append.
    tried: BTreeMap<String, u64>,
    /// The log end at the last look: what is there once stays there.
    ends: BTreeMap<String, u64>,
}

impl Seen {
    fn acknowledged(&self) -> u64 {
        self.acknowledged.values().sum()
    }

    /// Where the next child goes on: a producer with a sequence sends again what it heard nothing of.
    fn start(&self, topic: &str) -> u64 {
        let of = |list: &BTreeMap<String, u64>| list.get(topic).copied().unwrap_or(0);
        let acknowledged = of(&self.acknowledged);
        if topic == "retried" { acknowledged } else { acknowledged.max(of(&self.ends)) }
    }
}

/// One child from its start to its end. Answers whether it was killed.
fn round(dir: &TestDir, random: &mut Random, seen: &mut Seen) -> bool {
    let closes_after = if random.one_in(6) { random.below(400) } else { u64::MAX };
    let starts: Vec<String> = TOPICS.iter().map(|topic| seen.start(topic).to_string()).collect();
    let work = format!("{} {} {closes_after} {}", dir.path().display(), random.bits(), starts.join(" "));
    let mut command = child::command("the_child_that_is_killed", &work);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    // One in five is killed while it starts and opens, the others once they have told so many lines.
    let lines = if random.one_in(5) { 0 } else { random.below(200) };
    let ended = hear(&mut told, seen, lines);
    spin(Duration::from_micros(random.below(if lines == 0 { 15_000 } else { 2_000 })));
    if !ended {
        child.kill().unwrap();
    }
    // What it told before it died is in the pipe.
    hear(&mut told, seen, u64::MAX);
    was_killed(&mut child)
}

fn was_killed(child: &mut Child) -> bool {
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(9), "a child ended with {status}");
    !status.success()
}

/// Not asleep, as a sleep is hardly shorter than 60 microseconds.
fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Takes in so many lines of the child's, or all until it ends; answers whether it did.
fn hear(told: &mut BufReader<ChildStdout>, seen: &mut Seen, lines: u64) -> bool {
    let mut heard = 0;
    while heard < lines {
        let mut line = String::new();
        if told.read_line(&mut line).unwrap() == 0 {
            return true;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let list = match words.first() {
            Some(&"try") => &mut seen.tried,
            Some(&"done") => &mut seen.acknowledged,
            Some(&"closing") => {
                heard = lines;
                continue;
            }
            _ => continue,
        };
        heard += 1;
        list.insert(words[1].to_string(), words[2].parse().unwrap());
    }
    false
}

/// Reads every topic and compares all of it.
fn check(store: &riverbed::Result<Store>, seen: &mut Seen) {
    let store = store.as_ref().unwrap_or_else(|error| panic!("{error:?}"));
    for topic in TOPICS {
        // The child may have been killed before it created it.
        let Ok(opened) = store.topic(topic) else {
            assert_eq!(seen.acknowledged.get(topic), None, "{topic} is gone");
            continue;
        };
        let partition = opened.partition(0).unwrap();
        let recovery = partition.recovery();
        assert!(recovery.damage.is_empty(), "{topic}: {recovery:?}");
        let end = read_all(topic, &partition);
        let of = |list: &BTreeMap<String, u64>| list.get(topic).copied().unwrap_or(0);
        let (acknowledged, tried) = (of(&seen.acknowledged), of(&seen.tried));
        assert!(end >= acknowledged, "{topic} ends at {end}, {acknowledged} were acknowledged: {recovery:?}");
        assert!(end >= of(&seen.ends), "{topic} ends at {end} and was seen up to {}: {recovery:?}", of(&seen.ends));
        assert!(end == seen.start(topic) || end == tried, "{topic} ends at {end}, within a batch: {seen:?}");
        seen.ends.insert(topic.to_string(), end);
    }
}

/// Reads the log from its beginning: offsets without a gap, and at each the one value that belongs there.
fn read_all(topic: &str, partition: &Partition) -> u64 {
    let (start, marks) = partition.offsets();
    assert_eq!(start, Offset::ZERO);
    let mut next = Offset::ZERO;
    loop {
        let fetched = partition.fetch(next, FetchLimit::bytes(1 << 20).up_to(ReadUpTo::Written)).unwrap();
        if fetched.is_empty() {
            assert_eq!(next, marks.end, "{topic} can be read to its end");
            return next.get();
        }
        for batch in fetched.batches() {
            for record in batch.payload(&DecompressionLimits::default()).unwrap().records() {
                let record = record.unwrap();
                assert_eq!(record.offset(), next, "{topic}: offsets are dense");
                let expected = value(topic, next.get());
                assert!(record.value() == Some(&expected), "{topic} at {next}: {:?}", record.value());
                next = next.next();
            }
        }
        assert_eq!(fetched.next_offset, next);
    }
}

/// The child's part of the test: nothing, unless it was started by the one above.
#[test]
fn the_child_that_is_killed() {
    let Some(work) = child::work() else { return };
    let words: Vec<&str> = work.split(' ').collect();
    let [dir, seed, closes_after, starts @ ..] = words.as_slice() else { panic!("{work}") };
    let mut random = Random::new(seed.parse().unwrap());
    let closes_after: u64 = closes_after.parse().unwrap();
    println!();
    let store = Store::open(dir).unwrap();
    let mut writers: Vec<Writer> =
        TOPICS.iter().zip(starts).map(|(topic, start)| Writer::open(&store, topic, start.parse().unwrap())).collect();
    let mut left = closes_after;
    while left > 0 {
        let choice = random.below(TOPICS.len() as u64) as usize;
        left = left.saturating_sub(writers[choice].append(random.one_in(12)));
    }
    tell("closing", "", 0);
    store.close().unwrap();
}

/// One write call a line: it is in the pipe whole, or not at all.
fn tell(what: &str, topic: &str, end: u64) {
    std::io::stdout().write_all(format!("{what} {topic} {end}\n").as_bytes()).unwrap();
}

/// Appends to one topic.
struct Writer {
    topic: &'static str,
    partition: Partition,
    next: u64,
    now: Timestamp,
}

impl Writer {
    fn open(store: &Store, topic: &'static str, start: u64) -> Self {
        let partition = store.topic(topic).and_then(|topic| topic.partition(0)).unwrap_or_else(|_| {
            let config = settings(topic).iter().fold(TopicConfig::default(), |c, (k, v)| c.set(k, v).unwrap());
            store.create_topic(topic, config).unwrap().partition(0).unwrap()
        });
        let end = partition.offsets().1.end.get();
        assert!(end == start || end == start + batch_len(topic, start), "{topic} ends at {end}, not at {start}");
        // Without a sequence nothing may be sent twice: those look how far they came.
        let next = if topic == "retried" { start } else { end };
        // An old time would let the producer expire: it would be a new one to the log.
        Self { topic, partition, next, now: SystemClock::precise().now() }
    }

    /// Appends the next batch, durably if asked for. Answers how many records it has.
    fn append(&mut self, durable: bool) -> u64 {
        let len = batch_len(self.topic, self.next);
        let end = self.next + len;
        tell("try", self.topic, end);
        let appended = if self.topic == "mapped" {
            let value = value(self.topic, self.next);
            self.partition.append_record(&Record::new().value(value)).unwrap()
        } else {
            let acks = if durable { Acks::Durable } else { Acks::Leader };
            self.partition.append_with(&self.batch(len), acks).unwrap()
        };
        assert_eq!((appended.offsets.start().get(), appended.offsets.end().next().get()), (self.next, end));
        tell("done", self.topic, end);
        self.next = end;
        len
    }

    fn batch(&self, len: u64) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        if self.topic == "retried" {
            let sequence = Sequence::new(i32::try_from(self.next).unwrap());
            builder.producer(ProducerId::new(7), ProducerEpoch::new(0), sequence).compression(Compression::Lz4);
        }
        for offset in self.next..self.next + len {
            builder.push(&Record::new().value(value(self.topic, offset)), self.now).unwrap();
        }
        builder.finish().unwrap().unwrap().to_vec()
    }
}
