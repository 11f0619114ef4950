//! Cuts of logs that were compacted, and crashes behind them: what lies below the cut is there, and what came behind it.

use super::*;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random, SectorSize};

const POWER_LOST: CrashMode =
    CrashMode::PowerCut(PowerCut { left: Left::Nothing, sector: SectorSize::Small, names_in_order: true });

/// Offsets 0, 1, 8, 9 in one segment, 2 to 7 compacted away; 10 and 11 in the next; and an empty one.
fn compacted() -> Host {
    let host = Host::new(&[("segment.bytes", "10000")]);
    host.put("first", "stays");
    host.put("second", "stays");
    for n in 0..7 {
        host.put("a", &format!("{n}"));
    }
    host.put("b", "stays");
    host.roll();
    host.compact();
    host.put("c", "10");
    host.put("d", "11");
    host.roll();
    host.log.sync().unwrap();
    assert_eq!((host.offsets(), host.bases()), (vec![0, 1, 8, 9, 10, 11], vec![0, 10, 12]));
    host
}

/// A state that a crash leaves of the host's disk, opened.
fn after(host: &Host, mode: CrashMode) -> Host {
    Host::over(host.disk.crash_state(&mut Random::new(1), mode), host.config.clone())
}

/// A cut fell into a gap that compaction had left. After a kill the segment behind the cut did not follow what was left in
/// front of it, and was removed: with it all that had been appended since.
#[test]
fn what_is_appended_behind_a_cut_in_a_gap_survives() {
    for to in 2..9 {
        let host = compacted();
        let end = host.log.truncate(Offset::new(to)).unwrap().get();
        let appended = host.put("e", "behind the cut");
        assert_eq!(appended, end);
        let again = after(&host, CrashMode::Kill);
        assert_eq!(again.offsets(), [0, 1, end], "cut at {to}");
        assert_eq!(again.put("f", "goes on"), end + 1);
        host.log.sync().unwrap();
        let again = after(&host, POWER_LOST);
        assert_eq!(again.offsets(), [0, 1, end], "cut at {to}");
    }
}

/// The cut fell on a segment's first offset, so that its file was removed, and there was no room for a new one. The
/// opening took nothing for synced any more, and cut the segment in front at the first gap that compaction had left.
#[test]
fn a_cut_at_a_segments_base_leaves_the_one_in_front_of_it_trusted() {
    for fails in [false, true] {
        for mode in [CrashMode::Kill, POWER_LOST] {
            let host = compacted();
            if fails {
                host.disk.fail(Fault::next(Call::Create, Failure::Full).on("10.log"));
            }
            assert_eq!(host.log.truncate(Offset::new(10)).unwrap(), Offset::new(10));
            let again = after(&host, mode);
            let recovery = again.log.recovery();
            assert!(recovery.damage.is_empty() && recovery.cut_bytes == 0, "{fails} {mode:?}: {recovery:?}");
            assert_eq!(again.offsets(), [0, 1, 8, 9], "{fails} {mode:?}");
            assert_eq!(again.put("e", "goes on"), 10);
        }
    }
}

/// Each moment of such cuts.
#[test]
fn a_power_cut_in_a_cut_leaves_what_is_in_front_of_it() {
    for to in [1, 2, 5, 8, 9, 10, 11, 12] {
        let host = compacted();
        let begin = host.disk.position();
        let end = host.log.truncate(Offset::new(to)).unwrap().get();
        let mut replay = host.disk.history().at(begin);
        loop {
            for state in replay.exhaustive_states(500) {
                let again = Host::over(state, host.config.clone());
                let found = again.offsets();
                let kept = [0, 1, 8, 9, 10, 11].into_iter().filter(|offset| *offset < end).collect::<Vec<u64>>();
                assert!(found.starts_with(&kept), "cut at {to}: {found:?}");
                assert!(again.log.recovery().damage.is_empty(), "{:?}", again.log.recovery());
            }
            if !replay.advance() {
                break;
            }
        }
    }
}

/// The file of epochs found no room, so that what is synced was not noted. The compaction behind it took the recovery point
/// up, and the next sync took it down again, into a segment that had been exchanged: a crash cut the log at its first gap.
#[test]
fn the_recovery_point_never_goes_back_into_what_was_exchanged() {
    let host = Host::new(&[("segment.bytes", "10000")]);
    for n in 0..8 {
        host.put("a", &format!("{n}"));
    }
    host.roll();
    host.put("b", "1");
    host.disk.fail(Fault::next_of_any_kind(Failure::Full).on("leader-epoch-checkpoint.tmp"));
    host.log.sync().unwrap();
    host.disk.heal();
    host.compact();
    host.put("c", "2");
    host.log.checkpoint_if_due().unwrap();
    for mode in [CrashMode::Kill, POWER_LOST] {
        let again = after(&host, mode);
        assert!(again.offsets().starts_with(&[7, 8]), "{mode:?}: {:?}, {:?}", again.offsets(), again.log.recovery());
    }
}
