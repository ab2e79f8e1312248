//! When what waits in a direction of a flow has waited long enough.

use std::collections::BTreeSet;

use crate::frame::Timestamp;
use crate::transport::flow_key::Side;
use crate::transport::slab::Id;

/// A deadline, and whose it is.
pub(super) type Timer = (Timestamp, Id, Side);

/// Deadlines in order. Whether one has come is asked for every segment.
#[derive(Debug)]
pub(super) struct Timers {
    all: BTreeSet<Timer>,
    /// The first deadline, or later than any.
    next: Timestamp,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            all: BTreeSet::new(),
            next: NEVER,
        }
    }
}

impl Timers {
    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.all.len() * TIMER_BYTES
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<Timer> {
        self.all.first().copied()
    }

    /// Whether a deadline may have come.
    #[inline]
    pub(super) fn are_due(&self, now: Timestamp) -> bool {
        self.next <= now
    }

    /// The first of all, if its deadline has come.
    pub(super) fn due(&self, now: Timestamp) -> Option<Timer> {
        self.first().filter(|(deadline, ..)| *deadline <= now)
    }

    /// Puts one timer, or none, in the place of another.
    pub(super) fn change(&mut self, old: Option<Timer>, new: Option<Timer>) {
        if let Some(old) = old {
            self.all.remove(&old);
        }
        self.all.extend(new);
        self.next = self.first().map_or(NEVER, |(deadline, ..)| deadline);
    }
}

const NEVER: Timestamp = Timestamp::from_nanos(u64::MAX);
/// A timer in a half-full node of its tree.
const TIMER_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_due_from_its_deadline_on_and_until_it_is_removed() {
        let timer = |nanos, id| {
            (
                Timestamp::from_nanos(nanos),
                Id::new(id).unwrap(),
                Side::Low,
            )
        };
        let (now, mut timers) = (Timestamp::from_nanos, Timers::default());
        assert_eq!(timers.due(now(u64::MAX)), None);
        timers.change(None, Some(timer(20, 1)));
        timers.change(None, Some(timer(30, 2)));
        timers.change(Some(timer(30, 2)), Some(timer(10, 2)));
        assert_eq!(
            [9, 10, 11].map(|at| timers.are_due(now(at))),
            [false, true, true]
        );
        assert_eq!(timers.due(now(9)), None);
        assert_eq!(timers.due(now(10)), Some(timer(10, 2)));
        timers.change(Some(timer(10, 2)), None);
        assert!(!timers.are_due(now(19)));
        assert_eq!(timers.due(now(20)), Some(timer(20, 1)));
        timers.change(Some(timer(20, 1)), None);
        assert_eq!(timers.due(now(20)), None);
        assert_eq!(timers.heap_bytes(), 0);
    }
}
