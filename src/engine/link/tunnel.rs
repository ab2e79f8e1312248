//! Tunnels: packets inside packets, as mirrors send them over a network.

use crate::engine::link::{
    LinkError, NetworkPayload, Scope, ether_payload, ethernet, u16_at, u32_at,
};

/// IP protocol numbers of what may be unwrapped.
const IPV4_IN_IP: u8 = 4;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;

const KIND_GRE: u8 = 1;
const KIND_ERSPAN: u8 = 2;
const KIND_VXLAN: u8 = 3;
const KIND_GENEVE: u8 = 4;
const KIND_IP: u8 = 5;

/// What an IP packet's payload holds when it is a tunnel that is read; None when it is none.
///
/// # Errors
/// [`LinkError`] when it is one that does not hold together or carries no IP.
pub fn open(
    scope: Scope,
    protocol: u8,
    payload: &[u8],
) -> Option<Result<NetworkPayload<'_>, LinkError>> {
    match protocol {
        IPV4_IN_IP | IPV6_IN_IP => Some(ip_in_ip(scope, protocol, payload)),
        GRE => Some(gre(scope, payload)),
        UDP => match u16_at(payload, 2)? {
            4789 | 8472 => Some(vxlan(scope, payload)),
            6081 => Some(geneve(scope, payload)),
            _ => None,
        },
        _ => None,
    }
}

fn ip_in_ip(mut scope: Scope, protocol: u8, bytes: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    scope.push_tunnel(KIND_IP, u32::from(protocol));
    let ethertype = if protocol == IPV4_IN_IP {
        0x0800
    } else {
        0x86dd
    };
    ether_payload(scope, ethertype, bytes)
}

/// GRE version 0 (RFC 2784, RFC 2890): optional checksum, key and sequence number.
fn gre(mut scope: Scope, bytes: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    let flags = u16_at(bytes, 0).ok_or(LinkError::Malformed)?;
    let protocol = u16_at(bytes, 2).ok_or(LinkError::Malformed)?;
    if flags & 0x4007 != 0 {
        return Err(LinkError::NotIp); // source routes, or version 1 (PPTP)
    }
    let mut length = 4;
    length += if flags & 0x8000 != 0 { 4 } else { 0 };
    let key = (flags & 0x2000 != 0).then(|| u32_at(bytes, length));
    length += if flags & 0x2000 != 0 { 4 } else { 0 };
    let sequenced = flags & 0x1000 != 0;
    length += if sequenced { 4 } else { 0 };
    let inner = bytes.get(length..).ok_or(LinkError::Malformed)?;
    match protocol {
        0x88be => erspan(scope, sequenced, inner),
        0x22eb => erspan_iii(scope, inner),
        _ => {
            scope.push_tunnel(KIND_GRE, key.flatten().unwrap_or(0));
            gre_payload(scope, protocol, inner)
        }
    }
}

fn gre_payload(scope: Scope, protocol: u16, inner: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    match protocol {
        0x6558 => ethernet(scope, inner), // transparent Ethernet bridging (RFC 1701)
        _ => ether_payload(scope, protocol, inner),
    }
}

/// ERSPAN type II has a header of 8 bytes; type I has none, and no sequence number in GRE.
fn erspan(
    mut scope: Scope,
    sequenced: bool,
    inner: &[u8],
) -> Result<NetworkPayload<'_>, LinkError> {
    scope.push_tunnel(KIND_ERSPAN, 0);
    let header = if sequenced { 8 } else { 0 };
    ethernet(scope, inner.get(header..).ok_or(LinkError::Malformed)?)
}

/// ERSPAN type III: 12 bytes, and 8 more where the last bit says so.
fn erspan_iii(mut scope: Scope, inner: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    scope.push_tunnel(KIND_ERSPAN, 0);
    let extended = u16_at(inner, 10).ok_or(LinkError::Malformed)? & 1 == 1;
    let header = if extended { 20 } else { 12 };
    ethernet(scope, inner.get(header..).ok_or(LinkError::Malformed)?)
}

/// VXLAN (RFC 7348 §5) in UDP.
fn vxlan(mut scope: Scope, udp: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    let flags = u16_at(udp, 8).ok_or(LinkError::Malformed)?;
    let network = u32_at(udp, 12).ok_or(LinkError::Malformed)? >> 8;
    if flags & 0x0800 == 0 {
        return Err(LinkError::NotIp);
    }
    scope.push_tunnel(KIND_VXLAN, network);
    ethernet(scope, udp.get(16..).ok_or(LinkError::Malformed)?)
}

/// Geneve (RFC 8926 §3.4) in UDP, its options skipped.
fn geneve(mut scope: Scope, udp: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    let first = u16_at(udp, 8).ok_or(LinkError::Malformed)?;
    let protocol = u16_at(udp, 10).ok_or(LinkError::Malformed)?;
    let network = u32_at(udp, 12).ok_or(LinkError::Malformed)? >> 8;
    if first >> 14 != 0 {
        return Err(LinkError::NotIp);
    }
    let options = usize::from((first >> 8) & 0x3f) * 4;
    scope.push_tunnel(KIND_GENEVE, network);
    let inner = udp.get(16 + options..).ok_or(LinkError::Malformed)?;
    gre_payload(scope, protocol, inner)
}
