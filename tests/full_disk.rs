//! Small file systems are filled to the brim under a running append (P3): a typed error, reads go on, appends resume
//! once there is room, and everything that frees room works without any.
//!
//! Each file system is mounted in a mount namespace of a child process, so that nothing of it is left however the child
//! ends; a `SIGBUS` is the end of the child, too. Needs root and loop devices: what cannot be shown is counted, with the
//! reason.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that reports"
)]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use riverbed::{
    DecompressionLimits, ErrorKind, FetchLimit, Offset, Partition, PartitionOptions, ReadUpTo, Record, Store,
    TopicConfig,
};
use support::TestDir;
use support::child;
use support::random::Random;

/// Kind, size in MiB, and what makes one of a file.
const FILE_SYSTEMS: [(&str, u64, &[&str]); 4] = [
    ("tmpfs", 64, &[]),
    ("ext4", 64, &["mkfs.ext4", "-q", "-F"]),
    ("xfs", 320, &["mkfs.xfs", "-q", "-f"]),
    ("btrfs", 320, &["mkfs.btrfs", "-q", "-f"]),
];

/// Room that the test leaves to the log at first.
const ROOM: u64 = 24 << 20;

#[test]
fn a_disk_that_runs_full_is_an_error_until_there_is_room_again() {
    let (mut shown, mut skipped) = (Vec::new(), Vec::new());
    for (kind, ..) in FILE_SYSTEMS {
        for what in ["fill", "alone"] {
            match show(what, kind) {
                Ok(said) => shown.push(format!("{kind}: {said}")),
                Err(reason) => skipped.push(format!("{kind}: {reason}")),
            }
        }
    }
    println!("full disks: {} shown, {} skipped", shown.len(), skipped.len());
    shown.iter().for_each(|said| println!("  shown   {said}"));
    skipped.iter().for_each(|reason| println!("  skipped {reason}"));
}

/// Runs the child for one file system, to fill it in one way or another. An error is why it could not be had.
fn show(what: &str, kind: &str) -> Result<String, String> {
    let dir = TestDir::scratch(&format!("full-{what}-{kind}"));
    let child = child::command("on_one_full_disk", &format!("{what} {kind} {}", dir.path().display()));
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(child.get_program()).args(child.get_args());
    command.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().map_err(|error| format!("unshare: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let line = |start: &str| out.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
    if let Some(reason) = line("cannot: ") {
        return Err(reason);
    }
    if err.starts_with("unshare: ") {
        return Err(err.trim().to_owned());
    }
    assert!(output.status.success(), "{kind}: {}\n{out}\n{err}", output.status);
    Ok(line("shown: ").unwrap_or_else(|| panic!("{kind}: {out}\n{err}")))
}

/// The child's part: nothing, unless it was started by the test above.
#[test]
fn on_one_full_disk() {
    let Some(work) = child::work() else { return };
    println!();
    let words: Vec<&str> = work.split(' ').collect();
    match words.as_slice() {
        ["fill", kind, dir] => match mount(kind, Path::new(dir)) {
            Ok(place) => println!("shown: {}", Full { place, random: Random::new(7) }.run()),
            Err(reason) => println!("cannot: {reason}"),
        },
        ["alone", kind, dir] => match mount(kind, Path::new(dir)) {
            Ok(place) => println!("shown: {}", Full { place, random: Random::new(7) }.open_alone()),
            Err(reason) => println!("cannot: {reason}"),
        },
        ["die", data] => fill_and_die(Path::new(data)),
        _ => panic!("{work}"),
    }
}

/// Mounts a new file system of a kind, and says where.
fn mount(kind: &str, dir: &Path) -> Result<PathBuf, String> {
    let (_, mib, make) = FILE_SYSTEMS.iter().find(|(name, ..)| *name == kind).unwrap();
    let (place, image) = (dir.join("mounted"), dir.join("image"));
    fs::create_dir(&place).unwrap();
    if make.is_empty() {
        let size = format!("size={mib}m");
        run(Command::new("mount").args(["-t", kind, "-o", &size, "none"]).arg(&place))?;
    } else {
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run(Command::new(make[0]).args(&make[1..]).arg(&image))?;
        run(Command::new("mount").args(["-t", kind, "-o", "loop"]).arg(&image).arg(&place))?;
    }
    Ok(place)
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

/// A file system, and what is done on it.
struct Full {
    place: PathBuf,
    random: Random,
}

impl Full {
    fn run(&mut self) -> String {
        self.ballast("large", |free| free.saturating_sub(ROOM));
        self.ballast("small", |_| 3 << 20);
        self.ballast("rest", |_| 0);
        let data = self.place.join("data");
        let store = Store::open(&data).unwrap();
        let config = |segment: &str| TopicConfig::default().set("segment.bytes", segment).unwrap();
        let log = store.create_topic("log", config("2000000")).unwrap().partition(0).unwrap();
        let other = store.create_topic("other", config("1000000")).unwrap().partition(0).unwrap();
        (0..400).for_each(|_| assert!(append(&other, 5_000).is_ok()));
        let mut fills = vec![self.fill(&log)];

        fs::remove_file(self.place.join("small")).unwrap();
        self.settle();
        self.goes_on(&log, "a file is gone");
        fills.push(self.fill(&log));

        let middle = Offset::new(u64::midpoint(log.offsets().0.get(), log.offsets().1.end.get()));
        let deleted = log.delete_records(..middle);
        assert!(log.offsets().0 > Offset::ZERO, "whole segments are gone: {deleted:?}");
        self.goes_on(&log, "records were deleted");
        fills.push(self.fill(&log));

        self.fill_up();
        store.delete_topic("other").unwrap();
        assert_eq!(append(&other, 10).unwrap_err().kind(), ErrorKind::UnknownTopic);
        assert_eq!(store.topics().unwrap().len(), 1);
        self.goes_on(&log, "a topic was deleted");
        fills.push(self.fill(&log));

        let end = check(&log);
        drop((log, other));
        store
            .close()
            .or_else(|error| if error.kind() == ErrorKind::StorageFull { Ok(()) } else { Err(error) })
            .unwrap();
        self.reopen_full(&data, end);
        self.reopen_after_death(&data);
        format!("refused after {fills:?} records, {} appended in all", fills.iter().sum::<u64>())
    }

    /// Opening needs no room, nor does what makes some.
    fn reopen_full(&mut self, data: &Path, end: u64) {
        self.fill_up();
        let store = Store::open(data).unwrap();
        let log = store.topic("log").unwrap().partition(0).unwrap();
        assert_eq!(check(&log), end);
        self.free_by_deletion(&log);
        store.close().unwrap();
    }

    /// The same behind a process that died in the middle of it.
    fn reopen_after_death(&mut self, data: &Path) {
        let dying = child::command("on_one_full_disk", &format!("die {}", data.display())).output().unwrap();
        let out = String::from_utf8_lossy(&dying.stdout);
        let told = out.lines().find_map(|line| line.strip_prefix("acknowledged: "));
        let end: u64 =
            told.unwrap_or_else(|| panic!("{out}{}", String::from_utf8_lossy(&dying.stderr))).parse().unwrap();
        self.fill_up();
        let store = Store::open(data).unwrap();
        let log = store.topic("log").unwrap().partition(0).unwrap();
        assert_eq!(check(&log), end, "{:?}", log.recovery());
        assert!(log.recovery().damage.is_empty());
        self.free_by_deletion(&log);
        store.close().unwrap();
        let store = Store::open(data).unwrap();
        assert_eq!(store.recovery(), []);
        assert!(check(&store.topic("log").unwrap().partition(0).unwrap()) > end);
        store.close().unwrap();
    }

    fn free_by_deletion(&mut self, log: &Partition) {
        let (start, marks) = log.offsets();
        let deleted = log.delete_records(..Offset::new(u64::midpoint(start.get(), marks.end.get())));
        assert!(log.offsets().0 > start, "whole segments are gone: {deleted:?}");
        self.goes_on(log, "records were deleted after opening");
        check(log);
    }

    /// Appends large and small records until there is no room even for the smallest. Answers how many there were.
    fn fill(&mut self, log: &Partition) -> u64 {
        let before = log.offsets().1.end.get();
        for largest in [60_000, 3_000, 30] {
            loop {
                let size = self.random.below(largest);
                let end = log.offsets().1.end;
                match append(log, size) {
                    Ok(offset) => assert_eq!(offset, end.get()),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
                        assert_eq!(log.offsets().1.end, end, "nothing was acknowledged");
                        break;
                    }
                }
            }
        }
        check(log) - before
    }

    /// The same log takes appends again, which are synced and can be read.
    fn goes_on(&mut self, log: &Partition, why: &str) {
        for _ in 0..20 {
            let size = self.random.below(3_000);
            append(log, size).unwrap_or_else(|error| panic!("{why}, and still {error:?}"));
        }
        log.sync().unwrap_or_else(|error| panic!("{why}: {error:?}"));
        check(log);
    }

    fn ballast(&self, name: &str, size: impl Fn(u64) -> u64) {
        let stat = rustix::fs::statvfs(&self.place).unwrap();
        let size = size(stat.f_bavail * stat.f_frsize);
        let mut file = File::create(self.place.join(name)).unwrap();
        let block = vec![0xb5; 1 << 20];
        (0..size >> 20).for_each(|_| file.write_all(&block).unwrap());
        file.sync_all().unwrap();
    }

    /// A partition on its own whose `.lock` was not there could not be opened at all: there was no room to write into
    /// the new one.
    fn open_alone(&mut self) -> String {
        let path = self.place.join("orders-0");
        let open = || Partition::open(&path, PartitionOptions::default()).unwrap();
        let log = open();
        let end = (0..100).map(|_| append(&log, 500).unwrap()).max().unwrap() + 1;
        log.close().unwrap();
        drop(log);
        fs::remove_file(path.join(".lock")).unwrap();
        // Its name stays possible where names take room.
        File::create(path.join(".lock")).unwrap();
        self.ballast("rest", |_| 0);
        self.fill_up();
        let log = open();
        assert_eq!(check(&log), end);
        assert!(fs::metadata(path.join(".lock")).unwrap().len() < 24, "there was room");
        fs::remove_file(self.place.join("rest")).unwrap();
        self.settle();
        self.goes_on(&log, "a file is gone");
        log.close().unwrap();
        format!("{end} records read on a full disk, without a lock's contents")
    }

    /// Takes every byte that is left, in files of its own.
    fn fill_up(&mut self) {
        let mut file = File::options().append(true).open(self.place.join("rest")).unwrap();
        for size in [1 << 20, 1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0xb5; size]).is_ok() {}
        }
        file.sync_all().ok();
    }

    /// What was freed is free.
    fn settle(&self) {
        File::open(&self.place).unwrap().sync_all().unwrap();
    }
}

/// Appends until nothing fits, tells how far it came, and dies.
fn fill_and_die(data: &Path) {
    let store = Store::open(data).unwrap();
    let log = store.topic("log").unwrap().partition(0).unwrap();
    for size in [2_000, 20] {
        while append(&log, size).map_err(|error| assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}")).is_ok()
        {
        }
    }
    println!("acknowledged: {}", log.offsets().1.end);
    std::process::abort();
}

/// Appends a record whose offset says what is in it.
fn append(log: &Partition, size: u64) -> riverbed::Result<u64> {
    let value = value(log.offsets().1.end.get(), usize::try_from(size).unwrap());
    Ok(log.append_record(&Record::new().value(value))?.offsets.start().get())
}

fn value(offset: u64, size: usize) -> Vec<u8> {
    let mut random = Random::new(offset);
    (0..size.div_ceil(8)).flat_map(|_| random.bits().to_be_bytes()).take(size).collect()
}

/// Reads everything: dense offsets, and at each what belongs there. Answers the log end.
fn check(log: &Partition) -> u64 {
    let (mut next, marks) = log.offsets();
    loop {
        let fetched = log.fetch(next, FetchLimit::bytes(1 << 20).up_to(ReadUpTo::Written)).unwrap();
        if fetched.is_empty() {
            assert_eq!(next, marks.end);
            return next.get();
        }
        for batch in fetched.batches() {
            for record in batch.payload(&DecompressionLimits::default()).unwrap().records() {
                let record = record.unwrap();
                let found = record.value().unwrap();
                assert_eq!(record.offset(), next);
                assert!(found == value(next.get(), found.len()), "another value at {next}");
                next = next.next();
            }
        }
    }
}
