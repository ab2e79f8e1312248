//! One packet, by its header: whose it is, and whether it opens a connection.

use crate::app::Observer;
use crate::app::quic::entry::Entry;
use crate::app::quic::packet::{ConnectionId, LongPacket, Packet};
use crate::app::quic::table::{Connections, Owner, context, key_of};
use crate::app::quic::version::LongKind;
use crate::frame::Timestamp;
use crate::transport::{Datagram, Direction};

impl Connections {
    /// Gives a packet to its connection.
    pub(super) fn on_packet(
        &mut self,
        packet: Packet<'_>,
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Owner {
        match packet {
            Packet::Long(packet) => self.on_long(&packet, datagram, now, observer),
            Packet::Short(bytes) => self.on_short(bytes, datagram, now, observer),
            Packet::Retry(name) => self.on_retry(name, datagram, observer),
            Packet::Negotiation => self.on_negotiation(datagram, observer),
            Packet::OtherVersion(_) => {
                observer.counters().quic_other_version += 1;
                self.newest(datagram)
                    .map_or(Owner::Nobody, Owner::Connection)
            }
        }
    }

    fn on_long(
        &mut self,
        packet: &LongPacket<'_>,
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Owner {
        let Some(number) = self.owner_of(packet, datagram, now, observer) else {
            return Owner::Unknown;
        };
        if let Some(entry) = self.entries.get_mut(&number) {
            if entry.connection.is_none() {
                let direction = entry.direction(datagram);
                entry.names.learn(direction.reversed(), packet.source);
            }
        }
        let again = self.work(number, now, observer, |connection, entry, observer| {
            let context = context(datagram, entry.direction(datagram), now);
            connection.on_long(packet, &context, &mut entry.names, observer)
        });
        if let Some(other) = again {
            self.merge(number, &other, datagram, now, observer);
        }
        Owner::Connection(number)
    }

    /// The connection that a packet with a long header is of, or begins.
    fn owner_of(
        &mut self,
        packet: &LongPacket<'_>,
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Option<u64> {
        let named = self.find(datagram, |entry, side| entry.is_named_in(packet, side));
        let found = named
            .or_else(|| self.find(datagram, |entry, side| entry.may_own(packet, side)))
            .or_else(|| self.called(packet.destination, datagram));
        let entry = found.and_then(|number| self.entries.get(&number));
        let to_server = entry.is_none_or(|one| one.direction(datagram) == Direction::ToServer);
        if packet.kind == LongKind::Initial && to_server {
            let by_keys = self.find(datagram, |entry, _| entry.opens(packet));
            let again = found.filter(|_| entry.is_some_and(|one| one.may_begin_anew()));
            let known = by_keys
                .or(again)
                .filter(|_| !self.paths.between(&key_of(datagram)).is_empty());
            let number = known.or_else(|| self.open(packet, datagram, now, observer));
            if number.is_some() {
                return number;
            }
            observer.counters().quic_initials_refused += u64::from(found.is_none());
        }
        found.inspect(|number| self.follow(*number, datagram, observer))
    }

    fn on_short(
        &mut self,
        packet: &[u8],
        datagram: &Datagram<'_>,
        now: Timestamp,
        observer: &mut dyn Observer,
    ) -> Owner {
        let named = |entry: &Entry, direction| entry.names.begins(direction, packet);
        let found = self.find(datagram, named);
        let found = found.or_else(|| self.newest(datagram));
        let Some(number) = found.or_else(|| self.called_in(packet, datagram)) else {
            let [src, dst] = [datagram.src, datagram.dst].map(|one| one.ip());
            let is_watched = observer.is_watched_server(dst) || observer.is_watched_server(src);
            let is_quic = packet.first().is_some_and(|first| first & FIXED_BIT != 0);
            observer.counters().quic_no_hello += u64::from(is_watched && is_quic);
            return Owner::Unknown;
        };
        self.follow(number, datagram, observer);
        self.work(number, now, observer, |connection, entry, observer| {
            let context = context(datagram, entry.direction(datagram), now);
            connection.on_short(packet, &context, &mut entry.names, observer)
        });
        Owner::Connection(number)
    }

    /// The server wants to be called otherwise, and the client will say its hello again.
    fn on_retry(
        &mut self,
        name: ConnectionId,
        datagram: &Datagram<'_>,
        observer: &mut dyn Observer,
    ) -> Owner {
        observer.counters().quic_retries += 1;
        let is_client = |_: &Entry, direction| direction == Direction::ToClient;
        let Some(number) = self.find(datagram, is_client) else {
            return Owner::Unknown;
        };
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.names.learn(Direction::ToServer, name);
            entry.is_refused = true;
        }
        self.note_names(number);
        Owner::Connection(number)
    }

    /// The server speaks another version only, and the client will begin in that one.
    fn on_negotiation(&mut self, datagram: &Datagram<'_>, observer: &mut dyn Observer) -> Owner {
        observer.counters().quic_other_version += 1;
        let is_client = |_: &Entry, direction| direction == Direction::ToClient;
        let Some(number) = self.find(datagram, is_client) else {
            return Owner::Nobody;
        };
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.is_refused = true;
        }
        Owner::Connection(number)
    }
}

/// The bit that is set in packets of QUIC, unless both sides do without it (RFC 9287).
const FIXED_BIT: u8 = 0x40;
