//! What a partition's directory holds, and what an opening has to tidy up first. Pure: names in, decisions out.
//!
//! The passes are those of Kafka's `LogLoader`: doomed files go, an interrupted swap of compaction is finished or
//! reverted, index files without a log go.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Corruption, CorruptionReason, Error, Result};
use crate::io::{Entry, EntryKind};
use crate::segment::file_name::{FileKind, Suffix, file_name, parse_file_name, suffixed_file_name};
use crate::types::Offset;

/// The largest log file that the format allows.
const LOG_LEN_MAX: u64 = i32::MAX as u64;

/// The files of one segment that are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFiles {
    /// The base offset in the names.
    pub(crate) base: Offset,
    /// Length of the `.log`.
    pub(crate) log_len: u64,
    /// Length of the `.index`, if there is one.
    pub(crate) offset_index_len: Option<u64>,
    /// Length of the `.timeindex`, if there is one.
    pub(crate) time_index_len: Option<u64>,
    /// Whether there is a `.txnindex`.
    pub(crate) has_transaction_index: bool,
}

/// What is in use, and what is to be done to the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// By base offset, ascending.
    pub(crate) segments: Vec<SegmentFiles>,
    /// Offsets of the producer snapshots, ascending.
    pub(crate) snapshots: Vec<Offset>,
    /// Names to unlink, durably before all else: what an interrupted swap that is given up had renamed. Alone it would
    /// be taken for a swap to be finished.
    pub(crate) given_up: Vec<String>,
    /// Names to unlink.
    pub(crate) doomed: Vec<String>,
    /// Names to change, in order: the end of an interrupted swap.
    pub(crate) renames: Vec<(String, String)>,
    /// Whether a sync failed, and what it was to make durable has not been written again.
    pub(crate) sync_failed: bool,
    /// Names that are none of a partition's.
    pub(crate) foreign: Vec<String>,
}

/// Files that belong to a partition beside those of its segments.
const KNOWN: [&str; 3] = ["leader-epoch-checkpoint", "partition.metadata", super::checkpoint::FILE];

type Named = BTreeMap<(Offset, FileKind), u64>;

impl Layout {
    /// Reads `entries`, the contents of the directory at `path`. `swap_end` tells the offset behind the last batch of a
    /// `.log.swap` file, by its name and length.
    ///
    /// # Errors
    /// [`ErrorKind::Corruption`](crate::ErrorKind::Corruption) for a name of a segment's file that is not a file, or a
    /// log file larger than the format allows; what `swap_end` answers.
    pub(crate) fn of(path: &Path, entries: &[Entry], swap_end: &dyn Fn(&str, u64) -> Result<Offset>) -> Result<Self> {
        let mut layout = Self::default();
        let (mut used, mut swaps, mut cleaned) = (Named::new(), Named::new(), Named::new());
        for entry in entries {
            let Some((base, kind, suffix)) = parse_file_name(&entry.name) else {
                layout.take_other(entry);
                continue;
            };
            check_entry(path, entry, kind)?;
            match suffix {
                Suffix::None => used.insert((base, kind), entry.len),
                Suffix::Swap => swaps.insert((base, kind), entry.len),
                Suffix::Cleaned => cleaned.insert((base, kind), entry.len),
                Suffix::Deleted => {
                    layout.doomed.push(entry.name.clone());
                    None
                }
            };
        }
        layout.revert_unfinished(&mut swaps, &cleaned);
        layout.finish_swaps(&mut used, swaps, swap_end)?;
        layout.sort(used);
        layout.drop_stray_snapshots();
        Ok(layout)
    }

    /// Whether the log file of the segment at `base` is about to be exchanged.
    pub(crate) fn is_exchanged(&self, base: Offset) -> bool {
        let name = file_name(base, FileKind::Log);
        self.renames.iter().any(|(_, to)| *to == name)
    }

    /// Snapshots are kept at the bases of segments, and the newest of all others if it is of the last segment: an
    /// earlier close wrote it. (`ProducerStateManager.removeStraySnapshots`)
    fn drop_stray_snapshots(&mut self) {
        let is_base = |offset: &Offset| self.segments.binary_search_by_key(offset, |segment| segment.base).is_ok();
        let (kept, mut stray): (Vec<_>, Vec<_>) = self.snapshots.drain(..).partition(is_base);
        let last = self.segments.last().map_or(Offset::ZERO, |last| last.base);
        self.snapshots = kept;
        self.snapshots.extend(stray.pop_if(|newest| *newest >= last));
        self.doomed.extend(stray.into_iter().map(|offset| file_name(offset, FileKind::Snapshot)));
    }

    fn take_other(&mut self, entry: &Entry) {
        if entry.kind == EntryKind::File && entry.name.ends_with(".tmp") {
            self.doomed.push(entry.name.clone());
        } else if entry.name == super::lost_sync::FILE {
            self.sync_failed = true;
        } else if !KNOWN.contains(&entry.name.as_str()) {
            self.foreign.push(entry.name.clone());
        }
    }

    /// A `.cleaned` file means that not all new segments were named `.swap`: those from it on are given up.
    fn revert_unfinished(&mut self, swaps: &mut Named, cleaned: &Named) {
        if let Some((lowest, _)) = cleaned.keys().next() {
            let given_up = swaps.keys().filter(|(base, _)| base >= lowest).copied().collect::<Vec<_>>();
            for key in given_up {
                swaps.remove(&key);
                self.given_up.push(suffixed_file_name(key.0, key.1, Suffix::Swap));
            }
        }
        self.doomed.extend(cleaned.keys().map(|(base, kind)| suffixed_file_name(*base, *kind, Suffix::Cleaned)));
    }

    /// All files in the range of the remaining `.log.swap` files are replaced by them.
    fn finish_swaps(
        &mut self,
        used: &mut Named,
        swaps: Named,
        swap_end: &dyn Fn(&str, u64) -> Result<Offset>,
    ) -> Result<()> {
        let mut range: Option<(Offset, Offset)> = None;
        for ((base, _), len) in swaps.iter().filter(|((_, kind), _)| *kind == FileKind::Log) {
            let end = swap_end(&suffixed_file_name(*base, FileKind::Log, Suffix::Swap), *len)?;
            range = Some(range.map_or((*base, end), |(first, last)| (first.min(*base), last.max(end))));
        }
        if let Some((first, end)) = range {
            let replaced = used.keys().filter(|(base, _)| *base >= first && *base < end).copied().collect::<Vec<_>>();
            for key in replaced {
                used.remove(&key);
                if !swaps.contains_key(&key) {
                    self.doomed.push(file_name(key.0, key.1));
                }
            }
        }
        for ((base, kind), len) in swaps {
            self.renames.push((suffixed_file_name(base, kind, Suffix::Swap), file_name(base, kind)));
            used.insert((base, kind), len);
        }
        Ok(())
    }

    /// Sorts what is in use into segments and snapshots; index files without a log are doomed.
    fn sort(&mut self, used: Named) {
        for ((base, kind), len) in &used {
            match kind {
                FileKind::Log => self.segments.push(SegmentFiles {
                    base: *base,
                    log_len: *len,
                    offset_index_len: used.get(&(*base, FileKind::OffsetIndex)).copied(),
                    time_index_len: used.get(&(*base, FileKind::TimeIndex)).copied(),
                    has_transaction_index: used.contains_key(&(*base, FileKind::TransactionIndex)),
                }),
                FileKind::Snapshot => self.snapshots.push(*base),
                _ if !used.contains_key(&(*base, FileKind::Log)) => self.doomed.push(file_name(*base, *kind)),
                _ => {}
            }
        }
    }
}

fn check_entry(path: &Path, entry: &Entry, kind: FileKind) -> Result<()> {
    let damage = |reason: String| -> Error {
        let path = Some(path.join(&entry.name));
        Corruption { path, position: 0, reason: CorruptionReason::Layout(reason) }.into()
    };
    if entry.kind != EntryKind::File {
        return Err(damage("has a segment file's name but is no file".to_owned()));
    }
    if kind == FileKind::Log && entry.len > LOG_LEN_MAX {
        return Err(damage(format!("log file has {} bytes, at most {LOG_LEN_MAX} are possible", entry.len)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Entry {
        Entry { name: name.to_owned(), kind: EntryKind::File, len: 100 }
    }

    fn layout(names: &[&str]) -> Layout {
        let entries: Vec<Entry> = names.iter().map(|name| file(name)).collect();
        Layout::of(Path::new("a-0"), &entries, &|_, _| Ok(Offset::new(20))).unwrap()
    }

    fn bases(layout: &Layout) -> Vec<u64> {
        layout.segments.iter().map(|segment| segment.base.get()).collect()
    }

    #[test]
    fn doomed_and_orphaned_files_go() {
        let found = layout(&[
            "00000000000000000005.log",
            "00000000000000000005.index",
            "00000000000000000000.log.deleted",
            "00000000000000000007.timeindex",
            "00000000000000000009.snapshot",
            "log-checkpoint",
            "log-checkpoint.tmp",
            "notes.txt",
        ]);
        assert_eq!(bases(&found), [5]);
        assert_eq!(found.segments[0].offset_index_len, Some(100));
        assert_eq!(found.segments[0].time_index_len, None);
        assert_eq!(found.snapshots, [Offset::new(9)]);
        let doomed = ["00000000000000000000.log.deleted", "log-checkpoint.tmp", "00000000000000000007.timeindex"];
        assert_eq!(found.doomed, doomed);
        assert_eq!(found.foreign, ["notes.txt"]);
    }

    /// Kafka's crash table of a replacement of segments 0 and 10 by a new 0 that ends at 20.
    #[test]
    fn an_interrupted_swap_is_finished_or_reverted() {
        let old = ["00000000000000000000.log", "00000000000000000010.log", "00000000000000000020.log"];
        let with = |more: &[&str]| layout(&[&old[..], more].concat());

        let only_cleaned = with(&["00000000000000000000.log.cleaned"]);
        assert_eq!(bases(&only_cleaned), [0, 10, 20]);
        assert_eq!(only_cleaned.doomed, ["00000000000000000000.log.cleaned"]);

        let half = with(&["00000000000000000000.log.cleaned", "00000000000000000010.log.swap"]);
        assert_eq!(bases(&half), [0, 10, 20]);
        assert_eq!(half.renames, []);
        assert_eq!(half.given_up, ["00000000000000000010.log.swap"]);
        assert_eq!(half.doomed, ["00000000000000000000.log.cleaned"]);

        let all_swap = with(&["00000000000000000000.log.swap", "00000000000000000000.index.swap"]);
        assert_eq!(bases(&all_swap), [0, 20]);
        assert_eq!(all_swap.doomed, ["00000000000000000010.log"]);
        assert_eq!(all_swap.renames.len(), 2);

        let half_renamed = layout(&["00000000000000000000.log", "00000000000000000000.timeindex.swap"]);
        assert_eq!(bases(&half_renamed), [0]);
        assert_eq!(half_renamed.segments[0].time_index_len, Some(100));
        assert_eq!(half_renamed.doomed, Vec::<String>::new());
    }

    #[test]
    fn a_segment_name_that_is_no_file_is_damage() {
        for (kind, len) in [(EntryKind::Directory, 0), (EntryKind::Other, 0), (EntryKind::File, 1 << 31)] {
            let entry = Entry { name: "00000000000000000000.log".to_owned(), kind, len };
            let error = Layout::of(Path::new("a-0"), &[entry], &|_, _| Ok(Offset::ZERO)).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Corruption);
        }
    }
}
