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
        self.log().wait_mark(behind, up_to, Some(timeout))
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
