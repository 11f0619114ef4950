//! Compacting a partition's log: all that can be, or a piece of it.

use crate::compaction::{Cleanable, Cleaner, Compacted};
use crate::error::{Error, ErrorKind, Result};
use crate::partition::Partition;

impl Partition {
    /// What of the log can be compacted now, and how dirty it is.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; what looking into segments for their times can answer, where the topic asks for a lag.
    pub fn cleanable(&self) -> Result<Cleanable> {
        self.log().check_open()?;
        Cleaner::look(self.log())
    }

    /// Compacts all of the log that can be, now: below the first offset that is not [`cleanable`](Self::cleanable) only
    /// the last record of each key stays. Tombstones go once `delete.retention.ms` has passed since the first
    /// compaction that met them.
    ///
    /// Appends and reads go on meanwhile. Two calls for one partition, or for partitions of one store, go one after the
    /// other. Syncs first: nothing goes for a record that a power cut could take.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] on a topic whose `cleanup.policy` is not to compact. [`ErrorKind::Corruption`], and
    /// what decoding batches can answer, where a segment is damaged: nothing is lost, and the partition is not compacted
    /// again until it is reopened. [`ErrorKind::StorageFull`]: it can be tried again. [`ErrorKind::ReadOnly`],
    /// [`ErrorKind::Closed`], [`ErrorKind::PreviousFailure`], [`ErrorKind::Io`].
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use riverbed::{Record, Store, TopicConfig};
    ///
    /// let store = Store::open(dir.path())?;
    /// let config = TopicConfig::default().set("cleanup.policy", "compact")?;
    /// let prices = store.create_topic("prices", config)?.partition(0)?;
    /// for price in ["10", "11", "12"] {
    ///     prices.append_record(&Record::new().key("apple").value(price))?;
    /// }
    /// prices.roll()?; // the active segment is never compacted
    /// let compacted = prices.compact()?;
    /// assert_eq!((compacted.segments, compacted.records_removed), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self) -> Result<Compacted> {
        let log = self.own_log()?;
        log.check_open()?;
        if !log.config().cleanup_policy.compact {
            let message = format!("{} is not compacted: its cleanup.policy does not say so", self.id());
            return Err(Error::new(ErrorKind::InvalidConfig, message));
        }
        let done = self.0.cleaner.clean(log)?;
        self.count_compacted(done);
        Ok(done)
    }

    /// A piece of what [`compact`](Self::compact) does. Answers whether there may be more.
    pub(crate) fn compact_some(&self) -> Result<bool> {
        let log = self.own_log()?;
        log.check_open()?;
        let (done, more) = self.0.cleaner.clean_some(log)?;
        self.count_compacted(done);
        Ok(more)
    }

    /// Whether compaction is this partition's own business, and wanted.
    pub(crate) fn is_compacted(&self) -> bool {
        self.own_log().is_ok_and(|log| log.config().cleanup_policy.compact)
    }

    /// What compaction has done since the partition was opened.
    pub(crate) fn compacted(&self) -> Compacted {
        *self.0.compacted.lock()
    }

    fn count_compacted(&self, done: Compacted) {
        let mut sum = self.0.compacted.lock();
        *sum = sum.plus(done);
    }
}
