//! How long frames of a busy wire are left to come together.
//!
//! Each wake-up costs as much as reading a hundred frames, and on few processors it interrupts what
//! sends them on. So frames are left in the ring for a while, which is there for that: as long as
//! the light can wait, but never until the ring may be more than half full: the first waits of a
//! wire that becomes busy are short, since nothing tells yet how busy.

use std::time::{Duration, Instant};

/// What came since the last wait.
#[derive(Debug)]
pub(super) struct Company {
    ring_bytes: usize,
    frames: usize,
    bytes: usize,
    since: Instant,
    /// How long the wait before lasted.
    waited: Duration,
}

impl Company {
    /// In a ring of so many bytes, from `now` on.
    pub(super) fn new(ring_bytes: usize, now: Instant) -> Self {
        Self {
            ring_bytes,
            frames: 0,
            bytes: 0,
            since: now,
            waited: Duration::ZERO,
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
        if before.frames < BUSY_FRAMES {
            return None;
        }
        let fills_half = (self.ring_bytes / 2) as f64 / before.bytes.max(1) as f64;
        let took = now.saturating_duration_since(before.since);
        let most = WAIT_MAX.min((before.waited * 2).max(WAIT_FIRST));
        self.waited = most.min(took.mul_f64(fills_half.min(FILLS_MAX)));
        Some(self.waited)
    }
}

/// A wire that brought so many frames since the last wait is busy.
const BUSY_FRAMES: usize = 128;
/// A frame's way to the light may take 30 ms, of which the disk needs its part. A gigabit fills 2.5 MB
/// of the ring in that time.
const WAIT_MAX: Duration = Duration::from_millis(20);
/// Ten gigabits fill 2.5 MB of the ring in that time.
const WAIT_FIRST: Duration = Duration::from_millis(2);
/// What the kernel puts before a frame, and between it and the next.
const FRAME_OVERHEAD_BYTES: usize = 112;
/// More than any wait lasts; keeps the product within a duration.
const FILLS_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    const RING: usize = 16 << 20;
    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    /// The last of some waits, before each of which so many frames of 1,000 bytes came within some
    /// milliseconds.
    fn wait_after(ring: usize, waits: u32, frames: usize, millis: u64) -> Option<Duration> {
        let mut now = Instant::now();
        let mut company = Company::new(ring, now);
        let mut last = None;
        for _ in 0..waits {
            company.note(frames, frames * 1000);
            now += MILLIS(millis);
            last = company.wait(now);
        }
        last
    }

    #[test]
    fn few_frames_are_read_at_once() {
        assert_eq!(wait_after(RING, 9, 0, 20), None);
        assert_eq!(wait_after(RING, 9, BUSY_FRAMES - 1, 20), None);
    }

    #[test]
    fn a_gigabit_is_left_for_as_long_as_the_light_can_wait_when_it_has_come_for_a_while() {
        let waits = [1, 2, 3, 4, 5, 9].map(|waits| wait_after(RING, waits, 2_500, 20).unwrap());
        assert_eq!(waits, [2, 4, 8, 16, 20, 20].map(MILLIS));
    }

    #[test]
    fn what_comes_after_silence_may_be_a_flood() {
        let start = Instant::now();
        let mut company = Company::new(RING, start);
        company.note(200, 200_000);
        assert_eq!(company.wait(start + MILLIS(5_000)), Some(WAIT_FIRST));
        company.note(2_500, 2_500_000);
        assert_eq!(company.wait(start + MILLIS(5_002)), Some(WAIT_FIRST * 2));
        assert_eq!(company.wait(start + MILLIS(5_006)), None);
        company.note(200, 200_000);
        assert_eq!(company.wait(start + MILLIS(5_026)), Some(WAIT_FIRST));
    }

    #[test]
    fn a_wait_ends_before_the_ring_is_more_than_half_full() {
        // Ten gigabits: what came in ten milliseconds is three quarters of the ring.
        let wait = wait_after(RING, 9, 12_000, 10).unwrap();
        assert!(wait > MILLIS(6) && wait < MILLIS(7), "{wait:?}");
        let wait = wait_after(1 << 20, 9, 2_500, 20).unwrap();
        assert!(wait > MILLIS(3) && wait < MILLIS(4), "{wait:?}");
    }
}
