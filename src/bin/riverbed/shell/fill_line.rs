//! Appends what `fill` makes, batch by batch.

use riverbed::{BatchBuilder, Clock, ErrorKind, Partition, Record};

use super::answer::Answer;
use super::fill::Generator;
use super::line::FillWords;
use crate::failure::Failure;
use crate::json::Object;

/// The largest value that is made: no record may be larger.
const BYTES_MAX: i64 = i32::MAX as i64;

/// What was acknowledged so far.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    first: Option<u64>,
    last: Option<u64>,
}

/// Appends and answers. An error tells what was acknowledged before.
pub fn answer(partition: Result<Partition, Failure>, words: &FillWords, clock: &dyn Clock) -> Answer {
    let mut acknowledged = Acknowledged::default();
    let result = partition.and_then(|partition| {
        append(&partition, words, clock, &mut acknowledged)?;
        Ok(acknowledged.last.map(|_| partition.offsets().1.durable.get()))
    });
    let fields = Object::new().with("first", acknowledged.first).with("last", acknowledged.last);
    match result {
        Ok(durable) => Answer::Ok(fields.with("durable", durable)),
        Err(failure) => Answer::Err(failure, fields),
    }
}

fn append(
    partition: &Partition,
    words: &FillWords,
    clock: &dyn Clock,
    acknowledged: &mut Acknowledged,
) -> Result<(), Failure> {
    let mut left = number("COUNT", words.count, 0, i64::MAX)?;
    let bytes = number("BYTES", words.bytes, 0, BYTES_MAX)?;
    let batch = number("batch", words.batch, 1, i64::MAX)?;
    let room = room(partition);
    if bytes > room {
        let message = format!("a record of {bytes} bytes is too large: the topic takes batches of at most {room}");
        return Err(Failure::new(ErrorKind::BatchTooLarge, message));
    }
    let mut generator = Generator::new(words.seed.clone(), usize::try_from(bytes).unwrap_or(usize::MAX));
    let mut builder = BatchBuilder::new();
    while left > 0 {
        let now = clock.now();
        for _ in 0..batch.min(left) {
            let (key, value) = generator.make_next();
            builder.push(&Record::new().key(key).value(value), now)?;
            if builder.size() as u64 > room {
                break; // The log refuses it as it is: no need to gather the rest.
            }
        }
        left -= batch.min(left);
        let Some(encoded) = builder.finish()? else { break };
        let offsets = partition.append(encoded)?.offsets;
        acknowledged.first.get_or_insert(offsets.start().get());
        acknowledged.last = Some(offsets.end().get());
    }
    Ok(())
}

/// The largest batch that the log takes.
fn room(partition: &Partition) -> u64 {
    let config = partition.log().config();
    let limits =
        ["max.message.bytes", "segment.bytes"].map(|name| config.get(name).and_then(|bytes| bytes.parse().ok()));
    limits.into_iter().flatten().min().unwrap_or(u64::MAX)
}

fn number(what: &str, number: i64, min: i64, max: i64) -> Result<u64, Failure> {
    let allowed = u64::try_from(number).ok().filter(|_| (min..=max).contains(&number));
    allowed
        .ok_or_else(|| Failure::new(ErrorKind::InvalidArgument, format!("{what} is {number}, expected {min} to {max}")))
}
