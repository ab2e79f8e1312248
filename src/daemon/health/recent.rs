//! Counts that only grow, and how much they did lately.

use std::time::{Duration, Instant};

/// A drop is shown for so long.
const DROPS_SHOWN: Duration = Duration::from_secs(60);

/// A count that ought to stay, and when it last did not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    count: u64,
    changed: Option<Instant>,
}

impl Losses {
    /// Whether some were lost in the last minute.
    pub(super) fn are_recent(&mut self, count: u64, now: Instant) -> bool {
        if count > self.count {
            self.count = count;
            self.changed = Some(now);
        }
        self.changed
            .is_some_and(|at| now.duration_since(at) < DROPS_SHOWN)
    }
}

/// By how much counts grew in the last half minute to minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent<const N: usize> {
    older: [u64; N],
    newer: [u64; N],
    turned: Instant,
}

/// How often the past is forgotten.
const TURN: Duration = Duration::from_secs(30);

impl<const N: usize> Recent<N> {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            older: [0; N],
            newer: [0; N],
            turned: now,
        }
    }

    /// Begins anew from `counts`, which need not have been zero.
    pub(super) fn begin(counts: [u64; N], now: Instant) -> Self {
        Self {
            older: counts,
            newer: counts,
            turned: now,
        }
    }

    pub(super) fn growth(&mut self, counts: [u64; N], now: Instant) -> [u64; N] {
        if now.duration_since(self.turned) >= TURN {
            self.older = std::mem::replace(&mut self.newer, counts);
            self.turned = now;
        }
        let mut growth = counts;
        for (count, before) in growth.iter_mut().zip(self.older) {
            *count = count.saturating_sub(before);
        }
        growth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_told_for_half_a_minute_to_a_minute() {
        let start = Instant::now();
        let mut recent = Recent::<1>::new(start);
        let mut at = |seconds, count| {
            let now = start + Duration::from_secs(seconds);
            recent.growth([count], now)[0]
        };
        assert_eq!(at(10, 5), 5);
        assert_eq!(at(29, 5), 5);
        assert_eq!(at(30, 6), 6);
        assert_eq!(at(59, 6), 6);
        assert_eq!(at(60, 6), 0);
    }
}
