//! Whole stores beside a model: topics, batches of all kinds and codecs, producers, transactions, reads, cuts, full
//! disks, closes, kills and power cuts, drawn by proptest and made small where they fail.
//!
//! A failure prints its seed. `RIVERBED_SEED` replays one, `RIVERBED_CASES` asks for more than the usual 500.

mod check;
mod op;
mod reference;
mod run;
mod sends;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use op::Op;
use run::Run;

use crate::tests::crash::check::Checked;

const CASES: u64 = 500;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Does all that is drawn, but for kinds that this case leaves out, so that the others meet more often.
fn run(ops: &[Op], left_out: u32) -> Checked {
    let mut run = Run::new()?;
    let is_done = |op: &&Op| op.kind().is_none_or(|kind| left_out & (1 << kind) == 0);
    for (number, op) in ops.iter().filter(is_done).enumerate() {
        run.perform(op).map_err(|wrong| format!("operation {number}, {op:?}: {wrong}"))?;
    }
    run.perform(&Op::Free)?;
    run.check_all()?;
    run.perform(&Op::Reopen)
}

#[test]
fn drawn_stores_are_what_the_model_says() {
    let seed = number_from("RIVERBED_SEED");
    let cases = number_from("RIVERBED_CASES").unwrap_or(if seed.is_some() { 1 } else { CASES });
    let first = seed.unwrap_or(0);
    for seed in first..first + cases {
        let config =
            ProptestConfig { cases: 1, failure_persistence: None, max_shrink_iters: 3000, ..ProptestConfig::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let drawn = (prop::collection::vec(op::op(), 1..200), any::<[u32; 2]>());
        let ran = runner.run(&drawn, |(ops, [some, others])| run(&ops, some & others).map_err(TestCaseError::fail));
        if let Err(TestError::Fail(wrong, (ops, [some, others]))) = ran {
            let ops: Vec<_> = ops.iter().map(|op| format!("{op:?}")).collect();
            panic!(
                "seed {seed}: {wrong}\nof {} without {:b}\nRIVERBED_SEED={seed} cargo test --lib drawn_stores",
                ops.join("\n   "),
                some & others
            );
        } else {
            ran.unwrap();
        }
    }
}
