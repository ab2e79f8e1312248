//! HTTP/2 (RFC 9113): in clear text, after an Upgrade, or inside whatever covers it.
//!
//! [`Http2::on_chunk`] is all there is to feed, with chunks of either direction in any pieces.
//! Both directions are read separately, each with its own header compression; `streams` alone
//! knows both. Bodies are passed over frame by frame without a copy.
//!
//! Where bytes are missing in more than a body, frames are sought again at the start of each
//! segment, and what later header blocks say is told as far as it does not refer to what was
//! missed.

use std::net::IpAddr;

use crate::app::Observer;
use crate::app::hpack::Decoder;
use crate::app::http2::blocks::{BlockKind, Blocks, Taken};
use crate::app::http2::frame::are_likely_frames;
use crate::app::http2::frames::{Frames, Next};
use crate::app::http2::side::{Reading, Side, Speaker};
use crate::app::http2::streams::Streams;
use crate::app::request::{Gathered, status};
use crate::event::EventId;
use crate::transport::{Chunk, Direction, Interest, StreamContext};

mod blocks;
mod frame;
mod frames;
mod heads;
mod side;
mod streams;

pub(super) use frame::{PREFACE, is_servers_start};
pub(super) use frames::pass_preface;

/// A connection that speaks HTTP/2.
#[derive(Debug)]
pub(super) struct Http2 {
    /// Which way the client's bytes go, by the transport's guess.
    client: Direction,
    requests: Side,
    responses: Side,
    streams: Streams,
    /// Who connected to the proxy in front, by the PROXY protocol.
    proxied_for: Option<IpAddr>,
    /// Whether it was HTTP/1 before.
    upgraded: bool,
    /// Whether it brought a watched request.
    has_told: bool,
}

/// Whether a connection goes on as HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It does.
    GoesOn,
    /// It never was.
    NotHttp2,
}

impl Http2 {
    /// A connection from its first byte, the client's preface; `client` is the direction of the
    /// client's bytes.
    pub(super) fn new(client: Direction, proxied_for: Option<IpAddr>) -> Self {
        Self {
            client,
            requests: Side::new(Speaker::Client),
            responses: Side::new(Speaker::Server),
            streams: Streams::default(),
            proxied_for,
            upgraded: false,
            has_told: false,
        }
    }

    /// A connection that was HTTP/1 before.
    pub(super) fn upgraded(client: Direction, proxied_for: Option<IpAddr>) -> Self {
        Self {
            upgraded: true,
            ..Self::new(client, proxied_for)
        }
    }

    /// A connection whose preface was read elsewhere.
    pub(super) fn after_preface(client: Direction) -> Self {
        Self {
            requests: Side::after_preface(),
            ..Self::new(client, None)
        }
    }

    /// A connection from its middle; `gap` is whether bytes are missing before the client's next
    /// request.
    pub(super) fn adrift(client: Direction, gap: bool, observer: &mut impl Observer) -> Self {
        observer.counters().http2_lost += 1;
        Self {
            requests: Side::lost(Speaker::Client, gap),
            responses: Side::lost(Speaker::Server, false),
            ..Self::new(client, None)
        }
    }

    /// The connection was HTTP/1 before, and its last request there, which somebody may want to
    /// hear of, is answered on stream 1 (RFC 7540 §3.2).
    pub(super) fn adopt(&mut self, request: Option<EventId>, observer: &mut impl Observer) {
        self.streams.begin(UPGRADED_STREAM, request, observer);
    }

    /// Stream 1 is a request of HTTP/1 that is not told yet.
    pub(super) fn reserve_upgraded(&mut self) {
        self.streams.reserve(UPGRADED_STREAM);
    }

    /// What the client says is no HTTP/2 from here on, as far as can be told.
    pub(super) fn lose_requests(&mut self, observer: &mut impl Observer) {
        observer.counters().http2_lost += 1;
        self.requests.lose_place();
    }

    /// The server's first bytes are not to be had.
    pub(super) fn lose_responses(&mut self, observer: &mut impl Observer) {
        observer.counters().http2_lost += 1;
        self.responses.lose_place();
    }

    /// Reads the next piece of one direction.
    pub(super) fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut impl Observer,
    ) -> Outcome {
        let from_client = context.direction == self.client;
        let side = match from_client {
            true => &mut self.requests,
            false => &mut self.responses,
        };
        let mut reading = Reading {
            context,
            streams: &mut self.streams,
            observer,
            proxied_for: self.proxied_for,
            tunnelled: self.upgraded,
            has_told: &mut self.has_told,
        };
        match chunk {
            Chunk::Data(bytes) => {
                if !side.on_data(bytes, &mut reading) {
                    return Outcome::NotHttp2;
                }
            }
            Chunk::Gap(gap) => side.on_gap(gap, &mut reading),
            Chunk::Fin if from_client => {}
            Chunk::Fin | Chunk::Reset => self.streams.give_up(observer),
        }
        Outcome::GoesOn
    }

    /// How much it would cost to forget the connection. Its header compression goes with it, and
    /// so do the requests to come: one that brought a watched request is worth as much as a head
    /// that may become one.
    pub(super) fn interest(&self) -> Interest {
        match self.requests.is_holding() {
            true if self.has_told => Interest::Watched,
            true => Interest::Undecided,
            false if self.has_told || self.requests.is_in_preface() => Interest::Undecided,
            false => Interest::Idle,
        }
    }

    /// Bytes on the heap, its own among them: it is kept in a box.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.requests.heap_bytes()
            + self.responses.heap_bytes()
            + self.streams.heap_bytes()
    }

    /// The connection ended or is forgotten.
    pub(super) fn close(&mut self, observer: &mut impl Observer) {
        self.streams.close(observer);
    }
}

/// Whether a segment from the middle of a connection is HTTP/2 beyond reasonable doubt: frames all
/// through, and a header block among them that says a request or a response. Then: whether the
/// client sent it.
pub(super) fn recognise(bytes: &[u8], observer: &impl Observer) -> Option<bool> {
    if !are_likely_frames(bytes) {
        return None;
    }
    let (mut frames, mut blocks) = (Frames::without_preface(), Blocks::default());
    let mut hpack = Decoder::default();
    hpack.lose();
    let mut rest = bytes;
    while let Next::Frame(header, payload) = frames.next(&mut rest) {
        let Taken::Block(block) = blocks.take(header, payload) else {
            continue;
        };
        let mut gathered = Gathered::default();
        let mut is_response = false;
        let decoded = hpack.decode(&block.bytes, |name, value| {
            is_response |= name == b":status" && status(value).is_some();
            gathered.on_field(name, value, observer);
        });
        if decoded.is_err() || block.is_cut {
            return None;
        }
        if block.kind == BlockKind::Headers && (is_response || gathered.is_request()) {
            return Some(!is_response);
        }
    }
    None
}

/// The stream of a request that was made in HTTP/1.
const UPGRADED_STREAM: u32 = 1;

#[cfg(test)]
mod tests;
