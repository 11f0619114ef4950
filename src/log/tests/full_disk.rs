//! A full disk leaves out what can be found again, and nothing else.

use super::*;
use crate::io::sim::{Call, Failure, Fault};

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
