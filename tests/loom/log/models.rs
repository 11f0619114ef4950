//! Marks and segments of a log, and who waits for them.

use loom::thread;

use super::moved::Moved;
use super::settled::settled;
use super::watermarks::{Marks, Watermarks};
use crate::io::models::{Bytes, Published};
use crate::sync::{Arc, ArcSwap, AtomicU64, Mutex, Ordering};
use crate::types::Offset;

fn marks(end: u64, durable: u64) -> Marks {
    let [end, durable] = [end, durable].map(Offset::new);
    Marks { end, durable, high: durable, last_stable: durable }
}

/// All marks go up, one behind the other.
fn marks_go_up(watermarks: &Watermarks, mut last: Marks, steps: &[Marks], write: impl Fn(u64)) -> Marks {
    for next in steps {
        for at in last.end.get()..next.end.get() {
            write(at);
        }
        watermarks.store(&last, next);
        last = *next;
    }
    last
}

pub(crate) fn marks_model() {
    let log = Arc::new((Watermarks::new(marks(0, 0)), Bytes::<2>::new()));
    let shared = Arc::clone(&log);
    let writer = thread::spawn(move || {
        let steps = [marks(1, 0), marks(2, 1)];
        marks_go_up(&shared.0, marks(0, 0), &steps, |at| shared.1.write(at as usize, 7));
    });
    let seen = log.0.load();
    assert!(seen.last_stable <= seen.high && seen.high <= seen.end && seen.durable <= seen.end, "{seen:?}");
    for mark in [seen.last_stable, seen.high, seen.durable, seen.end] {
        for at in 0..mark.get() {
            assert_eq!(log.1.read(at as usize), 7);
        }
    }
    writer.join().unwrap();
}

/// A segment: where it begins, and what is published of it.
struct Segment {
    base: u64,
    published: Published,
}

impl Segment {
    fn new(base: u64, published: usize) -> Arc<Self> {
        Arc::new(Self { base, published: Published::new(published) })
    }
}

/// A log whose records have a byte each.
struct Log {
    segments: ArcSwap<Vec<Arc<Segment>>>,
    marks: Watermarks,
}

impl Log {
    fn new(segment: Arc<Segment>, end: u64) -> Arc<Self> {
        Arc::new(Self { segments: ArcSwap::from_pointee(vec![segment]), marks: Watermarks::new(marks(end, 0)) })
    }

    /// As `Log::read`: whatever lies below the mark is in the segments that go with it.
    fn read_all(&self) -> u64 {
        let (segments, end) = settled(&self.segments, || self.marks.end().get());
        for at in 0..end {
            let floor = segments.iter().rfind(|segment| segment.base <= at).unwrap();
            let published = floor.base + floor.published.get();
            assert!(at < published, "{at} is below the mark {end}, and its segment ends at {published}");
        }
        end
    }
}

/// A new segment is shown before a mark tells of what is in it.
pub(crate) fn roll() {
    let log = Log::new(Segment::new(0, 1), 1);
    let shared = Arc::clone(&log);
    let writer = thread::spawn(move || {
        let next = Segment::new(1, 0);
        let mut segments = shared.segments.load_full().to_vec();
        segments.push(Arc::clone(&next));
        shared.segments.store(Arc::new(segments));
        next.published.set(1);
        shared.marks.store(&marks(1, 0), &marks(2, 0));
    });
    let first = log.read_all();
    assert!(log.read_all() >= first, "the end never goes down");
    writer.join().unwrap();
    assert_eq!(log.read_all(), 2);
}

/// A cut to 1, behind which the log grows beyond what it was.
pub(crate) fn cut() {
    let log = Log::new(Segment::new(0, 2), 2);
    let shared = Arc::clone(&log);
    let writer = thread::spawn(move || {
        shared.marks.store(&marks(2, 0), &marks(1, 0));
        let next = Segment::new(1, 0);
        let kept = Arc::clone(&shared.segments.load_full()[0]);
        shared.segments.store(Arc::new(vec![kept, Arc::clone(&next)]));
        next.published.set(2);
        shared.marks.store(&marks(1, 0), &marks(3, 0));
    });
    log.read_all();
    writer.join().unwrap();
    assert_eq!(log.read_all(), 3);
}

/// One waits for a mark that is raised under a lock, once with and once without it.
pub(crate) fn moved() {
    let log = Arc::new((Moved::default(), AtomicU64::new(0), Mutex::new(())));
    let shared = Arc::clone(&log);
    let waiting = thread::spawn(move || {
        for mark in 1..=2 {
            while shared.1.load(Ordering::Acquire) < mark {
                let listening = shared.0.listen();
                if shared.1.load(Ordering::Acquire) < mark {
                    listening.wait(None);
                }
            }
        }
    });
    let guard = log.2.lock();
    log.1.store(1, Ordering::Release);
    log.0.tell_unlocking(guard);
    log.1.store(2, Ordering::Release);
    log.0.tell();
    waiting.join().unwrap();
}
