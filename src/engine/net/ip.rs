//! IP headers: IPv4 with its options (RFC 791), IPv6 with its extension headers (RFC 8200 §4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::engine::link::{u16_at, u32_at};

/// Extension headers of one packet that are walked; real packets have one or two.
const EXTENSIONS_MAX: usize = 16;

/// An IP packet, whole or a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Datagram<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
    pub(super) fragment: Option<Fragment>,
    pub(super) cut: bool,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) id: u32,
    /// Offset of its first byte in the datagram's payload.
    pub(super) offset: u32,
    /// Whether more follow it.
    pub(super) more: bool,
}

/// Reads the header of an IPv4 or IPv6 packet; None when it does not hold together.
pub(super) fn parse(bytes: &[u8]) -> Option<Datagram<'_>> {
    match bytes.first()? >> 4 {
        4 => parse_v4(bytes),
        6 => parse_v6(bytes),
        _ => None,
    }
}

/// The payload up to the length that the header claims. A claim of 0 comes from captures on the
/// sending machine, whose card cuts packets later: all that is there counts.
fn claimed(bytes: &[u8], header: usize, total: usize, zero: bool) -> Option<(&[u8], bool)> {
    if zero {
        return Some((bytes.get(header..)?, false));
    }
    let cut = bytes.len() < total;
    let end = total.min(bytes.len());
    Some((bytes.get(header..end)?, cut))
}

fn parse_v4(bytes: &[u8]) -> Option<Datagram<'_>> {
    let header = usize::from(bytes.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(bytes, 2)?);
    if header < 20 || (total != 0 && total < header) {
        return None;
    }
    let (payload, cut) = claimed(bytes, header, total, total == 0)?;
    let position = u16_at(bytes, 6)?;
    let (offset, more) = (u32::from(position & 0x1fff) * 8, position & 0x2000 != 0);
    Some(Datagram {
        src: IpAddr::V4(Ipv4Addr::from(u32_at(bytes, 12)?)),
        dst: IpAddr::V4(Ipv4Addr::from(u32_at(bytes, 16)?)),
        protocol: *bytes.get(9)?,
        payload,
        fragment: (offset != 0 || more).then_some(Fragment {
            id: u32::from(u16_at(bytes, 4)?),
            offset,
            more,
        }),
        cut,
    })
}

fn parse_v6(bytes: &[u8]) -> Option<Datagram<'_>> {
    let length = usize::from(u16_at(bytes, 4)?);
    let (payload, cut) = claimed(bytes, 40, 40 + length, length == 0)?;
    let mut datagram = Datagram {
        src: IpAddr::V6(address_v6(bytes, 8)?),
        dst: IpAddr::V6(address_v6(bytes, 24)?),
        protocol: *bytes.get(6)?,
        payload,
        fragment: None,
        cut,
    };
    walk_extensions(&mut datagram)?;
    Some(datagram)
}

fn address_v6(bytes: &[u8], offset: usize) -> Option<Ipv6Addr> {
    let octets: &[u8; 16] = bytes.get(offset..)?.first_chunk()?;
    Some(Ipv6Addr::from(*octets))
}

/// Skips extension headers up to the transport header, or up to the fragment's own data.
pub(super) fn walk_extensions(datagram: &mut Datagram<'_>) -> Option<()> {
    for _ in 0..EXTENSIONS_MAX {
        let (next, length) = match datagram.protocol {
            // hop-by-hop, routing, destination options, mobility, host identity, shim6
            0 | 43 | 60 | 135 | 139 | 140 => generic_extension(datagram.payload)?,
            51 => authentication(datagram.payload)?,
            44 => {
                let fragment = fragment_header(datagram)?;
                if fragment.is_some() {
                    datagram.fragment = fragment;
                    return Some(());
                }
                continue;
            }
            _ => return Some(()),
        };
        datagram.protocol = next;
        datagram.payload = datagram.payload.get(length..)?;
    }
    None
}

fn generic_extension(bytes: &[u8]) -> Option<(u8, usize)> {
    let [next, length] = bytes.first_chunk()?;
    Some((*next, (usize::from(*length) + 1) * 8))
}

/// RFC 4302 §2.2: the length counts 32-bit words, minus 2.
fn authentication(bytes: &[u8]) -> Option<(u8, usize)> {
    let [next, length] = bytes.first_chunk()?;
    Some((*next, (usize::from(*length) + 2) * 4))
}

/// The fragment header is taken off; None for an atomic fragment, which is whole (RFC 6946).
fn fragment_header(datagram: &mut Datagram<'_>) -> Option<Option<Fragment>> {
    let bytes = datagram.payload;
    let position = u16_at(bytes, 2)?;
    let fragment = Fragment {
        id: u32_at(bytes, 4)?,
        offset: u32::from(position & 0xfff8),
        more: position & 1 == 1,
    };
    datagram.protocol = *bytes.first()?;
    datagram.payload = bytes.get(8..)?;
    Some((fragment.offset != 0 || fragment.more).then_some(fragment))
}
