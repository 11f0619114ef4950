//! Bad input, handles that cannot do what is asked: closed, forked, locked, without rights, descriptors or maps.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that reports what it could not show"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use riverbed::{ErrorKind, FetchLimit, Offset, Partition, PartitionOptions, ReadUpTo, Store, StoreConfig, TopicConfig};
use support::partition::{append, counted, fill, values};
use support::refused::{files, good};
use support::{TestDir, child};

fn kind<T>(answer: riverbed::Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

/// A store with one topic and three records.
fn store(dir: &TestDir) -> (Store, Partition) {
    let store = Store::open(dir).unwrap();
    let partition = store.create_topic("t", TopicConfig::default()).unwrap().partition(0).unwrap();
    fill(&partition, 3);
    (store, partition)
}

/// Runs `test` again in a child that does `work`, and expects it to end well.
fn in_child(test: &str, work: &str) {
    let output = child::command(test, work).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_closed_handle_answers_so_for_ever() {
    let dir = TestDir::new("closed");
    let (store, partition) = store(&dir);
    let (topic, other) = (store.topic("t").unwrap(), store.clone());
    let fetched = partition.fetch(Offset::ZERO, FetchLimit::bytes(1000)).unwrap();
    store.close().unwrap();
    let before = files(dir.path());
    let closed = Some(ErrorKind::Closed);
    for _ in 0..2 {
        assert_eq!(kind(partition.append(&good())), closed);
        assert_eq!(kind(partition.fetch(Offset::ZERO, FetchLimit::bytes(1000))), closed);
        assert_eq!(kind(partition.sync()), closed);
        assert_eq!(kind(partition.roll()), closed);
        assert_eq!(kind(partition.truncate(Offset::ZERO)), closed);
        assert_eq!(kind(partition.delete_records(..Offset::new(1))), closed);
        let forever = std::time::Duration::from_secs(600);
        assert_eq!(kind(partition.wait_readable(Offset::new(3), ReadUpTo::Written, forever)), closed);
        assert_eq!(kind(topic.partition(0)), closed);
        assert_eq!(kind(topic.grow(2)), closed);
        assert_eq!(kind(topic.alter([("retention.ms", "1")])), closed);
        assert_eq!(kind(other.create_topic("u", TopicConfig::default())), closed);
        assert_eq!(kind(other.topic("t")), closed);
        assert_eq!(kind(other.topics()), closed);
        assert_eq!(kind(other.delete_topic("t")), closed);
        assert_eq!(kind(other.stats()), closed);
    }
    assert_eq!(fetched.batches().count(), 3, "what was fetched stays readable");
    assert!(files(dir.path()) == before, "nothing has changed");
}

/// A partition inside a store's directory has a lock of its own: beside the store it was opened, and written, twice.
#[test]
fn a_directory_has_one_writer() {
    let dir = TestDir::new("one-writer");
    let (store, partition) = store(&dir);
    let path = dir.join("t-0");
    let alone = || Partition::open(&path, PartitionOptions::default());
    let already = Some(ErrorKind::AlreadyOpen);
    assert_eq!(kind(Store::open(&dir)), already);
    assert_eq!(kind(Store::adopt(&dir)), already);
    assert_eq!(kind(alone()), already);
    assert_eq!(kind(Partition::open(dir.join("new-0"), PartitionOptions::default())), already);
    assert!(!dir.join("new-0").exists());
    let reader = Partition::open(&path, PartitionOptions::default().read_only()).unwrap();
    assert_eq!(values(&reader, 0), counted(0, 3), "a reader needs no lock");
    append(&partition, "v3", 30);
    drop((partition, reader));
    store.close().unwrap();

    let (first, other) = (alone().unwrap(), TestDir::scratch("other"));
    assert_eq!(kind(alone()), already);
    assert_eq!(kind(Store::open(&dir)), already);
    assert_eq!(kind(Partition::open(other.join("t-0"), PartitionOptions::default())), None);
    append(&first, "v4", 40);
    first.close().unwrap();
    let store = Store::open(&dir).unwrap();
    assert_eq!(values(&store.topic("t").unwrap().partition(0).unwrap(), 0), counted(0, 5));
    store.close().unwrap();
}

#[test]
fn another_process_is_a_second_writer_too() {
    const TEST: &str = "another_process_is_a_second_writer_too";
    if let Some(dir) = child::work() {
        assert_eq!(kind(Store::open(&dir)), Some(ErrorKind::AlreadyOpen));
        let inside = Partition::open(format!("{dir}/t-0"), PartitionOptions::default());
        assert_eq!(kind(inside), Some(ErrorKind::AlreadyOpen));
        Store::open_read_only(&dir).unwrap().close().unwrap();
        return;
    }
    let dir = TestDir::new("other-process");
    let (store, partition) = store(&dir);
    in_child(TEST, dir.path().to_str().unwrap());
    append(&partition, "v3", 30);
    drop(partition);
    store.close().unwrap();
}

/// Root may do everything: the child gives its rights up first, where it has them.
#[test]
fn without_permission_nothing_is_opened_or_changed() {
    const TEST: &str = "without_permission_nothing_is_opened_or_changed";
    if let Some(dir) = child::work() {
        let denied = Some(ErrorKind::PermissionDenied);
        assert_eq!(kind(Store::open(&dir)), denied);
        assert_eq!(kind(Store::open(format!("{dir}/new"))), denied);
        assert_eq!(kind(Partition::open(format!("{dir}/t-0"), PartitionOptions::default())), denied);
        let store = Store::open_read_only(&dir).unwrap();
        assert_eq!(values(&store.topic("t").unwrap().partition(0).unwrap(), 0), counted(0, 3));
        return;
    }
    // Others must be able to reach it.
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("data");
    let store = Store::open(&dir).unwrap();
    fill(&store.create_topic("t", TopicConfig::default()).unwrap().partition(0).unwrap(), 3);
    store.close().unwrap();
    for path in [temporary.path(), &dir, &dir.join("t-0")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    for file in files(&dir).keys() {
        fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
    }
    let before = files(&dir);
    let binary = temporary.path().join("test");
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut command = child::command_of(&binary, TEST, dir.to_str().unwrap());
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(65_534).gid(65_534);
    }
    match command.current_dir("/").output() {
        Ok(output) => {
            let text = format!("{output:?}");
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
        }
        Err(error) => println!("1 skipped: rights cannot be given up: {error}"),
    }
    assert!(files(&dir) == before, "nothing has changed");
}

#[test]
fn without_a_descriptor_an_append_is_refused_and_goes_on_later() {
    let dir = TestDir::new("descriptors");
    let (made, partition) = store(&dir);
    drop(partition);
    made.close().unwrap();
    let before = files(dir.path());
    assert_eq!(kind(StoreConfig::default().max_descriptors(1).open(&dir)), Some(ErrorKind::TooManyFiles));
    // Whatever the refused opening has begun, nothing of the records is gone.
    for (path, bytes) in before.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "log")) {
        assert!(fs::read(path).unwrap() == *bytes);
    }
    let opened = Store::open(&dir).unwrap();
    assert_eq!(values(&opened.topic("t").unwrap().partition(0).unwrap(), 0), counted(0, 3));
    opened.close().unwrap();
}

#[test]
fn without_a_map_a_read_is_refused_and_goes_on_later() {
    let dir = TestDir::new("maps");
    let (made, partition) = store(&dir);
    drop(partition);
    made.close().unwrap();
    let opened = StoreConfig::default().max_maps(0).open(&dir).unwrap();
    let partition = opened.topic("t").unwrap().partition(0).unwrap();
    assert_eq!(kind(partition.fetch(Offset::ZERO, FetchLimit::bytes(1000))), Some(ErrorKind::MapLimit));
    drop(partition);
    opened.close().unwrap();
    let opened = Store::open(&dir).unwrap();
    assert_eq!(values(&opened.topic("t").unwrap().partition(0).unwrap(), 0), counted(0, 3));
    opened.close().unwrap();
}

/// The kernel's own limits, not ours: `ulimit` in a child.
#[test]
fn the_kernels_limits_are_answered_by_their_kind() {
    const TEST: &str = "the_kernels_limits_are_answered_by_their_kind";
    if let Some(dir) = child::work() {
        let config = || StoreConfig::default().max_descriptors(100_000);
        let store = config().open(&dir).unwrap();
        let partition = store.topic("t").unwrap().partition(0).unwrap();
        let mut held = Vec::new();
        while let Ok(file) = fs::File::open("/dev/null") {
            held.push(file);
        }
        let end = partition.offsets().1.end;
        assert_eq!(kind(partition.append(&good())), Some(ErrorKind::TooManyFiles));
        assert_eq!(kind(store.create_topic("u", TopicConfig::default())), Some(ErrorKind::TooManyFiles));
        assert_eq!(kind(Store::open(format!("{dir}/t-0"))), Some(ErrorKind::TooManyFiles));
        assert_eq!(partition.offsets().1.end, end);
        held.clear();
        append(&partition, "v3", 30);
        drop(partition);
        store.close().unwrap();
        return;
    }
    let dir = TestDir::new("ulimit");
    let (made, partition) = store(&dir);
    drop(partition);
    made.close().unwrap();
    let child = child::command(TEST, dir.path().to_str().unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(child.get_program()).args(child.get_args());
    shell.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let store = Store::open(&dir).unwrap();
    assert_eq!(values(&store.topic("t").unwrap().partition(0).unwrap(), 0), counted(0, 4));
    store.close().unwrap();
}
