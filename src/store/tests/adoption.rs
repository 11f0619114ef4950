//! Adopting a directory of Kafka's, wherever a crash comes.

use super::*;

/// A directory is Kafka's until it is ours, wherever a crash interrupts its adoption; the log start is kept, and so it is
/// by a crash that follows.
#[test]
fn an_adoption_that_a_crash_interrupts_starts_over() {
    let mut random = Random::new(7);
    let mut call = 0;
    loop {
        let disk = kafkas();
        let config = || (StoreConfig::default(), Budget::new(1000, 1000));
        disk.fail(Fault::next_of_any_kind(Failure::Device).after(call).times(u64::MAX));
        let (settings, budget) = config();
        let answered = adopt::adopt_in(disk.root(), settings, budget);
        for _ in 0..4 {
            let crashed = crash(&disk, &mut random);
            crashed.heal();
            if crashed.has_lost_writes() {
                // Names whose sync failed, and a process that was killed: no later sync is to be believed.
                continue;
            }
            let (settings, budget) = config();
            match adopt::adopt_in(crashed.root(), settings, budget) {
                Ok(names) => assert!(answered.is_err() && names.len() == 1, "call {call}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "call {call}: {error}"),
            }
            let store = open(&crashed);
            let partition = store.topic("a").unwrap().partition(0).unwrap();
            append(&partition, "more");
            partition.sync().unwrap();
            let crashed = crash(&crashed, &mut random);
            let store = open(&crashed);
            let (start, marks) = store.topic("a").unwrap().partition(0).unwrap().offsets();
            assert_eq!((start, marks.end), (Offset::new(15), Offset::new(31)), "call {call}");
        }
        if answered.is_ok() {
            break;
        }
        call += 1;
    }
    assert!(call > 5, "adoption made {call} calls");
}

/// A disk with a directory as Kafka leaves it: offsets 0 to 29 written, the log starting at 15, inside of a segment.
fn kafkas() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk);
    let topic = store.create_topic("a", TopicConfig::default().set("segment.bytes", "900").unwrap()).unwrap();
    let partition = topic.partition(0).unwrap();
    (0..30).for_each(|n| append(&partition, &format!("value {n}")));
    partition.delete_records(..Offset::new(15)).unwrap();
    store.close().unwrap();
    let root = disk.root();
    for name in [registry::FILE, clean_mark::FILE] {
        root.unlink(name).unwrap();
    }
    root.sync().unwrap();
    let below = root.subdirectory("a-0").unwrap();
    below.unlink("log-checkpoint").unwrap();
    below.sync().unwrap();
    disk.forget_history();
    disk
}
