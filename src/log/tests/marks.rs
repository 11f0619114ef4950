//! Marks and what lies below them, also where something changes meanwhile.

use super::*;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random};

/// A reader up to the durable end is stopped between his two loads, while the tail is cut and grows again. He took the
/// mark from before and the segments from after, and was given records that no sync had covered.
#[test]
fn nothing_that_grew_behind_a_cut_is_read_up_to_a_mark_from_before_it() {
    let log = open(&SimDisk::new(), UNCLEAN);
    fill(&log, 0..10);
    log.sync().unwrap();
    let is_cut = std::cell::Cell::new(false);
    let (set, mark) = log.settled(|| {
        let mark = log.end(ReadUpTo::Durable);
        if !is_cut.replace(true) {
            log.truncate(Offset::new(5)).unwrap();
            fill(&log, 5..10);
        }
        mark
    });
    assert_eq!(mark, Offset::new(5));
    assert_eq!(set.end_of(set.segments().len() - 1, mark), Offset::new(5));
}

/// The rule of a topic is altered from written to durable while records are unsynced. The high watermark stays where
/// readers saw it, until the durable end has caught up.
#[test]
fn altering_the_rule_of_the_high_watermark_takes_nothing_from_readers() {
    let log = open(&SimDisk::new(), UNCLEAN);
    let by = |rule: &str| {
        let mut config = log.config().as_ref().clone();
        config.set("high.watermark", rule).unwrap();
        log.set_config(config);
    };
    fill(&log, 0..3);
    log.sync().unwrap();
    fill(&log, 3..6);
    by("durable");
    fill(&log, 6..8);
    let ends =
        |log: &Log| [ReadUpTo::Durable, ReadUpTo::HighWatermark, ReadUpTo::Written].map(|up_to| log.end(up_to).get());
    assert_eq!(ends(&log), [3, 6, 8]);
    assert_eq!(log.last_stable_offset(), Offset::new(6));
    log.sync().unwrap();
    fill(&log, 8..9);
    assert_eq!(ends(&log), [8, 8, 9]);
    by("written");
    fill(&log, 9..10);
    assert_eq!(ends(&log), [8, 10, 10]);
    log.truncate(Offset::new(7)).unwrap();
    by("durable");
    fill(&log, 7..9);
    assert_eq!(ends(&log), [7, 7, 9]);
}

/// No descriptor is left in the middle of a sync. Nothing is lost by that: the call says so, and the next one does what
/// this one did not.
#[test]
fn a_sync_that_finds_no_descriptor_can_be_tried_again() {
    for name in [".index.tmp", "leader-epoch-checkpoint.tmp", ".snapshot.tmp", "log-checkpoint.tmp"] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        log.begin_epoch(LeaderEpoch::new(3)).unwrap();
        fill(&log, 0..10);
        log.roll().unwrap();
        fill(&log, 10..11);
        disk.fail(Fault::next(Call::Create, Failure::Descriptors).on(name));
        match log.sync() {
            // The checkpoint comes behind all else, and may wait.
            Ok(_) => assert_eq!(name, "log-checkpoint.tmp"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TooManyFiles);
                assert_eq!(log.end(ReadUpTo::Durable), Offset::ZERO);
            }
        }
        fill(&log, 11..12);
        assert_eq!(log.sync().unwrap(), Offset::new(12), "{name}");
        let power_cut = CrashMode::PowerCut(PowerCut::leaving(Left::Nothing));
        let cut = disk.crash_state(&mut Random::new(1), power_cut);
        let log = open(&cut, LastClose::Unclean { same_power: false });
        assert_eq!(log.end(ReadUpTo::Written), Offset::new(12), "{name}");
        assert_eq!(log.epoch_at(Offset::new(11)).unwrap(), Some(LeaderEpoch::new(3)), "{name}");
    }
}

/// The name of the first segment is new when a sync finds no descriptor, behind having taken it upon itself to make it
/// durable. The next one must: what is durable without its name is gone.
#[test]
fn a_name_that_a_sync_without_a_descriptor_left_is_made_durable_by_the_next() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..1);
    disk.fail(Fault::next(Call::Create, Failure::Descriptors).on("leader-epoch-checkpoint.tmp"));
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::TooManyFiles);
    assert_eq!(log.sync().unwrap(), Offset::new(1));
    let power_cut = CrashMode::PowerCut(PowerCut::leaving(Left::Nothing));
    let cut = disk.crash_state(&mut Random::new(1), power_cut);
    let log = open(&cut, LastClose::Unclean { same_power: false });
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(1));
}

/// A server that was out of descriptors lost its partitions until it was started again: the append that found none
/// stopped all writes, though it had written nothing.
#[test]
fn an_append_without_a_descriptor_stops_nothing() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..2);
    disk.fail(Fault::next(Call::Append, Failure::Descriptors).on(".log"));
    let batch = batch(&["no descriptor"]);
    let error = log.append(&batch, AppendOrigin::Client).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyFiles);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(2));
    fill(&log, 2..4);
    log.close().unwrap().unwrap();
}

/// Whether it was woken.
struct Bell(AtomicBool);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// APP-22: a higher mark wakes who waits for it, and a cut who waits for what it took.
#[test]
fn waiters_wake_on_a_higher_mark_and_on_a_cut() {
    let log = open(&SimDisk::new(), UNCLEAN);
    log.hold_high_watermark().unwrap();
    fill(&log, 0..5);
    log.set_high_watermark(Offset::new(2)).unwrap();
    let raise = || assert_eq!(log.set_high_watermark(Offset::new(4)).unwrap(), Offset::new(4));
    let cut = || assert_eq!(log.truncate(Offset::new(3)).unwrap(), Offset::new(3));
    let changes: [(u64, &dyn Fn()); 2] = [(4, &raise), (5, &cut)];
    for (offset, change) in changes {
        let bell = Arc::new(Bell(AtomicBool::new(false)));
        let waker = std::task::Waker::from(Arc::clone(&bell));
        let mut context = std::task::Context::from_waker(&waker);
        let mut waiting = std::pin::pin!(log.mark_reached(Offset::new(offset), ReadUpTo::HighWatermark));
        assert!(waiting.as_mut().poll(&mut context).is_pending(), "{offset}");
        assert!(!bell.0.load(Ordering::Acquire));
        change();
        assert!(bell.0.load(Ordering::Acquire), "{offset}");
        let std::task::Poll::Ready(answer) = waiting.as_mut().poll(&mut context) else { panic!("{offset} waits on") };
        let expected = if offset == 4 { Ok(()) } else { Err(ErrorKind::OffsetOutOfRange) };
        assert_eq!(answer.map_err(|error| error.kind()), expected);
    }
}
