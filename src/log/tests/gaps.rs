//! Offsets that are missing: lost, where none is ever left out; or left out by whoever wrote the log.

use super::damage::{directory, log_name};
use super::*;
use crate::io::sim::{Call, Failure, Fault};

fn corrupt(log: &Log, offset: u64) -> String {
    let error = log.read(Offset::new(offset), FetchLimit::bytes(10_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error:?}");
    error.to_string()
}

/// A log of 40 records in several segments that was closed cleanly. Answers their bases.
fn closed(disk: &SimDisk) -> (Vec<Offset>, close::Ends) {
    let log = open(disk, UNCLEAN);
    fill(&log, 0..40);
    let bases: Vec<Offset> = log.segments().iter().map(|segment| segment.base_offset()).collect();
    assert!(bases.len() > 3, "{bases:?}");
    (bases, log.close().unwrap().unwrap())
}

/// A segment in the middle is gone, or empty. Readers went on behind it without a word.
#[test]
fn a_lost_segment_is_told_to_whoever_reads_there() {
    for (is_gone, is_clean) in [(true, true), (true, false), (false, true), (false, false)] {
        let disk = SimDisk::new();
        let (bases, ends) = closed(&disk);
        let name = log_name(bases[1]);
        match is_gone {
            true => directory(&disk).unlink(&name).unwrap(),
            false => drop(directory(&disk).open_append(&name, 0, 1000).unwrap()),
        }
        let log = open(&disk, if is_clean { LastClose::Clean(ends) } else { UNCLEAN });
        assert_eq!(log.recovery().damage.len(), usize::from(!is_gone && !is_clean), "{:?}", log.recovery());
        let (first, second) = (bases[1].get(), bases[2].get());
        assert_eq!(log.read(Offset::ZERO, FetchLimit::bytes(10_000)).unwrap().next_offset, bases[1]);
        for offset in first..second {
            let told = corrupt(&log, offset);
            assert!(told.contains(&format!("is {second}, expected {offset}")), "{told}");
        }
        assert_eq!(log.read(bases[2], FetchLimit::bytes(10_000)).unwrap().next_offset, bases[3]);
        fill(&log, 40..41);
        assert_eq!(log.end(ReadUpTo::Written), Offset::new(41));
    }
}

/// A base offset lies outside of the checksum. A wrong one hides its batch, or another; the reader is told, wherever he
/// comes from.
#[test]
fn a_batch_with_a_wrong_base_offset_is_told_to_whoever_reads_there() {
    for bit in 0..4 {
        let disk = SimDisk::new();
        let (bases, ends) = closed(&disk);
        let log = open(&disk, LastClose::Clean(ends));
        let size = log.segments()[0].size() / bases[1].get();
        log.shut();
        disk.flip_bit(&directory(&disk).path().join(log_name(Offset::ZERO)), 2 * size + 7, bit).unwrap();
        let log = open(&disk, LastClose::Clean(ends));
        assert_eq!(log.read(Offset::ZERO, FetchLimit::bytes(10_000)).unwrap().next_offset, Offset::new(2), "bit {bit}");
        corrupt(&log, 2);
        assert_eq!(log.read(bases[1], FetchLimit::bytes(10_000)).unwrap().next_offset, bases[2], "bit {bit}");
    }
}

/// A follower takes what its leader has, with gaps where records were compacted away. After a crash recovery cut the log
/// at the first one, and with it records that were durable.
#[test]
fn gaps_that_a_follower_was_given_stay_gaps() {
    let at = |base: u64| {
        let mut builder = BatchBuilder::new();
        builder.base_offset(Offset::new(base)).leader_epoch(LeaderEpoch::new(1));
        let time = Timestamp::from_millis(1_000_000);
        builder.push(&Record::new().value("x").timestamp(time), time).unwrap();
        builder.finish().unwrap().unwrap().to_vec()
    };
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    for base in [0, 3, 4, 9] {
        log.append_as_follower(&at(base)).unwrap();
    }
    log.wait_durable(Offset::new(10)).unwrap();
    log.shut();
    let log = open(&disk, LastClose::Unclean { same_power: false });
    assert_eq!(log.recovery().cut_bytes, 0);
    assert_eq!(values(&log, ReadUpTo::Written).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 3, 4, 9]);
    assert_eq!(log.truncate(Offset::new(7)).unwrap(), Offset::new(7));
    log.append_as_follower(&at(8)).unwrap();
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(values(&log, ReadUpTo::Written).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 3, 4, 8]);
}

/// A segment was begun for a batch behind a gap, and then the batch could not be written. Batches that came in the gap, of
/// another leader, found a segment behind them, and every append panicked from then on. Where the process died, an opening
/// took the name of that segment for the log end.
#[test]
fn a_segment_begun_behind_a_gap_goes_again_if_its_batch_cannot_be_written() {
    let at = |base: u64| {
        let mut builder = BatchBuilder::new();
        builder.base_offset(Offset::new(base)).leader_epoch(LeaderEpoch::new(1));
        let time = Timestamp::from_millis(1_000_000);
        builder.push(&Record::new().value("x".repeat(300)).timestamp(time), time).unwrap();
        builder.finish().unwrap().unwrap().to_vec()
    };
    for failure in [Failure::Full, Failure::Descriptors] {
        for (is_synced, is_killed) in [(false, false), (false, true), (true, false), (true, true)] {
            let disk = SimDisk::new();
            let mut log = open(&disk, UNCLEAN);
            for base in 0..2 {
                log.append_as_follower(&at(base)).unwrap();
            }
            disk.fail(Fault::next(Call::Append, failure).on(".log"));
            assert!(log.append_as_follower(&at(50)).is_err());
            disk.heal();
            if is_synced {
                log.sync().unwrap();
            }
            if is_killed {
                log.shut();
                log = open(&disk, UNCLEAN);
            }
            assert_eq!(log.end(ReadUpTo::Written), Offset::new(2), "{failure:?}, killed: {is_killed}");
            for base in [2, 3, 50, 51] {
                log.append_as_follower(&at(base)).unwrap();
            }
            log.sync().unwrap();
            log.shut();
            let log = open(&disk, UNCLEAN);
            let offsets = values(&log, ReadUpTo::Written).into_iter().map(|(offset, _)| offset);
            assert_eq!(offsets.collect::<Vec<_>>(), [0, 1, 2, 3, 50, 51]);
        }
    }
}

/// A length that became another leads into the middle of some batch. Whatever stood at the place of the magic there was
/// answered as an unsupported magic, without a word of where.
#[test]
fn a_wrong_length_is_damage_with_a_path_and_a_position() {
    for bit in 0..6 {
        let disk = SimDisk::new();
        let (bases, ends) = closed(&disk);
        let log = open(&disk, LastClose::Clean(ends));
        let size = log.segments()[0].size() / bases[1].get();
        log.shut();
        disk.flip_bit(&directory(&disk).path().join(log_name(Offset::ZERO)), 2 * size + 11, bit).unwrap();
        let log = open(&disk, LastClose::Clean(ends));
        for offset in 2..bases[1].get() {
            let told = corrupt(&log, offset);
            assert!(told.contains(&log_name(Offset::ZERO)), "bit {bit}: {told}");
        }
    }
}
