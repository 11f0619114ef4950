//! For people who build brokers: one partition, encoded batches as a client sends them, raw batches back, idempotent
//! producers, and a segment's bytes sent from file to socket by the kernel.
//!
//! ```sh
//! cargo run --release --example bare_partitions
//! ```

#![allow(clippy::print_stdout, reason = "an example: it prints")]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;

use riverbed::{
    BatchBuilder, Batches, Compression, ErrorKind, FetchLimit, LogConfig, Offset, Partition, PartitionOptions,
    ProducerEpoch, ProducerId, Record, Sequence, Timestamp,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bare/clicks-0");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let mut config = LogConfig::default();
    config.set("segment.bytes", "20000")?;
    let partition = Partition::open(&dir, PartitionOptions::default().config(config))?;

    // A produce request carries encoded batches. The log checks them, assigns offsets, and keeps the payload as it is.
    for n in 0..200 {
        partition.append(&produce_request(n)?)?;
    }
    let (log_start, marks) = partition.offsets();
    println!("appended: log start {log_start}, log end {}, {} segments", marks.end, partition.segments().len());

    // The client did not see the answer and sends again: it gets the offsets that its records have.
    let again = partition.append(&produce_request(199)?)?;
    println!("sent again: offsets {:?}, duplicate: {}", again.offsets, again.duplicate);
    match partition.append(&produce_request(300)?) {
        Err(error) if error.kind() == ErrorKind::OutOfOrderSequence => println!("refused: {error}"),
        other => return Err(format!("a gap was not refused: {other:?}").into()),
    }

    // A fetch answers whole batches, a slice of the mapped file: nothing is copied, decompressed or decoded.
    let fetched = partition.fetch(Offset::new(1_000), FetchLimit::bytes(50_000))?;
    println!(
        "fetched: {} bytes, {} batches, next {}",
        fetched.bytes.len(),
        fetched.batches().count(),
        fetched.next_offset
    );

    // The same bytes go to a socket without passing through this process.
    let range = fetched.file_range()?.ok_or("there are batches")?;
    let received = send(&range)?;
    let batches = Batches::new(&received).map(|(_, batch)| batch).collect::<riverbed::Result<Vec<_>>>()?;
    println!(
        "sent bytes {:?} of the file: {} whole batches on the other side, the same: {}",
        range.range,
        batches.len(),
        received == fetched.bytes
    );

    partition.close()?;
    println!("closed: Kafka's tools read {}", dir.display());
    Ok(())
}

/// Ten clicks from an idempotent producer, compressed by the client.
fn produce_request(n: i32) -> Result<Vec<u8>, Failure> {
    let mut builder = BatchBuilder::new();
    builder.compression(Compression::Lz4);
    builder.producer(ProducerId::new(4_000), ProducerEpoch::new(0), Sequence::new(n * 10));
    for i in 0..10 {
        let record = Record::new().key(format!("user-{}", i % 3)).value(format!("page {n}.{i} was looked at"));
        builder.push(&record, Timestamp::from_millis(1_700_000_000_000 + i64::from(n)))?;
    }
    Ok(builder.finish()?.ok_or("ten records make a batch")?.to_vec())
}

/// Sends the range over a loopback connection: `sendfile`, with an offset of its own, from page cache to socket.
fn send(range: &riverbed::FileRange) -> Result<Vec<u8>, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let Range { mut start, end } = range.range.clone();
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || -> std::io::Result<()> {
            while start < end {
                let count = usize::try_from(end - start).unwrap_or(usize::MAX);
                rustix::fs::sendfile(&server, &range.file, Some(&mut start), count)?;
            }
            Ok(())
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received)?;
        sender.join().map_err(|_| "the sender panicked")??;
        Ok(received)
    })
}
