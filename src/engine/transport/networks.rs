//! Whether a segment that was seen in another network than its flow belongs to that flow.
//!
//! Mirrors show one connection in several networks, and several connections with the same addresses
//! and ports in several networks:
//! - before and behind a router, in two VLANs: each copy has passed one router more;
//! - on a trunk and on an access port: one copy is tagged, the other not, the rest is the same;
//! - each direction in a VLAN, or a tunnel, of its own;
//! - two networks that know nothing of each other, behind one switch.
//!
//! So a side is remembered by the network in which it was first seen, and by how many routers its
//! packets may still pass there. Another network is believed when the side was not seen yet, when
//! one of the two bears neither tag nor tunnel, or when that number differs; and only near the
//! place in the sequence at which the flow is.

use crate::link::Scope;
use crate::transport::Segment;

/// Where one side of a connection was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) network: Network,
    pub(super) hops: u8,
}

/// A digest of a [`Scope`]: networks behind one mirror are few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Network(u16);

impl Origin {
    /// Where a segment was seen.
    pub(super) fn of(segment: &Segment<'_>) -> Self {
        Self {
            network: Network::of(segment.scope),
            hops: segment.hops,
        }
    }

    /// Whether nothing was seen yet.
    pub(super) fn is_unknown(self) -> bool {
        self.network == Network::NONE
    }

    /// Whether two packets may have been one packet on different wires.
    pub(super) fn may_be(self, other: Self) -> bool {
        self.is_same_network(other)
            || self.is_unknown()
            || [self.network, other.network].contains(&Network::BARE)
            || self.hops != other.hops
    }

    /// Whether both are in one network.
    pub(super) fn is_same_network(self, other: Self) -> bool {
        self.network == other.network
    }
}

impl Network {
    const NONE: Self = Self(0);
    /// Neither tag nor tunnel.
    const BARE: Self = Self(1);

    fn of(scope: Scope) -> Self {
        if scope == Scope::default() {
            return Self::BARE;
        }
        let [vlans, tunnel] = scope.words();
        let mixed = (vlans ^ tunnel.rotate_left(16)).wrapping_mul(0x9e37_79b1);
        Self(((mixed >> 16) as u16).max(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(vlan: u16, hops: u8) -> Origin {
        let mut scope = Scope::default();
        scope.push_vlan(vlan);
        Origin {
            network: Network::of(scope),
            hops,
        }
    }

    #[test]
    fn a_packet_may_be_one_of_another_network_if_it_was_routed_or_tagged_on_the_way() {
        assert!(origin(10, 64).may_be(origin(10, 63)));
        assert!(origin(10, 64).may_be(origin(20, 63)));
        assert!(origin(10, 64).may_be(origin(0, 64)));
        assert!(origin(0, 64).may_be(origin(10, 64)));
        assert!(Origin::default().may_be(origin(10, 64)));
        assert!(!origin(10, 64).may_be(origin(20, 64)));
    }

    #[test]
    fn no_two_vlans_are_taken_for_one() {
        let mut seen: Vec<u16> = (0..4095).map(|vlan| origin(vlan, 1).network.0).collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 4000, "{}", seen.len());
    }
}
