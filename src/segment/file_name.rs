//! Names of a segment's files: 20 digits of base offset, then what the file holds, then what is to become of it.

use crate::types::Offset;

/// Digits of the base offset in a file's name.
const DIGITS: usize = 20;

/// What a file of a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileKind {
    /// Record batches.
    Log,
    /// Offset to position.
    OffsetIndex,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions whose marker lies in the segment.
    TransactionIndex,
    /// The producers' state in front of the offset in the name, which need not be a segment's base.
    Snapshot,
}

impl FileKind {
    /// All kinds, in the order in which a segment's files are renamed.
    pub(crate) const ALL: [FileKind; 5] =
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex, Self::Snapshot];

    /// What follows the digits in the name.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::Snapshot => ".snapshot",
        }
    }
}

/// What is to become of a file: the last part of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Suffix {
    /// It is in use.
    #[default]
    None,
    /// It is doomed.
    Deleted,
    /// Compaction's unfinished output.
    Cleaned,
    /// Compaction's finished output, about to take its place.
    Swap,
}

impl Suffix {
    const ALL: [Suffix; 4] = [Self::None, Self::Deleted, Self::Cleaned, Self::Swap];

    /// What follows the extension in the name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// The name of a file in use.
pub(crate) fn file_name(base: Offset, kind: FileKind) -> String {
    suffixed_file_name(base, kind, Suffix::None)
}

/// The name of a file with a suffix.
pub(crate) fn suffixed_file_name(base: Offset, kind: FileKind, suffix: Suffix) -> String {
    format!("{:0DIGITS$}{}{}", base.get(), kind.extension(), suffix.as_str())
}

/// What a file of this name is, or `None` if no segment has such a file. Undoes [`suffixed_file_name`], and accepts
/// nothing else.
pub(crate) fn parse_file_name(name: &str) -> Option<(Offset, FileKind, Suffix)> {
    let (digits, rest) = name.split_at_checked(DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let base = digits.parse().ok().and_then(Offset::from_i64)?;
    let kind = FileKind::ALL.into_iter().find(|kind| rest.starts_with(kind.extension()))?;
    let rest = rest.strip_prefix(kind.extension())?;
    let suffix = Suffix::ALL.into_iter().find(|suffix| suffix.as_str() == rest)?;
    Some((base, kind, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_what_it_was_made_of() {
        for base in [Offset::ZERO, Offset::new(42), Offset::MAX] {
            for kind in FileKind::ALL {
                for suffix in Suffix::ALL {
                    let name = suffixed_file_name(base, kind, suffix);
                    assert_eq!(parse_file_name(&name), Some((base, kind, suffix)), "{name}");
                }
            }
        }
        assert_eq!(file_name(Offset::new(42), FileKind::TimeIndex), "00000000000000000042.timeindex");
        assert_eq!(suffixed_file_name(Offset::ZERO, FileKind::Log, Suffix::Swap), "00000000000000000000.log.swap");
    }

    #[test]
    fn names_that_no_segment_has_are_refused() {
        for name in [
            "",
            "42.log",
            "000000000000000000042.log",
            "0000000000000000042.log",
            "00000000000000000042",
            "00000000000000000042.",
            "00000000000000000042.LOG",
            "00000000000000000042.log.bak",
            "00000000000000000042.log.swap.swap",
            "00000000000000000042.logs",
            "00000000000000000042.index2",
            "09223372036854775808.log",
            "99999999999999999999.log",
            "+0000000000000000042.log",
            "-0000000000000000042.log",
            " 0000000000000000042.log",
            "0000000000000000004é.log",
            "000000000000000000é.log",
            "leader-epoch-checkpoint",
            "00000000000000000042-0000000001.checkpoint",
        ] {
            assert_eq!(parse_file_name(name), None, "{name:?}");
        }
    }
}
