//! Texts of config values, and what they stand for. Where one is not allowed, the error is what was expected.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::log::config::{CleanupPolicy, HighWatermark, TopicCompression};
use crate::record::Compression;
use crate::types::TimestampType;

/// What would have been allowed.
pub(super) type Expected = String;

/// Kafka's `int` and `long`: decimal, with or without a sign.
pub(super) fn integer<T: TryFrom<i64>>(text: &str, range: RangeInclusive<i64>) -> Result<T, Expected> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| between(range.start(), range.end()))
}

/// An `int` from `min` on.
pub(super) fn int<T: TryFrom<i64>>(text: &str, min: i64) -> Result<T, Expected> {
    integer(text, min..=i64::from(i32::MAX))
}

/// A `long` from `min` on.
pub(super) fn long(text: &str, min: i64) -> Result<i64, Expected> {
    integer(text, min..=i64::MAX)
}

/// A level of gzip: −1 stands for the library's default.
pub(super) fn gzip_level(text: &str) -> Result<i32, Expected> {
    match integer(text, -1..=9) {
        Ok(level) if level != 0 => Ok(level),
        _ => Err("1 to 9, or -1".into()),
    }
}

/// A share: 0 to 1.
pub(super) fn ratio(text: &str) -> Result<f64, Expected> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| between(0, 1))
}

/// `true` or `false`, in any case.
pub(super) fn boolean(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false".into()),
    }
}

/// A list of `delete` and `compact`; the empty one keeps everything.
pub(super) fn cleanup_policy(text: &str) -> Result<CleanupPolicy, Expected> {
    let mut policy = CleanupPolicy { delete: false, compact: false };
    for word in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
        match word {
            "delete" => policy.delete = true,
            "compact" => policy.compact = true,
            _ => return Err("a list of delete and compact".into()),
        }
    }
    Ok(policy)
}

pub(super) fn cleanup_policy_name(policy: CleanupPolicy) -> &'static str {
    match (policy.compact, policy.delete) {
        (true, true) => "compact,delete",
        (true, false) => "compact",
        (false, true) => "delete",
        (false, false) => "",
    }
}

const PRODUCER: &str = "producer";
const UNCOMPRESSED: &str = "uncompressed";

pub(super) fn compression(text: &str) -> Result<TopicCompression, Expected> {
    let codec = match text {
        PRODUCER => return Ok(TopicCompression::Producer),
        UNCOMPRESSED => Some(Compression::None),
        name => Compression::from_name(name).filter(|codec| *codec != Compression::None),
    };
    codec.map(TopicCompression::Codec).ok_or_else(|| "uncompressed, gzip, snappy, lz4, zstd or producer".into())
}

pub(super) fn compression_name(compression: TopicCompression) -> &'static str {
    match compression {
        TopicCompression::Producer => PRODUCER,
        TopicCompression::Codec(Compression::None) => UNCOMPRESSED,
        TopicCompression::Codec(codec) => codec.name(),
    }
}

pub(super) fn timestamp_type(text: &str) -> Result<TimestampType, Expected> {
    let known = [TimestampType::CreateTime, TimestampType::LogAppendTime];
    known.into_iter().find(|known| known.name() == text).ok_or_else(|| "CreateTime or LogAppendTime".into())
}

pub(super) fn high_watermark(text: &str) -> Result<HighWatermark, Expected> {
    match text {
        "written" => Ok(HighWatermark::Written),
        "durable" => Ok(HighWatermark::Durable),
        _ => Err("written or durable".into()),
    }
}

pub(super) fn high_watermark_name(high_watermark: HighWatermark) -> &'static str {
    match high_watermark {
        HighWatermark::Written => "written",
        HighWatermark::Durable => "durable",
    }
}

/// Replicas whose replication is throttled: `*`, or a list of `partition:broker`, which may be empty.
pub(super) fn throttled_replicas(text: &str) -> Result<String, Expected> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |pair: &str| pair.trim().split_once(':').is_some_and(|(a, b)| number(a) && number(b));
    if matches!(text, "" | "*") || text.split(',').all(pair) {
        return Ok(text.into());
    }
    Err("*, or a list of partition:broker".into())
}

/// Tiered storage does not exist here.
pub(super) fn only_false(text: &str) -> Result<(), Expected> {
    match boolean(text) {
        Ok(false) => Ok(()),
        _ => Err("false: there is no tiered storage".into()),
    }
}

fn between(low: impl Display, high: impl Display) -> Expected {
    format!("{low} to {high}")
}
