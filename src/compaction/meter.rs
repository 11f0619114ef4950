//! How fast a cleaning may read and write, and when it looks whether to go on.

use std::time::Duration;

use crate::error::Result;
use crate::log::cleaning::Cleaning;

/// So many bytes are read or written at most between two looks.
const STEP: u64 = 1 << 20;

/// Counts the bytes of one cleaning.
pub(super) struct Meter<'a> {
    cleaning: &'a Cleaning<'a>,
    /// Bytes a second; `None` as fast as it goes.
    rate: Option<u64>,
    started: Duration,
    bytes: u64,
    next_look: u64,
}

impl<'a> Meter<'a> {
    /// Starts now.
    pub(super) fn start(cleaning: &'a Cleaning<'a>, rate: Option<u64>) -> Self {
        Self { cleaning, rate, started: cleaning.monotonic(), bytes: 0, next_look: 0 }
    }

    /// Counts bytes that were read or written. Waits where they were too many for the time.
    ///
    /// # Errors
    /// As of [`Cleaning::check`].
    #[inline]
    pub(super) fn count(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes as u64;
        if self.bytes >= self.next_look { self.look() } else { Ok(()) }
    }

    fn look(&mut self) -> Result<()> {
        self.cleaning.check()?;
        let step = self.rate.map_or(STEP, |rate| (rate / 16).clamp(1, STEP));
        self.next_look = self.bytes + step;
        if let Some(rate) = self.rate {
            let due = self.started + time_for(self.bytes, rate);
            let now = self.cleaning.monotonic();
            if now < due {
                self.cleaning.pause(due - now);
                self.cleaning.check()?;
            }
        }
        Ok(())
    }
}

/// How long so many bytes take at `rate` bytes a second.
fn time_for(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        assert_eq!(time_for(500, 1_000), Duration::from_millis(500));
        assert_eq!(time_for(0, 1), Duration::ZERO);
        assert_eq!(time_for(u64::MAX, 1), Duration::from_nanos(u64::MAX));
        assert_eq!(time_for(7, 0), Duration::from_secs(7));
    }
}
