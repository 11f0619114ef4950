//! Openings that find work left over, and no room for it.

use super::*;
use crate::io::sim::{Left, PowerCut};

/// An opening removed the directory of a topic that was deleted under its old name. A crash in the middle left one without
/// the file that tells the topic, and that stayed for ever.
#[test]
fn an_opening_that_removes_a_deleted_topic_may_be_interrupted() {
    let (disk, store) = prepared();
    let begin = disk.position();
    store.delete_topic("old").unwrap();
    let all = CrashMode::PowerCut(PowerCut::leaving(Left::All));
    let each = |disk: &SimDisk, begin: usize, check: &dyn Fn(SimDisk)| {
        let mut replay = disk.history().at(begin);
        loop {
            check(replay.crash_state(&mut Random::new(1), all));
            if !replay.advance() {
                return;
            }
        }
    };
    each(&disk, begin, &|crashed| {
        let begin = crashed.position();
        let store = open(&crashed);
        each(&crashed, begin, &|again| {
            let store = open(&again);
            let names = again.root().list().unwrap().into_iter().map(|entry| entry.name);
            let left: Vec<_> = names.filter(|name| name.starts_with("old-")).collect();
            assert_eq!(left.len(), if list(&store).is_empty() { 0 } else { 2 }, "{left:?}");
        });
        drop(store);
    });
    drop(store);
}

/// One partition could not be opened for want of room, and so none of the store's could.
#[test]
fn a_partition_that_has_no_room_to_be_opened_leaves_the_others() {
    let (disk, store) = prepared();
    let killed = disk.crash_state(&mut Random::new(1), CrashMode::Kill);
    drop(store);
    killed.fail(Fault::next(Call::Open, Failure::Full).on("0.log"));
    let opened = |store: &Store| {
        let old = store.topic("old").unwrap();
        (0..2).map(|number| old.partition(number).map(drop).map_err(|error| error.kind())).collect::<Vec<_>>()
    };
    let found = opened(&open(&killed));
    assert_eq!(found.iter().filter(|found| **found == Err(ErrorKind::StorageFull)).count(), 1, "{found:?}");
    assert_eq!(found.iter().filter(|found| found.is_ok()).count(), 1, "{found:?}");
    assert_eq!(opened(&open(&killed)), [Ok(()), Ok(())]);
}
