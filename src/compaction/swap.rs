//! The exchange of segments: from `.cleaned` to `.swap` to their place. Each step is durable before the next, and an
//! opening finishes or reverts what a crash left.
//!
//! ```text
//! .cleaned  written and synced                        a crash leaves the old segments; .cleaned is removed
//! .swap     all of its files renamed, synced          from here on it counts: the commit point
//!           readers are shown it
//!           old files are removed, synced             .swap is there still, and says again what to remove
//! live      renamed to its final names, synced
//!           old snapshots are removed
//! ```

use crate::compaction::output::{self, Finished};
use crate::error::{ErrorKind, Result};
use crate::io::{Directory, Region};
use crate::log::cleaning::{Cleaning, Turn};
use crate::segment::file_name::{FileKind, Suffix, file_name, suffixed_file_name};
use crate::segment::indexes::{IndexFiles, Indexes};
use crate::segment::transaction_index::TransactionIndex;
use crate::segment::{Segment, SegmentParts};
use crate::sync::{Arc, OnceLock};
use crate::types::Offset;

/// Puts `new` in the place of `sources`. Answers whether these were the log's still: if not, nothing has changed but that
/// the unfinished files are gone.
///
/// # Errors
/// [`ErrorKind::StorageFull`] changes nothing. After any other failure the log takes no writes until it is opened again,
/// which finishes the exchange, or reverts it.
pub(super) fn swap(cleaning: &Cleaning<'_>, sources: &[Arc<Segment>], new: Finished) -> Result<bool> {
    let Some(turn) = cleaning.turn(sources)? else {
        output::remove(cleaning.directory().as_ref(), new.base)?;
        return Ok(false);
    };
    let directory = turn.directory().as_ref();
    if let Err(error) = rename_all(directory, &new, Suffix::Cleaned, Suffix::Swap) {
        // Without room for a name nothing is lost, if what was renamed is surely gone.
        turn.whole(|| revert(directory, new.base))?;
        return Err(error);
    }
    turn.whole(|| {
        directory.sync()?;
        finish(&turn, sources, new)
    })?;
    Ok(true)
}

/// Makes it as if the exchange had not begun. `.swap` alone would count, with some of its files missing: it is durably
/// gone before `.cleaned` goes.
fn revert(directory: &dyn Directory, base: Offset) -> Result<()> {
    for kind in FileKind::ALL {
        directory.unlink(&suffixed_file_name(base, kind, Suffix::Swap))?;
    }
    directory.sync()?;
    output::remove(directory, base)?;
    directory.sync()
}

fn rename_all(directory: &dyn Directory, new: &Finished, from: Suffix, to: Suffix) -> Result<()> {
    for (kind, _) in &new.files {
        directory.rename(&suffixed_file_name(new.base, *kind, from), &suffixed_file_name(new.base, *kind, to))?;
    }
    Ok(())
}

/// What follows the commit point.
fn finish(turn: &Turn<'_>, sources: &[Arc<Segment>], mut new: Finished) -> Result<()> {
    let directory = turn.directory();
    let swap_name = suffixed_file_name(new.base, FileKind::Log, Suffix::Swap);
    let region = directory.open_sealed(&swap_name, new.len);
    // As long as this is held the file stays open, whatever its name is by then.
    let pinned = region.file_range(0..0)?;
    let aborted = std::mem::replace(&mut new.aborted, TransactionIndex::new());
    let interim = segment(turn, &new, region, Indexes::Memory(Arc::clone(&new.index)), Some(aborted));
    turn.publish(sources, &interim)?;
    remove_sources(turn, sources, &new)?;
    // Behind that, which makes room for it.
    turn.forget_cuts(sources)?;
    rename_all(directory.as_ref(), &new, Suffix::Swap, Suffix::None)?;
    directory.sync()?;
    let open = |kind| {
        let file = new.files.iter().find(|(known, _)| *known == kind);
        file.map(|(_, len)| directory.open_sealed(&file_name(new.base, kind), *len))
    };
    let indexes = Indexes::Files(IndexFiles {
        base: new.base,
        log_len: new.len,
        offsets: open(FileKind::OffsetIndex),
        times: open(FileKind::TimeIndex),
        newest: OnceLock::new(),
    });
    let region = directory.open_sealed(&file_name(new.base, FileKind::Log), new.len);
    turn.publish(&[interim], &segment(turn, &new, region, indexes, None))?;
    drop(pinned);
    Ok(())
}

fn segment(
    turn: &Turn<'_>,
    new: &Finished,
    region: Arc<dyn Region>,
    indexes: Indexes,
    aborted: Option<TransactionIndex>,
) -> Arc<Segment> {
    Arc::new(Segment::new(SegmentParts {
        base: new.base,
        directory: Arc::clone(turn.directory()),
        region,
        settings: new.settings,
        indexes,
        aborted,
        verify_always: turn.verify_always(),
    }))
}

/// Removes the old files that are not renamed over, durably: as long as any may be there, `.swap` has to be.
///
/// What an opening removes on its own are files of segments that begin below the new one's end. Of those behind it none
/// may go before an older one has gone: a value would come back whose tombstone was in the newer.
fn remove_sources(turn: &Turn<'_>, sources: &[Arc<Segment>], new: &Finished) -> Result<()> {
    let directory = turn.directory().as_ref();
    if !new.has(FileKind::TransactionIndex) {
        directory.unlink(&file_name(new.base, FileKind::TransactionIndex))?;
    }
    for source in sources.iter().filter(|source| source.base_offset() != new.base) {
        turn.unlink(source)?;
        if source.base_offset() >= new.next_offset {
            directory.sync()?;
        }
    }
    directory.sync()
}

/// Whether a cleaning that met with `kind` may be tried again: it said nothing about what is in the segments.
pub(super) fn may_be_tried_again(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::StorageFull
            | ErrorKind::TooManyFiles
            | ErrorKind::MapLimit
            | ErrorKind::Closed
            | ErrorKind::UnknownTopic
            | ErrorKind::PreviousFailure
            | ErrorKind::ReadOnly
    )
}
