//! A log is crashed at every point of drawn and of all small workloads, and what is left is opened, checked, appended
//! to, closed, and checked again; recoveries are crashed too.
//!
//! A failure prints its seed. `RIVERBED_SEED` replays one; `RIVERBED_CRASH_STATES` asks for more states than usual, and
//! then starts from that seed.

pub(super) mod check;
mod compaction;
mod expect;
mod explore;
pub(super) mod fuzzed;
mod generate;
mod host;
mod stores;
mod table;
mod workload;
mod world;

use explore::Explorer;
use workload::Op;

use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::log::LogConfig;
use crate::sim::{Failure, SimDisk};
use crate::sync::Arc;
use crate::types::Timestamp;

/// States that an ordinary test run checks at least, by drawn workloads alone.
const STATES: u64 = 130_000;

/// The same for whole stores.
const STORE_STATES: u64 = 15_000;

/// The same for logs that are compacted.
const COMPACTION_STATES: u64 = 20_000;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn drawn_workloads_keep_their_promises_through_drawn_crashes() {
    let (seed, states) = (number_from("RIVERBED_SEED"), number_from("RIVERBED_CRASH_STATES"));
    let goal = states.unwrap_or(if seed.is_some() { 1 } else { STATES });
    let (mut seed, mut checked) = (seed.unwrap_or(0), 0);
    while checked < goal {
        match Explorer::random_workload(seed, 3) {
            Ok(states) => checked += states,
            Err(wrong) => panic!("seed {seed}: {wrong}\nRIVERBED_SEED={seed} cargo test --lib drawn_workloads"),
        }
        seed += 1;
    }
}

#[test]
fn stores_with_topics_and_transactions_keep_their_promises_through_drawn_crashes() {
    let (seed, states) = (number_from("RIVERBED_SEED"), number_from("RIVERBED_CRASH_STATES"));
    let goal = states.unwrap_or(if seed.is_some() { 1 } else { STORE_STATES });
    let (mut seed, mut checked) = (seed.unwrap_or(0), 0);
    while checked < goal {
        match stores::crash_everywhere(seed) {
            Ok(states) => checked += states,
            Err(wrong) => panic!("seed {seed}: {wrong}\nRIVERBED_SEED={seed} cargo test --lib stores_with_topics"),
        }
        seed += 1;
    }
}

/// The transaction index of a segment that was to go went in front of its log: a crash in between left the log alone,
/// and what had been aborted was read as committed.
#[test]
fn a_segment_never_outlives_its_transaction_index() {
    stores::crash_everywhere(5711).unwrap();
}

#[test]
fn each_call_of_a_stores_workload_may_fail_once() {
    for failure in [Failure::Full, Failure::Device, Failure::Descriptors] {
        let calls = stores::fail_every_call(failure).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(calls > 100, "{calls} calls");
    }
}

/// A cut went through a batch that compaction had emptied, so that no byte of its segment stayed. The opening did not
/// come to the recovery point, and the log ended below what was durable.
#[test]
fn a_cut_that_leaves_nothing_of_a_compacted_segment_keeps_the_recovery_point() {
    for seed in [73, 5127] {
        compaction::Explorer::new(seed).and_then(|mut explorer| explorer.crash_everywhere(2)).unwrap();
    }
}

#[test]
fn compacted_logs_lose_no_value_and_bring_none_back_through_drawn_crashes() {
    let (seed, states) = (number_from("RIVERBED_SEED"), number_from("RIVERBED_CRASH_STATES"));
    let goal = states.unwrap_or(if seed.is_some() { 1 } else { COMPACTION_STATES });
    let (mut seed, mut checked) = (seed.unwrap_or(0), 0);
    while checked < goal {
        let explored = compaction::Explorer::new(seed).and_then(|mut explorer| {
            explorer.crash_everywhere(2)?;
            explorer.exhaust_a_compaction(40)?;
            for failure in [Failure::Full, Failure::Device, Failure::Descriptors] {
                explorer.fail_calls(failure)?;
            }
            Ok(explorer.states)
        });
        match explored {
            Ok(states) => checked += states,
            Err(wrong) => panic!("seed {seed}: {wrong}\nRIVERBED_SEED={seed} cargo test --lib compacted_logs_lose"),
        }
        seed += 1;
    }
}

#[test]
fn a_disk_that_garbles_durable_bytes_loses_records_but_never_changes_them() {
    let first = number_from("RIVERBED_SEED").unwrap_or(0);
    for seed in first..first + 100 {
        if let Err(wrong) = Explorer::garbled_workload(seed) {
            panic!("seed {seed}: {wrong}\nRIVERBED_SEED={seed} cargo test --lib a_disk_that_garbles");
        }
    }
}

#[test]
fn all_workloads_of_up_to_three_operations_keep_their_promises_through_every_crash() {
    let mut checked = 0;
    for ops in (0..=3).flat_map(generate::all) {
        let config = LogConfig { segment_bytes: 800, index_interval_bytes: 1, ..LogConfig::default() };
        let mut explorer = Explorer::new(1, config);
        let explored = explorer.run(&ops).and_then(|run| explorer.exhaust_last(&run, 24));
        if let Err(wrong) = explored {
            panic!("{ops:?}: {wrong}");
        }
        checked += explorer.states;
    }
    assert!(checked >= 60_000, "only {checked} states");
}

#[test]
fn retention_behind_all_workloads_of_up_to_two_operations_may_be_interrupted_anywhere() {
    let mut checked = 0;
    for ops in (0..=2).flat_map(generate::all) {
        for kept in [0, 4] {
            let ops = [&ops[..], &[Op::Retain(kept)]].concat();
            let config = LogConfig { segment_bytes: 300, index_interval_bytes: 1, ..LogConfig::default() };
            let mut explorer = Explorer::new(1, config);
            let explored = explorer.run(&ops).and_then(|run| explorer.exhaust_last(&run, 24));
            if let Err(wrong) = explored {
                panic!("{ops:?}: {wrong}");
            }
            checked += explorer.states;
        }
    }
    assert!(checked >= 2_000, "only {checked} states");
}

#[test]
fn a_log_is_open_for_writing_once() {
    let disk = SimDisk::new();
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
    let setting = host::Setting { config: Arc::new(LogConfig::default()), clock };
    let first = host::Host::open(&disk, &setting).unwrap();
    assert_eq!(host::Host::open(&disk, &setting).map(|_| ()).unwrap_err().kind(), ErrorKind::AlreadyOpen);
    first.close().unwrap();
    host::Host::open(&disk, &setting).unwrap();
}
