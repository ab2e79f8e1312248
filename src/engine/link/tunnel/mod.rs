//! Tunnels: packets inside packets, as networks carry them and as mirrors send them.

use etherparse::{IpNumber, UdpSlice};

use crate::link::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkError, LinkResult, Scope, ether_payload, ethernet,
};

mod geneve;
mod gre;
mod gtp;
mod l2tp;
mod teredo;
mod vxlan;

/// An Ethernet frame in a tunnel (transparent Ethernet bridging).
const ETHERTYPE_BRIDGED: u16 = 0x6558;

/// Which kind of tunnel: with the tunnel's own number it becomes part of [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Ip = 1,
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    Gtp,
    L2tp,
    Teredo,
}

/// What an IP packet's payload holds when it is a tunnel that is read; None when it is none.
///
/// # Errors
/// [`LinkError`] when it is one that does not hold together or carries no IP. Of UDP only the
/// port makes it a tunnel, so that a packet refused here may be something else altogether.
pub fn open(scope: Scope, protocol: u8, payload: &[u8]) -> Option<LinkResult<'_>> {
    match IpNumber(protocol) {
        IpNumber::IPV4 => Some(ip_in_ip(scope, ETHERTYPE_IPV4, payload)),
        IpNumber::IPV6 => Some(ip_in_ip(scope, ETHERTYPE_IPV6, payload)),
        IpNumber::GRE => Some(gre::open(scope, payload)),
        IpNumber::ETHER_IP => Some(ether_in_ip(scope, payload)),
        IpNumber::UDP => open_udp(scope, payload),
        _ => None,
    }
}

/// Tunnels in UDP are known by the port that they are sent to, or from, where both ends may have
/// others.
fn open_udp(scope: Scope, payload: &[u8]) -> Option<LinkResult<'_>> {
    let udp = UdpSlice::from_slice_lax(payload).ok()?;
    match udp.destination_port() {
        4789 | 8472 => Some(vxlan::open(scope, udp.payload())),
        4790 => Some(vxlan::open_generic(scope, udp.payload())),
        6081 => Some(geneve::open(scope, udp.payload())),
        2152 => Some(gtp::open(scope, udp.payload())),
        port => match [port, udp.source_port()] {
            [1701, _] | [_, 1701] => Some(l2tp::open(scope, udp.payload())),
            [3544, _] | [_, 3544] => Some(teredo::open(scope, udp.payload())),
            _ => None,
        },
    }
}

/// RFC 2003, RFC 2473, RFC 4213.
fn ip_in_ip(mut scope: Scope, ethertype: u16, bytes: &[u8]) -> LinkResult<'_> {
    scope.push_tunnel(Kind::Ip as u8, u32::from(ethertype));
    ether_payload(scope, ethertype, bytes)
}

/// EtherIP (RFC 3378): version 3 and twelve zero bits, then an Ethernet frame.
fn ether_in_ip(mut scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let frame = bytes
        .strip_prefix(&[0x30, 0x00])
        .ok_or(LinkError::Malformed)?;
    scope.push_tunnel(Kind::Ip as u8, u32::from(ETHERTYPE_BRIDGED));
    ethernet(scope, frame)
}

/// What a tunnel announces by an Ethernet type.
fn announced(scope: Scope, ethertype: u16, bytes: &[u8]) -> LinkResult<'_> {
    match ethertype {
        ETHERTYPE_BRIDGED => ethernet(scope, bytes),
        _ => ether_payload(scope, ethertype, bytes),
    }
}

#[cfg(test)]
mod tests;
