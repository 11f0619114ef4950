//! Carries out the shell's lines in an open store.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use riverbed::{Clock, ErrorKind, ManualClock, Partition, Record, Store, Timestamp, TopicConfig};

use super::answer::Answer;
use super::fill_line;
use super::line::{Line, NewRecord, Place, ReadWords};
use crate::consume::{fields, json_time};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::json::Object;
use crate::numbers;
use crate::progress::Progress;
use crate::records::{Flow, Reader, Step};
use crate::time;
use crate::verify;

/// A store that is open for writing, and what tells its time.
pub struct Session {
    pub store: Store,
    /// The clock that the line `clock` moves, if the shell was started with one.
    pub manual: Option<ManualClock>,
    pub clock: Arc<dyn Clock>,
    pub interrupt: Interrupt,
    /// Where the store is.
    pub path: PathBuf,
}

/// What answering most lines gives.
type Fields = Result<Object, Failure>;

impl Session {
    /// Carries a line out. `Break` with the answer to the last one: the store is to be closed before it is given.
    pub fn answer(&self, line: Line) -> ControlFlow<(), Answer> {
        let fields = match line {
            Line::Quit => return ControlFlow::Break(()),
            Line::Crash => std::process::abort(),
            Line::Fill { place, fill } => {
                let partition = self.partition(&place);
                return ControlFlow::Continue(fill_line::answer(partition, &fill, self.clock.as_ref()));
            }
            Line::Create { .. } | Line::Delete { .. } | Line::Alter { .. } | Line::Topics => self.topics(line),
            Line::Append { place, record } => self.append(&place, record),
            Line::Batch { place, bytes } => self.batch(&place, &bytes),
            Line::Read { place, read } => self.read(&place, read),
            Line::Offsets(place) => self.offsets(&place),
            Line::Time { place, millis } => self.time(&place, millis),
            Line::Flush(place) => self.flush(&place),
            Line::DeleteRecords { place, before } => self.delete_records(&place, before),
            Line::Roll(place) => self.roll(&place),
            Line::Segments(place) => self.segments(&place),
            Line::Truncate { place, offset } => self.truncate(&place, offset),
            Line::Compact => self.compact(),
            Line::Verify => self.verify(),
            Line::Recovery => self.recovery(),
            Line::Retain => self.retain(),
            Line::Clock { millis } => self.set_clock(millis),
            Line::Unsupported(what) => Err(Failure::new(ErrorKind::Unsupported, format!("{what} does not exist yet"))),
        };
        ControlFlow::Continue(fields.into())
    }

    fn partition(&self, place: &Place) -> Result<Partition, Failure> {
        Ok(numbers::partition(&self.store.topic(&place.topic)?, place.partition)?.1)
    }
}

/// Topics: made, changed, listed, removed.
impl Session {
    fn topics(&self, line: Line) -> Fields {
        match line {
            Line::Create { topic, partitions, configs } => {
                let config = TopicConfig::default().partitions(numbers::partition_count(partitions)?);
                let config = configs.iter().try_fold(config, |config, (name, value)| config.set(name, value))?;
                self.store.create_topic(&topic, config)?;
            }
            Line::Delete { topic } => self.store.delete_topic(&topic)?,
            Line::Alter { topic, configs } => {
                let settings = configs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                self.store.topic(&topic)?.alter(settings)?;
            }
            _ => {
                let names: Vec<String> = self.store.topics()?.iter().map(|topic| topic.name().to_string()).collect();
                return Ok(Object::new().with("topics", names));
            }
        }
        Ok(Object::new())
    }
}

/// Records, in and out.
impl Session {
    fn append(&self, place: &Place, new: NewRecord) -> Fields {
        let mut record = Record::new().key(new.key).value(new.value);
        for (name, value) in new.headers {
            record = record.header(name, value);
        }
        if let Some(millis) = new.timestamp {
            record = record.timestamp(Timestamp::from_millis(millis));
        }
        let appended = self.partition(place)?.append_record(&record)?;
        let fields = Object::new().with("offset", appended.offsets.start().get());
        Ok(fields.with("timestamp", json_time(appended.max_timestamp)))
    }

    fn batch(&self, place: &Place, bytes: &[u8]) -> Fields {
        let offsets = self.partition(place)?.append(bytes)?.offsets;
        Ok(Object::new().with("first", offsets.start().get()).with("last", offsets.end().get()))
    }

    fn read(&self, place: &Place, read: ReadWords) -> Fields {
        let max = u64::try_from(read.max)
            .map_err(|_| Failure::new(ErrorKind::InvalidArgument, format!("cannot read {} records", read.max)))?;
        let from = numbers::offset(read.offset)?;
        let mut reader = Reader::new(self.partition(place)?, from, read.isolation, read.up_to);
        let (mut answer, mut count) = (Object::new(), 0);
        answer.start_list("records");
        let mut step = reader.check(max == 0)?;
        while step == Step::More {
            step = reader.step(|record| {
                answer.item(fields(record));
                count += 1;
                Ok::<_, Failure>(if count == max { Flow::Last } else { Flow::More })
            })?;
        }
        answer.end_list();
        Ok(answer.with("next", reader.next().get()))
    }

    fn time(&self, place: &Place, millis: i64) -> Fields {
        let time = time::searched(Timestamp::from_millis(millis));
        let found = self.partition(place)?.offset_for_time(time, riverbed::ReadUpTo::Written)?;
        let offset = found.map(|found| found.offset.get());
        Ok(Object::new().with("offset", offset).with("timestamp", found.map(|found| found.timestamp.millis())))
    }
}

/// The log behind the records.
impl Session {
    fn offsets(&self, place: &Place) -> Fields {
        let (log_start, marks) = self.partition(place)?.offsets();
        Ok(Object::new()
            .with("log_start", log_start.get())
            .with("last_stable", marks.last_stable.get())
            .with("high_watermark", marks.high.get())
            .with("durable", marks.durable.get())
            .with("log_end", marks.end.get()))
    }

    fn flush(&self, place: &Place) -> Fields {
        Ok(Object::new().with("durable", self.partition(place)?.sync()?.get()))
    }

    fn delete_records(&self, place: &Place, before: i64) -> Fields {
        let partition = self.partition(place)?;
        let before = if before == -1 { partition.offsets().1.high } else { numbers::offset(before)? };
        Ok(Object::new().with("log_start", partition.delete_records(..before)?.log_start.get()))
    }

    fn roll(&self, place: &Place) -> Fields {
        Ok(Object::new().with("base_offset", self.partition(place)?.roll()?.get()))
    }

    fn segments(&self, place: &Place) -> Fields {
        let infos = self.partition(place)?.segment_infos()?;
        let list = infos.iter().map(|info| {
            let fields = Object::new().with("base_offset", info.base_offset.get()).with("bytes", info.bytes);
            fields.with("active", info.active)
        });
        Ok(Object::new().with("segments", list.collect::<Vec<_>>()))
    }

    fn truncate(&self, place: &Place, at: i64) -> Fields {
        let end = self.partition(place)?.truncate(numbers::offset(at)?)?;
        Ok(Object::new().with("log_end", end.get()))
    }
}

/// The store as a whole.
impl Session {
    fn compact(&self) -> Fields {
        let done = self.store.compact()?;
        let fields = Object::new().with("segments", done.segments).with("bytes_before", done.bytes_before);
        Ok(fields.with("bytes_after", done.bytes_after))
    }

    fn verify(&self) -> Fields {
        let found = verify::store(&self.store, &self.path, &self.interrupt, Progress::hidden())?;
        let problems: Vec<Object> = found.problems.iter().map(|problem| problem.to_json()).collect();
        let tails: Vec<Object> = found.tails.iter().map(|tail| tail.to_json()).collect();
        Ok(Object::new().with("problems", problems).with("tail", tails))
    }

    fn recovery(&self) -> Fields {
        let list = self.store.recovery().into_iter().map(|(partition, recovery)| {
            let damage: Vec<String> = recovery.damage.iter().map(ToString::to_string).collect();
            Object::new()
                .with("topic", partition.topic.as_str())
                .with("partition", partition.partition.get())
                .with("cut_bytes", recovery.cut_bytes)
                .with("cut_batches", recovery.cut_batches)
                .with("reason", recovery.reason.map(|reason| reason.to_string()))
                .with("rebuilt_indexes", recovery.rebuilt_indexes)
                .with("damage", damage)
        });
        Ok(Object::new().with("list", list.collect::<Vec<_>>()))
    }

    fn retain(&self) -> Fields {
        let removed = self.store.retain()?;
        Ok(Object::new().with("segments", removed.segments).with("bytes", removed.bytes))
    }

    fn set_clock(&self, millis: i64) -> Fields {
        let Some(clock) = &self.manual else {
            return Err(Failure::new(ErrorKind::InvalidArgument, "the shell was started without --clock"));
        };
        clock.set(Timestamp::from_millis(millis));
        self.store.run_due();
        Ok(Object::new())
    }
}
