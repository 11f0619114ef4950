//! The disk does what it says, and shows the bugs it is there to show.

mod crashes;
mod faults;
mod toy;

#[test]
fn it_does_what_any_directory_must() {
    crate::io::suite::run(|| super::SimDisk::new().root());
}
