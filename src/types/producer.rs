use std::fmt;

/// Names an idempotent or transactional producer. −1 in batches of ordinary producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(i64);

impl ProducerId {
    /// "Not idempotent", −1 in files.
    pub const NONE: ProducerId = ProducerId(-1);

    /// The id with this number; any negative one means "none".
    #[must_use]
    pub const fn new(value: i64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether there is a producer: a number from 0 on.
    #[must_use]
    pub const fn is_some(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The incarnation of a producer: a higher one fences those before it. −1 without a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// "No epoch", −1 in files.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);

    /// The epoch with this number; any negative one means "none".
    #[must_use]
    pub const fn new(value: i16) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a record in what one producer sent to one partition: 0 to 2³¹ − 1, then 0 again. −1 without a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(i32);

impl Sequence {
    /// "No sequence", −1 in files.
    pub const NONE: Sequence = Sequence(-1);
    /// The first sequence of a producer's epoch.
    pub const ZERO: Sequence = Sequence(0);

    /// The sequence with this number; any negative one means "none".
    #[must_use]
    pub const fn new(value: i32) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The sequence `by` records further on; behind 2³¹ − 1 comes 0. (`DefaultRecordBatch.incrementSequence`)
    #[must_use]
    pub const fn increment(self, by: u32) -> Self {
        let sum = self.0 as i64 + by as i64;
        let wrapped = sum % (i32::MAX as i64 + 1);
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 2^31")]
        Self(wrapped as i32)
    }

    /// The sequence `by` records before. (`DefaultRecordBatch.decrementSequence`)
    #[must_use]
    pub const fn decrement(self, by: u32) -> Self {
        let difference = self.0 as i64 - by as i64;
        let wrapped = difference.rem_euclid(i32::MAX as i64 + 1);
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 2^31")]
        Self(wrapped as i32)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        let last = Sequence::new(i32::MAX);
        assert_eq!(last.increment(1), Sequence::ZERO);
        assert_eq!(Sequence::new(i32::MAX - 1).increment(3), Sequence::new(1));
        assert_eq!(Sequence::ZERO.decrement(1), last);
        assert_eq!(Sequence::new(1).decrement(3), Sequence::new(i32::MAX - 1));
        assert_eq!(Sequence::new(7).increment(2), Sequence::new(9));
    }
}
