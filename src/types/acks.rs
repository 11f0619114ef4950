/// Who has a record when its append is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nobody need have it: who sends it does not wait. Kafka's `acks=0`.
    None,
    /// It is written on the leader and survives this process, not a power cut. Kafka's `acks=1`.
    #[default]
    Leader,
    /// It is synced on the leader and survives a power cut. Kafka has no such level.
    Durable,
    /// It lies below the high watermark: under replication all who must have it, otherwise what
    /// the topic's `high.watermark` says. Kafka's `acks=all`.
    All,
}
