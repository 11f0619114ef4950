//! Small files change as a whole: a temporary file, a sync, a rename.

use std::io::{self, Write};

use rustix::fs::{AtFlags, OFlags, fsync, renameat, unlinkat};

use super::root::{DirectoryFd, Place, retry};
use crate::error::{Error, ErrorKind, Result};

/// Puts `contents` under `name` in `place`, which `directory` is. Whatever happens, `name` has the old contents or the
/// new; which of them after a power cut is certain once the directory is synced.
pub(super) fn put(place: &Place, directory: &DirectoryFd<'_>, name: &str, contents: &[u8]) -> Result<()> {
    let temporary = format!("{name}.tmp");
    // What an interrupted attempt left, or somebody planted, is not written to but goes.
    match retry(|| unlinkat(directory, &temporary, AtFlags::empty())) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(place, &temporary, "remove", e)),
        _ => {}
    }
    let written = write_synced(place, &temporary, contents).and_then(|()| {
        retry(|| renameat(directory, &temporary, directory, name)).map_err(|e| failed(place, name, "replace", e))
    });
    written.inspect_err(|_| {
        // The next attempt would do the same; it only gives the room back now.
        retry(|| unlinkat(directory, &temporary, AtFlags::empty())).ok();
    })
}

fn write_synced(place: &Place, name: &str, contents: &[u8]) -> Result<()> {
    let _slot = place.root.budget().acquire_briefly()?;
    let mut file = place.open_file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
    file.write_all(contents).map_err(|e| failed(place, name, "write", e))?;
    // A full disk that is found out about only now is a failed sync.
    retry(|| fsync(&file)).map_err(|e| failed(place, name, "sync", e).with_kind(ErrorKind::Io))
}

fn failed(place: &Place, name: &str, operation: &'static str, e: io::Error) -> Error {
    Error::io(operation, &place.path.join(name), e)
}
