//! From a frame to the network packet inside it: tags, sessions and cooked headers off.

use crate::engine::frame::LinkType;
use crate::engine::limits::ENCAPSULATION_DEPTH_MAX;

pub use scope::Scope;

mod bytes;
mod scope;
pub mod tunnel;

pub(in crate::engine) use bytes::{split_u16, u16_at, u32_at};

/// What a frame or tunnel carries, up to its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPayload<'a> {
    /// The network that it belongs to.
    pub scope: Scope,
    /// An IPv4 or IPv6 packet, possibly with padding behind it.
    pub bytes: &'a [u8],
}

/// Why there is no IP packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// It ends inside a header, or a header contradicts itself.
    Malformed,
    /// It carries something else.
    NotIp,
    /// More tags in each other than are unwrapped.
    TooDeep,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Below this number an Ethernet type field is a length (IEEE 802.3).
const ETHERTYPE_MIN: u16 = 0x0600;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// Takes everything off a frame that stands before its IP packet.
///
/// # Errors
/// [`LinkError`]: what it carries instead.
pub fn decapsulate(link: LinkType, frame: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    let scope = Scope::default();
    match link {
        LinkType::Ethernet => ethernet(scope, frame),
        LinkType::RawIp => ip(scope, frame),
        LinkType::Null | LinkType::Loop => ip(scope, after(frame, 4)?),
        LinkType::LinuxSll => ether_payload(scope, need(u16_at(frame, 14))?, after(frame, 16)?),
        LinkType::LinuxSll2 => ether_payload(scope, need(u16_at(frame, 0))?, after(frame, 20)?),
    }
}

/// An Ethernet frame, on the wire or in a tunnel.
pub(in crate::engine) fn ethernet(
    scope: Scope,
    frame: &[u8],
) -> Result<NetworkPayload<'_>, LinkError> {
    ether_payload(scope, need(u16_at(frame, 12))?, after(frame, 14)?)
}

/// What an Ethernet type announces, tags taken off.
pub(in crate::engine) fn ether_payload(
    mut scope: Scope,
    mut ethertype: u16,
    mut bytes: &[u8],
) -> Result<NetworkPayload<'_>, LinkError> {
    for _ in 0..ENCAPSULATION_DEPTH_MAX {
        match ethertype {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return ip(scope, bytes),
            // IEEE 802.1Q, 802.1ad, and what vendors used before it
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                scope.push_vlan(need(u16_at(bytes, 0))? & 0x0fff);
                (ethertype, bytes) = need(split_u16(after(bytes, 2)?))?;
            }
            0x8864 => return pppoe(scope, bytes),
            0x8847 | 0x8848 => return mpls(scope, bytes),
            0..ETHERTYPE_MIN => {
                ethertype = snap_type(bytes).ok_or(LinkError::NotIp)?;
                bytes = after(bytes, 8)?;
            }
            _ => return Err(LinkError::NotIp),
        }
    }
    Err(LinkError::TooDeep)
}

/// The Ethernet type in an LLC header with SNAP (IEEE 802.2, RFC 1042).
fn snap_type(bytes: &[u8]) -> Option<u16> {
    bytes
        .starts_with(&[0xaa, 0xaa, 0x03])
        .then(|| u16_at(bytes, 6))
        .flatten()
}

/// PPPoE session (RFC 2516 §4) and the PPP protocol in it, which may be one byte (RFC 1661 §2).
fn pppoe(scope: Scope, bytes: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    let (first, ppp) = (need(u16_at(bytes, 0))?, after(bytes, 6)?);
    if first != 0x1100 {
        return Err(LinkError::NotIp);
    }
    let compressed = ppp.first().is_some_and(|byte| byte & 1 == 1);
    let (protocol, length) = if compressed {
        (ppp.first().map(|byte| u16::from(*byte)), 1)
    } else {
        (u16_at(ppp, 0), 2)
    };
    match need(protocol)? {
        PPP_IPV4 | PPP_IPV6 => ip(scope, after(ppp, length)?),
        _ => Err(LinkError::NotIp),
    }
}

/// A label stack (RFC 3032 §2.1). What follows it is told by its first half byte (RFC 4928 §3):
/// IP, or a pseudo-wire with a control word and an Ethernet frame (RFC 4448 §4.6).
fn mpls(scope: Scope, mut bytes: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    for _ in 0..ENCAPSULATION_DEPTH_MAX {
        let entry = need(u32_at(bytes, 0))?;
        bytes = after(bytes, 4)?;
        if entry & 0x100 == 0 {
            continue;
        }
        return match need(bytes.first())? >> 4 {
            4 | 6 => ip(scope, bytes),
            0 => ethernet(scope, after(bytes, 4)?),
            _ => Err(LinkError::NotIp),
        };
    }
    Err(LinkError::TooDeep)
}

/// The version in the first half byte must be one of IP's; which of them the header reader sees.
fn ip(scope: Scope, bytes: &[u8]) -> Result<NetworkPayload<'_>, LinkError> {
    match need(bytes.first())? >> 4 {
        4 | 6 => Ok(NetworkPayload { scope, bytes }),
        _ => Err(LinkError::NotIp),
    }
}

fn after(bytes: &[u8], length: usize) -> Result<&[u8], LinkError> {
    need(bytes.get(length..))
}

fn need<T>(value: Option<T>) -> Result<T, LinkError> {
    value.ok_or(LinkError::Malformed)
}
