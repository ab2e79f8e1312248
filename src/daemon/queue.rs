//! From the capture thread to the keeper: a bounded queue that never makes the capture wait.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::event::{Detail, Event, EventId, EventKind, EventSink};
use crate::led::Activity;
use crate::store::Incoming;

/// Entries that may wait. At 1 KiB each that is 16 MiB, and a second of any flood that a small
/// web server survives.
const CAPACITY: usize = 16_384;
/// Background requests have only so much of it: visits come through when they flood.
const CAPACITY_FOR_REQUESTS: usize = CAPACITY / 2;

/// The queue. Locked for each event, never for each packet.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Incoming>,
    dropped: Dropped,
    acknowledge: bool,
    closed: bool,
}

/// What was dropped because the keeper fell behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Background requests.
    pub requests: u64,
    /// Visits.
    pub visits: u64,
}

/// What the keeper takes out at once.
#[derive(Debug)]
pub struct Taken {
    /// Events and what was learned of them, in order.
    pub entries: Vec<Incoming>,
    /// Whether the button was pressed.
    pub acknowledge: bool,
    /// Whether nothing will come after this.
    pub closed: bool,
    /// What was dropped so far.
    pub dropped: Dropped,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Incoming) {
        let mut waiting = self.lock();
        let room = match &entry {
            Incoming::Event(event) if event.kind == EventKind::Request => CAPACITY_FOR_REQUESTS,
            _ => CAPACITY,
        };
        if waiting.entries.len() >= room {
            match entry {
                Incoming::Event(event) if event.kind == EventKind::Request => {
                    waiting.dropped.requests += 1;
                }
                Incoming::Event(_) => waiting.dropped.visits += 1,
                // What is said about an event is worth less than any event.
                Incoming::Detail(_) | Incoming::Settled(_) => {}
            }
            return;
        }
        waiting.entries.push_back(entry);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Asks the keeper to acknowledge every alert.
    pub fn acknowledge(&self) {
        self.lock().acknowledge = true;
        self.changed.notify_one();
    }

    /// Nothing will come any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Takes all that waits; waits at most so long for the first.
    pub fn take(&self, at_most: Duration) -> Taken {
        let waiting = self.lock();
        let idle = |waiting: &mut Waiting| {
            waiting.entries.is_empty() && !waiting.acknowledge && !waiting.closed
        };
        let (mut waiting, _) = self
            .changed
            .wait_timeout_while(waiting, at_most, idle)
            .unwrap_or_else(PoisonError::into_inner);
        Taken {
            entries: waiting.entries.drain(..).collect(),
            acknowledge: std::mem::take(&mut waiting.acknowledge),
            closed: waiting.closed,
            dropped: waiting.dropped,
        }
    }
}

/// The engine's listener in the daemon: into the queue, and a flash of the activity light.
#[derive(Debug)]
pub struct QueueSink<'a> {
    queue: &'a Queue,
    activity: &'a Activity,
}

impl<'a> QueueSink<'a> {
    /// A listener that writes to `queue`.
    pub fn new(queue: &'a Queue, activity: &'a Activity) -> Self {
        Self { queue, activity }
    }
}

impl EventSink for QueueSink<'_> {
    fn on_event(&mut self, event: Event) {
        self.activity.pulse();
        self.queue.push(Incoming::Event(event));
    }

    fn on_detail(&mut self, detail: Detail) {
        self.queue.push(Incoming::Detail(detail));
    }

    fn on_settled(&mut self, id: EventId) {
        self.queue.push(Incoming::Settled(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(id: u64) -> Incoming {
        Incoming::Settled(EventId(id))
    }

    #[test]
    fn entries_come_out_in_the_order_in_which_they_went_in() {
        let queue = Queue::default();
        queue.push(settled(1));
        queue.push(settled(2));
        let taken = queue.take(Duration::ZERO);
        assert_eq!(taken.entries, [settled(1), settled(2)]);
        assert!(!taken.closed);
    }

    #[test]
    fn a_full_queue_drops_and_does_not_wait() {
        let queue = Queue::default();
        for id in 0..CAPACITY as u64 + 10 {
            queue.push(settled(id));
        }
        assert_eq!(queue.take(Duration::ZERO).entries.len(), CAPACITY);
    }

    #[test]
    fn closing_and_the_button_end_the_wait() {
        let queue = Queue::default();
        queue.acknowledge();
        let taken = queue.take(Duration::from_secs(60));
        assert!(taken.acknowledge && !taken.closed);
        queue.close();
        assert!(queue.take(Duration::from_secs(60)).closed);
    }
}
