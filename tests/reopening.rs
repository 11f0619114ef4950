//! Opening what was closed, what was left open, and what was damaged.

#![allow(clippy::unwrap_used, clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use riverbed::{ErrorKind, Partition, PartitionOptions, ReadUpTo, Timestamp};
use support::TestDir;
use support::copy_dir;
use support::partition::{append, bases, config, counted, fill, from_producer, open, range, stored, values};

const SMALL: [(&str, &str); 2] = [("segment.bytes", "800"), ("index.interval.bytes", "200")];

fn log_file(dir: &TestDir, base: u64) -> PathBuf {
    dir.join(format!("orders-0/{base:020}.log"))
}

fn files(dir: &TestDir, extension: &str) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(dir.join("orders-0")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

fn damage(path: &Path, position: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[position] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}

/// A copy of the directory as a killed process leaves it: nothing closed, nothing trimmed.
fn killed(partition: &Partition, dir: &TestDir, name: &str) -> TestDir {
    let copy = TestDir::scratch(name);
    copy_dir(&dir.join("orders-0"), &copy.join("orders-0"));
    assert!(partition.offsets().1.end.get() > 0);
    copy
}

/// REC-05, REC-07, REC-08, REC-21: indexes are derived data, and answers do not depend on them.
#[test]
fn missing_and_garbled_indexes_are_rebuilt_with_the_same_answers() {
    let dir = TestDir::new("rebuilt");
    let partition = open(&dir, &SMALL);
    fill(&partition, 60);
    partition.close().unwrap();
    let answers = |partition: &Partition| -> Vec<_> {
        let times = (0..70).map(|n| Timestamp::from_millis(n * 10 - 5)).filter(|time| time.is_some());
        times.map(|time| partition.offset_for_time(time, ReadUpTo::Written).unwrap()).collect()
    };
    let partition = open(&dir, &SMALL);
    let expected = answers(&partition);
    partition.close().unwrap();
    for round in ["missing", "garbage", "short", "long"] {
        for path in [files(&dir, "index"), files(&dir, "timeindex")].concat() {
            let bytes = std::fs::read(&path).unwrap();
            match round {
                "missing" => std::fs::remove_file(&path).unwrap(),
                "garbage" => std::fs::write(&path, vec![0xab; bytes.len()]).unwrap(),
                "short" => std::fs::write(&path, &bytes[..bytes.len() / 2 + 1]).unwrap(),
                _ => std::fs::write(&path, [bytes.as_slice(), &[0; 64]].concat()).unwrap(),
            }
        }
        let partition = open(&dir, &SMALL);
        assert_eq!(values(&partition, 0), counted(0, 60), "{round}");
        assert_eq!(answers(&partition), expected, "{round}");
        partition.close().unwrap();
        assert_eq!(files(&dir, "index").len(), files(&dir, "log").len(), "{round}: written again at close");
    }
}

/// REC-09, REC-16.
#[test]
fn files_without_a_log_and_files_marked_for_deletion_go() {
    let dir = TestDir::new("strays");
    let partition = open(&dir, &[]);
    fill(&partition, 3);
    partition.close().unwrap();
    let strays =
        ["00000000000000000777.index", "00000000000000000777.timeindex", "00000000000000000000.log.deleted", "x.tmp"];
    for name in strays {
        std::fs::write(dir.join("orders-0").join(name), b"stray").unwrap();
    }
    let partition = open(&dir, &[]);
    for name in strays {
        assert!(!dir.join("orders-0").join(name).exists(), "{name}");
    }
    assert_eq!(values(&partition, 0), counted(0, 3));
    partition.close().unwrap();
}

/// REC-11, REC-22.
#[test]
fn garbage_and_zeros_behind_the_last_batch_are_cut() {
    for (name, tail) in [("zeros", vec![0; 4096]), ("garbage", vec![0x5a; 777]), ("few", vec![1; 3])] {
        let dir = TestDir::new(name);
        let partition = open(&dir, &[]);
        fill(&partition, 10);
        let copy = killed(&partition, &dir, name);
        partition.close().unwrap();
        let clean = std::fs::read(log_file(&dir, 0)).unwrap();
        std::fs::write(log_file(&copy, 0), [clean.as_slice(), tail.as_slice()].concat()).unwrap();
        let partition = open(&copy, &[]);
        assert_eq!(values(&partition, 0), counted(0, 10), "{name}");
        fill(&partition, 12);
        partition.close().unwrap();
        let partition = open(&copy, &[]);
        assert_eq!(values(&partition, 0), counted(0, 12), "{name}");
        partition.close().unwrap();
    }
}

/// REC-06, REC-10, REC-35: torn at many bytes of the last two batches.
#[test]
fn a_torn_tail_is_cut_at_the_start_of_its_batch() {
    let dir = TestDir::new("torn");
    let partition = open(&dir, &[]);
    fill(&partition, 5);
    let copy = killed(&partition, &dir, "torn");
    partition.close().unwrap();
    let clean = std::fs::read(log_file(&dir, 0)).unwrap();
    let size = clean.len() / 5;
    for len in (3 * size..clean.len()).step_by(5) {
        let torn = TestDir::scratch("torn-at");
        copy_dir(&copy.join("orders-0"), &torn.join("orders-0"));
        std::fs::write(log_file(&torn, 0), &clean[..len]).unwrap();
        let partition = open(&torn, &[]);
        let whole = (len / size) as u64;
        assert_eq!(values(&partition, 0), counted(0, whole), "torn at {len}");
        let (_, marks) = partition.offsets();
        assert!(marks.durable <= marks.end);
        fill(&partition, whole + 1);
        partition.close().unwrap();
    }
}

/// REC-23.
#[test]
fn epochs_come_back() {
    let dir = TestDir::new("epochs-back");
    let partition = open(&dir, &[]);
    for (base, epoch) in [(0, 2), (1, 2), (2, 5)] {
        partition.append_as_follower(&stored(base, epoch, &[("x", 1)])).unwrap();
    }
    partition.close().unwrap();
    let file = dir.join("orders-0/leader-epoch-checkpoint");
    let expected = std::fs::read_to_string(&file).unwrap();
    assert_eq!(expected, "0\n2\n2 0\n5 2\n");
    std::fs::remove_file(&file).unwrap();
    let partition = open(&dir, &[]);
    append(&partition, "of the fifth", 2);
    partition.close().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
}

/// REC-04, REC-25, SNP-01, SNP-04.
#[test]
fn producers_are_known_again_with_whole_damaged_and_no_snapshots() {
    let dir = TestDir::new("snapshots");
    let partition = open(&dir, &SMALL);
    for n in 0..40 {
        partition.append(&from_producer(7, 3, n, &[("x", 1)])).unwrap();
    }
    partition.close().unwrap();
    let snapshots = files(&dir, "snapshot");
    assert!(snapshots.iter().any(|path| path.ends_with("00000000000000000040.snapshot")), "{snapshots:?}");
    for round in ["whole", "newest damaged", "all damaged", "none"] {
        let snapshots = files(&dir, "snapshot");
        match round {
            "newest damaged" => damage(snapshots.last().unwrap(), 4),
            "all damaged" => snapshots.iter().for_each(|path| damage(path, 4)),
            "none" => snapshots.iter().for_each(|path| std::fs::remove_file(path).unwrap()),
            _ => {}
        }
        let partition = open(&dir, &SMALL);
        let repeat = partition.append(&from_producer(7, 3, 38, &[("x", 1)])).unwrap();
        assert_eq!((range(&repeat), repeat.duplicate), ((38, 38), true), "{round}");
        let old = partition.append(&from_producer(7, 3, 30, &[("x", 1)])).unwrap_err();
        assert_eq!(old.kind(), ErrorKind::OutOfOrderSequence, "{round}");
        partition.close().unwrap();
    }
}

/// REC-20: no offset that was promised to survive is given out again.
#[test]
fn a_log_whose_segments_are_all_gone_goes_on_behind_them() {
    let dir = TestDir::scratch("all-gone");
    let partition = open(&dir, &SMALL);
    fill(&partition, 40);
    partition.close().unwrap();
    for path in [files(&dir, "log"), files(&dir, "index"), files(&dir, "timeindex")].concat() {
        std::fs::remove_file(path).unwrap();
    }
    for end in [43, 46] {
        let partition = open(&dir, &SMALL);
        assert_eq!(partition.recovery().damage.len(), usize::from(end == 43), "{:?}", partition.recovery());
        assert_eq!(partition.offsets().0.get(), 40);
        fill(&partition, end);
        assert_eq!(values(&partition, 40), counted(40, end));
        partition.close().unwrap();
    }
    for path in [files(&dir, "log"), files(&dir, "snapshot"), vec![dir.join("orders-0/log-checkpoint")]].concat() {
        std::fs::remove_file(path).unwrap();
    }
    let partition = open(&dir, &SMALL);
    fill(&partition, 3);
    assert_eq!(values(&partition, 0), counted(0, 3), "nothing is known of it any more");
    partition.close().unwrap();
}

/// REC-13: gaps that compaction left, in its own log and in a follower's, with nothing but the log files.
#[test]
fn gaps_are_recovered_in_a_compacted_log() {
    // Not kept: the dump tool complains of any gap, as it does of Kafka's own compacted logs.
    let dir = TestDir::scratch("gaps-recovered");
    let settings = [("cleanup.policy", "compact"), SMALL[0], SMALL[1]];
    let partition = open(&dir, &settings);
    let mut expected = Vec::new();
    for n in 0..40 {
        let (offset, value) = (n * 7 + n % 3, format!("v{n}"));
        let records = [(value.as_str(), n as i64 * 10), ("same batch", 5)];
        let records = &records[..1 + usize::from(n % 4 == 0)];
        partition.append_as_follower(&stored(offset, 0, records)).unwrap();
        let values = records.iter().zip(offset..).map(|((value, _), offset)| (offset, (*value).to_string()));
        expected.extend(values);
    }
    let copy = killed(&partition, &dir, "gaps-killed");
    partition.close().unwrap();
    for path in [files(&copy, "index"), files(&copy, "timeindex"), files(&copy, "snapshot")].concat() {
        std::fs::remove_file(path).unwrap();
    }
    std::fs::remove_file(copy.join("orders-0/log-checkpoint")).ok();
    for dir in [&dir, &copy] {
        let partition = open(dir, &settings);
        assert_eq!(partition.recovery().cut_bytes, 0);
        for (place, (offset, _)) in expected.iter().enumerate() {
            assert_eq!(values(&partition, *offset), expected[place..]);
        }
        let found = partition.offset_for_time(Timestamp::from_millis(391), ReadUpTo::Written).unwrap();
        assert_eq!(found, None);
        partition.close().unwrap();
    }
}

/// REC-14: old logs of Kafka's have segments whose offsets run too far from the base for an index entry. They are read
/// as they stand, and closed behind the last entry that fits.
#[test]
fn a_segment_whose_offsets_run_too_far_from_its_base_is_read_as_it_is() {
    let dir = TestDir::scratch("too-far");
    let far = 1 << 31;
    let expected = [(0, "near"), (far - 1, "last"), (far, "beyond"), (far + 9, "far")].map(|(n, v)| (n, v.to_string()));
    let bytes = expected.iter().map(|(offset, value)| stored(*offset, 0, &[(value, *offset as i64)]));
    let bytes = bytes.collect::<Vec<_>>().concat();
    std::fs::create_dir(dir.join("orders-0")).unwrap();
    std::fs::write(log_file(&dir, 0), &bytes).unwrap();
    let settings = [("cleanup.policy", "compact"), ("index.interval.bytes", "1")];
    for _ in 0..3 {
        let partition = open(&dir, &settings);
        assert_eq!(partition.recovery().cut_bytes, 0, "{:?}", partition.recovery());
        let before: Vec<_> = values(&partition, 0).into_iter().take(4).collect();
        assert_eq!(before, expected);
        for (place, (offset, value)) in expected.iter().enumerate() {
            assert_eq!(values(&partition, *offset)[0], (*offset, value.clone()), "place {place}");
            let time = Timestamp::from_millis(*offset as i64);
            let found = partition.offset_for_time(time, ReadUpTo::Written).unwrap().unwrap();
            assert_eq!(found.offset.get(), *offset);
        }
        append(&partition, "more", 1);
        assert_eq!(bases(&partition)[1], far + 10, "appends go on in another segment");
        partition.close().unwrap();
    }
    assert_eq!(std::fs::read(log_file(&dir, 0)).unwrap(), bytes);
}

/// REC-32: what the file of epochs says beyond the log's ends.
#[test]
fn epochs_beyond_the_ends_of_the_log_are_cut_and_raised() {
    let dir = TestDir::new("epochs-beyond");
    let partition = open(&dir, &[]);
    for (base, epoch) in [(0, 1), (1, 1), (2, 3), (3, 3)] {
        partition.append_as_follower(&stored(base, epoch, &[("x", 1)])).unwrap();
    }
    partition.delete_records(..riverbed::Offset::new(1)).unwrap();
    partition.close().unwrap();
    let file = dir.join("orders-0/leader-epoch-checkpoint");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0\n2\n1 1\n3 2\n");
    std::fs::write(&file, "0\n5\n0 0\n1 0\n3 2\n8 4\n9 700\n").unwrap();
    let partition = open(&dir, &[]);
    let fetched_epoch =
        |partition: &Partition, offset| partition.log().epoch_at(riverbed::Offset::new(offset)).unwrap();
    assert_eq!(fetched_epoch(&partition, 1).unwrap().get(), 1);
    append(&partition, "still of the third", 2);
    assert_eq!(fetched_epoch(&partition, 4).unwrap().get(), 3);
    partition.close().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0\n2\n1 1\n3 2\n");
}

/// REC-36: times out of order, and an interval that makes no entry in between.
#[test]
fn a_recovered_time_index_ends_with_the_greatest_time() {
    let dir = TestDir::new("time-index-end");
    let settings = [("segment.bytes", "800")];
    let partition = open(&dir, &settings);
    for n in 0..60_u64 {
        append(&partition, &format!("v{n}"), 1_000 + (n * 37 % 60) as i64);
    }
    let bases = bases(&partition);
    let copy = killed(&partition, &dir, "time-index-killed");
    partition.close().unwrap();
    for path in [files(&copy, "timeindex"), vec![copy.join("orders-0/log-checkpoint")]].concat() {
        std::fs::remove_file(path).unwrap();
    }
    open(&copy, &settings).close().unwrap();
    let ends = bases[1..].iter().copied().chain([60]);
    for (base, end) in bases.iter().zip(ends) {
        let (time, offset) = (*base..end).map(|n| (1_000 + n * 37 % 60, n)).max().unwrap();
        let expected = [&time.to_be_bytes()[..], &((offset - base) as u32).to_be_bytes()].concat();
        for dir in [&dir, &copy] {
            let index = std::fs::read(dir.join(format!("orders-0/{base:020}.timeindex"))).unwrap();
            assert!(index.ends_with(&expected), "segment {base}: {index:?}");
        }
    }
}

/// REC-19, REC-21.
#[test]
fn an_empty_directory_and_an_empty_segment_are_logs() {
    let dir = TestDir::new("empty");
    std::fs::create_dir(dir.join("orders-0")).unwrap();
    let partition = open(&dir, &[]);
    assert_eq!(values(&partition, 0), []);
    fill(&partition, 3);
    partition.roll().unwrap();
    partition.close().unwrap();
    let partition = open(&dir, &[]);
    assert_eq!(bases(&partition), [0, 3]);
    fill(&partition, 5);
    assert_eq!(values(&partition, 0), counted(0, 5));
    partition.close().unwrap();
}

/// P6: reads of the damaged batch answer so, the rest stays readable, appends are taken.
#[test]
fn damage_below_the_recovery_point_is_told_and_nothing_is_cut() {
    let dir = TestDir::scratch("rot");
    let partition = open(&dir, &SMALL);
    fill(&partition, 60);
    partition.sync().unwrap();
    let bases = bases(&partition);
    partition.close().unwrap();
    damage(&log_file(&dir, bases[1]), 65);
    let partition = open(&dir, &SMALL);
    let error = partition.fetch(riverbed::Offset::new(bases[1]), riverbed::FetchLimit::bytes(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption);
    assert!(error.corruption().unwrap().path.as_ref().unwrap().ends_with(format!("orders-0/{:020}.log", bases[1])));
    assert_eq!(values(&partition, bases[2]), counted(bases[2], 60));
    fill(&partition, 62);
    assert_eq!(values(&partition, bases[2]), counted(bases[2], 62));
    partition.close().unwrap();
}

/// One writer; a reader beside it sees what is written, and writes nothing.
#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let dir = TestDir::new("second");
    let partition = open(&dir, &SMALL);
    fill(&partition, 30);
    let again = Partition::open(dir.join("orders-0"), PartitionOptions::default());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyOpen);
    let names = |dir: &TestDir| files(dir, "log").len() + files(dir, "index").len() + files(dir, "snapshot").len();
    let before = names(&dir);
    let options = || PartitionOptions::default().config(config(&SMALL)).read_only();
    let reader = Partition::open(dir.join("orders-0"), options()).unwrap();
    assert_eq!(values(&reader, 0), counted(0, 30));
    assert_eq!(reader.append(&support::partition::batch(&[("x", 1)])).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(names(&dir), before);
    partition.close().unwrap();
}
