//! Partitions that stand alone, filled and read in one call.

use std::sync::Arc;

use riverbed::{
    Appended, BatchBuilder, Clock, Compression, DecompressionLimits, FetchLimit, LeaderEpoch, LogConfig, Offset,
    Partition, PartitionOptions, ProducerEpoch, ProducerId, ReadUpTo, Record, Sequence, Timestamp,
};

use super::TestDir;

/// Kafka's defaults with these settings.
pub fn config(settings: &[(&str, &str)]) -> LogConfig {
    LogConfig::from_pairs(settings.iter().copied()).unwrap()
}

/// The partition `orders-0` in `dir`.
pub fn open(dir: &TestDir, settings: &[(&str, &str)]) -> Partition {
    Partition::open(dir.join("orders-0"), PartitionOptions::default().config(config(settings))).unwrap()
}

/// The same under a clock of the test's.
pub fn open_at(dir: &TestDir, settings: &[(&str, &str)], clock: &Arc<dyn Clock>) -> Partition {
    let options = PartitionOptions::default().config(config(settings)).clock(Arc::clone(clock));
    Partition::open(dir.join("orders-0"), options).unwrap()
}

/// An encoded batch of records with these values and times.
pub fn batch(records: &[(&str, i64)]) -> Vec<u8> {
    encode(&mut BatchBuilder::new(), records)
}

/// The same with a codec.
pub fn compressed(codec: Compression, records: &[(&str, i64)]) -> Vec<u8> {
    encode(BatchBuilder::new().compression(codec), records)
}

/// The same from a producer, with the sequence of the first record.
pub fn from_producer(id: i64, epoch: i16, sequence: i32, records: &[(&str, i64)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.producer(ProducerId::new(id), ProducerEpoch::new(epoch), Sequence::new(sequence));
    encode(&mut builder, records)
}

/// The same as a leader would have stored it.
pub fn stored(base: u64, epoch: i32, records: &[(&str, i64)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.base_offset(Offset::new(base)).leader_epoch(LeaderEpoch::new(epoch));
    encode(&mut builder, records)
}

fn encode(builder: &mut BatchBuilder, records: &[(&str, i64)]) -> Vec<u8> {
    for (value, time) in records {
        builder.push(&Record::new().key("k").value(*value), Timestamp::from_millis(*time)).unwrap();
    }
    builder.finish().unwrap().unwrap().to_vec()
}

/// Appends a batch of one record with this value and time, and answers its offset.
pub fn append(partition: &Partition, value: &str, time: i64) -> u64 {
    partition.append(&batch(&[(value, time)])).unwrap().offsets.start().get()
}

/// The first and last offset of an append.
pub fn range(appended: &Appended) -> (u64, u64) {
    (appended.offsets.start().get(), appended.offsets.end().get())
}

/// Offsets and values of everything from `from` on up to the log end.
pub fn values(partition: &Partition, from: u64) -> Vec<(u64, String)> {
    let limit = FetchLimit::bytes(10_000).up_to(ReadUpTo::Written);
    values_within(partition, from, limit)
}

/// The same within a limit, fetch after fetch, until one answers nothing.
pub fn values_within(partition: &Partition, from: u64, limit: FetchLimit) -> Vec<(u64, String)> {
    let (mut next, mut found) = (Offset::new(from), Vec::new());
    loop {
        let fetched = partition.fetch(next, limit).unwrap();
        if fetched.is_empty() {
            return found;
        }
        for batch in fetched.batches() {
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            for record in payload.records() {
                let record = record.unwrap();
                if record.offset().get() >= from {
                    let value = String::from_utf8(record.value().unwrap_or(b"null").to_vec()).unwrap();
                    found.push((record.offset().get(), value));
                }
            }
        }
        assert!(fetched.next_offset > next, "a fetch goes on");
        next = fetched.next_offset;
    }
}

/// `v0`, `v1` … at offsets 0, 1 …, from `first` up to, not including, `end`.
pub fn counted(first: u64, end: u64) -> Vec<(u64, String)> {
    (first..end).map(|n| (n, format!("v{n}"))).collect()
}

/// Appends `v<offset>` at times `offset * 10` until the log end is `end`.
pub fn fill(partition: &Partition, end: u64) {
    let (_, marks) = partition.offsets();
    for n in marks.end.get()..end {
        assert_eq!(append(partition, &format!("v{n}"), n.cast_signed() * 10), n);
    }
}

/// Base offsets of the segments.
pub fn bases(partition: &Partition) -> Vec<u64> {
    partition.segments().iter().map(|segment| segment.base_offset().get()).collect()
}
