//! A small harness: figures beside their floors, in one run, in turns.
//!
//! A contest has one figure (riverbed) and one or more floors (bare loops that put the same bytes in a file). After a
//! round to warm up, all take turns in an order that rotates, so that none always follows the same other; the median of
//! the rounds counts, and the best of the floors is the floor. Each result is printed and appended, as a JSON line, to
//! `benches/history.jsonl`.

#![allow(dead_code, reason = "each benchmark uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_possible_truncation,
    clippy::let_underscore_must_use,
    reason = "a benchmark, not a library"
)]

pub mod data;
pub mod floors;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Rounds that count, after one that does not.
const ROUNDS: usize = 7;

/// One of those who compete: a name, and what it does in a round, which answers how long the part that counts took.
pub struct Entrant<'a> {
    name: String,
    round: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Entrant<'a> {
    pub fn new(name: &str, round: impl FnMut() -> Duration + 'a) -> Self {
        Self { name: name.into(), round: Box::new(round) }
    }
}

/// Times `work`.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// What a round does, so that times become rates.
#[derive(Clone, Copy)]
pub struct Amount {
    pub records: u64,
    pub bytes: u64,
}

/// The benchmarks asked for on the command line, and where they put their files.
pub struct Bench {
    filter: Option<String>,
    rounds: usize,
    root: PathBuf,
    name: &'static str,
}

impl Bench {
    /// Reads the command line: `cargo bench --bench append -- FILTER`. `RIVERBED_BENCH_DIR` says where files go, and
    /// `RIVERBED_BENCH_ROUNDS` how many rounds count.
    pub fn from_args(name: &'static str) -> Self {
        let filter = std::env::args().skip(1).find(|word| !word.starts_with('-'));
        let rounds = std::env::var("RIVERBED_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
        let root = std::env::var_os("RIVERBED_BENCH_DIR")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench"), PathBuf::from);
        let bench = Self { filter, rounds, root, name };
        println!("{name}: median of {rounds} rounds, files in {}", bench.root.display());
        println!("{:<34} {:>15} {:>12} {:>15} {:>7}  floor", "", "figure", "", "floor", "ratio");
        bench
    }

    pub fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }

    /// An empty directory; what was there is removed.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Lets the figure and its floors compete over `amount`; nothing is run if the filter does not want it.
    pub fn contest(&self, name: &str, amount: Amount, figure: Entrant<'_>, floors: Vec<Entrant<'_>>) {
        let mut entrants = vec![figure];
        entrants.extend(floors);
        let medians = self.run(&mut entrants);
        let floor = (1..medians.len()).min_by_key(|&i| medians[i]);
        let rate = |time: Duration| amount.records as f64 / time.as_secs_f64();
        let figure = rate(medians[0]);
        let bandwidth = amount.bytes as f64 / medians[0].as_secs_f64() / 1e6;
        let (floor_rate, ratio, floor_name) = match floor {
            Some(i) => (rate(medians[i]), figure / rate(medians[i]), entrants[i].name.as_str()),
            None => (f64::NAN, f64::NAN, "none"),
        };
        println!(
            "{name:<34} {:>13}/s {bandwidth:>7.0} MB/s {:>13}/s {ratio:>7.3}  {floor_name}",
            grouped(figure),
            grouped(floor_rate)
        );
        self.remember(name, figure, floor_rate, floor_name, bandwidth);
    }

    /// A contest of durations, where less is better: the ratio is floor by figure.
    pub fn contest_of_time(&self, name: &str, figure: Entrant<'_>, floors: Vec<Entrant<'_>>) {
        let mut entrants = vec![figure];
        entrants.extend(floors);
        let medians = self.run(&mut entrants);
        let floor = (1..medians.len()).min_by_key(|&i| medians[i]);
        let (floor_time, floor_name) =
            floor.map_or((Duration::ZERO, "none"), |i| (medians[i], entrants[i].name.as_str()));
        let ratio = floor_time.as_secs_f64() / medians[0].as_secs_f64();
        println!("{name:<34} {:>15.3?} {:>12} {floor_time:>15.3?} {ratio:>7.3}  {floor_name}", medians[0], "");
        self.remember(name, 1.0 / medians[0].as_secs_f64(), 1.0 / floor_time.as_secs_f64(), floor_name, 0.0);
    }

    fn run(&self, entrants: &mut [Entrant<'_>]) -> Vec<Duration> {
        let count = entrants.len();
        let mut times = vec![Vec::new(); count];
        for round in 0..=self.rounds {
            for turn in 0..count {
                let place = (turn + round) % count;
                let time = (entrants[place].round)();
                if round > 0 {
                    times[place].push(time);
                }
            }
        }
        times.into_iter().map(median).collect()
    }

    fn remember(&self, name: &str, figure: f64, floor: f64, floor_name: &str, bandwidth: f64) {
        let round = |x: f64| if x.is_finite() { (x * 1000.0).round() / 1000.0 } else { 0.0 };
        let line = serde_json::json!({
            "time": SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
            "commit": commit(),
            "machine": machine(),
            "file_system": file_system(&self.root),
            "bench": format!("{}/{name}", self.name),
            "per_second": round(figure),
            "mb_per_second": round(bandwidth),
            "floor_per_second": round(floor),
            "floor": floor_name,
            "ratio": round(figure / floor),
            "rounds": self.rounds,
        });
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/history.jsonl");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// `1234567.8` as `1,234,568`.
fn grouped(number: f64) -> String {
    if !number.is_finite() {
        return "-".into();
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn commit() -> String {
    let answer = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    answer.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_string()).unwrap_or_default()
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{} x {cores}", model.trim_start_matches(['\t', ' ', ':']))
}

/// The type of the file system that holds `path`: the longest mount point above it.
fn file_system(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && path.starts_with(fields[1]));
    above.max_by_key(|fields| fields[1].len()).map_or_else(String::new, |fields| fields[2].to_string())
}
