//! The lock file: which start of the machine, and which mount, its last writer saw.

use riverbed::crc32;

use super::entry::{Entry, Value};
use super::report::Report;
use crate::failure::Outcome;
use crate::files::Fields;

/// What the file begins with.
pub const MAGIC: &[u8] = b"rvb-lock";

/// The checksum stands behind everything else.
const COVERED: usize = 34;

/// Prints the fields. Kafka's lock file is empty, and so is ours until a writer has opened the directory.
pub fn dump(bytes: &[u8], report: &mut Report<'_>) -> Outcome {
    if bytes.is_empty() {
        return report.remark(format!("{} is empty.", report.path().display()));
    }
    match entry(bytes) {
        None => {
            report.damage(0_u64, format!("a lock file has {} bytes, not {}", COVERED + 4, bytes.len()));
            Ok(())
        }
        Some((entry, is_valid)) => {
            if !is_valid {
                report.damage(COVERED as u64, "checksum does not fit the bytes");
            }
            report.entry(&entry)
        }
    }
}

fn entry(bytes: &[u8]) -> Option<(Entry<'_>, bool)> {
    let mut fields = Fields(bytes.strip_prefix(MAGIC)?);
    let (version, boot) = (fields.i16()?, fields.take::<16>()?);
    let (mount, crc) = (fields.i64()?, fields.u32()?);
    let is_valid = crc32(bytes.get(..COVERED)?) == crc;
    let boot = Value::Text(format!("{:032x}", u128::from_be_bytes(boot)).into());
    let entry = Entry::new().with("magic", Value::Data(MAGIC)).with("version", version).with("bootId", boot);
    let entry = entry.with("mountId", mount).with("crc", crc).with("isvalid", is_valid);
    fields.0.is_empty().then_some((entry, is_valid))
}
