use super::*;

/// Name, default, values that are allowed, values that are not.
type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const LONG_MAX: &str = "9223372036854775807";
const TOO_LONG: &str = "9223372036854775808";

const TABLE: &[Row] = &[
    ("cleanup.policy", "delete", &["compact", "compact,delete", ""], &["Delete", "compact,", "compact;delete", "x"]),
    ("compression.gzip.level", "-1", &["1", "9"], &["0", "10", "-2", "x"]),
    ("compression.lz4.level", "9", &["1", "17"], &["0", "18", "-1"]),
    (
        "compression.type",
        "producer",
        &["uncompressed", "gzip", "snappy", "lz4", "zstd"],
        &["none", "GZIP", "brotli", ""],
    ),
    ("compression.zstd.level", "3", &["-131072", "22", "0"], &["-131073", "23"]),
    ("delete.retention.ms", "86400000", &["0", LONG_MAX], &["-1", TOO_LONG]),
    ("file.delete.delay.ms", "60000", &["0"], &["-1"]),
    ("flush.messages", LONG_MAX, &["1"], &["0", TOO_LONG]),
    ("flush.ms", LONG_MAX, &["0"], &["-1"]),
    ("follower.replication.throttled.replicas", "", &["*", "0:1", "0:1,12:34"], &["0", "0:", "a:b", "0:1,", "0:1:2"]),
    ("high.watermark", "written", &["durable"], &["", "Durable", "x"]),
    ("index.interval.bytes", "4096", &["0", "2147483647"], &["-1", "2147483648"]),
    ("leader.replication.throttled.replicas", "", &["*", "3:4"], &["**"]),
    ("local.retention.bytes", "-2", &["-1", "0"], &["-3"]),
    ("local.retention.ms", "-2", &["-1", "0"], &["-3"]),
    ("max.compaction.lag.ms", LONG_MAX, &["1"], &["0"]),
    ("max.message.bytes", "1048588", &["0", "2147483647"], &["-1", "2147483648"]),
    ("message.downconversion.enable", "true", &["false"], &["1"]),
    ("message.timestamp.after.max.ms", "3600000", &["0", LONG_MAX], &["-1"]),
    ("message.timestamp.before.max.ms", LONG_MAX, &["0"], &["-1"]),
    ("message.timestamp.type", "CreateTime", &["LogAppendTime"], &["logappendtime", ""]),
    ("min.cleanable.dirty.ratio", "0.5", &["0.0", "1.0", "0.25"], &["-0.1", "1.1", "NaN", "inf", "x"]),
    ("min.compaction.lag.ms", "0", &["1", LONG_MAX], &["-1"]),
    ("min.insync.replicas", "1", &["2"], &["0", "2147483648"]),
    ("preallocate", "false", &["true"], &["yes", ""]),
    ("remote.log.copy.disable", "false", &["true"], &["x"]),
    ("remote.log.delete.on.disable", "false", &["true"], &["x"]),
    ("remote.storage.enable", "false", &[], &["true", "x"]),
    ("retention.bytes", "-1", &["0", "-2", LONG_MAX], &[TOO_LONG, "x"]),
    ("retention.ms", "604800000", &["-1", "0", LONG_MAX], &["-2", "1d", "1.5"]),
    ("segment.bytes", "1073741824", &["61", "2147483647"], &["60", "0", "-1", "2147483648", ""]),
    ("segment.index.bytes", "10485760", &["4", "2147483647"], &["3", "2147483648"]),
    ("segment.jitter.ms", "0", &["1", LONG_MAX], &["-1"]),
    ("segment.ms", "604800000", &["1", LONG_MAX], &["0"]),
    ("unclean.leader.election.enable", "false", &["true"], &["x"]),
];

#[test]
fn every_setting_has_kafkas_default_and_limits() {
    assert_eq!(LogConfig::names().collect::<Vec<_>>(), TABLE.iter().map(|row| row.0).collect::<Vec<_>>());
    for (name, default, allowed, refused) in TABLE {
        let config = LogConfig::default();
        assert_eq!(config.get(name).as_deref(), Some(*default), "{name}");
        for value in *allowed {
            let mut changed = config.clone();
            changed.set(name, value).unwrap();
            assert_eq!(changed.get(name).as_deref(), Some(*value), "{name}");
            assert_eq!(changed.non_default(), [(*name, (*value).to_owned())]);
            changed.set(name, default).unwrap();
            assert_eq!(changed, config, "{name}");
        }
        for value in *refused {
            let mut same = config.clone();
            let error = same.set(name, value).unwrap_err();
            assert_eq!((error.kind(), &same), (ErrorKind::InvalidConfig, &config), "{name}={value}");
            assert!(error.to_string().starts_with(&format!("{name} is {value:?}, expected ")), "{error}");
        }
    }
}

#[test]
fn names_that_do_not_exist_or_were_removed_are_refused() {
    for name in ["", "Segment.bytes", "segment", "message.format.version", "message.timestamp.difference.max.ms"] {
        let error = LogConfig::from_pairs([(name, "1")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{name:?}");
        assert_eq!(LogConfig::default().get(name), None);
    }
}

#[test]
fn settings_make_a_config_and_a_config_tells_its_settings() {
    let pairs =
        [("segment.bytes", " 4096 "), ("cleanup.policy", "delete, compact"), ("internal.segment.bytes", "+100")];
    let config = LogConfig::from_pairs(pairs).unwrap();
    let told = config.non_default();
    assert_eq!(told, [("cleanup.policy", "compact,delete".to_owned()), ("segment.bytes", "100".to_owned())]);
    let pairs = told.iter().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(LogConfig::from_pairs(pairs).unwrap(), config);
    assert_eq!(config.get("internal.segment.bytes").as_deref(), Some("100"));
    assert_eq!(LogConfig::default().non_default(), []);
    let back = config.with_pairs([("cleanup.policy", "delete"), ("segment.bytes", "1073741824")]).unwrap();
    assert_eq!(back, LogConfig::default());
    assert!(LogConfig::from_pairs([("preallocate", "TRUE")]).unwrap().preallocate);
}

#[test]
fn settings_that_contradict_each_other_are_refused_whatever_their_order() {
    let (low, high) = (("max.compaction.lag.ms", "5"), ("min.compaction.lag.ms", "6"));
    for pairs in [[low, high], [high, low]] {
        assert_eq!(LogConfig::from_pairs(pairs).unwrap_err().kind(), ErrorKind::InvalidConfig);
    }
    LogConfig::from_pairs([low, ("min.compaction.lag.ms", "5")]).unwrap();
}

#[test]
fn the_flush_policy_follows_from_two_settings() {
    let policy = |pairs: &[(&'static str, &'static str)]| {
        let policy = LogConfig::from_pairs(pairs.iter().copied()).unwrap().flush_policy();
        (policy.records, policy.interval, policy.is_every_append())
    };
    let (messages, ms) = (|value| ("flush.messages", value), |value| ("flush.ms", value));
    assert_eq!(policy(&[]), (None, None, false));
    assert_eq!(policy(&[messages("1")]), (Some(1), None, true));
    assert_eq!(policy(&[messages("10"), ms("250")]), (Some(10), Some(Duration::from_millis(250)), false));
    assert_eq!(policy(&[ms("0")]), (None, Some(Duration::ZERO), true));
}

#[test]
fn a_compacted_topic_rolls_in_time_for_compaction() {
    let config = |pairs: &[(&'static str, &'static str)]| LogConfig::from_pairs(pairs.iter().copied()).unwrap();
    let lag = ("max.compaction.lag.ms", "1000");
    assert_eq!(config(&[lag]).effective_segment_ms(), 604_800_000);
    assert_eq!(config(&[lag, ("cleanup.policy", "compact")]).effective_segment_ms(), 1000);
    assert_eq!(config(&[("segment.jitter.ms", "50"), ("segment.ms", "20")]).segment_jitter_limit_ms(), 20);
}
