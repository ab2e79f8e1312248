//! A connection's place in the table.

use std::net::SocketAddr;

use crate::app::quic::connection::Connection;
use crate::app::quic::identity::{Identity, Other};
use crate::app::quic::names::Names;
use crate::app::quic::packet::{ConnectionId, LongPacket};
use crate::app::quic::version::LongKind;
use crate::transport::{Datagram, Direction, FlowKey, Interest};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Entry {
    server: SocketAddr,
    pub(super) names: Names,
    pub(super) paths: Vec<FlowKey>,
    /// None when nothing more of it is read.
    pub(super) connection: Option<Box<Connection>>,
    /// Of one of which nothing more is read: its hello.
    identity: Option<Identity>,
    /// Whether its server sent the client back: by a Retry, or because it speaks another version.
    pub(super) is_refused: bool,
    pub(super) rank: Rank,
    /// When it was seen last.
    pub(super) second: u32,
    /// What it takes.
    pub(super) bytes: usize,
}

/// How much it would cost to forget a connection, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Nothing more of it is read.
    Over,
    /// As [`Interest::Idle`].
    Idle,
    /// As [`Interest::Undecided`].
    Undecided,
    /// As [`Interest::Watched`].
    Watched,
}

impl Rank {
    pub(super) const ALL: [Self; 4] = [Self::Over, Self::Idle, Self::Undecided, Self::Watched];
}

impl Entry {
    pub(super) fn new(
        server: SocketAddr,
        names: Names,
        connection: Connection,
        second: u32,
    ) -> Self {
        let mut entry = Self {
            server,
            names,
            paths: Vec::new(),
            connection: Some(Box::new(connection)),
            identity: None,
            is_refused: false,
            rank: Rank::Undecided,
            second,
            bytes: 0,
        };
        entry.note(second);
        entry
    }

    /// Which way a datagram of this connection goes.
    pub(super) fn direction(&self, datagram: &Datagram<'_>) -> Direction {
        match datagram.src == self.server {
            true => Direction::ToClient,
            false => Direction::ToServer,
        }
    }

    /// Whether a packet bears a name of one of its sides.
    pub(super) fn is_named_in(&self, packet: &LongPacket<'_>, direction: Direction) -> bool {
        self.names.knows(direction, &packet.destination)
            || self.names.knows(direction.reversed(), &packet.source)
    }

    /// Whether a packet between its addresses that bears none of its names may be of it.
    pub(super) fn may_own(&self, packet: &LongPacket<'_>, direction: Direction) -> bool {
        direction == Direction::ToClient || packet.kind != LongKind::Initial
    }

    /// Whether a client's Initial packet is of it, by its keys. Names are the client's choice, and
    /// may come again when what it said was read to its end.
    pub(super) fn opens(&self, packet: &LongPacket<'_>) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|one| !one.is_closed() && one.opens_initial(packet))
    }

    /// Whether a client may say its hello again, under other keys.
    pub(super) fn may_begin_anew(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|one| !one.is_closed() && one.may_begin_anew())
    }

    /// Whether one of its sides has this name and may be where a datagram goes to.
    pub(super) fn is_called(&self, name: &ConnectionId, datagram: &Datagram<'_>) -> bool {
        let to_server = datagram.dst == self.server;
        let to_client = datagram.src == self.server;
        (to_server && self.names.knows(Direction::ToServer, name))
            || (to_client && self.names.knows(Direction::ToClient, name))
    }

    /// Whether it was seen between a datagram's addresses.
    pub(super) fn is_on(&self, datagram: &Datagram<'_>) -> bool {
        let key = FlowKey::between(datagram.src, datagram.dst);
        self.paths.contains(&key)
    }

    /// What it is to other connections between the same addresses; None before its hello.
    pub(super) fn as_other(&self) -> Option<Other> {
        let connection = self.connection.as_ref();
        let identity = connection.and_then(|one| one.identity()).or(self.identity);
        identity.map(|identity| Other {
            identity,
            is_refused: self.is_refused,
        })
    }

    /// Nothing more of it is read.
    pub(super) const fn end_as(&mut self, identity: Option<Identity>) {
        self.identity = identity;
    }

    /// It was seen, and may have changed.
    pub(super) fn note(&mut self, second: u32) {
        self.second = second;
        self.rank = match self.connection.as_ref().map(|one| one.interest()) {
            None => Rank::Over,
            Some(Interest::Idle) => Rank::Idle,
            Some(Interest::Undecided) => Rank::Undecided,
            Some(Interest::Watched) => Rank::Watched,
        };
        let connection = self.connection.as_ref().map_or(0, |one| one.heap_bytes());
        self.bytes = ENTRY_BYTES + self.names.heap_bytes() + connection;
    }
}

/// An entry with its place in every map that knows it: one path and two names, about.
const ENTRY_BYTES: usize = size_of::<Entry>() + 256;
