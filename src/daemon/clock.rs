//! The system clock, read here and nowhere else in the daemon.

use std::path::Path;

use crate::engine::frame::Timestamp;

/// What systemd-timesyncd leaves behind once it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Its folder: there while it runs.
const TIMESYNC: &str = "/run/systemd/timesync";

/// The time now.
pub fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Whether the clock was set from the network; None where nobody says.
pub fn is_synchronised() -> Option<bool> {
    Path::new(TIMESYNC)
        .is_dir()
        .then(|| Path::new(SYNCHRONISED).exists())
}
