//! A small harness: figures beside their floors, in one run, in turns.
//!
//! A contest has one figure (riverbed) and one or more floors (bare loops that put the same bytes in a file). After a
//! round to warm up, all take turns in an order that rotates, so that none always follows the same other; the median of
//! the rounds counts, and the best of the floors is the floor. Each result is printed and appended, as a JSON line, to
//! `benches/history.jsonl`.
//!
//! Beside the ratio of times stands that of processor time, of all threads and the kernel for them: on a machine that
//! has other work it is the one to look at, where both loops are bound by the processor.

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
    round: Box<dyn FnMut() -> Spent + 'a>,
}

impl<'a> Entrant<'a> {
    pub fn new(name: &str, round: impl FnMut() -> Spent + 'a) -> Self {
        Self { name: name.into(), round: Box::new(round) }
    }
}

/// What a round took.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    wall: Duration,
    /// Of all threads of the process.
    cpu: Duration,
}

/// Times `work`.
pub fn timed(work: impl FnOnce()) -> Spent {
    let (start, cpu_start) = (Instant::now(), cpu_time());
    work();
    Spent { wall: start.elapsed(), cpu: cpu_time() - cpu_start }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
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
    quick: bool,
    rounds: usize,
    root: PathBuf,
    name: &'static str,
}

impl Bench {
    /// Reads the command line: `cargo bench --bench append -- FILTER`. `RIVERBED_BENCH_DIR` says where files go,
    /// `RIVERBED_BENCH_ROUNDS` how many rounds count, and `RIVERBED_BENCH_QUICK` makes everything an eighth as large and
    /// remembers nothing.
    pub fn from_args(name: &'static str) -> Self {
        let filter = std::env::args().skip(1).find(|word| !word.starts_with('-'));
        let rounds = std::env::var("RIVERBED_BENCH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
        let root = std::env::var_os("RIVERBED_BENCH_DIR")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench"), PathBuf::from);
        let quick = std::env::var_os("RIVERBED_BENCH_QUICK").is_some_and(|value| value != "0");
        let bench = Self { filter, quick, rounds, root, name };
        println!("{name}: median of {rounds} rounds, files in {}, load {}", bench.root.display(), load());
        println!("{:<34} {:>15} {:>12} {:>15} {:>7} {:>7}  floor", "", "figure", "", "floor", "ratio", "cpu");
        bench
    }

    /// `full`, or a part of it if there is little time.
    pub fn scaled(&self, full: u64) -> u64 {
        if self.quick { full / 8 } else { full }
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
        let rate = |time: Duration| amount.records as f64 / time.as_secs_f64();
        let figure = rate(medians[0].wall);
        let bandwidth = amount.bytes as f64 / medians[0].wall.as_secs_f64() / 1e6;
        let floor = best(&medians);
        let floor_rate = floor.map_or(f64::NAN, |i| rate(medians[i].wall));
        let (ratio, cpu) = ratios(&medians);
        let floor_name = floor.map_or("none", |i| entrants[i].name.as_str());
        println!(
            "{name:<34} {:>13}/s {bandwidth:>7.0} MB/s {:>13}/s {ratio:>7.3} {cpu:>7.3}  {floor_name}",
            grouped(figure),
            grouped(floor_rate)
        );
        self.remember(name, &Outcome { figure, floor: floor_rate, ratio, cpu, floor_name, bandwidth });
    }

    /// A contest of durations, where less is better: the ratio is floor by figure.
    pub fn contest_of_time(&self, name: &str, figure: Entrant<'_>, floors: Vec<Entrant<'_>>) {
        let mut entrants = vec![figure];
        entrants.extend(floors);
        let medians = self.run(&mut entrants);
        let floor = best(&medians);
        let (floor_time, floor_name) =
            floor.map_or((Duration::ZERO, "none"), |i| (medians[i].wall, entrants[i].name.as_str()));
        let (time, (ratio, cpu)) = (medians[0].wall, ratios(&medians));
        println!("{name:<34} {time:>15.3?} {:>12} {floor_time:>15.3?} {ratio:>7.3} {cpu:>7.3}  {floor_name}", "");
        let (figure, floor) = (1.0 / time.as_secs_f64(), 1.0 / floor_time.as_secs_f64());
        self.remember(name, &Outcome { figure, floor, ratio, cpu, floor_name, bandwidth: 0.0 });
    }

    fn run(&self, entrants: &mut [Entrant<'_>]) -> Vec<Spent> {
        let count = entrants.len();
        let mut times = vec![Vec::new(); count];
        for round in 0..=self.rounds {
            for turn in 0..count {
                let place = (turn + round) % count;
                let spent = (entrants[place].round)();
                if round > 0 {
                    times[place].push(spent);
                }
            }
        }
        times.into_iter().map(median).collect()
    }

    fn remember(&self, name: &str, outcome: &Outcome<'_>) {
        if self.quick {
            return;
        }
        let round = |x: f64| if x.is_finite() { (x * 1000.0).round() / 1000.0 } else { 0.0 };
        let line = serde_json::json!({
            "time": SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
            "commit": commit(),
            "machine": machine(),
            "load": load(),
            "file_system": file_system(&self.root),
            "bench": format!("{}/{name}", self.name),
            "per_second": round(outcome.figure),
            "mb_per_second": round(outcome.bandwidth),
            "floor_per_second": round(outcome.floor),
            "floor": outcome.floor_name,
            "ratio": round(outcome.ratio),
            "cpu_ratio": round(outcome.cpu),
            "rounds": self.rounds,
        });
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/history.jsonl");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// What a contest came to.
struct Outcome<'a> {
    figure: f64,
    floor: f64,
    ratio: f64,
    cpu: f64,
    floor_name: &'a str,
    bandwidth: f64,
}

/// The medians of both times, each for itself.
fn median(times: Vec<Spent>) -> Spent {
    let middle = |time: fn(&Spent) -> Duration| {
        let mut times: Vec<_> = times.iter().map(time).collect();
        times.sort();
        times[times.len() / 2]
    };
    Spent { wall: middle(|spent| spent.wall), cpu: middle(|spent| spent.cpu) }
}

/// The fastest of the floors, which stand behind the figure.
fn best(medians: &[Spent]) -> Option<usize> {
    (1..medians.len()).min_by_key(|&i| medians[i].wall)
}

/// The shortest floor by the figure: in time, and in processor time.
fn ratios(medians: &[Spent]) -> (f64, f64) {
    let ratio = |time: fn(&Spent) -> Duration| {
        let floor = medians[1..].iter().map(time).min();
        floor.map_or(f64::NAN, |floor| floor.as_secs_f64() / time(&medians[0]).as_secs_f64())
    };
    (ratio(|spent| spent.wall), ratio(|spent| spent.cpu))
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

/// How many threads wanted to run lately.
fn load() -> f64 {
    let loads = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// The type of the file system that holds `path`: the longest mount point above it.
fn file_system(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && path.starts_with(fields[1]));
    above.max_by_key(|fields| fields[1].len()).map_or_else(String::new, |fields| fields[2].to_string())
}
