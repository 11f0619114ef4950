//! Which atomics may be `Relaxed`: counts, hints, and what another one publishes. A mark that tells readers that bytes are
//! there may not, and no test on x86 would notice.

use crate::source::Source;

/// The files, and in each the names that nothing else is read by.
const RELAXED: &[(&str, &[&str])] = &[
    ("src/io/doomed.rs", &["bytes"]),
    ("src/io/fork.rs", &["GENERATION", "place"]),
    ("src/io/handle.rs", &["used_lately"]),
    ("src/io/look.rs", &["read"]),
    ("src/io/map.rs", &["MAPPED"]),
    ("src/io/mapped_write.rs", &["MISSING"]),
    ("src/io/os_region.rs", &["reserved", "scarce_above"]),
    ("src/io/root.rs", &["walk"]),
    ("src/io/sigbus.rs", &["start", "state"]), // `end` publishes both
    ("src/io/tail_region.rs", &["len"]),
    ("src/log/checkpoint.rs", &["is_behind"]),
    ("src/log/durability.rs", &["syncs_often"]),
    ("src/log/moved.rs", &["listening"]), // behind a fence
    ("src/log/retain.rs", &["segments", "bytes"]),
    ("src/segment/series.rs", &["slot", "word"]), // `published` publishes them
    ("src/segment/verified.rs", &["words"]),
    ("src/store/side_by_side.rs", &["next"]),
];

pub fn problems(file: &Source) -> Vec<String> {
    let code = file.production_code();
    let allowed = RELAXED.iter().find(|(path, _)| *path == file.path).map_or(&[][..], |(_, names)| names);
    let is_known = |line: &str| names(line).iter().all(|name| allowed.contains(name));
    let wrong = code.lines().enumerate().filter(|(_, line)| line.contains("Ordering::Relaxed") && !is_known(line));
    let problem =
        |(index, _)| format!("{}:{}: a Relaxed that tests/tidy/orderings.rs does not know", file.path, index + 1);
    wrong.filter(|_| !file.path.starts_with("src/bin/")).map(problem).collect()
}

/// The atomics of a line that are `Relaxed`, by the names in front of the calls; an empty name where that is not to be seen.
fn names(line: &str) -> Vec<&str> {
    let calls: Vec<&str> = line.split("Ordering::Relaxed").collect();
    calls[..calls.len() - 1].iter().map(|before| name_of(before)).filter(|name| *name != ",").collect()
}

fn name_of(before: &str) -> &str {
    if before.trim() == "," {
        return ",";
    }
    let methods = [".load(", ".store(", ".swap(", ".fetch_", ".compare_exchange"];
    let Some(end) = methods.iter().filter_map(|method| before.rfind(method)).max() else { return "" };
    let path = before[..end].split('[').next().unwrap_or_default();
    path.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

#[test]
fn a_relaxed_publication_is_found() {
    let red = |path: &str, text: &str| problems(&Source::new(path, text)).len();
    assert_eq!(red("src/io/state.rs", "self.published.store(end, Ordering::Relaxed);"), 1);
    assert_eq!(red("src/io/state.rs", "self.published.store(end, Ordering::Release); // not Ordering::Relaxed"), 0);
    assert_eq!(red("src/segment/series.rs", "slot.store(word, Ordering::Relaxed);"), 0);
    assert_eq!(red("src/segment/series.rs", "self.published.store(count + 1, Ordering::Relaxed);"), 1);
    assert_eq!(red("src/segment/verified.rs", "words[word].fetch_or(bit, Ordering::Relaxed);"), 0);
    assert_eq!(red("src/io/fork.rs", "place.compare_exchange(FREE, fd, Ordering::Relaxed, Ordering::Relaxed)"), 0);
    assert_eq!(red("src/io/fork.rs", "other.compare_exchange(FREE, fd, Ordering::Relaxed, Ordering::Relaxed)"), 1);
    assert_eq!(red("src/segment/series.rs", "    Ordering::Relaxed,"), 1, "the call is on another line");
}
