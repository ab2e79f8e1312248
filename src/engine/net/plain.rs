//! The frame that nearly all frames are, read at a glance: Ethernet with at most one tag, IP without
//! options, extension headers or fragments, a TCP segment, all of it there.
//!
//! What it says the long way ([`Decoder::on_frame`](super::Decoder::on_frame)) says too: a test
//! holds the two against each other. It is there because most of what a mirror shows is for ports
//! that are not read, and must cost next to nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frame::{Frame, LinkType};
use crate::link::Scope;
use crate::net::IpPacket;

/// A frame of the plain kind.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    scope: Scope,
    header: Header<'a>,
    /// TCP header and bytes, link padding removed.
    segment: &'a [u8],
    src_port: u16,
    dst_port: u16,
}

#[derive(Clone, Copy, Debug)]
enum Header<'a> {
    V4(&'a [u8; 20]),
    V6(&'a [u8; 40]),
}

impl<'a> Plain<'a> {
    /// A frame, if it is of this kind.
    #[inline]
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
    #[inline]
    fn ipv4(scope: Scope, bytes: &'a [u8]) -> Option<Self> {
        let (header, behind) = bytes.split_first_chunk::<20>()?;
        let [0x45, _, high, low, _, _, flags, offset, _, TCP, ..] = *header else {
            return None;
        };
        if flags & 0x3f != 0 || offset != 0 {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(20)?;
        Self::segment(scope, Header::V4(header), behind.get(..length)?)
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
        Self::segment(scope, Header::V6(header), behind.get(..length)?)
    }

    #[inline]
    fn segment(scope: Scope, header: Header<'a>, segment: &'a [u8]) -> Option<Self> {
        let [a, b, c, d, _, _, _, _, _, _, _, _, offset, ..] = *segment.first_chunk::<20>()?;
        let length = usize::from(offset >> 4) * 4;
        ((20..=segment.len()).contains(&length)).then_some(Self {
            scope,
            header,
            segment,
            src_port: u16::from_be_bytes([a, b]),
            dst_port: u16::from_be_bytes([c, d]),
        })
    }

    /// Port of the sender.
    #[inline]
    pub fn src_port(&self) -> u16 {
        self.src_port
    }

    /// Port of the receiver.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        self.dst_port
    }

    /// Whether it opens a connection: it is the first packet of the one who does so.
    #[inline]
    pub fn is_syn(&self) -> bool {
        self.segment
            .get(FLAGS_OFFSET)
            .is_some_and(|flags| flags & (SYN | ACK) == SYN)
    }

    /// Sender and receiver.
    #[inline]
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let packet = self.packet();
        let src = SocketAddr::new(packet.src, self.src_port);
        (src, SocketAddr::new(packet.dst, self.dst_port))
    }

    /// The packet in it.
    #[inline]
    pub(super) fn packet(&self) -> IpPacket<'a> {
        let (src, dst, hops) = match self.header {
            Header::V4([_, _, _, _, _, _, _, _, hops, _, _, _, addresses @ ..]) => {
                let [a, b, c, d, e, f, g, h] = *addresses;
                let (src, dst) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
                (IpAddr::V4(src), IpAddr::V4(dst), *hops)
            }
            Header::V6(header) => {
                let [_, _, _, _, _, _, _, hops, addresses @ ..] = header;
                let address = |from| {
                    let octets = addresses.get(from..).and_then(<[u8]>::first_chunk::<16>);
                    IpAddr::V6(Ipv6Addr::from(*octets.unwrap_or(&[0; 16])))
                };
                (address(0), address(16), *hops)
            }
        };
        IpPacket {
            scope: self.scope,
            src,
            dst,
            protocol: TCP,
            payload: self.segment,
            hops,
            missing: 0,
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
/// Where a TCP header has its flags.
const FLAGS_OFFSET: usize = 13;
const SYN: u8 = 2;
const ACK: u8 = 16;
