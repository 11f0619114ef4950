use std::fs;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use super::*;

/// One file of each kind that Kafka or riverbed writes.
const GOLDEN: [&str; 8] = [
    "transactions-segments-0/00000000000000000006.log",
    "transactions-segments-0/00000000000000000006.index",
    "transactions-segments-0/00000000000000000006.timeindex",
    "transactions-segments-0/00000000000000000006.txnindex",
    "transactions-segments-0/00000000000000000006.snapshot",
    "transactions-segments-0/leader-epoch-checkpoint",
    "transactions-segments-0/partition.metadata",
    "recovery-point-offset-checkpoint",
];

/// Where to change a file, and into what; and where to end it.
fn damage() -> impl Strategy<Value = (usize, Vec<(usize, u8)>, usize)> {
    let edits = prop::collection::vec((any::<usize>(), any::<u8>()), 0..6);
    (0..GOLDEN.len(), edits, any::<usize>())
}

#[test]
fn no_damage_makes_a_dump_panic() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/kafka-4.3.1/log");
    let directory = tempfile::tempdir().unwrap();
    let partition = golden.join("transactions-segments-0");
    for entry in fs::read_dir(&partition).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    let config =
        Config { cases: 2_000, failure_persistence: Some(Box::new(FileFailurePersistence::Off)), ..Config::default() };
    let run = TestRunner::new(config).run(&damage(), |(file, edits, end)| {
        let good = fs::read(golden.join(GOLDEN[file])).unwrap();
        let mut bytes = good.clone();
        for (place, value) in edits {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        if end % 3 == 0 {
            bytes.truncate(end % good.len());
        }
        let path = directory.path().join(Path::new(GOLDEN[file]).file_name().unwrap());
        fs::write(&path, &bytes).unwrap();
        let mut printed = Vec::new();
        let interrupt = Interrupt::never();
        for json in [false, true] {
            let mut report = Report::new(&path, json, &interrupt, &mut printed);
            one_file(&path, true, &mut report).unwrap().unwrap();
        }
        fs::write(&path, &good).unwrap();
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_frame_of_riverbeds_own_is_told_from_noise() {
    let directory = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::never();
    let problems = |bytes: &[u8]| {
        let path = directory.path().join("log-checkpoint");
        fs::write(&path, bytes).unwrap();
        check(&path, &interrupt).len()
    };
    let frame = |body: &[u8]| {
        let mut bytes = [b"rvrblogc".as_slice(), &[0, 2]].concat();
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        let crc = riverbed::crc32(&[&bytes, body].concat());
        [bytes, crc.to_be_bytes().to_vec(), body.to_vec()].concat()
    };
    let good = frame(&[0; 72]);
    assert_eq!(problems(&good), 0);
    assert_eq!(problems(&frame(&[0; 71])), 1);
    for len in 4..good.len() {
        assert!(problems(&good[..len]) > 0, "{len}");
    }
    for bit in 64..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(problems(&bad) > 0, "bit {bit}");
    }
    assert_eq!(problems(b"hello"), 1);
}
