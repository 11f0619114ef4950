//! `.log`: record batches, and their records if asked for.

use std::borrow::Cow;
use std::io;

use riverbed::{BatchHeader, DecompressionLimits, RecordBatch, RecordView, crc32c};

use super::entry::{Entry, Value};
use super::report::Report;
use crate::failure::{Outcome, Stop};
use crate::files::{Fields, FileName, Found, LogFile, Problem};

/// Where the checksum lies in a batch, and where what it covers starts.
const CRC: std::ops::Range<usize> = 17..21;
const CRC_START: usize = 21;

/// Prints every batch that can be read, and with `records` every record.
pub fn dump(name: &FileName, records: bool, report: &mut Report<'_>) -> Outcome {
    match name.epoch {
        Some(epoch) => report.remark(format!("Snapshot end offset: {}, epoch: {epoch}", name.base))?,
        None => report.remark(format!("Log starting offset: {}", name.base))?,
    }
    match batches(records, report) {
        Err(Ended::Writing(stop)) => return Err(stop),
        Err(Ended::Reading(error)) => report.unreadable(report.path(), &error),
        Err(Ended::Damaged(error)) => report.problem(Problem::error(report.path(), 0, &error)),
        Ok(()) => {}
    }
    Ok(())
}

/// Why a walk through a file ended before the file did.
enum Ended {
    Reading(io::Error),
    Writing(Stop),
    Damaged(riverbed::Error),
}

impl From<riverbed::Error> for Ended {
    fn from(error: riverbed::Error) -> Self {
        Self::Damaged(error)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Reading(error)
    }
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Self::Writing(stop)
    }
}

fn batches(records: bool, report: &mut Report<'_>) -> Result<(), Ended> {
    let mut log = LogFile::open(report.path())?;
    let mut bytes = Vec::new();
    let mut next = 0;
    while log.remaining() > 0 {
        let header = match log.peek()? {
            Found::Batch(header) => header,
            end => return Ok(tail(&log, end, report)?),
        };
        let base = header.base_offset.get();
        if base < next {
            report.damage(log.position(), format!("base offset is {base}, expected at least {next}"));
        }
        next = header.next_offset().get();
        log.read(&header, &mut bytes)?;
        batch(&header, &mut bytes, log.position(), report)?;
        if records {
            match each_record(&header, &bytes, report) {
                Err(Ended::Damaged(error)) => report.problem(Problem::error(report.path(), log.position(), &error)),
                done => done?,
            }
        }
        log.skip(&header);
    }
    Ok(())
}

/// What Kafka says of bytes behind the last batch. Zeros are no damage: the file was not closed cleanly, or is in use.
fn tail(log: &LogFile, found: Found, report: &mut Report<'_>) -> Outcome {
    let name = report.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let invalid = format!("Found {} invalid bytes at the end of {name}", log.remaining());
    match found {
        Found::Zeros => report.remark(invalid),
        Found::Invalid(error) => {
            report.problem(Problem::error(report.path(), log.position(), &error));
            report.remark(invalid)
        }
        Found::Torn | Found::Batch(_) => {
            report.damage(log.position(), format!("{} bytes are no whole batch", log.remaining()));
            report.remark(invalid)
        }
    }
}

/// Prints a batch's line. Afterwards its checksum is right, so that its records can be shown whatever it was.
fn batch(header: &BatchHeader, bytes: &mut [u8], position: u64, report: &mut Report<'_>) -> Outcome {
    let computed = crc32c(bytes.get(CRC_START..).unwrap_or_default());
    let is_valid = computed == header.crc;
    if !is_valid {
        report.damage(position, format!("checksum is {:#010x}, the bytes give {computed:#010x}", header.crc));
        if let Some(place) = bytes.get_mut(CRC) {
            place.copy_from_slice(&computed.to_be_bytes());
        }
    }
    let attributes = header.attributes;
    let entry = Entry::new()
        .with("baseOffset", header.base_offset.as_i64())
        .with("lastOffset", header.last_offset().as_i64())
        .with("count", header.record_count)
        .with("baseSequence", header.base_sequence.get())
        .with("lastSequence", header.last_sequence().get())
        .with("producerId", header.producer_id.get())
        .with("producerEpoch", header.producer_epoch.get())
        .with("partitionLeaderEpoch", header.leader_epoch.get())
        .with("isTransactional", attributes.is_transactional())
        .with("isControl", attributes.is_control())
        .with("deleteHorizonMs", header.delete_horizon().map(|time| time.millis()))
        .with("position", i64::try_from(position).unwrap_or(i64::MAX))
        .with(attributes.timestamp_type().name(), header.max_timestamp.millis())
        .with("size", i64::try_from(header.size()).unwrap_or(i64::MAX))
        .with("magic", 2)
        .with("compresscodec", codec_name(attributes.codec()))
        .with("crc", header.crc)
        .with("isvalid", is_valid);
    report.entry(&entry)
}

fn codec_name(codec: u8) -> &'static str {
    ["none", "gzip", "snappy", "lz4", "zstd"].get(usize::from(codec)).copied().unwrap_or("unknown")
}

fn each_record(header: &BatchHeader, bytes: &[u8], report: &mut Report<'_>) -> Result<(), Ended> {
    let batch = RecordBatch::parse(bytes)?;
    for record in batch.payload(&DecompressionLimits::default())?.records() {
        report.entry(&record_line(header, &record?))?;
    }
    Ok(())
}

fn record_line<'a>(header: &BatchHeader, record: &RecordView<'a>) -> Entry<'a> {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    let names = record.headers().map(|header| Cow::Borrowed(header.name)).collect();
    let mut entry = Entry::new()
        .with("offset", record.offset().as_i64())
        .with(header.attributes.timestamp_type().name(), record.timestamp().millis())
        .with("keySize", size(record.key()))
        .with("valueSize", size(record.value()))
        .with("sequence", record.sequence().get())
        .with("headerKeys", Value::List(names));
    entry.prefix = "| ";
    if header.attributes.is_control() {
        return control(entry, record);
    }
    if let Some(key) = record.key() {
        entry = entry.with("key", Value::Data(key));
    }
    match record.value() {
        Some(value) => entry.with("payload", Value::Data(value)),
        None => entry,
    }
}

/// What a control record says: the end of a transaction, or something of Kafka's own metadata log.
fn control<'a>(entry: Entry<'a>, record: &RecordView<'_>) -> Entry<'a> {
    let mut key = Fields(record.key().unwrap_or_default());
    let mut value = Fields(record.value().unwrap_or_default());
    let kind = key.i16().and_then(|_version| key.i16()).unwrap_or(-1);
    let epoch = value.i16().and_then(|_version| value.i32());
    match (kind, epoch) {
        (0, Some(epoch)) => entry.with("endTxnMarker", "ABORT").with("coordinatorEpoch", epoch),
        (1, Some(epoch)) => entry.with("endTxnMarker", "COMMIT").with("coordinatorEpoch", epoch),
        _ => entry.with("controlType", Value::Text(format!("{}({kind})", control_name(kind)).into())),
    }
}

fn control_name(kind: i16) -> &'static str {
    const NAMES: [&str; 7] =
        ["ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"];
    usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).copied().unwrap_or("UNKNOWN")
}
