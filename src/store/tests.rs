//! The store on the simulated disk: crashes in the middle of changes, calls that fail, and disks that are full.

mod adoption;
mod compaction;
mod opening;
mod recovery_point;
mod retention;

use std::collections::BTreeMap;

use super::*;
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::io::Budget;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Random, SimDisk};
use crate::partition::{Partition, block_on};
use crate::record::Record;
use crate::types::{Acks, Offset, ReadUpTo, Timestamp};

fn try_open(disk: &SimDisk) -> Result<Store> {
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let config = StoreConfig::default().clock(Arc::new(clock)).maintenance(false);
    let inner = Inner::open_for_writing(disk.root(), config, Budget::new(1000, 1000))?;
    Ok(Store(Arc::new(Handle(inner))))
}

fn open(disk: &SimDisk) -> Store {
    try_open(disk).unwrap()
}

fn crash(disk: &SimDisk, random: &mut Random) -> SimDisk {
    let mode = CrashMode::any(random);
    disk.crash_state(random, mode)
}

fn append(partition: &Partition, value: &str) {
    partition.append_record(&Record::new().key("k").value(value)).unwrap();
}

/// Names, with numbers of partitions and what `retention.ms` is.
type List = BTreeMap<String, (u32, String)>;

fn list(store: &Store) -> List {
    let entry = |topic: &Topic| (topic.partition_count(), topic.config().get("retention.ms").unwrap());
    store.topics().unwrap().iter().map(|topic| (topic.name().to_string(), entry(topic))).collect()
}

/// A store with a topic `old`, in which a record is durable.
fn prepared() -> (SimDisk, Store) {
    let disk = SimDisk::new();
    let store = open(&disk);
    let old = store.create_topic("old", TopicConfig::default().partitions(2)).unwrap();
    old.partition(1).unwrap().append_record(&Record::new().value("kept")).unwrap();
    old.partition(1).unwrap().sync().unwrap();
    (disk, store)
}

type Change = fn(&Store) -> Result<()>;

const CHANGES: [(&str, Change); 4] = [
    ("create", |store| store.create_topic("new", TopicConfig::default().partitions(2)).map(|_| ())),
    ("grow", |store| store.topic("old")?.grow(4)),
    ("alter", |store| store.topic("old")?.alter([("retention.ms", "77")])),
    ("delete", |store| store.delete_topic("old")),
];

/// The registry is the commit point: a crash at any call leaves the list as it was or as it was to be, and as it was to be
/// if the change was answered; every partition on the list opens and takes appends.
#[test]
fn a_change_that_a_crash_interrupts_has_happened_or_not() {
    let mut random = Random::new(20_261_121);
    for (name, change) in CHANGES {
        let (_, store) = prepared();
        let before = list(&store);
        change(&store).unwrap();
        let after = list(&store);
        let mut call = 0;
        loop {
            let (disk, store) = prepared();
            disk.fail(Fault::next_of_any_kind(Failure::Device).after(call).times(u64::MAX));
            let answered = change(&store);
            for _ in 0..4 {
                let crashed = crash(&disk, &mut random);
                crashed.heal();
                check_after_crash(&crashed, (name, call), (&before, &after), answered.is_ok());
            }
            if answered.is_ok() {
                break;
            }
            call += 1;
        }
        assert!(call > 3, "{name} made {call} calls");
    }
}

/// The registry lies in its place, and the directory that holds it cannot be synced. The change was undone then, its
/// directories removed with it; but the next opening found it done, and the topic's partitions gone.
#[test]
fn a_change_that_is_not_known_to_be_durable_is_not_undone() {
    let mut random = Random::new(1);
    for (name, change) in CHANGES {
        let (_, store) = prepared();
        let before = list(&store);
        change(&store).unwrap();
        let after = list(&store);
        for call in 0..8 {
            let (disk, store) = prepared();
            disk.fail(Fault::next(Call::SyncDirectory, Failure::Device).after(call));
            let answered = change(&store).is_ok();
            assert!(list(&store) == after || !answered, "{name} {call}");
            let killed = disk.crash_state(&mut random, CrashMode::Kill);
            check_after_crash(&killed, (name, call), (&before, &after), answered);
        }
    }
}

fn check_after_crash(disk: &SimDisk, at: (&str, u64), (before, after): (&List, &List), answered: bool) {
    let store = try_open(disk).unwrap_or_else(|error| panic!("{at:?}: {error}"));
    let found = list(&store);
    assert!(found == *after || (found == *before && !answered), "{at:?}: {found:?}");
    for topic in store.topics().unwrap() {
        for (number, partition) in topic.partitions().unwrap() {
            let partition = partition.unwrap_or_else(|error| panic!("{at:?} {number}: {error}"));
            append(&partition, "more");
        }
        if topic.name().as_str() == "old" {
            assert_eq!(topic.partition(1).unwrap().offsets().1.end, Offset::new(2), "{at:?}");
        }
    }
    store.create_topic("new", TopicConfig::default()).map(|_| ()).or_else(exists).unwrap();
    store.close().unwrap();
}

fn exists(error: crate::error::Error) -> Result<()> {
    if error.kind() == ErrorKind::TopicExists { Ok(()) } else { Err(error) }
}

/// A failed creation answered that there is no such topic, but had written it into the list already.
#[test]
fn a_change_that_fails_leaves_the_list_as_it_was() {
    for (name, change) in CHANGES.into_iter().filter(|(name, _)| *name != "delete") {
        for call in [Call::CreateDirectory, Call::Replace, Call::Append, Call::List] {
            for skip in 0..6 {
                let (disk, store) = prepared();
                let before = list(&store);
                disk.fail(Fault::next(call, Failure::Full).after(skip));
                let answered = change(&store);
                disk.heal();
                if answered.is_err() {
                    assert_eq!(list(&store), before, "{name}, {call:?} {skip}");
                    store.close().unwrap();
                    let store = open(&disk);
                    assert_eq!(list(&store), before, "{name}, {call:?} {skip}, reopened");
                    change(&store).unwrap_or_else(|error| panic!("{name}, {call:?} {skip}, again: {error}"));
                }
            }
        }
    }
}

/// Opening asked for room for its mark, and a full disk kept the store shut.
#[test]
fn a_store_on_a_full_disk_opens_is_read_and_frees_space() {
    for clean in [true, false] {
        let disk = SimDisk::new();
        let store = open(&disk);
        let config = TopicConfig::default().partitions(2).set("segment.bytes", "2000").unwrap();
        let topic = store.create_topic("a", config).unwrap();
        (0..100).for_each(|n| append(&topic.partition(0).unwrap(), &format!("value {n}")));
        topic.partition(0).unwrap().sync().unwrap();
        if clean {
            store.close().unwrap();
        } else {
            disk.fail(Fault::next_of_any_kind(Failure::Device).times(u64::MAX));
            drop(store);
            disk.heal();
        }
        let disk = disk.crash_state(&mut Random::new(1), CrashMode::Kill);
        disk.set_capacity(Some(disk.used()));
        let store = try_open(&disk).unwrap_or_else(|error| panic!("clean {clean}: {error}"));
        let partition = store.topic("a").unwrap().partition(0).unwrap();
        assert_eq!(partition.offsets().1.end, Offset::new(100));
        let freed = partition.delete_records(..Offset::new(60));
        assert!(freed.is_ok() || freed.unwrap_err().kind() == ErrorKind::StorageFull);
        append(&partition, "room again");
        store.close().unwrap();
    }
}

/// REC-02: the mark goes before anything is opened, so that whatever an opening that failed has done is not taken for
/// clean by the next one.
#[test]
fn an_opening_that_failed_leaves_no_clean_mark() {
    let mut call = 0;
    loop {
        let disk = SimDisk::new();
        let store = open(&disk);
        append(&store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap(), "kept");
        store.close().unwrap();
        let marked = || !clean_mark::CleanMark::read(disk.root().as_ref()).unwrap().ends.is_empty();
        assert!(marked());
        disk.fail(Fault::next_of_any_kind(Failure::Device).after(call).times(u64::MAX));
        let writes =
            || [Call::Append, Call::Unlink, Call::Rename].map(|call| disk.calls(Some(call))).iter().sum::<u64>();
        let before = writes();
        let opened = try_open(&disk);
        let has_opened = opened.as_ref().is_ok_and(|store| store.topic("a").unwrap().partition(0).is_ok());
        let wrote = writes() - before;
        disk.pause_faults(true);
        assert!(!(has_opened && marked()), "an opening that worked leaves none either");
        disk.pause_faults(false);
        drop(opened);
        disk.heal();
        // Kafka's mark goes, and ours is written beside the old one and renamed: up to there nothing has changed.
        assert!(!marked() || wrote <= 3, "call {call}: {wrote} writes behind a clean mark");
        let store = open(&disk);
        let partition = store.topic("a").unwrap().partition(0).unwrap();
        assert_eq!(partition.offsets().1.end, Offset::new(1), "call {call}");
        append(&partition, "more");
        store.close().unwrap();
        if has_opened {
            break;
        }
        call += 1;
    }
    assert!(call > 5, "an opening made {call} calls");
}

/// A future's waiter heard nothing of a failed sync, or heard only that an earlier one had failed.
#[test]
fn a_failed_background_sync_wakes_who_awaits_it() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "lost");
    disk.fail(Fault::next(Call::Sync, Failure::Device).on(".log"));
    let error = block_on(partition.durable(Offset::new(1))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::PreviousFailure), "{error}");
    assert!(error.to_string().contains("sync"), "{error}");
    let later = block_on(partition.durable(Offset::new(1))).unwrap_err();
    assert_eq!(later.kind(), ErrorKind::PreviousFailure);
    // What will never be synced is not waited for. The flusher counts it off behind waking us.
    while store.stats().unwrap().unsynced_bytes != 0 {
        std::thread::yield_now();
    }
    assert_eq!(partition.append_record(&Record::new()).unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert_eq!(partition.log().end(ReadUpTo::Durable), Offset::ZERO);
    assert!(store.close().is_err());
}

/// A background sync finds no descriptor, which is no reason to stop; but who awaits it must not wait for the next append.
#[test]
fn a_background_sync_without_a_descriptor_is_tried_again() {
    let disk = SimDisk::new();
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let store = Store::open_on(disk.root(), StoreConfig::default().clock(Arc::new(clock.clone()))).unwrap();
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "kept");
    disk.fail(Fault::next(Call::Create, Failure::Descriptors).on("leader-epoch-checkpoint.tmp"));
    let waiter = std::thread::spawn(move || block_on(partition.durable(Offset::new(1))));
    for _ in 0..2_000 {
        if waiter.is_finished() {
            waiter.join().unwrap().unwrap();
            return;
        }
        clock.advance(std::time::Duration::from_millis(100));
        store.run_due();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("still waiting");
}

/// An append that failed tripped the latch without a word to those who awaited a sync of what was there before.
#[test]
fn a_failed_append_leaves_nobody_waiting_for_ever() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "there");
    std::thread::scope(|scope| {
        disk.fail(Fault::next(Call::Append, Failure::Device).on(".log"));
        assert_eq!(partition.append_record(&Record::new()).unwrap_err().kind(), ErrorKind::Io);
        let waiting = scope.spawn(|| block_on(partition.durable(Offset::new(1))));
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::PreviousFailure);
    });
    let beyond = block_on(partition.durable(Offset::new(9))).unwrap_err();
    assert!(matches!(beyond.kind(), ErrorKind::OffsetOutOfRange | ErrorKind::PreviousFailure), "{beyond}");
    assert!(store.close().is_err());
}

/// What a close could not do was lost where the last handle was dropped.
#[test]
fn a_close_by_drop_that_failed_is_told_to_the_handles_that_are_left() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let topic = store.create_topic("a", TopicConfig::default()).unwrap();
    append(&topic.partition(0).unwrap(), "lost");
    disk.fail(Fault::next(Call::Sync, Failure::Device).on(".log"));
    drop(store);
    let told = topic.partition(0).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Closed);
    assert!(told.to_string().contains("could not sync"), "{told}");
}

/// Awaited, dropped and awaited again: a dropped future cancels the wait, never the append.
#[test]
fn a_wait_that_is_dropped_leaves_the_append() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let partition = store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap();
    append(&partition, "one");
    drop(partition.durable(Offset::new(1)));
    block_on(partition.durable(Offset::new(1))).unwrap();
    block_on(partition.committed(Offset::new(1))).unwrap();
    let beyond = block_on(partition.durable(Offset::new(2))).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::OffsetOutOfRange, "as the blocking wait answers");
    let one = Record::new();
    let mut builder = crate::record::BatchBuilder::new();
    builder.push(&one, Timestamp::from_millis(1)).unwrap();
    partition.append_with(builder.finish().unwrap().unwrap(), Acks::Durable).unwrap();
    assert_eq!(partition.log().end(ReadUpTo::Durable), Offset::new(2));
    store.close().unwrap();
}

/// A directory's name, or forty bytes of the list, made a million partitions of which none is here: each was looked for,
/// and had an error kept for it.
#[test]
fn numbers_that_are_not_here_cost_nothing() {
    let (disk, store) = prepared();
    store.close().unwrap();
    let mut registry = registry::Registry::read(disk.root().as_ref()).unwrap().unwrap();
    registry.topics.values_mut().for_each(|entry| entry.partitions = 1 << 20);
    registry.write(disk.root().as_ref()).unwrap();
    let before = disk.calls(None);
    let store = open(&disk);
    assert!(disk.calls(None) - before < 100, "{} calls", disk.calls(None) - before);
    let topic = store.topic("old").unwrap();
    assert_eq!(topic.partition_count(), 1 << 20);
    assert_eq!(topic.partition(1).unwrap().offsets().1.end, Offset::new(1));
    assert_eq!(topic.partition(2).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(topic.partition(1 << 20).unwrap_err().kind(), ErrorKind::UnknownPartition);
    store.close().unwrap();
}

/// A partition that did not open at all was on no list, and one whose directory is gone was taken for another broker's.
#[test]
fn a_partition_that_did_not_open_is_told() {
    let (disk, store) = prepared();
    store.close().unwrap();
    disk.root().rename("old-0", "elsewhere").unwrap();
    let below = disk.root().subdirectory("old-1").unwrap();
    let name = below.list().unwrap().into_iter().find(|entry| entry.name.ends_with(".log")).unwrap().name;
    below.rename(&name, "moved").unwrap();
    below.create_subdirectory(&name).unwrap();
    let store = open(&disk);
    let told = |list: Vec<String>| assert_eq!(list, ["old-0", "old-1"]);
    told(
        store
            .recovery()
            .iter()
            .map(|(id, recovery)| format!("{id}{}", ["", "?"][usize::from(recovery.damage.len() != 1)]))
            .collect(),
    );
    told(store.stats().unwrap().not_open.iter().map(|(id, _)| id.to_string()).collect());
    store.close().unwrap();
}

/// The power's identity was kept although a partition had not been opened, let alone cut: the next opening took what a
/// power cut had left in it for damage.
#[test]
fn the_powers_identity_is_kept_only_once_every_partition_was_recovered() {
    let (disk, store) = prepared();
    drop(store);
    let keeps = || -> u64 {
        let before = disk.calls(Some(Call::Lock));
        drop(open(&disk));
        disk.calls(Some(Call::Lock)) - before
    };
    let healthy = keeps();
    let below = disk.root().subdirectory("old-0").unwrap();
    below.create_subdirectory("00000000000000000000.log").unwrap();
    assert_eq!(keeps(), healthy - 1, "taken, not kept");
}

/// Deleting a topic asked for room for the new list first, and so a full disk kept the very thing that would have freed
/// it. Whatever a crash leaves: once answered the topic is gone for good, and until then it is whole.
#[test]
fn a_topic_is_deleted_on_a_full_disk() {
    let mut random = Random::new(20_261_122);
    let full = || Fault::next(Call::Create, Failure::Full).on("riverbed.topics.tmp");
    for times in [1, u64::MAX] {
        let mut call = 0;
        loop {
            let (disk, store) = prepared();
            disk.fail(full().times(times));
            disk.fail(Fault::next_of_any_kind(Failure::Device).after(call).times(u64::MAX));
            let answered = store.delete_topic("old");
            for _ in 0..4 {
                let crashed = crash(&disk, &mut random);
                crashed.heal();
                for _ in 0..2 {
                    let store = open(&crashed);
                    let is_there = store.topic("old").is_ok();
                    assert!(!is_there || answered.is_err(), "{times} {call}");
                    if is_there {
                        let partition = store.topic("old").unwrap().partition(1).unwrap();
                        assert_eq!(partition.offsets().1.end, Offset::new(1), "{times} {call}");
                    } else {
                        let names = crashed.root().list().unwrap().into_iter().map(|entry| entry.name);
                        let left: Vec<_> = names.filter(|name| name.starts_with("old")).collect();
                        assert_eq!(left, [""; 0], "{times} {call}");
                    }
                    store.close().unwrap();
                }
            }
            if answered.is_ok() {
                break;
            }
            call += 1;
        }
        assert!(call > 3, "{call} calls");
    }
}

/// A broker that gave up one partition of a topic leaves a directory by that name and with the topic's id: that says
/// nothing of the topic's other partitions.
#[test]
fn a_partition_that_kafka_removes_does_not_take_its_topic_along() {
    let (disk, store) = prepared();
    store.close().unwrap();
    let doomed = format!("old-0.{}-delete", "0123456789abcdef".repeat(2));
    disk.root().rename("old-0", &doomed).unwrap();
    let store = open(&disk);
    assert_eq!(store.topic("old").unwrap().partition(1).unwrap().offsets().1.end, Offset::new(1));
    assert!(disk.root().list().unwrap().iter().all(|entry| entry.name != doomed));
}

/// The README's program failed the second time that it was run: its topic was there.
#[test]
fn a_topic_that_is_there_already_is_found_and_left_as_it_is() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let asked = |partitions| store.topic_or_create("a", TopicConfig::default().partitions(partitions));
    let ids: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| asked(3).unwrap().id())).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(asked(5).unwrap().partition_count(), 3);
    let bad = [("a b", ErrorKind::InvalidTopic), ("b", ErrorKind::InvalidArgument)];
    for (name, kind) in bad {
        let refused = store.topic_or_create(name, TopicConfig::default().partitions(0)).map(drop).unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
    }
    store.close().unwrap();
}
