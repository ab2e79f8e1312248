//! Which response answers which request: the stream's number says so.

use crate::app::Observer;
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::limits::{EARLY_RESPONSES_MAX, STREAMS_MAX};

/// The requests of one connection that wait for their responses. Those that nobody asked to be
/// told of are not kept.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order of their numbers.
    open: Vec<(u32, EventId)>,
    /// The highest number of a request that was read.
    last: u32,
    /// Responses whose request has not been seen yet: mirrors mix up the two directions.
    early: Vec<Early>,
}

#[derive(Clone, Copy, Debug)]
struct Early {
    stream: u32,
    time: Timestamp,
    status: u16,
}

impl Streams {
    /// Whether a client's header block on this stream is a request: numbers are odd and go up
    /// (RFC 9113 §5.1.1). On a stream that was used before it is trailers.
    pub(super) fn is_new(&self, stream: u32) -> bool {
        stream % 2 == 1 && stream > self.last
    }

    /// Whether a client may use this stream.
    pub(super) fn is_clients(stream: u32) -> bool {
        stream % 2 == 1
    }

    /// Whether a request waits for its response.
    pub(super) fn awaits(&self, stream: u32) -> bool {
        self.place_of(stream).is_some()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.open.capacity() * size_of::<(u32, EventId)>()
            + self.early.capacity() * size_of::<Early>()
    }

    /// A stream is used by a request that is not told yet.
    pub(super) fn reserve(&mut self, stream: u32) {
        self.last = self.last.max(stream);
    }

    /// A request was read; `event` when somebody wants to hear of its response.
    pub(super) fn begin(
        &mut self,
        stream: u32,
        event: Option<EventId>,
        observer: &mut impl Observer,
    ) {
        self.reserve(stream);
        let early = self.early.iter().position(|one| one.stream == stream);
        let early = early.map(|place| self.early.swap_remove(place));
        match (event, early) {
            (Some(event), Some(early)) => observer.on_status(early.time, event, early.status),
            (Some(event), None) => self.push(stream, event, observer),
            (None, _) => {}
        }
    }

    /// The final response on a stream was read.
    pub(super) fn answer(
        &mut self,
        stream: u32,
        time: Timestamp,
        status: u16,
        observer: &mut impl Observer,
    ) {
        if let Some(place) = self.place_of(stream) {
            let (_, event) = self.open.remove(place);
            observer.on_status(time, event, status);
        } else if stream > self.last {
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
    pub(super) fn fail(&mut self, stream: u32, observer: &mut impl Observer) {
        if let Some(place) = self.place_of(stream) {
            let (_, event) = self.open.remove(place);
            observer.on_unanswered(event);
        }
    }

    /// There will be none beyond a stream: the server goes away (RFC 9113 §6.8).
    pub(super) fn fail_beyond(&mut self, last: u32, observer: &mut impl Observer) {
        let kept = self.open.partition_point(|(stream, _)| *stream <= last);
        for (_, event) in self.open.drain(kept..) {
            observer.on_unanswered(event);
        }
    }

    /// There will be none at all.
    pub(super) fn give_up(&mut self, observer: &mut impl Observer) {
        self.fail_beyond(0, observer);
    }

    /// Neither requests nor responses will be seen.
    pub(super) fn close(&mut self, observer: &mut impl Observer) {
        self.give_up(observer);
        observer.counters().responses_unmatched += self.early.len() as u64;
        self.early.clear();
    }

    fn push(&mut self, stream: u32, event: EventId, observer: &mut impl Observer) {
        if self.open.len() >= STREAMS_MAX {
            let (_, oldest) = self.open.remove(0);
            observer.counters().http2_streams_dropped += 1;
            observer.on_unanswered(oldest);
        }
        let place = self.open.partition_point(|(other, _)| *other < stream);
        self.open.insert(place, (stream, event));
    }

    fn place_of(&self, stream: u32) -> Option<usize> {
        self.open
            .binary_search_by_key(&stream, |(stream, _)| *stream)
            .ok()
    }
}
