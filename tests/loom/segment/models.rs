//! The index of the active segment.

use loom::thread;

use super::series::Series;
use crate::sync::Arc;

/// The writer counts itself, and never loads what it publishes.
pub(crate) fn series() {
    let series = Arc::new(Series::<2>::new());
    let shared = Arc::clone(&series);
    let writer = thread::spawn(move || {
        for entry in 1..=2 {
            shared.push(entry as usize - 1, [entry, 10 * entry]);
        }
    });
    let len = series.len();
    for (at, entry) in (1..).zip(series.iter().take(len)) {
        assert_eq!(entry, [at, 10 * at]);
    }
    assert!(series.partition_point(|_| true) >= len);
    writer.join().unwrap();
    assert_eq!(series.get(1), Some([2, 20]));
}
