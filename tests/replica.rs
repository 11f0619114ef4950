//! The seam for replication, used from outside of the crate: a node that copies each batch to a follower's log, and
//! counts it as committed once both have it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, reason = "tests, from outside of the crate")]

mod support;

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use riverbed::{
    Acks, AppendOrigin, AppendRefused, Appended, BoxFuture, Error, ErrorKind, FetchLimit, LeaderEpoch, Log, LogWriter,
    NodeId, Offset, Partition, PartitionOptions, ReadUpTo, Replica, ReplicaRole, ReplicaState, Replication,
    TopicPartition,
};
use support::TestDir;
use support::partition::batch;

/// Two logs: this node's, and the other's, which stands for a network and a machine.
struct Pair {
    leader: LogWriter,
    follower: LogWriter,
    epoch: LeaderEpoch,
    /// While set, nothing is copied.
    cut_off: Mutex<bool>,
}

impl Pair {
    /// Copies what the follower lacks, and moves the high watermark to what both have.
    fn copy(&self) -> riverbed::Result<()> {
        if *self.cut_off.lock().unwrap() {
            return Ok(());
        }
        let from = self.follower.end(ReadUpTo::Written);
        let fetched = self.leader.read(from, FetchLimit::bytes(1 << 20).up_to(ReadUpTo::Written))?;
        self.follower.append_as_follower(&fetched.bytes)?;
        self.leader.set_high_watermark(self.follower.end(ReadUpTo::Written))?;
        Ok(())
    }

    fn append_now(&self, batch: &[u8], acks: Acks) -> Result<Appended, AppendRefused> {
        let appended = self.leader.append(batch, AppendOrigin::Client)?;
        let end = appended.offsets.end().next();
        match acks {
            Acks::Durable => self.leader.wait_durable(end)?,
            Acks::All => {
                self.copy()?;
                if self.leader.end(ReadUpTo::HighWatermark) < end {
                    return Err(AppendRefused::NotEnoughReplicas);
                }
            }
            _ => {}
        }
        Ok(appended)
    }
}

impl Replica for Pair {
    fn log(&self) -> &Log {
        &self.leader
    }

    fn state(&self) -> ReplicaState {
        ReplicaState::new(ReplicaRole::Leader, self.epoch, self.leader.end(ReadUpTo::HighWatermark))
    }

    fn append(&self, batch: Bytes, acks: Acks) -> BoxFuture<'_, Result<Appended, AppendRefused>> {
        Box::pin(async move { self.append_now(&batch, acks) })
    }

    fn read_barrier(&self) -> BoxFuture<'_, riverbed::Result<Offset>> {
        Box::pin(ready(Ok(self.leader.end(ReadUpTo::HighWatermark))))
    }

    fn trim(&self, to: Offset) -> BoxFuture<'_, riverbed::Result<Offset>> {
        let trimmed = self.leader.delete_records(..to).and_then(|deleted| {
            self.follower.set_high_watermark(self.follower.end(ReadUpTo::Written))?;
            self.follower.delete_records(..to)?;
            Ok(deleted.log_start)
        });
        Box::pin(ready(trimmed))
    }

    fn transfer(&self, _to: Option<NodeId>) -> BoxFuture<'_, riverbed::Result<()>> {
        Box::pin(ready(Err(Error::from(AppendRefused::NotLeader { leader: None }))))
    }

    fn close(&self) -> BoxFuture<'_, riverbed::Result<()>> {
        Box::pin(ready(self.leader.close().and_then(|()| self.follower.close())))
    }
}

/// One node, whose partitions each have a follower in a directory beside.
struct Node {
    follower: std::path::PathBuf,
    open: Mutex<BTreeMap<TopicPartition, Arc<Pair>>>,
}

impl Replication for Node {
    fn open(&self, id: TopicPartition, leader: LogWriter) -> BoxFuture<'_, riverbed::Result<Arc<dyn Replica>>> {
        let opened = || {
            let (_, follower) = LogWriter::open(self.follower.join(id.to_string()), PartitionOptions::default())?;
            let epoch = leader.epoch_at(leader.end(ReadUpTo::Written))?.map_or(0, |epoch| epoch.get() + 1);
            leader.hold_high_watermark()?;
            follower.hold_high_watermark()?;
            leader.begin_epoch(LeaderEpoch::new(epoch))?;
            let diverged = follower.end(ReadUpTo::Written) > leader.end(ReadUpTo::Written);
            if diverged {
                follower.truncate(leader.end(ReadUpTo::Written))?;
            }
            let pair = Pair { leader, follower, epoch: LeaderEpoch::new(epoch), cut_off: Mutex::new(false) };
            pair.copy()?;
            Ok(Arc::new(pair))
        };
        let opened: riverbed::Result<Arc<Pair>> = opened();
        let opened = opened.inspect(|pair| drop(self.open.lock().unwrap().insert(id, Arc::clone(pair))));
        Box::pin(ready(opened.map(|pair| pair as Arc<dyn Replica>)))
    }

    fn handle(&self, _from: NodeId, message: Bytes) -> BoxFuture<'_, riverbed::Result<Vec<Bytes>>> {
        Box::pin(ready(Ok(vec![message])))
    }

    fn remove<'a>(&'a self, id: &'a TopicPartition) -> BoxFuture<'a, riverbed::Result<()>> {
        let removed = self.open.lock().unwrap().remove(id);
        Box::pin(async move { removed.map_or(Ok(()), |pair| pair.leader.close()) })
    }
}

/// Nothing here ever waits.
fn now<T>(mut future: BoxFuture<'_, T>) -> T {
    match Future::poll(future.as_mut(), &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

fn open(dir: &TestDir) -> (Arc<Pair>, Partition) {
    let node = Node { follower: dir.join("other"), open: Mutex::default() };
    let (id, log) = LogWriter::open(dir.join("here/orders-0"), PartitionOptions::default()).unwrap();
    let replica = now(node.open(id.clone(), log)).unwrap();
    let pair = Arc::clone(&node.open.lock().unwrap()[&id]);
    (pair, Partition::replicated(id, replica))
}

fn end_of(appended: &Appended) -> Offset {
    appended.offsets.end().next()
}

#[test]
fn a_replica_decides_what_is_committed_and_readers_see_no_more() {
    let dir = TestDir::new("replica");
    let (pair, partition) = open(&dir);
    let one = batch(&[("v", 1)]);
    let marks = || {
        let (_, marks) = partition.offsets();
        [marks.durable, marks.high, marks.end].map(Offset::get)
    };
    for (acks, expected) in [
        (Acks::None, [0, 0, 1]),
        (Acks::Leader, [0, 0, 2]),
        (Acks::Durable, [3, 0, 3]),
        (Acks::All, [3, 4, 4]),
        (Acks::Leader, [3, 4, 5]),
    ] {
        partition.append_with(&one, acks).unwrap();
        assert_eq!(marks(), expected, "{acks:?}");
    }
    let seen = |up_to| partition.fetch(Offset::ZERO, FetchLimit::bytes(10_000).up_to(up_to)).unwrap().next_offset.get();
    assert_eq!((seen(ReadUpTo::HighWatermark), seen(ReadUpTo::Written)), (4, 5));

    *pair.cut_off.lock().unwrap() = true;
    let refused = partition.append_with(&one, Acks::All).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotEnoughReplicas);
    let late = partition.append(&one).unwrap();
    let waiting = {
        let partition = partition.clone();
        std::thread::spawn(move || partition.wait_committed(end_of(&late)))
    };
    *pair.cut_off.lock().unwrap() = false;
    pair.copy().unwrap();
    waiting.join().unwrap().unwrap();
    partition.wait_readable(Offset::new(6), ReadUpTo::HighWatermark, Duration::ZERO).unwrap();
    assert_eq!(seen(ReadUpTo::HighWatermark), 7);
    assert_eq!(now(pair.read_barrier()).unwrap().get(), 7);
    assert_eq!(pair.state().role, ReplicaRole::Leader);

    let same = |log: &Log| log.read(Offset::ZERO, FetchLimit::bytes(10_000).up_to(ReadUpTo::Written)).unwrap().bytes;
    assert_eq!(same(&pair.leader), same(&pair.follower), "byte for byte");
    partition.close().unwrap();
}

/// A partition handed its log out with all the calls that write it: whoever had it could append past the replica. Now
/// they belong to the one who has the log.
#[test]
fn nobody_but_the_replica_writes_a_replicated_partition() {
    let dir = TestDir::new("replica-only");
    let (pair, partition) = open(&dir);
    let one = batch(&[("v", 1)]);
    partition.append_with(&one, Acks::All).unwrap();
    let kinds = [
        partition.truncate(Offset::ZERO).unwrap_err().kind(),
        partition.roll().unwrap_err().kind(),
        partition.append_as_follower(&one).unwrap_err().kind(),
        partition.reset_to(Offset::ZERO).unwrap_err().kind(),
        partition.begin_epoch(LeaderEpoch::new(9)).unwrap_err().kind(),
        partition.append_as(&one, AppendOrigin::Coordinator).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Unsupported; 6]);
    let again = LogWriter::open(dir.join("here/orders-0"), PartitionOptions::default()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyOpen);

    assert_eq!(partition.delete_records(..Offset::new(1)).unwrap().log_start.get(), 1);
    assert_eq!(pair.follower.log_start().get(), 1);
    partition.close().unwrap();
    assert_eq!(partition.append(&one).unwrap_err().kind(), ErrorKind::Closed);
}

/// A leader that died before the other had a batch comes back as the follower: its tail is cut to where the logs agree.
#[test]
fn a_replica_that_diverged_is_cut_and_follows() {
    let dir = TestDir::new("replica-diverged");
    let (pair, partition) = open(&dir);
    partition.append_with(&batch(&[("both", 1)]), Acks::All).unwrap();
    *pair.cut_off.lock().unwrap() = true;
    partition.append_with(&batch(&[("lost", 2)]), Acks::Durable).unwrap();
    partition.close().unwrap();
    drop((pair, partition));

    let options = PartitionOptions::default;
    let (_, old) = LogWriter::open(dir.join("here/orders-0"), options()).unwrap();
    let (_, new) = LogWriter::open(dir.join("other/orders-0"), options()).unwrap();
    new.begin_epoch(LeaderEpoch::new(1)).unwrap();
    new.append(&batch(&[("instead", 3)]), AppendOrigin::Client).unwrap();
    let (_, agreed) = new.epoch_end(LeaderEpoch::new(0)).unwrap().unwrap();
    assert_eq!(old.truncate(agreed).unwrap().get(), 1);
    let limit = FetchLimit::bytes(10_000).up_to(ReadUpTo::Written);
    old.append_as_follower(&new.read(agreed, limit).unwrap().bytes).unwrap();
    let each = |log: &Log| [0, 1].map(|offset| log.read(Offset::new(offset), limit).unwrap().bytes);
    let (ours, theirs) = (each(&old), each(&new));
    assert_eq!(ours[1], theirs[1]);
    assert!(theirs[0].starts_with(&ours[0]), "a read ends with the segment, and the cut began one");
    assert_eq!(old.epoch_at(Offset::new(1)).unwrap(), Some(LeaderEpoch::new(1)));
    old.close().unwrap();
    new.close().unwrap();
}
