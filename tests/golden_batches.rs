//! Every batch in the directories that Kafka wrote: the records are those that Kafka's consumer saw, and where the
//! batch is not compressed, encoding them again gives Kafka's own bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its data fails")]

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use riverbed::{
    BatchBuilder, Batches, Compression, ControlRecord, DecompressionLimits, Record, RecordBatch, RecordView, Timestamp,
    TimestampType,
};
use serde_json::{Value, json};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.3.1")
}

/// The partitions' names, and of each the contents of its segments one behind the other.
fn partitions() -> Vec<(String, Vec<u8>)> {
    let directories = fs::read_dir(golden().join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut partitions: Vec<_> =
        directories.filter(|path| path.is_dir()).map(|path| (name(&path), log(&path))).collect();
    partitions.sort();
    assert_eq!(partitions.len(), 27, "all of Kafka's directories are there");
    partitions
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn log(directory: &Path) -> Vec<u8> {
    let mut segments: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.sort();
    segments.iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

fn batches(log: &[u8]) -> impl Iterator<Item = RecordBatch<&[u8]>> {
    Batches::new(log).map(|(_, batch)| batch.unwrap())
}

fn bytes(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| Value::String(BASE64_STANDARD.encode(bytes)))
}

fn line(batch: &RecordBatch<&[u8]>, record: &RecordView<'_>) -> Value {
    let headers: Vec<_> = record.headers().map(|header| json!([header.name, bytes(header.value)])).collect();
    json!({
        "offset": record.offset().get(),
        "timestamp": record.timestamp().millis(),
        "timestamp_type": batch.attributes().timestamp_type().name(),
        "leader_epoch": batch.header().leader_epoch.get(),
        "key": bytes(record.key()),
        "value": bytes(record.value()),
        "headers": headers,
    })
}

/// What Kafka's consumer saw, from the log start on.
fn seen_by_kafka(partition: &str) -> (u64, Vec<Value>) {
    let directory = golden().join("expect").join(partition);
    let meta: Value = serde_json::from_slice(&fs::read(directory.join("meta.json")).unwrap()).unwrap();
    let lines = fs::read_to_string(directory.join("read_uncommitted.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (meta["log_start_offset"].as_u64().unwrap(), lines)
}

#[test]
fn records_are_those_that_kafkas_consumer_saw() {
    for (partition, log) in partitions() {
        let (log_start, expected) = seen_by_kafka(&partition);
        let mut found = Vec::new();
        for batch in batches(&log).filter(|batch| !batch.attributes().is_control()) {
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            let records = payload.records().map(Result::unwrap).filter(|record| record.offset().get() >= log_start);
            found.extend(records.map(|record| line(&batch, &record)));
        }
        assert_eq!(found.len(), expected.len(), "{partition}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{partition}");
        }
    }
}

#[test]
fn all_codecs_and_kinds_of_batches_are_there() {
    let mut codecs = [0; 5];
    let (mut markers, mut empty, mut horizons) = (0, 0, 0);
    for (_, log) in partitions() {
        for batch in batches(&log) {
            let codec = batch.attributes().codec();
            codecs[usize::from(codec)] += 1;
            horizons += usize::from(batch.header().delete_horizon().is_some());
            empty += usize::from(batch.record_count() == 0);
            markers += usize::from(batch.attributes().is_control());
        }
    }
    assert!(codecs.iter().all(|count| *count > 0), "{codecs:?}");
    assert!(markers > 0 && empty > 0 && horizons > 0, "{markers} {empty} {horizons}");
}

#[test]
fn control_batches_hold_the_ends_of_transactions() {
    for (partition, log) in partitions() {
        for batch in batches(&log).filter(|batch| batch.attributes().is_control() && batch.record_count() > 0) {
            let payload = batch.payload(&DecompressionLimits::default()).unwrap();
            let marker = ControlRecord::parse(&payload.records().next().unwrap().unwrap()).unwrap();
            assert!(matches!(marker, ControlRecord::EndTransaction { .. }), "{partition}: {marker:?}");
        }
    }
}

/// The batch encoded again, record by record, with its own settings.
fn encoded_again(batch: &RecordBatch<&[u8]>, builder: &mut BatchBuilder) -> Vec<u8> {
    let header = batch.header();
    builder
        .base_offset(header.base_offset)
        .leader_epoch(header.leader_epoch)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.attributes.is_transactional());
    for record in batch.payload(&DecompressionLimits::default()).unwrap().records() {
        let view = record.unwrap();
        let record = Record::new().key(view.key()).value(view.value()).timestamp(view.timestamp());
        let record = view.headers().fold(record, |record, header| record.header(header.name, header.value));
        builder.push(&record, Timestamp::NONE).unwrap();
    }
    builder.finish().unwrap().unwrap().to_vec()
}

/// Whether the builder can know all there is to know of the batch: nothing was dropped, times are the records' own.
fn is_as_sent(batch: &RecordBatch<&[u8]>) -> bool {
    let attributes = batch.attributes();
    let whole = batch.record_count() as u64 == batch.header().offset_count();
    let own_times = attributes.timestamp_type() == TimestampType::CreateTime && !attributes.has_delete_horizon();
    whole && own_times && !attributes.is_control()
}

#[test]
fn uncompressed_batches_encode_to_kafkas_own_bytes() {
    let mut count = 0;
    let mut builder = BatchBuilder::new();
    for (partition, log) in partitions() {
        for batch in batches(&log).filter(|batch| batch.attributes().codec() == 0 && is_as_sent(batch)) {
            assert!(encoded_again(&batch, &mut builder) == batch.bytes(), "{partition} at {}", batch.base_offset());
            count += 1;
        }
    }
    assert!(count > 400, "only {count} batches");
}

#[test]
fn compressed_batches_hold_the_same_bytes_when_compressed_again() {
    let mut count = 0;
    let limits = DecompressionLimits::default();
    for (partition, log) in partitions() {
        for batch in batches(&log).filter(|batch| batch.attributes().codec() != 0 && is_as_sent(batch)) {
            let compression = Compression::from_codec(batch.attributes().codec()).unwrap();
            let mut builder = BatchBuilder::new();
            let again = RecordBatch::parse(encoded_again(&batch, builder.compression(compression))).unwrap();
            assert_eq!(again.attributes(), batch.attributes());
            let (ours, kafkas) = (again.payload(&limits).unwrap(), batch.payload(&limits).unwrap());
            assert!(ours.bytes() == kafkas.bytes(), "{partition} at {}", batch.base_offset());
            count += 1;
        }
    }
    assert!(count > 50, "only {count} batches");
}
