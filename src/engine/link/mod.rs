//! From a frame to the network packet inside it: tags, sessions, labels and cooked headers off.

use etherparse::{Ethernet2Slice, SingleVlanSlice};

use crate::frame::LinkType;
use crate::limits::ENCAPSULATION_DEPTH_MAX;

pub use scope::Scope;

mod bytes;
mod llc;
mod mpls;
mod nflog;
mod ppp;
mod scope;
pub mod tunnel;

pub(crate) use bytes::{u16_at, u32_at};

/// What a frame or tunnel carries, from its IP header on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPayload<'a> {
    /// The network that it belongs to.
    pub scope: Scope,
    /// An IPv4 or IPv6 packet, possibly with padding behind it. Its version agrees with what the
    /// headers before it announced.
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

/// What every step of unwrapping returns.
pub type LinkResult<'a> = Result<NetworkPayload<'a>, LinkError>;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_PPP: u16 = 0x880b;
/// Below this number an Ethernet type field is a length (IEEE 802.3 §3.2.6).
const ETHERTYPE_MIN: u16 = 0x0600;

/// Takes everything off a frame that stands before its IP packet.
///
/// # Errors
/// [`LinkError`]: what it carries instead.
pub fn decapsulate(link: LinkType, frame: &[u8]) -> LinkResult<'_> {
    let scope = Scope::default();
    match link {
        LinkType::Ethernet => ethernet(scope, frame),
        LinkType::RawIp => ip(scope, frame),
        LinkType::Null | LinkType::Loop => ip(scope, after(frame, 4)?),
        LinkType::LinuxSll => cooked(scope, need(u16_at(frame, 14))?, after(frame, 16)?),
        LinkType::LinuxSll2 => cooked(scope, need(u16_at(frame, 0))?, after(frame, 20)?),
        LinkType::Ppp => ppp::frame(scope, frame),
        LinkType::PppEther => ppp::session(scope, frame),
        LinkType::CiscoHdlc => ether_payload(scope, need(u16_at(frame, 2))?, after(frame, 4)?),
        LinkType::Nflog => nflog::payload(scope, frame),
    }
}

/// An Ethernet frame, on the wire or in a tunnel.
pub(crate) fn ethernet(scope: Scope, frame: &[u8]) -> LinkResult<'_> {
    let ethernet =
        Ethernet2Slice::from_slice_without_fcs(frame).map_err(|_| LinkError::Malformed)?;
    ether_payload(scope, ethernet.ether_type().0, ethernet.payload_slice())
}

/// The packet behind a Linux cooked header, whose protocol 4 stands for an IEEE 802.2 header.
fn cooked(scope: Scope, protocol: u16, bytes: &[u8]) -> LinkResult<'_> {
    match protocol {
        0x0004 | ETHERTYPE_MIN.. => ether_payload(scope, protocol, bytes),
        _ => Err(LinkError::NotIp),
    }
}

/// What an Ethernet type announces, tags taken off.
pub(crate) fn ether_payload(
    mut scope: Scope,
    mut ethertype: u16,
    mut bytes: &[u8],
) -> LinkResult<'_> {
    for _ in 0..=ENCAPSULATION_DEPTH_MAX {
        match ethertype {
            ETHERTYPE_IPV4 => return ip_version(scope, 4, bytes),
            ETHERTYPE_IPV6 => return ip_version(scope, 6, bytes),
            // IEEE 802.1Q, 802.1ad, and what vendors used before it
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let tag = SingleVlanSlice::from_slice(bytes).map_err(|_| LinkError::Malformed)?;
                scope.push_vlan(tag.vlan_identifier().value());
                (ethertype, bytes) = (tag.ether_type().0, tag.payload_slice());
            }
            0x8864 => return ppp::session(scope, bytes),
            ETHERTYPE_PPP => return ppp::frame(scope, bytes),
            0x8847 | 0x8848 => return mpls::labelled(scope, bytes),
            0..ETHERTYPE_MIN => (ethertype, bytes) = llc::payload(bytes)?,
            _ => return Err(LinkError::NotIp),
        }
    }
    Err(LinkError::TooDeep)
}

/// An IP packet of whichever version its first half byte tells.
fn ip(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    match need(bytes.first())? >> 4 {
        4 | 6 => Ok(NetworkPayload { scope, bytes }),
        _ => Err(LinkError::NotIp),
    }
}

/// An IP packet of the version that was announced: hosts drop one of the other version.
fn ip_version(scope: Scope, version: u8, bytes: &[u8]) -> LinkResult<'_> {
    if need(bytes.first())? >> 4 == version {
        Ok(NetworkPayload { scope, bytes })
    } else {
        Err(LinkError::Malformed)
    }
}

fn after(bytes: &[u8], length: usize) -> Result<&[u8], LinkError> {
    need(bytes.get(length..))
}

fn need<T>(value: Option<T>) -> Result<T, LinkError> {
    value.ok_or(LinkError::Malformed)
}

#[cfg(test)]
mod tests;
