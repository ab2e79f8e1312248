//! The system clock, read here and nowhere else in the daemon.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::daemon::health::Moment;
use crate::engine::frame::Timestamp;

/// Reading both clocks takes less, unless somebody else ran in between.
const QUICK: Duration = Duration::from_micros(100);
const READINGS_MAX: usize = 8;

/// A random number of each boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The time now.
pub fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Time since this machine's boot, sleep included; nobody sets it.
pub fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A time in whole microseconds, as records have it.
pub fn micros_of(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Both clocks at one moment, by which the first is `synchronised` or not. They are read one after the
/// other: of a few readings the one that was disturbed least.
pub fn moment(synchronised: Option<bool>) -> Moment {
    let read = || {
        let before = uptime();
        let wall = now();
        (uptime().saturating_sub(before), before, wall)
    };
    let readings = (0..READINGS_MAX).map(|_| read());
    let mut best = read();
    for reading in readings {
        if best.0 < QUICK {
            break;
        }
        best = best.min(reading);
    }
    let (took, before, wall) = best;
    Moment {
        wall,
        uptime: before + took / 2,
        synchronised,
    }
}

/// What names this boot of the machine; empty where the kernel does not say.
pub fn boot_id() -> String {
    let read = fs::read_to_string(BOOT_ID).unwrap_or_default();
    read.trim().to_owned()
}
