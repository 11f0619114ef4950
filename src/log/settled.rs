//! Marks, and the segments that go with them.

use crate::sync::{Arc, ArcSwap};

/// What `load` answers, and what was current all the while it did.
///
/// A cut lowers the marks, then replaces the segments, and only then the log grows again: so nothing that grew behind a
/// cut is ever read up to a mark from before it. A roll replaces the segments before a mark tells of the new one.
pub(super) fn settled<S, T>(current: &ArcSwap<S>, load: impl Fn() -> T) -> (Arc<S>, T) {
    loop {
        let before = current.load_full();
        let loaded = load();
        if Arc::ptr_eq(&before, &current.load()) {
            return (before, loaded);
        }
    }
}
