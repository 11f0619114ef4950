//! What is sent to a partition: batches of clients and of producers, and ends of transactions.

use bytes::Bytes;

use super::op::{Batch, EndHow, How};
use super::reference::{Answer, By, End, Entry, Stored};
use super::run::Run;
use crate::clock::Clock as _;
use crate::error::{ErrorKind, Result};
use crate::log::{AppendOrigin, Appended, TopicCompression};
use crate::partition::Partition;
use crate::record::{BatchBuilder, EndMarker, Record, TransactionResult};
use crate::sim::Random;
use crate::tests::crash::check::{Checked, ensure, works};
use crate::types::{ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType};

impl Run {
    /// What a producer sends, as `how` says.
    pub(super) fn draw_by(
        &mut self,
        (topic, number): (usize, u32),
        batch: Batch,
        (producer, transactional): (i64, bool),
        how: How,
    ) -> Checked<(Batch, By)> {
        let known = self.reference(topic, number)?.producers(0).remove(&producer).unwrap_or_default();
        let mut by = By { producer, epoch: known.epoch.max(0), sequence: known.next_sequence(), transactional };
        let mut batch = batch;
        match how {
            How::Next => {}
            How::Again(back) | How::Longer(back) => {
                if let Some((sequence, records)) = known.sent(back) {
                    by.sequence = sequence;
                    batch.records = records + usize::from(matches!(how, How::Longer(_)));
                }
            }
            How::Gap(records) => by.sequence += records,
            How::Zombie => by.epoch = (by.epoch - 1).max(0),
            How::NewEpoch => {
                by.epoch += 1;
                by.sequence = 0;
            }
        }
        Ok((batch, by))
    }

    pub(super) fn append(&mut self, partition: &Partition, at: (usize, u32), drawn: Batch, by: Option<By>) -> Checked {
        let (bytes, entries) = self.build(at.0, drawn, by)?;
        let config = partition.log().config();
        let codec = match config.compression {
            TopicCompression::Producer => drawn.codec,
            TopicCompression::Codec(codec) => codec,
        };
        let answers = match by {
            Some(by) => self.reference(at.0, at.1)?.judge(&by, drawn.records),
            None => vec![Answer::New],
        };
        let append = partition.append(&bytes);
        // What a batch is after it was compressed again is known only roughly.
        let is_large = bytes.len() + 100 > config.segment_bytes as usize;
        if is_large && append.as_ref().is_err_and(|error| error.kind() == ErrorKind::BatchTooLarge) {
            return Ok(());
        }
        let stored = Stored::Records { by, codec, entries };
        let is_new = self.settle(at, append, &answers, stored)?;
        if is_new && config.flush_policy().is_every_append() && !self.full {
            let (_, marks) = partition.offsets();
            ensure!(marks.durable == marks.end, "synced with each append, but not up to {}", marks.end);
        }
        Ok(())
    }

    pub(super) fn end(
        &mut self,
        partition: &Partition,
        at: (usize, u32),
        (producer, commit): (i64, bool),
        how: EndHow,
    ) -> Checked {
        let now = self.clock.now();
        let reference = self.reference(at.0, at.1)?;
        let known = reference.producers(0).remove(&producer).unwrap_or_default();
        let (epoch, coordinator) = (known.epoch.max(0), known.coordinator.max(0));
        let (epoch, coordinator) = match how {
            EndHow::Now => (epoch, coordinator),
            EndHow::Zombie => ((epoch - 1).max(0), coordinator),
            EndHow::OldCoordinator => (epoch, (coordinator - 1).max(0)),
            EndHow::Fencing => (epoch + 1, coordinator + 1),
        };
        let end = End { producer, epoch, commit, coordinator };
        let answers = reference.judge_end(&end);
        let marker = EndMarker {
            result: if commit { TransactionResult::Commit } else { TransactionResult::Abort },
            producer_id: ProducerId::new(producer),
            producer_epoch: ProducerEpoch::new(epoch),
            coordinator_epoch: coordinator,
            timestamp: now,
        };
        let marker = works("encode", marker.encode())?;
        let append = partition.append_as(&marker, AppendOrigin::Coordinator);
        self.settle(at, append, &answers, Stored::End(end, now.millis())).map(drop)
    }

    /// I10, I16: the answer is one that may be, and what it says has happened. Answers whether something was appended.
    fn settle(
        &mut self,
        at: (usize, u32),
        answer: Result<Appended>,
        possible: &[Answer],
        stored: Stored,
    ) -> Checked<bool> {
        let full = self.full;
        let reference = self.reference(at.0, at.1)?;
        let found = match &answer {
            Err(error) if full && error.kind() == ErrorKind::StorageFull => return Ok(false),
            Err(error) => Answer::Refused(error.kind()),
            Ok(appended) if appended.duplicate => {
                Answer::Duplicate(appended.offsets.start().get(), appended.offsets.end().get() + 1)
            }
            Ok(appended) => {
                let start = appended.offsets.start().get();
                ensure!(start == reference.end, "appended at {start} instead of {}", reference.end);
                Answer::New
            }
        };
        ensure!(possible.contains(&found), "{answer:?} to {stored:?}, instead of {possible:?}");
        if found == Answer::New {
            reference.push(stored);
        }
        Ok(found == Answer::New)
    }

    /// An encoded batch, and its records as they are to be read.
    fn build(&mut self, topic: usize, drawn: Batch, by: Option<By>) -> Checked<(Vec<u8>, Vec<Entry>)> {
        let now = self.clock.now();
        let by_append = self
            .topics
            .get(&topic)
            .is_some_and(|topic| topic.config.log().timestamp_type == TimestampType::LogAppendTime);
        let mut builder = BatchBuilder::new();
        builder.compression(drawn.codec);
        if let Some(by) = by {
            builder.producer(ProducerId::new(by.producer), ProducerEpoch::new(by.epoch), Sequence::new(by.sequence));
            builder.transactional(by.transactional);
        }
        let mut entries = Vec::new();
        for _ in 0..drawn.records {
            self.next_id += 1;
            let mut random = Random::new(self.next_id);
            let value: Vec<u8> = (0..drawn.bytes).map(|_| u8::try_from(random.below(256)).unwrap_or(0)).collect();
            let key = self.next_id.to_be_bytes();
            let mut record = Record::new().timestamp(Timestamp::from_millis(
                now.millis() - drawn.age - i64::try_from(random.below(40)).unwrap_or(0),
            ));
            let has = (!random.one_in(5), !random.one_in(10));
            if has.0 {
                record = record.key(key.as_slice());
            }
            if has.1 {
                record = record.value(value.as_slice());
            }
            works("build", builder.push(&record, now))?;
            let timestamp = if by_append { now } else { record.time().unwrap_or(now) };
            entries.push(Entry {
                key: has.0.then(|| Bytes::copy_from_slice(&key)),
                value: has.1.then(|| value.into()),
                timestamp: timestamp.millis(),
            });
        }
        let bytes = works("build", builder.finish())?.ok_or("no record")?.to_vec();
        Ok((bytes, entries))
    }
}
