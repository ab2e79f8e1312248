//! One connection: packets opened by whatever keys come, the hello and the requests inside read.
//!
//! Whatever cannot be opened yet is held, and read as if it came then. Keys for Initial packets
//! are there from the start; for all others they come from key logs, by the hello's random bytes.
//! See [`Known`] for when a hello is told.

use std::fmt;
use std::time::Duration;

use crate::app::Observer;
use crate::app::http3::{Http3, StreamPiece};
use crate::app::quic::early::Early;
use crate::app::quic::frame::{Frame, Frames};
use crate::app::quic::held::Held;
use crate::app::quic::identity::{Identity, Other};
use crate::app::quic::initial::Initial;
use crate::app::quic::names::Names;
use crate::app::quic::packet::{Level, LongPacket, Sealed};
use crate::app::quic::side::{KEYS_BYTES, Side};
use crate::app::quic::version::Version;
use crate::app::tls::known::Known;
use crate::app::tls::suite::Suite;
use crate::event::Flags;
use crate::frame::Timestamp;
use crate::limits::{HOLE_WAIT, QUIC_LINGER, SECRET_WAIT};
use crate::transport::{Direction, Interest, StreamContext};

mod handshake;
mod opening;

/// A connection of which the client's first packet was read.
pub(super) struct Connection {
    /// What it is called by those who bring keys.
    number: u64,
    /// Other connections between the same addresses.
    others: Vec<Other>,
    /// Its own hello, also where that is not watched.
    identity: Option<Identity>,
    known: Known,
    initial: Initial,
    /// The version of packets with short headers.
    version: Version,
    /// What the server chose, or what was found by trying.
    suite: Option<Suite>,
    client_side: Side,
    server_side: Side,
    early: Early,
    http3: Http3,
    held: Held,
    /// Whether what is held may be opened by now: a key came, or a hello.
    unlocked: bool,
    /// When the first of its sides closed it.
    closed_at: Option<Timestamp>,
    /// When what waits within its streams is looked at again.
    check_at: Option<Timestamp>,
}

/// Whether a connection is worth more packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    GoesOn,
    Over,
    /// Its hello is that of another connection: it is the same one, after a Retry or in another
    /// version.
    Again(Identity),
}

/// Why a packet was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It waits: for a key, or for the client's hello.
    NotYet { for_key: bool },
    /// No key that is there opens it.
    NotOpened,
    /// Nothing of the connection is wanted.
    Unwanted,
    /// Its hello is that of another connection.
    Again(Identity),
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connection").finish_non_exhaustive() // it holds secrets
    }
}

impl Connection {
    /// From the keys that opened a client's first packet; `others` are other connections between
    /// the same addresses.
    pub(super) fn new(number: u64, initial: Initial, others: Vec<Other>) -> Self {
        Self {
            number,
            others,
            identity: None,
            known: Known::new(),
            version: initial.version(),
            initial,
            suite: None,
            client_side: Side::default(),
            server_side: Side::default(),
            early: Early::default(),
            http3: Http3::default(),
            held: Held::default(),
            unlocked: false,
            closed_at: None,
            check_at: None,
        }
    }

    /// Reads a packet with a long header.
    pub(super) fn on_long(
        &mut self,
        packet: &LongPacket<'_>,
        context: &StreamContext,
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Outcome {
        if self.begins_anew(packet, context) {
            names.learn(Direction::ToServer, packet.destination);
        }
        let outcome = self.on_packet(&packet.into(), context, names, observer);
        if outcome != Err(Stop::NotOpened) {
            names.learn(context.direction, packet.destination);
            names.learn(context.direction.reversed(), packet.source);
        }
        self.after(outcome, names, observer)
    }

    /// Reads a packet with a short header.
    pub(super) fn on_short(
        &mut self,
        packet: &[u8],
        context: &StreamContext,
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Outcome {
        let outcome = self.on_packet(&Sealed::short(packet), context, names, observer);
        self.after(outcome, names, observer)
    }

    /// A secret came, or it is time.
    pub(super) fn on_wake(
        &mut self,
        now: Timestamp,
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Outcome {
        self.unlocked = true;
        let outcome = self.release(names, observer);
        self.known.on_time(now, observer);
        self.expire(now, observer);
        self.check_streams(now, observer);
        let lingers = |closed: Timestamp| closed.plus(QUIC_LINGER) > now || !self.held.is_empty();
        match self.closed_at.is_none_or(lingers) {
            true => self.judge(outcome, observer),
            false => Outcome::Over,
        }
    }

    /// How much it would cost to forget the connection.
    pub(super) fn interest(&self) -> Interest {
        let own = match (&self.known.hello, self.held.is_empty()) {
            (Some(_), true) => Interest::Idle,
            (Some(_), false) if self.known.is_named() => Interest::Watched,
            _ => Interest::Undecided,
        };
        own.max(self.http3.interest())
    }

    /// Bytes on the heap, with itself.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + 2 * KEYS_BYTES
            + self.known.heap_bytes()
            + self.client_side.heap_bytes()
            + self.server_side.heap_bytes()
            + self.early.heap_bytes()
            + self.http3.heap_bytes()
            + self.held.heap_bytes()
    }

    /// The connection is over, and nothing more is waited for.
    pub(super) fn give_up(mut self: Box<Self>, now: Timestamp, observer: &mut dyn Observer) {
        if self.known.is_waiting() && self.known.is_named() && !self.known.opened {
            observer.counters().tls_no_key += 1;
        }
        if self.held.has(Level::Early) {
            self.miss_early_data(observer);
        }
        self.judge_early_data(true, observer); // nobody refused it
        let context = self.known.hello.as_ref().map(|hello| StreamContext {
            time: now,
            ..hello.context
        });
        if let Some(context) = context {
            self.end_hello(&context, observer);
        }
    }

    /// Packets whose keys have not come by now are not read.
    fn expire(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        let expired = self.held.expire(now);
        observer.counters().quic_packets_dropped += expired.len() as u64;
        if expired.contains(&Level::Early) {
            self.miss_early_data(observer);
        }
    }

    /// Data that came with the hello stays closed, though keys of the connection came: its server
    /// does not log that one.
    fn miss_early_data(&mut self, observer: &mut dyn Observer) {
        if self.known.opened && !self.early.is_refused() {
            self.known.tell_unread(observer);
        }
    }

    /// Nothing more comes of what the hello began.
    fn end_hello(&mut self, context: &StreamContext, observer: &mut dyn Observer) {
        let (mut http3, mut known) = (
            std::mem::take(&mut self.http3),
            std::mem::replace(&mut self.known, Known::new()),
        );
        known.inside(observer, |under| http3.close(context, under));
        known.end(observer);
    }

    /// Its client's hello.
    pub(super) const fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Whether one of its sides closed it.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    /// Takes over from one whose client said the same hello again: a Retry came between, or the
    /// server spoke another version.
    pub(super) fn go_on_as(&mut self, other: Self) {
        self.initial = other.initial;
        self.version = other.version;
        self.client_side.initial = other.client_side.initial;
        self.server_side.restart();
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.client_side,
            Direction::ToClient => &mut self.server_side,
        }
    }

    /// Opens a packet and reads it, or keeps it until it can be opened.
    fn on_packet(
        &mut self,
        packet: &Sealed<'_>,
        context: &StreamContext,
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let outcome = self.read(packet, context, names, observer);
        match outcome {
            Err(Stop::NotYet { for_key }) => {
                let is_held = self.held.push(packet, context, for_key);
                observer.counters().quic_packets_dropped += u64::from(!is_held);
            }
            Err(Stop::NotOpened) => observer.counters().quic_not_opened += 1,
            Ok(()) | Err(Stop::Unwanted | Stop::Again(_)) => {}
        }
        outcome
    }

    fn read(
        &mut self,
        packet: &Sealed<'_>,
        context: &StreamContext,
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let mut buffer = Vec::new();
        let opened = self.open(packet, context.direction, names, &mut buffer, observer)?;
        self.side(context.direction)
            .note_number(packet.level, opened.number);
        self.known.opened |= packet.level != Level::Initial;
        let frames = buffer.get(opened.frames).unwrap_or_default();
        self.on_frames(packet.level, context, frames, names, observer)
    }

    fn on_frames(
        &mut self,
        level: Level,
        context: &StreamContext,
        frames: &[u8],
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let is_authentic = level != Level::Initial; // whose keys everybody has
        for frame in Frames::new(frames) {
            match frame {
                Ok(Frame::Crypto { offset, data }) => {
                    self.on_crypto(level, context, (offset, data), observer)?;
                }
                Ok(Frame::Stream {
                    id,
                    offset,
                    data,
                    is_last,
                }) => {
                    let piece = StreamPiece {
                        id,
                        offset,
                        data,
                        is_last,
                    };
                    self.on_stream(level, context, piece, observer);
                }
                Ok(Frame::Reset { .. } | Frame::NewConnectionId(_)) if !is_authentic => {}
                Ok(Frame::Reset { id }) => {
                    let http3 = &mut self.http3;
                    self.known
                        .inside(observer, |under| http3.on_reset(id, context, under));
                }
                Ok(Frame::NewConnectionId(id)) => names.learn(context.direction.reversed(), id),
                Ok(Frame::Close) => {
                    self.closed_at.get_or_insert(context.time);
                }
                Err(_) => observer.counters().quic_malformed += 1,
            }
        }
        Ok(())
    }

    fn on_stream(
        &mut self,
        level: Level,
        context: &StreamContext,
        piece: StreamPiece<'_>,
        observer: &mut dyn Observer,
    ) {
        if level == Level::Early && self.early.is_undecided() {
            let is_kept = self.early.keep(piece, context);
            observer.counters().quic_packets_dropped += u64::from(!is_kept);
        } else if level == Level::Traffic || matches!(self.early, Early::Taken) {
            self.tell_http3(context, piece, observer);
        }
    }

    fn tell_http3(
        &mut self,
        context: &StreamContext,
        piece: StreamPiece<'_>,
        observer: &mut dyn Observer,
    ) {
        if !self.speaks_http3() {
            return;
        }
        let http3 = &mut self.http3;
        self.known
            .inside(observer, |under| http3.on_stream(piece, context, under));
    }

    /// Whether data that came with the hello was taken.
    fn judge_early_data(&mut self, taken: bool, observer: &mut dyn Observer) {
        for early in self.early.judge(taken) {
            self.tell_http3(&early.context, early.piece(), observer);
        }
    }

    /// Reads what is held, as far as that is possible by now, in the order in which it came.
    fn release(&mut self, names: &mut Names, observer: &mut dyn Observer) -> Result<(), Stop> {
        while std::mem::take(&mut self.unlocked) {
            for item in self.held.take_all() {
                let late = match item.for_key {
                    true => Flags::LATE_KEY,
                    false => Flags::NONE,
                };
                let context = StreamContext {
                    flags: item.context.flags.with(late),
                    ..item.context
                };
                match self.read(&item.sealed(), &context, names, observer) {
                    Err(Stop::NotYet { for_key }) => self.held.put_back(item, for_key),
                    Err(Stop::NotOpened) => observer.counters().quic_not_opened += 1,
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }

    fn after(
        &mut self,
        outcome: Result<(), Stop>,
        names: &mut Names,
        observer: &mut dyn Observer,
    ) -> Outcome {
        let outcome = match outcome {
            Err(Stop::Unwanted | Stop::Again(_)) => outcome,
            _ => self.release(names, observer),
        };
        self.judge(outcome, observer)
    }

    fn judge(&mut self, outcome: Result<(), Stop>, observer: &mut dyn Observer) -> Outcome {
        match outcome {
            Err(Stop::Unwanted) => Outcome::Over,
            Err(Stop::Again(other)) => Outcome::Again(other),
            Ok(()) | Err(Stop::NotYet { .. } | Stop::NotOpened) => {
                self.set_alarm(observer);
                Outcome::GoesOn
            }
        }
    }

    /// Streams that wait for what is missing are looked at from time to time.
    fn check_streams(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        if self.check_at.is_none_or(|at| at > now) {
            return;
        }
        self.check_at = None;
        let Some(hello) = &self.known.hello else {
            return;
        };
        let context = StreamContext {
            time: now,
            ..hello.context
        };
        let http3 = &mut self.http3;
        self.known
            .inside(observer, |under| http3.give_up_holes(&context, under));
        self.check_at = self.http3.waits().then(|| now.plus(CHECK_AGAIN));
    }

    /// Asks to be called when something has waited long enough.
    fn set_alarm(&mut self, observer: &mut dyn Observer) {
        if self.check_at.is_none() && self.http3.waits() {
            let now = self.known.hello.as_ref().map(|hello| hello.context.time);
            self.check_at = now.map(|now| now.plus(HOLE_WAIT));
        }
        let expiry = self.held.oldest().map(|oldest| oldest.plus(SECRET_WAIT));
        let end = self.closed_at.map(|closed| closed.plus(QUIC_LINGER));
        let end = end.filter(|_| self.held.is_empty());
        let alarm = [expiry, end, self.check_at].into_iter().flatten().min();
        self.known.set_alarm(alarm, observer);
    }
}

/// How long, in capture time, until streams with holes are looked at again.
const CHECK_AGAIN: Duration = Duration::from_secs(5);
