//! Watched hosts that nobody speaks with any more though there were visitors before: the mirror
//! shows another port, the server has moved, its certificate has run out.

use std::time::{Duration, Instant};

use crate::daemon::health::remark;
use crate::daemon::status::Remark;
use crate::engine::counters::Counters;

/// What was usual before this start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habit {
    /// Events of the last week.
    pub events: u64,
    /// The longest time between two of them.
    pub longest_gap: Duration,
}

#[derive(Debug)]
pub(super) struct HostsSilence {
    habit: Habit,
    /// The engine's count.
    counted: u64,
    changed: Instant,
}

impl HostsSilence {
    pub(super) fn new(habit: Habit, now: Instant) -> Self {
        Self {
            habit,
            counted: 0,
            changed: now,
        }
    }

    pub(super) fn judge(&mut self, counters: &Counters, now: Instant) -> Option<Remark> {
        let silent = now.duration_since(self.changed);
        if counters.events != self.counted {
            if self.counted > 0 {
                self.habit.longest_gap = self.habit.longest_gap.max(silent);
            }
            self.habit.events += counters.events.saturating_sub(self.counted);
            self.counted = counters.events;
            self.changed = now;
            return None;
        }
        let patience = (self.habit.longest_gap * 2).clamp(PATIENCE_MIN, PATIENCE_MAX);
        (self.habit.events >= EVENTS_MIN && silent >= patience).then(|| {
            remark(
                "hosts_silent",
                &format!(
                    "no request for a watched host was seen for {} hours, though there were before",
                    silent.as_secs() / 3600
                ),
                "open a page of your web server and look with: sudo canarytap doctor --seconds 30",
            )
        })
    }
}

/// A server that had fewer visitors is one that nobody visits.
const EVENTS_MIN: u64 = 5;
const PATIENCE_MIN: Duration = Duration::from_secs(24 * 3600);
const PATIENCE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
