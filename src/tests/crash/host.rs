//! Opens and closes a log as a store does: the lock, the mark of a clean close, the power's identity.

use crate::clock::ManualClock;
use crate::error::{ErrorKind, Result};
use crate::io::{Directory, DirectoryLock};
use crate::log::{Ends, LastClose, Log, LogConfig, LogOptions, OpenMode};
use crate::sim::SimDisk;
use crate::sync::Arc;
use crate::types::Offset;

const MARK: &str = "mark";
const LOG: &str = "events-0";
const OPEN: &[u8] = b"open";

/// A log that is open for writing.
pub(super) struct Host {
    pub(super) log: Log,
    root: Arc<dyn Directory>,
    _lock: Box<dyn DirectoryLock>,
}

/// What a log is opened with.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) config: Arc<LogConfig>,
    pub(super) clock: ManualClock,
}

impl Setting {
    fn options(&self, mode: OpenMode, last_close: LastClose) -> LogOptions {
        LogOptions {
            config: Arc::clone(&self.config),
            clock: Arc::new(self.clock.clone()),
            mode,
            last_close,
            verify_always: false,
        }
    }
}

impl Host {
    pub(super) fn open(disk: &SimDisk, setting: &Setting) -> Result<Self> {
        let root = disk.root();
        let lock = root.lock()?;
        let last_close = last_close(root.as_ref(), lock.same_power())?;
        root.replace(MARK, OPEN)?;
        let directory = root.create_subdirectory(LOG)?;
        root.sync()?;
        let log = Log::open(directory, &setting.options(OpenMode::Write, last_close))?;
        lock.keep_power()?;
        Ok(Self { log, root, _lock: lock })
    }

    /// The log as a read-only opening sees it, or `None` if there is none yet.
    pub(super) fn open_read_only(disk: &SimDisk, setting: &Setting) -> Result<Option<Log>> {
        let root = disk.root();
        if !root.list()?.iter().any(|entry| entry.name == LOG) {
            return Ok(None);
        }
        let last_close = last_close(root.as_ref(), false)?;
        Log::open(root.subdirectory(LOG)?, &setting.options(OpenMode::ReadOnly, last_close)).map(Some)
    }

    /// Where the log's files are.
    pub(super) fn directory(&self) -> Result<Arc<dyn Directory>> {
        self.root.subdirectory(LOG)
    }

    pub(super) fn close(self) -> Result<()> {
        match self.log.close()? {
            Some(ends) => self.root.replace(MARK, &encode(&ends)),
            None => Ok(()),
        }
    }
}

fn last_close(root: &dyn Directory, same_power: bool) -> Result<LastClose> {
    match root.read(MARK, 1_000) {
        Ok(bytes) => Ok(decode(&bytes).map_or(LastClose::Unclean { same_power }, LastClose::Clean)),
        Err(none) if none.kind() == ErrorKind::NotFound => Ok(LastClose::Unclean { same_power }),
        Err(error) => Err(error),
    }
}

fn encode(ends: &Ends) -> Vec<u8> {
    let numbers =
        [ends.log_start.get(), ends.last_stable.get(), ends.log_end.get(), ends.last_base.get(), ends.last_len];
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Option<Ends> {
    let number = |index: usize| Some(u64::from_be_bytes(bytes.get(index * 8..index * 8 + 8)?.try_into().ok()?));
    Some(Ends {
        log_start: Offset::new(number(0)?),
        last_stable: Offset::new(number(1)?),
        log_end: Offset::new(number(2)?),
        last_base: Offset::new(number(3)?),
        last_len: number(4)?,
    })
}
