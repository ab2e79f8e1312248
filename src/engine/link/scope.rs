//! Which of several networks on one wire a packet belongs to.

const NO_VLAN: u16 = 0xffff;

/// Part of the key of fragments, so that equal addresses in two VLANs or tunnels are never mixed.
/// Flows look at it more closely: mirrors show one connection in several networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// Outer and inner VLAN id, [`NO_VLAN`] where there is none.
    vlans: [u16; 2],
    /// A digest of the tunnels around the packet; 0 outside any.
    tunnel: u32,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            vlans: [NO_VLAN; 2],
            tunnel: 0,
        }
    }
}

impl Scope {
    /// The VLAN id next to the packet, when it was tagged.
    pub fn vlan(&self) -> Option<u16> {
        let [outer, inner] = self.vlans;
        [inner, outer].into_iter().find(|id| *id != NO_VLAN)
    }

    /// The whole of it as two numbers, for keys.
    pub(crate) fn words(self) -> [u32; 2] {
        let [outer, inner] = self.vlans;
        [u32::from(outer) << 16 | u32::from(inner), self.tunnel]
    }

    /// Adds a tag inside those that are there; of more than two the last two count. A tag with
    /// id 0 bears a priority and names no VLAN (IEEE 802.1Q §9.6).
    pub fn push_vlan(&mut self, id: u16) {
        if id == 0 {
            return;
        }
        let [outer, inner] = self.vlans;
        self.vlans = match (outer, inner) {
            (NO_VLAN, _) => [id, NO_VLAN],
            (_, NO_VLAN) => [outer, id],
            _ => [inner, id],
        };
    }

    /// Adds a tunnel: its kind and the number that tells it from others of the kind. Tags
    /// outside a tunnel are the mirror's business, not the packet's.
    pub fn push_tunnel(&mut self, kind: u8, id: u32) {
        // FNV-1a over kind and id: tunnels are few, and nobody gains by a collision.
        let mut digest = self.tunnel ^ 0x811c_9dc5;
        for byte in [kind].into_iter().chain(id.to_be_bytes()) {
            digest = (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        *self = Self {
            vlans: [NO_VLAN; 2],
            tunnel: digest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vlan_is_the_innermost_tag() {
        let mut scope = Scope::default();
        assert_eq!(scope.vlan(), None);
        scope.push_vlan(100);
        assert_eq!(scope.vlan(), Some(100));
        scope.push_vlan(10);
        assert_eq!(scope.vlan(), Some(10));
        scope.push_vlan(7);
        assert_eq!(scope.vlan(), Some(7));
    }

    #[test]
    fn a_priority_tag_names_no_vlan() {
        let mut scope = Scope::default();
        scope.push_vlan(0);
        assert_eq!(scope, Scope::default());
    }

    #[test]
    fn tags_outside_a_tunnel_do_not_count_inside() {
        let mut scope = Scope::default();
        scope.push_vlan(9);
        scope.push_tunnel(1, 5);
        assert_eq!(scope.vlan(), None);
    }

    #[test]
    fn two_tunnels_of_one_kind_are_two_scopes() {
        let (mut one, mut other) = (Scope::default(), Scope::default());
        one.push_tunnel(1, 5);
        other.push_tunnel(1, 6);
        assert_ne!(one, other);
    }
}
