//! What is derived is made again where it cannot be read, and goes when it is no longer needed.

use super::damage::directory;
use super::*;
use crate::io::sim::{Call, Failure, Fault};
use crate::segment::file_name::{FileKind, file_name};

fn names(disk: &SimDisk, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = directory(disk).list().unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.ends_with(ending));
    names.sort_unstable();
    names
}

/// A transaction index is damaged. It answered its damage to every reader of committed records, and to the append of
/// every abort marker; the log itself says all that it said.
#[test]
fn a_damaged_transaction_index_is_made_anew() {
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        transactions::abort_one(&log);
        log.roll().unwrap();
        transactions::try_abort_another(&log).unwrap();
        let ends = log.close().unwrap().unwrap();
        let good: Vec<Vec<u8>> =
            names(&disk, ".txnindex").iter().map(|name| directory(&disk).read(name, 100).unwrap()).collect();
        assert_eq!(good.len(), 2);
        for name in names(&disk, ".txnindex") {
            directory(&disk).put(&name, &[1; 33]).unwrap();
        }
        let log = open(&disk, if is_clean { LastClose::Clean(ends) } else { UNCLEAN });
        assert_eq!(log.recovery().damage, []);
        for (place, segment) in log.segments().iter().enumerate() {
            let limit = FetchLimit::bytes(1000).isolation(Isolation::ReadCommitted);
            let aborted = log.read(segment.base_offset(), limit).unwrap().aborted;
            let expected = [(0, 1), (2, 3)].map(|(first, last)| (Offset::new(first), Offset::new(last)));
            let found: Vec<_> = aborted.iter().map(|aborted| (aborted.first_offset, aborted.last_offset)).collect();
            assert_eq!(found, expected[place..=place], "{aborted:?}");
        }
        log.close().unwrap().unwrap();
        for (name, good) in names(&disk, ".txnindex").iter().zip(&good) {
            assert_eq!(&directory(&disk).read(name, 100).unwrap(), good, "{name}, closed cleanly: {is_clean}");
        }
    }
}

/// The same, but the first to ask is a writer: of an abort marker, and of a cut.
#[test]
fn a_damaged_transaction_index_stops_no_writer() {
    for is_cut in [true, false] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        transactions::abort_one(&log);
        fill(&log, 2..4);
        let ends = log.close().unwrap().unwrap();
        let name = file_name(Offset::ZERO, FileKind::TransactionIndex);
        directory(&disk).put(&name, b"not an index").unwrap();
        let log = open(&disk, LastClose::Clean(ends));
        if is_cut {
            assert_eq!(log.truncate(Offset::new(3)).unwrap(), Offset::new(3));
            assert_eq!(transactions::aborted(&log), [7]);
        } else {
            transactions::try_abort_another(&log).unwrap();
            assert_eq!(transactions::aborted(&log), [7, 7]);
        }
        log.close().unwrap().unwrap();
    }
}

/// One bit of a transaction index, which has no checksum, put a marker behind the log end. The next abort marker was
/// written, could not be noted behind that one, and was never published: what came next took its offset, and was cut.
#[test]
fn a_transaction_index_that_tells_of_markers_to_come_is_made_anew() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    transactions::abort_one(&log);
    let ends = log.close().unwrap().unwrap();
    let name = file_name(Offset::ZERO, FileKind::TransactionIndex);
    let mut index = directory(&disk).read(&name, 100).unwrap();
    index[2 + 2 * 8 + 6] ^= 1; // the marker's offset
    directory(&disk).put(&name, &index).unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    let marker = transactions::try_abort_another(&log).unwrap();
    assert_eq!(marker.offsets, Offset::new(3)..=Offset::new(3));
    fill(&log, 4..6);
    assert_eq!(transactions::aborted(&log), [7, 7]);
    log.sync().unwrap();
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!((log.end(ReadUpTo::Written), log.recovery().cut_bytes), (Offset::new(6), 0));
    assert_eq!(transactions::aborted(&log), [7, 7]);
}

/// The disk did not hand the checkpoint out, once. That was taken for damage: the log opened, did not know where it
/// starts, and wrote that down.
#[test]
fn a_checkpoint_that_could_not_be_read_once_is_not_forgotten() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..10);
    log.delete_records(..Offset::new(4)).unwrap();
    log.sync().unwrap();
    log.shut();
    disk.fail(Fault::next(Call::Read, Failure::Device).on("log-checkpoint"));
    let error = Log::open(directory(&disk), &options(UNCLEAN, 1 << 20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(open(&disk, UNCLEAN).log_start(), Offset::new(4));
}

/// The log's own checkpoint is damaged. The partition could not be opened at all; it means no more than that everything
/// is recovered, from the first segment on.
#[test]
fn rec_37_an_unreadable_checkpoint_means_recovery_of_everything() {
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..20);
        log.truncate(Offset::new(15)).unwrap();
        fill(&log, 15..20);
        log.sync().unwrap();
        let segments = log.segments().len();
        let last_close = match is_clean {
            true => LastClose::Clean(log.close().unwrap().unwrap()),
            false => UNCLEAN,
        };
        log.shut();
        directory(&disk).put(checkpoint::FILE, b"no checkpoint").unwrap();
        let log = open(&disk, last_close);
        let damage = &log.recovery().damage;
        assert_eq!(damage.len(), 1, "{damage:?}");
        assert!(damage[0].path.as_ref().is_some_and(|path| path.ends_with(checkpoint::FILE)));
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
        if !is_clean {
            assert_eq!(log.recovery().rebuilt_indexes, segments as u64 - 1);
            assert_eq!(log.end(ReadUpTo::Durable), Offset::new(20));
        }
        fill(&log, 20..25);
        log.sync().unwrap();
        log.shut();
        let log = open(&disk, UNCLEAN);
        assert_eq!(log.recovery().damage, []);
        assert_eq!(values(&log, ReadUpTo::Written), numbered(0..25));
    }
}

/// Snapshots piled up, one for each close.
#[test]
fn snp_02_and_rec_30_snapshots_that_are_no_longer_needed_go() {
    let disk = SimDisk::new();
    let mut last_close = UNCLEAN;
    for round in 0..6 {
        let log = open(&disk, last_close);
        fill(&log, round * 3..round * 3 + 3);
        last_close = LastClose::Clean(log.close().unwrap().unwrap());
    }
    let log = open(&disk, last_close);
    let bases: Vec<Offset> = log.segments().iter().map(|segment| segment.base_offset()).collect();
    let expected: Vec<String> =
        bases[1..].iter().chain([&Offset::new(18)]).map(|base| file_name(*base, FileKind::Snapshot)).collect();
    assert_eq!(names(&disk, ".snapshot"), expected);
}

/// Index files without a log, and snapshots beyond its end, are of segments that are gone.
#[test]
fn snp_05_files_of_segments_that_are_gone_go_too() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..20);
    log.sync().unwrap();
    log.shut();
    let stray = [FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex, FileKind::Snapshot];
    for kind in stray {
        directory(&disk).put(&file_name(Offset::new(100), kind), b"").unwrap();
        directory(&disk).put(&file_name(Offset::new(1), kind), b"").unwrap();
    }
    let _log = open(&disk, UNCLEAN);
    for kind in stray {
        for base in [1, 100] {
            assert_eq!(names(&disk, &file_name(Offset::new(base), kind)), [""; 0]);
        }
    }
}

/// A file of a newer version was taken for one that says nothing, and written over: whoever went back to the newer
/// program missed what it had said.
#[test]
fn epochs_of_a_newer_version_are_refused_and_left_alone() {
    let newer = b"1\n1\n0 0 something\n";
    let epochs = |disk: &SimDisk| directory(disk).read(epoch_cache::FILE, 100).unwrap();
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..20);
        let last_close = match is_clean {
            true => LastClose::Clean(log.close().unwrap().unwrap()),
            false => UNCLEAN,
        };
        log.shut();
        directory(&disk).put(epoch_cache::FILE, newer).unwrap();
        let error = match Log::open(directory(&disk), &options(last_close, 1 << 20)) {
            Ok(log) => {
                assert!(is_clean, "nothing needs it before the first append");
                assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
                let refused = log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err();
                assert_eq!(log.truncate(Offset::new(3)).unwrap_err().kind(), refused.kind());
                assert!(log.close().unwrap().is_some());
                refused
            }
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::UnsupportedVersion);
        assert!(error.to_string().contains(epoch_cache::FILE), "{error}");
        assert_eq!(epochs(&disk), newer, "clean: {is_clean}");
        directory(&disk).put(epoch_cache::FILE, b"no number").unwrap();
        let log = open(&disk, UNCLEAN);
        fill(&log, 20..21);
        log.sync().unwrap();
        assert!(epochs(&disk).starts_with(b"0\n1\n0 "), "what cannot be understood is made anew");
    }
}
