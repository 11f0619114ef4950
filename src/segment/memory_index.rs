//! The active segment's offset and time index, in memory: one writer adds to it, readers search it without a lock.
//!
//! Its entries are those that Kafka writes, so that a sealed segment's files follow from its batches alone.

use crate::segment::offset_index::{OFFSET_ENTRY_LEN, OffsetEntry, OffsetIndex, relative_offset};
use crate::segment::series::Series;
use crate::segment::time_index::{TIME_ENTRY_LEN, TimeEntry, TimeIndex};
use crate::sync::{Arc, AtomicBool, AtomicI64, Ordering};
use crate::types::{Offset, Position, Timestamp};

/// What readers search. 20 bytes for each pair of entries.
#[derive(Debug)]
pub(crate) struct MemoryIndex {
    base: Offset,
    /// Relative offset, position.
    offsets: Series<2>,
    /// Timestamp's high and low half, relative offset.
    times: Series<3>,
    /// The largest timestamp of any batch; it stands alone and only ever grows.
    max_timestamp: AtomicI64,
    /// Whether batches were lost before they could be counted: then a later timestamp than all of these may be lost too.
    has_holes: AtomicBool,
}

impl MemoryIndex {
    fn new(base: Offset) -> Self {
        Self {
            base,
            offsets: Series::new(),
            times: Series::new(),
            max_timestamp: AtomicI64::new(Timestamp::NONE.millis()),
            has_holes: AtomicBool::new(false),
        }
    }

    /// The segment's base.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// The entry with the greatest offset at or below `target`. Without one, a search starts at the segment's start.
    pub(crate) fn floor(&self, target: Offset) -> Option<OffsetEntry> {
        let target = target.since(self.base)?;
        let above = self.offsets.partition_point(|[relative, _]| u64::from(relative) <= target);
        self.offset_entry(above.checked_sub(1)?)
    }

    /// The first offset that certainly lies behind the bytes up to `end`, as of [`OffsetIndex::upper_bound`].
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn upper_bound(&self, end: u64) -> Option<Offset> {
        let place = self.offsets.partition_point(|[_, position]| u64::from(position) < end);
        self.offset_entry(place).map(|entry| entry.offset)
    }

    /// The entry with the greatest timestamp at or below `target`. Without one, a search starts at the segment's start.
    pub(crate) fn time_floor(&self, target: Timestamp) -> Option<TimeEntry> {
        let above = self.times.partition_point(|words| timestamp(words) <= target);
        let words = self.times.get(above.checked_sub(1)?)?;
        Some(TimeEntry { timestamp: timestamp(words), offset: self.offset(words[2])? })
    }

    /// The largest timestamp of any batch, [`Timestamp::NONE`] if none has one. The time index need not know it yet.
    pub(crate) fn max_timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.max_timestamp.load(Ordering::Acquire))
    }

    /// Whether it lacks batches that were lost.
    pub(crate) fn has_holes(&self) -> bool {
        self.has_holes.load(Ordering::Acquire)
    }

    /// What the sealed segment's offset index file holds.
    pub(crate) fn to_offset_index_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.offsets.len() * OFFSET_ENTRY_LEN);
        bytes.extend(self.offsets.iter().flatten().flat_map(u32::to_be_bytes));
        bytes
    }

    /// What the sealed segment's time index file holds. With holes it is empty, so that it is made anew, and the holes
    /// found again: it would be believed.
    pub(crate) fn to_time_index_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.times.len() * TIME_ENTRY_LEN);
        if self.has_holes() {
            return bytes;
        }
        bytes.extend(self.times.iter().flatten().flat_map(u32::to_be_bytes));
        bytes
    }

    fn offset_entry(&self, place: usize) -> Option<OffsetEntry> {
        let [relative, position] = self.offsets.get(place)?;
        Some(OffsetEntry { offset: self.offset(relative)?, position: Position::new(u64::from(position))? })
    }

    fn offset(&self, relative: u32) -> Option<Offset> {
        self.base.checked_add(u64::from(relative))
    }
}

fn timestamp([high, low, _]: [u32; 3]) -> Timestamp {
    Timestamp::from_millis((u64::from(high) << 32 | u64::from(low)).cast_signed())
}

fn time_words(entry: TimeEntry, relative: u32) -> [u32; 3] {
    let bytes = entry.timestamp.millis().to_be_bytes();
    let [a, b, c, d, e, f, g, h] = bytes;
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]), relative]
}

/// When the index gets an entry, and when it is full: settings of the topic as of when the segment was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexSettings {
    /// `index.interval.bytes`.
    pub(crate) interval: u32,
    /// `segment.index.bytes`.
    pub(crate) max_bytes: u32,
}

/// The writer's side of a [`MemoryIndex`]: decides which batches get an entry.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    index: Arc<MemoryIndex>,
    settings: IndexSettings,
    offset_count: usize,
    time_count: usize,
    last_time: Option<TimeEntry>,
    /// The largest timestamp so far, and the last offset of the batch that first had it.
    max: Option<TimeEntry>,
    bytes_since_entry: u64,
}

impl IndexWriter {
    /// The index of a new segment.
    pub(crate) fn new(base: Offset, settings: IndexSettings) -> Self {
        Self {
            index: Arc::new(MemoryIndex::new(base)),
            settings,
            offset_count: 0,
            time_count: 0,
            last_time: None,
            max: None,
            bytes_since_entry: 0,
        }
    }

    /// The index of a segment that was closed and is to grow again, from its files. It goes on behind their entries.
    pub(crate) fn resume(settings: IndexSettings, offsets: &OffsetIndex<'_>, times: &TimeIndex<'_>) -> Self {
        let mut writer = Self::new(offsets.base(), settings);
        for entry in offsets.iter() {
            writer.push_offset(entry);
        }
        for entry in times.iter() {
            writer.raise_max(entry);
            writer.push_max_timestamp();
        }
        writer
    }

    /// What readers are to search.
    pub(crate) fn index(&self) -> &Arc<MemoryIndex> {
        &self.index
    }

    /// Counts a batch that was appended at `position`, and adds entries if more than the interval lies behind the last
    /// ones. The first batch of a segment never gets any. Called for each batch in order, whether it was just appended
    /// or is walked over again.
    ///
    /// `max_timestamp` is [`Timestamp::NONE`] where no record of the batch has one.
    #[inline]
    pub(crate) fn on_append(&mut self, last_offset: Offset, position: Position, size: u64, max_timestamp: Timestamp) {
        self.raise_max(TimeEntry { timestamp: max_timestamp, offset: last_offset });
        if self.bytes_since_entry > u64::from(self.settings.interval) {
            self.push_offset(OffsetEntry { offset: last_offset, position });
            if self.max.is_some_and(|max| max.offset < self.furthest()) {
                self.push_max_timestamp();
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += size;
    }

    /// What lies in front of the next batch is damaged: it gets an entry, so that a search need not come through there.
    pub(crate) fn skip_damage(&mut self) {
        self.bytes_since_entry = u64::from(self.settings.interval) + 1;
        self.index.has_holes.store(true, Ordering::Release);
    }

    /// Adds the last time entry, with the segment's largest timestamp: when the segment is sealed or closed. Where it lies
    /// too far from the base for an entry, the furthest offset that has one stands for it: a search from there finds it.
    pub(crate) fn seal(&mut self) {
        let furthest = self.furthest();
        self.max = self.max.map(|max| TimeEntry { offset: max.offset.min(furthest), ..max });
        self.push_max_timestamp();
    }

    /// The largest timestamp so far, and the last offset of the batch that first had it.
    #[cfg_attr(not(test), expect(dead_code, reason = "compaction asks for it, which is not there yet"))]
    pub(crate) fn max_timestamp(&self) -> Option<TimeEntry> {
        self.max
    }

    /// Whether one of the files would have no room for another entry. The time index's last slot is kept for
    /// [`IndexWriter::seal`].
    pub(crate) fn is_full(&self) -> bool {
        let max_bytes = usize::try_from(self.settings.max_bytes).unwrap_or(usize::MAX);
        self.offset_count >= max_bytes / OFFSET_ENTRY_LEN || self.time_count + 1 >= max_bytes / TIME_ENTRY_LEN
    }

    /// The last offset that an entry can have.
    fn furthest(&self) -> Offset {
        self.index.offset(i32::MAX.cast_unsigned()).unwrap_or(Offset::MAX)
    }

    fn raise_max(&mut self, seen: TimeEntry) {
        let last = self.max.map_or(Timestamp::NONE, |max| max.timestamp);
        if seen.timestamp > last {
            self.max = Some(seen);
            self.index.max_timestamp.store(seen.timestamp.millis(), Ordering::Release);
        }
    }

    fn push_offset(&mut self, entry: OffsetEntry) {
        if let Some(relative) = relative_offset(entry.offset, self.index.base) {
            self.index.offsets.push(self.offset_count, [relative, entry.position.get()]);
            self.offset_count += 1;
        }
    }

    fn push_max_timestamp(&mut self) {
        if let Some(entry) = self.max.filter(|max| max.extends(self.last_time))
            && let Some(relative) = relative_offset(entry.offset, self.index.base)
        {
            self.index.times.push(self.time_count, time_words(entry, relative));
            self.time_count += 1;
            self.last_time = Some(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::BatchHeader;
    use crate::segment::file_name::{FileKind, file_name, parse_file_name};

    const BASE: Offset = Offset::new(100);

    fn settings(interval: u32) -> IndexSettings {
        IndexSettings { interval, max_bytes: 1 << 20 }
    }

    /// Batches of (offsets, bytes, timestamp), one behind the other from the start of the segment.
    fn append(writer: &mut IndexWriter, batches: &[(u64, u64, i64)]) {
        let (mut next, mut position) = (BASE.get(), 0);
        for (count, size, time) in batches {
            let place = Position::new(position).unwrap();
            writer.on_append(Offset::new(next + count - 1), place, *size, Timestamp::from_millis(*time));
            next += count;
            position += size;
        }
    }

    fn built(interval: u32, batches: &[(u64, u64, i64)]) -> IndexWriter {
        let mut writer = IndexWriter::new(BASE, settings(interval));
        append(&mut writer, batches);
        writer
    }

    /// Offset and position, timestamp and offset.
    type Entries = (Vec<(u64, u32)>, Vec<(i64, u64)>);

    fn entries(writer: &IndexWriter) -> Entries {
        let (offsets, times) = (writer.index.to_offset_index_bytes(), writer.index.to_time_index_bytes());
        let offsets = OffsetIndex::new(&offsets, BASE).iter().map(|e| (e.offset.get(), e.position.get())).collect();
        let times = TimeIndex::new(&times, BASE).iter().map(|e| (e.timestamp.millis(), e.offset.get())).collect();
        (offsets, times)
    }

    #[test]
    fn an_entry_comes_once_more_than_the_interval_lies_behind_the_last_one() {
        let ten = [(2, 100, 5); 10];
        assert_eq!(entries(&built(300, &ten)).0, [(109, 400), (117, 800)]);
        assert_eq!(entries(&built(299, &ten)).0, [(107, 300), (113, 600), (119, 900)]);
        assert_eq!(entries(&built(0, &ten)).0.len(), 9);
        assert_eq!(entries(&built(u32::MAX, &ten)).0, []);
    }

    #[test]
    fn a_time_entry_has_the_largest_timestamp_and_where_it_was_first_reached() {
        let times = [10, 30, 30, 20, 30, 40, 5];
        let mut writer = built(0, &times.map(|time| (1, 100, time)));
        assert_eq!(entries(&writer).1, [(30, 101), (40, 105)]);
        assert_eq!(writer.max_timestamp().unwrap().offset, Offset::new(105));
        writer.seal();
        assert_eq!(entries(&writer).1, [(30, 101), (40, 105)]);
        assert_eq!(writer.index().max_timestamp().millis(), 40);
    }

    #[test]
    fn sealing_adds_the_last_timestamp_once() {
        let mut writer = built(4096, &[(1, 100, 10), (1, 100, 20)]);
        assert_eq!(entries(&writer).1, []);
        writer.seal();
        writer.seal();
        assert_eq!(entries(&writer).1, [(20, 101)]);
        let mut timeless = built(0, &[(1, 100, -1), (1, 100, -1)]);
        timeless.seal();
        assert_eq!(entries(&timeless).1, []);
        assert_eq!((timeless.max_timestamp(), timeless.index().max_timestamp()), (None, Timestamp::NONE));
    }

    #[test]
    fn a_full_index_keeps_one_slot_for_the_last_timestamp() {
        for (max_bytes, batches) in [(0, 0), (4, 0), (23, 0), (24, 2), (36, 3), (60, 5)] {
            let mut writer = IndexWriter::new(BASE, IndexSettings { interval: 0, max_bytes });
            let mut appended = 0;
            while !writer.is_full() {
                let place = Position::new(appended * 10).unwrap();
                let time = Timestamp::from_millis(appended.cast_signed());
                writer.on_append(Offset::new(BASE.get() + appended), place, 10, time);
                appended += 1;
            }
            assert_eq!(appended, batches, "{max_bytes}");
            writer.seal();
            assert!(writer.index.to_time_index_bytes().len() <= max_bytes.max(12) as usize);
        }
        let same_time = |writer: &mut IndexWriter| append(writer, &[(1, 100, 7); 5]);
        let mut writer = IndexWriter::new(BASE, IndexSettings { interval: 0, max_bytes: 36 });
        same_time(&mut writer);
        assert!(writer.is_full(), "4 entries of 8 bytes fill 36");
    }

    #[test]
    fn an_offset_too_far_from_the_base_gets_no_entry() {
        let mut writer = IndexWriter::new(BASE, settings(0));
        for (place, offset, time) in [(0, 100, 0), (10, 101, 10), (20, 100 + (1 << 31), 30), (30, 99, 20)] {
            let time = Timestamp::from_millis(time);
            writer.on_append(Offset::new(offset), Position::new(place).unwrap(), 10, time);
        }
        assert_eq!(entries(&writer), (vec![(101, 10)], vec![(10, 101)]));
        writer.seal();
        let furthest = 99 + (1 << 31);
        assert_eq!(entries(&writer), (vec![(101, 10)], vec![(10, 101), (30, furthest)]), "the last time is kept");
    }

    #[test]
    fn a_closed_segment_goes_on_behind_its_entries() {
        let batches = [(3, 500, 10), (3, 600, 9), (3, 700, 30), (3, 800, 20)];
        let mut writer = built(512, &batches);
        writer.seal();
        let (offsets, times) = (writer.index.to_offset_index_bytes(), writer.index.to_time_index_bytes());
        let (offsets_read, times_read) = (OffsetIndex::new(&offsets, BASE), TimeIndex::new(&times, BASE));
        let mut resumed = IndexWriter::resume(settings(512), &offsets_read, &times_read);
        assert_eq!(entries(&resumed), entries(&writer));
        assert_eq!(resumed.max_timestamp(), writer.max_timestamp());
        let (before, position) = (entries(&writer), Position::new(2600).unwrap());
        resumed.on_append(Offset::new(112), position, 900, Timestamp::from_millis(40));
        assert_eq!(entries(&resumed), before, "the counter starts at 0 again");
        resumed.on_append(Offset::new(113), Position::new(3500).unwrap(), 10, Timestamp::from_millis(40));
        assert_eq!(entries(&resumed).0.last(), Some(&(113, 3500)));
        assert_eq!(entries(&resumed).1.last(), Some(&(40, 112)));
    }

    /// Kafka's own files: base, then batches, offset index and time index.
    type GoldenSegment = (Offset, [Vec<u8>; 3]);

    /// Every segment of a partition.
    fn golden_segments(topic: &str) -> Vec<GoldenSegment> {
        let directory = format!("{}/tests/golden/kafka-4.3.1/log/{topic}", env!("CARGO_MANIFEST_DIR"));
        let names =
            std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let bases = names.filter_map(|name| parse_file_name(&name)).filter(|(_, kind, _)| *kind == FileKind::Log);
        let read = |base, kind| std::fs::read(format!("{directory}/{}", file_name(base, kind))).unwrap();
        let kinds = [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex];
        let segment = |(base, ..): (Offset, _, _)| (base, kinds.map(|kind| read(base, kind)));
        bases.map(segment).collect()
    }

    #[test]
    fn a_walk_over_kafkas_batches_gives_kafkas_index_files() {
        let mut entries = 0;
        let partitions = [
            ("plain-0", 4096),
            ("segments-0", 300),
            ("transactions-0", 1024),
            ("codec-lz4-0", 1024),
            ("transactions-segments-0", 4096),
            ("compacted-0", 4096),
        ];
        for (topic, interval) in partitions {
            for (base, [log, offsets, times]) in golden_segments(topic) {
                let mut writer = IndexWriter::new(base, settings(interval));
                let mut position = 0;
                while position < log.len() {
                    let header = BatchHeader::parse(&log[position..]).unwrap();
                    let place = Position::new(position as u64).unwrap();
                    writer.on_append(header.last_offset(), place, header.size() as u64, header.max_timestamp);
                    position += header.size();
                }
                writer.seal();
                assert_eq!(writer.index.to_offset_index_bytes(), offsets, "{topic} {base}");
                assert_eq!(writer.index.to_time_index_bytes(), times, "{topic} {base}");
                entries += offsets.len() / OFFSET_ENTRY_LEN;
            }
        }
        assert!(entries > 100, "only {entries} entries compared");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn searching_memory_and_searching_the_files_answer_the_same(
            batches in prop::collection::vec((1u64..50, 61u64..3000, -1i64..500), 0..200),
            interval in 0u32..5000,
            target in 0u64..6000,
        ) {
            let writer = built(interval, &batches);
            let (offsets, times) = (writer.index.to_offset_index_bytes(), writer.index.to_time_index_bytes());
            let (offsets, times) = (OffsetIndex::new(&offsets, BASE), TimeIndex::new(&times, BASE));
            let (index, time) = (writer.index(), Timestamp::from_millis(target.cast_signed() / 10));
            prop_assert_eq!(index.floor(Offset::new(target)), offsets.floor(Offset::new(target)));
            prop_assert_eq!(index.upper_bound(target * 100), offsets.upper_bound(target * 100));
            prop_assert_eq!(index.time_floor(time), times.floor(time));
            offsets.check_all(u64::MAX).unwrap();
            times.check_all(Offset::MAX).unwrap();
        }
    }
}
