//! A view of published bytes, and the slices that own just their range and keep the mapping alive.

use std::fmt;
use std::ops::{Deref, Range};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::Arc;

/// Keeps the memory of a [`View`] alive and says where it is.
pub(crate) trait Mapping: Send + Sync + 'static {
    /// The first `end` bytes, all published, so that they never change. Others may be written to at any time: no slice
    /// ever covers them.
    ///
    /// # Panics
    /// If fewer bytes are published.
    fn bytes(&self, end: usize) -> &[u8];

    /// Whether it shows zeros where a page could not be had: the guard against `SIGBUS` did that.
    fn lacks_pages(&self) -> bool {
        false
    }

    /// What tells it from all other mappings; `None` for a copy of its own.
    fn source(&self) -> Option<Source> {
        None
    }
}

/// Which memory a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// No two mappings of a process have the same one, and a later one has a greater one.
    pub(crate) number: u64,
    /// Bytes that it may come to show, published or not.
    pub(crate) len: usize,
}

/// Published bytes of one file, as of when the view was taken. Cheap to clone; keeps the mapping alive.
#[derive(Clone)]
pub struct View {
    mapping: Arc<dyn Mapping>,
    range: Range<usize>,
}

impl View {
    /// The first `len` bytes of `mapping`, all published.
    pub(crate) fn new(mapping: Arc<dyn Mapping>, len: usize) -> Self {
        assert_eq!(mapping.bytes(len).len(), len, "a view lies inside its mapping");
        Self { mapping, range: 0..len }
    }

    /// A view of just `range`, which is clipped at the end of this one.
    pub(crate) fn window(&self, range: Range<usize>) -> Self {
        let end = self.range.start.saturating_add(range.end).min(self.range.end);
        let start = self.range.start.saturating_add(range.start).min(end);
        Self { mapping: Arc::clone(&self.mapping), range: start..end }
    }

    /// Which mapping it shows, or `None` if it is a copy, made for this view.
    pub(crate) fn source(&self) -> Option<Source> {
        self.mapping.source()
    }

    /// Whether all that was read through the view was the file's: to be asked before what was found is believed.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] once a page of the file could not be read.
    pub(crate) fn check_pages(&self) -> Result<()> {
        if self.mapping.lacks_pages() {
            return Err(Error::new(ErrorKind::Io, "a page of the file could not be read"));
        }
        Ok(())
    }

    /// A slice that owns just `range`.
    ///
    /// # Panics
    /// If `range` is not inside the view.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        assert!(range.start <= range.end && range.end <= self.len(), "a slice lies inside its view");
        Bytes::from_owner(self.window(range))
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.mapping.bytes(self.range.end)[self.range.start..]
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("range", &self.range).finish_non_exhaustive()
    }
}
