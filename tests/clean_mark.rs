//! The clean mark: believed once, and only by the opening behind the close that wrote it.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use std::path::Path;

use riverbed::{ErrorKind, FetchLimit, Offset, Partition, Store, TopicConfig};
use support::partition::{counted, fill, values};
use support::{TestDir, copy_dir};

fn partition(store: &Store) -> Partition {
    store.topic("a").unwrap().partition(0).unwrap()
}

fn copy(dir: &TestDir, name: &str) -> TestDir {
    let copy = TestDir::scratch(name);
    copy_dir(dir.path(), copy.path());
    copy
}

/// Damages the second of ten records, which are all of one size.
fn damage(dir: &Path) {
    let file = dir.join("a-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&file).unwrap();
    let size = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize + 12;
    bytes[size + size - 1] ^= 0xff;
    std::fs::write(&file, bytes).unwrap();
}

/// REC-01.
#[test]
fn recovery_runs_without_the_clean_mark_and_not_with_it() {
    let dir = TestDir::new("clean-mark");
    let store = Store::open(&dir).unwrap();
    fill(&store.create_topic("a", TopicConfig::default()).unwrap().partition(0).unwrap(), 10);
    let killed = copy(&dir, "killed");
    store.close().unwrap();
    let closed = copy(&dir, "closed");
    let store = Store::open(&dir).unwrap();
    let opened = copy(&dir, "opened");
    store.close().unwrap();

    // As closed: nobody looks into the file before it is read.
    damage(closed.path());
    let store = Store::open(&closed).unwrap();
    assert!(store.recovery().is_empty());
    let error = partition(&store).fetch(Offset::new(1), FetchLimit::bytes(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert_eq!(values(&partition(&store), 2), counted(2, 10));
    store.close().unwrap();

    // Killed above the recovery point: what does not follow is cut.
    damage(killed.path());
    let store = Store::open(&killed).unwrap();
    assert_eq!(store.recovery().len(), 1);
    assert_eq!(values(&partition(&store), 0), counted(0, 1));
    store.close().unwrap();

    // Killed right behind an opening, which has taken the mark away: here all is below the recovery point, and what
    // is behind it is cut.
    let file = opened.join("a-0/00000000000000000000.log");
    let clean = std::fs::read(&file).unwrap();
    std::fs::write(&file, [clean.as_slice(), b"never acknowledged"].concat()).unwrap();
    let store = Store::open(&opened).unwrap();
    assert_eq!(store.recovery()[0].1.cut_bytes, 18);
    assert_eq!(values(&partition(&store), 0), counted(0, 10));
    store.close().unwrap();
}
