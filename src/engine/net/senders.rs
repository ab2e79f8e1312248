//! Who sends right IPv4 header checksums: decoys with wrong ones are told from network cards that
//! are to complete them.

use std::net::IpAddr;

use crate::limits::CHECKSUM_SENDERS_MAX;
use crate::link::Scope;

/// A direction is two addresses in a scope. The table has one place for each hash, and whoever
/// comes last has it: what is lost with a place is only the reason to drop a decoy, never a
/// packet.
#[derive(Debug)]
pub(super) struct Senders {
    places: Box<[Place]>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    /// Hash of the direction.
    direction: u64,
    right: u16,
    /// Those that were let through.
    wrong: u16,
}

/// A direction without checksums shows a right one by accident, once in 65,536 packets; one that
/// has them starts with right ones. So a right one outweighs this many wrong ones before it.
const RIGHT_OUTWEIGHS: u32 = 8;

impl Default for Senders {
    fn default() -> Self {
        Self {
            places: vec![Place::default(); CHECKSUM_SENDERS_MAX].into_boxed_slice(),
        }
    }
}

impl Senders {
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// Whether a datagram is to be read: its header checksum is right, or its direction has not
    /// shown that it sends right ones.
    pub(super) fn admit(&mut self, src: IpAddr, dst: IpAddr, scope: Scope, right: bool) -> bool {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (src, dst) else {
            return true;
        };
        let addresses = u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits());
        self.admit_ipv4(addresses, scope, right)
    }

    /// The same of a datagram of IPv4, by its addresses as one number.
    #[inline]
    pub(super) fn admit_ipv4(&mut self, addresses: u64, scope: Scope, right: bool) -> bool {
        let [vlans, tunnel] = scope.words();
        let scope = u64::from(tunnel) << 32 | u64::from(vlans);
        let direction = mix(addresses ^ scope.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let at = (direction >> 32) as usize % CHECKSUM_SENDERS_MAX;
        let Some(place) = self.places.get_mut(at) else {
            return true;
        };
        if place.direction != direction {
            *place = Place {
                direction,
                ..Place::default()
            };
        }
        place.admit(right)
    }
}

impl Place {
    fn admit(&mut self, right: bool) -> bool {
        if right {
            self.right = self.right.saturating_add(1);
            return true;
        }
        if u32::from(self.right) * RIGHT_OUTWEIGHS > u32::from(self.wrong) {
            return false;
        }
        self.wrong = self.wrong.saturating_add(1);
        true
    }
}

/// Spreads the bits, all of which come into both halves of the product: nobody gains by a collision.
const fn mix(bits: u64) -> u64 {
    let wide = bits as u128 * 0xff51_afd7_ed55_8ccd;
    wide as u64 ^ (wide >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(senders: &mut Senders, src: u8, right: bool) -> bool {
        admitted_in(Scope::default(), senders, src, right)
    }

    fn admitted_in(scope: Scope, senders: &mut Senders, src: u8, right: bool) -> bool {
        let (src, dst) = ([192, 0, 2, src], [203, 0, 113, 1]);
        senders.admit(src.into(), dst.into(), scope, right)
    }

    #[test]
    fn a_sender_of_wrong_checksums_only_is_read() {
        let mut senders = Senders::default();
        assert!((0..1000).all(|_| admitted(&mut senders, 1, false)));
    }

    #[test]
    fn a_wrong_checksum_after_right_ones_is_dropped() {
        let mut senders = Senders::default();
        assert!(admitted(&mut senders, 1, true));
        assert!((0..1000).all(|_| !admitted(&mut senders, 1, false)));
        assert!(admitted(&mut senders, 1, true));
    }

    #[test]
    fn one_checksum_that_is_right_by_accident_condemns_nobody() {
        let mut senders = Senders::default();
        assert!((0..100).all(|_| admitted(&mut senders, 1, false)));
        assert!(admitted(&mut senders, 1, true));
        assert!((0..100).all(|_| admitted(&mut senders, 1, false)));
    }

    #[test]
    fn a_decoy_before_the_first_right_checksum_does_not_let_others_through() {
        let mut senders = Senders::default();
        admitted(&mut senders, 1, false);
        admitted(&mut senders, 1, true);
        assert!(!admitted(&mut senders, 1, false));
    }

    #[test]
    fn directions_do_not_judge_each_other() {
        let mut senders = Senders::default();
        admitted(&mut senders, 1, true);
        assert!(admitted(&mut senders, 2, false));
        let mut tagged = Scope::default();
        tagged.push_vlan(7);
        assert!(admitted_in(tagged, &mut senders, 1, false));
    }
}
