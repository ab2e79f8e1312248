//! HTTP/1.0 and 1.1 in clear text (RFC 9110, RFC 9112), and HTTP/0.9.
//!
//! Both sides are read as leniently as real servers do, and separately; `exchange` alone knows
//! both. Where bytes are missing or make no sense, the next first line is sought.

use std::net::IpAddr;

use crate::app::Observer;
use crate::app::http1::exchange::Exchange;
use crate::app::http1::requests::{Leave, Reading, Requests};
use crate::app::http1::responses::{Responses, Step};
use crate::event::EventId;
use crate::frame::Timestamp;
use crate::transport::{Chunk, Direction, Interest, StreamContext};

mod body;
mod exchange;
mod fields;
mod first;
mod framing;
mod hunt;
mod line;
mod partial;
mod requests;
mod responses;
mod skim;
mod telling;
mod walk;

pub(super) use exchange::Owed;
pub(super) use first::First;
pub(super) use hunt::{Found, Hunt, Sought};
pub(super) use line::{StatusLine, is_certain_request_line, is_token, may_become_request_line};

/// A connection that speaks HTTP/1.
#[derive(Debug)]
pub(super) struct Http1 {
    requests: Requests,
    responses: Responses,
    exchange: Exchange,
}

/// Whether a connection goes on as HTTP/1.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    /// It does.
    GoesOn,
    /// It never was HTTP.
    NotHttp,
    /// It was, and goes on as something that is not read.
    Left,
    /// The server answered 101: it goes on as what the request asked for.
    Switched {
        /// That request, when somebody wants to hear of its response.
        request: Option<EventId>,
        /// What whoever spoke last sent after that.
        rest: &'a [u8],
        /// When the 101 came, if that was before the request: what the server sent after it was
        /// not kept.
        early: Option<Timestamp>,
    },
    /// The client goes on in HTTP/2, behind a request.
    Http2Preface {
        /// Its bytes from earlier chunks.
        held: Vec<u8>,
        /// Those of this one.
        rest: &'a [u8],
    },
}

impl Http1 {
    /// A connection from its start; `client` is the direction of the client's bytes.
    pub(super) fn fresh(client: Direction, proxied_for: Option<IpAddr>) -> Self {
        let mut http1 = Self::with(Requests::fresh(client));
        if let Some(client) = proxied_for {
            http1.exchange.set_proxied_for(client);
        }
        http1
    }

    /// A connection of which the client's side stands somewhere and the server's at its start.
    fn with(requests: Requests) -> Self {
        Self {
            requests,
            responses: Responses::default(),
            exchange: Exchange::default(),
        }
    }

    /// A connection from its middle. The searches for the two sides' first lines go on where
    /// they stand; `gap` is whether bytes are missing before the client's next request.
    pub(super) fn lost(
        client: Direction,
        requests: Hunt,
        responses: Hunt,
        gap: bool,
        observer: &mut impl Observer,
    ) -> Self {
        let mut exchange = Exchange::default();
        exchange.doubt(observer);
        Self {
            requests: Requests::lost(client, requests, gap),
            responses: Responses::lost(responses),
            exchange,
        }
    }

    /// Says whether requests may have been lost, and where the server's bytes began.
    pub(super) fn took_up(
        &mut self,
        owed: Option<Owed>,
        heard: Option<u64>,
        observer: &mut impl Observer,
    ) {
        self.exchange.owe(owed, observer);
        if let Some(heard) = heard {
            self.exchange.hear(heard);
        }
    }

    /// The server's first bytes are not to be had: its next status line counts.
    pub(super) fn lose_responses(&mut self, observer: &mut impl Observer) {
        self.responses = Responses::lost(Hunt::LineStart);
        self.exchange.doubt(observer);
    }

    /// Which way the client's bytes go, by the transport's guess.
    pub(super) fn client(&self) -> Direction {
        self.requests.from
    }

    /// Who connected to the proxy in front, by the PROXY protocol.
    pub(super) fn proxied_for(&self) -> Option<IpAddr> {
        self.exchange.proxied_for()
    }

    /// The client has left HTTP/1.
    pub(super) fn expect_no_more(&mut self, observer: &mut impl Observer) {
        self.exchange.doubt(observer);
    }

    /// The first request that waits is answered elsewhere.
    pub(super) fn take_first(&mut self) -> Option<EventId> {
        self.exchange.pop().and_then(|one| one.event)
    }

    /// Reads the next piece of one direction.
    pub(super) fn on_chunk<'a>(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'a>,
        observer: &mut impl Observer,
    ) -> Outcome<'a> {
        let from_client = context.direction == self.requests.from;
        let mut reading = Reading {
            context,
            exchange: &mut self.exchange,
            observer,
        };
        match chunk {
            Chunk::Data(bytes) if from_client => return self.on_requests(context, bytes, observer),
            Chunk::Data(bytes) => return self.on_responses(context, bytes, observer),
            Chunk::Gap(gap) if from_client => {
                self.requests.on_gap(gap, &mut reading);
                if let Some(switch) = self.exchange.take_switch() {
                    self.exchange.put_switch(switch); // told when it is closed, which follows
                    return Outcome::Left;
                }
            }
            Chunk::Gap(gap) => self.responses.on_gap(gap, &mut reading),
            Chunk::Fin if from_client => {}
            Chunk::Fin | Chunk::Reset => self.exchange.give_up(observer),
        }
        Outcome::GoesOn
    }

    /// Takes the server's next bytes, if they lie within a body; else false, and nothing has
    /// happened.
    pub(super) fn pass_over(&mut self, direction: Direction, offset: u64, bytes: &[u8]) -> bool {
        let passed = direction != self.requests.from && self.responses.pass_over(bytes);
        if passed {
            self.exchange.hear(offset);
        }
        passed
    }

    /// How much it would cost to forget the connection.
    pub(super) fn interest(&self) -> Interest {
        let waiting = if self.exchange.awaits_event() {
            Interest::Undecided
        } else {
            Interest::Idle
        };
        self.requests.interest().max(waiting)
    }

    /// The part of a head that is held.
    pub(super) fn held(&self, direction: Direction) -> &[u8] {
        if direction == self.requests.from {
            self.requests.held()
        } else {
            self.responses.held()
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.requests.heap_bytes() + self.responses.heap_bytes() + self.exchange.heap_bytes()
    }

    /// The connection ended, is forgotten, or leaves HTTP/1.
    pub(super) fn close(&mut self, observer: &mut impl Observer) {
        self.exchange.close(observer);
    }

    fn on_requests<'a>(
        &mut self,
        context: &StreamContext,
        bytes: &'a [u8],
        observer: &mut impl Observer,
    ) -> Outcome<'a> {
        let mut reading = Reading {
            context,
            exchange: &mut self.exchange,
            observer,
        };
        let leave = self.requests.on_data(bytes, &mut reading);
        if let Some(kind) = self.exchange.take_overtaken() {
            self.responses.was_for(kind);
        }
        match leave {
            None => Outcome::GoesOn,
            Some(Leave::NotHttp) => Outcome::NotHttp,
            Some(Leave::Switched { switch, rest }) => Outcome::Switched {
                request: switch.request,
                rest,
                early: Some(switch.time),
            },
            Some(Leave::Http2Preface { held, rest }) => Outcome::Http2Preface { held, rest },
        }
    }

    fn on_responses<'a>(
        &mut self,
        context: &StreamContext,
        bytes: &'a [u8],
        observer: &mut impl Observer,
    ) -> Outcome<'a> {
        self.exchange.hear(context.offset);
        let mut reading = Reading {
            context,
            exchange: &mut self.exchange,
            observer,
        };
        match self.responses.on_data(bytes, &mut reading) {
            None | Some(Step::Rest(_)) => Outcome::GoesOn,
            Some(Step::Over) => Outcome::Left,
            Some(Step::Switched(rest)) => Outcome::Switched {
                request: self.take_first(),
                rest,
                early: None,
            },
        }
    }
}
