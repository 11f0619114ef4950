//! A full disk leaves out what can be found again, and nothing else.

use super::damage::directory;
use super::*;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Random};
use crate::log::checkpoint;

fn no_room_for(disk: &SimDisk, name: &str) {
    disk.fail(Fault::next(Call::Create, Failure::Full).on(name));
}

/// Segment 0 is closed cleanly, grows by a later record, and is sealed when there is no room for its new time index.
/// The old one, which does not know the record, must not be believed after a crash.
#[test]
fn an_index_file_that_is_out_of_date_does_not_outlive_its_segment() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    let ends = log.close().unwrap().unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    log.append(&batch_at(1_000_500), AppendOrigin::Client).unwrap();
    log.roll().unwrap();
    no_room_for(&disk, ".timeindex.tmp");
    log.sync().unwrap();
    log.shut();
    let log = open(&disk, UNCLEAN);
    let found = log.offset_for_time(Timestamp::from_millis(1_000_500), ReadUpTo::Written).unwrap().unwrap();
    assert_eq!(found.offset, Offset::new(3));
}

/// There is no room for the epochs once. The next sync writes them, although they have not changed since.
#[test]
fn epochs_for_which_there_was_no_room_are_written_later() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    log.begin_epoch(LeaderEpoch::new(3)).unwrap();
    fill(&log, 0..1);
    no_room_for(&disk, "leader-epoch-checkpoint.tmp");
    log.sync().unwrap();
    fill(&log, 1..2);
    log.sync().unwrap();
    let directory = disk.root().subdirectory("a-0").unwrap();
    assert_eq!(directory.read("leader-epoch-checkpoint", 100).unwrap(), b"0\n1\n3 0\n");
}

/// A transaction is aborted, the segment sealed, and there is no room for its transaction index. Whether room comes back
/// or not: after a crash readers still get to know what was aborted.
#[test]
fn a_transaction_index_for_which_there_was_no_room_is_not_lost() {
    for has_room_again in [false, true] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        transactions::abort_one(&log);
        log.roll().unwrap();
        no_room_for(&disk, ".txnindex.tmp");
        log.sync().unwrap();
        assert_eq!(log.end(ReadUpTo::Durable), Offset::new(2));
        if has_room_again {
            fill(&log, 2..3);
            log.sync().unwrap();
        }
        log.shut();
        let log = open(&disk, UNCLEAN);
        assert_eq!(transactions::aborted(&log), [7], "room again: {has_room_again}");
    }
}

/// The same at a clean close: it must not be called clean, or the next opening would believe that nothing was aborted.
#[test]
fn a_close_without_room_for_the_transaction_index_is_none() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    transactions::abort_one(&log);
    log.sync().unwrap();
    no_room_for(&disk, ".txnindex.tmp");
    assert_eq!(log.close().unwrap(), None);
    let log = open(&disk, UNCLEAN);
    assert_eq!(transactions::aborted(&log), [7]);
}

/// A log of 40 records in some segments, and where it is to be cut: inside of a segment, where one begins, where the
/// first begins, and inside of the last.
fn cut_log(disk: &SimDisk) -> (Log, [u64; 4]) {
    let log = open(disk, UNCLEAN);
    fill(&log, 0..40);
    log.sync().unwrap();
    let second = log.segments()[1].base_offset().get();
    assert!(log.segments().len() > 2 && second > 2);
    (log, [second + 1, second, 0, 39])
}

fn goes_on(log: &Log, at: u64, context: &str) {
    assert_eq!(values(log, ReadUpTo::Written), numbered(0..at), "{context}");
    fill(log, at..at + 3);
    log.sync().unwrap();
    assert_eq!(values(log, ReadUpTo::Durable), numbered(0..at + 3), "{context}");
}

/// A full disk while the new segment was made stopped all writes, although what was to go was gone and nothing was lost.
/// Each call of the cut fails in turn. A name that cannot be removed, or a file that cannot be synced, still stops them,
/// until the log is opened again.
#[test]
fn a_cut_that_finds_no_room_at_any_step_leaves_a_log_that_goes_on() {
    let lasting = [Call::Create, Call::Open, Call::Reserve, Call::Append, Call::Replace];
    let stopping = [Call::Unlink, Call::Rename, Call::Sync, Call::SyncDirectory];
    let mut failed = Vec::new();
    for call in lasting.into_iter().chain(stopping) {
        for (place, step) in (0..4).flat_map(|place| (0..8).map(move |step| (place, step))) {
            let disk = SimDisk::new();
            let (log, places) = cut_log(&disk);
            let (at, before) = (places[place], disk.calls(Some(call)));
            disk.fail(Fault::next(call, Failure::Full).after(step));
            let cut = log.truncate(Offset::new(at));
            let has_failed = disk.calls(Some(call)) - before > step;
            disk.heal();
            let context = format!("cut at {at}, {call:?} {step}: {cut:?}");
            if has_failed {
                failed.push(call);
            }
            let stopped = log.latch.check().is_err();
            assert!(!stopped || (has_failed && stopping.contains(&call)), "{context}");
            let end = log.end(ReadUpTo::Written).get();
            assert_eq!(end, if cut.is_ok() { at } else { 40 }, "{context}");
            if !stopped {
                goes_on(&log, end, &context);
            }
            log.shut();
            let log = open(&disk, UNCLEAN);
            assert_eq!(log.recovery().damage, [], "{context}");
            let end = log.end(ReadUpTo::Written).get();
            assert!(end >= at, "{context}");
            goes_on(&log, end, &context);
        }
    }
    assert!(failed.contains(&Call::Create) && failed.contains(&Call::Unlink), "{failed:?}");
}

/// There is no room for the new segment's file: the cut is made all the same, and survives the process.
#[test]
fn a_cut_needs_no_room_for_the_segment_behind_it() {
    for place in 0..4 {
        for (call, name) in [(Call::Create, ".log"), (Call::Reserve, ".log")] {
            let disk = SimDisk::new();
            let (log, places) = cut_log(&disk);
            let at = places[place];
            disk.fail(Fault::next(call, Failure::Full).on(name).times(2));
            assert_eq!(log.truncate(Offset::new(at)).unwrap(), Offset::new(at), "{at}");
            assert_eq!(values(&log, ReadUpTo::Written), numbered(0..at));
            disk.heal();
            let cut = disk.crash_state(&mut Random::new(1), CrashMode::Kill);
            assert_eq!(values(&open(&cut, UNCLEAN), ReadUpTo::Written), numbered(0..at), "killed at {at}");
            goes_on(&log, at, &format!("{at}"));
        }
    }
}

/// A log was to be emptied, and there was no room to write that down: nothing had changed, and yet nothing more could be
/// written until it was opened again.
#[test]
fn a_log_that_cannot_be_emptied_for_want_of_room_goes_on() {
    for to in [10, 100] {
        let disk = SimDisk::new();
        let (log, _) = cut_log(&disk);
        no_room_for(&disk, "log-checkpoint.tmp");
        assert_eq!(log.reset_to(Offset::new(to)).unwrap_err().kind(), ErrorKind::StorageFull);
        goes_on(&log, 40, &format!("{to}"));
        log.sync().unwrap();
        log.shut();
        let log = open(&disk, UNCLEAN);
        assert_eq!(log.log_start(), Offset::ZERO);
        goes_on(&log, 43, &format!("{to}"));
        log.reset_to(Offset::new(to)).unwrap();
        assert_eq!((log.log_start().get(), log.end(ReadUpTo::Written).get()), (to, to));
    }
}

/// The checkpoint kept for ever what cuts had left in files that later cuts, or deletions, took away.
#[test]
fn a_thousand_cuts_leave_a_small_checkpoint() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    for end in 0..1000 {
        fill(&log, end..end + 6);
        log.truncate(Offset::new(end + 4)).unwrap();
        fill(&log, end + 4..end + 7);
        log.truncate(Offset::new(end + 6)).unwrap();
        log.truncate(Offset::new(end + 1)).unwrap();
        log.sync().unwrap();
        log.delete_records(..Offset::new(end + 1)).unwrap();
        disk.forget_history();
    }
    let len = directory(&disk).read(checkpoint::FILE, 1 << 20).unwrap().len();
    assert!(len < 300, "{len}");
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(1000));
    log.shut();
    assert_eq!(open(&disk, UNCLEAN).end(ReadUpTo::Written), Offset::new(1000));
}
