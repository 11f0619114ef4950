//! Whose a directory is: topic ids, and directories that are renamed, copied and mixed up.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "tests")]

mod support;

use riverbed::{FetchLimit, Offset, Store};
use support::{TestDir, copy_dir, golden};

const METADATA: &str = "partition.metadata";

/// A topic whose directories do not state its id got another one at each look, and each look closed its handles.
#[test]
fn a_topic_of_kafkas_without_an_id_stays_the_same_at_every_look() {
    let dir = TestDir::scratch("no-id");
    copy_dir(&golden().join("log"), dir.path());
    let file = dir.join("plain-0").join(METADATA);
    std::fs::remove_file(&file).unwrap();
    let store = Store::open_read_only(&dir).unwrap();
    let partition = store.topic("plain").unwrap().partition(0).unwrap();
    let expected = partition.fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap().bytes;
    store.refresh().unwrap();
    assert_eq!(partition.fetch(Offset::ZERO, FetchLimit::bytes(1)).unwrap().bytes, expected);
    store.close().unwrap();
    assert!(!file.exists(), "a reader writes nothing");
    Store::adopt(&dir).unwrap();
    let store = Store::open(&dir).unwrap();
    let id = store.topic("plain").unwrap().id();
    assert!(!id.is_zero());
    assert!(std::fs::read_to_string(&file).unwrap().ends_with(&id.to_string()));
    store.close().unwrap();
}
