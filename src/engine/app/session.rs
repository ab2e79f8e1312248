//! What is kept for each flow: first the question which protocol it speaks, then that protocol.

use crate::engine::app::Observer;
use crate::engine::app::http1::{Found, Http1, Hunt, Outcome, Sought};
use crate::engine::app::opening::{Opening, Verdict};
use crate::engine::app::probe::Protocol;
use crate::engine::app::tls::{self, Tls};
use crate::engine::event::Flags;
use crate::engine::frame::Timestamp;
use crate::engine::transport::{Chunk, Direction, FlowState, Interest, StreamContext};

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
    /// Its start was not seen: a first line of HTTP/1 is sought in both directions.
    Adrift(Adrift),
    /// It speaks HTTP/1.
    Http1(Http1),
    /// It speaks TLS.
    Tls(Box<Tls>),
    /// Nothing that is read, or nothing more.
    Over,
}

/// One search for each direction.
#[derive(Debug, Default)]
struct Adrift {
    to_server: Search,
    to_client: Search,
}

#[derive(Debug, Default)]
struct Search {
    hunt: Hunt,
    start: Start,
    /// Whether bytes are missing that the transport knows of.
    gap: bool,
}

/// How the first bytes of a direction look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Start {
    /// None came.
    #[default]
    Unseen,
    /// So far like a TLS record: its type.
    TlsType,
    /// Its type and the first half of its version.
    TlsVersion,
    /// Like a TLS record (RFC 8446 §5.1).
    Tls,
    /// Otherwise.
    Other,
}

impl FlowState for Session {
    fn interest(&self) -> Interest {
        match &self.state {
            State::Http1(http1) => http1.interest(),
            State::Tls(tls) => tls.interest(),
            State::Opening(_) => Interest::Undecided,
            State::Adrift(adrift) if adrift.heap_bytes() > 0 => Interest::Undecided,
            State::New | State::Adrift(_) | State::Over => Interest::Idle,
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.state {
            State::Http1(http1) => http1.heap_bytes(),
            State::Tls(tls) => tls.heap_bytes(),
            State::Opening(opening) => opening.heap_bytes(),
            State::Adrift(adrift) => adrift.heap_bytes(),
            State::New | State::Over => 0,
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
            self.state = State::Adrift(Adrift::default());
        }
        match &mut self.state {
            State::Over => {}
            State::Http1(http1) => {
                let outcome = http1.on_chunk(context, chunk, observer);
                self.after(outcome, observer);
            }
            State::Tls(tls) => {
                let outcome = tls.on_chunk(context, chunk, observer);
                self.after_tls(outcome, context.time, observer);
            }
            State::New | State::Opening(_) => match chunk {
                Chunk::Data(bytes) => self.open(context, bytes, observer),
                Chunk::Gap(_) => self.miss_opening(context.direction),
                Chunk::Fin | Chunk::Reset => {}
            },
            State::Adrift(adrift) => match chunk {
                Chunk::Data(bytes) => self.search(context, bytes, observer),
                Chunk::Gap(_) => adrift.side(context.direction).miss(),
                Chunk::Fin | Chunk::Reset => {}
            },
        }
    }

    /// The flow is forgotten: nobody will answer any more.
    pub fn on_close(self, time: Timestamp, observer: &mut impl Observer) {
        match self.state {
            State::Http1(mut http1) => http1.close(observer),
            State::Tls(tls) => tls::closed::close(tls, time, observer),
            _ => {}
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
                let tls = Tls::new(client, opening.proxied_for);
                self.state = State::Tls(Box::new(tls));
                self.go_on(&bytes, opening, context, observer);
            }
            Verdict::Known {
                protocol: Protocol::Http1,
                client,
                bytes,
            } => {
                let mut http1 = Http1::fresh(client, opening.proxied_for);
                if opening.has_missed(context.direction.reversed()) {
                    http1.lose_responses(observer);
                }
                self.state = State::Http1(http1);
                self.go_on(&bytes, opening, context, observer);
            }
        }
    }

    /// The protocol is known: what either side sent is read.
    fn go_on(
        &mut self,
        bytes: &[u8],
        mut opening: Opening,
        context: &StreamContext,
        observer: &mut impl Observer,
    ) {
        let other = opening.take(context.direction.reversed());
        self.on_chunk(context, Chunk::Data(bytes), observer);
        if !other.held.is_empty() {
            self.on_chunk(&context.reversed(), Chunk::Data(&other.held), observer);
        }
    }

    fn miss_opening(&mut self, direction: Direction) {
        let mut opening = self.take_opening();
        self.state = match direction {
            Direction::ToClient => {
                opening.miss_server();
                State::Opening(Box::new(opening))
            }
            Direction::ToServer => {
                let mut adrift = Adrift::default();
                adrift.side(direction).miss();
                State::Adrift(adrift)
            }
        };
    }

    fn search(&mut self, context: &StreamContext, bytes: &[u8], observer: &mut impl Observer) {
        let State::Adrift(adrift) = &mut self.state else {
            return;
        };
        let side = adrift.side(context.direction);
        side.start = side.start.after(bytes);
        if side.start == Start::Tls {
            return self.end_tls(context, observer);
        }
        let Found::Line {
            held,
            rest,
            is_request,
        } = side.hunt.feed(Sought::Either, bytes)
        else {
            return;
        };
        let client = if is_request {
            context.direction
        } else {
            context.direction.reversed()
        };
        let requests = std::mem::take(adrift.side(client));
        let responses = std::mem::take(adrift.side(client.reversed()));
        let http1 = Http1::lost(
            client,
            requests.hunt,
            responses.hunt,
            requests.gap,
            observer,
        );
        self.state = State::Http1(http1);
        for bytes in [held.as_slice(), rest] {
            if !bytes.is_empty() {
                self.on_chunk(context, Chunk::Data(bytes), observer);
            }
        }
    }

    fn after(&mut self, outcome: Outcome, observer: &mut impl Observer) {
        match outcome {
            Outcome::GoesOn => {}
            Outcome::NotHttp => self.end_unknown(observer),
            Outcome::Left => {
                observer.counters().http1_upgraded += 1;
                self.end(observer);
            }
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
        if let State::Http1(mut http1) = std::mem::replace(&mut self.state, State::Over) {
            http1.close(observer);
        }
    }
}

impl Adrift {
    fn side(&mut self, direction: Direction) -> &mut Search {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn heap_bytes(&self) -> usize {
        self.to_server.hunt.heap_bytes() + self.to_client.hunt.heap_bytes()
    }
}

impl Search {
    fn miss(&mut self) {
        self.hunt = Hunt::LineStart;
        self.gap = true;
    }
}

impl Start {
    fn after(self, bytes: &[u8]) -> Self {
        bytes
            .iter()
            .take(3)
            .fold(self, |start, byte| match (start, byte) {
                (Self::Unseen, 0x14..=0x17) => Self::TlsType,
                (Self::TlsType, 0x03) => Self::TlsVersion,
                (Self::TlsVersion, 0..=4) | (Self::Tls, _) => Self::Tls,
                _ => Self::Other,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
    }
}
