//! Workloads and crashes that bytes choose, for fuzzing.

use super::check::{Checked, works};
use super::expect::Expect;
use super::host::{Host, Setting};
use super::workload::{Op, Run};
use crate::clock::ManualClock;
use crate::log::{HighWatermark, LogConfig};
use crate::sim::{Call, CrashMode, Failure, Random, SimDisk};
use crate::sync::Arc;
use crate::types::Timestamp;

/// The longest workload: what follows is the tenth that finds nothing new.
const OPS_MAX: usize = 40;

/// Does to a log what the bytes that `next` hands out say, until they end, and crashes it where they say so. Each
/// operation, and each crash, leaves what the model expects.
pub(in crate::tests) fn fuzzed(next: &mut dyn FnMut() -> Option<u8>) -> Checked {
    let choice = next().unwrap_or(0);
    let mut random = Random::new(u64::from(next().unwrap_or(0)));
    let config = LogConfig {
        segment_bytes: [200, 500, 1_500, 20_000][usize::from(choice & 3)],
        index_interval_bytes: [1, 150, 4_096, 150][usize::from(choice >> 2 & 3)],
        high_watermark: if choice & 16 == 0 { HighWatermark::Durable } else { HighWatermark::Written },
        ..LogConfig::default()
    };
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
    let setting = Setting { config: Arc::new(config), clock };
    let mut run = Run::open(SimDisk::new(), setting.clone(), Expect::default(), 0)?;
    for _ in 0..OPS_MAX {
        let Some(kind) = next() else { break };
        let more = next().unwrap_or(0);
        match op(kind, more) {
            Some(op) => {
                run.perform(op)?;
                // Names whose sync failed are shown, and will never be durable.
                if op == Op::Reopen && run.disk.has_lost_writes() {
                    break;
                }
            }
            None => {
                let mode = CrashMode::any(&mut random);
                let state = run.disk.crash_state(&mut random, mode);
                let expect = run.story().last().after(mode);
                // What could not be written may go at any time: nothing done to such a disk can be promised.
                if state.has_lost_writes() {
                    return works("open", Host::open(&state, &setting)).map(drop);
                }
                run = Run::open(state, setting.clone(), expect, run.next_id()).map_err(|e| format!("{mode:?}: {e}"))?;
            }
        }
    }
    Ok(())
}

/// What two bytes stand for; a crash is none.
fn op(kind: u8, more: u8) -> Option<Op> {
    const CALLS: [Option<Call>; 7] = [
        None,
        Some(Call::Sync),
        Some(Call::SyncDirectory),
        Some(Call::Append),
        Some(Call::Create),
        Some(Call::Open),
        Some(Call::Rename),
    ];
    Some(match kind % 16 {
        0..=4 => Op::Append { records: 1 + kind % 3, bytes: u16::from(more) },
        5 => Op::Append { records: 1, bytes: 700 + u16::from(more) * 20 },
        6 | 7 => Op::Sync,
        8 => Op::Roll,
        9 => Op::Truncate(more % 11),
        10 => Op::DeleteRecords(more % 11),
        11 => Op::Wait { millis: 300 + 10 * u16::from(more) },
        12 => Op::Reopen,
        13 if kind < 128 => Op::Fill(u16::from(more) * 40),
        13 => Op::Heal,
        14 => {
            let call = CALLS[usize::from(more) % CALLS.len()];
            Op::Fail { after: more >> 5, call, failure: Failure::Device }
        }
        _ => return None,
    })
}
