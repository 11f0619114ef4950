//! Compaction keeps the last record of each key: its offset, order and contents stay, and what it superseded goes.
//!
//! A cleaning walks twice. First through what is dirty, for the last offset of each key; then through all of the log up to
//! there, and writes what stays into new segments, which take the place of the old ones group by group. Kafka's
//! `LogCleaner` and `Cleaner`.

mod keys;
mod meter;
mod offset_map;
mod output;
mod plan;
mod rewrite;
mod second_pass;
mod swap;
mod transactions;

pub use plan::Cleanable;

use crate::compaction::meter::Meter;
use crate::compaction::plan::{Limits, LogFacts, SegmentFacts, filthiest_first};
use crate::compaction::rewrite::{Rewriter, Rules};
use crate::compaction::second_pass::SecondPass;
use crate::error::{Error, Result};
use crate::log::checkpoint::Cleaned;
use crate::log::cleaning::Cleaning;
use crate::log::{Log, LogConfig};
use crate::segment::Segment;
use crate::span;
use crate::sync::{Arc, Mutex};
use crate::types::{ReadUpTo, Timestamp};

/// How often a cleaning starts again where a cut or a deletion took what it had read.
const TRIES: usize = 4;

/// What a cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Segments that were rewritten.
    pub segments: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of what took their place.
    pub bytes_after: u64,
    /// Records that went: superseded, aborted, or deleted long enough ago.
    pub records_removed: u64,
}

impl Compacted {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            segments: self.segments + other.segments,
            bytes_before: self.bytes_before + other.bytes_before,
            bytes_after: self.bytes_after + other.bytes_after,
            records_removed: self.records_removed + other.records_removed,
        }
    }
}

/// What a cleaning may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CleanerConfig {
    /// Bytes for the last offsets of keys, 24 each. Kafka's `log.cleaner.dedupe.buffer.size`.
    pub(crate) dedupe_bytes: usize,
    /// Bytes that are read and written in a second. Kafka's `log.cleaner.io.max.bytes.per.second`.
    pub(crate) bytes_per_second: Option<u64>,
}

impl Default for CleanerConfig {
    fn default() -> Self {
        Self { dedupe_bytes: 128 << 20, bytes_per_second: None }
    }
}

/// Cleans logs, one at a time.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    config: CleanerConfig,
    /// Held while a log is cleaned: the memory is there once.
    turn: Mutex<()>,
}

/// How a round ended.
enum Round {
    /// All that is dirty was cleaned.
    Done,
    /// There is more: the keys of it had no room.
    Partial,
    /// What was read is no longer what is there.
    Overtaken,
}

impl Cleaner {
    /// A cleaner with these means.
    pub(crate) fn new(config: CleanerConfig) -> Self {
        Self { config, turn: Mutex::new(()) }
    }

    /// What of a log can be cleaned now.
    pub(crate) fn look(log: &Log) -> Result<Cleanable> {
        let (config, now) = (log.config(), log.now());
        let facts = facts(log, &config)?;
        Ok(Cleanable::of(&facts, &limits(&config), now))
    }

    /// Which of `logs` to clean without being asked, the filthiest first. Not one that a cleaning found damaged. `tell` is
    /// told what looking at a log answered, if that is an error.
    pub(crate) fn due<T>(logs: Vec<T>, log: impl Fn(&T) -> &Log, tell: impl Fn(Error)) -> Vec<T> {
        let looked = logs.into_iter().filter_map(|one| {
            let limits = limits(&log(&one).config());
            if log(&one).refuses_cleaning().is_some() {
                return None;
            }
            match Self::look(log(&one)) {
                Ok(cleanable) => Some((one, cleanable, limits)),
                Err(error) => {
                    tell(error);
                    None
                }
            }
        });
        filthiest_first(looked)
    }

    /// A piece of what [`clean`](Self::clean) does: as far as the keys have room. Answers whether there may be more.
    pub(crate) fn clean_some(&self, log: &Log) -> Result<(Compacted, bool)> {
        let _span = span::compact(log.path());
        let _turn = self.turn.lock();
        let cleaning = log.begin_cleaning()?;
        let mut total = Compacted::default();
        let round = self.round(&cleaning, &mut total)?;
        Ok((total, matches!(round, Round::Partial)))
    }

    /// Cleans all that can be cleaned now, whatever the topic says about when it is worth it. Tombstones and markers that
    /// may go by now do, also where nothing else is to be done.
    pub(crate) fn clean(&self, log: &Log) -> Result<Compacted> {
        let _span = span::compact(log.path());
        let _turn = self.turn.lock();
        let cleaning = log.begin_cleaning()?;
        let mut total = Compacted::default();
        let mut tries = TRIES;
        loop {
            match self.round(&cleaning, &mut total)? {
                Round::Done => return Ok(total),
                Round::Partial => {}
                Round::Overtaken if tries > 1 => tries -= 1,
                Round::Overtaken => return Ok(total),
            }
            if !cleaning.is_uncut() {
                // A cut is no reason to try again at once: what was dirty may be gone.
                return Ok(total);
            }
        }
    }

    /// Both passes, once. What went wrong with what the segments hold will go wrong again: the log is left alone then.
    fn round(&self, cleaning: &Cleaning<'_>, total: &mut Compacted) -> Result<Round> {
        self.both_passes(cleaning, total).map_err(|error| {
            if swap::may_be_tried_again(error.kind()) { error } else { cleaning.refuse_from_now_on(error) }
        })
    }

    fn both_passes(&self, cleaning: &Cleaning<'_>, total: &mut Compacted) -> Result<Round> {
        let (log, now) = (cleaning.log(), cleaning.now());
        let config = log.config();
        let cleaned = log.cleaned();
        let plan = Cleanable::of(&facts(log, &config)?, &limits(&config), now);
        if plan.cleanable_bytes == 0 && now < cleaned.next_horizon {
            return Ok(Round::Done);
        }
        let set = cleaning.segments();
        cleaning.settle()?;
        let mut meter = Meter::start(cleaning, self.config.bytes_per_second);
        let map = keys::last_offsets(cleaning, &set, &plan, self.config.dedupe_bytes, &mut meter)?;
        let rules = Rules {
            map,
            producers: cleaning.last_records()?,
            upper_bound: plan.first_uncleanable,
            now,
            delete_retention: config.delete_retention_ms,
        };
        let mut pass = SecondPass::new(cleaning, &set, Rewriter::new(rules), meter);
        let to = pass.cleaned_to(plan.first_dirty);
        if !pass.run(to, &config, total)? {
            return Ok(Round::Overtaken);
        }
        cleaning.keep(Cleaned { to, next_horizon: pass.next_horizon() })?;
        Ok(if to < plan.first_uncleanable { Round::Partial } else { Round::Done })
    }
}

fn limits(config: &LogConfig) -> Limits {
    Limits {
        lag_min: config.min_compaction_lag_ms,
        lag_max: config.max_compaction_lag_ms,
        ratio_min: config.min_cleanable_dirty_ratio,
    }
}

/// What planning has to know. Times are looked up only where they are asked for.
fn facts(log: &Log, config: &LogConfig) -> Result<LogFacts> {
    let (asks_largest, asks_first) = (config.min_compaction_lag_ms > 0, config.max_compaction_lag_ms < i64::MAX);
    let segments = log.segments();
    let (log_start, log_end, last_stable) = (log.log_start(), log.end(ReadUpTo::Written), log.last_stable_offset());
    let of = |segment: &Arc<Segment>| {
        Ok(SegmentFacts {
            base: segment.base_offset(),
            bytes: segment.size(),
            largest_timestamp: if asks_largest { segment.largest_timestamp()? } else { Timestamp::NONE },
            first_timestamp: if asks_first { segment.first_timestamp()? } else { Timestamp::NONE },
        })
    };
    let segments = segments.iter().map(of).collect::<Result<_>>()?;
    let cleaned_to = Some(log.cleaned().to);
    Ok(LogFacts { segments, log_start, log_end, last_stable, cleaned_to })
}

#[cfg(test)]
mod tests;
