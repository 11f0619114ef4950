//! What recovery looks at, what it keeps, and what it starts anew.

use super::*;
use crate::io::Directory;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random};
use crate::segment::file_name::{FileKind, Suffix, file_name, parse_file_name};

fn directory(disk: &SimDisk) -> Arc<dyn Directory> {
    disk.root().subdirectory("a-0").unwrap()
}

fn names(disk: &SimDisk, wanted: FileKind) -> Vec<u64> {
    let entries = directory(disk).list().unwrap();
    let parsed = entries.iter().filter_map(|entry| parse_file_name(&entry.name));
    let mut offsets: Vec<u64> = parsed
        .filter(|(_, kind, suffix)| *kind == wanted && *suffix == Suffix::None)
        .map(|(o, _, _)| o.get())
        .collect();
    offsets.sort_unstable();
    offsets
}

fn log_path(disk: &SimDisk, base: u64) -> std::path::PathBuf {
    directory(disk).path().join(file_name(Offset::new(base), FileKind::Log))
}

/// A sync had begun, and the directory was not yet synced, when the log was rolled: the roll took the names for durable.
/// The power left the new segment and not the first, and the log began in its middle.
#[test]
fn a_roll_beside_a_sync_leaves_no_hole_at_the_start() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    let under_way = log.begin_round().unwrap();
    log.roll().unwrap();
    fill(&log, 3..4);
    for state in disk.exhaustive_states(10_000) {
        assert_eq!(open(&state, UNCLEAN).log_start(), Offset::ZERO);
    }
    drop(under_way);
}

/// REC-03: segments wholly below the recovery point are not looked at, so that damage in them is found by who reads it.
#[test]
fn only_what_lies_above_the_recovery_point_is_recovered() {
    for synced in [0, 10, 25, 50] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..synced);
        log.sync().unwrap();
        let trusted = if synced == 0 { 0 } else { log.segments().len() - 1 };
        fill(&log, synced..51);
        let segments = log.segments().len();
        log.shut();
        if trusted > 0 {
            disk.flip_bit(&log_path(&disk, 0), 65, 0).unwrap();
        }
        let log = open(&disk, UNCLEAN);
        let recovery = log.recovery();
        assert_eq!(recovery.rebuilt_indexes, (segments - 1 - trusted) as u64, "{synced} synced");
        assert_eq!((recovery.damage.len(), recovery.cut_bytes), (0, 0), "{synced} synced");
        assert_eq!(log.end(ReadUpTo::Written), Offset::new(51));
        let first = log.read(Offset::ZERO, FetchLimit::bytes(1)).map_err(|error| error.kind());
        assert_eq!(first.is_err(), trusted > 0, "{synced} synced");
    }
}

/// A clean mark says where the last file ends. Nothing saw to it that one which said something else was not believed: a
/// file that somebody had restored would have been taken for whole.
#[test]
fn a_clean_mark_is_not_believed_where_the_last_file_ends_elsewhere() {
    let closed = || {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..50);
        let last = file_name(log.segments().last().unwrap().base_offset(), FileKind::Log);
        let ends = log.close().unwrap().unwrap();
        let bytes = directory(&disk).read(&last, 10_000).unwrap();
        (disk, last, bytes, LastClose::Clean(ends))
    };
    let (disk, last, bytes, clean) = closed();
    directory(&disk).put(&last, &[&bytes[..], b"never written"].concat()).unwrap();
    let log = open(&disk, clean);
    assert_eq!((log.recovery().cut_bytes, log.recovery().damage.len()), (13, 0));
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..50));

    let (disk, last, bytes, clean) = closed();
    directory(&disk).put(&last, &bytes[..bytes.len() - 1]).unwrap();
    let log = open(&disk, clean);
    assert_eq!((log.recovery().cut_bytes, log.recovery().damage.len()), (0, 1), "it was synced, and is gone");
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(50), "no offset is given out again");

    let (disk, last, _, clean) = closed();
    directory(&disk).unlink(&last).unwrap();
    let log = open(&disk, clean);
    assert_eq!((log.recovery().cut_bytes, log.recovery().damage.len()), (0, 1));
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(50));
}

/// What is left of a file that lost its end between two batches looks whole. Only a cut inside a batch was tried.
#[test]
fn a_file_that_lost_whole_batches_below_the_recovery_point_is_damaged() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..5);
    log.close().unwrap();
    let name = file_name(Offset::ZERO, FileKind::Log);
    let bytes = directory(&disk).read(&name, 10_000).unwrap();
    directory(&disk).put(&name, &bytes[..bytes.len() / 5 * 4]).unwrap();
    let log = open(&disk, UNCLEAN);
    let [damage] = log.recovery().damage.as_slice() else { panic!("{:?}", log.recovery()) };
    assert_eq!(damage.position, bytes.len() as u64 / 5 * 4);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(5), "no offset is given out again");
}

/// REC-10, REC-35: where power was lost, a bad batch anywhere above the recovery point is where the log ends; what is
/// before it stays, and all behind it goes, later segments too.
#[test]
fn a_bad_batch_anywhere_cuts_at_its_start() {
    let at = |disk: &SimDisk| -> Vec<(u64, usize)> {
        let place = |base: u64| {
            let bytes = directory(disk).read(&file_name(Offset::new(base), FileKind::Log), 10_000).unwrap();
            let mut places = Vec::new();
            let mut position = 0;
            while let crate::segment::walk::Next::Batch(header) = crate::segment::walk::next_at(&bytes, position) {
                places.push((base, position));
                position += header.size();
            }
            places
        };
        names(disk, FileKind::Log).into_iter().flat_map(place).collect()
    };
    for bad in 0..20 {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..20);
        log.shut();
        let (base, position) = at(&disk)[bad];
        disk.flip_bit(&log_path(&disk, base), position as u64 + [3, 20, 64][bad % 3], 0).unwrap();
        let log = open(&disk, LastClose::Unclean { same_power: false });
        let bad = bad as u64;
        assert_eq!(log.end(ReadUpTo::Written).get(), bad);
        assert!(log.recovery().reason.is_some() && log.recovery().cut_bytes > 0);
        // A base offset lies outside of the checksum.
        let is_whole = bad.is_multiple_of(3);
        assert_eq!(log.recovery().cut_batches + u64::from(!is_whole), 20 - bad, "the others are whole");
        assert!(names(&disk, FileKind::Log).iter().all(|base| *base <= bad));
        fill(&log, bad..22);
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..22));
    }
}

/// REC-25: nothing was synced, so that recovery makes the snapshots of all segments.
#[test]
fn recovery_leaves_a_snapshot_behind_each_segment() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    transactions::begin_one(&log);
    fill(&log, 1..30);
    log.shut();
    assert_eq!(names(&disk, FileKind::Snapshot), []);
    let log = open(&disk, UNCLEAN);
    let bases: Vec<u64> = log.segments().iter().map(|segment| segment.base_offset().get()).collect();
    log.sync().unwrap();
    assert_eq!(names(&disk, FileKind::Snapshot), bases[1..]);
    log.close().unwrap().unwrap();
    let log = open(&disk, UNCLEAN);
    assert!(log.append(&transactions::record(0), AppendOrigin::Client).unwrap().duplicate);
}

/// READ-16.
#[test]
fn a_read_past_the_visible_end_opens_no_file() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..20);
    let ends = log.close().unwrap().unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    let held = |high: u64| {
        log.hold_high_watermark().unwrap();
        log.set_high_watermark(Offset::new(high)).unwrap();
    };
    held(12);
    let calls = || disk.calls(None);
    let before = calls();
    for (offset, up_to) in [(12, ReadUpTo::HighWatermark), (15, ReadUpTo::HighWatermark), (20, ReadUpTo::Written)] {
        assert!(log.read(Offset::new(offset), FetchLimit::bytes(100).up_to(up_to)).unwrap().is_empty());
    }
    assert_eq!(log.read(Offset::new(21), FetchLimit::bytes(100)).unwrap_err().kind(), ErrorKind::OffsetOutOfRange);
    assert_eq!(calls(), before);
    assert!(!log.read(Offset::new(11), FetchLimit::bytes(100)).unwrap().is_empty());
    assert!(calls() > before);
}

/// REC-12: what is cut takes with it only the snapshots that tell of it.
#[test]
fn snapshots_that_fit_survive_a_cut() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    transactions::abort_one(&log);
    fill(&log, 2..40);
    log.sync().unwrap();
    fill(&log, 40..42);
    let bases: Vec<u64> = log.segments().iter().map(|segment| segment.base_offset().get()).collect();
    let before = names(&disk, FileKind::Snapshot);
    assert_eq!(before, bases[1..]);
    log.shut();
    let last = *bases.last().unwrap();
    let len = directory(&disk)
        .list()
        .unwrap()
        .iter()
        .find(|e| e.name == file_name(Offset::new(last), FileKind::Log))
        .unwrap()
        .len;
    assert!(len > 0);
    disk.flip_bit(&log_path(&disk, last), 65, 0).unwrap();
    let log = Log::open(directory(&disk), &options(LastClose::Unclean { same_power: false }, 1000)).unwrap();
    drop(log);
    assert!(before.iter().all(|offset| names(&disk, FileKind::Snapshot).contains(offset)));
}

/// REC-29: closes and a killed process leave more than recovery and the next roll need.
#[test]
fn after_a_kill_only_the_snapshots_that_are_needed_remain() {
    let disk = SimDisk::new();
    let mut last_close = UNCLEAN;
    for end in [3, 6, 9] {
        let log = open(&disk, last_close);
        fill(&log, log.end(ReadUpTo::Written).get()..end);
        last_close = LastClose::Clean(log.close().unwrap().unwrap());
    }
    let log = open(&disk, last_close);
    fill(&log, 9..40);
    log.sync().unwrap();
    fill(&log, 40..42);
    let bases: Vec<u64> = log.segments().iter().map(|segment| segment.base_offset().get()).collect();
    assert!(names(&disk, FileKind::Snapshot).contains(&9) && !bases.contains(&9));
    log.shut();
    let log = open(&disk, UNCLEAN);
    log.sync().unwrap();
    assert_eq!(names(&disk, FileKind::Snapshot), bases[1..]);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..42));
}

/// REC-18: where Kafka's checkpoint says that the log starts above its last record. What the lost records said of
/// producers and transactions is forgotten with them: a transaction that was open in them held readers back for good.
#[test]
fn a_log_that_ends_below_its_start_starts_over_there() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    transactions::begin_one(&log);
    fill(&log, 1..20);
    log.shut();
    directory(&disk).unlink(crate::log::checkpoint::FILE).unwrap();
    let kafkas = LastClose::Kafka {
        clean: false,
        recovery_point: Offset::ZERO,
        log_start: Some(Offset::new(30)),
        high_watermark: None,
        cleaned_to: None,
    };
    let log = open(&disk, kafkas);
    let (start, marks) = log.offsets();
    assert_eq!((start, marks), (Offset::new(30), Marks::at(Offset::new(30))));
    fill(&log, 30..33);
    assert_eq!(log.last_stable_offset(), Offset::new(33));
    transactions::begin_one(&log);
    assert_eq!(values(&log, ReadUpTo::Written)[..3], numbered(30..33));
    assert_eq!(log.epoch_at(Offset::new(29)).unwrap(), None);
    assert_eq!(names(&disk, FileKind::Log), [30]);
    let ends = log.close().unwrap().unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    assert_eq!(log.log_start(), Offset::new(30));
}

/// REC-27, REC-28: an opening behind a clean mark reads neither batches nor snapshots, whether there are any or not; the
/// first append does, once.
#[test]
fn what_appending_needs_is_loaded_by_the_first_append_and_only_once() {
    for has_snapshots in [true, false] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        transactions::begin_one(&log);
        fill(&log, 1..40);
        let ends = log.close().unwrap().unwrap();
        if !has_snapshots {
            for offset in names(&disk, FileKind::Snapshot) {
                directory(&disk).unlink(&file_name(Offset::new(offset), FileKind::Snapshot)).unwrap();
            }
        }
        let calls = || disk.calls(Some(Call::Open)) + disk.calls(Some(Call::Read));
        let before = calls();
        let log = open(&disk, LastClose::Clean(ends));
        assert_eq!(calls() - before, 1, "the checkpoint");
        assert_eq!(log.last_stable_offset(), Offset::ZERO, "a transaction is open");
        let repeat = log.append(&transactions::record(0), AppendOrigin::Client).unwrap();
        assert!(repeat.duplicate, "with snapshots: {has_snapshots}");
        let loaded = calls();
        assert!(loaded - before > 1);
        log.append(&transactions::record(1), AppendOrigin::Client).unwrap();
        let active = calls();
        log.append(&transactions::record(2), AppendOrigin::Client).unwrap();
        assert_eq!(calls(), active, "all is there");
    }
}

/// Each record was acknowledged as durable, then the process was killed. Opened again, the log hid all but the first
/// from who reads what is durable, until somebody happened to sync.
#[test]
fn what_was_durable_is_durable_again_when_the_opening_returns() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    for number in 0..5 {
        fill(&log, number..number + 1);
        log.sync().unwrap();
    }
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..5));
    fill(&log, 5..30);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..30));
    log.shut();
    let power_cut = CrashMode::PowerCut(PowerCut::leaving(Left::Nothing));
    let log = open(&disk.crash_state(&mut Random::new(1), power_cut), LastClose::Unclean { same_power: false });
    assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..30));
}

/// The sync of an opening may fail like any other: the log can be read, and takes no more.
#[test]
fn an_opening_whose_sync_fails_leaves_a_log_that_can_be_read() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..5);
    log.shut();
    // The one before it sees to the file's length.
    disk.fail(Fault::next(Call::Sync, Failure::Device).on(".log").after(1));
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..5));
    assert_eq!(values(&log, ReadUpTo::Durable), []);
    assert_eq!(log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::PreviousFailure);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..5));
    fill(&log, 5..6);
}

/// A cut leaves records in front of it that need not be durable, and a power cut took them. The next close still told of
/// the segment that it ended at the cut, and the opening behind it of damage.
#[test]
fn a_segment_that_was_cut_ends_where_a_power_cut_has_left_it() {
    for left in [Left::Nothing, Left::TornPerSector] {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let log = open(&disk, UNCLEAN);
            fill(&log, 0..1);
            let ends = log.close().unwrap().unwrap();
            let log = open(&disk, LastClose::Clean(ends));
            fill(&log, 1..6);
            log.truncate(Offset::new(4)).unwrap();
            log.shut();
            let disk = disk.crash_state(&mut Random::new(seed), CrashMode::PowerCut(PowerCut::leaving(left)));
            let log = open(&disk, LastClose::Unclean { same_power: false });
            let end = log.end(ReadUpTo::Written).get();
            let ends = log.close().unwrap().unwrap();
            let log = open(&disk, LastClose::Clean(ends));
            assert_eq!(*log.recovery(), Recovery::default(), "{left:?} {seed}, {end} left");
            fill(&log, end..end + 3);
            let ends = log.close().unwrap().unwrap();
            let log = open(&disk, LastClose::Clean(ends));
            assert_eq!(*log.recovery(), Recovery::default(), "{left:?} {seed}, {end} left");
            assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..end + 3));
        }
    }
}

/// A cut had durably removed records whose bytes stayed in their file. The log was then emptied, which forgot the cut
/// before that file was gone: a crash in between brought the bytes back as records.
#[test]
fn what_a_cut_removed_does_not_come_back_when_the_log_is_emptied() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..10);
    let base = log.segments().last().unwrap().base_offset().get();
    assert!(base + 2 < 10, "{base}");
    let to = log.truncate(Offset::new(base + 1)).unwrap().get();
    let begin = disk.position();
    log.reset_to(Offset::new(to)).unwrap();
    let mut replay = disk.history().at(begin);
    loop {
        let state = replay.crash_state(&mut Random::new(1), CrashMode::Kill);
        assert!(open(&state, UNCLEAN).end(ReadUpTo::Written).get() <= to, "event {}", replay.position());
        if !replay.advance() {
            break;
        }
    }
}

/// Epochs that a cut had removed were in their file still when the process was killed. The next opening believed them: the
/// leader's next batches, of an epoch before, were refused.
#[test]
fn epochs_that_a_cut_removed_do_not_come_back() {
    let at = |base: u64, epoch: i32| {
        let mut bytes = batch(&["x"]).bytes().to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
        bytes
    };
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    for (base, epoch) in [(0, 3), (1, 3), (2, 5), (3, 6)] {
        log.append_as_follower(&at(base, epoch)).unwrap();
    }
    log.sync().unwrap();
    log.truncate(Offset::new(2)).unwrap();
    log.append_as_follower(&at(2, 3)).unwrap();
    log.shut();
    let log = open(&disk, UNCLEAN);
    log.append_as_follower(&at(3, 4)).unwrap();
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(4));
}
