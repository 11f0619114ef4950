//! Draws workloads. Each seed uses a few kinds of operations only, so that they meet often.

use super::workload::Op;
use crate::log::{HighWatermark, LogConfig};
use crate::sim::{Call, Failure, Random};

/// What is drawn of one seed.
pub(super) struct Plan {
    pub(super) config: LogConfig,
    pub(super) ops: Vec<Op>,
}

impl Plan {
    pub(super) fn of(random: &mut Random) -> Self {
        let kinds: Vec<fn(&mut Random) -> Op> = KINDS.iter().filter(|_| random.one_in(2)).copied().collect();
        let len = 3 + random.index(10);
        let ops = (0..len).map(|_| match random.pick(&kinds) {
            Some(kind) if random.one_in(2) => kind(random),
            _ => append(random),
        });
        let ops = ops.collect();
        Self { config: config(random), ops }
    }
}

const KINDS: [fn(&mut Random) -> Op; 12] =
    [sync, sync, roll, truncate, delete_records, retain, wait, reopen, large, fill, fail, heal];

fn append(random: &mut Random) -> Op {
    Op::Append { records: small(random, 3) + 1, bytes: u16::from(small(random, 200)) }
}

fn large(random: &mut Random) -> Op {
    Op::Append { records: 1, bytes: 700 + u16::from(small(random, 8)) * 700 }
}

fn sync(_: &mut Random) -> Op {
    Op::Sync
}

fn roll(_: &mut Random) -> Op {
    Op::Roll
}

fn truncate(random: &mut Random) -> Op {
    Op::Truncate(small(random, 11))
}

fn delete_records(random: &mut Random) -> Op {
    Op::DeleteRecords(small(random, 11))
}

fn retain(random: &mut Random) -> Op {
    Op::Retain(small(random, 10))
}

fn wait(random: &mut Random) -> Op {
    Op::Wait { millis: 300 + 100 * u16::from(small(random, 20)) }
}

fn reopen(_: &mut Random) -> Op {
    Op::Reopen
}

fn fill(random: &mut Random) -> Op {
    Op::Fill(u16::from(small(random, 100)) * 100)
}

fn heal(_: &mut Random) -> Op {
    Op::Heal
}

fn fail(random: &mut Random) -> Op {
    const CALLS: [(Option<Call>, Failure); 9] = [
        (None, Failure::Device),
        (Some(Call::Sync), Failure::Device),
        (Some(Call::SyncDirectory), Failure::Device),
        (Some(Call::Append), Failure::Device),
        (Some(Call::Append), Failure::Full),
        (Some(Call::Reserve), Failure::Full),
        (Some(Call::Create), Failure::Descriptors),
        (Some(Call::Open), Failure::Descriptors),
        (Some(Call::Rename), Failure::Device),
    ];
    let (call, failure) = random.pick(&CALLS).copied().unwrap_or((None, Failure::Device));
    Op::Fail { after: small(random, 4), call, failure }
}

fn small(random: &mut Random, below: u8) -> u8 {
    u8::try_from(random.below(below.into())).unwrap_or(0)
}

/// Segments of a few batches, so that rolling is common.
fn config(random: &mut Random) -> LogConfig {
    LogConfig {
        segment_bytes: random.pick(&[200, 500, 1_500, 20_000]).copied().unwrap_or(500),
        index_interval_bytes: random.pick(&[1, 150, 4_096]).copied().unwrap_or(150),
        high_watermark: if random.one_in(2) { HighWatermark::Durable } else { HighWatermark::Written },
        ..LogConfig::default()
    }
}

/// All workloads of `len` operations out of those that find most bugs.
pub(super) fn all(len: usize) -> Vec<Vec<Op>> {
    const OPS: [Op; 7] = [
        Op::Append { records: 1, bytes: 10 },
        Op::Append { records: 2, bytes: 300 },
        Op::Sync,
        Op::Roll,
        Op::Truncate(5),
        Op::DeleteRecords(6),
        Op::Reopen,
    ];
    if len == 0 {
        return vec![Vec::new()];
    }
    let shorter = all(len - 1);
    shorter.iter().flat_map(|ops| OPS.iter().map(|op| [ops.as_slice(), &[*op]].concat())).collect()
}
