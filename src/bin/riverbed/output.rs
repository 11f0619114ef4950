//! Standard output, as far as one must ask about it.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::{Outcome, Stop};

/// Stops a command that waits for something to show once nobody reads standard output any more: it would hear of that
/// only from its next write.
pub fn check_read() -> Outcome {
    let output = io::stdout();
    let mut asked = [PollFd::new(&output, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = poll(&mut asked, Some(&now)).is_ok()
        && asked.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP));
    if gone { Err(Stop::ClosedPipe) } else { Ok(()) }
}
