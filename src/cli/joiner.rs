//! Events on their way out of a replay: each waits until nothing more is learned about it.

use std::collections::VecDeque;

use crate::engine::event::{Detail, Event, EventId, EventSink};

/// Events that wait at once. Beyond it the oldest goes out as far as it is known: a response
/// that is so late is not worth the memory.
const WAITING_MAX: usize = 65_536;

/// Puts what is learned later into its event, and gives events back in the order they were told.
#[derive(Debug, Default)]
pub struct Joiner {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    settled: bool,
}

impl Joiner {
    /// The next event about which nothing more will be learned, if it is first in line.
    pub fn pop_settled(&mut self) -> Option<Event> {
        let front = self.waiting.front()?;
        if front.settled || self.waiting.len() > WAITING_MAX {
            return self.pop();
        }
        None
    }

    /// The next event, whatever may still be learned about it.
    pub fn pop(&mut self) -> Option<Event> {
        self.waiting.pop_front().map(|waiting| waiting.event)
    }

    /// Numbers come in unbroken order, so an event's place follows from its number.
    fn find(&mut self, id: EventId) -> Option<&mut Waiting> {
        let first = self.waiting.front()?.event.id;
        let place = usize::try_from(id.0.checked_sub(first.0)?).ok()?;
        self.waiting.get_mut(place)
    }
}

impl EventSink for Joiner {
    fn on_event(&mut self, event: Event) {
        self.waiting.push_back(Waiting {
            event,
            settled: false,
        });
    }

    fn on_detail(&mut self, detail: Detail) {
        if let Some(waiting) = self.find(detail.of) {
            waiting.event.status = Some(detail.status);
        }
    }

    fn on_settled(&mut self, id: EventId) {
        if let Some(waiting) = self.find(id) {
            waiting.settled = true;
        }
    }
}
