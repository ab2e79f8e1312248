//! Events on their way out of a replay: each waits until nothing more is learned about it.

use std::collections::VecDeque;

use crate::engine::event::{Detail, Event, EventId, EventSink};

/// Events that wait at once. Beyond it the oldest goes out as far as it is known: a response
/// that is so late is not worth the memory.
const WAITING_MAX: usize = 65_536;

/// Puts what is learned later into its event, and gives events back in the order they were told.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    settled: bool,
}

impl Joiner {
    /// Tells an event its number in the store.
    pub(super) fn number(&mut self, id: EventId, seq: u64) {
        if let Some(waiting) = self.find(id) {
            waiting.event.seq = Some(seq);
        }
    }

    /// The next event about which nothing more will be learned, if it is first in line.
    pub(super) fn pop_settled(&mut self) -> Option<Event> {
        let front = self.waiting.front()?;
        if front.settled || self.waiting.len() > WAITING_MAX {
            return self.pop();
        }
        None
    }

    /// The next event, whatever may still be learned about it.
    pub(super) fn pop(&mut self) -> Option<Event> {
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
            waiting.event.learn(&detail.learned);
        }
    }

    fn on_settled(&mut self, id: EventId) {
        if let Some(waiting) = self.find(id) {
            waiting.settled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::Learned;
    use crate::engine::frame::Timestamp;
    use crate::entries::request;

    #[test]
    fn an_event_waits_for_its_status_and_those_behind_it_wait_too() {
        let mut joiner = Joiner::default();
        joiner.on_event(request(7));
        joiner.on_event(request(8));
        joiner.on_settled(EventId(8));
        assert_eq!(joiner.pop_settled(), None);
        joiner.on_detail(Detail {
            of: EventId(7),
            time: Timestamp::default(),
            learned: Learned::Status { status: 404 },
        });
        joiner.on_settled(EventId(7));
        let first = joiner.pop_settled().unwrap();
        assert_eq!((first.id, first.status), (EventId(7), Some(404)));
        assert_eq!(joiner.pop_settled().unwrap().id, EventId(8));
        assert_eq!(joiner.pop_settled(), None);
    }

    #[test]
    fn what_is_said_about_an_event_that_is_gone_is_ignored() {
        let mut joiner = Joiner::default();
        joiner.on_event(request(1));
        assert!(joiner.pop().is_some());
        joiner.on_settled(EventId(1));
        assert_eq!(joiner.pop_settled(), None);
    }
}
