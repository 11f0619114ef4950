//! The exchange of segments beside all else that is done to a log.

use super::*;
use crate::compaction::swap::swap;
use crate::error::ErrorKind;
use crate::io::sim::{Call, Failure, Fault};
use crate::record::BatchHeader;

/// Three segments of one key each time, and an active one.
pub(super) fn filled() -> Host {
    let host = Host::new(&[("segment.bytes", "10000")]);
    for n in 0..3 {
        for _ in 0..4 {
            host.put("a", &format!("{n}"));
        }
        host.roll();
    }
    host.log.sync().unwrap();
    host
}

/// Does `between` when the new segment is written, and not yet in its place. Answers whether it was exchanged.
fn with(host: &Host, between: impl FnOnce(&Host)) -> bool {
    let cleaning = host.log.begin_cleaning().unwrap();
    let sources = cleaning.segments().segments()[..3].to_vec();
    let new = cleaning.new_segment(Offset::ZERO);
    let mut out = output::Output::create(&cleaning, &new, 1_000).unwrap();
    let view = sources[2].view().unwrap();
    for batch in sources[2].scan(&view, Offset::ZERO, Offset::new(12), true).unwrap() {
        let (_, batch) = batch.unwrap();
        out.push(batch.header(), batch.bytes()).unwrap();
    }
    let finished = out.finish(&cleaning).unwrap();
    between(host);
    cleaning.make_way(Offset::new(12)).unwrap();
    swap(&cleaning, &sources, finished).unwrap()
}

fn has_unfinished(host: &Host) -> bool {
    host.files().iter().any(|(name, _)| name.ends_with(".cleaned") || name.ends_with(".swap"))
}

#[test]
fn segments_are_exchanged_while_slices_and_appends_go_on() {
    let host = filled();
    let held = host.log.read(Offset::ZERO, FetchLimit::bytes(10_000)).unwrap();
    let copy = held.bytes.to_vec();
    assert!(with(&host, |host| assert_eq!(host.put("b", "beside it"), 12)));
    assert_eq!(host.offsets(), [8, 9, 10, 11, 12]);
    assert_eq!(host.bases(), [0, 12]);
    assert_eq!(held.bytes, copy, "published bytes never change");
    assert!(!has_unfinished(&host));
}

#[test]
fn segments_that_were_deleted_meanwhile_are_not_brought_back() {
    let host = filled();
    assert!(!with(&host, |host| {
        host.log.delete_records(..Offset::new(5)).unwrap();
    }));
    assert_eq!(host.offsets(), (5..12).collect::<Vec<_>>());
    assert_eq!(host.bases(), [4, 8, 12]);
    assert!(!has_unfinished(&host));
    host.compact();
    assert_eq!(host.offsets(), [11]);
    assert_eq!(host.log.log_start(), Offset::new(5));
}

/// What superseded a record was cut while the record was being left out.
#[test]
fn a_cut_in_between_gives_the_cleaning_up() {
    for to in [5, 10, 12] {
        let host = filled();
        host.put("b", "tail");
        assert!(!with(&host, |host| {
            host.log.truncate(Offset::new(to)).unwrap();
        }));
        assert_eq!(host.offsets(), (0..to).collect::<Vec<_>>());
        assert!(!has_unfinished(&host));
        host.put("c", "goes on");
        host.roll();
        host.compact();
        assert_eq!(host.offsets(), [to - 1, to]);
    }
}

#[test]
fn how_far_it_came_is_remembered_and_cut_with_the_log() {
    let mut host = filled();
    host.compact();
    assert_eq!(host.log.cleaned().to, Offset::new(12));
    host.reopen();
    assert_eq!(host.log.cleaned().to, Offset::new(12));
    host.kill();
    assert_eq!(host.log.cleaned().to, Offset::new(12));
    host.log.truncate(Offset::new(3)).unwrap();
    assert!(host.log.cleaned().to <= Offset::new(3));
    host.kill();
    assert!(host.log.cleaned().to <= Offset::new(3));
}

/// A cut had ended a segment in front of its file's end. The place of the cut was then taken for one in the new file, and
/// what lay behind it was lost.
#[test]
fn a_segment_that_a_cut_had_ended_is_compacted_up_to_the_cut() {
    for is_killed in [false, true] {
        let mut host = Host::new(&[("segment.bytes", "10000")]);
        for n in 0..8 {
            host.put("a", &format!("{n}"));
        }
        host.log.truncate(Offset::new(5)).unwrap();
        for n in 0..20 {
            host.put("b", &format!("{n}"));
        }
        host.append(&mut BatchBuilder::new(), &[("c", Some(&"x".repeat(2_000)))]);
        host.roll();
        host.compact();
        assert_eq!(host.offsets(), [4, 24, 25]);
        if is_killed {
            host.kill()
        } else {
            host.reopen()
        }
        assert_eq!(host.offsets(), [4, 24, 25], "killed: {is_killed}");
    }
}

#[test]
fn without_room_nothing_changes_and_with_room_it_goes_on() {
    let host = filled();
    let before = host.files();
    for room in 0..12 {
        host.disk.set_capacity(Some(host.disk.used() + room * 64));
        if let Err(error) = host.cleaner.clean(&host.log) {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            assert_eq!(host.files(), before, "with room for {room}");
        }
    }
    host.disk.set_capacity(None);
    host.compact();
    assert_eq!(host.offsets(), [11]);
}

/// There was no room for a segment's transaction index when it was synced. It was never written again where nothing more
/// was appended, and each compaction said that there was no room.
#[test]
fn what_there_was_no_room_for_is_written_before_a_compaction() {
    let host = Host::new(&[]);
    host.send(1, 0, &[("a", Some("void"))]);
    host.end(1, TransactionResult::Abort);
    host.put("a", "1");
    host.roll();
    host.disk.fail(Fault::next(Call::Create, Failure::Full).on(".txnindex.tmp"));
    host.log.sync().unwrap();
    host.compact();
    assert!(!host.offsets().contains(&0));
}

/// Each call of a compaction fails once. What is there afterwards reads as before, and opening again mends it.
#[test]
fn each_call_may_fail() {
    for failure in [Failure::Device, Failure::Full, Failure::Descriptors] {
        let mut calls = 0;
        loop {
            let mut host = filled();
            let expected = host.read(Isolation::ReadUncommitted).pop();
            host.disk.fail(Fault::next_of_any_kind(failure).after(calls));
            let failed = host.cleaner.clean(&host.log).is_err();
            host.disk.heal();
            host.kill();
            assert_eq!(host.read(Isolation::ReadUncommitted).pop(), expected, "{failure:?} of call {calls}");
            host.compact();
            assert_eq!(host.offsets(), [11], "{failure:?} of call {calls}");
            if !failed && calls > 40 {
                break;
            }
            calls += 1;
        }
    }
}

#[test]
fn a_failed_sync_of_the_directory_stops_writes() {
    let host = filled();
    host.disk.fail(Fault::next(Call::SyncDirectory, Failure::Device));
    assert_eq!(host.cleaner.clean(&host.log).unwrap_err().kind(), ErrorKind::Io);
    host.disk.heal();
    assert_eq!(host.log.roll().unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert_eq!(host.offsets().last(), Some(&11), "and can be read");
}

/// A reader that had loaded the old segments, and not opened them yet, was told of damage.
#[test]
fn readers_beside_it_see_every_key_and_no_error() {
    let host = filled();
    for n in 0..30 {
        host.put(["a", "b", "c"][n % 3], &n.to_string());
    }
    host.roll();
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while host.log.cleaned().to < Offset::new(42) || seen < 3 {
                        let found = host.read(Isolation::ReadUncommitted);
                        let keys: std::collections::BTreeSet<_> = found.iter().map(|got| got.key.clone()).collect();
                        assert_eq!(keys.len(), 3, "{found:?}");
                        assert!(host.log.offset_for_time(START, ReadUpTo::Written).unwrap().is_some());
                        seen += 1;
                    }
                })
            })
            .collect();
        host.compact();
        reading.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(host.offsets(), [39, 40, 41]);
}

/// A power cut took the end of a segment, and not the segment behind it. In a log that had been compacted the hole was
/// taken for what compaction leaves out, and records came back behind others that were lost.
#[test]
fn a_hole_that_a_power_cut_left_behind_what_was_compacted_is_no_gap() {
    let mut host = filled();
    host.compact();
    for _ in 0..2 {
        (0..3).for_each(|n| _ = host.put("b", &format!("{n}")));
        host.roll();
    }
    assert_eq!(host.bases(), [0, 12, 15, 18]);
    host.log.shut();
    let name = "00000000000000000012.log";
    let bytes = host.directory().read(name, 1 << 20).unwrap();
    let first = BatchHeader::parse(&bytes).unwrap().size();
    host.directory().put(name, &bytes[..first]).unwrap();
    host.log = open(&host.disk, &host.config, &host.clock, LastClose::Unclean { same_power: false }).unwrap();
    assert_eq!((host.offsets(), host.log.end(ReadUpTo::Written).get()), (vec![11, 12], 13));
    assert!(host.log.recovery().cut_bytes > 0);
}
