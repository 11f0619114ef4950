//! How a read-only log sees what a writer in another process has added since.

use crate::error::{Error, ErrorKind, Result};
use crate::log::Log;
use crate::log::open::{LastClose, LogOptions, OpenMode};
use crate::sync::Arc;

impl Log {
    /// Looks again, for a log that was opened read-only: at segments that are gone or new, and at what was appended.
    ///
    /// `last_close` is how the log was left, as the opener sees it now. What readers hold stays as it is. Where the writer cut the tail, the log end goes back.
    ///
    /// # Errors
    /// What opening can answer.
    pub(crate) fn refresh(&self, last_close: LastClose) -> Result<()> {
        if !self.read_only {
            return Err(Error::new(ErrorKind::Unsupported, "only a read-only log is refreshed"));
        }
        self.check_open()?;
        let options = LogOptions {
            config: self.config(),
            clock: Arc::clone(&self.clock),
            mode: OpenMode::ReadOnly,
            last_close,
            verify_always: self.verify_always,
        };
        let fresh = Log::open(Arc::clone(&self.directory), &options)?;
        let mut writer = self.writer.lock();
        let mut fresh_writer = fresh.writer.lock();
        writer.tail = fresh_writer.tail.take();
        // What a writer's cut took back is taken back first: no new segment is read up to an old mark.
        let lowered = writer.marks.lower_of(&fresh_writer.marks);
        self.marks.store(&writer.marks, &lowered);
        self.publish(&writer, fresh.segments.load().as_ref().clone());
        self.marks.store(&lowered, &fresh_writer.marks);
        // Behind the segments: what it says of them is never older than they are.
        self.checkpoint.adopt(fresh.checkpoint.get());
        writer.marks = fresh_writer.marks;
        drop(fresh_writer);
        drop(writer);
        self.moved();
        Ok(())
    }
}
