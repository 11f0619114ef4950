//! Models of what happens between threads, on the crate's own code: loom runs each in every order, and with every value
//! that a load may see, up to so many preemptions (`LOOM_MAX_PREEMPTIONS`, 2 if it is not set).
//!
//! `scripts/check loom` runs them. Each prints how many executions it took.

#![cfg(loom)]
#![allow(dead_code, unused_imports, missing_docs, reason = "the crate's files are more than the models need")]

#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/sync.rs"]
mod sync;
#[path = "../../src/types/mod.rs"]
mod types;

mod clock {
    /// Waits with a deadline are not modelled.
    pub(crate) type Deadline = std::time::Instant;
}

mod io {
    #[path = "../../../src/io/budget.rs"]
    pub(crate) mod budget;
    #[path = "../../../src/io/doomed.rs"]
    pub(crate) mod doomed;
    #[path = "../../../src/io/group_sync.rs"]
    pub(crate) mod group_sync;
    #[path = "../../../src/io/kept.rs"]
    pub(crate) mod kept;
    #[path = "../../../src/io/state.rs"]
    pub(crate) mod state;

    pub(crate) mod fork {
        /// Nobody forks in a model.
        pub(crate) fn generation() -> u64 {
            0
        }
    }

    pub(crate) mod models;
}

mod log {
    #[path = "../../../src/log/moved.rs"]
    pub(crate) mod moved;
    #[path = "../../../src/log/settled.rs"]
    pub(crate) mod settled;
    #[path = "../../../src/log/watermarks.rs"]
    pub(crate) mod watermarks;

    pub(crate) mod models;
}

mod segment {
    #[path = "../../../src/segment/series.rs"]
    pub(crate) mod series;

    pub(crate) mod models;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs a model in every order.
fn explore(name: &str, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.max_branches = 10_000;
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    println!("{name}");
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("    {} executions", executions.load(Ordering::Relaxed));
}

const MODELS: [(&str, fn()); 9] = [
    ("a reader beside the writer of a file reads what is published", io::models::published_bytes),
    ("a map that is asked back stays for who has it, and is counted until it is gone", io::models::asked_back),
    ("followers are woken, and none returns before a sync that covers him", io::models::group_sync),
    ("a failure wakes everybody who waits for a sync", io::models::group_failure),
    ("a reader beside an index's writer sees whole entries", segment::models::series),
    ("a reader beside the writer of a log finds all below each mark", log::models::marks_model),
    ("a reader beside a roll finds all below the mark", log::models::roll),
    ("a reader beside a cut reads no further than its segments go", log::models::cut),
    ("whoever waits for a mark is told", log::models::moved),
];

/// Runs all models, or those whose names contain an argument.
fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, model) in MODELS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            explore(name, model);
        }
    }
}
