//! Requests and responses, out of whole header blocks.

use crate::engine::app::hpack::{Decoded, Decoder, HpackError};
use crate::engine::app::http2::blocks::{Block, BlockKind};
use crate::engine::app::http2::side::{Reading, Speaker};
use crate::engine::app::http2::streams::Streams;
use crate::engine::app::request::{self, Gathered};
use crate::engine::app::{HttpVersion, Observer, RequestHead};
use crate::engine::event::Flags;
use crate::engine::transport::{Direction, StreamContext};

/// What a header block turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Sound,
    /// The connection cannot go on with it.
    Malformed,
}

/// A header block and what it changes.
pub(super) struct HeaderBlock<'a, 'b, O> {
    pub(super) hpack: &'a mut Decoder,
    pub(super) is_guess: &'a mut bool,
    pub(super) resynced: &'a mut bool,
    pub(super) has_missed: bool,
    pub(super) reading: &'a mut Reading<'b, O>,
}

impl<O: Observer> HeaderBlock<'_, '_, O> {
    pub(super) fn read(&mut self, speaker: Speaker, block: &Block<'_>) -> Judged {
        match (speaker, block.kind) {
            (Speaker::Client, BlockKind::Headers) => self.on_clients(block),
            (Speaker::Server, BlockKind::Headers) => self.on_servers(block),
            (Speaker::Client, BlockKind::Promise) => Judged::Malformed,
            (Speaker::Server, BlockKind::Promise) => {
                match self.decode(block, |_, _| {}) {
                    Some(_) => Judged::Sound, // nobody asked for it: no visit
                    None => Judged::Malformed,
                }
            }
        }
    }

    /// A request or its trailers.
    fn on_clients(&mut self, block: &Block<'_>) -> Judged {
        if !Streams::is_clients(block.stream) {
            return Judged::Malformed;
        }
        let mut gathered = Gathered::default();
        let decoded = {
            let observer = &*self.reading.observer;
            let on_field = |name: &[u8], value: &[u8]| gathered.on_field(name, value, observer);
            decode(self.hpack, block, on_field)
        };
        let Some(decoded) = self.after(block, decoded) else {
            return Judged::Malformed;
        };
        let is_new = self.reading.streams.is_new(block.stream);
        if is_new && gathered.is_request() {
            *self.is_guess = false;
            self.tell(block.stream, &gathered, decoded);
        } else if is_new || gathered.has_pseudo_headers() {
            self.count_untold(&gathered, decoded);
        }
        Judged::Sound
    }

    fn tell(&mut self, stream: u32, gathered: &Gathered, decoded: Decoded) {
        let reading = &mut *self.reading;
        reading.observer.counters().requests += 1;
        let authority = gathered.authority();
        let is_watched = reading.observer.is_watched(authority.unwrap_or_default());
        let is_unknown = authority.is_none() && decoded.unknown > 0;
        let mut event = None;
        if is_watched || is_unknown {
            let flags = flags(reading.context.flags, *self.resynced, decoded);
            let context = StreamContext {
                direction: Direction::ToServer,
                ..*reading.context
            };
            let complete = decoded.unknown == 0 && !decoded.is_truncated;
            let head = gathered.head(HttpVersion::Http2, reading.proxied_for, flags, complete);
            event = head.and_then(|head| {
                let head = RequestHead {
                    tunnelled: reading.tunnelled,
                    ..head
                };
                reading.observer.on_request(&context, &head)
            });
        }
        *reading.has_told |= is_watched || event.is_some();
        if is_unknown && event.is_none() {
            reading.observer.counters().http2_heads_lost += 1;
        } else if !is_watched && !is_unknown {
            reading.observer.counters().requests_not_watched += 1;
        }
        *self.resynced = false;
        reading.streams.begin(stream, event, reading.observer);
    }

    /// A head that is no request: because of what is missing, or of its own accord.
    fn count_untold(&mut self, gathered: &Gathered, decoded: Decoded) {
        let counters = self.reading.observer.counters();
        if decoded.unknown > 0 || decoded.is_truncated {
            counters.http2_heads_lost += 1;
        } else if gathered.has_pseudo_headers() || !self.has_missed {
            counters.http2_malformed += 1; // else it may be the trailers of a request before
        }
    }

    /// A response, its forerunners or its trailers.
    fn on_servers(&mut self, block: &Block<'_>) -> Judged {
        let mut status = None;
        let decoded = self.decode(block, |name, value| {
            if name == b":status" && status.is_none() {
                status = request::status(value);
            }
        });
        let Some(decoded) = decoded else {
            return Judged::Malformed;
        };
        if status.is_some() {
            *self.is_guess = false;
        }
        if Streams::is_clients(block.stream) {
            self.answer(block.stream, status, decoded);
        }
        Judged::Sound
    }

    fn answer(&mut self, stream: u32, status: Option<u16>, decoded: Decoded) {
        let reading = &mut *self.reading;
        let time = reading.context.time;
        match status {
            Some(100..=199) => {} // another response follows (RFC 9113 §8.1)
            Some(status) => {
                reading.observer.counters().responses += 1;
                reading
                    .streams
                    .answer(stream, time, status, reading.observer);
            }
            None if reading.streams.awaits(stream) && !*self.is_guess => {
                if decoded.unknown > 0 || decoded.is_truncated {
                    reading.observer.counters().http2_heads_lost += 1;
                } else {
                    reading.observer.counters().http2_malformed += 1;
                }
                reading.streams.fail(stream, reading.observer);
            }
            None => {} // trailers
        }
    }

    fn decode(&mut self, block: &Block<'_>, on_field: impl FnMut(&[u8], &[u8])) -> Option<Decoded> {
        let decoded = decode(self.hpack, block, on_field);
        self.after(block, decoded)
    }

    /// A block that ends before its end has changed the table in ways that are not known.
    fn after(&mut self, block: &Block<'_>, decoded: Option<Decoded>) -> Option<Decoded> {
        if decoded.is_some() && block.is_cut {
            self.hpack.lose();
            self.reading.observer.counters().http2_lost += 1;
        }
        decoded
    }
}

/// Decodes a block; None when it makes no sense. One that is cut ends within a field.
fn decode(
    hpack: &mut Decoder,
    block: &Block<'_>,
    on_field: impl FnMut(&[u8], &[u8]),
) -> Option<Decoded> {
    let cut = Decoded {
        unknown: 0,
        is_truncated: true,
    };
    match hpack.decode(&block.bytes, on_field) {
        Ok(decoded) if block.is_cut => Some(Decoded {
            is_truncated: true,
            ..decoded
        }),
        Ok(decoded) => Some(decoded),
        Err(HpackError::Cut) if block.is_cut => Some(cut),
        Err(_) => None,
    }
}

/// What is to be said against a request.
fn flags(of_flow: Flags, resynced: bool, decoded: Decoded) -> Flags {
    let mut flags = Flags::NONE;
    let is_midstream = of_flow.contains(Flags::MIDSTREAM);
    if resynced || (decoded.unknown > 0 && !is_midstream) {
        flags = flags.with(Flags::GAP);
    }
    if decoded.is_truncated {
        flags = flags.with(Flags::TRUNCATED);
    }
    flags
}
