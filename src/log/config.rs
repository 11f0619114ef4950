//! A log's settings: Kafka's topic configs, by Kafka's names, with the defaults and limits of Kafka 4.3.1.

mod keys;
mod values;

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::record::Compression;
use crate::types::TimestampType;

use keys::{KEYS, Key};

/// Which old records go: whole segments that are due, all but the last of each key, both, or none. Kafka's
/// `cleanup.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CleanupPolicy {
    /// Segments that are too old or too many are removed.
    pub delete: bool,
    /// Only the last record of each key is kept.
    pub compact: bool,
}

/// How batches are stored. Kafka's `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicCompression {
    /// As the producer sent them.
    #[default]
    Producer,
    /// With this codec, whatever the producer used.
    Codec(Compression),
}

/// What the high watermark of a partition without replication follows. `high.watermark`, which Kafka does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HighWatermark {
    /// The log end: what is below survives the process.
    #[default]
    Written,
    /// The durable end: what is below survives a power cut.
    Durable,
}

/// When a log is synced without being asked. Both may be set, and neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushPolicy {
    /// Once this many records are not synced.
    pub records: Option<u64>,
    /// Once the oldest record that is not synced is this old.
    pub interval: Option<Duration>,
}

impl FlushPolicy {
    /// Whether the log is ever synced without being asked.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.records.is_some() || self.interval.is_some()
    }

    /// Whether every append is synced before it returns.
    #[must_use]
    pub fn is_every_append(&self) -> bool {
        self.records == Some(1) || self.interval == Some(Duration::ZERO)
    }
}

/// The settings of one partition's log. Times are milliseconds.
///
/// Settings are got and set by Kafka's names for topic configs; besides there is `high.watermark`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub(crate) cleanup_policy: CleanupPolicy,
    pub(crate) compression: TopicCompression,
    pub(crate) gzip_level: i32,
    pub(crate) lz4_level: i32,
    pub(crate) zstd_level: i32,
    pub(crate) delete_retention_ms: i64,
    pub(crate) file_delete_delay_ms: i64,
    pub(crate) flush_messages: i64,
    pub(crate) flush_ms: i64,
    pub(crate) high_watermark: HighWatermark,
    pub(crate) index_interval_bytes: u32,
    pub(crate) max_compaction_lag_ms: i64,
    pub(crate) max_message_bytes: u32,
    pub(crate) timestamp_type: TimestampType,
    pub(crate) timestamp_before_max_ms: i64,
    pub(crate) timestamp_after_max_ms: i64,
    pub(crate) min_cleanable_dirty_ratio: f64,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) min_insync_replicas: u32,
    pub(crate) preallocate: bool,
    /// −1: without limit.
    pub(crate) retention_bytes: i64,
    /// −1: without limit.
    pub(crate) retention_ms: i64,
    pub(crate) segment_bytes: u32,
    pub(crate) segment_index_bytes: u32,
    pub(crate) segment_jitter_ms: i64,
    pub(crate) segment_ms: i64,
    pub(crate) unclean_leader_election: bool,
    pub(crate) kept: KeptForKafka,
}

/// Settings without effect here, kept so that a topic can go back to Kafka as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptForKafka {
    leader_throttled_replicas: String,
    follower_throttled_replicas: String,
    message_downconversion: bool,
    local_retention_bytes: i64,
    local_retention_ms: i64,
    remote_log_copy_disable: bool,
    remote_log_delete_on_disable: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            cleanup_policy: CleanupPolicy { delete: true, compact: false },
            compression: TopicCompression::Producer,
            gzip_level: -1,
            lz4_level: 9,
            zstd_level: 3,
            delete_retention_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            high_watermark: HighWatermark::Written,
            index_interval_bytes: 4096,
            max_compaction_lag_ms: i64::MAX,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            min_insync_replicas: 1,
            preallocate: false,
            retention_bytes: -1,
            retention_ms: 604_800_000,
            segment_bytes: 1 << 30,
            segment_index_bytes: 10 << 20,
            segment_jitter_ms: 0,
            segment_ms: 604_800_000,
            unclean_leader_election: false,
            kept: KeptForKafka::default(),
        }
    }
}

impl Default for KeptForKafka {
    fn default() -> Self {
        Self {
            leader_throttled_replicas: String::new(),
            follower_throttled_replicas: String::new(),
            message_downconversion: true,
            local_retention_bytes: -2,
            local_retention_ms: -2,
            remote_log_copy_disable: false,
            remote_log_delete_on_disable: false,
        }
    }
}

impl LogConfig {
    /// The defaults with these settings, of which the last counts where a name comes twice.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a name that does not exist, a value that is not allowed, and for settings that
    /// contradict each other.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        Self::default().with_pairs(pairs)
    }

    /// This config with other settings in some places.
    ///
    /// # Errors
    /// As of [`LogConfig::from_pairs`].
    pub fn with_pairs<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut config = self.clone();
        for (name, value) in pairs {
            config.set(name, value)?;
        }
        config.check()?;
        Ok(config)
    }

    /// Changes one setting. Whether it goes together with the others is for [`LogConfig::check`] to say.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a name that does not exist and for a value that is not allowed; then nothing has
    /// changed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let key = Key::find(name).ok_or_else(|| invalid(format!("there is no config {name:?}")))?;
        (key.set)(self, value.trim()).map_err(|expected| invalid(format!("{name} is {value:?}, expected {expected}")))
    }

    /// Checks that the settings go together.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if they do not.
    pub fn check(&self) -> Result<()> {
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        if min <= max {
            return Ok(());
        }
        Err(invalid(format!("min.compaction.lag.ms is {min}, expected at most max.compaction.lag.ms, which is {max}")))
    }

    /// The value of a setting, as text; `None` if there is no such name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        Key::find(name).map(|key| (key.get)(self))
    }

    /// All names, sorted.
    #[must_use]
    pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
        KEYS.iter().map(|key| key.name)
    }

    /// The settings that are not the default, by name. [`LogConfig::from_pairs`] makes the same config of them.
    #[must_use]
    pub fn non_default(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        if *self == default {
            return Vec::new();
        }
        let set = KEYS.iter().map(|key| (key.name, (key.get)(self), (key.get)(&default)));
        set.filter(|(_, value, default)| value != default).map(|(name, value, _)| (name, value)).collect()
    }

    /// When the log is synced without being asked.
    #[must_use]
    pub fn flush_policy(&self) -> FlushPolicy {
        let limit = |value: i64| Some(value).filter(|value| *value != i64::MAX).map(i64::unsigned_abs);
        FlushPolicy { records: limit(self.flush_messages), interval: limit(self.flush_ms).map(Duration::from_millis) }
    }

    /// After how long a segment is rolled: on a compacted topic soon enough for records to be compacted in time.
    pub(crate) fn effective_segment_ms(&self) -> i64 {
        if self.cleanup_policy.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms }
    }

    /// By how much at most a segment is rolled earlier, so that not all partitions roll at once.
    pub(crate) fn segment_jitter_limit_ms(&self) -> i64 {
        self.segment_jitter_ms.min(self.segment_ms)
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

#[cfg(test)]
mod tests;
