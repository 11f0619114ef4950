//! What may appear where, and what may appear nowhere.

use crate::source::{Source, lines_with};

/// Words, the only places that may have them, and whom to ask instead.
const PLACES: &[(&[&str], &[&str], &str)] = &[
    (&["unsafe"], &["src/io/"], "io"),
    (&["std::fs", "std::os::fd", "std::os::unix"], &["src/io/", "src/bin/"], "io::Directory"),
    (&["memmap2", "rustix::fs", "rustix::mm", "rustix::io"], &["src/io/"], "io"),
    (&["libc"], &["src/io/", "src/error.rs"], "io"),
    (&["parking_lot", "arc_swap", "event_listener", "crossbeam", "loom"], &["src/sync.rs"], "sync"),
    (&["std::sync::atomic", "std::thread"], &["src/sync.rs", "src/bin/"], "sync"),
    (&["sync::thread"], &["src/store/worker.rs", "src/store/side_by_side.rs", "src/io/sim/"], "store::worker"),
    (&["SystemTime", "Instant", "rustix::time"], &["src/clock.rs"], "clock"),
    (&["crc_fast", "crc32fast", "crc32c::"], &["src/record/checksum.rs", "src/io/power.rs"], "record::checksum"),
    (&["flate2", "snap::", "lz4_flex", "zstd::"], &["src/record/"], "record"),
    (&["openraft", "tokio"], &["src/replication/raft/"], "replication::raft"),
    (&["clap", "indicatif", "comfy_table", "serde_json", "jiff", "sha2"], &["src/bin/"], "the program"),
];

pub fn misplaced(file: &Source) -> Vec<String> {
    let code = file.production_code();
    let mut problems = Vec::new();
    for (words, places, instead) in PLACES {
        if places.iter().any(|place| file.path.starts_with(place)) {
            continue;
        }
        for word in *words {
            for line in lines_with(&code, word) {
                problems.push(format!("{}:{line}: {word} belongs in {}: use {instead}", file.path, places.join(", ")));
            }
        }
    }
    problems
}

/// Marks of unfinished work, written so that this file does not hold them.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
    concat!("#[ig", "nore"),
];

pub fn unfinished(file: &Source) -> Vec<String> {
    let find = |mark: &&'static str| {
        let mark = *mark;
        lines_with(&file.text, mark).into_iter().map(move |line| (line, mark))
    };
    let hits = UNFINISHED.iter().flat_map(find);
    hits.map(|(line, mark)| format!("{}:{line}: {mark}", file.path)).collect()
}

#[test]
fn a_word_in_the_wrong_place_is_found() {
    let red = |path: &str, text: &str| misplaced(&Source::new(path, text)).len();
    assert_eq!(red("src/log/open.rs", "unsafe { x() }"), 1);
    assert_eq!(red("src/io/room.rs", "unsafe { x() }"), 0);
    assert_eq!(red("src/log/open.rs", "#![expect(unsafe_code)]"), 0);
    assert_eq!(red("src/log/open.rs", "use std::fs::File;"), 1);
    assert_eq!(red("src/log/open.rs", "use parking_lot::Mutex; use std::sync::atomic::AtomicU8;"), 2);
    assert_eq!(red("src/log/open.rs", "let now = SystemTime::now();"), 1);
    assert_eq!(red("src/log/open.rs", "crc32fast::hash(b)"), 1);
    assert_eq!(red("src/store/x.rs", "zstd::decode(b); Compression::Zstd"), 1);
    assert_eq!(red("src/store/x.rs", "#[cfg(test)]\nmod tests { use std::thread; }"), 0);
}

#[test]
fn marks_of_unfinished_work_are_found() {
    for mark in UNFINISHED {
        assert_eq!(unfinished(&Source::new("src/x.rs", &format!("// {mark}: later"))).len(), 1, "{mark}");
    }
    assert!(unfinished(&Source::new("src/x.rs", "ignore and dbg")).is_empty());
}
