//! What an opening does first: it removes what is doomed, and finishes or reverts an exchange that was interrupted.

use crate::error::Result;
use crate::log::open::Opening;

impl Opening<'_> {
    /// Removes what is doomed and finishes what was interrupted, durably.
    ///
    /// Of a swap what it replaces goes first: that needs no room, and makes some. Until it is durably gone `.swap` stays,
    /// and says again what to remove.
    pub(super) fn tidy(&self) -> Result<()> {
        if !self.layout.renames.is_empty() {
            // Whoever died may not have made these names durable.
            self.directory.sync()?;
        }
        self.unlink_durably(&self.layout.given_up)?;
        self.unlink_durably(&self.layout.doomed)?;
        self.forget_cuts()?;
        for (from, to) in &self.layout.renames {
            self.directory.rename(from, to)?;
        }
        if self.layout.renames.is_empty() { Ok(()) } else { self.directory.sync() }
    }

    fn unlink_durably(&self, names: &[String]) -> Result<()> {
        names.iter().try_for_each(|name| self.directory.unlink(name))?;
        if names.is_empty() { Ok(()) } else { self.directory.sync() }
    }

    /// Writes the checkpoint without the cuts of segments that are about to be exchanged; of a log that is new, only that
    /// it is. Where a swap has no room for that even now, the files that it renames over make some.
    fn forget_cuts(&self) -> Result<()> {
        if !self.says_otherwise {
            return Ok(());
        }
        let written = self.checkpoint.write(self.directory.as_ref());
        let Err(error) = written else { return Ok(()) };
        error.unless_full()?;
        if self.layout.renames.is_empty() {
            return Ok(());
        }
        let replaced: Vec<String> = self.layout.renames.iter().map(|(_, to)| to.clone()).collect();
        self.unlink_durably(&replaced)?;
        self.checkpoint.write(self.directory.as_ref())
    }
}
