//! Pages of a file that cannot be had, under the guard against `SIGBUS`: an error, never zeros that look like an answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot damage its file fails")]

mod support;

use std::fs::File;

use riverbed::{ErrorKind, FetchLimit, Offset, Partition, ReadUpTo, Result, Timestamp, guard_against_sigbus};
use support::TestDir;
use support::partition::{append, open};

/// A partition of three batches, of which another process cut the file behind its first page just now.
fn cut_by_another(name: &str) -> (TestDir, Partition) {
    let dir = TestDir::scratch(name);
    let partition = open(&dir, &[]);
    for time in [1_000, 2_000, 3_000] {
        append(&partition, &"v".repeat(9_000), time);
    }
    partition.sync().unwrap();
    let file = dir.join("orders-0/00000000000000000000.log");
    File::options().write(true).open(file).unwrap().set_len(4_096).unwrap();
    (dir, partition)
}

/// A look-up walked into zeros where a page was gone, and took them for the end of the file, or for damage.
#[test]
fn whoever_walks_into_a_page_that_is_gone_is_told_so() {
    guard_against_sigbus().unwrap();
    type Ask = fn(&Partition) -> Result<()>;
    let asks: [(&str, Ask); 4] = [
        ("fetch-2", |partition| partition.fetch(Offset::new(2), FetchLimit::bytes(1)).map(drop)),
        ("fetch-0", |partition| partition.fetch(Offset::ZERO, FetchLimit::bytes(1 << 20)).map(drop)),
        ("time", |partition| partition.offset_for_time(Timestamp::from_millis(2_500), ReadUpTo::Written).map(drop)),
        ("largest", |partition| partition.log().offset_of_max_timestamp(ReadUpTo::Written).map(drop)),
    ];
    for (name, ask) in asks {
        let (_dir, partition) = cut_by_another(name);
        assert_eq!(ask(&partition).err().map(|error| error.kind()), Some(ErrorKind::Io), "{name}");
    }
}
