//! The names by which the two sides of a connection may be called: connection ids (RFC 9000 §5.1).

use std::ops::RangeInclusive;

use crate::app::quic::packet::{ConnectionId, LongPacket};
use crate::limits::{QUIC_CONNECTION_ID_BYTES_MAX, QUIC_NAMES_PER_SIDE_MAX};
use crate::transport::Direction;

/// Those of one connection.
#[derive(Debug, Default)]
pub(super) struct Names {
    client: Vec<ConnectionId>,
    server: Vec<ConnectionId>,
    /// What the client called the server before it knew better.
    made_up: Option<ConnectionId>,
    /// Those that the table of connections does not know yet.
    fresh: Vec<ConnectionId>,
}

impl Names {
    /// Those in a client's first packet.
    pub(super) fn of_first(packet: &LongPacket<'_>) -> Self {
        let mut names = Self {
            made_up: Some(packet.destination),
            ..Self::default()
        };
        names.learn(Direction::ToServer, packet.destination);
        names.learn(Direction::ToClient, packet.source);
        names
    }

    /// The names of whoever packets in this direction go to.
    pub(super) fn of_receiver(&self, direction: Direction) -> &[ConnectionId] {
        match direction {
            Direction::ToServer => &self.server,
            Direction::ToClient => &self.client,
        }
    }

    /// Learns what the receiver of packets in this direction is called.
    /// Beyond the bound nothing more is learned: whoever forges packets must not make a true name
    /// forgotten.
    pub(super) fn learn(&mut self, direction: Direction, id: ConnectionId) {
        let names = match direction {
            Direction::ToServer => &mut self.server,
            Direction::ToClient => &mut self.client,
        };
        if names.len() < QUIC_NAMES_PER_SIDE_MAX && !names.contains(&id) {
            names.push(id);
            if !id.is_empty() {
                self.fresh.push(id);
            }
        }
    }

    /// Whether the receiver is called so.
    pub(super) fn knows(&self, direction: Direction, id: &ConnectionId) -> bool {
        !id.is_empty() && self.of_receiver(direction).contains(id)
    }

    /// Whether a packet with a short header may be for the receiver: it begins with a name of its.
    pub(super) fn begins(&self, direction: Direction, packet: &[u8]) -> bool {
        self.name_in(direction, packet).is_some()
    }

    /// Where the packet number may stand in a packet with a short header, which does not say how
    /// long its receiver's name is. A receiver's names all have one length, as a rule.
    pub(super) fn number_places(
        &self,
        direction: Direction,
        packet: &[u8],
    ) -> RangeInclusive<usize> {
        let mut names = self.of_receiver(direction).iter();
        let its_own = names.rfind(|id| Some(**id) != self.made_up);
        let name = self.name_in(direction, packet).or(its_own);
        match name {
            Some(name) => 1 + name.len()..=1 + name.len(),
            None => 1..=1 + QUIC_CONNECTION_ID_BYTES_MAX,
        }
    }

    /// Those that were learned since this was asked last.
    pub(super) fn take_fresh(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.fresh)
    }

    /// All that are not empty.
    pub(super) fn all(&self) -> impl Iterator<Item = &ConnectionId> {
        self.client
            .iter()
            .chain(&self.server)
            .filter(|id| !id.is_empty())
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let names = self.client.capacity() + self.server.capacity() + self.fresh.capacity();
        names * size_of::<ConnectionId>()
    }

    fn name_in(&self, direction: Direction, packet: &[u8]) -> Option<&ConnectionId> {
        let behind = packet.get(1..).unwrap_or_default();
        let mut names = self.of_receiver(direction).iter();
        names.find(|id| !id.is_empty() && behind.starts_with(id.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_SERVER: Direction = Direction::ToServer;

    fn id(bytes: &[u8]) -> ConnectionId {
        ConnectionId::new(bytes).unwrap()
    }

    #[test]
    fn where_a_number_stands_follows_from_the_receivers_name() {
        let mut names = Names::default();
        assert_eq!(names.number_places(TO_SERVER, &[0x40; 30]), 1..=21);
        names.learn(TO_SERVER, id(&[1; 8]));
        names.learn(TO_SERVER, id(&[2; 4]));
        assert_eq!(names.number_places(TO_SERVER, &[0x40; 30]), 5..=5);
        let packet = [&[0x40][..], &[1; 8], &[0; 20]].concat();
        assert_eq!(names.number_places(TO_SERVER, &packet), 9..=9);
        assert!(names.begins(TO_SERVER, &packet) && !names.begins(TO_SERVER, &packet[1..]));
        names.learn(Direction::ToClient, ConnectionId::default());
        let places = names.number_places(Direction::ToClient, &packet);
        assert_eq!(places, 1..=1);
    }

    #[test]
    fn a_name_is_learned_once_and_an_empty_one_names_nobody() {
        let mut names = Names::default();
        for id in [id(&[1; 8]), id(&[1; 8]), ConnectionId::default()] {
            names.learn(TO_SERVER, id);
        }
        assert_eq!(names.take_fresh(), [id(&[1; 8])]);
        assert!(names.take_fresh().is_empty());
        assert!(names.knows(TO_SERVER, &id(&[1; 8])));
        assert!(!names.knows(TO_SERVER, &ConnectionId::default()));
        assert!(!names.knows(Direction::ToClient, &id(&[1; 8])));
    }

    #[test]
    fn beyond_the_bound_the_first_names_stay() {
        let mut names = Names::default();
        for number in 0..100 {
            names.learn(TO_SERVER, id(&[number; 8]));
        }
        assert_eq!(names.all().count(), QUIC_NAMES_PER_SIDE_MAX);
        assert!(names.knows(TO_SERVER, &id(&[0; 8])));
    }
}
