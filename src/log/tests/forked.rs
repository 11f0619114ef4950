//! In a forked child nobody releases what another thread held when it was made.

use super::*;
use crate::io::child;

/// Calls that need no mark to move locked before they asked: in a child they waited for ever.
#[test]
fn a_forked_childs_handles_answer_although_a_lock_is_held() {
    if child::succeeds("log::tests::forked::a_forked_childs_handles_answer_although_a_lock_is_held") {
        return;
    }
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    let offsets = log.offsets();
    let guard = log.writer.lock();
    let status = child::forked(|| {
        let closed = |error: Error| error.kind() == ErrorKind::Closed;
        log.set_config(LogConfig::default());
        let checks = [
            log.offsets() == offsets,
            log.epoch_at(Offset::ZERO).is_err_and(closed),
            log.producers().is_err_and(closed),
            log.wait_mark(Offset::new(9), ReadUpTo::Written, None).is_err_and(closed),
            log.close().is_ok_and(|ends| ends.is_none()),
        ];
        checks == [true; 5]
    });
    assert_eq!(status, 0, "the child was told, and ended");
    drop(guard);
    fill(&log, 3..5);
}
