//! Standard input, read by a thread of its own, so that an interrupt is noticed while it keeps waiting.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::interrupt::Interrupt;

/// How much is read at once, and how many such pieces may wait.
const CHUNK: usize = 1 << 16;
const CHUNKS: usize = 4;

/// How often to look whether the user has interrupted.
const PAUSE: Duration = Duration::from_millis(50);

/// Standard input. Fails once the user has interrupted.
#[derive(Debug)]
pub struct Input {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// What was received and not yet read, from `read` on.
    chunk: Vec<u8>,
    read: usize,
    interrupt: Interrupt,
}

impl Input {
    /// Starts reading.
    pub fn start(interrupt: &Interrupt) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(CHUNKS);
        thread::Builder::new().name("input".into()).spawn(move || read_all(&mut io::stdin(), &sender))?;
        Ok(Self { chunks, chunk: Vec::new(), read: 0, interrupt: interrupt.clone() })
    }

    /// Waits for the next piece. False at the end.
    fn receive(&mut self) -> io::Result<bool> {
        loop {
            match self.chunks.recv_timeout(PAUSE) {
                Ok(chunk) => {
                    (self.chunk, self.read) = (chunk?, 0);
                    return Ok(true);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) if self.interrupt.check().is_err() => {
                    return Err(io::Error::other("interrupted"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.chunk.len() && !self.receive()? {
            return Ok(0);
        }
        let len = self.chunk.get(self.read..).unwrap_or_default().read(buffer)?;
        self.read += len;
        Ok(len)
    }
}

/// Sends everything there is, and ends when nobody wants it any more.
fn read_all(input: &mut dyn Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => Ok(buffer.get(..len).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = chunk.is_err();
        if sender.send(chunk).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }

    #[test]
    fn everything_is_sent_up_to_the_end_or_a_failure() {
        let (sender, receiver) = sync_channel(99);
        read_all(&mut vec![7; CHUNK + 1].as_slice().chain(Broken), &sender);
        drop(sender);
        let chunks: Vec<io::Result<Vec<u8>>> = receiver.iter().collect();
        let lengths: Vec<Option<usize>> =
            chunks.iter().map(|chunk| chunk.as_ref().ok().map(|chunk| chunk.len())).collect();
        assert_eq!(lengths, [Some(CHUNK), Some(1), None]);
    }
}
