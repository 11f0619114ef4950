//! An interrupt (ctrl-C) ends the program with status 130, after what is open was closed if that goes quickly.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::failure::{Outcome, Stop};

/// The status of an interrupted program, as shells have it.
pub const STATUS: u8 = 130;

/// How long a command has to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Tells whether the user interrupted.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches from now on, for the thread that calls this. Whoever does not look in time is ended.
    pub fn watch() -> io::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        // A limit on the size of files (`ulimit -f`) is an error of the write, not the end of the program.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        // Set by the signal's own handler: whoever looks afterwards sees it, whether or not the thread ran already.
        signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?;
        let mut signals = Signals::new([SIGINT])?;
        let seen = Self(interrupted);
        let main = thread::current();
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            if signals.forever().next().is_some() {
                main.unpark();
                thread::park_timeout(GRACE);
            }
            std::process::exit(STATUS.into());
        })?;
        Ok(seen)
    }

    /// One that never comes.
    #[cfg(test)]
    pub fn never() -> Self {
        Self(Arc::default())
    }

    /// Stops whoever asks, once the user has interrupted.
    pub fn check(&self) -> Outcome {
        if self.0.load(Ordering::Relaxed) { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// Waits, not longer than `pause`, and stops as [`Interrupt::check`] does.
    pub fn wait(&self, pause: Duration) -> Outcome {
        self.check()?;
        thread::park_timeout(pause);
        self.check()
    }
}
