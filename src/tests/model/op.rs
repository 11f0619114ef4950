//! What is done to a store, and how it is drawn.

use proptest::prelude::*;

use crate::record::Compression;

/// A partition: the number of a topic, and one that is taken modulo its partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) topic: usize,
    pub(super) partition: u32,
}

/// One thing that is done. Places are in sixteenths of what is there.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create {
        topic: usize,
        partitions: u32,
        settings: Vec<(usize, usize)>,
    },
    Delete(usize),
    Alter {
        topic: usize,
        setting: (usize, usize),
    },
    Grow(usize),
    /// A client's batch, or single record.
    Append {
        at: At,
        batch: Batch,
    },
    /// A batch of an idempotent producer.
    Produce {
        at: At,
        batch: Batch,
        producer: i64,
        transactional: bool,
        how: How,
    },
    /// The end of a producer's transaction, whether one is open or not.
    End {
        at: At,
        producer: i64,
        commit: bool,
        how: EndHow,
    },
    Fetch {
        at: At,
        from: usize,
        bytes: usize,
        mark: usize,
        committed: bool,
    },
    ByTime {
        at: At,
        from: usize,
        mark: usize,
    },
    DeleteRecords {
        at: At,
        to: usize,
    },
    Truncate {
        at: At,
        to: usize,
    },
    Roll(At),
    Sync(At),
    WaitDurable {
        at: At,
        to: usize,
    },
    /// Lets time pass, and what is to be done in the background be done.
    Wait(u16),
    /// Leaves so little room on the disk.
    Fill(u16),
    Free,
    /// Closes cleanly and opens again.
    Reopen,
    /// The process dies.
    Kill,
    /// The machine loses power; what is left is drawn from this seed.
    PowerCut(u64),
    /// Opens read-only beside the writer.
    Look,
}

/// Records and how they are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) codec: Compression,
    /// By how much the first record is older than now; each further one is drawn from it.
    pub(super) age: i64,
}

/// Which sequence a producer sends, and in which epoch.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Next,
    /// One of its last batches comes again, counted from the last.
    Again(usize),
    /// The same with a record more.
    Longer(usize),
    /// So many records are missing before it.
    Gap(i32),
    /// From an epoch that is over.
    Zombie,
    /// The first of a new epoch.
    NewEpoch,
}

/// Who ends a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum EndHow {
    Now,
    /// For a producer's epoch that is over.
    Zombie,
    /// By a coordinator that is over.
    OldCoordinator,
    /// With a new epoch, as a coordinator does that fences the producer.
    Fencing,
}

impl Op {
    /// The number of its kind, where whole kinds may be left out of a run.
    pub(super) fn kind(&self) -> Option<u32> {
        Some(match self {
            Op::Create { .. } | Op::Append { .. } | Op::Fetch { .. } | Op::ByTime { .. } | Op::Free => return None,
            Op::Delete(_) => 0,
            Op::Alter { .. } => 1,
            Op::Grow(_) => 2,
            Op::Produce { transactional: false, .. } => 3,
            Op::Produce { .. } | Op::End { .. } => 4,
            Op::DeleteRecords { .. } => 5,
            Op::Truncate { .. } => 6,
            Op::Roll(_) => 7,
            Op::Sync(_) | Op::WaitDurable { .. } => 8,
            Op::Wait(_) => 9,
            Op::Fill(_) => 10,
            Op::Reopen => 11,
            Op::Kill => 12,
            Op::PowerCut(_) => 13,
            Op::Look => 14,
        })
    }
}

/// The settings that are drawn: each has a few values.
pub(super) const SETTINGS: [(&str, &[&str]); 6] = [
    ("segment.bytes", &["300", "700", "2000", "20000"]),
    ("index.interval.bytes", &["0", "100", "4096"]),
    ("compression.type", &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
    ("flush.messages", &["1", "3", "9223372036854775807"]),
    ("message.timestamp.type", &["CreateTime", "LogAppendTime"]),
    ("high.watermark", &["written", "durable"]),
];

/// The name and the value of a drawn setting.
pub(super) fn setting((name, value): (usize, usize)) -> (&'static str, &'static str) {
    let (name, values) = SETTINGS[name % SETTINGS.len()];
    (name, values[value % values.len()])
}

fn at() -> impl Strategy<Value = At> {
    (prop_oneof![3 => Just(0), 1 => Just(1_usize)], 0..3_u32).prop_map(|(topic, partition)| At { topic, partition })
}

fn batch() -> impl Strategy<Value = Batch> {
    let codec = prop::sample::select(vec![
        Compression::None,
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ]);
    let bytes = prop_oneof![8 => 0..60_usize, 1 => 200..1500_usize];
    (1..5_usize, bytes, codec, -50..3000_i64).prop_map(|(records, bytes, codec, age)| Batch {
        records,
        bytes,
        codec,
        age,
    })
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Next),
        2 => (0..7_usize).prop_map(How::Again),
        1 => (0..7_usize).prop_map(How::Longer),
        1 => (1..4_i32).prop_map(How::Gap),
        1 => Just(How::Zombie),
        1 => Just(How::NewEpoch),
    ]
}

fn end_how() -> impl Strategy<Value = EndHow> {
    prop_oneof![
        8 => Just(EndHow::Now),
        1 => Just(EndHow::Zombie),
        1 => Just(EndHow::OldCoordinator),
        1 => Just(EndHow::Fencing),
    ]
}

fn drawn_setting() -> impl Strategy<Value = (usize, usize)> {
    (0..SETTINGS.len(), 0..6_usize)
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let settings = prop::collection::vec(drawn_setting(), 0..5);
    let topic = || 0..2_usize;
    prop_oneof![
        3 => (topic(), 1..3_u32, settings)
            .prop_map(|(topic, partitions, settings)| Op::Create { topic, partitions, settings }),
        1 => topic().prop_map(Op::Delete),
        1 => (topic(), drawn_setting()).prop_map(|(topic, setting)| Op::Alter { topic, setting }),
        1 => topic().prop_map(Op::Grow),
        20 => (at(), batch()).prop_map(|(at, batch)| Op::Append { at, batch }),
        20 => (at(), batch(), 1..4_i64, any::<bool>(), how()).prop_map(|(at, batch, producer, transactional, how)| {
            Op::Produce { at, batch, producer, transactional, how }
        }),
        10 => (at(), 1..4_i64, any::<bool>(), end_how())
            .prop_map(|(at, producer, commit, how)| Op::End { at, producer, commit, how }),
        10 => (at(), 0..17_usize, 1..900_usize, 0..3_usize, any::<bool>())
            .prop_map(|(at, from, bytes, mark, committed)| Op::Fetch { at, from, bytes, mark, committed }),
        6 => (at(), 0..17_usize, 0..3_usize).prop_map(|(at, from, mark)| Op::ByTime { at, from, mark }),
        2 => (at(), 0..17_usize).prop_map(|(at, to)| Op::DeleteRecords { at, to }),
        2 => (at(), 0..17_usize).prop_map(|(at, to)| Op::Truncate { at, to }),
        3 => at().prop_map(Op::Roll),
        4 => at().prop_map(Op::Sync),
        2 => (at(), 0..17_usize).prop_map(|(at, to)| Op::WaitDurable { at, to }),
        4 => (0..3000_u16).prop_map(Op::Wait),
        1 => (0..3000_u16).prop_map(Op::Fill),
        1 => Just(Op::Free),
        2 => Just(Op::Reopen),
        2 => Just(Op::Kill),
        2 => any::<u64>().prop_map(Op::PowerCut),
        1 => Just(Op::Look),
    ]
}
