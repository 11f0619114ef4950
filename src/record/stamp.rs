//! What a leader writes into the header of a batch that somebody else has encoded.

use super::batch_header::{
    ATTRIBUTES, Attributes, BASE_OFFSET, CRC, CRC_START, HEADER_LEN, LEADER_EPOCH, MAX_TIMESTAMP,
};
use super::checksum::crc32c_of;
use crate::types::{LeaderEpoch, Offset, Timestamp, TimestampType};

/// Gives a batch its place and its leader. Touches nothing that the checksum covers.
#[inline]
pub(crate) fn stamp(header: &mut [u8; HEADER_LEN], base_offset: Offset, leader_epoch: LeaderEpoch) {
    header[BASE_OFFSET].copy_from_slice(&base_offset.as_i64().to_be_bytes());
    header[LEADER_EPOCH].copy_from_slice(&leader_epoch.get().to_be_bytes());
}

/// Sets whose time counts and the largest timestamp. The checksum, which covers both, is computed again over `header`
/// and `section`, unless both were right already.
///
/// With [`TimestampType::LogAppendTime`] `max_timestamp` is the time of the append, and stands for all records.
pub(crate) fn stamp_time(
    header: &mut [u8; HEADER_LEN],
    section: &[u8],
    timestamp_type: TimestampType,
    max_timestamp: Timestamp,
) {
    let before = *header;
    let [high, low] = [header[ATTRIBUTES.start], header[ATTRIBUTES.start + 1]];
    let attributes = Attributes::from_bits(i16::from_be_bytes([high, low])).with_timestamp_type(timestamp_type);
    header[ATTRIBUTES].copy_from_slice(&attributes.bits().to_be_bytes());
    header[MAX_TIMESTAMP].copy_from_slice(&max_timestamp.millis().to_be_bytes());
    if *header != before {
        let crc = crc32c_of(&[&header[CRC_START..], section]);
        header[CRC].copy_from_slice(&crc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordBatch;
    use crate::record::vectors::{ALL, THREE, hex};

    fn split(bytes: &[u8]) -> ([u8; HEADER_LEN], &[u8]) {
        let (header, section) = bytes.split_first_chunk().unwrap();
        (*header, section)
    }

    #[test]
    fn place_and_leader_change_without_the_checksum() {
        for vector in ALL {
            let bytes = hex(vector);
            let (mut header, section) = split(&bytes);
            stamp(&mut header, Offset::new(1 << 40), LeaderEpoch::new(77));
            let batch = RecordBatch::parse([&header[..], section].concat()).unwrap();
            assert_eq!(
                (batch.base_offset(), batch.header().leader_epoch),
                (Offset::new(1 << 40), LeaderEpoch::new(77))
            );
            assert_eq!(batch.header().crc, RecordBatch::parse(bytes).unwrap().header().crc);
        }
    }

    #[test]
    fn a_new_time_gets_a_new_checksum() {
        let bytes = hex(THREE);
        let (mut header, section) = split(&bytes);
        stamp_time(&mut header, section, TimestampType::LogAppendTime, Timestamp::from_millis(42));
        let batch = RecordBatch::parse([&header[..], section].concat()).unwrap();
        assert_eq!(batch.max_timestamp().millis(), 42);
        assert_eq!(batch.attributes().timestamp_type(), TimestampType::LogAppendTime);

        stamp_time(&mut header, section, TimestampType::CreateTime, Timestamp::from_millis(1_700_000_000_005));
        assert_eq!([&header[..], section].concat(), bytes, "there and back");
    }

    #[test]
    fn the_same_time_leaves_the_header_alone() {
        let mut bytes = hex(THREE);
        bytes[CRC].copy_from_slice(&[0; 4]);
        let (mut header, section) = split(&bytes);
        stamp_time(&mut header, section, TimestampType::CreateTime, Timestamp::from_millis(1_700_000_000_005));
        assert_eq!(header[..], bytes[..HEADER_LEN]);
    }
}
