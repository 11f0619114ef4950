//! One look at a file: all of it where it is mapped, or else a window that is read where it is looked at.

use std::fmt;

use bytes::Bytes;

use super::View;
use crate::error::Result;

/// How many bytes a window reads at first: a few index intervals would be more than most answers need.
const FIRST_STEP: usize = 8 << 10;
/// How many it reads at a time when it is moved on and on.
const LARGEST_STEP: usize = 256 << 10;

/// What a search has in view of a file.
#[derive(Debug)]
pub enum Look {
    /// All published bytes, mapped: they never change.
    Whole(View),
    /// Bytes of a file that another process may be writing.
    Window(Window),
}

impl Look {
    /// Where the bytes end.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(view) => view.len(),
            Self::Window(window) => window.end,
        }
    }

    /// What stands from `position` on: `wanted` bytes at least, or all there are.
    ///
    /// # Errors
    /// What reading a file can answer.
    pub(crate) fn at(&mut self, position: usize, wanted: usize) -> Result<&[u8]> {
        match self {
            Self::Whole(view) => Ok(view.get(position..).unwrap_or_default()),
            Self::Window(window) => window.at(position, wanted),
        }
    }

    /// Keeps what stands from `position` on in view from now on, so that it can be [sliced](Self::slice). About `limit`
    /// bytes of it will be.
    pub(crate) fn hold(&mut self, position: usize, limit: usize) {
        if let Self::Window(window) = self {
            window.held = Some((position, position.saturating_add(limit)));
        }
    }

    /// Bytes that are all in view, as a slice that owns them.
    pub(crate) fn slice(self, from: usize, to: usize) -> Bytes {
        match self {
            Self::Whole(view) => view.slice(from..to),
            Self::Window(window) => {
                let start = window.start;
                Bytes::from(window.bytes).slice(from - start..to - start)
            }
        }
    }
}

/// One file, kept open: what its name comes to mean later does not matter.
pub(super) trait Pinned: Send {
    /// Reads what stands at `position` into `bytes`, less only where the file ends. Answers how much that was.
    fn read_at(&self, position: u64, bytes: &mut [u8]) -> Result<usize>;
}

/// A part of a file, which is read when it is asked for, and moves.
pub struct Window {
    file: Box<dyn Pinned>,
    /// Where the file ends: as it was opened, or earlier where it has become shorter.
    end: usize,
    /// Where in the file the bytes begin.
    start: usize,
    bytes: Vec<u8>,
    step: usize,
    /// From where on nothing is dropped, and up to where it is read ahead.
    held: Option<(usize, usize)>,
}

impl Window {
    /// On `file`, which has `len` bytes. Nothing of it is read yet.
    pub(super) fn new(file: Box<dyn Pinned>, len: u64) -> Self {
        let end = usize::try_from(len).unwrap_or(usize::MAX);
        Self { file, end, start: 0, bytes: Vec::new(), step: FIRST_STEP, held: None }
    }

    fn at(&mut self, position: usize, wanted: usize) -> Result<&[u8]> {
        let wanted_end = position.saturating_add(wanted).min(self.end);
        if position < self.start || wanted_end > self.start + self.bytes.len() {
            self.read(position, wanted_end)?;
        }
        Ok(position.checked_sub(self.start).and_then(|from| self.bytes.get(from..)).unwrap_or_default())
    }

    /// Moves on to `position`, and reads up to `wanted_end` at least.
    fn read(&mut self, position: usize, wanted_end: usize) -> Result<()> {
        let known_end = self.start + self.bytes.len();
        let kept = self.held.map_or(position, |(from, _)| from.min(position));
        if kept < self.start || kept > known_end {
            self.bytes.clear();
            self.start = kept;
        } else {
            self.bytes.drain(..kept - self.start);
            self.start = kept;
        }
        let from = self.start + self.bytes.len();
        let ahead = self.held.map_or(usize::MAX, |(_, to)| to).min(from.saturating_add(self.step));
        self.step = (2 * self.step).min(LARGEST_STEP);
        let to = ahead.max(wanted_end).min(self.end).max(from);
        let known = self.bytes.len();
        self.bytes.try_reserve(to - from).map_err(|_| super::tail_region::no_memory(to - from))?;
        self.bytes.resize(known + (to - from), 0);
        let read = self.file.read_at(from as u64, &mut self.bytes[known..]);
        self.bytes.truncate(known + read.as_ref().copied().unwrap_or(0));
        if read? < to - from {
            self.end = self.start + self.bytes.len();
        }
        Ok(())
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("start", &self.start).field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicUsize, Ordering};

    /// A file of bytes that tell where they stand, and how many of them were read.
    struct Numbered {
        len: usize,
        read: Arc<AtomicUsize>,
    }

    impl Pinned for Numbered {
        fn read_at(&self, position: u64, bytes: &mut [u8]) -> Result<usize> {
            let position = usize::try_from(position).unwrap();
            let count = bytes.len().min(self.len.saturating_sub(position));
            bytes[..count].copy_from_slice(&numbered(position..position + count));
            self.read.fetch_add(count, Ordering::Relaxed);
            Ok(count)
        }
    }

    fn numbered(range: std::ops::Range<usize>) -> Vec<u8> {
        range.map(|place| u8::try_from(place * 31 % 251).unwrap()).collect()
    }

    fn look(len: usize, found: usize) -> (Look, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let file = Numbered { len: found, read: Arc::clone(&read) };
        (Look::Window(Window::new(Box::new(file), len as u64)), read)
    }

    #[test]
    fn a_window_shows_what_stands_there_wherever_it_moves() {
        let (mut look, _) = look(1 << 20, 1 << 20);
        for (position, wanted) in [(0, 61), (100, 61), (8190, 61), (500_000, 70_000), (3, 1), ((1 << 20) - 5, 61)] {
            let shown = look.at(position, wanted).unwrap();
            assert!(shown.len() >= wanted.min((1 << 20) - position), "{position} {wanted}");
            assert_eq!(shown, numbered(position..position + shown.len()), "{position} {wanted}");
        }
        assert!(look.at(1 << 20, 61).unwrap().is_empty());
        assert!(look.at(usize::MAX, 61).unwrap().is_empty());
    }

    #[test]
    fn what_is_held_stays_in_view_and_is_read_once() {
        let (mut look, read) = look(1 << 20, 1 << 20);
        look.at(1000, 61).unwrap();
        look.hold(2000, 100_000);
        for position in (2000..102_000).step_by(500) {
            look.at(position, 61).unwrap();
        }
        assert!(read.load(Ordering::Relaxed) <= 8192 + 101_000 + 61);
        assert_eq!(look.slice(2000, 102_000), numbered(2000..102_000));
    }

    #[test]
    fn a_walk_over_all_bytes_reads_each_of_them_once() {
        let (mut look, read) = look(3_000_000, 3_000_000);
        for position in (0..3_000_000).step_by(777) {
            look.at(position, 61).unwrap();
        }
        assert!(read.load(Ordering::Relaxed) <= 3_000_000);
    }

    #[test]
    fn a_file_that_became_shorter_ends_where_it_does() {
        let (mut look, _) = look(100_000, 9000);
        assert_eq!(look.at(8000, 61).unwrap(), numbered(8000..9000));
        assert_eq!((look.at(8990, 61).unwrap().len(), look.len()), (10, 9000));
        assert!(look.at(9000, 61).unwrap().is_empty());
    }
}
