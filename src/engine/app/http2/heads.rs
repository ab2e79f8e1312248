//! Requests and responses, out of the frames that header blocks come in.

use crate::app::hpack::{Decoded, Decoder, HpackError};
use crate::app::http2::blocks::{Block, BlockKind, Blocks, Taken};
use crate::app::http2::frame::{FrameHeader, FrameKind};
use crate::app::http2::side::{Reading, Speaker};
use crate::app::http2::streams::Streams;
use crate::app::request::{self, Gathered};
use crate::app::{HttpVersion, Observer, RequestHead};
use crate::event::{EventId, Flags};
use crate::transport::{Direction, StreamContext};

/// What a header block turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Sound,
    /// The connection cannot go on with it.
    Malformed,
}

/// What one direction has said in header blocks, as far as it matters for the next.
#[derive(Debug)]
pub(super) struct Heads {
    speaker: Speaker,
    blocks: Blocks,
    hpack: Decoder,
    /// Whether the place of frames was guessed, and no header block has shown yet that it is right.
    pub(super) is_guess: bool,
    /// Whether bytes are missing, or made no sense, since the last good request.
    pub(super) resynced: bool,
    /// Whether some ever were: the start of a stream may be among them.
    has_missed: bool,
}

impl Heads {
    /// From the start of a connection.
    pub(super) fn new(speaker: Speaker) -> Self {
        Self {
            speaker,
            blocks: Blocks::default(),
            hpack: Decoder::default(),
            is_guess: false,
            resynced: false,
            has_missed: false,
        }
    }

    /// Whether part of a header block is held.
    pub(super) fn is_holding(&self) -> bool {
        self.blocks.is_holding()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.blocks.heap_bytes() + self.hpack.heap_bytes()
    }

    /// Takes the next frame with its payload.
    pub(super) fn on_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Judged {
        match self.blocks.take(header, payload) {
            Taken::Block(block) => return self.on_block(&block, reading),
            Taken::Malformed => return Judged::Malformed,
            Taken::Other if !self.is_guess => {
                on_other_frame(self.speaker, header, payload, reading);
            }
            Taken::Other | Taken::Part => {}
        }
        Judged::Sound
    }

    /// A hole cuts a frame; `held` is its payload up to there.
    pub(super) fn on_hole(
        &mut self,
        header: FrameHeader,
        held: &[u8],
        reading: &mut Reading<'_, impl Observer>,
    ) -> Judged {
        self.resynced = true; // bytes of this very head are missing
        self.has_missed = true;
        let block = self.blocks.on_hole(header, held);
        let judged = match block {
            // The snap length cut the frame: what it holds of a head is told.
            Some(block) if reading.context.flags.contains(Flags::TRUNCATED) => {
                self.on_block(&block, reading)
            }
            _ => {
                reading.observer.counters().http2_heads_lost += 1;
                reading.observer.counters().http2_lost += 1;
                Judged::Sound
            }
        };
        self.resynced = true;
        self.hpack.lose();
        judged
    }

    /// Bytes were missed: what header blocks refer to is not known.
    pub(super) fn lose(&mut self) {
        self.blocks.clear();
        self.hpack.lose();
        self.has_missed = true;
    }

    fn on_block(&mut self, block: &Block<'_>, reading: &mut Reading<'_, impl Observer>) -> Judged {
        match (self.speaker, block.kind) {
            (Speaker::Client, BlockKind::Headers) => self.on_clients(block, reading),
            (Speaker::Server, BlockKind::Headers) => self.on_servers(block, reading),
            (Speaker::Client, BlockKind::Promise) => Judged::Malformed,
            (Speaker::Server, BlockKind::Promise) => {
                // Nobody asked for it: no visit.
                let decoded = decode(&mut self.hpack, block, |_, _| {});
                self.after(block, decoded, reading)
                    .map_or(Judged::Malformed, |_| Judged::Sound)
            }
        }
    }

    /// A request or its trailers.
    fn on_clients(
        &mut self,
        block: &Block<'_>,
        reading: &mut Reading<'_, impl Observer>,
    ) -> Judged {
        if !Streams::is_clients(block.stream) {
            return Judged::Malformed;
        }
        let mut gathered = Gathered::default();
        let observer = &*reading.observer;
        let decoded = decode(&mut self.hpack, block, |name, value| {
            gathered.on_field(name, value, observer);
        });
        let Some(decoded) = self.after(block, decoded, reading) else {
            return Judged::Malformed;
        };
        let is_new = reading.streams.is_new(block.stream);
        if is_new && gathered.is_request() {
            self.is_guess = false;
            self.on_request(block.stream, &gathered, decoded, reading);
        } else if is_new || gathered.has_pseudo_headers() {
            self.count_untold(&gathered, decoded, reading);
        }
        Judged::Sound
    }

    fn on_request(
        &mut self,
        stream: u32,
        gathered: &Gathered,
        decoded: Decoded,
        reading: &mut Reading<'_, impl Observer>,
    ) {
        reading.observer.counters().requests += 1;
        let authority = gathered.authority();
        let is_watched = reading.observer.is_watched(authority.unwrap_or_default());
        let is_unknown = authority.is_none() && decoded.unknown > 0;
        let mut event = None;
        if is_watched || is_unknown {
            event = self.tell(gathered, decoded, reading);
        }
        *reading.has_told |= is_watched || event.is_some();
        if is_unknown && event.is_none() {
            reading.observer.counters().http2_heads_lost += 1;
        } else if !is_watched && !is_unknown {
            reading.observer.counters().requests_not_watched += 1;
        }
        self.resynced = false;
        reading.streams.begin(stream, event, reading.observer);
    }

    fn tell(
        &self,
        gathered: &Gathered,
        decoded: Decoded,
        reading: &mut Reading<'_, impl Observer>,
    ) -> Option<EventId> {
        let flags = flags(reading.context.flags, self.resynced, decoded);
        let context = StreamContext {
            direction: Direction::ToServer,
            ..*reading.context
        };
        let complete = decoded.unknown == 0 && !decoded.is_truncated;
        let head = gathered.head(HttpVersion::Http2, reading.proxied_for, flags, complete)?;
        let head = RequestHead {
            tunnelled: reading.tunnelled,
            ..head
        };
        reading.observer.on_request(&context, &head)
    }

    /// A head that is no request: because of what is missing, or of its own accord.
    fn count_untold(
        &self,
        gathered: &Gathered,
        decoded: Decoded,
        reading: &mut Reading<'_, impl Observer>,
    ) {
        let counters = reading.observer.counters();
        if decoded.unknown > 0 || decoded.is_truncated {
            counters.http2_heads_lost += 1;
        } else if gathered.has_pseudo_headers() || !self.has_missed {
            counters.http2_malformed += 1; // else it may be the trailers of a request before
        }
    }

    /// A response, its forerunners or its trailers.
    fn on_servers(
        &mut self,
        block: &Block<'_>,
        reading: &mut Reading<'_, impl Observer>,
    ) -> Judged {
        let mut status = None;
        let decoded = decode(&mut self.hpack, block, |name, value| {
            if name == b":status" && status.is_none() {
                status = request::status(value);
            }
        });
        let Some(decoded) = self.after(block, decoded, reading) else {
            return Judged::Malformed;
        };
        if status.is_some() {
            self.is_guess = false;
        }
        if Streams::is_clients(block.stream) {
            self.answer(block.stream, status, decoded, reading);
        }
        Judged::Sound
    }

    fn answer(
        &self,
        stream: u32,
        status: Option<u16>,
        decoded: Decoded,
        reading: &mut Reading<'_, impl Observer>,
    ) {
        let time = reading.context.time;
        match status {
            Some(100..=199) => {} // another response follows (RFC 9113 §8.1)
            Some(status) => {
                reading.observer.counters().responses += 1;
                reading
                    .streams
                    .answer(stream, time, status, reading.observer);
            }
            None if reading.streams.awaits(stream) && !self.is_guess => {
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

    /// A block that ends before its end has changed the table in ways that are not known.
    fn after(
        &mut self,
        block: &Block<'_>,
        decoded: Option<Decoded>,
        reading: &mut Reading<'_, impl Observer>,
    ) -> Option<Decoded> {
        if decoded.is_some() && block.is_cut {
            self.hpack.lose();
            reading.observer.counters().http2_lost += 1;
        }
        decoded
    }
}

/// A frame that has nothing to do with header blocks.
fn on_other_frame(
    speaker: Speaker,
    header: FrameHeader,
    payload: &[u8],
    reading: &mut Reading<'_, impl Observer>,
) {
    match (speaker, header.kind) {
        // When the client gives up, an answer may be on its way all the same.
        (Speaker::Server, FrameKind::Reset) => {
            reading.streams.fail(header.stream, reading.observer);
        }
        (Speaker::Server, FrameKind::GoAway) => {
            if let Some(last) = payload.first_chunk() {
                let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
                reading.streams.fail_beyond(last, reading.observer);
            }
        }
        _ => {}
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
