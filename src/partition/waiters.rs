//! Waiting for a mark: blocking, or in a future of any runtime.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::log::HighWatermark;
use crate::partition::Partition;
use crate::partition::block_on::block_on;
use crate::types::{Offset, ReadUpTo};

impl Partition {
    /// Blocks until every record below `offset` survives a power cut. Leads a sync, or follows one under way.
    ///
    /// # Errors
    /// As [`Log::wait_durable`](crate::Log::wait_durable).
    pub fn wait_durable(&self, offset: Offset) -> Result<()> {
        if self.log().end(ReadUpTo::Durable) >= offset {
            return Ok(());
        }
        self.settling(|log| log.wait_durable(offset))?;
        self.look_ahead();
        Ok(())
    }

    /// Blocks until every record below `offset` lies below the high watermark.
    ///
    /// # Errors
    /// As [`Log::wait_durable`](crate::Log::wait_durable).
    pub fn wait_committed(&self, offset: Offset) -> Result<()> {
        if self.own_log().is_ok() && self.log().config().high_watermark == HighWatermark::Durable {
            return self.wait_durable(offset);
        }
        if self.log().end(ReadUpTo::HighWatermark) >= offset {
            return Ok(());
        }
        block_on(self.log().mark_reached(offset, ReadUpTo::HighWatermark))
    }

    /// Blocks until a reader `up_to` a mark sees something at `offset`, or `timeout` has passed. For readers that tail.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`], [`ErrorKind::Closed`]; [`ErrorKind::PreviousFailure`] once a write or sync has failed:
    /// nothing more will be there until the partition is reopened.
    pub fn wait_readable(&self, offset: Offset, up_to: ReadUpTo, timeout: Duration) -> Result<()> {
        let behind = offset.checked_add(1).unwrap_or(Offset::MAX);
        self.log().wait_mark(behind, up_to, Some(timeout)).map_err(|error| match error.kind() {
            ErrorKind::Timeout => Error::new(ErrorKind::Timeout, format!("nothing was readable at {offset} in time")),
            _ => error,
        })
    }

    /// As [`Partition::wait_readable`], as a future, without a time limit: it waits for offsets that nobody has written
    /// yet, too. Needs no runtime, and leads no sync. Dropping it cancels the wait.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; once a write or sync has failed, what it failed with or [`ErrorKind::PreviousFailure`].
    pub async fn readable(&self, offset: Offset, up_to: ReadUpTo) -> Result<()> {
        let behind = offset.checked_add(1).unwrap_or(Offset::MAX);
        if self.log().end(up_to) >= behind {
            return Ok(());
        }
        self.log().mark_comes(behind, up_to).await
    }

    /// As [`Partition::wait_durable`], as a future. Dropping it cancels the wait, never the append. The sync is done by
    /// the store's flusher.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a partition on its own whose host has not promised to sync.
    /// Otherwise as [`Partition::wait_durable`].
    pub async fn durable(&self, offset: Offset) -> Result<()> {
        if self.log().end(ReadUpTo::Durable) >= offset {
            return Ok(());
        }
        self.log().check_open()?;
        match &self.0.flusher {
            Some(flusher) => flusher.sync_soon(self),
            None if self.0.host_syncs => {}
            None => {
                let message = format!("nobody syncs {} in the background: block, or promise to sync", self.id());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        self.log().mark_reached(offset, ReadUpTo::Durable).await?;
        self.look_ahead();
        Ok(())
    }

    /// As [`Partition::wait_committed`], as a future. Dropping it cancels the wait, never the append.
    ///
    /// # Errors
    /// As [`Partition::durable`].
    pub async fn committed(&self, offset: Offset) -> Result<()> {
        if self.own_log().is_ok() && self.log().config().high_watermark == HighWatermark::Durable {
            return self.durable(offset).await;
        }
        self.log().mark_reached(offset, ReadUpTo::HighWatermark).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::PartitionOptions;
    use crate::record::Record;

    fn append(partition: &Partition) {
        partition.append_record(&Record::new().value("v")).unwrap();
    }

    /// Who tailed a partition in a future had only waits for what was written already.
    #[test]
    fn a_future_waits_for_offsets_that_do_not_exist_yet() {
        let dir = tempfile::tempdir().unwrap();
        let partition = Partition::open(dir.path().join("a-0"), PartitionOptions::default()).unwrap();
        let next = Offset::new(1);
        append(&partition);
        block_on(partition.readable(Offset::ZERO, ReadUpTo::Written)).unwrap();
        for up_to in [ReadUpTo::Written, ReadUpTo::Durable] {
            let (asked, answer) = std::sync::mpsc::channel();
            let reader = partition.clone();
            let waiting = std::thread::spawn(move || {
                asked.send(()).unwrap();
                block_on(reader.readable(next, up_to))
            });
            answer.recv().unwrap();
            append(&partition);
            partition.sync().unwrap();
            waiting.join().unwrap().unwrap();
            assert!(partition.log().end(up_to) > next);
        }
        let reader = partition.clone();
        let waiting = std::thread::spawn(move || block_on(reader.readable(Offset::MAX, ReadUpTo::Written)));
        partition.close().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    }

    /// It named the offset behind the one that was asked for.
    #[test]
    fn a_wait_that_ends_names_the_offset_it_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let partition = Partition::open(dir.path().join("a-0"), PartitionOptions::default()).unwrap();
        let late = partition.wait_readable(Offset::new(7), ReadUpTo::Written, Duration::ZERO).unwrap_err();
        assert_eq!(late.to_string(), "nothing was readable at 7 in time");
    }
}
