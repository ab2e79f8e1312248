//! What the card has to bear: bytes written by this process, as the kernel counts them.

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

/// Bytes that went to disks, and when.
#[derive(Debug)]
pub struct Wear {
    /// Since the start; None where the kernel does not say.
    total: Option<u64>,
    /// What the total was at the end of each hour of the last day, the oldest first.
    hours: VecDeque<u64>,
    /// When the present hour began.
    since: Instant,
}

impl Wear {
    /// Begins to count.
    pub fn new(now: Instant) -> Self {
        Self {
            total: None,
            hours: VecDeque::from([0]),
            since: now,
        }
    }

    /// Asks the kernel.
    pub fn look(&mut self, now: Instant) {
        let text = fs::read_to_string(ACCOUNT).unwrap_or_default();
        self.take(written(&text), now);
    }

    fn take(&mut self, total: Option<u64>, now: Instant) {
        while now.duration_since(self.since) >= HOUR {
            self.since += HOUR;
            self.hours.push_back(self.total.unwrap_or(0));
            if self.hours.len() > HOURS {
                self.hours.pop_front();
            }
        }
        self.total = total;
    }

    /// Bytes since the start.
    pub const fn total(&self) -> Option<u64> {
        self.total
    }

    /// Bytes in the last day, to the hour, as far as the daemon ran.
    pub fn last_day(&self) -> Option<u64> {
        let before = self.hours.front().copied().unwrap_or(0);
        Some(self.total?.saturating_sub(before))
    }
}

/// What proc_pid_io(5) says: pages that were made to be written, less those that were not.
fn written(text: &str) -> Option<u64> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(": ")?.trim().parse::<u64>().ok()
    };
    let cancelled = value("cancelled_write_bytes").unwrap_or(0);
    Some(value("write_bytes")?.saturating_sub(cancelled))
}

const ACCOUNT: &str = "/proc/self/io";
const HOUR: Duration = Duration::from_secs(3600);
const HOURS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_account_is_read() {
        let text = "rchar: 1\nwchar: 2\nwrite_bytes: 12288\ncancelled_write_bytes: 4096\n";
        assert_eq!(written(text), Some(8192));
        assert_eq!(written(""), None);
        assert_eq!(written("write_bytes: many\n"), None);
    }

    #[test]
    fn the_last_day_is_what_came_in_its_hours() {
        let start = Instant::now();
        let mut wear = Wear::new(start);
        assert_eq!(wear.last_day(), None);
        for hour in 0..72u32 {
            wear.take(Some(u64::from(hour) * 10), start + HOUR * hour);
            let expected = u64::from(hour.min(24)) * 10;
            assert!(
                wear.last_day().unwrap().abs_diff(expected) <= 10,
                "{hour}: {:?}",
                wear.last_day()
            );
        }
        assert_eq!(wear.total(), Some(710));
    }

    #[test]
    fn hours_in_which_nobody_looked_pass_all_the_same() {
        let start = Instant::now();
        let mut wear = Wear::new(start);
        wear.take(Some(500), start + HOUR / 2);
        wear.take(Some(600), start + HOUR * 100);
        assert_eq!(wear.last_day(), Some(100));
    }
}
