//! The names of the settings, and how each is read and written: one table.

use crate::log::config::LogConfig;
use crate::log::config::values::*;

/// One setting.
pub(super) struct Key {
    /// Kafka's name.
    pub(super) name: &'static str,
    /// The value as text.
    pub(super) get: fn(&LogConfig) -> String,
    /// Takes over a value, or says what was expected and changes nothing.
    pub(super) set: fn(&mut LogConfig, &str) -> Result<(), Expected>,
}

/// A segment's size in Kafka's own tests; the same as `segment.bytes` here, which has no large minimum.
const SEGMENT_BYTES_ALIAS: &str = "internal.segment.bytes";

/// The smallest segment: one batch without records.
const SEGMENT_BYTES_MIN: i64 = 61;

impl Key {
    /// The setting of this name.
    pub(super) fn find(name: &str) -> Option<&'static Key> {
        let name = if name == SEGMENT_BYTES_ALIAS { "segment.bytes" } else { name };
        KEYS.binary_search_by_key(&name, |key| key.name).ok().and_then(|place| KEYS.get(place))
    }
}

/// A table row: name, field, what a text's value is, and what the value's text is where that is not its `Display`.
macro_rules! key {
    ($name:literal, $($field:ident).+, $value:expr) => {
        key!($name, $($field).+, $value, |value| value.to_string())
    };
    ($name:literal, $($field:ident).+, $value:expr, $text:expr) => {
        Key {
            name: $name,
            get: |config| shown(&config.$($field).+, $text),
            set: |config, text| {
                let value: fn(&str) -> Result<_, Expected> = $value;
                config.$($field).+ = value(text)?;
                Ok(())
            },
        }
    };
}

fn shown<T, S: Into<String>>(value: &T, text: impl Fn(&T) -> S) -> String {
    text(value).into()
}

/// All settings, sorted by name.
pub(super) const KEYS: &[Key] = &[
    key!("cleanup.policy", cleanup_policy, cleanup_policy, |value| cleanup_policy_name(*value)),
    key!("compression.gzip.level", gzip_level, gzip_level),
    key!("compression.lz4.level", lz4_level, |text| integer(text, 1..=17)),
    key!("compression.type", compression, compression, |value| compression_name(*value)),
    key!("compression.zstd.level", zstd_level, |text| integer(text, -131_072..=22)),
    key!("delete.retention.ms", delete_retention_ms, |text| long(text, 0)),
    key!("file.delete.delay.ms", file_delete_delay_ms, |text| long(text, 0)),
    key!("flush.messages", flush_messages, |text| long(text, 1)),
    key!("flush.ms", flush_ms, |text| long(text, 0)),
    key!("follower.replication.throttled.replicas", kept.follower_throttled_replicas, throttled_replicas),
    key!("high.watermark", high_watermark, high_watermark, |value| high_watermark_name(*value)),
    key!("index.interval.bytes", index_interval_bytes, |text| int(text, 0)),
    key!("leader.replication.throttled.replicas", kept.leader_throttled_replicas, throttled_replicas),
    key!("local.retention.bytes", kept.local_retention_bytes, |text| long(text, -2)),
    key!("local.retention.ms", kept.local_retention_ms, |text| long(text, -2)),
    key!("max.compaction.lag.ms", max_compaction_lag_ms, |text| long(text, 1)),
    key!("max.message.bytes", max_message_bytes, |text| int(text, 0)),
    key!("message.downconversion.enable", kept.message_downconversion, boolean),
    key!("message.timestamp.after.max.ms", timestamp_after_max_ms, |text| long(text, 0)),
    key!("message.timestamp.before.max.ms", timestamp_before_max_ms, |text| long(text, 0)),
    key!("message.timestamp.type", timestamp_type, timestamp_type),
    key!("min.cleanable.dirty.ratio", min_cleanable_dirty_ratio, ratio, |value| format!("{value:?}")),
    key!("min.compaction.lag.ms", min_compaction_lag_ms, |text| long(text, 0)),
    key!("min.insync.replicas", min_insync_replicas, |text| int(text, 1)),
    key!("preallocate", preallocate, boolean),
    key!("remote.log.copy.disable", kept.remote_log_copy_disable, boolean),
    key!("remote.log.delete.on.disable", kept.remote_log_delete_on_disable, boolean),
    Key { name: "remote.storage.enable", get: |_| "false".into(), set: |_, text| only_false(text) },
    key!("retention.bytes", retention_bytes, |text| long(text, i64::MIN)),
    key!("retention.ms", retention_ms, |text| long(text, -1)),
    key!("segment.bytes", segment_bytes, |text| int(text, SEGMENT_BYTES_MIN)),
    key!("segment.index.bytes", segment_index_bytes, |text| int(text, 4)),
    key!("segment.jitter.ms", segment_jitter_ms, |text| long(text, 0)),
    key!("segment.ms", segment_ms, |text| long(text, 1)),
    key!("unclean.leader.election.enable", unclean_leader_election, boolean),
];
