//! The feature `tracing`: which spans there are, and that they end.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use riverbed::Offset;
use support::TestDir;
use support::partition::{append, open};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Remembers the names of our spans, in the order in which they begin, and how many are open.
#[derive(Clone, Default)]
struct Names {
    names: Arc<Mutex<Vec<&'static str>>>,
    entered: Arc<AtomicU64>,
}

impl Subscriber for Names {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "riverbed"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut names = self.names.lock();
        names.push(span.metadata().name());
        Id::from_u64(names.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {
        self.entered.fetch_add(1, Ordering::SeqCst);
    }

    fn exit(&self, _: &Id) {
        self.entered.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Names {
    /// The names since this was last asked.
    fn take(&self) -> Vec<&'static str> {
        assert_eq!(self.entered.load(Ordering::SeqCst), 0, "all have ended");
        std::mem::take(&mut self.names.lock())
    }
}

#[test]
fn what_takes_long_has_a_span() {
    let (dir, names) = (TestDir::new("what_takes_long_has_a_span"), Names::default());
    tracing::subscriber::with_default(names.clone(), || {
        let partition = open(&dir, &[]);
        assert_eq!(names.take(), ["open", "recover"]);
        for time in 0..3 {
            append(&partition, "v", time);
        }
        assert!(names.take().is_empty(), "an append has none");
        partition.sync().unwrap();
        assert_eq!(names.take(), ["sync"]);
        partition.roll().unwrap();
        assert_eq!(names.take(), ["roll"], "what it ended was synced before");
        partition.truncate(Offset::new(1)).unwrap();
        assert_eq!(names.take(), ["cut"]);
        partition.close().unwrap();
    });
}
