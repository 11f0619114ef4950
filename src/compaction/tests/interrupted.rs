//! Crashes inside of an opening that finishes or reverts an exchange.

use super::*;
use crate::compaction::swap::swap;
use crate::error::ErrorKind;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random};
use crate::record::TransactionResult::Abort;

/// States a point, of more than there are if all is as it should be.
const STATES: usize = 4096;

/// The log as an opening after a loss of power finds it.
fn opened(host: &Host, disk: SimDisk) -> Host {
    let unclean = LastClose::Unclean { same_power: false };
    let log = open(&disk, &host.config, &host.clock, unclean).unwrap();
    assert!(log.recovery().damage.is_empty(), "{:?}", log.recovery());
    Host { disk, clock: host.clock.clone(), config: host.config.clone(), cleaner: Cleaner::default(), log }
}

fn names(disk: &SimDisk) -> Vec<String> {
    let entries = disk.root().subdirectory("a-0").unwrap().list().unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

fn is_exchanging(names: &[String]) -> bool {
    names.iter().any(|name| name.ends_with(".log.swap")) && !names.iter().any(|name| name.ends_with(".cleaned"))
}

/// Disks as a crash may leave them at each point since `begin`, with names like these: of a process that was killed, and
/// of a power cut that took nothing.
fn crashed(host: &Host, begin: usize, is_wanted: fn(&[String]) -> bool) -> Vec<SimDisk> {
    let mut replay = host.disk.history().at(begin);
    let mut found = Vec::new();
    loop {
        for mode in [CrashMode::Kill, CrashMode::PowerCut(PowerCut::leaving(Left::All))] {
            found.push(replay.crash_state(&mut Random::new(1), mode));
        }
        if !replay.advance() {
            break;
        }
    }
    found.retain(|disk| is_wanted(&names(disk)));
    assert!(!found.is_empty());
    found
}

/// Opens each state that a power cut since `begin` may leave.
fn cut_everywhere(host: &Host, disk: &SimDisk, begin: usize, check: impl Fn(Host)) {
    let mut replay = disk.history().at(begin);
    loop {
        for state in replay.exhaustive_states(STATES) {
            check(opened(host, state));
        }
        if !replay.advance() {
            return;
        }
    }
}

/// The same inside of an opening of `disk`.
fn cut_in_opening(host: &Host, disk: &SimDisk, check: impl Fn(Host)) {
    let begin = disk.position();
    opened(host, disk.clone()).log.shut();
    cut_everywhere(host, disk, begin, check);
}

/// An opening finished an exchange: it unlinked the old segments and renamed the new one, and synced all that at once. A
/// power cut in between left an old segment beside the new one, which then ended where the old one began; or, where the
/// process had been killed before, no new one.
#[test]
fn an_exchange_that_an_opening_finishes_may_be_interrupted_again() {
    let host = exchange::filled();
    let begin = host.disk.position();
    host.compact();
    let mut seen = Vec::new();
    for disk in crashed(&host, begin, is_exchanging) {
        let names = names(&disk);
        if seen.iter().filter(|known| **known == names).count() == 2 {
            continue;
        }
        seen.push(names);
        cut_in_opening(&host, &disk, |again| {
            assert_eq!(again.offsets().last(), Some(&11), "{:?}", again.files());
            again.compact();
            assert_eq!(again.offsets(), [11]);
        });
    }
}

/// An exchange was given up half way: all of its files were unlinked, and that synced at once. A power cut in between left
/// the new segment without its transaction index, and it counted: what had been aborted was read as committed.
#[test]
fn an_exchange_that_is_given_up_never_leaves_a_segment_without_its_transaction_index() {
    let host = Host::new(&[]);
    host.send(1, 0, &[("a", Some("void"))]);
    host.end(1, Abort);
    host.put("a", "1");
    host.roll();
    host.log.sync().unwrap();
    let cleaning = host.log.begin_cleaning().unwrap();
    let set = cleaning.segments();
    let mut out = output::Output::create(&cleaning, &cleaning.new_segment(Offset::ZERO), 1_000).unwrap();
    let view = set.segments()[0].view().unwrap();
    for batch in set.segments()[0].scan(&view, Offset::ZERO, Offset::new(3), true).unwrap() {
        let (_, batch) = batch.unwrap();
        out.push(batch.header(), batch.bytes()).unwrap();
    }
    for transaction in cleaning.aborted_by(&set, 0).unwrap() {
        out.push_aborted(transaction).unwrap();
    }
    let finished = out.finish(&cleaning).unwrap();
    cleaning.make_way(Offset::new(3)).unwrap();
    let begin = host.disk.position();
    host.disk.fail(Fault::next(Call::Rename, Failure::Full).after(1));
    assert_eq!(swap(&cleaning, &set.segments()[..1], finished).unwrap_err().kind(), ErrorKind::StorageFull);

    let is_right = |again: Host| {
        let committed = again.read(Isolation::ReadCommitted);
        assert_eq!(committed.iter().map(|got| got.offset).collect::<Vec<_>>(), [2], "{:?}", again.files());
    };
    cut_everywhere(&host, &host.disk, begin, is_right);
    let is_half = |names: &[String]| {
        names.iter().any(|name| name.ends_with(".swap")) && names.iter().any(|name| name.ends_with(".cleaned"))
    };
    for disk in crashed(&host, begin, is_half) {
        cut_in_opening(&host, &disk, is_right);
    }
}

/// A cut had ended a segment that was then exchanged, the disk was full, and an opening had to write down first that the
/// cut counts no more. It could not, and so no partition of the store could be opened.
#[test]
fn an_exchange_of_a_segment_that_was_cut_is_finished_on_a_full_disk() {
    let host = Host::new(&[("segment.bytes", "10000")]);
    (0..8).for_each(|n| _ = host.put("a", &format!("{n}")));
    host.log.truncate(Offset::new(5)).unwrap();
    (0..20).for_each(|n| _ = host.put("b", &format!("{n}")));
    host.roll();
    host.log.sync().unwrap();
    let begin = host.disk.position();
    host.compact();
    for disk in crashed(&host, begin, is_exchanging) {
        disk.set_capacity(Some(disk.used()));
        let again = opened(&host, disk);
        assert_eq!(again.offsets(), [4, 24]);
        again.disk.set_capacity(None);
        assert_eq!(again.put("c", "goes on"), 25);
    }
}
