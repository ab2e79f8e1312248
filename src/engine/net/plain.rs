//! The frame that nearly all frames are, read at a glance: Ethernet with at most one tag, IP without
//! options, extension headers or fragments, a TCP segment, all of it there.
//!
//! What it says the long way ([`Decoder::on_frame`](super::Decoder::on_frame)) says too: a test
//! holds the two against each other. It is there because most of what a mirror shows is for ports
//! that are not read, and must cost next to nothing.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frame::{Frame, LinkType};
use crate::link::Scope;

/// A frame of the plain kind.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    scope: Scope,
    header: Header<'a>,
    /// TCP header and bytes, link padding removed.
    segment: &'a [u8],
    tcp_header: &'a [u8; 20],
    /// The bytes alone.
    payload: &'a [u8],
}

/// Sender and receiver as numbers, from which a flow's hash is made at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireEnds {
    /// Each an IPv4 address, then its port: 48 bits.
    V4(u64, u64),
    /// Each an IPv6 address and its port.
    V6((u128, u16), (u128, u16)),
}

#[derive(Clone, Copy, Debug)]
enum Header<'a> {
    V4(&'a [u8; 20]),
    V6(&'a [u8; 40]),
}

impl<'a> Plain<'a> {
    /// A frame, if it is of this kind.
    #[inline(always)] // with the two below the way of every frame
    pub fn of(frame: &Frame<'a>) -> Option<Self> {
        let whole = frame.wire_len as usize <= frame.bytes.len();
        if frame.link != LinkType::Ethernet || !whole {
            return None;
        }
        let (ethernet, bytes) = frame.bytes.split_first_chunk::<14>()?;
        let [.., high, low] = *ethernet;
        match u16::from_be_bytes([high, low]) {
            IPV4 => Self::ipv4(Scope::default(), bytes),
            IPV6 => Self::ipv6(Scope::default(), bytes),
            VLAN => Self::tagged(bytes),
            _ => None,
        }
    }

    fn tagged(bytes: &'a [u8]) -> Option<Self> {
        let (tag, bytes) = bytes.split_first_chunk::<4>()?;
        let [first, second, high, low] = *tag;
        let mut scope = Scope::default();
        scope.push_vlan(u16::from_be_bytes([first, second]) & 0x0fff);
        match u16::from_be_bytes([high, low]) {
            IPV4 => Self::ipv4(scope, bytes),
            IPV6 => Self::ipv6(scope, bytes),
            _ => None,
        }
    }

    /// RFC 791 §3.1: no options, neither more fragments nor an offset.
    #[inline(always)]
    fn ipv4(scope: Scope, bytes: &'a [u8]) -> Option<Self> {
        let (header, behind) = bytes.split_first_chunk::<20>()?;
        let [0x45, _, high, low, _, _, flags, offset, _, TCP, ..] = *header else {
            return None;
        };
        if flags & 0x3f != 0 || offset != 0 {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(20)?;
        Self::with_segment(scope, Header::V4(header), behind.get(..length)?)
    }

    /// RFC 8200 §3: TCP at once, and no jumbogram.
    fn ipv6(scope: Scope, bytes: &'a [u8]) -> Option<Self> {
        let (header, behind) = bytes.split_first_chunk::<40>()?;
        let [version, _, _, _, high, low, TCP, ..] = *header else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if version >> 4 != 6 || length == 0 {
            return None;
        }
        Self::with_segment(scope, Header::V6(header), behind.get(..length)?)
    }

    #[inline(always)]
    fn with_segment(scope: Scope, header: Header<'a>, segment: &'a [u8]) -> Option<Self> {
        let tcp_header = segment.first_chunk::<20>()?;
        let [.., offset, _, _, _, _, _, _, _] = *tcp_header;
        let length = usize::from(offset >> 4) * 4;
        let payload = segment.get(length..).filter(|_| length >= 20)?;
        Some(Self {
            scope,
            header,
            segment,
            tcp_header,
            payload,
        })
    }

    /// The network that it belongs to.
    #[inline]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Port of the sender.
    #[inline]
    pub fn src_port(&self) -> u16 {
        let [a, b, ..] = *self.tcp_header;
        u16::from_be_bytes([a, b])
    }

    /// Port of the receiver.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        let [_, _, c, d, ..] = *self.tcp_header;
        u16::from_be_bytes([c, d])
    }

    /// Header and bytes of its segment, link padding removed.
    #[inline]
    pub fn segment(&self) -> &'a [u8] {
        self.segment
    }

    /// The segment's header without options.
    #[inline]
    pub fn tcp_header(&self) -> &'a [u8; 20] {
        self.tcp_header
    }

    /// The segment's bytes alone.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether it opens a connection: it is the first packet of the one who does so.
    #[inline]
    pub fn is_syn(&self) -> bool {
        let [.., flags, _, _, _, _, _, _] = *self.tcp_header;
        flags & (SYN | ACK) == SYN
    }

    /// Sender and receiver as numbers.
    #[inline]
    pub fn wire_ends(&self) -> WireEnds {
        let [src, dst] = [self.src_port(), self.dst_port()];
        match self.header {
            Header::V4(_) => {
                let addresses = self.addresses_ipv4().unwrap_or_default();
                let end = |address: u64, port| address << 16 | u64::from(port);
                WireEnds::V4(end(addresses >> 32, src), end(addresses & 0xffff_ffff, dst))
            }
            Header::V6([_, _, _, _, _, _, _, _, addresses @ ..]) => {
                let address = |from| addresses.get(from..).and_then(<[u8]>::first_chunk::<16>);
                let address = |from| u128::from_be_bytes(*address(from).unwrap_or(&[0; 16]));
                WireEnds::V6((address(0), src), (address(16), dst))
            }
        }
    }

    /// The addresses of IPv4, the sender's above.
    #[inline]
    pub(super) fn addresses_ipv4(&self) -> Option<u64> {
        match self.header {
            Header::V4([.., a, b, c, d, e, f, g, h]) => {
                Some(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            Header::V6(_) => None,
        }
    }

    /// Sender and receiver.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        match self.wire_ends() {
            WireEnds::V4(src, dst) => {
                let end = |end: u64| (Ipv4Addr::from_bits((end >> 16) as u32), end as u16);
                (end(src).into(), end(dst).into())
            }
            WireEnds::V6(src, dst) => {
                let end = |(address, port)| (Ipv6Addr::from_bits(address), port);
                (end(src).into(), end(dst).into())
            }
        }
    }

    /// Routers that it may still pass (TTL, hop limit).
    #[inline]
    pub fn hops(&self) -> u8 {
        match self.header {
            Header::V4([_, _, _, _, _, _, _, _, hops, ..])
            | Header::V6([_, _, _, _, _, _, _, hops, ..]) => *hops,
        }
    }

    /// RFC 1071 §1: the sum over an IPv4 header and its own checksum has all bits set, which is a
    /// multiple of 65,535 that is not 0, as no header is. In the machine's own byte order it is as
    /// good.
    #[inline]
    pub(super) fn checksum_is_right(&self) -> bool {
        let Header::V4(header) = self.header else {
            return true; // IPv6 has none
        };
        let words = header.chunks_exact(4).filter_map(<[u8]>::first_chunk::<4>);
        let sum: u64 = words.map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let sum = (sum >> 16) as u32 + (sum & 0xffff) as u32; // small processors divide slowly
        sum % 0xffff == 0
    }
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// IEEE 802.1Q.
const VLAN: u16 = 0x8100;
/// IP protocol number of TCP.
const TCP: u8 = 6;
const SYN: u8 = 2;
const ACK: u8 = 16;
