//! A connection's place in the table.

use std::net::SocketAddr;

use crate::engine::app::quic::connection::Connection;
use crate::engine::app::quic::names::Names;
use crate::engine::app::quic::packet::{ConnectionId, LongPacket};
use crate::engine::app::quic::version::LongKind;
use crate::engine::app::tls::secrets::ClientRandom;
use crate::engine::transport::{Datagram, Direction, FlowKey, Interest};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Entry {
    server: SocketAddr,
    pub(super) names: Names,
    pub(super) paths: Vec<FlowKey>,
    /// None when nothing more of it is read.
    pub(super) connection: Option<Box<Connection>>,
    /// Of one of which nothing more is read: its hello.
    random: Option<ClientRandom>,
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
            random: None,
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

    /// Whether a packet between its addresses is of it. Only a client's first packets may be of
    /// another one that begins.
    pub(super) fn owns(&self, packet: &LongPacket<'_>, direction: Direction) -> bool {
        self.names.knows(direction, &packet.destination)
            || self.names.knows(direction.reversed(), &packet.source)
            || direction == Direction::ToClient
            || packet.kind != LongKind::Initial
            || self
                .connection
                .as_ref()
                .is_some_and(|connection| connection.opens_initial(packet))
    }

    /// Whether one of its sides has this name and may be where a datagram goes to.
    pub(super) fn is_called(&self, name: &ConnectionId, datagram: &Datagram<'_>) -> bool {
        let to_server = datagram.dst == self.server;
        let to_client = datagram.src == self.server;
        (to_server && self.names.knows(Direction::ToServer, name))
            || (to_client && self.names.knows(Direction::ToClient, name))
    }

    /// The random bytes of its hello.
    pub(super) fn random(&self) -> Option<ClientRandom> {
        let connection = self.connection.as_ref();
        connection
            .and_then(|connection| connection.random())
            .or(self.random)
    }

    /// Nothing more of it is read.
    pub(super) fn end_as(&mut self, random: Option<ClientRandom>) {
        self.random = random;
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
