//! One file: what the page cache holds, and what of it a power cut may take back.

use std::ops::Range;

use super::draw::{Choose, Cut, Sector};
use crate::sync::Arc;

/// Write-back happens by pages.
pub(super) const PAGE: usize = 4096;

/// Which part of an append a store is. Some crash modes keep one and drop the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The first part of an append: a header.
    Head,
    /// The second part of an append.
    Body,
    /// A file written whole: a checkpoint, an index.
    Whole,
    /// Zeros written ahead, or left by a cut.
    Zeros,
}

/// A file's bytes as processes see them, and how to take back each store since the last sync.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// Up to the last byte ever stored; from there to `len` all is zero.
    bytes: Arc<Vec<u8>>,
    len: u64,
    /// Not yet durable, oldest first.
    stores: Vec<Store>,
    /// The lengths the file had since its last sync, oldest first, each with the event that ended it.
    lengths: Vec<(u64, u64)>,
    /// Stores whose write-back failed: in the page cache, marked clean, never on disk.
    lost: Vec<Store>,
    /// How many write-backs failed, for those who had the file open then.
    failures: u32,
}

/// A store that can be taken back.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// The number of the event that did it.
    pub(super) seq: u64,
    pub(super) part: Part,
    at: usize,
    len: usize,
    /// What was there; zeros behind its end.
    before: Vec<u8>,
}

impl Store {
    fn range(&self) -> Range<usize> {
        self.at..self.at + self.len
    }

    /// Takes the store back in the part of `within` that it touched.
    fn undo(&self, bytes: &mut Vec<u8>, within: Range<usize>) {
        let (from, to) = (self.at.max(within.start), (self.at + self.len).min(within.end));
        if from >= to {
            return;
        }
        if bytes.len() < to {
            bytes.resize(to, 0);
        }
        let held = (self.at + self.before.len()).clamp(from, to);
        if from < held {
            bytes[from..held].copy_from_slice(&self.before[from - self.at..held - self.at]);
        }
        bytes[held..to].fill(0);
    }

    /// The same, but each word of 8 bytes whose bit is set in `kept` stays.
    fn tear(&self, bytes: &mut Vec<u8>, within: Range<usize>, kept: u64) {
        for (word, start) in (within.start..within.end).step_by(8).enumerate() {
            if kept >> (word % 64) & 1 == 0 {
                self.undo(bytes, start..(start + 8).min(within.end));
            }
        }
    }

    /// The store in pieces that each lie in one page.
    fn pages(&self) -> impl Iterator<Item = Store> + '_ {
        let (first, end) = (self.at / PAGE, (self.at + self.len).div_ceil(PAGE));
        (first..end).map(move |page| {
            let (from, to) = (self.at.max(page * PAGE), (self.at + self.len).min((page + 1) * PAGE));
            let before = self.before.iter().skip(from - self.at).take(to - from).copied().collect();
            Store { seq: self.seq, part: self.part, at: from, len: to - from, before }
        })
    }
}

impl File {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether a power cut leaves the file as it is.
    pub(super) fn is_durable(&self) -> bool {
        self.stores.is_empty() && self.lengths.is_empty() && self.lost.is_empty()
    }

    /// The first `len` bytes, shared where they were all stored: later stores copy. Reading changes nothing, or a
    /// history would tell another story than the disk that it is of.
    pub(super) fn snapshot(&self, len: usize) -> Arc<Vec<u8>> {
        if self.bytes.len() >= len {
            return Arc::clone(&self.bytes);
        }
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&self.bytes);
        bytes.resize(len, 0);
        Arc::new(bytes)
    }

    /// All bytes, copied.
    pub(super) fn contents(&self) -> Vec<u8> {
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        self.snapshot(len)[..len].to_vec()
    }

    pub(super) fn store(&mut self, seq: u64, at: usize, new: &[u8], part: Part) {
        // Zeros over zeros change nothing.
        let held = self.bytes.len().saturating_sub(at);
        let new = if part == Part::Zeros { &new[..new.len().min(held)] } else { new };
        if new.is_empty() {
            return;
        }
        let end = at + new.len();
        self.dirty_again(seq, at..end);
        let bytes = Arc::make_mut(&mut self.bytes);
        let before = bytes.get(at..end.min(bytes.len())).unwrap_or_default().to_vec();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[at..end].copy_from_slice(new);
        self.stores.push(Store { seq, part, at, len: new.len(), before });
    }

    /// Cuts the file, or lengthens it with zeros.
    pub(super) fn set_len(&mut self, seq: u64, len: u64) {
        let keep = usize::try_from(len).unwrap_or(usize::MAX);
        if len < self.len {
            // The rest of the last page is zeroed.
            self.dirty_again(seq, keep..keep + 1);
            self.lost.retain(|store| store.at < keep);
        }
        if keep < self.bytes.len() {
            let before = Arc::make_mut(&mut self.bytes).split_off(keep);
            self.stores.push(Store { seq, part: Part::Zeros, at: keep, len: before.len(), before });
        }
        if len != self.len {
            self.lengths.push((seq, self.len));
            self.len = len;
        }
    }

    pub(super) fn sync(&mut self) {
        self.stores.clear();
        self.lengths.clear();
    }

    /// What the kernel does when write-back fails: the pages keep their new bytes but count as clean, so that no later
    /// sync writes them.
    pub(super) fn fail_sync(&mut self) {
        if !self.stores.is_empty() {
            self.failures += 1;
        }
        for store in self.stores.drain(..) {
            self.lost.extend(store.pages());
        }
    }

    /// A store into a page makes the whole page dirty, with what was lost of it.
    fn dirty_again(&mut self, seq: u64, range: Range<usize>) {
        if self.lost.is_empty() {
            return;
        }
        let pages = range.start / PAGE..range.end.div_ceil(PAGE);
        for mut store in self.lost.extract_if(.., |store| pages.contains(&(store.at / PAGE))) {
            store.seq = seq;
            self.stores.push(store);
        }
    }

    /// Pages whose write-back failed may be dropped from the cache at any time: then the old bytes are read.
    pub(super) fn evict_lost(&mut self) {
        let bytes = Arc::make_mut(&mut self.bytes);
        for store in self.lost.drain(..).rev() {
            store.undo(bytes, store.range());
        }
    }

    /// Turns a bit for good, if there is such a byte.
    pub(super) fn flip(&mut self, at: u64, bit: u8) {
        if at >= self.len {
            return;
        }
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = Arc::make_mut(&mut self.bytes);
        if bytes.len() <= at {
            bytes.resize(at + 1, 0);
        }
        bytes[at] ^= 1u8.wrapping_shl(bit.into());
    }

    /// Whether bytes whose write-back failed are still shown.
    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// How many sectors a power cut may change.
    pub(super) fn dirty_sectors(&self, sector: usize) -> usize {
        self.touched(sector).chunk_by(|a, b| a.0 == b.0).count()
    }

    /// A file that a power cut may leave of this one.
    pub(super) fn after_power_cut(&self, choose: &mut dyn Choose) -> File {
        if self.is_durable() {
            return File { bytes: Arc::clone(&self.bytes), len: self.len, ..File::default() };
        }
        let mut bytes = self.bytes.as_ref().clone();
        for store in self.lost.iter().rev() {
            store.undo(&mut bytes, store.range());
        }
        let touched = self.touched(choose.sector_size());
        let last_page = touched.last().map(|(sector, _)| sector * choose.sector_size() / PAGE);
        for group in touched.chunk_by(|a, b| a.0 == b.0) {
            self.cut_sector(&mut bytes, group, last_page, choose);
        }
        if let Some(&(sector, _)) = touched.last()
            && let Some(mut noise) = choose.garble()
        {
            let page = sector * choose.sector_size() / PAGE * PAGE;
            let start = page + noise.index(PAGE / choose.sector_size()) * choose.sector_size();
            for byte in bytes.iter_mut().skip(start).take(choose.sector_size()) {
                *byte = noise.bits().to_be_bytes()[0];
            }
        }
        let len = self.length_after(choose);
        bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        File { bytes: Arc::new(bytes), len, ..File::default() }
    }

    fn cut_sector(
        &self,
        bytes: &mut Vec<u8>,
        group: &[(usize, usize)],
        last_page: Option<usize>,
        choose: &mut dyn Choose,
    ) {
        let Some(&(number, _)) = group.first() else { return };
        let size = choose.sector_size();
        let range = number * size..(number + 1) * size;
        let stores: Vec<&Store> = group.iter().map(|&(_, index)| &self.stores[index]).collect();
        let Cut { kept, torn } =
            choose.cut(&Sector { stores: &stores, in_last_page: last_page == Some(range.start / PAGE) });
        for (index, store) in stores.iter().enumerate().skip(kept).rev() {
            match torn {
                Some(words) if index == kept => store.tear(bytes, range.clone(), words),
                _ => store.undo(bytes, range.clone()),
            }
        }
    }

    fn length_after(&self, choose: &mut dyn Choose) -> u64 {
        let kept = if self.lengths.is_empty() { 0 } else { choose.length(&self.lengths) };
        self.lengths.get(kept).map_or(self.len, |&(_, before)| before)
    }

    /// Each sector that a store since the last sync touched, with the store's index; by sector, then oldest first.
    fn touched(&self, size: usize) -> Vec<(usize, usize)> {
        let mut touched = Vec::new();
        for (index, store) in self.stores.iter().enumerate() {
            let sectors = store.at / size..(store.at + store.len).div_ceil(size);
            touched.extend(sectors.map(|sector| (sector, index)));
        }
        touched.sort_unstable();
        touched
    }
}
