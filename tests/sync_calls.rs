//! Real `fsync` and `fdatasync` calls, as strace sees them: who waits together makes one, who only reads makes none, and
//! what takes the place of a file is synced first.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that says what it counted")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use riverbed::{ErrorKind, FetchLimit, Offset, Partition, ReadUpTo, Record, Store, TopicConfig};
use support::TestDir;

/// In the process that is traced: the directory.
const TRACED: &str = "RIVERBED_SYNC_CALLS";
const ROUNDS: u64 = 40;
const WRITERS: u64 = 8;

/// A call that strace saw.
struct Call {
    thread: String,
    path: String,
}

/// What strace writes down of `calls` while `what_is_traced` runs; `None` without strace.
fn traced(dir: &TestDir, calls: &str) -> Option<String> {
    if !Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
    {
        println!("skipped: strace is not there, or may not trace");
        return None;
    }
    let trace = dir.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-y", "-e", &format!("trace={calls}"), "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "what_is_traced"])
        .env(TRACED, dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Some(std::fs::read_to_string(trace).unwrap())
}

#[test]
fn threads_that_wait_together_share_a_sync_and_readers_make_none() {
    let dir = TestDir::scratch("sync-calls");
    let Some(trace) = traced(&dir, "fsync,fdatasync,msync,sync_file_range,syncfs,sync") else { return };
    let calls: Vec<Call> = trace.lines().filter_map(parse).collect();
    let of = |part: &str| calls.iter().filter(|call| call.path.contains(part) && call.path.ends_with(".log")).count();
    let (busy, idle) = (of("/busy-0/"), of("/idle-0/"));
    println!("{} appends, {busy} syncs of their file, {} in all", ROUNDS * WRITERS, calls.len());
    assert!(busy as u64 >= 1 && busy as u64 <= ROUNDS + 5, "{busy} syncs for {ROUNDS} rounds of {WRITERS} appends");
    assert_eq!(idle, 0, "nothing was written to it");
    let peers: BTreeSet<String> =
        std::fs::read_to_string(dir.join("peers")).unwrap().lines().map(ToOwned::to_owned).collect();
    assert_eq!(peers.len(), 3);
    let made: Vec<&str> = calls.iter().filter(|call| peers.contains(&call.thread)).map(|call| &*call.path).collect();
    assert!(made.is_empty(), "readers and waiting peers synced {made:?}");
}

/// Checkpoints, the registry and the clean mark change as a whole. On a real disk nothing had seen to it that the new one
/// is synced before it takes the old one's name: behind a power cut it could have been empty.
#[test]
fn what_takes_the_place_of_a_file_is_synced_first() {
    let dir = TestDir::scratch("sync-replace");
    let Some(trace) = traced(&dir, "fsync,fdatasync,renameat,renameat2") else { return };
    let mut synced = BTreeSet::new();
    let mut replaced = 0;
    for line in trace.lines() {
        match renamed(line) {
            Some(path) => {
                assert!(synced.remove(&path), "{path} was not synced: {line}");
                replaced += 1;
            }
            None => synced.extend(parse(line).map(|call| call.path)),
        }
    }
    println!("{replaced} files took the place of others");
    assert!(replaced >= 4, "{replaced}: the registry, a checkpoint of each partition, the clean mark");
}

/// A line of strace's, `123 fdatasync(4</a/b>) = 0`. Of a call that is taken up again only its beginning counts.
fn parse(line: &str) -> Option<Call> {
    let (thread, call) = line.split_once(' ')?;
    let (name, argument) = call.trim_start().split_once('(')?;
    if name.starts_with("renameat") {
        return None;
    }
    assert!(["fsync", "fdatasync"].contains(&name), "{line}");
    let path = argument.split_once('<')?.1.split('>').next()?;
    Some(Call { thread: thread.to_owned(), path: path.to_owned() })
}

/// The temporary file of a line like `123 renameat(4</a>, "b.tmp", 4</a>, "b") = 0`.
fn renamed(line: &str) -> Option<String> {
    let argument = line.split_once(" renameat")?.1;
    let directory = argument.split_once('<')?.1.split('>').next()?;
    let name = argument.split('"').nth(1).filter(|name| name.ends_with(".tmp"))?;
    Some(format!("{directory}/{name}"))
}

/// Not a test of its own: what is traced.
#[test]
fn what_is_traced() {
    let Some(dir) = std::env::var_os(TRACED) else { return };
    let dir = Path::new(&dir);
    let store = Store::open(dir.join("data")).unwrap();
    let open = |name: &str| store.create_topic(name, TopicConfig::default()).unwrap().partition(0).unwrap();
    let (busy, idle) = (open("busy"), open("idle"));
    let end = Offset::new(ROUNDS * WRITERS);
    let together = Barrier::new(usize::try_from(WRITERS).unwrap());
    let peers = thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| write(&busy, &together));
        }
        let waiting = scope.spawn(|| {
            busy.wait_readable(Offset::new(ROUNDS * WRITERS - 1), ReadUpTo::Durable, Duration::from_secs(120)).unwrap();
            thread_id()
        });
        let reading = scope.spawn(|| {
            read_to(&busy, end);
            thread_id()
        });
        let idling = scope.spawn(|| {
            idle.wait_durable(Offset::ZERO).unwrap();
            let told = idle.wait_readable(Offset::ZERO, ReadUpTo::Durable, Duration::from_millis(50)).unwrap_err();
            assert_eq!(told.kind(), ErrorKind::Timeout);
            thread_id()
        });
        [waiting, reading, idling].map(|peer| peer.join().unwrap())
    });
    std::fs::write(dir.join("peers"), peers.join("\n")).unwrap();
    drop((busy, idle));
    store.close().unwrap();
}

/// Appends in each round, and waits once all have appended: whichever of them syncs does it for all.
fn write(partition: &Partition, together: &Barrier) {
    for _ in 0..ROUNDS {
        let appended = partition.append_record(&Record::new().value("x")).unwrap();
        together.wait();
        partition.wait_durable(appended.offsets.end().next()).unwrap();
        together.wait();
    }
}

fn read_to(partition: &Partition, end: Offset) {
    let mut next = Offset::ZERO;
    while next < end {
        partition.wait_readable(next, ReadUpTo::Written, Duration::from_secs(120)).unwrap();
        next = partition.fetch(next, FetchLimit::bytes(1000).up_to(ReadUpTo::Written)).unwrap().next_offset;
    }
}

/// The number by which strace knows this thread.
fn thread_id() -> String {
    let link = std::fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}
