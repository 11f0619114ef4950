//! What an opening does first: it removes what is doomed, and finishes or reverts an exchange that was interrupted.

use crate::error::{Error, Result};
use crate::log::open::Opening;

impl Opening<'_> {
    /// Removes what is doomed and finishes what was interrupted, durably.
    ///
    /// Of a swap what it replaces goes first: that needs no room, and makes some. Until it is durably gone `.swap` stays,
    /// and says again what to remove.
    pub(super) fn tidy(&self) -> Result<()> {
        if self.says_otherwise {
            let written = self.checkpoint.write(self.directory.as_ref());
            // Of a log that is new, only that it is.
            if self.layout.renames.is_empty() { written.or_else(Error::unless_full)? } else { written? }
        }
        if !self.layout.renames.is_empty() {
            // Whoever died may not have made these names durable.
            self.directory.sync()?;
        }
        self.unlink_durably(&self.layout.given_up)?;
        self.unlink_durably(&self.layout.doomed)?;
        for (from, to) in &self.layout.renames {
            self.directory.rename(from, to)?;
        }
        if self.layout.renames.is_empty() { Ok(()) } else { self.directory.sync() }
    }

    fn unlink_durably(&self, names: &[String]) -> Result<()> {
        names.iter().try_for_each(|name| self.directory.unlink(name))?;
        if names.is_empty() { Ok(()) } else { self.directory.sync() }
    }
}
