//! Something that is made when it is first asked for, kept for the next one who asks, and let go when it is asked back.

use crate::sync::{Arc, Mutex};

/// The lock is held for moments only, but for the making.
#[derive(Debug)]
pub(super) struct Kept<T>(Mutex<Option<Arc<T>>>);

impl<T> Kept<T> {
    pub(super) fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    /// What is kept.
    pub(super) fn get(&self) -> Option<Arc<T>> {
        self.0.lock().clone()
    }

    /// What is kept; or else what `make` makes, which then is.
    pub(super) fn get_or_make<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut kept = self.0.lock();
        if let Some(known) = &*kept {
            return Ok(Arc::clone(known));
        }
        Ok(Arc::clone(kept.insert(Arc::new(make()?))))
    }

    /// Keeps nothing any more. Who has it keeps it alive. False, if somebody is at it at this very moment.
    pub(super) fn let_go(&self) -> bool {
        match self.0.try_lock().map(|mut kept| kept.take()) {
            Some(_kept) => true,
            None => false,
        }
    }
}
