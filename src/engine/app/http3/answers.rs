//! Which response answers which request: the stream's id says so.

use std::collections::BTreeMap;

use crate::app::Observer;
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::limits::{EARLY_RESPONSES_MAX, STREAMS_MAX};

/// The requests of one connection that wait for their responses. Those that nobody asked to be
/// told of are not kept.
#[derive(Debug, Default)]
pub(super) struct Answers {
    awaited: BTreeMap<u64, EventId>,
    /// Responses whose request has not been read yet.
    early: Vec<Early>,
}

#[derive(Clone, Copy, Debug)]
struct Early {
    stream: u64,
    time: Timestamp,
    status: u16,
}

impl Answers {
    /// Bytes on the heap, about.
    pub(super) fn heap_bytes(&self) -> usize {
        self.awaited.len() * size_of::<(u64, EventId)>() * 2
            + self.early.capacity() * size_of::<Early>()
    }

    /// Whether any request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// A request was read; `event` when somebody wants to hear of its response.
    pub(super) fn begin(
        &mut self,
        stream: u64,
        event: Option<EventId>,
        observer: &mut impl Observer,
    ) {
        let early = self.early.iter().position(|one| one.stream == stream);
        let early = early.map(|place| self.early.swap_remove(place));
        match (event, early) {
            (Some(event), Some(early)) => observer.on_status(early.time, event, early.status),
            (Some(event), None) => self.wait(stream, event, observer),
            (None, _) => {}
        }
    }

    /// The final response on a stream was read; `is_early` is whether its request was not.
    pub(super) fn answer(
        &mut self,
        stream: u64,
        (time, status): (Timestamp, u16),
        is_early: bool,
        observer: &mut impl Observer,
    ) {
        if let Some(event) = self.awaited.remove(&stream) {
            observer.on_status(time, event, status);
        } else if is_early {
            if self.early.len() >= EARLY_RESPONSES_MAX {
                self.early.remove(0);
                observer.counters().responses_unmatched += 1;
            }
            self.early.push(Early {
                stream,
                time,
                status,
            });
        }
    }

    /// There will be no response on a stream.
    pub(super) fn fail(&mut self, stream: u64, observer: &mut impl Observer) {
        if let Some(event) = self.awaited.remove(&stream) {
            observer.on_unanswered(event);
        }
    }

    /// There will be none from a stream on: the server goes away (RFC 9114 §5.2).
    pub(super) fn fail_from(&mut self, stream: u64, observer: &mut impl Observer) {
        for (_, event) in self.awaited.split_off(&stream) {
            observer.on_unanswered(event);
        }
    }

    /// Neither requests nor responses will be seen.
    pub(super) fn close(&mut self, observer: &mut impl Observer) {
        self.fail_from(0, observer);
        observer.counters().responses_unmatched += self.early.len() as u64;
        self.early.clear();
    }

    fn wait(&mut self, stream: u64, event: EventId, observer: &mut impl Observer) {
        self.awaited.insert(stream, event);
        if self.awaited.len() > STREAMS_MAX {
            if let Some((_, oldest)) = self.awaited.pop_first() {
                observer.counters().http3_streams_dropped += 1;
                observer.on_unanswered(oldest);
            }
        }
    }
}
