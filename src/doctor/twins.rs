//! Packets that come twice: both ends of their way are mirrored.

use std::collections::VecDeque;
use std::collections::hash_map::{HashMap, RandomState};
use std::hash::BuildHasher as _;
use std::time::Duration;

use crate::engine::frame::Timestamp;
use crate::engine::link::Scope;
use crate::engine::net::IpPacket;

/// Knows packets of the last moment again. What a router changes on the way (time to live,
/// header checksum, VLAN) does not count.
#[derive(Debug, Default)]
pub(super) struct Twins {
    hasher: RandomState,
    recent: HashMap<u64, Scope>,
    order: VecDeque<(Timestamp, u64)>,
    /// Packets that came once more.
    pub(super) twice: u64,
    /// Of those: in another VLAN or tunnel than before, so that they look like two connections.
    pub(super) in_another_network: u64,
}

impl Twins {
    /// Looks at the next packet.
    pub(super) fn note(&mut self, packet: &IpPacket<'_>, now: Timestamp) {
        self.forget(now);
        let digest =
            self.hasher
                .hash_one((packet.src, packet.dst, packet.protocol, packet.payload));
        match self.recent.insert(digest, packet.scope) {
            Some(before) => {
                self.twice += 1;
                self.in_another_network += u64::from(before != packet.scope);
            }
            None => self.order.push_back((now, digest)),
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((time, digest)) = self.order.front() {
            if now.since(*time) <= MOMENT && self.order.len() < RECENT_MAX {
                return;
            }
            self.recent.remove(digest);
            self.order.pop_front();
        }
    }
}

/// A mirror's second copy comes within a millisecond; a retransmission takes a round trip at
/// least, and on Linux 200 ms (RFC 6298 allows no less than a second).
const MOMENT: Duration = Duration::from_millis(10);
/// A gigabit of the smallest packets in that time.
const RECENT_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8], scope: Scope) -> IpPacket<'_> {
        IpPacket {
            scope,
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 2].into(),
            protocol: 6,
            payload,
            hops: 64,
            missing: 0,
        }
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000 + micros * 1000)
    }

    #[test]
    fn the_same_packet_within_a_moment_came_twice() {
        let mut twins = Twins::default();
        twins.note(&packet(b"one", Scope::default()), at(0));
        twins.note(&packet(b"two", Scope::default()), at(1));
        twins.note(&packet(b"one", Scope::default()), at(2));
        assert_eq!((twins.twice, twins.in_another_network), (1, 0));
    }

    #[test]
    fn the_same_bytes_much_later_are_a_retransmission() {
        let mut twins = Twins::default();
        twins.note(&packet(b"one", Scope::default()), at(0));
        twins.note(&packet(b"one", Scope::default()), at(20_000));
        assert_eq!(twins.twice, 0);
        assert_eq!(twins.recent.len(), 1);
    }

    #[test]
    fn a_packet_in_two_vlans_is_told_apart() {
        let mut tagged = Scope::default();
        tagged.push_vlan(10);
        let mut twins = Twins::default();
        twins.note(&packet(b"one", Scope::default()), at(0));
        twins.note(&packet(b"one", tagged), at(1));
        assert_eq!((twins.twice, twins.in_another_network), (1, 1));
    }

    #[test]
    fn however_many_packets_come_few_are_remembered() {
        let mut twins = Twins::default();
        for number in 0..100_000u32 {
            twins.note(&packet(&number.to_be_bytes(), Scope::default()), at(0));
        }
        assert!(twins.recent.len() <= RECENT_MAX);
        assert!(twins.order.len() <= RECENT_MAX);
    }
}
