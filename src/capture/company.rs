//! How long frames of a busy wire are left to come together.
//!
//! Each wake-up costs as much as reading a hundred frames, and on few processors it interrupts what
//! sends them on. So frames are left in the ring for a while, which is there for that: as long as
//! the light can wait, but never until the ring may be more than half full.

use std::time::{Duration, Instant};

/// What came since the last wait.
#[derive(Debug)]
pub(super) struct Company {
    ring_bytes: usize,
    frames: usize,
    bytes: usize,
    since: Instant,
}

impl Company {
    /// In a ring of so many bytes, from `now` on.
    pub(super) fn new(ring_bytes: usize, now: Instant) -> Self {
        Self {
            ring_bytes,
            frames: 0,
            bytes: 0,
            since: now,
        }
    }

    /// Frames of so many bytes together were read.
    pub(super) fn note(&mut self, frames: usize, bytes: usize) {
        self.frames += frames;
        self.bytes += bytes + frames * FRAME_OVERHEAD_BYTES;
    }

    /// How long to wait for others; none on a wire that is not busy. What comes from `now` on is
    /// counted anew.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let before = std::mem::replace(self, Self::new(self.ring_bytes, now));
        let fills_half = (self.ring_bytes / 2) as f64 / before.bytes.max(1) as f64;
        let took = now.saturating_duration_since(before.since);
        let is_busy = before.frames >= BUSY_FRAMES;
        is_busy.then(|| WAIT_MAX.min(took.mul_f64(fills_half.min(FILLS_MAX))))
    }
}

/// A wire that brought so many frames since the last wait is busy.
const BUSY_FRAMES: usize = 128;
/// A frame's way to the light may take 30 ms, of which the disk needs its part. A gigabit fills 2.5 MB
/// of the ring in that time.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// What the kernel puts before a frame, and between it and the next.
const FRAME_OVERHEAD_BYTES: usize = 112;
/// More than any wait lasts; keeps the product within a duration.
const FILLS_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    const RING: usize = 16 << 20;
    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    /// The wait after so many frames of 1,000 bytes came within some milliseconds.
    fn wait_after(ring: usize, frames: usize, millis: u64) -> Option<Duration> {
        let start = Instant::now();
        let mut company = Company::new(ring, start);
        company.note(frames, frames * 1000);
        company.wait(start + MILLIS(millis))
    }

    #[test]
    fn few_frames_are_read_at_once() {
        assert_eq!(wait_after(RING, 0, 20), None);
        assert_eq!(wait_after(RING, BUSY_FRAMES - 1, 20), None);
    }

    #[test]
    fn a_gigabit_is_left_for_as_long_as_the_light_can_wait() {
        assert_eq!(wait_after(RING, 2_500, 20), Some(WAIT_MAX));
        assert_eq!(wait_after(RING, 200, 5_000), Some(WAIT_MAX));
    }

    #[test]
    fn a_wait_ends_before_the_ring_is_more_than_half_full() {
        // Ten gigabits: what came in ten milliseconds is three quarters of the ring.
        let wait = wait_after(RING, 12_000, 10).unwrap();
        assert!(wait > MILLIS(6) && wait < MILLIS(7), "{wait:?}");
        let wait = wait_after(1 << 20, 2_500, 20).unwrap();
        assert!(wait > MILLIS(3) && wait < MILLIS(4), "{wait:?}");
    }

    #[test]
    fn each_wait_counts_anew() {
        let start = Instant::now();
        let mut company = Company::new(RING, start);
        company.note(1000, 1_000_000);
        assert!(company.wait(start + MILLIS(20)).is_some());
        assert_eq!(company.wait(start + MILLIS(40)), None);
    }
}
