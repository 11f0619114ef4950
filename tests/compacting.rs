//! Compaction through the public interface: stores of all kinds, and what Kafka has compacted before.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use riverbed::{
    AppendOrigin, BatchBuilder, Clock, Compacted, Compression, DecompressionLimits, EndMarker, FetchLimit, Isolation,
    ManualClock, Offset, Partition, ProducerEpoch, ProducerId, Record, Sequence, Store, StoreConfig, SystemClock,
    Timestamp, TopicConfig, TransactionResult,
};
use support::random::Random;
use support::{TestDir, copy_dir, golden};

/// Offset to key and value, in text.
type Contents = BTreeMap<u64, (Vec<u8>, Option<Vec<u8>>)>;

/// What is written to them; those that are swept have been compacted before, and the horizons have passed that this set.
const TOPICS: [&str; 11] = [
    "none",
    "gzip",
    "snappy",
    "lz4",
    "zstd",
    "producers",
    "transactions",
    "undecided",
    "swept-none",
    "swept-producers",
    "swept-transactions",
];

/// When the records are written: Kafka's cleaner, by its own clock, is to know the same producers.
fn now() -> i64 {
    static NOW: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *NOW.get_or_init(|| SystemClock::precise().now().millis())
}

fn store(path: &Path) -> Store {
    store_after(path, 0)
}

/// So long after the records were written.
fn store_after(path: &Path, millis: i64) -> Store {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_millis(now() + millis)));
    StoreConfig::default().clock(clock).open(path).unwrap()
}

/// All records that a reader sees who asks for committed ones.
fn contents(partition: &Partition) -> Contents {
    let (mut next, mut found) = (partition.offsets().0, Contents::new());
    loop {
        let fetched = partition.fetch(next, FetchLimit::bytes(1 << 20).isolation(Isolation::ReadCommitted)).unwrap();
        if fetched.is_empty() {
            return found;
        }
        let mut waiting = fetched.aborted.clone();
        waiting.sort_by_key(|one| one.first_offset);
        let mut waiting = waiting.into_iter().peekable();
        let mut aborted: Vec<ProducerId> = Vec::new();
        for batch in fetched.batches() {
            while let Some(begun) = waiting.next_if(|next| next.first_offset <= batch.last_offset()) {
                aborted.push(begun.producer_id);
            }
            let producer = batch.header().producer_id;
            if batch.attributes().is_control() {
                aborted.retain(|id| *id != producer);
            } else if !(batch.attributes().is_transactional() && aborted.contains(&producer)) {
                let payload = batch.payload(&DecompressionLimits::default()).unwrap();
                for record in payload.records().map(Result::unwrap) {
                    let value = record.value().map(<[u8]>::to_vec);
                    found.insert(record.offset().get(), (record.key().unwrap_or_default().to_vec(), value));
                }
            }
        }
        next = fetched.next_offset;
    }
}

/// The last record of each key, and all records from `to` on.
fn compacted(contents: &Contents, to: u64) -> Contents {
    let last: BTreeMap<&[u8], u64> = contents.range(..to).map(|(offset, (key, _))| (key.as_slice(), *offset)).collect();
    let stays = |offset: &u64, key: &[u8]| *offset >= to || last[key] == *offset;
    contents.iter().filter(|(offset, (key, _))| stays(offset, key)).map(|(o, r)| (*o, r.clone())).collect()
}

/// Writes a topic of drawn keys, values and tombstones, in `batches` batches. A producer's number 0 is nobody; `sequences`
/// tells what the others send next.
fn fill(partition: &Partition, topic: &str, batches: i64, sequences: &mut BTreeMap<i64, i32>, random: &mut Random) {
    let kind = topic.trim_start_matches("swept-");
    let codec = Compression::from_name(kind).unwrap_or_default();
    let is_transactional = matches!(kind, "transactions" | "undecided");
    for batch in 0..batches {
        let producer = match kind {
            "producers" => random.below(4) as i64,
            _ if is_transactional => 1 + random.below(3) as i64,
            _ => 0,
        };
        let mut builder = BatchBuilder::new();
        builder.compression(codec);
        if producer > 0 {
            let sequence = *sequences.entry(producer).or_insert(0);
            builder.producer(ProducerId::new(producer), ProducerEpoch::new(0), Sequence::new(sequence));
            builder.transactional(is_transactional);
        }
        let records = 1 + random.below(6);
        for _ in 0..records {
            let key = format!("key-{}", if random.one_in(3) { random.below(2_000) } else { random.below(60) });
            let value = (!random.one_in(5)).then(|| format!("value {} of batch {batch}", random.bits()));
            let time = Timestamp::from_millis(now() - 400 + batch);
            builder.push(&Record::new().key(&key).value(value).header("from", topic).timestamp(time), time).unwrap();
        }
        partition.append(builder.finish().unwrap().unwrap()).unwrap();
        *sequences.entry(producer).or_insert(0) += i32::try_from(records).unwrap();
        if is_transactional && random.one_in(3) {
            end(partition, producer, random.one_in(2));
        }
    }
    if kind == "transactions" {
        (1..4).for_each(|producer| end(partition, producer, true));
    }
    partition.roll().unwrap();
}

fn end(partition: &Partition, producer: i64, commits: bool) {
    let is_open = |known: &riverbed::ProducerInfo| known.id.get() == producer && known.transaction_start.is_some();
    if !partition.log().producers().unwrap().iter().any(is_open) {
        return;
    }
    let marker = EndMarker {
        result: if commits { TransactionResult::Commit } else { TransactionResult::Abort },
        producer_id: ProducerId::new(producer),
        producer_epoch: ProducerEpoch::new(0),
        coordinator_epoch: 0,
        timestamp: Timestamp::from_millis(now()),
    };
    partition.append_as(&marker.encode().unwrap(), AppendOrigin::Coordinator).unwrap();
}

/// What is left here is what `scripts/kafka-compaction` gives to Kafka's cleaner, too.
#[test]
fn stores_of_all_kinds_keep_the_last_record_of_each_key() {
    let dir = |name| TestDir::kept_in("RIVERBED_KEEP_COMPACTION", name);
    let (before, after) = (dir("compaction-before"), dir("compaction-after"));
    let seed = support::random::seed();
    println!("RIVERBED_SEED={seed} cargo test --test compacting stores_of_all_kinds");
    let mut random = Random::new(seed);
    let writing = store(before.path());
    for topic in TOPICS {
        let config = TopicConfig::default().set("cleanup.policy", "compact").unwrap();
        let config = config.set("segment.bytes", "20000").and_then(|c| c.set("delete.retention.ms", "1000")).unwrap();
        let partition = writing.create_topic(topic, config).unwrap().partition(0).unwrap();
        let mut sequences = BTreeMap::new();
        fill(&partition, topic, 400, &mut sequences, &mut random);
        if topic.starts_with("swept-") {
            assert!(partition.compact().unwrap().records_removed > 0, "{topic}");
            fill(&partition, topic, 200, &mut sequences, &mut random);
        }
    }
    writing.close().unwrap();
    copy_dir(before.path(), after.path());
    // An hour later: the horizons of what was swept have passed.
    let (old, new) = (store_after(before.path(), 3_600_000), store_after(after.path(), 3_600_000));
    let mut total = Compacted::default();
    for topic in TOPICS {
        let of = |store: &Store| store.topic(topic).unwrap().partition(0).unwrap();
        let (old, new) = (contents(&of(&old)), of(&new));
        let end = new.cleanable().unwrap().first_uncleanable.get();
        let done = new.compact().unwrap();
        assert!(done.bytes_after < done.bytes_before, "{topic}: {done:?}");
        total = total.plus(done);
        let (found, mut expected) = (contents(&new), compacted(&old, end));
        if topic.starts_with("swept-") {
            let kept = expected.len();
            expected.retain(|offset, (_, value)| value.is_some() || found.contains_key(offset));
            assert!(expected.len() < kept, "{topic}: no tombstone went");
        }
        assert!(found == expected, "{topic}: {:?} of {:?}", found.keys(), expected.keys());
        assert_eq!(new.compact().unwrap(), Compacted::default(), "{topic}");
        assert_eq!(new.cleanable().unwrap().cleanable_bytes, 0, "{topic}");
    }
    println!("{total:?}");
    new.close().unwrap();
    old.close().unwrap();
    let cleaned = std::fs::read_to_string(after.join("cleaner-offset-checkpoint")).unwrap();
    assert_eq!(cleaned.lines().nth(1), Some("11"), "{cleaned}");
    let again = store_after(after.path(), 3_600_000);
    assert!(again.recovery().is_empty(), "{:?}", again.recovery());
    assert_eq!(again.compact().unwrap(), Compacted::default(), "nothing is left after reopening");
    again.close().unwrap();
}

/// Directories that Kafka's cleaner has left are compacted again: what they say stays the same.
#[test]
fn what_kafka_has_compacted_is_compacted_again() {
    let dir = TestDir::scratch("compaction-golden");
    copy_dir(&golden().join("log"), dir.path());
    Store::adopt(dir.path()).unwrap();
    let store = store(dir.path());
    for name in ["compacted", "compacted-zstd", "compacted-swept", "compacted-transactions"] {
        let topic = store.topic(name).unwrap();
        topic.alter([("cleanup.policy", "compact"), ("delete.retention.ms", "1000000000000")]).unwrap();
        let partition = topic.partition(0).unwrap();
        let before = contents(&partition);
        let plan = partition.cleanable().unwrap();
        assert!(plan.first_dirty > Offset::ZERO, "{name}: Kafka's checkpoint tells how far it came");
        let done = partition.compact().unwrap();
        println!("{name}: {plan:?}, {done:?}");
        let (after, mut expected) = (contents(&partition), compacted(&before, plan.first_uncleanable.get()));
        // Horizons that Kafka set have passed by now.
        let kept = expected.len();
        expected.retain(|offset, (_, value)| value.is_some() || after.contains_key(offset));
        assert_eq!(done.records_removed, (kept - expected.len()) as u64, "{name}");
        assert!(after == expected, "{name}: {:?} of {:?}", after.keys(), expected.keys());
    }
    store.close().unwrap();
}

#[test]
fn only_topics_that_are_to_be_are_compacted() {
    let dir = TestDir::scratch("compaction-policy");
    let store = store(dir.path());
    let topic = store.create_topic("events", TopicConfig::default()).unwrap();
    let error = topic.partition(0).unwrap().compact().unwrap_err();
    assert_eq!(error.kind(), riverbed::ErrorKind::InvalidConfig);
    assert_eq!(store.compact().unwrap(), Compacted::default());
    assert!(store.cleanable().unwrap().is_empty());
    topic.alter([("cleanup.policy", "compact,delete")]).unwrap();
    assert_eq!(store.cleanable().unwrap().len(), 1);
    let reader = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.compact().unwrap_err().kind(), riverbed::ErrorKind::ReadOnly);
    store.close().unwrap();
}
