//! Syncs that end together: what is counted stays right.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its directory fails")]

mod support;

use std::thread;

use riverbed::{Partition, Record, Store, TopicConfig};
use support::TestDir;

const ROUNDS: usize = 30;

fn partition(dir: &TestDir) -> (Store, Partition) {
    let store = Store::open(dir).unwrap();
    let partition = store.create_topic("t", TopicConfig::default()).unwrap().partition(0).unwrap();
    (store, partition)
}

fn append(partition: &Partition) {
    partition.append_record(&Record::new().value([7; 300].as_slice())).unwrap();
}

#[test]
fn bytes_that_several_syncs_cover_are_counted_once() {
    let dir = TestDir::new("counted-once");
    let (store, partition) = partition(&dir);
    let unsynced = || store.stats().unwrap().unsynced_bytes;
    for _ in 0..ROUNDS {
        append(&partition);
        assert_eq!(unsynced(), partition.unsynced_bytes(), "what was synced before was taken off once");
        assert!(unsynced() > 300);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| partition.sync().unwrap());
            }
        });
        assert_eq!((unsynced(), partition.unsynced_bytes()), (0, 0));
    }
    drop(partition);
    store.close().unwrap();
}
