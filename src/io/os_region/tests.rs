use std::fs;
use std::process::Command;
use std::thread;

use super::*;
use crate::io::{Budget, Directory, OsDirectory, child};

fn open(path: &Path, budget: &Arc<Budget>) -> Arc<dyn Directory> {
    OsDirectory::create(path, Arc::clone(budget)).unwrap()
}

fn plenty() -> Arc<Budget> {
    Budget::new(1000, 1000)
}

fn size(region: &dyn Region) -> u64 {
    fs::metadata(region.path()).unwrap().len()
}

/// A mounted file system of a few megabytes, unmounted at the end. None without the right to mount.
struct Small(tempfile::TempDir);

impl Small {
    fn tmpfs() -> Option<Self> {
        Self::mount(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
    }

    fn ext4() -> Option<Self> {
        let image = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        image.as_file().set_len(16 << 20).unwrap();
        let path = image.path().to_str().unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-O", "^has_journal", path]).status();
        // The mount keeps the image's file.
        made.is_ok_and(|status| status.success()).then(|| Self::mount(&["-o", "loop", path])).flatten()
    }

    fn mount(args: &[&str]) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(args).arg(place.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(place));
        }
        eprintln!("skipped: no right to mount");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

/// Appends until there is no room, and tells how many bytes went in.
fn fill(region: &dyn Region, way: Way) -> u64 {
    loop {
        let len = region.len();
        match region.append(&[1; 61], &[2; 3000], way) {
            Ok(()) => assert_eq!(region.len(), len + 3061),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::StorageFull, "{e}");
                assert_eq!(region.len(), len, "nothing was published");
                return len;
            }
        }
    }
}

fn a_full_disk_stops_nothing_on(small: &Small) {
    let directory = open(small.0.path(), &plenty());
    let ballast = small.0.path().join("ballast");
    for (name, way) in [("a.log", Way::Map), ("b.log", Way::Positioned)] {
        fs::write(&ballast, vec![0; 1 << 20]).unwrap();
        let region = directory.create(name, 1 << 30).unwrap();
        assert_eq!(region.reserve(1 << 29).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(size(&*region), 0, "what the failed growth left is undone");
        let len = fill(&*region, way);
        assert!(len > 100_000, "some went in: {len}");
        assert!(size(&*region) <= len.next_multiple_of(4096) + 4096, "what the failed growth left is undone");
        region.sync().unwrap();
        assert_eq!(fill(&*region, Way::Positioned), len, "still full");
        assert_eq!(region.reserve(len + (1 << 29)).unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(size(&*region) <= len.next_multiple_of(4096) + 4096, "what the failed growth left is undone");
        let view = region.view().unwrap();
        assert!(view.chunks(3061).all(|piece| piece[..61] == [1; 61] && piece[61..] == [2; 3000]));
        assert!(directory.put("c", &vec![3; 1 << 20]).is_err_and(|e| e.kind() == ErrorKind::StorageFull));
        // A file that is there opens without any room.
        drop(region);
        let region = directory.open_append(name, len, 1 << 30).unwrap();
        assert_eq!(region.len(), len);
        fs::remove_file(&ballast).unwrap();
        for _ in 0..20 {
            region.append(&[1; 61], &[2; 3000], way).unwrap();
        }
        region.finish().unwrap();
        region.sync().unwrap();
        assert_eq!(size(&*region), len + 20 * 3061);
        directory.unlink(name).unwrap();
    }
    assert!(directory.list().unwrap().iter().all(|entry| entry.name == "lost+found"));
}

#[test]
fn a_full_disk_stops_nothing_and_a_failed_growth_is_undone() {
    // Alone, as another test's child would keep copies of our descriptors, and their space, until it runs its program.
    if child::succeeds("io::os_region::tests::a_full_disk_stops_nothing_and_a_failed_growth_is_undone") {
        return;
    }
    for small in [Small::tmpfs(), Small::ext4()].into_iter().flatten() {
        a_full_disk_stops_nothing_on(&small);
    }
}

#[test]
fn room_comes_in_growing_chunks_that_end_at_the_capacity() {
    let temporary = tempfile::tempdir().unwrap();
    let region = open(temporary.path(), &plenty()).create("a.log", 300_000).unwrap();
    assert_eq!(size(&*region), 0, "no room before it is needed");
    let mut sizes = vec![0];
    for _ in 0..300 {
        region.append(&[1; 100], &[2; 900], Way::Map).unwrap();
        if sizes.last() != Some(&size(&*region)) {
            sizes.push(size(&*region));
        }
    }
    assert_eq!(sizes, [0, 64 << 10, 192 << 10, 300_000]);
    region.finish().unwrap();
    assert_eq!(size(&*region), 300_000);
}

#[test]
fn appends_of_all_sizes_grow_past_many_chunks() {
    let temporary = tempfile::tempdir_in("/dev/shm").unwrap();
    let region = open(temporary.path(), &plenty()).create("a.log", 64 << 20).unwrap();
    let body: Vec<u8> = (0..1u32 << 20).flat_map(u32::to_be_bytes).collect();
    let mut expected = 0;
    for i in 0..60u32 {
        let piece = &body[..(body.len() / 60) * usize::try_from(i % 8).unwrap() + 1];
        region.append(&i.to_be_bytes(), piece, if i % 2 == 0 { Way::Map } else { Way::Positioned }).unwrap();
        let view = region.view().unwrap();
        assert!(view[expected..expected + 4] == i.to_be_bytes() && view[expected + 4..] == *piece, "append {i}");
        expected = view.len();
    }
    assert!(expected > 10 << 20);
}

#[test]
fn readers_beside_a_writer_and_one_who_fills_zeros_see_whole_appends_only() {
    let temporary = tempfile::tempdir().unwrap();
    let region = open(temporary.path(), &plenty()).create("a.log", 8 << 20).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                region.zero_ahead().unwrap();
                thread::yield_now();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::SeqCst) {
                    let view = region.view().unwrap();
                    assert!(view.len() >= seen && view.len().is_multiple_of(500));
                    for (i, piece) in view[seen..].chunks(500).enumerate() {
                        let number = u32::try_from(seen / 500 + i).unwrap();
                        assert!(piece[..4] == number.to_be_bytes() && piece[499] == 9, "append {number}");
                    }
                    seen = view.len();
                }
            });
        }
        for number in 0..16_000u32 {
            let mut body = [9; 439];
            body[..4].copy_from_slice(&number.to_be_bytes());
            let mut head = [0; 61];
            head[..4].copy_from_slice(&number.to_be_bytes());
            region.append(&head, &body, if number % 5 == 0 { Way::Positioned } else { Way::Map }).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(region.len(), 8_000_000);
}

#[test]
fn a_budget_of_maps_unmaps_what_is_cold_and_counts_what_views_keep() {
    let temporary = tempfile::tempdir().unwrap();
    let budget = Budget::new(1000, 4);
    let directory = open(temporary.path(), &budget);
    let sealed: Vec<_> = (0..20u8)
        .map(|i| {
            directory.put(&i.to_string(), &[i; 5000]).unwrap();
            directory.open_sealed(&i.to_string(), 5000)
        })
        .collect();
    for _ in 0..2 {
        for (i, region) in sealed.iter().enumerate() {
            assert_eq!(region.view().unwrap()[4999], u8::try_from(i).unwrap());
            assert!(budget.stats().maps <= 4);
        }
    }
    let mut views: Vec<_> = sealed[..4].iter().map(|region| region.view().unwrap()).collect();
    let error = sealed[4].view().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MapLimit, "{error}");
    // Without a map an append takes the other way; what is there can be read when a view has gone.
    let region = directory.create("a.log", 1 << 16).unwrap();
    region.append(b"abc", b"def", Way::Map).unwrap();
    assert_eq!(region.view().unwrap_err().kind(), ErrorKind::MapLimit);
    views.pop();
    assert_eq!(&*region.view().unwrap(), b"abcdef");
    assert!(views.iter().enumerate().all(|(i, view)| view[0] == u8::try_from(i).unwrap()));
    assert_eq!(budget.stats().descriptors, 2, "the root's and the one written to");
}

#[test]
fn active_files_lose_an_idle_map_and_get_it_back() {
    let temporary = tempfile::tempdir().unwrap();
    let budget = Budget::new(1000, 3);
    let directory = open(temporary.path(), &budget);
    let regions: Vec<_> = (0..10).map(|i| directory.create(&format!("{i}.log"), 1 << 20).unwrap()).collect();
    for round in 0..50u8 {
        for region in &regions {
            region.append(&[round; 61], &[round; 439], Way::Map).unwrap();
        }
        assert!(budget.stats().maps <= 3);
    }
    for region in &regions {
        let view = region.view().unwrap();
        assert!(view.chunks(500).enumerate().all(|(i, piece)| piece == [u8::try_from(i).unwrap(); 500]));
    }
}

/// The same without the trait: what the budget does is seen inside.
fn create(directory: &Path, name: &str, budget: &Arc<Budget>) -> Arc<OsRegion> {
    let root = super::super::root::Root::open(directory, crate::io::OpenMode::Write, Arc::clone(budget)).unwrap();
    let place = super::super::root::Place::new(root);
    let handle = Handle::new(&place, name, OFlags::RDWR, 0);
    let region = OsRegion::new(handle, &Start { published: 0, capacity: 1 << 20, map_stores: true });
    region.open(OFlags::CREATE | OFlags::EXCL).unwrap();
    region
}

#[test]
fn a_descriptor_with_unsynced_bytes_is_synced_before_it_is_closed() {
    let temporary = tempfile::tempdir().unwrap();
    let region = create(temporary.path(), "a.log", &plenty());
    for way in [Way::Map, Way::Positioned, Way::Map] {
        region.append(b"0123", b"4567", way).unwrap();
        assert!(!region.durability.is_clean(region.handle.state.published()));
        assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::InUse, "used lately");
        let kept = region.file_range(0..4).unwrap();
        assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::InUse, "used lately");
        assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::InUse, "somebody has it");
        drop(kept);
        assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::GivenBack);
        assert!(region.durability.is_clean(region.handle.state.published()), "synced first");
        assert_eq!(region.writer.lock().ready, 0, "no store without a descriptor");
    }
    assert_eq!(region.view().unwrap().len(), 24);
}

#[test]
fn nothing_is_taken_from_a_region_that_is_at_work() {
    let temporary = tempfile::tempdir().unwrap();
    let region = create(temporary.path(), "a.log", &plenty());
    region.append(b"0123", b"4567", Way::Map).unwrap();
    while region.give_back(Resource::Map, Ask::IfIdle) == Outcome::InUse {}
    assert!(region.handle.map().is_none());
    let writer = region.writer.lock();
    assert_eq!(region.give_back(Resource::Map, Ask::IfIdle), Outcome::InUse);
    drop(writer);
    let turn = region.durability.turn();
    for _ in 0..3 {
        assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::InUse, "a sync is under way");
    }
    drop(turn);
    assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::GivenBack);
}

#[test]
fn after_a_failed_sync_nothing_is_written_or_synced_again() {
    let temporary = tempfile::tempdir().unwrap();
    let region = create(temporary.path(), "a.log", &plenty());
    region.append(b"a", b"b", Way::Map).unwrap();
    // The kernel cannot sync a pipe: a stand-in for a disk that fails.
    let (_reader, writer) = std::io::pipe().unwrap();
    let pipe = fs::File::from(std::os::fd::OwnedFd::from(writer));
    let turn = region.durability.turn();
    assert_eq!(region.durability.sync(&turn, &pipe, 2, region.path()).unwrap_err().kind(), ErrorKind::Io);
    drop(turn);
    let previous = |result: Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::PreviousFailure);
    previous(region.sync());
    previous(region.append(b"c", b"d", Way::Map));
    previous(region.append(b"c", b"d", Way::Positioned));
    previous(region.reserve(1 << 19));
    previous(region.zero_ahead());
    previous(region.finish());
    assert!(!region.durability.is_clean(2), "the durable end did not move");
    for _ in 0..4 {
        assert_eq!(region.give_back(Resource::Descriptor, Ask::IfIdle), Outcome::InUse, "its descriptor is kept");
    }
    assert_eq!(&*region.view().unwrap(), b"ab", "it can be read");
}

#[test]
#[expect(unsafe_code, reason = "sets a limit")]
fn a_failed_write_that_is_not_for_want_of_room_stops_the_file() {
    if child::succeeds("io::os_region::tests::a_failed_write_that_is_not_for_want_of_room_stops_the_file") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let region = create(temporary.path(), "a.log", &plenty());
    region.append(&[1; 61], &[1; 939], Way::Positioned).unwrap();
    let limit = libc::rlimit { rlim_cur: 10_000, rlim_max: 10_000 };
    // SAFETY: `limit` is valid; the process runs this test alone. The signal that comes with the limit is ignored.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
    // Part of it is written, then no more.
    let error = region.append(&[2; 61], &[2; 20_000], Way::Positioned).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_eq!(region.len(), 1000);
    let later = region.append(&[3; 61], &[3; 10], Way::Map).unwrap_err();
    assert_eq!(later.kind(), ErrorKind::PreviousFailure, "{later}");
    assert_eq!(region.sync().unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert_eq!(region.view().unwrap()[..], [1; 1000]);
}

#[test]
fn a_file_that_was_replaced_or_cut_by_somebody_is_noticed_when_opened_again() {
    let temporary = tempfile::tempdir().unwrap();
    let region = create(temporary.path(), "a.log", &plenty());
    region.append(b"0123", b"4567", Way::Positioned).unwrap();
    region.finish().unwrap();
    region.sync().unwrap();
    fs::File::options().write(true).open(region.path()).unwrap().set_len(7).unwrap();
    let error = region.view().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert!(error.to_string().contains("8 bytes expected, 7 found"), "{error}");
    fs::write(temporary.path().join("b"), b"01234567").unwrap();
    fs::rename(temporary.path().join("b"), region.path()).unwrap();
    assert_eq!(region.view().unwrap_err().kind(), ErrorKind::Corruption);
}

#[test]
fn many_threads_share_few_descriptors_and_maps() {
    let temporary = tempfile::tempdir().unwrap();
    let budget = Budget::new(12, 9);
    let directory = open(temporary.path(), &budget);
    let regions: Vec<_> = (0..40).map(|i| directory.create(&format!("{i}.log"), 1 << 20).unwrap()).collect();
    thread::scope(|scope| {
        for (t, own) in regions.chunks(10).enumerate() {
            let regions = &regions;
            scope.spawn(move || {
                for round in 0..100u8 {
                    for (i, region) in own.iter().enumerate() {
                        let way = if (i + usize::from(round)).is_multiple_of(3) { Way::Positioned } else { Way::Map };
                        region.append(&[round; 61], &[round; 439], way).unwrap();
                        if i == usize::from(round % 10) {
                            region.sync().unwrap();
                        }
                    }
                    let other = &regions[(t * 7 + usize::from(round) * 3) % regions.len()];
                    let view = other.view().unwrap();
                    assert!(view.chunks(500).enumerate().all(|(i, piece)| piece == [u8::try_from(i).unwrap(); 500]));
                }
            });
        }
    });
    let stats = budget.stats();
    assert!(stats.descriptors <= 12 && stats.maps <= 9, "{stats:?}");
    for region in &regions {
        region.sync().unwrap();
        assert_eq!(region.view().unwrap().len(), 50_000);
    }
    drop(regions);
    assert_eq!((budget.stats().descriptors, budget.stats().maps), (1, 0));
}

#[test]
fn a_small_append_makes_no_system_call() {
    const MANY: usize = 100_000;
    let Some(program) = child::command("io::os_region::tests::a_small_append_makes_no_system_call") else {
        let temporary = tempfile::tempdir_in("/dev/shm").unwrap();
        let region = open(temporary.path(), &plenty()).create("a.log", 100 * MANY as u64).unwrap();
        for _ in 0..MANY {
            region.append(&[1; 61], &[2; 39], Way::Map).unwrap();
        }
        return;
    };
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-o"]).arg(trace.path()).arg(program.get_program()).args(program.get_args());
    strace.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    match strace.output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(e) => return eprintln!("skipped, no strace: {e}"),
    }
    let calls = fs::read_to_string(trace.path()).unwrap().lines().count();
    assert!(calls > 100 && calls < MANY / 50, "{calls} system calls for {MANY} appends");
}

/// The access that `/proc/self/maps` shows for each map of `path`.
fn access_of(path: &Path) -> Vec<String> {
    let path = fs::canonicalize(path).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| line.ends_with(path.to_str().unwrap()));
    lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
fn only_a_file_that_grows_is_mapped_for_stores() {
    let temporary = tempfile::tempdir_in("/dev/shm").unwrap();
    let directory = open(temporary.path(), &plenty());
    let region = directory.create("a.log", 1 << 20).unwrap();
    assert!(access_of(region.path()).is_empty(), "not mapped before its first use");
    region.append(&[1; 61], &[2; 39], Way::Map).unwrap();
    assert_eq!(access_of(region.path()), ["rw-s"]);
    let view = region.view().unwrap();
    region.finish().unwrap();
    assert_eq!(access_of(region.path()), ["r--s"]);
    drop((region, view));
    let sealed = directory.open_sealed("a.log", 100);
    assert!(access_of(sealed.path()).is_empty());
    let view = sealed.view().unwrap();
    assert_eq!(access_of(sealed.path()), ["r--s"]);
    assert_eq!(view.len(), 100);
}

#[test]
fn where_blocks_may_move_nothing_is_stored_through_a_map() {
    let layers = tempfile::tempdir_in("/dev/shm").unwrap();
    let part = |name: &str| {
        let path = layers.path().join(name);
        fs::create_dir(&path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let options = format!("lowerdir={},upperdir={},workdir={}", part("lower"), part("upper"), part("work"));
    let Some(overlay) = Small::mount(&["-t", "overlay", "-o", &options, "overlay"]) else { return };
    let region = open(overlay.0.path(), &plenty()).create("a.log", 1 << 20).unwrap();
    for _ in 0..100 {
        region.append(&[1; 61], &[2; 39], Way::Map).unwrap();
    }
    assert_eq!(region.view().unwrap().len(), 10_000);
    assert_eq!(access_of(region.path()), ["r--s"]);
}

#[test]
fn zero_filling_writes_what_allocating_only_sets_aside() {
    let temporary = tempfile::tempdir_in(".").unwrap();
    let directory = open(temporary.path(), &plenty());
    let hole = |region: &dyn Region| {
        let file = fs::File::open(region.path()).unwrap();
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap()
    };
    let allocated = directory.create("a.log", 1 << 20).unwrap();
    allocated.reserve(1).unwrap();
    if hole(&*allocated) != 0 {
        return eprintln!("skipped: this file system does not tell holes from zeros");
    }
    let zeroed = directory.create("b.log", 1 << 20).unwrap();
    for (appended, expected) in [(0, 64 << 10), (10_000, 192 << 10), (40_000, 192 << 10), (150_000, 448 << 10)] {
        let missing = appended - usize::try_from(zeroed.len()).unwrap();
        zeroed.append(&[], &vec![1; missing], Way::Positioned).unwrap();
        zeroed.zero_ahead().unwrap();
        assert_eq!((hole(&*zeroed), size(&*zeroed)), (expected, expected), "{appended} bytes appended");
    }
}

/// Room that grows by ever more would leave a writer who was once faster than the zeros without any for megabytes.
#[test]
fn a_writer_who_overtakes_the_zeros_gets_little_room_without_them() {
    let temporary = tempfile::tempdir().unwrap();
    let region = open(temporary.path(), &plenty()).create("a.log", 64 << 20).unwrap();
    for appended in [0, 100_000, 300_000, 700_000] {
        let missing = appended - usize::try_from(region.len()).unwrap();
        region.append(&[], &vec![1; missing], Way::Positioned).unwrap();
        region.zero_ahead().unwrap();
    }
    let before = size(&*region);
    region.reserve(before + 1).unwrap();
    assert_eq!(size(&*region), before + (64 << 10));
    region.reserve(before + (64 << 10) + 1).unwrap();
    assert!(size(&*region) >= before + (1 << 20), "there is nobody who fills zeros any more");
}
