//! After a call that failed: nothing more is promised than what was done, and what was not touched works on.

use super::*;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random, SectorSize};
use crate::log::checkpoint::Checkpoint;

const POWER_LOST: PowerCut = PowerCut { left: Left::Nothing, sector: SectorSize::Small, names_in_order: true };

fn device(call: Call, name: &str) -> Fault {
    Fault::next(call, Failure::Device).on(name)
}

/// The recovery point on disk.
fn recovery_point(disk: &SimDisk) -> u64 {
    let directory = disk.root().subdirectory("a-0").unwrap();
    Checkpoint::read(directory.as_ref()).unwrap().unwrap_or_default().recovery_point.offset.get()
}

/// APP-16.
#[test]
fn after_a_failed_write_or_sync_reads_go_on_and_nothing_is_written() {
    for call in [Call::Append, Call::Sync] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..20);
        log.sync().unwrap();
        fill(&log, 20..21);
        disk.fail(device(call, ".log"));
        let failed = match call {
            Call::Append => log.append(&batch(&["lost"]), AppendOrigin::Client).map(drop),
            _ => log.sync().map(drop),
        };
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
        let refused: [(&str, Result<()>); 6] = [
            ("append", log.append(&batch(&["x"]), AppendOrigin::Client).map(drop)),
            ("follow", log.append_as_follower(&transactions::stored(21)).map(drop)),
            ("sync", log.sync().map(drop)),
            ("roll", log.roll().map(drop)),
            ("truncate", log.truncate(Offset::new(3)).map(drop)),
            ("delete", log.delete_records(..Offset::new(3)).map(drop)),
        ];
        for (what, answer) in refused {
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::PreviousFailure, "{what} after {call:?}");
        }
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..21));
        assert_eq!(log.end(ReadUpTo::Durable), Offset::new(20));
        assert!(log.offset_for_time(Timestamp::from_millis(0), ReadUpTo::Written).unwrap().is_some());
        assert_eq!(log.close().unwrap_err().kind(), ErrorKind::PreviousFailure);
        let log = open(&disk, UNCLEAN);
        let end = log.end(ReadUpTo::Written).get();
        assert!((20..=21).contains(&end), "{end} after {call:?}");
        fill(&log, end..end + 1);
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..end + 1));
    }
}

/// DUR-04: the recovery point stays where it was, and so does the durable mark, as the sync is not known to be whole.
#[test]
fn a_snapshot_that_cannot_be_written_moves_no_recovery_point() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.sync().unwrap();
    let before = recovery_point(&disk);
    log.roll().unwrap();
    fill(&log, 3..5);
    disk.fail(device(Call::Create, ".snapshot.tmp"));
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!((recovery_point(&disk), log.end(ReadUpTo::Durable)), (before, Offset::new(3)));
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..5));
}

/// DUR-06: whatever of a sync fails, the recovery point covers only what was synced.
#[test]
fn the_recovery_point_follows_the_data() {
    let mut call = 0;
    loop {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..3);
        log.sync().unwrap();
        let before = recovery_point(&disk);
        log.roll().unwrap();
        fill(&log, 3..5);
        disk.fail(Fault::next_of_any_kind(Failure::Device).after(call).times(u64::MAX));
        let synced = log.sync();
        disk.heal();
        let after = recovery_point(&disk);
        if synced.is_ok() {
            assert_eq!(after, 5);
            break;
        }
        assert!(after == before || log.end(ReadUpTo::Durable) == Offset::new(5), "call {call}: {after}");
        call += 1;
    }
    assert!(call > 8, "a sync made {call} calls");
}

/// A cut was refused for want of a descriptor, but stood in the checkpoint already: the log went on, and the next opening
/// made the cut, of what had been appended since, too.
#[test]
fn a_cut_that_was_refused_is_not_made_by_the_next_opening() {
    let (mut refused, mut step) = (0, 0);
    loop {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..40);
        log.sync().unwrap();
        let before = disk.calls(None);
        disk.fail(Fault::next_of_any_kind(Failure::Descriptors).after(step));
        let cut = log.truncate(Offset::new(33));
        let has_failed = disk.calls(None) - before > step;
        disk.heal();
        if !has_failed {
            break;
        }
        if cut.is_err() && log.latch.check().is_ok() {
            refused += 1;
            fill(&log, 40..43);
            log.shut();
            let log = open(&disk, UNCLEAN);
            assert_eq!(values(&log, ReadUpTo::Written), numbered(0..43), "call {step}: {cut:?}");
        }
        step += 1;
    }
    assert!(refused > 3, "{refused} of {step}");
}

/// DUR-05.
#[test]
fn a_sync_of_a_directory_that_is_gone_is_an_error() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.roll().unwrap();
    disk.fail(Fault::next_of_any_kind(Failure::Device).on("a-0").times(u64::MAX));
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(log.end(ReadUpTo::Durable), Offset::ZERO);
}

/// ROLL-09.
#[test]
fn a_roll_below_the_log_end_is_refused() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    let mut writer = log.lock_writer().unwrap();
    for base in [0, 2] {
        let error = log.roll_writer(&mut writer, Offset::new(base), 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    drop(writer);
    assert_eq!(log.segments().len(), 1);
    fill(&log, 3..5);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..5));
}

/// A roll found no room, and the file that it had created could not be removed. The records that then went into the old
/// segment were passed over by the next opening, synced as they were: the file said that the old segment ends there.
#[test]
fn what_a_failed_roll_leaves_behind_costs_no_record() {
    for (unlinks, lost_power) in [(0, false), (1, false), (2, false), (0, true), (1, true)] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..3);
        disk.fail(Fault::next(Call::Reserve, Failure::Full));
        disk.fail(device(Call::Unlink, ".log").times(unlinks));
        assert_eq!(
            log.append(&batch(&[&"x".repeat(850)]), AppendOrigin::Client).unwrap_err().kind(),
            ErrorKind::StorageFull
        );
        for _ in 1..unlinks {
            let refused = log.append(&batch(&["refused"]), AppendOrigin::Client).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
        }
        fill(&log, 3..6);
        assert_eq!(log.segments().len(), 1);
        log.sync().unwrap();
        log.shut();
        let mode = if lost_power { CrashMode::PowerCut(POWER_LOST) } else { CrashMode::Kill };
        let state = disk.crash_state(&mut Random::new(1), mode);
        assert_eq!(values(&open(&state, UNCLEAN), ReadUpTo::Written), numbered(0..6), "{unlinks} {lost_power}");
    }
}

/// The same where the file was removed, but not durably: the power brought it back.
#[test]
fn what_a_failed_roll_removed_stays_removed() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.sync().unwrap();
    disk.fail(Fault::next(Call::Reserve, Failure::Full));
    log.append(&batch(&[&"x".repeat(850)]), AppendOrigin::Client).unwrap_err();
    fill(&log, 3..6);
    log.sync().unwrap();
    log.shut();
    for state in disk.exhaustive_states(1_000) {
        assert_eq!(values(&open(&state, UNCLEAN), ReadUpTo::Written), numbered(0..6));
    }
}

/// Nobody noted that a sync of an opening had failed: the next opening read what the kernel showed, synced it with
/// success, as the kernel called it clean, and the records that it called durable were gone with the power.
#[test]
fn what_an_opening_failed_to_sync_is_written_again_by_the_next() {
    for calls in 0..3 {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..30);
        log.shut();
        disk.fail(device(Call::Sync, ".log").after(calls));
        let opened = Log::open(disk.root().subdirectory("a-0").unwrap(), &options(UNCLEAN, 1000));
        match opened {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io),
            Ok(log) => log.shut(),
        }
        assert!(disk.has_lost_writes(), "sync {calls}");
        let log = open(&disk, UNCLEAN);
        assert_eq!(log.end(ReadUpTo::Durable), Offset::new(30));
        let disk = disk.crash_state(&mut Random::new(calls), CrashMode::PowerCut(POWER_LOST));
        assert_eq!(values(&open(&disk, UNCLEAN), ReadUpTo::Written), numbered(0..30), "sync {calls}");
    }
}

/// A roll that could not sync the directory left no note: the next opening synced the name with success, as the kernel
/// took it for clean, and what it called durable was gone with the power.
#[test]
fn a_segment_whose_name_could_not_be_synced_before_a_roll_is_written_again() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    disk.fail(device(Call::SyncDirectory, "a-0"));
    assert_eq!(log.roll().unwrap_err().kind(), ErrorKind::Io);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.end(ReadUpTo::Durable), Offset::new(3));
    let disk = disk.crash_state(&mut Random::new(1), CrashMode::PowerCut(POWER_LOST));
    assert_eq!(values(&open(&disk, UNCLEAN), ReadUpTo::Written), numbered(0..3));
}

/// A first append whose opening of the last segment failed to sync it was an error of that append alone: the next one
/// tried again, and took the kernel's word.
#[test]
fn a_failed_sync_in_front_of_the_first_append_stops_writes() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..5);
    let ends = log.close().unwrap().unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    disk.fail(device(Call::Sync, ".log"));
    for expected in [ErrorKind::Io, ErrorKind::PreviousFailure] {
        assert_eq!(log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err().kind(), expected);
    }
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..5));
    log.shut();
    let log = open(&disk, UNCLEAN);
    fill(&log, 5..6);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..6));
}
