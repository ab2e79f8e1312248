//! From a frame to the network packet inside it: tags, sessions and cooked headers off.

/// Which of several networks on one wire a packet belongs to: part of the key of fragments and
/// of flows, so that equal addresses in two VLANs or tunnels are never mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Outer and inner VLAN id, `0xffff` where there is none.
    vlans: [u16; 2],
    /// A digest of the tunnels around the packet (kind and id of each); 0 outside any.
    tunnel: u32,
}
