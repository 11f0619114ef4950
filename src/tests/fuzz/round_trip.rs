//! Records of all kinds to batches and back.

use super::batch::is_same;
use super::input::Input;
use super::{Checked, ensure, works};
use crate::record::{BatchBuilder, Compression, DecompressionLimits, Record, RecordBatch, RecordView, encode_single};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// The time of records that have none.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Records that bytes choose come back from a batch as they were, and are encoded in one way only: again from the same
/// records, from what was decoded, and alone.
///
/// # Errors
/// What is wrong.
pub fn round_trip(input: &[u8]) -> Checked {
    let mut input = Input::new(input);
    let mut builder = BatchBuilder::new();
    settings(&mut builder, &mut input);
    let mut records = Vec::new();
    while !input.is_empty() && records.len() < 300 {
        let record = record(&mut input);
        let before = (builder.record_count(), builder.size());
        let room = builder.size_with(&record);
        if builder.push(&record, NOW).is_err() {
            let after = (builder.record_count(), builder.size());
            ensure!(before == after, "a refused record changes the batch from {before:?} to {after:?}");
            continue;
        }
        ensure!(builder.size() <= room, "{} bytes, of at most {room}", builder.size());
        records.push(record);
    }
    let first = match builder.finish() {
        Ok(Some(bytes)) => bytes.to_vec(),
        Ok(None) => return Ok(()),
        Err(error) => {
            ensure!(error.kind() == crate::ErrorKind::InvalidRecord, "finish: {error:?}");
            return Ok(());
        }
    };
    for record in &records {
        works("push again", builder.push(record, NOW))?;
    }
    let again = works("finish again", builder.finish())?;
    ensure!(again == Some(&first[..]), "the same records are encoded otherwise the second time");
    let batch = works("parse", RecordBatch::parse(&first[..]))?;
    let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
    let found = works("read", payload.records().collect::<crate::Result<Vec<_>>>())?;
    ensure!(found.len() == records.len(), "{} records of {}", found.len(), records.len());
    for (view, record) in found.iter().zip(&records) {
        came_back(view, record, &batch)?;
    }
    canonical(&batch, &found)?;
    alone(&records[0])
}

/// Codec, producer and place of the batch.
fn settings(builder: &mut BatchBuilder, input: &mut Input<'_>) {
    builder.compression(input.one_of(&Compression::ALL));
    let flags = input.byte();
    if flags & 1 == 1 {
        let (id, epoch) = (ProducerId::new(input.i64() >> 1), ProducerEpoch::new(input.u16().cast_signed()));
        builder.producer(id, epoch, Sequence::new(input.i64() as i32));
        builder.transactional(flags & 2 == 2);
    }
    if flags & 4 == 4 {
        builder.base_offset(Offset::new(input.i64().cast_unsigned() >> 2));
        builder.leader_epoch(LeaderEpoch::new(input.i64() as i32));
    }
    if flags & 8 == 8 {
        builder.append_time(Some(Timestamp::from_millis(input.i64() >> 1).max(Timestamp::NONE)));
    }
}

fn record<'a>(input: &mut Input<'a>) -> Record<'a> {
    let flags = input.byte();
    let mut record = Record::new();
    if flags & 1 == 1 {
        let len = usize::from(input.byte());
        record = record.key(input.bytes(len));
    }
    if flags & 2 == 2 {
        record = record.value(input.stretch());
    }
    record = match flags & 12 {
        4 => record.timestamp(Timestamp::from_millis(NOW.millis() + i64::from(input.u16().cast_signed()))),
        8 => record.timestamp(Timestamp::from_millis(input.i64())),
        _ => record,
    };
    for _ in 0..flags >> 4 & 3 {
        let len = input.below(20);
        let name = String::from_utf8_lossy(input.bytes(len));
        let len = input.below(20);
        let value = input.flag().then(|| input.bytes(len));
        record = record.header(name, value);
    }
    record
}

fn came_back(view: &RecordView<'_>, record: &Record<'_>, batch: &RecordBatch<&[u8]>) -> Checked {
    let time = match batch.attributes().timestamp_type() {
        crate::TimestampType::LogAppendTime => batch.max_timestamp(),
        crate::TimestampType::CreateTime => record.time().unwrap_or(NOW),
    };
    let said = (time, record.key_bytes(), record.value_bytes());
    let found = (view.timestamp(), view.key(), view.value());
    ensure!(said == found, "{found:?} was {said:?}");
    let headers = record.headers().iter().map(|header| (header.name(), header.value()));
    let same = view.headers().map(|header| (header.name, header.value)).eq(headers);
    ensure!(same, "headers {:?} were {:?}", view.headers().collect::<Vec<_>>(), record.headers());
    Ok(())
}

/// What was decoded is encoded to the same bytes, but for codecs' settings and the producer's.
fn canonical(batch: &RecordBatch<&[u8]>, records: &[RecordView<'_>]) -> Checked {
    let header = batch.header();
    if batch.attributes().timestamp_type() == crate::TimestampType::LogAppendTime {
        return Ok(()); // The records' own times are gone.
    }
    let mut builder = BatchBuilder::new();
    builder.compression(works("codec", Compression::from_codec(batch.attributes().codec()))?);
    builder.base_offset(batch.base_offset()).leader_epoch(header.leader_epoch);
    builder.producer(header.producer_id, header.producer_epoch, header.base_sequence);
    builder.transactional(batch.attributes().is_transactional());
    for record in records {
        works("push what was decoded", builder.push_view(record))?;
    }
    let bytes = works("encode what was decoded", builder.finish())?;
    ensure!(bytes == Some(batch.bytes()), "what was decoded is encoded otherwise");
    Ok(())
}

/// The quick way of a single record writes what the builder writes.
fn alone(record: &Record<'_>) -> Checked {
    let mut quick = Vec::new();
    let header = works("encode alone", encode_single(&mut quick, record, NOW))?;
    let mut builder = BatchBuilder::new();
    works("push", builder.push(record, NOW))?;
    let slow = works("finish", builder.finish())?;
    ensure!(slow == Some(&quick[..]), "a record alone is encoded otherwise than in a batch of one");
    let batch = works("parse", RecordBatch::parse(&quick[..]))?;
    ensure!(*batch.header() == header, "{header:?} is not what was written");
    let payload = works("decode", batch.payload(&DecompressionLimits::default()))?;
    let view = works("read", payload.records().next().ok_or("no record")?)?;
    let same = is_same(&view, &view) && view.value() == record.value_bytes();
    ensure!(same, "the record alone does not come back");
    Ok(())
}
