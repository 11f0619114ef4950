use std::fmt;

/// Place of a record in its partition: starts at 0 and grows by one a record. Only what a cut or a power failure takes
/// from the end is ever given out again.
///
/// Kafka stores it as a signed 64-bit integer; values above [`Offset::MAX`] do not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Offset = Offset(0);
    /// The greatest offset that the format can store, 2⁶³ − 1.
    pub const MAX: Offset = Offset(i64::MAX as u64);

    /// The offset with this number.
    ///
    /// # Panics
    /// If `value` is above [`Offset::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Self {
        assert!(value <= i64::MAX as u64, "an offset is at most 2^63 - 1");
        Self(value)
    }

    /// The offset that a file or a message states, or `None` if the number is negative.
    #[must_use]
    pub const fn from_i64(value: i64) -> Option<Self> {
        if value < 0 { None } else { Some(Self(value.cast_unsigned())) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as files store it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// The offset `count` records further on, or `None` beyond [`Offset::MAX`].
    #[must_use]
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(sum) if sum <= Self::MAX.0 => Some(Self(sum)),
            _ => None,
        }
    }

    /// The offset right behind this one.
    ///
    /// # Panics
    /// At [`Offset::MAX`]: batches that end there are refused before they are counted.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.0 + 1)
    }

    /// How many offsets lie from `base` up to this one, or `None` if this one lies before it.
    #[must_use]
    pub const fn since(self, base: Offset) -> Option<u64> {
        self.0.checked_sub(base.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for Offset {
    fn from(value: u32) -> Self {
        Self(u64::from(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Offset::MAX.checked_add(1), None);
        assert_eq!(Offset::new(5).checked_add(2), Some(Offset::new(7)));
        assert_eq!(Offset::new(5).since(Offset::new(7)), None);
        assert_eq!(Offset::new(7).since(Offset::new(5)), Some(2));
        assert_eq!(Offset::from_i64(-1), None);
        assert_eq!(Offset::from_i64(i64::MAX), Some(Offset::MAX));
    }
}
