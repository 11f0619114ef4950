//! Reads the records of a partition that a reader may see, one after the other.

use std::collections::HashMap;

use riverbed::{
    AbortedTransaction, BatchHeader, DecompressionLimits, Error, FetchLimit, Isolation, Offset, Partition, ProducerId,
    ReadUpTo, RecordView,
};

/// How much is fetched at once, at most and if a batch is not larger.
const FETCH_BYTES: usize = 1 << 20;

/// Reads a partition from some offset on.
#[derive(Debug)]
pub struct Reader {
    partition: Partition,
    next: Offset,
    limit: FetchLimit,
    isolation: Isolation,
}

/// What a reader's caller says to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It was welcome, and so is the next.
    More,
    /// It was the last one.
    Last,
    /// It is beyond what was asked for, and not taken.
    Beyond,
}

/// How a step of reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more.
    More,
    /// There is nothing up to the mark.
    Nothing,
    /// The caller has seen enough.
    Enough,
}

impl Reader {
    pub fn new(partition: Partition, from: Offset, isolation: Isolation, up_to: ReadUpTo) -> Self {
        let limit = FetchLimit::bytes(FETCH_BYTES).isolation(isolation).up_to(up_to);
        Self { partition, next: from, limit, isolation }
    }

    /// Where reading goes on: behind all that was shown or skipped.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Goes on inside of the log, where a writer deleted or cut the records that would have come next.
    pub fn stay_inside(&mut self) {
        let (log_start, marks) = self.partition.offsets();
        self.next = self.next.min(marks.end).max(log_start);
    }

    /// Answers whether the place where reading goes on lies in the log, which is all that can be said if nothing is
    /// wanted.
    pub fn check(&self, nothing_wanted: bool) -> Result<Step, Error> {
        self.partition.fetch(self.next, self.limit)?;
        Ok(if nothing_wanted { Step::Enough } else { Step::More })
    }

    /// Shows the records of one fetch to `each`, until that has enough. Those below where reading goes on, control
    /// records, and under committed isolation those of aborted transactions are not shown.
    pub fn step<E: From<Error>>(
        &mut self,
        mut each: impl FnMut(&RecordView<'_>) -> Result<Flow, E>,
    ) -> Result<Step, E> {
        let fetched = self.partition.fetch(self.next, self.limit)?;
        if fetched.is_empty() {
            self.next = fetched.next_offset;
            return Ok(Step::Nothing);
        }
        let aborted = Aborted::new(&fetched.aborted);
        for batch in fetched.batches() {
            let header = batch.header();
            let hidden = header.attributes.is_control()
                || (self.isolation == Isolation::ReadCommitted && aborted.contains(header));
            if hidden {
                continue;
            }
            for record in batch.payload(&DecompressionLimits::default())?.records() {
                let record = record?;
                if record.offset() < self.next {
                    continue;
                }
                let flow = each(&record)?;
                self.next = if flow == Flow::Beyond { record.offset() } else { record.offset().next() };
                if flow != Flow::More {
                    return Ok(Step::Enough);
                }
            }
        }
        self.next = self.next.max(fetched.next_offset);
        Ok(Step::More)
    }
}

/// The offsets that aborted transactions cover, by producer.
struct Aborted(HashMap<ProducerId, Vec<(Offset, Offset)>>);

impl Aborted {
    fn new(transactions: &[AbortedTransaction]) -> Self {
        let mut ranges: HashMap<ProducerId, Vec<_>> = HashMap::new();
        for aborted in transactions {
            ranges.entry(aborted.producer_id).or_default().push((aborted.first_offset, aborted.last_offset));
        }
        for ranges in ranges.values_mut() {
            ranges.sort_unstable();
        }
        Self(ranges)
    }

    /// Whether a batch belongs to one of them. A producer has one transaction at a time, so its ranges are disjoint.
    fn contains(&self, header: &BatchHeader) -> bool {
        let Some(ranges) = self.0.get(&header.producer_id).filter(|_| header.attributes.is_transactional()) else {
            return false;
        };
        let first_behind = ranges.partition_point(|(first, _)| *first <= header.base_offset);
        let before = first_behind.checked_sub(1).and_then(|index| ranges.get(index));
        before.is_some_and(|(_, last)| header.base_offset <= *last)
    }
}
