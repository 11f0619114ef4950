/// How far a reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadUpTo {
    /// All that is written: survives this process, not a power cut. Kafka's `LOG_END`.
    Written,
    /// What is synced: survives a power cut. After a crash, an opening for writing syncs what it kept; one that is
    /// read-only knows what the last writer noted on the disk, which may be less.
    Durable,
    /// What is committed: below the high watermark. Kafka's `HIGH_WATERMARK`.
    #[default]
    HighWatermark,
}

/// Whether a reader sees records of transactions that are open or were aborted. Kafka's `isolation.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Everything, in offset order.
    #[default]
    ReadUncommitted,
    /// Only what is committed: nothing at or above the last stable offset, nothing aborted.
    ReadCommitted,
}
