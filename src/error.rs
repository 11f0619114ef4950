//! One error type for the crate: the kind says what the caller can do, the message what happened.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller of a failed call can do about it. One list for the library, the command line and its shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A command line or shell line that is not understood.
    Usage,
    /// An argument out of its range.
    InvalidArgument,
    /// A topic name that is not allowed.
    InvalidTopic,
    /// A config name or value that is not allowed.
    InvalidConfig,
    /// A topic of this name exists.
    TopicExists,
    /// The name differs from that of a topic only in `.` and `_`.
    TopicCollision,
    /// No such topic, or it was deleted.
    UnknownTopic,
    /// The topic has no such partition.
    UnknownPartition,
    /// The offset lies below the log start or above the log end.
    OffsetOutOfRange,
    /// A record or batch that breaks the rules of the format or of the topic.
    InvalidRecord,
    /// A record's timestamp is outside of what the topic allows.
    InvalidTimestamp,
    /// A batch larger than `max.message.bytes` or than a segment.
    BatchTooLarge,
    /// A batch of another format version than 2.
    UnsupportedMagic,
    /// A codec that does not exist or is not compiled in.
    UnsupportedCompression,
    /// A file of a newer version.
    UnsupportedVersion,
    /// A batch that expands beyond the cap.
    DecompressedTooLarge,
    /// A producer's sequence does not follow the last one.
    OutOfOrderSequence,
    /// The coordinator does not know this producer.
    UnknownProducer,
    /// A newer incarnation of this producer exists.
    ProducerFenced,
    /// The call does not fit the state of the transaction.
    InvalidTxnState,
    /// Bytes that are not what was written.
    Corruption,
    /// No room on the file system. Free some and try again: nothing was acknowledged, and nothing is lost. An append has
    /// changed nothing; what removes records may have removed some of them.
    StorageFull,
    /// An earlier write or sync failed; the partition takes no more writes until it is reopened.
    PreviousFailure,
    /// The operating system refused.
    Io,
    /// Another process or handle has the directory open for writing.
    AlreadyOpen,
    /// The directory belongs to Kafka: open it read-only, or adopt it.
    ForeignDirectory,
    /// Opened read-only, or the file system is.
    ReadOnly,
    /// There is no such file or directory.
    NotFound,
    /// The path is not a directory.
    NotADirectory,
    /// The operating system does not allow it.
    PermissionDenied,
    /// No descriptor left.
    TooManyFiles,
    /// No memory map left.
    MapLimit,
    /// Another node leads the partition.
    NotLeader,
    /// Too few replicas are in sync.
    NotEnoughReplicas,
    /// The append may or may not have happened.
    Unknown,
    /// It took too long.
    Timeout,
    /// The handle was closed.
    Closed,
    /// Not possible here, or not built in.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why a call failed. [`Error::kind`] is what programs act on; the text is for people and not part of the interface.
pub struct Error {
    kind: ErrorKind,
    repr: Box<Repr>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repr.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.repr.as_ref())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.repr)
    }
}

/// A file in a message, if it is known.
struct File<'a>(Option<&'a Path>);

impl fmt::Display for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("file"),
        }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
enum Repr {
    #[error("{0}")]
    Message(String),
    #[error(transparent)]
    Corruption(Corruption),
    #[error("{} has version {version}, this build knows up to {known}", File(.path.as_deref()))]
    Version { path: Option<PathBuf>, version: u16, known: u16 },
    #[error("{reason}: {message}")]
    Record { reason: InvalidRecordReason, message: String },
    #[error("could not {operation} {}: {source}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::sync::Arc<io::Error>,
    },
}

impl Error {
    /// Whether all it says is that something is used up that will come back: nothing was done, and nothing lost.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind(), ErrorKind::TooManyFiles | ErrorKind::MapLimit)
    }

    /// Whether a sync failed: what the kernel shows of the file may never reach the disk.
    pub(crate) fn is_failed_sync(&self) -> bool {
        matches!(self.repr.as_ref(), Repr::Io { operation: "sync", .. })
    }

    /// An error of `kind` that reads `message`: lowercase, without a full stop.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, repr: Box::new(Repr::Message(message.into())) }
    }

    /// A record or batch that breaks a rule.
    pub(crate) fn invalid_record(reason: InvalidRecordReason, message: impl Into<String>) -> Self {
        let kind = ErrorKind::InvalidRecord;
        Self { kind, repr: Box::new(Repr::Record { reason, message: message.into() }) }
    }

    /// A file of ours from a newer build.
    pub(crate) fn version(version: u16, known: u16) -> Self {
        Self { kind: ErrorKind::UnsupportedVersion, repr: Box::new(Repr::Version { path: None, version, known }) }
    }

    /// Damage in bytes that have no file, at `position` of them.
    pub(crate) fn corrupt(position: u64, reason: CorruptionReason) -> Self {
        Corruption { path: None, position, reason }.into()
    }

    /// What the operating system answered to `operation` ("sync", "open", …) on `path`.
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        let kind = kind_of_io(&source);
        let source = std::sync::Arc::new(source);
        Self { kind, repr: Box::new(Repr::Io { operation, path: path.to_owned(), source }) }
    }

    /// The same error under another kind: for places where the operating system's answer means something special.
    #[must_use]
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Success instead of [`ErrorKind::StorageFull`]: for what may wait until there is room.
    pub(crate) fn unless_full(self) -> Result<()> {
        if self.kind == ErrorKind::StorageFull { Ok(()) } else { Err(self) }
    }

    /// The same damage, in bytes that start `by` bytes further on. Other errors stay as they are.
    #[must_use]
    pub(crate) fn moved(mut self, by: u64) -> Self {
        if let Repr::Corruption(corruption) = self.repr.as_mut() {
            corruption.position += by;
        }
        self
    }

    /// The same damage or newer version, now that the file and the place of the bytes in it are known. Other errors stay
    /// as they are.
    #[must_use]
    pub(crate) fn located(mut self, path: &Path, base: u64) -> Self {
        match self.repr.as_mut() {
            Repr::Corruption(corruption) if corruption.path.is_none() => {
                corruption.path = Some(path.to_owned());
                corruption.position += base;
            }
            Repr::Version { path: file, .. } => *file = file.take().or_else(|| Some(path.to_owned())),
            _ => {}
        }
        self
    }

    /// The same damage, in bytes that begin `by` before those it was found in. Other errors stay as they are.
    #[must_use]
    pub(crate) fn shifted(mut self, by: u64) -> Self {
        if let Repr::Corruption(corruption) = self.repr.as_mut() {
            corruption.position = corruption.position.saturating_add(by);
        }
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The damage, if the kind is [`ErrorKind::Corruption`].
    #[must_use]
    pub fn corruption(&self) -> Option<&Corruption> {
        match self.repr.as_ref() {
            Repr::Corruption(corruption) => Some(corruption),
            _ => None,
        }
    }

    /// The rule that was broken, if the kind is [`ErrorKind::InvalidRecord`].
    #[must_use]
    pub fn invalid_record_reason(&self) -> Option<InvalidRecordReason> {
        match self.repr.as_ref() {
            Repr::Record { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the same call can succeed later without a change by the caller.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        use ErrorKind as K;
        matches!(
            self.kind,
            K::StorageFull
                | K::TooManyFiles
                | K::MapLimit
                | K::NotLeader
                | K::NotEnoughReplicas
                | K::Timeout
                | K::AlreadyOpen
        )
    }
}

/// A copy that tells the same: one failure may have to be answered to several waiters.
impl Clone for Error {
    fn clone(&self) -> Self {
        Self { kind: self.kind, repr: self.repr.clone() }
    }
}

fn kind_of_io(source: &io::Error) -> ErrorKind {
    match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => ErrorKind::StorageFull,
        Some(libc::EMFILE | libc::ENFILE) => ErrorKind::TooManyFiles,
        Some(libc::EROFS) => ErrorKind::ReadOnly,
        Some(libc::ENOTDIR) => ErrorKind::NotADirectory,
        _ => match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull => ErrorKind::StorageFull,
            _ => ErrorKind::Io,
        },
    }
}

/// Bytes that are not what was written. `path` is `None` for bytes that were handed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}is corrupt at byte {position}: {reason}", Place(.path.as_deref()))]
#[non_exhaustive]
pub struct Corruption {
    /// The damaged file.
    pub path: Option<PathBuf>,
    /// Where in the file, or in the bytes handed in, the damaged unit starts.
    pub position: u64,
    /// What is wrong there.
    pub reason: CorruptionReason,
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        Self { kind: ErrorKind::Corruption, repr: Box::new(Repr::Corruption(corruption)) }
    }
}

struct Place<'a>(Option<&'a Path>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{} ", path.display()),
            None => f.write_str("batch "),
        }
    }
}

/// What is wrong with damaged bytes: what was found, and what should have been there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorruptionReason {
    /// The bytes end before what they announce.
    #[error("truncated: {expected} bytes expected, {found} found")]
    Truncated {
        /// How many bytes there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Bytes behind the end of what should be all.
    #[error("{found} bytes found, {expected} expected")]
    Trailing {
        /// How many bytes there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A batch's length field that cannot be.
    #[error("batch length {found} is not possible")]
    BatchLength {
        /// The value of the field.
        found: i64,
    },
    /// A checksum that does not fit the bytes.
    #[error("checksum is {found:#010x}, the bytes give {expected:#010x}")]
    Crc {
        /// What the bytes give.
        expected: u32,
        /// What is stored.
        found: u32,
    },
    /// A batch that is not the one that belongs here.
    #[error("base offset is {found}, expected {expected}")]
    BaseOffset {
        /// The offset that should come.
        expected: i64,
        /// The offset that is stored.
        found: i64,
    },
    /// A leader epoch lower than one before it.
    #[error("leader epoch is {found}, lower than {last}")]
    Epoch {
        /// The epoch before.
        last: i32,
        /// The epoch that is stored.
        found: i32,
    },
    /// Compressed data that does not decode.
    #[error("compressed data does not decode: {0}")]
    Codec(String),
    /// A header field whose value is not possible in a file.
    #[error("{0}")]
    Header(String),
    /// A side file that contradicts itself.
    #[error("{0}")]
    SideFile(String),
    /// Files that do not belong together.
    #[error("{0}")]
    Layout(String),
}

/// Which rule a record or batch breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecordReason {
    /// The number of records is not the one stated, or not possible.
    #[error("record count")]
    Count,
    /// The range of offsets is not possible.
    #[error("offset range")]
    OffsetRange,
    /// A variable-length integer that is too long or ends early.
    #[error("varint")]
    Varint,
    /// A record's length does not fit its contents.
    #[error("record length")]
    Length,
    /// A key, value or header field that is not possible.
    #[error("record field")]
    Field,
    /// A record's offset is not the next one.
    #[error("record offset")]
    Offset,
    /// Attribute bits that are not defined, or not allowed here.
    #[error("attributes")]
    Attributes,
    /// A client sent a control batch.
    #[error("control batch from a client")]
    ControlFromClient,
    /// Producer fields that do not go together.
    #[error("producer id")]
    ProducerId,
    /// A negative sequence with a producer id.
    #[error("sequence")]
    Sequence,
    /// A record without a key on a compacted topic.
    #[error("key missing")]
    KeyMissing,
    /// Input that is not of the form asked for, a line that is not JSON say.
    #[error("input")]
    Input,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_operation_path_and_position() {
        let full = Error::io("sync", Path::new("orders-0/7.log"), io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        assert_eq!(full.to_string(), "could not sync orders-0/7.log: No space left on device (os error 28)");
        let crc = Error::corrupt(61, CorruptionReason::Crc { expected: 1, found: 2 });
        assert_eq!(crc.to_string(), "batch is corrupt at byte 61: checksum is 0x00000002, the bytes give 0x00000001");
        let crc = crc.located(Path::new("a.log"), 100);
        assert_eq!(crc.to_string(), "a.log is corrupt at byte 161: checksum is 0x00000002, the bytes give 0x00000001");
        assert_eq!(crc.clone().located(Path::new("b.log"), 5).to_string(), crc.to_string());
    }
}
