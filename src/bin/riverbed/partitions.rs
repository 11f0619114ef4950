//! The same work for every partition of a store, whatever the others answer.

use riverbed::{Error, Partition, PartitionId, Result, Store, Topic};

use crate::context::Context;
use crate::failure::{Failure, Outcome, Stop, complain};

/// What some of the partitions answered.
#[derive(Debug, Default)]
#[must_use = "failures are to be told"]
pub struct Failures(Vec<Failure>);

impl Failures {
    fn add(&mut self, topic: &Topic, number: PartitionId, error: &Error) {
        self.0.push(Failure::new(error.kind(), format!("{}-{number}: {error}", topic.name())));
    }

    /// Tells all of them, a line each; the last is what the command fails with. Asked once the rest is printed.
    pub fn tell(self) -> Outcome {
        let mut failures = self.0;
        let Some(last) = failures.pop() else { return Ok(()) };
        failures.iter().for_each(complain);
        Err(Stop::Failed(last))
    }
}

/// Does `work` for each partition of the topics that `wants` wants, until the user interrupts.
pub fn each(
    store: &Store,
    context: &Context,
    wants: impl Fn(&Topic) -> bool,
    mut work: impl FnMut(&Topic, PartitionId, &Partition) -> Result<()>,
) -> Outcome<Failures> {
    let mut failures = Failures::default();
    for topic in store.topics()?.into_iter().filter(wants) {
        for (number, partition) in topic.partitions()? {
            context.interrupt.check()?;
            if let Err(error) = partition.and_then(|partition| work(&topic, number, &partition)) {
                failures.add(&topic, number, &error);
            }
        }
    }
    Ok(failures)
}
