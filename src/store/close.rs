//! Closing a store: every partition, then what Kafka needs to take over, and the clean mark last.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::log::{Ends, OpenMode};
use crate::partition::Partition;
use crate::store::clean_mark::CleanMark;
use crate::store::foreign::{self, LeftForKafka};
use crate::store::inner::{Inner, is_open_or_elsewhere};
use crate::sync::Ordering;
use crate::types::TopicPartition;

/// What closing all partitions came to.
#[derive(Default)]
pub(super) struct Closed {
    pub(super) ends: HashMap<TopicPartition, Ends>,
    left: Vec<LeftForKafka>,
    /// Whether every partition that is here was closed cleanly.
    all: bool,
    pub(super) first_error: Option<Error>,
}

impl Inner {
    /// Closes everything; the first failure is the answer. Closing again does nothing, nor does a forked child's copy.
    pub(super) fn close(&self) -> Result<()> {
        if self.is_forked() {
            return self.check_open();
        }
        let mut admin = self.admin.lock();
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.flusher.stop();
        if let Some(worker) = admin.worker.as_mut() {
            worker.join();
        }
        let closed = self.close_partitions();
        let mut first_error = closed.first_error;
        if self.mode == OpenMode::Write && admin.lock.is_some() {
            if closed.all {
                let left = foreign::leave_for_kafka(self.directory.as_ref(), &closed.left);
                first_error = first_error.or(left.err());
            }
            let mark = CleanMark { generation: admin.generation, ends: closed.ends };
            first_error = first_error.or(mark.write(self.directory.as_ref()).err());
        }
        admin.lock = None;
        first_error.map_or(Ok(()), Err)
    }

    /// Closes every partition, whatever the others answer.
    pub(super) fn close_partitions(&self) -> Closed {
        let mut closed = Closed { all: true, ..Closed::default() };
        let topics: Vec<_> = self.topics.read().values().cloned().collect();
        for state in topics {
            let partitions = state.changing.read().partitions.clone();
            closed.all &= partitions.iter().all(is_open_or_elsewhere);
            for partition in partitions.iter().flatten() {
                closed.take(partition);
            }
        }
        closed
    }
}

impl Closed {
    fn take(&mut self, partition: &Partition) {
        let log = partition.log();
        let first_base = log.segments().first().map_or(log.log_start(), |first| first.base_offset());
        let high_watermark = log.offsets().1.high;
        match partition.finish() {
            Ok(Some(ends)) => {
                self.left.push(LeftForKafka {
                    partition: partition.id().clone(),
                    log_start: ends.log_start,
                    log_end: ends.log_end,
                    high_watermark: high_watermark.min(ends.log_end),
                    first_base,
                });
                self.ends.insert(partition.id().clone(), ends);
            }
            Ok(None) => self.all = false,
            Err(error) => {
                self.all = false;
                self.first_error.get_or_insert(error);
            }
        }
    }
}
