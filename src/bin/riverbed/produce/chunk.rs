//! Records on their way: gathered into one batch a partition, appended and acknowledged together.

use std::collections::BTreeMap;
use std::io::Write;

use riverbed::{Acks, BatchBuilder, Clock as _, Compression, Offset, Partition, Record, SystemClock, Timestamp, Topic};

use super::Args;
use super::fields::Extracted;
use super::partitioner::Partitioner;
use crate::failure::{Outcome, Stop};
use crate::json::Object;
use crate::numbers;

/// How large a batch grows before it is sent, uncompressed. A topic that takes no such batches gets smaller ones.
const BATCH_MAX: usize = 256 << 10;

/// How much all batches together may hold.
const CHUNK_MAX: usize = 8 << 20;

/// Gathers and appends.
pub struct Chunk {
    topic: Topic,
    acks: Acks,
    compression: Compression,
    json: bool,
    /// The partition that was asked for.
    fixed: Option<u32>,
    partitioner: Partitioner,
    clock: SystemClock,
    batch_max: usize,
    batches: BTreeMap<u32, Batch>,
    /// The partition of each record, and its place in the batch, in the order of the input.
    order: Vec<(u32, u64)>,
    gathered: usize,
    records: u64,
    bytes: u64,
}

struct Batch {
    partition: Partition,
    builder: BatchBuilder,
    /// How many bytes the values in it have.
    bytes: u64,
}

impl Chunk {
    pub fn new(topic: Topic, args: &Args, json: bool) -> Outcome<Self> {
        let config = topic.config();
        let limit = |name| config.get(name).and_then(|bytes| bytes.parse().ok()).unwrap_or(BATCH_MAX);
        let batch_max = limit("max.message.bytes").min(limit("segment.bytes")).min(BATCH_MAX);
        let partitioner = Partitioner::new(topic.partition_count());
        let fixed = args.partition.map(|number| numbers::partition(&topic, number)).transpose()?;
        Ok(Self {
            topic,
            acks: args.acks,
            compression: args.compression,
            json,
            fixed: fixed.map(|(number, _)| number),
            partitioner,
            clock: SystemClock::precise(),
            batch_max,
            batches: BTreeMap::new(),
            order: Vec::new(),
            gathered: 0,
            records: 0,
            bytes: 0,
        })
    }

    /// What a record without a time of its own gets.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How many records were acknowledged.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many bytes the values of these had.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a record. Appends what was gathered if there is no more room.
    pub fn push(&mut self, extracted: &Extracted, value: &[u8], out: &mut dyn Write) -> Outcome {
        let mut record = Record::new().key(extracted.key.as_deref()).value(value);
        if let Some(timestamp) = extracted.timestamp {
            record = record.timestamp(timestamp);
        }
        let number = self.choose(extracted);
        let full = self
            .batches
            .get(&number)
            .is_some_and(|batch| !batch.builder.is_empty() && batch.builder.size_with(&record) > self.batch_max);
        if full || self.gathered > CHUNK_MAX {
            self.flush(out)?;
        }
        let number = self.choose(extracted);
        let now = self.now();
        let batch = self.batch(number)?;
        let place = batch.builder.record_count() as u64;
        batch.builder.push(&record, now)?;
        batch.bytes += value.len() as u64;
        self.order.push((number, place));
        self.gathered += value.len();
        Ok(())
    }

    fn choose(&self, extracted: &Extracted) -> u32 {
        self.fixed.unwrap_or_else(|| self.partitioner.choose(extracted.key.as_deref()))
    }

    fn batch(&mut self, number: u32) -> Outcome<&mut Batch> {
        use std::collections::btree_map::Entry;
        match self.batches.entry(number) {
            Entry::Occupied(batch) => Ok(batch.into_mut()),
            Entry::Vacant(place) => {
                let mut builder = BatchBuilder::new();
                builder.compression(self.compression);
                Ok(place.insert(Batch { partition: self.topic.partition(number)?, builder, bytes: 0 }))
            }
        }
    }

    /// Appends everything gathered and waits for the acknowledgements; then each record is told, in the order they came.
    pub fn flush(&mut self, out: &mut dyn Write) -> Outcome {
        let mut bases: BTreeMap<u32, Offset> = BTreeMap::new();
        let mut failed = Ok(());
        for (number, batch) in &mut self.batches {
            let bytes = std::mem::take(&mut batch.bytes);
            match append(batch, self.acks) {
                Ok(base) => {
                    self.bytes += bytes;
                    bases.extend(base.map(|base| (*number, base)));
                }
                Err(error) => failed = failed.and(Err(Stop::from(error))),
            }
        }
        for (number, place) in self.order.drain(..) {
            let Some(base) = bases.get(&number) else { continue };
            self.records += 1;
            if self.json {
                let line = Object::new().with("partition", number).with("offset", base.get() + place);
                writeln!(out, "{line}").map_err(|error| Stop::output(&error))?;
            }
        }
        self.gathered = 0;
        self.partitioner.turn();
        failed
    }
}

fn append(batch: &mut Batch, acks: Acks) -> riverbed::Result<Option<Offset>> {
    let Some(bytes) = batch.builder.finish()? else { return Ok(None) };
    Ok(Some(*batch.partition.append_with(bytes, acks)?.offsets.start()))
}
