//! All QUIC connections, within a bound on their memory: which of them a datagram belongs to, and
//! which are forgotten first.
//!
//! A connection is found by the addresses and ports of its datagrams and, when those have changed,
//! by the names that its sides gave themselves (RFC 9000 §5.2, §9). One whose host is not watched,
//! or of which all is told, stays as an empty place, so that what still comes of it is known.

use std::collections::BTreeSet;

use crate::app::Observer;
use crate::app::quic::connection::{Connection, Outcome};
use crate::app::quic::early_birds::EarlyBirds;
use crate::app::quic::entry::{Entry, Rank};
use crate::app::quic::identity::Identity;
use crate::app::quic::initial::Initial;
use crate::app::quic::names::Names;
use crate::app::quic::packet::{ConnectionId, LongPacket, Packet};
use crate::app::quic::paths::Paths;
use crate::event::{Flags, Scheme};
use crate::frame::Timestamp;
use crate::limits::{
    FLOWS_FORGOTTEN_PER_TICK_MAX, Limits, QUIC_CONNECTION_ID_BYTES_MAX, QUIC_IDLE,
    QUIC_MEMORY_DIVISOR, QUIC_PATHS_MAX,
};
use crate::transport::{ByNumber, Datagram, Direction, FlowKey, StreamContext};

mod packets;

/// See the module's text.
#[derive(Debug)]
pub struct Connections {
    entries: ByNumber<Entry>,
    paths: Paths,
    names: BTreeSet<(ConnectionId, u64)>,
    /// How many of those names have so many bytes.
    name_lengths: [u32; QUIC_CONNECTION_ID_BYTES_MAX + 1],
    /// In the order in which they are forgotten.
    order: BTreeSet<(Rank, u32, u64)>,
    early_birds: EarlyBirds,
    last: u64,
    bytes: usize,
    bytes_max: usize,
    /// Whether a connection has just begun of which datagrams had come before.
    followed: bool,
    /// The connection that has just turned out to be another one, and that one.
    joined: Option<(u64, u64)>,
}

/// What a datagram is to the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belongs {
    /// The number of its connection; None: that may be still to begin.
    pub number: Option<u64>,
    /// Whether the connection begins with it.
    pub opens: bool,
    /// Whether datagrams that came before it turned out to be of its connection.
    pub follows: bool,
    /// Another connection that turned out to be this one.
    pub joined: Option<u64>,
}

/// Whose a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Of the connection of this number.
    Connection(u64),
    /// It was understood, and is of no connection that is known.
    Nobody,
    /// It may be of a connection whose first packet is still to come.
    Unknown,
}

impl Connections {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            entries: ByNumber::default(),
            paths: Paths::new(),
            names: BTreeSet::new(),
            name_lengths: [0; QUIC_CONNECTION_ID_BYTES_MAX + 1],
            order: BTreeSet::new(),
            early_birds: EarlyBirds::default(),
            last: 0,
            bytes: 0,
            bytes_max: limits.memory_bytes / QUIC_MEMORY_DIVISOR,
            followed: false,
            joined: None,
        }
    }

    /// Connections in the table, with those of which nothing more is read.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.bytes + self.early_birds.heap_bytes()
    }

    /// Whether a connection is read, or may be.
    pub fn reads(&self, number: u64) -> bool {
        let entry = self.entries.get(&number);
        entry.is_some_and(|entry| entry.connection.is_some())
    }

    /// Takes a datagram; `observer` is told what is read. What it is to its connection; None: it is
    /// of none.
    pub fn on_datagram(
        &mut self,
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Option<Belongs> {
        let before = self.last;
        let mut rest = datagram.payload;
        let first = Packet::next(&mut rest);
        let first = first.and_then(Result::ok);
        let owner = first.map(|packet| self.on_packet(packet, datagram, now, observer));
        let owner = match owner {
            None | Some(Owner::Unknown) => {
                observer.counters().quic_unknown += 1;
                return self.keep_early_bird(datagram, first, now);
            }
            Some(owner) => owner,
        };
        while let Some(Ok(packet)) = Packet::next(&mut rest) {
            self.on_packet(packet, datagram, now, observer);
        }
        self.belongs(owner, before)
    }

    /// `before` is the number of the newest connection before the datagram came.
    fn belongs(&mut self, owner: Owner, before: u64) -> Option<Belongs> {
        let (follows, joined) = (std::mem::take(&mut self.followed), self.joined.take());
        let Owner::Connection(mut number) = owner else {
            return None;
        };
        if let Some((_, older)) = joined.filter(|(newer, _)| *newer == number) {
            number = older;
        }
        Some(Belongs {
            number: Some(number),
            opens: number > before,
            follows,
            joined: joined.map(|(newer, _)| newer),
        })
    }

    /// Lets capture time pass: silent connections are forgotten.
    pub fn on_tick(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        let second = seconds(now);
        for rank in Rank::ALL {
            for _ in 0..FLOWS_FORGOTTEN_PER_TICK_MAX {
                let oldest = self.order.range((rank, 0, 0)..).next().copied();
                let Some((_, seen, number)) = oldest.filter(|(found, ..)| *found == rank) else {
                    break;
                };
                if u64::from(second.saturating_sub(seen)) <= QUIC_IDLE.as_secs() {
                    break;
                }
                self.remove(number, now, observer);
            }
        }
    }

    /// A secret came for a connection, or it is time.
    pub fn wake(&mut self, number: u64, now: Timestamp, observer: &mut dyn Observer) {
        self.work(number, now, observer, |connection, entry, observer| {
            connection.on_wake(now, &mut entry.names, observer)
        });
    }

    /// The capture ended.
    pub fn finish(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        while let Some((_, _, number)) = self.order.first().copied() {
            self.remove(number, now, observer);
        }
    }

    /// The connection between a datagram's addresses that it belongs to.
    fn find(
        &self,
        datagram: &Datagram<'_>,
        owns: impl Fn(&Entry, Direction) -> bool,
    ) -> Option<u64> {
        let numbers = self.paths.between(&key_of(datagram));
        let mut newest_first = numbers.iter().rev();
        let found = newest_first.find(|number| {
            let entry = self.entries.get(number);
            entry.is_some_and(|entry| owns(entry, entry.direction(datagram)))
        });
        found.copied()
    }

    /// The last that was opened between a datagram's addresses.
    fn newest(&self, datagram: &Datagram<'_>) -> Option<u64> {
        self.paths.between(&key_of(datagram)).last().copied()
    }

    /// A connection whose addresses have changed, by its receiver's name.
    fn called(&self, name: ConnectionId, datagram: &Datagram<'_>) -> Option<u64> {
        let called = self.names.range((name, 0)..=(name, u64::MAX));
        let mut called = called.map(|(_, number)| *number);
        called.find(|number| {
            let entry = self.entries.get(number);
            entry.is_some_and(|entry| entry.is_called(&name, datagram))
        })
    }

    /// A connection is seen between a datagram's addresses.
    fn follow(&mut self, number: u64, datagram: &Datagram<'_>, observer: &mut dyn Observer) {
        let entry = self.entries.get(&number);
        if entry.is_some_and(|entry| !entry.is_on(datagram)) {
            observer.counters().quic_migrations += 1;
            self.add_path(number, key_of(datagram));
        }
    }

    /// The same for a packet that does not say how long its receiver's name is.
    fn called_in(&self, packet: &[u8], datagram: &Datagram<'_>) -> Option<u64> {
        let lengths = self.name_lengths.iter().enumerate();
        let mut in_use = lengths.filter(|(_, names)| **names > 0);
        in_use.find_map(|(length, _)| {
            let name = ConnectionId::new(packet.get(1..=length)?)?;
            self.called(name, datagram)
        })
    }

    /// A connection begins, if this is a client's first packet.
    fn open(
        &mut self,
        packet: &LongPacket<'_>,
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Option<u64> {
        let initial = Initial::of_first(packet, &mut Vec::new())?;
        observer.counters().quic_connections += 1;
        self.last += 1;
        let number = self.last;
        let others = self.paths.between(&key_of(datagram)).iter();
        let others = others.filter_map(|other| self.entries.get(other)?.as_other());
        let connection = Connection::new(number, initial, others.collect());
        let names = Names::of_first(packet);
        let entry = Entry::new(datagram.dst, names, connection, seconds(now));
        self.bytes += entry.bytes;
        self.order.insert((entry.rank, entry.second, number));
        self.entries.insert(number, entry);
        self.add_path(number, key_of(datagram));
        self.note_names(number);
        self.read_early_birds(datagram, now, observer);
        Some(number)
    }

    /// The newer of two connections turned out to be the older one.
    fn merge(
        &mut self,
        newer: u64,
        identity: &Identity,
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) {
        let is_same = |entry: &Entry, _| {
            entry
                .as_other()
                .is_some_and(|one| one.identity == *identity)
        };
        let older = self.find(datagram, is_same);
        let Some(gone) = self.take(newer) else { return };
        let Some(older) = older else { return };
        self.joined = Some((newer, older));
        let Some(entry) = self.entries.get_mut(&older) else {
            return;
        };
        for direction in [Direction::ToServer, Direction::ToClient] {
            for name in gone.names.of_receiver(direction) {
                entry.names.learn(direction, *name);
            }
        }
        if let (Some(connection), Some(other)) = (&mut entry.connection, gone.connection) {
            connection.go_on_as(*other);
        }
        self.note_names(older);
        self.note(older, now, observer);
    }

    /// Lets a connection read something, and keeps account of what that changed; which other one
    /// it turned out to be.
    fn work(
        &mut self,
        number: u64,
        now: Timestamp,
        observer: &mut dyn Observer,
        act: impl FnOnce(&mut Connection, &mut Entry, &mut dyn Observer) -> Outcome,
    ) -> Option<Identity> {
        let entry = self.entries.get_mut(&number)?;
        let Some(mut connection) = entry.connection.take() else {
            self.note(number, now, observer);
            return None;
        };
        let outcome = act(&mut connection, entry, observer);
        let mut again = None;
        match outcome {
            Outcome::Over => {
                entry.end_as(connection.identity());
                connection.give_up(now, observer);
            }
            Outcome::Again(other) => {
                again = Some(other);
                entry.connection = Some(connection);
            }
            Outcome::GoesOn => entry.connection = Some(connection),
        }
        self.note_names(number);
        self.note(number, now, observer);
        again
    }

    /// A connection's names are made known.
    fn note_names(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        for name in entry.names.take_fresh() {
            if self.names.insert((name, number)) {
                if let Some(names) = self.name_lengths.get_mut(name.len()) {
                    *names += 1;
                }
            }
        }
    }

    /// Keeps account of a connection, and the bound.
    fn note(&mut self, number: u64, now: Timestamp, observer: &mut dyn Observer) {
        if let Some(entry) = self.entries.get_mut(&number) {
            let before = (entry.rank, entry.second, number);
            self.bytes -= entry.bytes;
            entry.note(seconds(now));
            self.bytes += entry.bytes;
            let after = (entry.rank, entry.second, number);
            if before != after {
                self.order.remove(&before);
                self.order.insert(after);
            }
        }
        while self.bytes > self.bytes_max {
            let Some((rank, _, number)) = self.order.first().copied() else {
                return;
            };
            observer.counters().quic_evicted += u64::from(rank != Rank::Over);
            observer.counters().quic_evicted_watched += u64::from(rank == Rank::Watched);
            self.remove(number, now, observer);
        }
    }

    /// A connection is seen between other addresses.
    fn add_path(&mut self, number: u64, key: FlowKey) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        entry.paths.push(key);
        self.paths.add(&key, number);
        if entry.paths.len() > QUIC_PATHS_MAX {
            let oldest = entry.paths.remove(0);
            self.paths.leave(&oldest, number);
        }
    }

    fn remove(&mut self, number: u64, now: Timestamp, observer: &mut dyn Observer) {
        if let Some(connection) = self.take(number).and_then(|entry| entry.connection) {
            connection.give_up(now, observer);
        }
    }

    fn take(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.order.remove(&(entry.rank, entry.second, number));
        self.bytes -= entry.bytes;
        for key in &entry.paths {
            self.paths.leave(key, number);
        }
        for name in entry.names.all() {
            if self.names.remove(&(*name, number)) {
                if let Some(names) = self.name_lengths.get_mut(name.len()) {
                    *names -= 1;
                }
            }
        }
        Some(entry)
    }

    /// What may belong to a connection whose first packet is still to come is kept for a moment.
    fn keep_early_bird(
        &mut self,
        datagram: &Datagram<'_>,
        packet: Option<Packet<'_>>,
        now: Timestamp,
    ) -> Option<Belongs> {
        if !matches!(packet, Some(Packet::Long(_))) {
            return None;
        }
        self.early_birds.keep(datagram, now);
        Some(Belongs {
            number: None,
            opens: false,
            follows: false,
            joined: None,
        })
    }

    /// Reads what came before the first packet of its connection.
    fn read_early_birds(
        &mut self,
        first: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) {
        let birds = self.early_birds.take(&key_of(first), now);
        for bird in &birds {
            self.on_datagram(&bird.datagram(), bird.time, observer);
        }
        self.followed = !birds.is_empty();
    }
}

fn key_of(datagram: &Datagram<'_>) -> FlowKey {
    FlowKey::between(datagram.src, datagram.dst)
}

fn context(datagram: &Datagram<'_>, direction: Direction, time: Timestamp) -> StreamContext {
    StreamContext {
        time,
        scope: datagram.scope,
        offset: 0,
        acked: None,
        src: datagram.src,
        dst: datagram.dst,
        direction,
        flags: Flags::NONE,
        scheme: Scheme::Https,
    }
}

/// Whole seconds, all that the order of silent connections needs.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}
