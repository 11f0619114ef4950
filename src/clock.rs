//! The only place that asks what time it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::sync::Mutex;
use crate::types::Timestamp;

/// Tells the time: wall time for timestamps and retention, monotonic time for intervals and time-outs.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock, in milliseconds. May jump.
    fn now(&self) -> Timestamp;
    /// Time since some fixed point. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock {
    precise: bool,
}

impl SystemClock {
    /// Wall time from `CLOCK_REALTIME_COARSE`: at most one tick (1 to 10 ms) old, and cheap.
    #[must_use]
    pub fn coarse() -> Self {
        Self { precise: false }
    }

    /// Wall time from `CLOCK_REALTIME`.
    #[must_use]
    pub fn precise() -> Self {
        Self { precise: true }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let id = if self.precise { ClockId::Realtime } else { ClockId::RealtimeCoarse };
        let time = clock_gettime(id);
        Timestamp::from_millis(time.tv_sec * 1000 + time.tv_nsec / 1_000_000)
    }

    fn monotonic(&self) -> Duration {
        let time = clock_gettime(ClockId::Monotonic);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(time.tv_sec.cast_unsigned(), nanos)
    }
}

/// When a blocking wait is over.
pub(crate) type Deadline = Instant;

/// When a blocking wait that starts now is over; `None` if that lies beyond all time. Waits go by the real clock.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(crate) fn deadline_after(timeout: Duration) -> Option<Deadline> {
    Instant::now().checked_add(timeout)
}

/// A clock that stands still until it is moved: for tests and for the shell's `--clock`.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    wall: i64,
    monotonic: Duration,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands { wall: now.millis(), monotonic: Duration::ZERO })))
    }

    /// Sets wall time. Monotonic time moves along where that goes forward, and stands where it goes back.
    pub fn set(&self, now: Timestamp) {
        let mut hands = self.0.lock();
        let forward = now.millis().saturating_sub(hands.wall);
        let forward = Duration::from_millis(u64::try_from(forward).unwrap_or(0));
        hands.monotonic = hands.monotonic.saturating_add(forward);
        hands.wall = now.millis();
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.0.lock();
        hands.wall = hands.wall.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        hands.monotonic = hands.monotonic.saturating_add(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.lock().wall)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_monotonic_time_forward_only() {
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        clock.set(Timestamp::from_millis(1_500));
        assert_eq!(clock.monotonic(), Duration::from_millis(500));
        clock.set(Timestamp::from_millis(200));
        assert_eq!(clock.monotonic(), Duration::from_millis(500));
        assert_eq!(clock.now(), Timestamp::from_millis(200));
    }

    /// Back and forth between the extremes, as a shell's `clock` may go, was too much for a sum.
    #[test]
    fn a_manual_clock_stops_at_the_end_of_time() {
        let clock = ManualClock::at(Timestamp::from_millis(i64::MIN));
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        clock.set(Timestamp::from_millis(i64::MIN));
        clock.set(Timestamp::from_millis(i64::MAX));
        assert_eq!((clock.now().millis(), clock.monotonic()), (i64::MAX, Duration::MAX));
    }

    #[test]
    fn the_system_clock_is_past_2024() {
        assert!(SystemClock::coarse().now().millis() > 1_704_067_200_000);
        assert!(SystemClock::precise().now().millis() > 1_704_067_200_000);
    }
}
