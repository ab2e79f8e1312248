//! What is kept for each flow: first the question which protocol it speaks, then that protocol.

use crate::app::Observer;
use crate::app::adrift::{Adrift, Bearing};
use crate::app::http1::{First, Http1, Outcome};
use crate::app::http2::{self, Http2};
use crate::app::opening::{self, Opening, Verdict};
use crate::app::probe::Protocol;
use crate::app::tls::{self, Tls};
use crate::app::upgrade::{self, Crossed, Crossing, Switched};
use crate::event::Flags;
use crate::frame::Timestamp;
use crate::transport::{Chunk, Direction, FlowState, Interest, StreamContext};

/// The state of one connection above TCP. Small: there may be a million.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// No byte was seen.
    #[default]
    New,
    /// The start of the connection was seen, but not enough to tell what it speaks.
    Opening(Box<Opening>),
    /// Its start was not seen: a first line of HTTP/1, or frames of HTTP/2, are sought in both
    /// directions.
    Adrift(Box<Adrift>),
    /// It speaks HTTP/1, and is within its first request's head.
    First(First),
    /// It speaks HTTP/1.
    Http1(Box<Http1>),
    /// It speaks HTTP/2.
    Http2(Box<Http2>),
    /// It spoke HTTP/1 up to a 101.
    Switched(Box<Switched>),
    /// Its client speaks HTTP/2 already, its server not yet.
    Crossing(Box<Crossing>),
    /// It speaks TLS.
    Tls(Box<Tls>),
    /// Nothing that is read, or nothing more.
    Over,
}

impl FlowState for Session {
    fn interest(&self) -> Interest {
        match &self.state {
            State::First(first) => first.interest(),
            State::Http1(http1) => http1.interest(),
            State::Http2(http2) => http2.interest(),
            State::Tls(tls) => tls.interest(),
            State::Switched(switched) => switched.interest(),
            State::Crossing(crossing) => crossing.interest(),
            State::Opening(_) => Interest::Undecided,
            State::Adrift(adrift) if adrift.heap_bytes() > 0 => Interest::Undecided,
            State::New | State::Adrift(_) | State::Over => Interest::Idle,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.state {
            State::First(first) => first.heap_bytes(),
            State::Http1(http1) => size_of::<Http1>() + http1.heap_bytes(),
            State::Http2(http2) => http2.heap_bytes(),
            State::Tls(tls) => tls.heap_bytes(),
            State::Switched(switched) => switched.heap_bytes(),
            State::Crossing(crossing) => crossing.heap_bytes(),
            State::Opening(opening) => opening.heap_bytes(),
            State::Adrift(adrift) => size_of::<Adrift>() + adrift.heap_bytes(),
            State::New | State::Over => 0,
        }
    }

    fn held(&self, direction: Direction) -> &[u8] {
        match &self.state {
            State::First(first) => first.held(direction),
            State::Http1(http1) => http1.held(direction),
            State::Opening(opening) => opening.held(direction),
            State::Adrift(adrift) => adrift.held(direction),
            _ => &[],
        }
    }

    fn outlives_its_connection(&self) -> bool {
        matches!(self.state, State::Tls(_)) // its keys may come
    }

    fn pass_over(&mut self, direction: Direction, offset: u64, bytes: &[u8]) -> bool {
        match &mut self.state {
            State::Over => true,
            State::Http1(http1) => http1.pass_over(direction, offset, bytes),
            _ => false,
        }
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
        let midstream = context.flags.contains(Flags::MIDSTREAM);
        if midstream && matches!(self.state, State::New) {
            self.state = State::Adrift(Box::default());
        }
        match &mut self.state {
            State::Over => {}
            State::First(first) => {
                if !first.skim(context.direction, chunk) {
                    self.leave_first(context, chunk, observer);
                }
            }
            State::Http1(http1) => {
                let outcome = http1.on_chunk(context, chunk, observer);
                self.after(outcome, context, observer);
            }
            State::Http2(http2) => {
                if http2.on_chunk(context, chunk, observer) == http2::Outcome::NotHttp2 {
                    self.end_unknown(observer);
                }
            }
            State::Tls(tls) => {
                let outcome = tls.on_chunk(context, chunk, observer);
                self.after_tls(outcome, context.time, observer);
            }
            State::Switched(switched) => {
                let verdict = switched.on_chunk(context.direction, chunk);
                self.after_switch(verdict, context, observer);
            }
            State::Crossing(_) => self.cross(context, chunk, observer),
            State::New | State::Opening(_) => match chunk {
                Chunk::Data(bytes) => self.open(context, bytes, observer),
                Chunk::Gap(length) => self.miss_opening(context, length),
                Chunk::Fin | Chunk::Reset => {}
            },
            State::Adrift(adrift) => match chunk {
                Chunk::Data(bytes) => self.search(context, bytes, observer),
                Chunk::Gap(length) => adrift.miss(context, length),
                Chunk::Fin | Chunk::Reset => {}
            },
        }
    }

    /// The flow is forgotten: nobody will answer any more.
    pub fn on_close(mut self, time: Timestamp, observer: &mut impl Observer) {
        match std::mem::take(&mut self.state) {
            State::Tls(tls) => tls::closed::close(tls, time, observer),
            other => {
                self.state = other;
                self.end(observer);
            }
        }
    }

    /// A secret came that it waits for, or it is time.
    pub fn on_wake(&mut self, time: Timestamp, observer: &mut impl Observer) {
        if let State::Tls(tls) = &mut self.state {
            let outcome = tls.on_wake(time, observer);
            self.after_tls(outcome, time, observer);
        }
    }

    /// What is known of the opening so far; on the heap only while it waits for more.
    fn take_opening(&mut self) -> Opening {
        match std::mem::take(&mut self.state) {
            State::Opening(opening) => *opening,
            _ => Opening::default(),
        }
    }

    fn open(&mut self, context: &StreamContext, bytes: &[u8], observer: &mut impl Observer) {
        let direction = context.direction;
        if matches!(self.state, State::New) && direction == Direction::ToServer {
            if let Some(first) = First::begin(bytes, direction, observer) {
                self.state = State::First(first);
                return;
            }
        }
        let mut opening = self.take_opening();
        match opening.feed(context.direction, bytes) {
            Verdict::Undecided => self.state = State::Opening(Box::new(opening)),
            Verdict::Unknown => self.end_unknown(observer),
            Verdict::Known {
                protocol: Protocol::Tls,
                client,
                bytes,
            } => {
                observer.counters().streams_tls += 1;
                let other = opening.take(context.direction.reversed());
                let tls = Tls::new(client, opening.proxied_for);
                self.state = State::Tls(Box::new(tls));
                self.read(context, [&bytes, &[]], observer);
                self.read(&context.reversed(), [&other.held, &[]], observer);
            }
            Verdict::Known {
                protocol: Protocol::Http1,
                client,
                bytes,
            } => {
                let http1 = Http1::fresh(client, opening.proxied_for);
                let other = opening.take(context.direction.reversed());
                self.begin_http1(http1, &other, context, &bytes, observer);
            }
            Verdict::Known {
                protocol: Protocol::Http2,
                client,
                bytes,
            } => {
                let mut http2 = Http2::new(client, opening.proxied_for);
                let other = opening.take(context.direction.reversed());
                if other.missed {
                    http2.lose_responses(observer);
                }
                self.state = State::Http2(Box::new(http2));
                self.read(context, [&bytes, &[]], observer);
                self.read(&context.reversed(), [&other.held, &[]], observer);
            }
        }
    }

    /// HTTP/1 begins: what the other side said came before the bytes that tell so.
    fn begin_http1(
        &mut self,
        mut http1: Http1,
        other: &opening::Side,
        context: &StreamContext,
        bytes: &[u8],
        observer: &mut impl Observer,
    ) {
        if other.missed {
            http1.lose_responses(observer);
        }
        if other.held.is_empty() {
            return self.run(http1, context, Chunk::Data(bytes), observer);
        }
        self.state = State::Http1(Box::new(http1));
        self.read(&context.reversed(), [&other.held, &[]], observer);
        self.read(context, [bytes, &[]], observer);
    }

    fn miss_opening(&mut self, context: &StreamContext, length: u64) {
        let mut opening = self.take_opening();
        self.state = match context.direction {
            Direction::ToClient => {
                opening.miss_server();
                State::Opening(Box::new(opening))
            }
            Direction::ToServer => {
                let mut adrift = Box::<Adrift>::default();
                adrift.miss(context, length);
                State::Adrift(adrift)
            }
        };
    }

    fn search(&mut self, context: &StreamContext, bytes: &[u8], observer: &mut impl Observer) {
        let State::Adrift(adrift) = &mut self.state else {
            return;
        };
        match adrift.feed(context, bytes, observer) {
            Bearing::None => {}
            Bearing::Tls => self.end_tls(context, observer),
            Bearing::TlsHello { client, held, rest } => {
                observer.counters().streams_tls += 1;
                self.state = State::Tls(Box::new(Tls::new(client, None)));
                self.read(context, [&held, rest], observer);
            }
            Bearing::Http1 { http1, held, rest } => {
                self.state = State::Http1(Box::new(http1));
                self.read(context, [&held, rest], observer);
            }
            Bearing::Http2 { http2, rest } => {
                self.state = State::Http2(http2);
                self.read(context, [rest, &[]], observer);
            }
        }
    }

    /// More is at hand than a first head that is skimmed.
    fn leave_first(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut impl Observer,
    ) {
        if let State::First(first) = std::mem::take(&mut self.state) {
            self.run(first.into_http1(), context, chunk, observer);
        }
    }

    /// Reads on in HTTP/1, and keeps as little of it as can be.
    fn run(
        &mut self,
        mut http1: Http1,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut impl Observer,
    ) {
        let outcome = http1.on_chunk(context, chunk, observer);
        let small = match outcome {
            Outcome::GoesOn => First::of(http1),
            _ => Err(http1),
        };
        self.state = match small {
            Ok(first) => State::First(first),
            Err(http1) => State::Http1(Box::new(http1)),
        };
        self.after(outcome, context, observer);
    }

    /// Reads what comes after a change of state.
    fn read(&mut self, context: &StreamContext, pieces: [&[u8]; 2], observer: &mut impl Observer) {
        for bytes in pieces {
            if !bytes.is_empty() {
                self.on_chunk(context, Chunk::Data(bytes), observer);
            }
        }
    }

    fn after(
        &mut self,
        outcome: Outcome<'_>,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        match outcome {
            Outcome::GoesOn => {}
            Outcome::NotHttp => self.end_unknown(observer),
            Outcome::Left => {
                observer.counters().http1_upgraded += 1;
                self.end(observer);
            }
            Outcome::Switched {
                request,
                rest,
                early,
            } => {
                if let State::Http1(mut http1) = std::mem::take(&mut self.state) {
                    let time = early.unwrap_or(context.time);
                    let mut switched = Switched::new(&http1, request, time);
                    if early.is_some() {
                        switched.miss_server();
                    }
                    self.state = State::Switched(Box::new(switched));
                    http1.close(observer);
                }
                self.read(context, [rest, &[]], observer);
            }
            Outcome::Http2Preface { held, rest } => {
                if let State::Http1(http1) = std::mem::take(&mut self.state) {
                    self.state = State::Crossing(Box::new(Crossing::new(*http1, observer)));
                }
                self.read(context, [&held, rest], observer);
            }
        }
    }

    fn after_switch(
        &mut self,
        verdict: upgrade::Verdict,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        match verdict {
            upgrade::Verdict::Undecided => {}
            upgrade::Verdict::Other => self.end(observer),
            upgrade::Verdict::Http2 => {
                if let State::Switched(switched) = std::mem::take(&mut self.state) {
                    let http2 = switched.into_http2(context, observer);
                    self.state = State::Http2(Box::new(http2));
                }
            }
        }
    }

    fn cross(&mut self, context: &StreamContext, chunk: Chunk<'_>, observer: &mut impl Observer) {
        if let State::Crossing(crossing) = std::mem::take(&mut self.state) {
            self.state = match crossing.on_chunk(context, chunk, observer) {
                Crossed::NotYet(crossing) => State::Crossing(crossing),
                Crossed::Http2(http2) => State::Http2(http2),
            };
        }
    }

    fn end_unknown(&mut self, observer: &mut impl Observer) {
        observer.counters().streams_unknown += 1;
        self.end(observer);
    }

    /// TLS from its middle: without its hello no key is known by name.
    fn end_tls(&mut self, context: &StreamContext, observer: &mut impl Observer) {
        let server = match context.direction {
            Direction::ToServer => context.dst,
            Direction::ToClient => context.src,
        };
        let is_watched = observer.is_watched_server(server.ip());
        observer.counters().tls_no_hello += u64::from(is_watched);
        observer.counters().streams_tls += 1;
        self.end(observer);
    }

    fn after_tls(&mut self, outcome: tls::Outcome, time: Timestamp, observer: &mut impl Observer) {
        if outcome == tls::Outcome::GoesOn {
            return;
        }
        if let State::Tls(tls) = std::mem::replace(&mut self.state, State::Over) {
            tls.give_up(time, observer);
        }
    }

    fn end(&mut self, observer: &mut impl Observer) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Http1(mut http1) => http1.close(observer),
            State::Http2(mut http2) => http2.close(observer),
            State::Switched(mut switched) => switched.end(observer),
            State::Crossing(mut crossing) => crossing.close(observer),
            State::New
            | State::First(_)
            | State::Opening(_)
            | State::Adrift(_)
            | State::Tls(_)
            | State::Over => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 24, "{}", size_of::<Session>());
    }
}
