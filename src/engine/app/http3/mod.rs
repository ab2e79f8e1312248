//! HTTP/3 (RFC 9114) on the streams of a QUIC connection.
//!
//! [`Http3::on_stream`] takes pieces of any stream in any order. Of a request's stream no more is
//! read than its head, and of the other direction no more than the response's status: bodies pass
//! without being held. Where bytes of a head never come it is given up; the other streams do not
//! suffer, as long as the missing bytes filled no table.

use crate::app::hpack::Decoded;
use crate::app::http3::answers::Answers;
use crate::app::http3::channel::{Found, Piece};
use crate::app::http3::qpack::Refusal;
use crate::app::http3::side::{Blocked, Side, is_message};
use crate::app::request::{self, Gathered};
use crate::app::{HttpVersion, Observer};
use crate::event::Flags;
use crate::frame::Timestamp;
use crate::transport::{Direction, Interest, StreamContext};

mod answers;
mod channel;
mod finished;
mod frame;
mod qpack;
mod side;

/// A connection that speaks HTTP/3.
#[derive(Debug, Default)]
pub struct Http3 {
    client: Side,
    server: Side,
    answers: Answers,
    /// Whether it brought a watched request.
    has_told: bool,
}

/// Part of a stream, as a packet brought it.
#[derive(Clone, Copy, Debug)]
pub struct StreamPiece<'a> {
    /// Which stream.
    pub id: u64,
    /// Where in it.
    pub offset: u64,
    /// The bytes.
    pub data: &'a [u8],
    /// Whether the stream ends with them.
    pub is_last: bool,
}

/// Whether more of a stream is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    More,
    No,
}

impl Http3 {
    /// Reads a piece of a stream. `context` says who sent it: whatever goes to the server, the
    /// client sent.
    pub fn on_stream(
        &mut self,
        piece: StreamPiece<'_>,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        let id = piece.id;
        if !is_read(id, context.direction) {
            return;
        }
        let piece = Piece {
            offset: piece.offset,
            data: piece.data,
            is_last: piece.is_last,
            time: context.time,
        };
        let side = self.side(context.direction);
        if let Some(found) = side.take(id, piece, observer) {
            self.on_found(id, found, context, observer);
        }
    }

    /// The sender gives a stream up.
    pub fn on_reset(&mut self, id: u64, context: &StreamContext, observer: &mut impl Observer) {
        if is_message(id) && is_read(id, context.direction) {
            self.side(context.direction).finish(id);
            if context.direction == Direction::ToClient {
                self.answers.fail(id, observer);
            }
        }
    }

    /// Gives up what has waited too long, or all that waits where no time is given.
    pub fn give_up_holes(&mut self, context: &StreamContext, observer: &mut impl Observer) {
        self.give_up(Some(context.time), context, observer);
    }

    /// The connection ended or is forgotten.
    pub fn close(&mut self, context: &StreamContext, observer: &mut impl Observer) {
        self.give_up(None, context, observer);
        self.answers.close(observer);
    }

    /// Whether anything waits for what is missing.
    pub fn waits(&self) -> bool {
        self.client.waits() || self.server.waits()
    }

    /// How much it would cost to forget the connection.
    pub fn interest(&self) -> Interest {
        match self.client.is_holding() || !self.answers.is_empty() {
            true if self.has_told => Interest::Watched,
            true => Interest::Undecided,
            false if self.has_told => Interest::Undecided,
            false => Interest::Idle,
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.client.heap_bytes() + self.server.heap_bytes() + self.answers.heap_bytes()
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client,
            Direction::ToClient => &mut self.server,
        }
    }

    fn on_found(
        &mut self,
        id: u64,
        found: Found,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        let direction = context.direction;
        if let Some(capacity) = found.capacity {
            self.side(direction.reversed()).qpack.allow(capacity);
        }
        if let (Some(first), Direction::ToClient) = (found.goes_away_from, direction) {
            self.answers.fail_from(first, observer);
        }
        if is_message(id) {
            for section in found.sections {
                if self.on_section(id, section, context, observer) == Wanted::No {
                    return self.side(direction).finish(id);
                }
            }
        }
        if found.has_instructions {
            self.unblock(false, context, observer);
        }
        if found.is_malformed {
            observer.counters().http3_malformed += 1;
        }
        if is_message(id) && (found.is_malformed || found.is_complete) {
            self.side(direction).finish(id);
            if direction == Direction::ToClient && !self.server.is_blocked(id) {
                self.answers.fail(id, observer);
            }
        }
    }

    /// Reads a header section, or keeps it until it can be read.
    fn on_section(
        &mut self,
        id: u64,
        section: Vec<u8>,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) -> Wanted {
        let is_behind = self.side(context.direction).is_blocked(id);
        let read = match is_behind {
            false => self.read(id, &section, false, context, observer),
            true => None,
        };
        if let Some(wanted) = read {
            return wanted;
        }
        let surplus = self
            .side(context.direction)
            .block(id, section, context.time);
        for blocked in surplus {
            observer.counters().http3_lost += 1;
            self.read(blocked.stream, &blocked.section, true, context, observer);
        }
        match context.direction {
            Direction::ToServer => Wanted::No, // all that is wanted of a request is its head
            Direction::ToClient => Wanted::More,
        }
    }

    /// Fields came: reads the sections that waited for them. With `partly` all of them, whatever
    /// is missing.
    fn unblock(&mut self, partly: bool, context: &StreamContext, observer: &mut impl Observer) {
        let mut still: Vec<Blocked> = Vec::new();
        for blocked in self.side(context.direction).take_blocked() {
            let id = blocked.stream;
            let is_behind = still.iter().any(|other| other.stream == id);
            let wanted = match is_behind {
                true => None,
                false => self.read(id, &blocked.section, partly, context, observer),
            };
            match wanted {
                None => still.push(blocked),
                Some(Wanted::No) => self.side(context.direction).finish(id),
                Some(Wanted::More) => {}
            }
        }
        let side = self.side(context.direction);
        still.into_iter().for_each(|one| side.put_back(one));
    }

    /// None when it has to wait.
    fn read(
        &mut self,
        id: u64,
        section: &[u8],
        partly: bool,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) -> Option<Wanted> {
        let outcome = match context.direction {
            Direction::ToServer => self.read_request(id, section, partly, context, observer),
            Direction::ToClient => self.read_response(id, section, partly, context, observer),
        };
        match outcome {
            Ok(wanted) => Some(wanted),
            Err(Refusal::Blocked) => None,
            Err(Refusal::Malformed(_)) => {
                observer.counters().http3_malformed += 1;
                if context.direction == Direction::ToClient {
                    self.answers.fail(id, observer);
                }
                Some(Wanted::No)
            }
        }
    }

    fn read_request(
        &mut self,
        id: u64,
        section: &[u8],
        partly: bool,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) -> Result<Wanted, Refusal> {
        let mut gathered = Gathered::default();
        let decoded = {
            let observer = &*observer;
            self.client.qpack.decode(section, partly, |name, value| {
                gathered.on_field(name, value, observer);
            })?
        };
        if gathered.is_request() {
            self.tell(id, &gathered, decoded, context, observer);
        } else if decoded.unknown > 0 || decoded.is_truncated {
            observer.counters().http3_lost += 1;
        } else {
            observer.counters().http3_malformed += 1;
        }
        Ok(Wanted::No)
    }

    fn tell(
        &mut self,
        id: u64,
        gathered: &Gathered,
        decoded: Decoded,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        observer.counters().requests += 1;
        let mut event = None;
        if observer.is_watched(gathered.authority().unwrap_or_default()) {
            let is_complete = decoded.unknown == 0 && !decoded.is_truncated;
            let flags = flags(decoded);
            let head = gathered.head(HttpVersion::Http3, None, flags, is_complete);
            event = head.and_then(|head| observer.on_request(context, &head));
            self.has_told = true;
        } else {
            observer.counters().requests_not_watched += 1;
        }
        self.answers.begin(id, event, observer);
    }

    /// A response, or one of its forerunners (RFC 9114 §4.1).
    fn read_response(
        &mut self,
        id: u64,
        section: &[u8],
        partly: bool,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) -> Result<Wanted, Refusal> {
        let mut status = None;
        let decoded = self.server.qpack.decode(section, partly, |name, value| {
            if name == b":status" && status.is_none() {
                status = request::status(value);
            }
        })?;
        match status {
            Some(100..=199) => return Ok(Wanted::More),
            Some(status) => {
                observer.counters().responses += 1;
                let is_early = !self.client.is_finished(id) || self.client.is_blocked(id);
                let answer = (context.time, status);
                self.answers.answer(id, answer, is_early, observer);
            }
            None => {
                match decoded.unknown > 0 || decoded.is_truncated {
                    true => observer.counters().http3_lost += 1,
                    false => observer.counters().http3_malformed += 1,
                }
                self.answers.fail(id, observer);
            }
        }
        Ok(Wanted::No)
    }

    fn give_up(
        &mut self,
        now: Option<Timestamp>,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let context = match context.direction == direction {
                true => *context,
                false => context.reversed(),
            };
            let side = self.side(direction);
            let (lost, messages) = side.give_up_holes(now);
            let is_overdue = now.is_none_or(|now| side.is_overdue(now));
            observer.counters().http3_lost += lost;
            if direction == Direction::ToClient {
                for id in messages {
                    self.answers.fail(id, observer);
                }
            }
            self.unblock(is_overdue, &context, observer);
        }
    }
}

/// Whether a direction of a stream is read: requests and their responses, and what each side says
/// about the connection (RFC 9114 §6).
const fn is_read(id: u64, direction: Direction) -> bool {
    matches!(
        (id & 3, direction),
        (0, _) | (2, Direction::ToServer) | (3, Direction::ToClient)
    )
}

/// What is to be said against a head.
fn flags(decoded: Decoded) -> Flags {
    let missing = match decoded.unknown {
        0 => Flags::NONE,
        _ => Flags::GAP,
    };
    match decoded.is_truncated {
        true => missing.with(Flags::TRUNCATED),
        false => missing,
    }
}

#[cfg(test)]
mod tests;
