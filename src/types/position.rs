use std::fmt;

/// Byte position inside one segment file. Kafka's files end at 2³¹ − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u32);

impl Position {
    /// The position with this number, or `None` past the largest file.
    pub(crate) fn new(value: u64) -> Option<Self> {
        u32::try_from(value).ok().filter(|v| i32::try_from(*v).is_ok()).map(Self)
    }

    /// The number as files store it.
    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// The position as an index into the file's bytes.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
