//! What an IP header says, whichever version it has.

use std::net::IpAddr;

use crate::net::{ipv4, ipv6};

/// An IP packet, whole or a fragment, all headers before its payload read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// Of the payload.
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
    /// Bytes at the end of the payload that were on the wire and are not here.
    pub(super) missing: usize,
    /// Routers that it may still pass (TTL, hop limit).
    pub(super) hops: u8,
    pub(super) fragment: Option<Fragment>,
    /// Of the header; IPv6 has none, which is as good as a right one.
    pub(super) checksum_is_right: bool,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) id: u32,
    /// Offset of its first byte in the datagram's payload.
    pub(super) offset: usize,
    /// Whether more follow it.
    pub(super) more: bool,
}

/// Whether a packet may be longer, by its header, than the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// No: the frame is whole. Hosts drop a packet that ends early, and so must a tap.
    Whole,
    /// Yes: the snap length cut this many bytes from the frame, or a mirror that wraps packets
    /// may have cut them.
    MayBeCut(usize),
}

/// Reads the header of an IPv4 or IPv6 packet; None when it does not hold together.
pub(super) fn parse(bytes: &[u8], ending: Ending) -> Option<Datagram<'_>> {
    match bytes.first()? >> 4 {
        4 => ipv4::parse(bytes, ending),
        6 => ipv6::parse(bytes, ending),
        _ => None,
    }
}

/// Whether a packet says that it is longer than what is there.
pub(super) fn is_cut(bytes: &[u8]) -> bool {
    let claimed = match bytes {
        [first, _, high, low, ..] if first >> 4 == 4 => {
            usize::from(u16::from_be_bytes([*high, *low]))
        }
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
            IPV6_HEADER + usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => 0,
    };
    claimed > bytes.len()
}

/// Bytes of the header that an IPv6 packet's own length leaves out (RFC 8200 §3).
const IPV6_HEADER: usize = 40;

/// The payload up to the length that the header claims, and how many bytes it lacks. A claim of
/// 0 comes from captures on the sending machine, where the card cuts packets later, or from one
/// larger than the field can say: then all that is there counts.
pub(super) fn claimed(
    bytes: &[u8],
    header: usize,
    total: usize,
    ending: Ending,
) -> Option<(&[u8], usize)> {
    match (total, ending) {
        (0, Ending::Whole) => Some((bytes.get(header..)?, 0)),
        (0, Ending::MayBeCut(missing)) => Some((bytes.get(header..)?, missing)),
        _ if total <= bytes.len() => Some((bytes.get(header..total)?, 0)),
        (_, Ending::Whole) => None,
        (_, Ending::MayBeCut(_)) => Some((bytes.get(header..)?, total - bytes.len())),
    }
}
