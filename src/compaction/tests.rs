//! Compaction of whole logs, on the simulated disk.

mod behaviours;
mod cuts;
mod exchange;
mod interrupted;
mod model;
mod transactions;

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::io::Directory;
use crate::io::sim::SimDisk;
use crate::log::{AppendOrigin, FetchLimit, LastClose, LogOptions, OpenMode};
use crate::record::{
    BatchBuilder, Compression, ControlRecord, DecompressionLimits, EndMarker, Record, RecordBatch, TransactionResult,
};
use crate::types::{Isolation, Offset, ProducerEpoch, ProducerId, Sequence};

const START: Timestamp = Timestamp::from_millis(1_000_000);
const UNCLEAN: LastClose = LastClose::Unclean { same_power: true };

/// A log on a disk of its own, with a clock that is moved by hand.
struct Host {
    disk: SimDisk,
    clock: ManualClock,
    config: LogConfig,
    cleaner: Cleaner,
    log: Log,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Got {
    offset: u64,
    key: String,
    value: Option<String>,
    time: i64,
}

impl Host {
    fn new(settings: &[(&str, &str)]) -> Self {
        let defaults = [("cleanup.policy", "compact,delete"), ("segment.bytes", "1000"), ("index.interval.bytes", "1")];
        let config = LogConfig::from_pairs(defaults.into_iter().chain(settings.iter().copied())).unwrap();
        Self::over(SimDisk::new(), config)
    }

    fn over(disk: SimDisk, config: LogConfig) -> Self {
        let clock = ManualClock::at(START);
        let log = open(&disk, &config, &clock, UNCLEAN).unwrap();
        Self { disk, clock, config, cleaner: Cleaner::default(), log }
    }

    /// With room for so many keys.
    fn with_keys(mut self, keys: usize) -> Self {
        let dedupe_bytes = (keys * 10).div_ceil(9) * offset_map::SLOT_LEN + 100;
        self.cleaner = Cleaner::new(CleanerConfig { dedupe_bytes, bytes_per_second: None });
        self
    }

    fn directory(&self) -> Arc<dyn Directory> {
        self.disk.root().subdirectory("a-0").unwrap()
    }

    /// Opens the log again, as a killed process would.
    fn kill(&mut self) {
        self.log.shut();
        self.log = open(&self.disk, &self.config, &self.clock, UNCLEAN).unwrap();
        assert!(self.log.recovery().damage.is_empty(), "{:?}", self.log.recovery());
    }

    fn reopen(&mut self) {
        let ends = self.log.close().unwrap().unwrap();
        self.log = open(&self.disk, &self.config, &self.clock, LastClose::Clean(ends)).unwrap();
    }

    fn put(&self, key: &str, value: &str) -> u64 {
        self.append(&mut BatchBuilder::new(), &[(key, Some(value))])
    }

    fn delete(&self, key: &str) -> u64 {
        self.append(&mut BatchBuilder::new(), &[(key, None)])
    }

    fn append(&self, builder: &mut BatchBuilder, records: &[(&str, Option<&str>)]) -> u64 {
        for (key, value) in records {
            builder.push(&Record::new().key(*key).value(*value), self.clock.now()).unwrap();
        }
        let batch = RecordBatch::parse(builder.finish().unwrap().unwrap().to_vec()).unwrap();
        self.log.append(&batch, AppendOrigin::Client).unwrap().offsets.start().get()
    }

    /// In a transaction of this producer.
    fn send(&self, producer: i64, sequence: i32, records: &[(&str, Option<&str>)]) -> u64 {
        self.append(from(producer, sequence).transactional(true), records)
    }

    fn end(&self, producer: i64, result: TransactionResult) -> u64 {
        let marker = EndMarker {
            result,
            producer_id: ProducerId::new(producer),
            producer_epoch: ProducerEpoch::new(0),
            coordinator_epoch: 0,
            timestamp: self.clock.now(),
        };
        let batch = RecordBatch::parse(marker.encode().unwrap()).unwrap();
        self.log.append(&batch, AppendOrigin::Coordinator).unwrap().offsets.start().get()
    }

    fn roll(&self) {
        self.log.roll().unwrap();
    }

    fn compact(&self) -> Compacted {
        self.cleaner.clean(&self.log).unwrap()
    }

    fn wait(&self, millis: u64) {
        self.clock.advance(std::time::Duration::from_millis(millis));
    }

    /// Base offset, last offset, number of records and attribute bits of each batch.
    fn batches(&self) -> Vec<(u64, u64, usize, i16)> {
        let mut found = Vec::new();
        self.each_batch(Isolation::ReadUncommitted, |batch, _| {
            let header = batch.header();
            let count = batch.record_count();
            found.push((header.base_offset.get(), header.last_offset().get(), count, header.attributes.bits()));
        });
        found
    }

    /// What a reader sees, control records left out.
    fn read(&self, isolation: Isolation) -> Vec<Got> {
        let mut found = Vec::new();
        self.each_batch(isolation, |batch, is_void| {
            if is_void || batch.attributes().is_control() {
                return;
            }
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            for record in payload.records() {
                let record = record.unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                found.push(Got {
                    offset: record.offset().get(),
                    key: record.key().map(text).unwrap_or_default(),
                    value: record.value().map(text),
                    time: record.timestamp().millis(),
                });
            }
        });
        found.retain(|got| got.offset >= self.log.log_start().get());
        found
    }

    /// Goes through all batches as a consumer does, and tells which belong to aborted transactions.
    fn each_batch(&self, isolation: Isolation, mut take: impl FnMut(&RecordBatch<&[u8]>, bool)) {
        let mut next = self.log.log_start();
        let mut behind = Offset::ZERO;
        loop {
            let limit = FetchLimit::bytes(300).up_to(ReadUpTo::Written).isolation(isolation);
            let fetched = self.log.read(next, limit).unwrap();
            if fetched.is_empty() {
                return;
            }
            let mut waiting = fetched.aborted.clone();
            waiting.sort_by_key(|transaction| transaction.first_offset);
            let mut waiting = waiting.into_iter().peekable();
            let mut aborted: Vec<ProducerId> = Vec::new();
            for batch in fetched.batches() {
                batch.check().unwrap();
                assert!(batch.base_offset() >= behind, "{} behind {behind}", batch.base_offset());
                behind = batch.next_offset();
                while let Some(begun) = waiting.next_if(|next| next.first_offset <= batch.last_offset()) {
                    aborted.push(begun.producer_id);
                }
                let producer = batch.header().producer_id;
                if batch.attributes().is_control() && is_abort(&batch) {
                    aborted.retain(|id| *id != producer);
                }
                take(&batch, batch.attributes().is_transactional() && aborted.contains(&producer));
            }
            next = fetched.next_offset;
        }
    }

    /// Offsets that a reader sees.
    fn offsets(&self) -> Vec<u64> {
        self.read(Isolation::ReadUncommitted).iter().map(|got| got.offset).collect()
    }

    fn bases(&self) -> Vec<u64> {
        self.log.segments().iter().map(|segment| segment.base_offset().get()).collect()
    }

    /// All files of the log but its checkpoint, with what they hold.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let directory = self.directory();
        let names = directory.list().unwrap().into_iter().map(|entry| entry.name);
        let mut names: Vec<String> = names.filter(|name| name != "log-checkpoint").collect();
        names.sort_unstable();
        names.into_iter().map(|name| (name.clone(), directory.read(&name, 1 << 20).unwrap())).collect()
    }
}

fn open(disk: &SimDisk, config: &LogConfig, clock: &ManualClock, last_close: LastClose) -> Result<Log> {
    let directory = disk.root().create_subdirectory("a-0")?;
    disk.root().sync()?;
    let options = LogOptions {
        config: Arc::new(config.clone()),
        clock: Arc::new(clock.clone()),
        mode: OpenMode::Write,
        last_close,
        verify_always: false,
    };
    Log::open(directory, &options)
}

fn from(producer: i64, sequence: i32) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    builder.producer(ProducerId::new(producer), ProducerEpoch::new(0), Sequence::new(sequence));
    builder
}

fn is_abort(batch: &RecordBatch<&[u8]>) -> bool {
    let payload = batch.payload(&DecompressionLimits::default()).unwrap();
    let record = payload.records().next().map(|record| ControlRecord::parse(&record.unwrap()).unwrap());
    matches!(record, Some(ControlRecord::EndTransaction { result: TransactionResult::Abort, .. }))
}

fn empty(base: u64, last: u64, bits: i16) -> (u64, u64, usize, i16) {
    (base, last, 0, bits)
}

fn dirty(host: &Host, first: u64) {
    for n in 0..first {
        host.put("filler", &n.to_string());
    }
}
