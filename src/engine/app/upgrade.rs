//! From HTTP/1 to HTTP/2 by Upgrade (RFC 7540 §3.2): the server answers 101, both begin anew, and
//! the request is answered on stream 1.

use crate::app::Observer;
use crate::app::http1::{self, Http1};
use crate::app::http2::{self, Http2, PREFACE, is_servers_start};
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::transport::{Chunk, Direction, Interest, StreamContext};

/// A connection after a 101, before it shows what it switched to.
#[derive(Debug)]
pub(super) struct Switched {
    http2: Http2,
    client: Direction,
    request: Option<EventId>,
    /// When the 101 came.
    time: Timestamp,
    to_server: Held,
    to_client: Held,
}

/// First bytes that do not tell yet.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    is_missed: bool,
}

/// What it switched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Too little was seen.
    Undecided,
    /// HTTP/2.
    Http2,
    /// Something that is not read.
    Other,
}

impl Switched {
    /// A request was answered with 101.
    pub(super) fn new(http1: &Http1, request: Option<EventId>, time: Timestamp) -> Self {
        Self {
            http2: Http2::upgraded(http1.client(), http1.proxied_for()),
            client: http1.client(),
            request,
            time,
            to_server: Held::default(),
            to_client: Held::default(),
        }
    }

    /// What the server sent so far was not kept.
    pub(super) fn miss_server(&mut self) {
        self.side(self.client.reversed()).is_missed = true;
    }

    /// Takes the next piece of one direction.
    pub(super) fn on_chunk(&mut self, direction: Direction, chunk: Chunk<'_>) -> Verdict {
        let from_client = direction == self.client;
        let held = self.side(direction);
        match chunk {
            Chunk::Data(_) if held.is_missed => Verdict::Undecided,
            Chunk::Data(bytes) => {
                held.bytes.extend_from_slice(bytes);
                match from_client {
                    true => judge_client(&held.bytes),
                    false => judge_server(&held.bytes),
                }
            }
            Chunk::Gap(_) if from_client => Verdict::Other,
            Chunk::Gap(_) => {
                *held = Held {
                    bytes: Vec::new(),
                    is_missed: true,
                };
                Verdict::Undecided
            }
            Chunk::Fin | Chunk::Reset => Verdict::Undecided,
        }
    }

    /// It is HTTP/2: reads what was held. `context` is that of the last piece.
    pub(super) fn into_http2(
        mut self,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) -> Http2 {
        self.http2.adopt(self.request, observer);
        if self.side(self.client.reversed()).is_missed {
            self.http2.lose_responses(observer);
        }
        for context in [*context, context.reversed()] {
            let held = std::mem::take(self.side(context.direction));
            if !held.bytes.is_empty() {
                let chunk = Chunk::Data(&held.bytes);
                self.http2.on_chunk(&context, chunk, observer);
            }
        }
        self.http2
    }

    /// It is something else, or ended: 101 is all the answer there is.
    pub(super) fn end(&mut self, observer: &mut impl Observer) {
        observer.counters().http1_upgraded += 1;
        observer.counters().responses += 1;
        if let Some(request) = self.request.take() {
            observer.on_status(self.time, request, 101);
        }
    }

    /// How much it would cost to forget it.
    pub(super) fn interest(&self) -> Interest {
        match self.request {
            Some(_) => Interest::Undecided,
            None => Interest::Idle,
        }
    }

    /// Bytes on the heap, its own among them.
    pub(super) fn heap_bytes(&self) -> usize {
        let held = self.to_server.bytes.capacity() + self.to_client.bytes.capacity();
        size_of::<Self>() - size_of::<Http2>() + self.http2.heap_bytes() + held
    }

    fn side(&mut self, direction: Direction) -> &mut Held {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

fn judge_client(bytes: &[u8]) -> Verdict {
    let length = bytes.len().min(PREFACE.len());
    match PREFACE.get(..length) == bytes.get(..length) {
        true if length == PREFACE.len() => Verdict::Http2,
        true => Verdict::Undecided,
        false => Verdict::Other,
    }
}

fn judge_server(bytes: &[u8]) -> Verdict {
    match is_servers_start(bytes) {
        Some(true) => Verdict::Http2,
        Some(false) => Verdict::Other,
        None => Verdict::Undecided,
    }
}

/// A connection whose client speaks HTTP/2 already, while the server's 101 was not read yet.
#[derive(Debug)]
pub(super) struct Crossing {
    http1: Http1,
    http2: Http2,
}

impl Crossing {
    /// The client's preface was seen behind a request.
    pub(super) fn new(mut http1: Http1, observer: &mut impl Observer) -> Self {
        http1.expect_no_more(observer);
        let mut http2 = Http2::upgraded(http1.client(), http1.proxied_for());
        http2.reserve_upgraded();
        Self { http1, http2 }
    }

    /// Reads the next piece of one direction; HTTP/2 alone, once the server speaks it too.
    pub(super) fn on_chunk(
        mut self: Box<Self>,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut impl Observer,
    ) -> Crossed {
        let is_servers = context.direction != self.http1.client();
        match chunk {
            Chunk::Data(_) if is_servers => {}
            Chunk::Gap(_) if is_servers => {
                let request = self.http1.take_first();
                let mut http2 = self.into_http2(request, observer);
                http2.lose_responses(observer);
                return Crossed::Http2(Box::new(http2));
            }
            chunk => {
                let outcome = self.http2.on_chunk(context, chunk, observer);
                if outcome == http2::Outcome::NotHttp2 {
                    self.http2.lose_requests(observer); // it began like the preface, and is none
                }
                if is_servers || matches!(chunk, Chunk::Reset) {
                    self.http1.on_chunk(context, chunk, observer);
                }
                return Crossed::NotYet(self);
            }
        }
        match self.http1.on_chunk(context, chunk, observer) {
            http1::Outcome::GoesOn => Crossed::NotYet(self),
            http1::Outcome::Switched { request, rest, .. } => {
                let mut http2 = self.into_http2(request, observer);
                if !rest.is_empty() {
                    http2.on_chunk(context, Chunk::Data(rest), observer);
                }
                Crossed::Http2(Box::new(http2))
            }
            _ => {
                let mut http2 = self.into_http2(None, observer);
                http2.lose_responses(observer);
                Crossed::Http2(Box::new(http2))
            }
        }
    }

    /// The connection ended or is forgotten.
    pub(super) fn close(&mut self, observer: &mut impl Observer) {
        self.http1.close(observer);
        self.http2.close(observer);
    }

    /// How much it would cost to forget it.
    pub(super) fn interest(&self) -> Interest {
        self.http1.interest().max(self.http2.interest())
    }

    /// Bytes on the heap, its own among them.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Http1>() + self.http1.heap_bytes() + self.http2.heap_bytes()
    }

    fn into_http2(mut self, request: Option<EventId>, observer: &mut impl Observer) -> Http2 {
        self.http2.adopt(request, observer);
        self.http1.close(observer);
        self.http2
    }
}

/// Where a crossing stands.
#[derive(Debug)]
pub(super) enum Crossed {
    NotYet(Box<Crossing>),
    Http2(Box<Http2>),
}
