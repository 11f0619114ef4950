//! Damage is told, the rest stays readable, and no offset is given out twice.

use super::*;
use crate::io::Directory;
use crate::io::sim::{Call, CrashMode, Failure, Fault, Left, PowerCut, Random};
use crate::segment::file_name::{FileKind, file_name};

pub(super) fn directory(disk: &SimDisk) -> Arc<dyn Directory> {
    disk.root().subdirectory("a-0").unwrap()
}

pub(super) fn log_name(base: Offset) -> String {
    file_name(base, FileKind::Log)
}

/// A log of 20 records that was synced and killed, its recovery point at the end. Returns the last segment's base.
fn killed(disk: &SimDisk) -> Offset {
    let log = open(disk, UNCLEAN);
    fill(&log, 0..20);
    log.sync().unwrap();
    let last = log.segments().last().unwrap().clone();
    assert!(last.size() > 200 && last.base_offset() > Offset::ZERO, "{last:?}");
    log.shut();
    last.base_offset()
}

/// What is durable keeps its offsets, and what is appended behind the damage survives the next crash.
fn goes_on_at_20(disk: &SimDisk, below: Offset) {
    let log = open(disk, UNCLEAN);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(20));
    assert_eq!(log.recovery().damage.len(), 1, "{:?}", log.recovery());
    assert_eq!(log.recovery().cut_bytes, 0);
    let first = log.read(Offset::ZERO, FetchLimit::bytes(10_000)).unwrap();
    assert!(first.next_offset <= below && !first.is_empty());
    let lost = log.read(Offset::new(19), FetchLimit::bytes(100)).unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Corruption);
    assert_eq!(*append(&log, &["behind"]).offsets.start(), Offset::new(20));
    log.shut();
    let log = open(disk, UNCLEAN);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(21));
    let last = log.read(Offset::new(20), FetchLimit::bytes(100)).unwrap();
    assert_eq!(last.next_offset, Offset::new(21));
    log.sync().unwrap();
    log.close().unwrap().unwrap();
}

/// The file that holds the recovery point is gone. Its offsets were promised to survive.
#[test]
fn a_lost_segment_does_not_give_its_offsets_back() {
    let disk = SimDisk::new();
    let base = killed(&disk);
    directory(&disk).unlink(&log_name(base)).unwrap();
    goes_on_at_20(&disk, base);
}

/// The file that holds the recovery point ends before it.
#[test]
fn a_segment_that_lost_its_end_takes_no_more() {
    let disk = SimDisk::new();
    let base = killed(&disk);
    drop(directory(&disk).open_append(&log_name(base), 100, 1000).unwrap());
    goes_on_at_20(&disk, base);
}

/// A base offset lies outside of the checksum. A wrong one below the recovery point must neither move the log end nor
/// end the segment there.
#[test]
fn a_wrong_base_offset_below_the_recovery_point_cuts_nothing() {
    let disk = SimDisk::new();
    let base = killed(&disk);
    let path = directory(&disk).path().join(log_name(base));
    disk.flip_bit(&path, 3, 0).unwrap();
    let len = directory(&disk).list().unwrap().iter().find(|entry| entry.name == log_name(base)).unwrap().len;
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.end(ReadUpTo::Written), Offset::new(20));
    assert_eq!(log.recovery().damage.len(), 1, "{:?}", log.recovery());
    log.sync().unwrap();
    let trimmed = directory(&disk).list().unwrap().iter().find(|entry| entry.name == log_name(base)).unwrap().len;
    assert!(trimmed > 200 && trimmed <= len, "{trimmed} of {len}");
}

/// Damage that opening leaves as it is hides the segments behind it. A cut on the user's word removes them: they would
/// be taken for what comes next once the log has grown up to them.
#[test]
fn segments_behind_damage_go_with_the_cut() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..40);
    let bases: Vec<Offset> = log.segments().iter().map(|segment| segment.base_offset()).collect();
    log.shut();
    let path = directory(&disk).path().join(log_name(bases[1]));
    disk.flip_bit(&path, 65, 0).unwrap();
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.end(ReadUpTo::Written), bases[1]);
    assert_eq!(log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err().kind(), ErrorKind::Corruption);
    assert_eq!(log.truncate(bases[1]).unwrap(), bases[1]);
    for _ in bases[1].get()..45 {
        append(&log, &["other"]);
    }
    let written = values(&log, ReadUpTo::Written);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.recovery().cut_bytes, 0);
    assert_eq!(values(&log, ReadUpTo::Written), written);
}

/// A page of zeros in the middle of a sealed segment is damage, and no reason to go on with the next segment.
#[test]
fn zeros_in_a_sealed_segment_are_not_its_end() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..20);
    let second = log.segments()[1].base_offset();
    let ends = log.close().unwrap().unwrap();
    let mut bytes = directory(&disk).read(&log_name(Offset::ZERO), 1000).unwrap();
    let size = bytes.len() / usize::try_from(second.get()).unwrap();
    bytes[2 * size..4 * size].fill(0);
    directory(&disk).put(&log_name(Offset::ZERO), &bytes).unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    let limit = FetchLimit::bytes(10_000);
    assert_eq!(log.read(Offset::ZERO, limit).unwrap().next_offset, Offset::new(2));
    assert_eq!(log.read(Offset::new(2), limit).unwrap_err().kind(), ErrorKind::Corruption);
    assert!(!log.read(second, limit).unwrap().is_empty());
}

/// Whoever waits for a mark that cannot be reached any more is told so.
#[test]
fn a_failed_sync_ends_the_wait_for_a_mark() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..1);
    disk.fail(Fault::next(Call::Sync, Failure::Device));
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::Io);
    let timeout = Some(std::time::Duration::from_millis(50));
    let error = log.wait_mark(Offset::new(1), ReadUpTo::Durable, timeout).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PreviousFailure);
}

/// A cut that finds no room for the lowered recovery point has changed nothing.
#[test]
fn a_cut_on_a_full_disk_can_be_tried_again() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..10);
    log.sync().unwrap();
    disk.fail(Fault::next(Call::Create, Failure::Full).on("log-checkpoint.tmp"));
    assert_eq!(log.truncate(Offset::new(5)).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..10));
    fill(&log, 10..11);
    assert_eq!(log.truncate(Offset::new(5)).unwrap(), Offset::new(5));
    assert_eq!(values(&log, ReadUpTo::Durable), numbered(0..5));
}

/// The transaction index, which was not needed until now, cannot be read. The marker that asked for it must not be half
/// there: written, and not counted.
#[test]
fn an_abort_that_finds_no_transaction_index_leaves_nothing_behind() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    transactions::abort_one(&log);
    let ends = log.close().unwrap().unwrap();
    let log = open(&disk, LastClose::Clean(ends));
    disk.fail(Fault::next(Call::Read, Failure::Device).on(".txnindex"));
    assert_eq!(transactions::try_abort_another(&log).unwrap_err().kind(), ErrorKind::Io);
    transactions::try_abort_another(&log).unwrap();
    let end = log.end(ReadUpTo::Written);
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.recovery().cut_bytes, 0);
    assert_eq!(log.end(ReadUpTo::Written), end);
    assert_eq!(transactions::aborted(&log), [7, 7]);
}

/// The last batches in front of the log end are damaged so that not even their headers can be read. The place of the cut
/// was looked for by walking over them, and so nobody could cut them off.
#[test]
fn a_damaged_tail_can_be_cut_off() {
    for byte in [7, 11, 16] {
        let disk = SimDisk::new();
        let log = open(&disk, UNCLEAN);
        fill(&log, 0..20);
        let last = log.segments().last().unwrap().base_offset();
        let size = log.segments().last().unwrap().size() / (20 - last.get());
        let ends = log.close().unwrap().unwrap();
        let broken = last.get() + 1;
        disk.flip_bit(&directory(&disk).path().join(log_name(last)), size + byte, 1).unwrap();
        let log = open(&disk, LastClose::Clean(ends));
        let error = log.truncate(Offset::new(19)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "byte {byte}");
        assert!(error.to_string().contains(&format!("behind offset {broken} is damaged")), "{error}");
        assert_eq!(log.truncate(Offset::new(broken)).unwrap(), Offset::new(broken));
        for _ in broken..25 {
            append(&log, &["other"]);
        }
        let written = values(&log, ReadUpTo::Written);
        assert_eq!(written.len(), 25);
        log.shut();
        let log = open(&disk, UNCLEAN);
        assert_eq!(log.recovery().damage, []);
        assert_eq!(values(&log, ReadUpTo::Written), written);
    }
}

/// A sync fails, and the kernel calls clean what never reached the disk. Opened again, the log found it all there and
/// right, and a sync of it answered success: a power cut then took records that had been called durable.
#[test]
fn what_a_failed_sync_lost_is_written_again_before_it_counts_as_durable() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..10);
    log.sync().unwrap();
    fill(&log, 10..20);
    disk.fail(Fault::next(Call::Sync, Failure::Device).on(".log"));
    log.sync().unwrap_err();
    log.shut();
    assert!(disk.has_lost_writes());
    disk.fail(Fault::next(Call::Append, Failure::Full).on(".log.tmp"));
    let log = open(&disk, UNCLEAN);
    assert_eq!(log.append(&batch(&["x"]), AppendOrigin::Client).unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert_eq!(log.sync().unwrap_err().kind(), ErrorKind::PreviousFailure);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
    log.shut();
    let log = open(&disk, UNCLEAN);
    assert!(!disk.has_lost_writes());
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
    assert_eq!(log.sync().unwrap(), Offset::new(20));
    log.shut();
    let power_cut = CrashMode::PowerCut(PowerCut::leaving(Left::Nothing));
    let cut = disk.crash_state(&mut Random::new(1), power_cut);
    let log = open(&cut, LastClose::Unclean { same_power: false });
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
}

/// A checksum keeps nobody from writing a mark. One that says the log ends where a segment with batches begins had the
/// first append unlink that segment's file.
#[test]
fn a_forged_clean_mark_removes_no_segment() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..20);
    let ends = log.close().unwrap().unwrap();
    assert!(ends.last_len > 0 && ends.last_base < ends.log_end);
    let forged = super::super::Ends { log_end: ends.last_base, last_stable: ends.last_base, ..ends };
    let log = open(&disk, LastClose::Clean(forged));
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..20));
    fill(&log, 20..22);
    assert_eq!(values(&log, ReadUpTo::Written), numbered(0..22));
}

/// Damage below the recovery point took with it all that came behind, up to the recovery point: the opening made the
/// index anew from what it could walk over, and wrote that over the one that knew where the next batches are.
#[test]
fn what_the_index_knew_behind_damage_stays_readable() {
    let disk = SimDisk::new();
    let directory = disk.root().create_subdirectory("a-0").unwrap();
    let mut small = options(UNCLEAN, 1 << 20);
    Arc::make_mut(&mut small.config).set("index.interval.bytes", "400").unwrap();
    let log = Log::open(Arc::clone(&directory), &small).unwrap();
    fill(&log, 0..30);
    log.close().unwrap().unwrap();
    let entries = log.segments()[0].indexes().offset_entries();
    assert!(entries.len() >= 3, "{entries:?}");
    // The second batch's length.
    let second = batch(&["value 0"]).bytes().len() as u64;
    disk.flip_bit(&directory.path().join(log_name(Offset::ZERO)), second + 8, 7).unwrap();
    for round in 0..2 {
        let log = Log::open(Arc::clone(&directory), &small).unwrap();
        assert_eq!(log.recovery().damage.len(), 1, "{:?}", log.recovery());
        let fetch = |offset| log.read(Offset::new(offset), FetchLimit::bytes(1));
        for offset in 0..30 + round {
            let readable = offset == 0 || offset >= entries[0].offset.get();
            match fetch(offset) {
                Ok(fetched) => assert!(readable && fetched.next_offset.get() == offset + 1, "{offset}"),
                Err(error) => assert!(!readable && error.kind() == ErrorKind::Corruption, "{offset}: {error}"),
            }
        }
        append(&log, &["behind"]);
        log.close().unwrap().unwrap();
    }
}

/// A reader beside a writer looks again at the directory where a read fails. The writer did so too: it took the segments
/// and the tail of a read-only opening for its own, and its log start went up to the first file.
#[test]
fn a_damaged_batch_does_not_change_what_the_writer_knows() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..30);
    log.sync().unwrap();
    disk.flip_bit(&directory(&disk).path().join(log_name(Offset::ZERO)), 70, 0).unwrap();
    let before = log.segments();
    assert_eq!(log.read(Offset::ZERO, FetchLimit::bytes(1)).unwrap_err().kind(), ErrorKind::Corruption);
    let after = log.segments();
    assert!(before.len() == after.len() && before.iter().zip(&after).all(|(one, other)| Arc::ptr_eq(one, other)));
    fill(&log, 30..31);
    let fetched = log.read(Offset::new(30), FetchLimit::bytes(1).up_to(ReadUpTo::Written)).unwrap();
    assert_eq!(fetched.next_offset, Offset::new(31));
}

/// A damaged header said that its batch ended beyond the log: a reader up to the end was told nothing, again and again,
/// and never that something is damaged.
#[test]
fn a_batch_that_claims_to_end_beyond_the_log_is_damage() {
    let disk = SimDisk::new();
    let log = open(&disk, UNCLEAN);
    fill(&log, 0..3);
    log.sync().unwrap();
    let place = crate::record::batch_header::LAST_OFFSET_DELTA.start as u64;
    disk.flip_bit(&directory(&disk).path().join(log_name(Offset::ZERO)), place + 1, 0).unwrap();
    for up_to in [ReadUpTo::Written, ReadUpTo::Durable] {
        for offset in 0..3 {
            let read = log.read(Offset::new(offset), FetchLimit::bytes(1).up_to(up_to));
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Corruption, "{offset}");
        }
    }
}
