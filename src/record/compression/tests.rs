use proptest::prelude::*;

use super::*;
use crate::record::{BatchBuilder, Record, RecordBatch};
use crate::types::Timestamp;

const WIDE: DecompressionLimits = DecompressionLimits { bytes_max: 1 << 30, ratio_max: usize::MAX };

fn supported() -> impl Iterator<Item = Compression> {
    Compression::ALL.into_iter().filter(|compression| *compression != Compression::None && compression.is_supported())
}

fn compressed(compression: Compression, section: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compression.compress(None, section, &mut out).unwrap();
    out
}

fn is_codec_corruption(error: &Error) -> bool {
    matches!(error.corruption().map(|corruption| &corruption.reason), Some(CorruptionReason::Codec(_)))
}

/// Text with some order in it, as records have.
fn sample(len: usize) -> Vec<u8> {
    let words = ["river", "bed", "log", "offset", "batch", "0", "17", "-"];
    let mut state = 7u32;
    let mut out = Vec::new();
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        out.extend_from_slice(words[(state >> 29) as usize].as_bytes());
    }
    out.truncate(len);
    out
}

#[test]
fn names_and_numbers_are_kafkas() {
    let names = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (codec, name) in (0..).zip(names) {
        let compression = Compression::from_codec(codec).unwrap();
        assert_eq!((compression.name(), compression.codec()), (name, codec));
        assert_eq!(Compression::from_name(name), Some(compression));
    }
    for codec in 5..=u8::MAX {
        assert_eq!(Compression::from_codec(codec).unwrap_err().kind(), ErrorKind::UnsupportedCompression);
    }
}

#[test]
fn levels_end_where_kafkas_do() {
    let table = [
        (Compression::Gzip, vec![-1, 1, 9], vec![-2, 0, 10]),
        (Compression::Lz4, vec![1, 9, 17], vec![0, 18, -1]),
        (Compression::Zstd, vec![-131_072, 0, 3, 22], vec![-131_073, 23]),
        (Compression::Snappy, vec![], vec![0, 1]),
        (Compression::None, vec![], vec![0, 1]),
    ];
    for (compression, good, bad) in table {
        for level in good {
            compression.check_level(level).unwrap();
        }
        for level in bad {
            assert_eq!(compression.check_level(level).unwrap_err().kind(), ErrorKind::InvalidArgument, "{level}");
        }
    }
}

#[test]
fn every_level_gives_back_what_went_in() {
    let section = sample(100_000);
    let levels = [-131_072, -1, 1, 3, 6, 9, 12, 17, 19, 22];
    for compression in supported() {
        for level in levels.into_iter().filter(|level| compression.check_level(*level).is_ok()) {
            let mut stream = Vec::new();
            compression.compress(Some(level), &section, &mut stream).unwrap();
            assert!(compression.decompress(&stream, &WIDE).unwrap() == section, "{compression} at {level}");
        }
    }
}

#[test]
fn sections_around_block_sizes_come_back() {
    for compression in supported() {
        for len in [0, 1, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072, 1_000_000] {
            let section = sample(len);
            let stream = compressed(compression, &section);
            assert!(compression.decompress(&stream, &WIDE).unwrap() == section, "{compression}, {len} bytes");
        }
    }
}

#[test]
fn every_cut_and_every_byte_too_many_is_noticed() {
    let section = sample(70_000);
    for compression in supported() {
        let stream = compressed(compression, &section);
        let cuts = (0..stream.len()).filter(|cut| *cut < 100 || cut % 97 == 0 || cut + 40 > stream.len());
        for cut in cuts {
            let result = compression.decompress(&stream[..cut], &WIDE);
            let whole = result.as_ref().is_ok_and(|records| !records.is_empty() && section.starts_with(records));
            // snappy's framing has no end: a cut between blocks shows in the number of records.
            let unseen = compression == Compression::Snappy && (whole || cut == 16);
            assert!(unseen || result.is_err_and(|error| is_codec_corruption(&error)), "{compression} cut at {cut}");
        }
        let long = [&stream[..], &[0]].concat();
        assert!(is_codec_corruption(&compression.decompress(&long, &WIDE).unwrap_err()), "{compression}");
    }
}

#[test]
fn another_codecs_stream_is_refused() {
    for (right, wrong) in supported().flat_map(|right| supported().map(move |wrong| (right, wrong))) {
        let stream = compressed(right, &sample(5_000));
        if right != wrong {
            let error = wrong.decompress(&stream, &WIDE).unwrap_err();
            assert!(
                is_codec_corruption(&error) || error.kind() == ErrorKind::DecompressedTooLarge,
                "{right} as {wrong}"
            );
        }
        let twice = compressed(right, &stream);
        assert!(right.decompress(&twice, &WIDE).unwrap() == stream, "only one layer is taken off");
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 40 << 20];
    for compression in supported() {
        let stream = compressed(compression, &zeros);
        let by_size = DecompressionLimits { bytes_max: (40 << 20) - 1, ratio_max: usize::MAX };
        let error = compression.decompress(&stream, &by_size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DecompressedTooLarge, "{compression}");
        let by_ratio = DecompressionLimits { bytes_max: 1 << 30, ratio_max: 10 };
        let error = compression.decompress(&stream, &by_ratio).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DecompressedTooLarge, "{compression}");
        let exact = DecompressionLimits { bytes_max: 40 << 20, ratio_max: usize::MAX };
        assert_eq!(compression.decompress(&stream, &exact).unwrap().len(), 40 << 20, "{compression}");
    }
}

#[test]
fn the_ratio_does_not_bind_small_batches() {
    let limits = DecompressionLimits { bytes_max: 1 << 30, ratio_max: 1 };
    assert_eq!(limits.for_section(1), 16 << 20);
    assert_eq!(limits.for_section(20 << 20), 20 << 20);
    assert_eq!(DecompressionLimits::default().for_section(100 << 20), 128 << 20);
}

#[test]
fn batches_of_all_codecs_read_as_written() {
    for compression in supported() {
        let mut builder = BatchBuilder::new();
        builder.compression(compression);
        for index in 0..500 {
            let record = Record::new().key(format!("key {index}")).value("value").header("h", "x");
            builder.push(&record, Timestamp::from_millis(index)).unwrap();
        }
        let uncompressed = builder.size();
        let bytes = builder.finish().unwrap().unwrap();
        assert!(bytes.len() < uncompressed, "{compression}");
        let batch = RecordBatch::parse(bytes).unwrap();
        assert_eq!(batch.attributes().codec(), compression.codec());
        let payload = batch.payload(&DecompressionLimits::default()).unwrap();
        for (index, record) in payload.records().enumerate() {
            assert_eq!(record.unwrap().key().unwrap(), format!("key {index}").as_bytes());
        }
        assert_eq!(payload.records().count(), 500);
    }
}

#[test]
fn control_batches_are_never_compressed() {
    let mut builder = BatchBuilder::new();
    builder.compression(Compression::Gzip).control(true);
    builder.push(&Record::new().key([0; 4].as_slice()), Timestamp::NONE).unwrap();
    let batch = RecordBatch::parse(builder.finish().unwrap().unwrap()).unwrap();
    assert_eq!(batch.attributes().codec(), 0);
}

#[test]
#[cfg(feature = "gzip")]
fn gzip_is_one_member_with_a_right_checksum() {
    let one = compressed(Compression::Gzip, b"one");
    let two = [&one[..], &compressed(Compression::Gzip, b"two")].concat();
    assert!(is_codec_corruption(&Compression::Gzip.decompress(&two, &WIDE).unwrap_err()));
    let mut bad = one;
    let crc = bad.len() - 8;
    bad[crc] ^= 1;
    assert!(is_codec_corruption(&Compression::Gzip.decompress(&bad, &WIDE).unwrap_err()));
}

#[test]
#[cfg(feature = "snappy")]
fn snappy_streams_of_other_writers_are_read() {
    let raw = snap::raw::Encoder::new().compress_vec(b"raw block").unwrap();
    assert_eq!(Compression::Snappy.decompress(&raw, &WIDE).unwrap(), b"raw block");

    let [one, two] = [b"one", b"two"].map(|part| compressed(Compression::Snappy, part));
    let joined = [&one[..], &two].concat();
    assert_eq!(Compression::Snappy.decompress(&joined, &WIDE).unwrap(), b"onetwo");

    let framed = |version: u32, len: i32| {
        let magic = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
        [&magic[..], &version.to_be_bytes(), &[0, 0, 0, 1], &len.to_be_bytes(), &raw].concat()
    };
    let len = i32::try_from(raw.len()).unwrap();
    assert_eq!(Compression::Snappy.decompress(&framed(1, len), &WIDE).unwrap(), b"raw block");
    for bad in [framed(0, len), framed(1, len + 1), framed(1, -1), framed(1, i32::MAX), framed(1, len - 1)] {
        assert!(is_codec_corruption(&Compression::Snappy.decompress(&bad, &WIDE).unwrap_err()));
    }
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(Compression::Snappy.decompress(&huge, &WIDE).unwrap_err().kind(), ErrorKind::DecompressedTooLarge);
}

#[cfg(feature = "lz4")]
mod lz4_frames {
    use super::*;
    use twox_hash::XxHash32;

    /// A frame with the given flags and block code, of one block that is stored as it is.
    #[expect(clippy::little_endian_bytes, reason = "the LZ4 frame format is little-endian")]
    fn frame(flags: u8, code: u8, block: &[u8]) -> Vec<u8> {
        let mut descriptor = vec![flags, code << 4];
        if flags & 0x08 != 0 {
            descriptor.extend([0xaa; 8]);
        }
        let mut frame = vec![0x04, 0x22, 0x4d, 0x18];
        frame.extend(&descriptor);
        frame.push(XxHash32::oneshot(0, &descriptor).to_le_bytes()[1]);
        frame.extend((u32::try_from(block.len()).unwrap() | 1 << 31).to_le_bytes());
        frame.extend(block);
        if flags & 0x10 != 0 {
            frame.extend(XxHash32::oneshot(0, block).to_le_bytes());
        }
        frame.extend([0; 4]);
        if flags & 0x04 != 0 {
            frame.extend([0xbb; 4]);
        }
        frame
    }

    fn decompress(stream: &[u8]) -> Result<Vec<u8>> {
        Compression::Lz4.decompress(stream, &WIDE)
    }

    #[test]
    fn optional_fields_are_read() {
        for flags in [0x60, 0x68, 0x64, 0x70, 0x7c] {
            for code in 4..=7 {
                assert_eq!(decompress(&frame(flags, code, b"stored")).unwrap(), b"stored", "{flags:#x} {code}");
            }
        }
    }

    #[test]
    fn what_kafka_refuses_is_refused() {
        let mut rows: Vec<(&str, Vec<u8>)> = vec![
            ("dependent blocks", frame(0x40, 4, b"x")),
            ("a dictionary", frame(0x61, 4, b"x")),
            ("a reserved flag", frame(0x62, 4, b"x")),
            ("version 0", frame(0x20, 4, b"x")),
            ("version 2", frame(0xa0, 4, b"x")),
            ("a block code below 4", frame(0x60, 3, b"x")),
            ("a reserved bit beside the block code", frame(0x60, 12, b"x")),
            ("a block larger than stated", frame(0x60, 4, &[0; 65_537])),
        ];
        for (what, at) in [("header checksum", 6), ("magic", 0), ("block", 11), ("block checksum", 12)] {
            let mut bad = frame(0x70, 4, b"x");
            bad[at] ^= 1;
            rows.push((what, bad));
        }
        let mut legacy = frame(0x60, 4, b"x");
        legacy[..4].copy_from_slice(&[0x02, 0x21, 0x4c, 0x18]);
        rows.push(("the legacy format", legacy));
        for (what, stream) in rows {
            assert!(decompress(&stream).is_err_and(|error| is_codec_corruption(&error)), "{what}");
        }
    }

    #[test]
    fn a_stored_block_passes_no_limit() {
        let stream = frame(0x60, 4, &[7; 1000]);
        for (bytes_max, passes) in [(1000, true), (999, false), (0, false)] {
            let answer =
                Compression::Lz4.decompress(&stream, &DecompressionLimits { bytes_max, ratio_max: usize::MAX });
            match answer {
                Ok(bytes) => assert!(passes && bytes == [7; 1000], "{bytes_max}"),
                Err(error) => {
                    assert!(!passes && error.kind() == ErrorKind::DecompressedTooLarge, "{bytes_max}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_block_that_expands_beyond_its_frames_size_is_refused() {
        let zeros = vec![0; 70_000];
        let block = lz4_flex::block::compress(&zeros);
        let mut stream = frame(0x60, 4, &block);
        stream[10] &= 0x7f; // compressed, not stored
        assert!(decompress(&stream).is_err_and(|error| is_codec_corruption(&error)));
        let mut stream = frame(0x60, 5, &block);
        stream[10] &= 0x7f;
        assert_eq!(decompress(&stream).unwrap(), zeros);
    }

    /// For each block as much was cleared as the frame allows one to hold: a batch of 1 MiB that holds nothing but empty
    /// blocks kept a processor busy for minutes.
    #[test]
    fn blocks_of_nothing_cost_next_to_nothing() {
        let empty = frame(0x60, 7, &[0]);
        let (start, block, end) = (&empty[..7], &[1, 0, 0, 0, 0], &empty[12..]);
        let stream = [start, &block.repeat(400_000), end].concat();
        assert_eq!(decompress(&stream).unwrap(), [0; 0]);
    }
}

#[cfg(feature = "zstd")]
mod zstd_frames {
    use super::*;
    use std::io::Write;

    /// As Java's clients write it: the frame does not say how much it holds.
    fn streamed(section: &[u8], window_log: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(window_log).unwrap();
        for part in section.chunks(1000) {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    fn decompress(stream: &[u8]) -> Result<Vec<u8>> {
        Compression::Zstd.decompress(stream, &WIDE)
    }

    #[test]
    fn frames_of_unknown_size_are_read_however_far_they_expand() {
        for section in [sample(10), sample(200_000), vec![0; 20 << 20]] {
            let stream = streamed(&section, 20);
            assert_eq!(zstd::zstd_safe::get_frame_content_size(&stream).ok().flatten(), None);
            assert!(decompress(&stream).unwrap() == section);
        }
        let limits = DecompressionLimits { bytes_max: 1 << 20, ratio_max: usize::MAX };
        let error = Compression::Zstd.decompress(&streamed(&vec![0; (1 << 20) + 1], 20), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DecompressedTooLarge);
    }

    #[test]
    fn frames_one_behind_the_other_are_read_and_others_skipped() {
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let known = compressed(Compression::Zstd, b"known ");
        let stream = [&known[..], &skipped, &streamed(b"unknown", 15), &known].concat();
        assert_eq!(decompress(&stream).unwrap(), b"known unknownknown ");
    }

    #[test]
    fn windows_beyond_what_kafka_reads_are_refused() {
        let section = sample(3000);
        assert!(decompress(&streamed(&section, 27)).unwrap() == section);
        assert!(is_codec_corruption(&decompress(&streamed(&section, 28)).unwrap_err()));
    }

    #[test]
    fn a_checksum_that_is_there_is_verified() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(&sample(300)).unwrap();
        let mut stream = encoder.finish().unwrap();
        assert!(decompress(&stream).unwrap() == sample(300));
        *stream.last_mut().unwrap() ^= 1;
        assert!(is_codec_corruption(&decompress(&stream).unwrap_err()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_section_comes_back(section in proptest::collection::vec(any::<u8>(), 0..3000), repeat in 1..40usize) {
        let section = section.repeat(repeat);
        for compression in supported() {
            let stream = compressed(compression, &section);
            prop_assert!(compression.decompress(&stream, &WIDE).unwrap() == section);
        }
    }

    #[test]
    fn damaged_streams_never_panic_nor_pass_the_limit(
        len in 0..5000usize,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let limits = DecompressionLimits { bytes_max: 8000, ratio_max: 1000 };
        for compression in supported() {
            let mut stream = compressed(compression, &sample(len));
            for (at, bits) in &flips {
                let at = at.index(stream.len());
                stream[at] ^= bits;
            }
            if let Ok(records) = compression.decompress(&stream, &limits) {
                prop_assert!(records.len() <= 8000);
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let limits = DecompressionLimits { bytes_max: 8000, ratio_max: 1000 };
        for compression in supported() {
            if let Ok(records) = compression.decompress(&bytes, &limits) {
                prop_assert!(records.len() <= 8000);
            }
        }
    }
}
