//! Any bytes as a compressed stream, under a cap.

use super::batch::{mended, refused};
use super::input::Input;
use super::{Checked, ensure, works};
use crate::error::ErrorKind;
use crate::record::batch_header::ATTRIBUTES;
use crate::record::{BatchBuilder, Compression, DecompressionLimits, Record, RecordBatch};
use crate::types::Timestamp;

/// A stream that any bytes are taken for, or that they are compressed to, ends at the cap, and gives back what went in.
///
/// # Errors
/// What is wrong.
pub fn codec(input: &[u8]) -> Checked {
    let mut input = Input::new(input);
    let compression = input.one_of(&Compression::ALL[1..]);
    let bytes_max = 1 << input.below(18);
    let limits = DecompressionLimits { bytes_max, ratio_max: usize::MAX };
    if input.flag() { there_and_back(compression, &mut input) } else { stream(compression, limits, input.rest()) }
}

/// Any bytes as a stream: records of at most so many bytes, or a typed error.
fn stream(compression: Compression, limits: DecompressionLimits, stream: &[u8]) -> Checked {
    let batch = works("mend", batch_of(compression, stream))?;
    let batch = works("parse", RecordBatch::parse(&batch[..]))?;
    match batch.payload(&limits) {
        Ok(payload) => {
            let found = payload.bytes().len();
            ensure!(found <= limits.bytes_max, "{compression}: {found} bytes, the cap is {}", limits.bytes_max);
            Ok(())
        }
        Err(error) => refused(&error),
    }
}

/// A batch without records, whose section is `stream`.
fn batch_of(compression: Compression, stream: &[u8]) -> crate::Result<Vec<u8>> {
    let mut builder = BatchBuilder::new();
    builder.push(&Record::new(), Timestamp::from_millis(0))?;
    let mut batch = builder.finish()?.unwrap_or_default()[..61].to_vec();
    batch[ATTRIBUTES].copy_from_slice(&i16::from(compression.codec()).to_be_bytes());
    batch[57..61].copy_from_slice(&[0; 4]);
    batch.extend_from_slice(stream);
    Ok(mended(&batch).unwrap_or_default())
}

/// A record as large as one chooses, compressed: it comes back, and the cap refuses it where it is one byte too large.
fn there_and_back(compression: Compression, input: &mut Input<'_>) -> Checked {
    let times = 1 + input.below(40);
    let value = input.rest().repeat(times);
    let mut builder = BatchBuilder::new();
    builder.compression(compression);
    works("push", builder.push(&Record::new().value(&value), Timestamp::from_millis(7)))?;
    let bytes = works("compress", builder.finish())?.unwrap_or_default().to_vec();
    let batch = works("parse", RecordBatch::parse(&bytes[..]))?;
    let payload = works("decompress", batch.payload(&DecompressionLimits::default()))?;
    let record = payload.records().next().ok_or("no record")?;
    ensure!(works("read", record)?.value() == Some(&value[..]), "{compression} changes a value");
    let exactly = DecompressionLimits { bytes_max: payload.bytes().len(), ratio_max: usize::MAX };
    works("decompress up to the cap", batch.payload(&exactly))?;
    let less = DecompressionLimits { bytes_max: exactly.bytes_max - 1, ..exactly };
    let refused = batch.payload(&less).map(|_| ()).map_err(|error| error.kind());
    ensure!(refused == Err(ErrorKind::DecompressedTooLarge), "{compression}, one byte above the cap: {refused:?}");
    Ok(())
}
