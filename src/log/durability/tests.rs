//! Rounds, taken apart.

use super::*;
use crate::io::sim::SimDisk;
use crate::log::tests::{UNCLEAN, fill, open};

/// What recovery takes for synced is what the round synced. What is appended while it is under way is not: no test had
/// appended there, and a recovery point at the log end would have passed them all.
#[test]
fn the_recovery_point_leaves_out_what_came_during_the_round() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.roll().unwrap(); // a point in another segment is due at once
    fill(&log, 3..5);
    let round = log.begin_round().unwrap();
    fill(&log, 5..8);
    let written = log.make_durable(&round).unwrap();
    assert_eq!(log.finish_round(&round, &written).unwrap(), Offset::new(5));
    let point = log.checkpoint.get().recovery_point;
    assert_eq!((point.offset, point.base, point.position), (Offset::new(5), Offset::new(3), round.position));
    assert_eq!((log.marks.durable(), log.marks.end()), (Offset::new(5), Offset::new(8)));
}
