//! Closing a store: every partition, then what Kafka needs to take over, and the clean mark last.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::log::{Ends, OpenMode};
use crate::partition::Partition;
use crate::store::clean_mark::CleanMark;
use crate::store::foreign::{self, LeftForKafka};
use crate::store::inner::Inner;
use crate::store::side_by_side;
use crate::store::worker::Worker;
use crate::sync::Ordering;
use crate::types::{Offset, TopicPartition};

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
        if self.closed.load(Ordering::Acquire) && self.chores().into_iter().any(|chore| chore.is_own_thread()) {
            // Who closes the store waits for this very thread.
            return Ok(());
        }
        let _closing = self.closing.lock();
        let mut workers = {
            let mut admin = self.admin.lock();
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            std::mem::take(&mut admin.workers)
        };
        self.flusher.stop();
        self.chores().into_iter().for_each(|chore| chore.stop());
        // A cleaning takes long: it ends where it is.
        self.partitions().iter().for_each(|partition| partition.log().stop_cleaning());
        // Not under `admin`: what a worker tells the host of may ask for that.
        workers.iter_mut().for_each(Worker::join);
        let mut admin = self.admin.lock();
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
        if let Some(error) = &first_error {
            self.close_error.set(error.clone()).ok();
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Closes every partition, whatever the others answer.
    pub(super) fn close_partitions(&self) -> Closed {
        let mut closed = Closed { all: true, ..Closed::default() };
        let topics: Vec<_> = self.topics.read().values().cloned().collect();
        let mut open = Vec::new();
        for state in topics {
            let partitions = state.changing.read().partitions.clone();
            closed.all &= partitions.are_open();
            open.extend(partitions.open().cloned());
        }
        let descriptors = self.budget.stats().descriptors_max;
        for end in side_by_side::each(&open, descriptors, End::of) {
            closed.take(end);
        }
        closed
    }
}

/// What closing one partition came to.
struct End {
    partition: TopicPartition,
    first_base: Offset,
    high_watermark: Offset,
    cleaned_to: Offset,
    closed: Result<Option<Ends>>,
}

impl End {
    fn of(partition: &Partition) -> Self {
        let log = partition.log();
        let first_base = log.segments().first().map_or(log.log_start(), |first| first.base_offset());
        let high_watermark = log.offsets().1.high;
        let closed = partition.finish();
        let cleaned_to = log.cleaned().to;
        Self { partition: partition.id().clone(), first_base, high_watermark, cleaned_to, closed }
    }
}

impl Closed {
    fn take(&mut self, end: End) {
        match end.closed {
            Ok(Some(ends)) => {
                self.left.push(LeftForKafka {
                    partition: end.partition.clone(),
                    log_start: ends.log_start,
                    log_end: ends.log_end,
                    high_watermark: end.high_watermark.min(ends.log_end),
                    cleaned_to: end.cleaned_to.min(ends.log_end),
                    first_base: end.first_base,
                });
                self.ends.insert(end.partition, ends);
            }
            Ok(None) => self.all = false,
            Err(error) => {
                self.all = false;
                self.first_error.get_or_insert(error);
            }
        }
    }
}
