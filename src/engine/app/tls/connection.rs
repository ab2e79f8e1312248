//! One connection: hellos read, records opened by whatever keys come, the requests inside read.
//!
//! Whatever cannot be read yet is held, in order, and read as if it came then; see `known` for
//! how long that is, and `opening` for the keys.

use std::fmt;
use std::net::IpAddr;

use crate::app::tls::cipher::{Dialect, Sender};
use crate::app::tls::connection::early::Early;
use crate::app::tls::held::What;
use crate::app::tls::known::Known;
use crate::app::tls::record::{Header, Next, Records};
use crate::app::tls::secrets::Waiter;
use crate::app::tls::side::Side;
use crate::app::tls::suite::Suite;
use crate::app::tls::transcript::Transcript;
use crate::app::{Observer, Session};
use crate::frame::Timestamp;
use crate::transport::{Chunk, Direction, FlowState, Interest, StreamContext};

mod agreement;
mod early;
mod handshake;
mod holding;
mod opening;
mod telling;

/// A connection that speaks TLS.
pub(in crate::app) struct Tls {
    /// Which way the client's bytes go, by the transport's guess.
    client: Direction,
    /// Who connected to the proxy in front, by the PROXY protocol.
    proxied_for: Option<IpAddr>,
    known: Known,
    /// What the server chose last.
    choice: Option<Choice>,
    transcript: Transcript,
    /// Whether a server of watched hosts spoke, and no client's hello was seen.
    is_nameless: bool,
    client_side: Side,
    server_side: Side,
    /// What the records held, as a connection of its own.
    inner: Box<Session>,
    early: Early,
    /// Whether what is held may be opened by now: a key came, or the server's hello.
    unlocked: bool,
}

/// What the server chose.
#[derive(Clone, Copy)]
struct Choice {
    version: u16,
    /// None for one that is not read.
    suite: Option<Suite>,
    random: [u8; 32],
    encrypts_then_macs: bool,
    /// Whether the master secret is bound to the whole handshake.
    extends_master_secret: bool,
    /// The session's id, with zeros behind it.
    session: Option<[u8; 32]>,
    compresses: bool,
    dialect: Dialect,
}

/// Why a record was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It waits: for a key, or for the server's hello.
    NotYet { for_key: bool },
    /// Nothing more of its direction can be read.
    Lost(Why),
    /// Nothing of the connection is wanted.
    Unwanted,
}

/// Why a direction cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its cipher suite or version is not.
    Suite,
    /// Bytes are missing.
    Gap,
    /// It breaks the rules, or no key that is there opens it.
    Malformed,
}

/// Whether a connection is worth more chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Outcome {
    GoesOn,
    Over,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls").finish_non_exhaustive() // it holds secrets
    }
}

impl Tls {
    /// A connection from its start; `client` is the direction of the client's bytes.
    pub(in crate::app) fn new(client: Direction, proxied_for: Option<IpAddr>) -> Self {
        Self {
            client,
            proxied_for,
            known: Known::new(),
            choice: None,
            transcript: Transcript::default(),
            is_nameless: false,
            client_side: Side::default(),
            server_side: Side::default(),
            inner: Box::default(),
            early: Early::default(),
            unlocked: false,
        }
    }

    /// Reads the next piece of one direction.
    pub(in crate::app) fn on_chunk(
        &mut self,
        context: &StreamContext,
        chunk: Chunk<'_>,
        observer: &mut dyn Observer,
    ) -> Outcome {
        let sender = self.sender(context.direction);
        let outcome = match chunk {
            Chunk::Data(bytes) => self.on_data(sender, context, bytes, observer),
            Chunk::Gap(gap) => self.on_gap(sender, context, gap, observer),
            Chunk::Fin => self.on_end(sender, context, What::Fin, observer),
            Chunk::Reset => self.on_end(sender, context, What::Reset, observer),
        };
        self.after(outcome, observer)
    }

    /// A secret came, or it is time.
    pub(in crate::app) fn on_wake(
        &mut self,
        time: Timestamp,
        observer: &mut dyn Observer,
    ) -> Outcome {
        self.unlocked = true;
        let outcome = self.release(observer);
        self.known.on_time(time, observer);
        let expired = self.client_side.held.expire(time) + self.server_side.held.expire(time);
        observer.counters().tls_records_dropped += expired;
        self.after(outcome, observer)
    }

    /// How much it would cost to forget the connection.
    pub(in crate::app) fn interest(&self) -> Interest {
        let held = self.client_side.held.has_records() || self.server_side.held.has_records();
        let own = match (&self.known.hello, held) {
            (Some(hello), true) if hello.facts.sni.is_some() => Interest::Watched,
            (_, true) => Interest::Undecided, // without a name it may be anybody's
            (None, false) => Interest::Undecided,
            (Some(_), false) => Interest::Idle,
        };
        own.max(self.inner.interest())
    }

    /// Bytes on the heap.
    pub(in crate::app) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<Session>()
            + self.known.heap_bytes()
            + self.client_side.heap_bytes()
            + self.server_side.heap_bytes()
            + self.inner.heap_bytes()
            + self.transcript.heap_bytes()
            + self.early.heap_bytes()
    }

    /// Whether records are held that a key may still open.
    pub(in crate::app) fn waits(&self) -> bool {
        let waits = |side: &Side| side.held.has_records() && side.waits_for_key;
        self.known.hello.is_some() && (waits(&self.client_side) || waits(&self.server_side))
    }

    /// The connection is over, and nothing more is waited for.
    pub(in crate::app) fn give_up(
        mut self: Box<Self>,
        time: Timestamp,
        observer: &mut dyn Observer,
    ) {
        if self.known.is_named() && !self.known.opened && !self.client_side.held.is_empty() {
            observer.counters().tls_no_key += 1;
        }
        observer.counters().tls_no_hello +=
            u64::from(self.is_nameless && self.known.hello.is_none());
        self.judge_early_data(true, observer); // nobody refused it
        let inner = std::mem::take(&mut *self.inner);
        self.known
            .inside(observer, |under| inner.on_close(time, under));
        self.known.end(observer);
    }

    /// From now on the connection is called by another name.
    pub(in crate::app) fn rename(&mut self, waiter: Waiter, observer: &mut dyn Observer) {
        self.known.set_waiter(waiter, observer);
        self.set_alarm(observer);
    }

    fn sender(&self, direction: Direction) -> Sender {
        if direction == self.client {
            Sender::Client
        } else {
            Sender::Server
        }
    }

    fn side(&mut self, sender: Sender) -> &mut Side {
        match sender {
            Sender::Client => &mut self.client_side,
            Sender::Server => &mut self.server_side,
        }
    }

    fn on_data(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        bytes: &[u8],
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        if self.side(sender).lost {
            return Ok(());
        }
        let mut records = std::mem::take(&mut self.side(sender).records);
        let outcome = self.on_records(sender, context, bytes, &mut records, observer);
        if !self.side(sender).lost {
            records.shrink();
            self.side(sender).records = records;
        }
        outcome.and_then(|()| self.release(observer))
    }

    fn on_records(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        mut rest: &[u8],
        records: &mut Records,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        while !self.side(sender).lost {
            let outcome = match records.next(&mut rest) {
                Next::Unfinished => return Ok(()),
                Next::Lost => Err(Stop::Lost(Why::Malformed)),
                Next::Damaged(header) => self.on_damaged(sender, context, header, observer),
                Next::Record(header) if self.side(sender).held.is_empty() => {
                    self.on_record(sender, context, header, records.body(), observer)
                }
                Next::Record(_) => Err(Stop::NotYet { for_key: false }),
            };
            match outcome {
                Err(Stop::NotYet { for_key }) => {
                    self.hold(sender, context, records.whole(), observer);
                    self.side(sender).waits_for_key |= for_key;
                }
                outcome => self.note(sender, outcome, observer)?,
            }
        }
        Ok(())
    }

    /// What stops a direction is counted and ends it; what stops the connection is passed on.
    fn note(
        &mut self,
        sender: Sender,
        outcome: Result<(), Stop>,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let Err(Stop::Lost(why)) = outcome else {
            return outcome;
        };
        let counters = observer.counters();
        match why {
            Why::Suite => counters.tls_suite_unread += 1,
            Why::Gap => counters.tls_gaps += 1,
            Why::Malformed => counters.tls_malformed += 1,
        }
        self.side(sender).lose();
        if sender == Sender::Client {
            return Err(Stop::Unwanted); // there will be no request
        }
        Ok(())
    }

    fn on_gap(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        gap: u64,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let side = self.side(sender);
        if side.lost || side.records.miss(gap) {
            return Ok(());
        }
        side.records = Records::default();
        let outcome = self.queue_or_read(sender, context, What::Gap(gap), observer);
        self.note(sender, outcome, observer)
    }

    fn on_damaged(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        header: Header,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        let what = What::Damaged(header);
        self.queue_or_read(sender, context, what, observer)
    }

    fn on_end(
        &mut self,
        sender: Sender,
        context: &StreamContext,
        what: What,
        observer: &mut dyn Observer,
    ) -> Result<(), Stop> {
        self.queue_or_read(sender, context, what, observer)
    }

    /// What follows from an outcome: whether the connection goes on.
    fn after(&mut self, outcome: Result<(), Stop>, observer: &mut dyn Observer) -> Outcome {
        match outcome {
            Err(Stop::Unwanted | Stop::Lost(_)) => Outcome::Over,
            Err(Stop::NotYet { .. }) | Ok(()) => {
                self.set_alarm(observer);
                Outcome::GoesOn
            }
        }
    }
}
