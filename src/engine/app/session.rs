//! What is kept for each flow: which side asks, what was asked and not answered yet.

use std::collections::VecDeque;

use crate::engine::app::Observer;
use crate::engine::app::http1::{Awaited, Place, Reader, begins_like_request};
use crate::engine::event::Flags;
use crate::engine::frame::Timestamp;
use crate::engine::limits::PIPELINED_REQUESTS_MAX;
use crate::engine::transport::{Chunk, Direction, FlowState, Interest, StreamContext};

/// The state of one connection above TCP.
#[derive(Debug, Default)]
pub struct Session {
    requests: Reader,
    responses: Reader,
    awaited: VecDeque<Awaited>,
    /// Whether the bytes show that client and server are the other way round.
    swapped: bool,
    /// Whether any byte was seen.
    begun: bool,
    /// Whether requests may be missing, so that no answer can be given to a later one.
    unsure: bool,
}

impl FlowState for Session {
    fn interest(&self) -> Interest {
        if !self.begun {
            return Interest::Undecided;
        }
        let waiting = if self.awaited.iter().any(|one| one.id.is_some()) {
            Interest::Undecided
        } else {
            Interest::Idle
        };
        self.requests.interest().max(waiting)
    }

    fn heap_bytes(&self) -> usize {
        self.requests.heap_bytes()
            + self.responses.heap_bytes()
            + self.awaited.capacity() * size_of::<Awaited>()
    }
}

impl Session {
    /// A connection of which nothing was seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next piece of one direction.
    pub fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut impl Observer,
    ) {
        match chunk {
            Chunk::Data(bytes) => self.on_data(context, bytes, observer),
            Chunk::Gap(length) => self.on_gap(context.direction, length),
            Chunk::Fin if self.asks(context.direction) => {}
            Chunk::Fin | Chunk::Reset => self.give_up(observer),
        }
    }

    /// The flow is forgotten: nobody will answer any more.
    pub fn on_close(mut self, _time: Timestamp, observer: &mut impl Observer) {
        self.give_up(observer);
    }

    fn asks(&self, direction: Direction) -> bool {
        (direction == Direction::ToServer) != self.swapped
    }

    fn reader(&mut self, direction: Direction) -> &mut Reader {
        if self.asks(direction) {
            &mut self.requests
        } else {
            &mut self.responses
        }
    }

    /// A hole in a body of known length hides no request; any other may.
    fn on_gap(&mut self, direction: Direction, length: u64) {
        let reader = self.reader(direction);
        reader.on_gap(length);
        let lost = matches!(reader.place, Place::Lost { .. });
        self.unsure |= lost && self.asks(direction);
    }

    fn on_data(&mut self, context: &StreamContext, bytes: &[u8], observer: &mut impl Observer) {
        if !self.begun {
            self.begin(context, bytes, observer);
        }
        if self.asks(context.direction) {
            self.on_requests(context, bytes, observer);
        } else {
            self.on_responses(context, bytes, observer);
        }
    }

    /// The first bytes tell who is who, and whether this is HTTP at all.
    fn begin(&mut self, context: &StreamContext, bytes: &[u8], observer: &mut impl Observer) {
        self.begun = true;
        let to_server = context.direction == Direction::ToServer;
        let midstream = context.flags.contains(Flags::MIDSTREAM);
        if midstream {
            self.swapped = (to_server && bytes.starts_with(b"HTTP/1."))
                || (!to_server && begins_like_request(bytes));
            self.requests.place = Place::LOST;
        }
        if bytes.first() == Some(&0x16) {
            self.requests.place = Place::Over;
            self.responses.place = Place::Over;
            observer.counters().streams_unknown += 1;
        }
    }

    fn on_requests(&mut self, context: &StreamContext, bytes: &[u8], observer: &mut impl Observer) {
        let mut found = Vec::new();
        self.requests
            .on_requests(context, bytes, observer, &mut |one| found.push(one));
        for one in found {
            if self.awaited.len() < PIPELINED_REQUESTS_MAX && !self.unsure {
                self.awaited.push_back(one);
                continue;
            }
            self.unsure = true; // an answer that nobody awaits would be taken for another's
            if let Some(id) = one.id {
                observer.on_unanswered(id);
            }
        }
    }

    fn on_responses(
        &mut self,
        context: &StreamContext,
        bytes: &[u8],
        observer: &mut impl Observer,
    ) {
        let awaited = &mut self.awaited;
        self.responses
            .on_responses(bytes, observer, &mut |observer, status| {
                let one = awaited.pop_front()?;
                if let Some(id) = one.id {
                    observer.on_status(context.time, id, status);
                }
                Some(one.kind)
            });
        if self.responses.is_upgraded() {
            self.requests.place = Place::Over;
        }
    }

    fn give_up(&mut self, observer: &mut impl Observer) {
        for one in self.awaited.drain(..) {
            if let Some(id) = one.id {
                observer.on_unanswered(id);
            }
        }
    }
}
