//! Counts what a look at the wire must tell and the engine has no need to know: directions,
//! packets that come twice, frames that are cut, what else there is.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::doctor::twins::Twins;
use crate::engine::canary::PortSet;
use crate::engine::counters::Counters;
use crate::engine::frame::{Frame, LinkType};
use crate::engine::link::decapsulate;
use crate::engine::net::{Decoder, IpPacket};
use crate::engine::transport::{FiveTuple, Segment};

/// The counts. Only grows; bounded.
#[derive(Debug)]
pub(super) struct Tally {
    decoder: Decoder,
    ports: PortSet,
    /// Servers that the configuration names.
    addresses: Vec<IpAddr>,
    twins: Twins,
    by_server: HashMap<IpAddr, Sides>,
    pub(super) counts: Counts,
}

/// The numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Frames that were captured.
    pub(super) frames: u64,
    /// Of those: to everybody or to groups, which a switch sends everywhere without any mirror.
    pub(super) flooded: u64,
    /// Frames that end before their IP packet does, by the capture or by the mirror.
    pub(super) cut: u64,
    /// TCP segments on watched ports.
    pub(super) segments: u64,
    /// Packets of those that came twice.
    pub(super) twice: u64,
    /// Of those: in another VLAN or tunnel.
    pub(super) in_another_network: u64,
    /// Beginnings of connections to ports that are not watched.
    pub(super) other_ports: BTreeMap<u16, u64>,
    /// The segments of each server on the watched ports.
    pub(super) servers: BTreeMap<IpAddr, Sides>,
}

/// Both directions of a server's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    /// Segments towards it.
    pub(super) to: u64,
    /// Of those: such that acknowledge something, so that it must have answered.
    pub(super) acknowledging: u64,
    /// Of those: such that begin a TLS record.
    pub(super) tls: u64,
    /// Segments from it.
    pub(super) from: u64,
}

impl Sides {
    /// Both together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            to: self.to + other.to,
            acknowledging: self.acknowledging + other.acknowledging,
            tls: self.tls + other.tls,
            from: self.from + other.from,
        }
    }
}

impl Tally {
    /// Nothing was counted yet.
    pub(super) fn new(ports: PortSet, addresses: Vec<IpAddr>) -> Self {
        Self {
            decoder: Decoder::new(),
            ports,
            addresses,
            twins: Twins::default(),
            by_server: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// Counts a frame.
    pub(super) fn on_frame(&mut self, frame: &Frame<'_>) {
        self.counts.frames += 1;
        self.counts.flooded += u64::from(is_flooded(frame));
        self.counts.cut += u64::from(is_cut(frame));
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut unused = Counters::default(); // the engine counts the same
        decoder.on_frame(frame, &mut unused, &mut |packet, _| {
            self.on_packet(packet, frame);
        });
        self.decoder = decoder;
    }

    /// What was counted.
    pub(super) fn finish(mut self) -> Counts {
        self.counts.twice = self.twins.twice;
        self.counts.in_another_network = self.twins.in_another_network;
        self.counts.servers = self.by_server.into_iter().collect();
        self.counts
    }

    fn on_packet(&mut self, packet: &IpPacket<'_>, frame: &Frame<'_>) {
        if packet.protocol != TCP {
            return;
        }
        let Ok(segment) = Segment::parse(packet) else {
            return;
        };
        let (src, dst) = (segment.src_port(), segment.dst_port());
        if self.ports.contains(src) || self.ports.contains(dst) {
            self.counts.segments += 1;
            self.twins.note(packet, frame.time);
            self.on_segment(&segment);
        } else if segment.syn() && segment.ack.is_none() {
            *self.counts.other_ports.entry(dst).or_default() += 1;
        }
    }

    fn on_segment(&mut self, segment: &Segment<'_>) {
        let to_server = self.is_to_server(segment);
        let FiveTuple { src, dst } = segment.tuple();
        let server = if to_server { dst } else { src }.ip();
        if !self.by_server.contains_key(&server) && self.by_server.len() >= SERVERS_MAX {
            return;
        }
        let sides = self.by_server.entry(server).or_default();
        if !to_server {
            sides.from += 1;
            return;
        }
        sides.to += 1;
        sides.acknowledging += u64::from(segment.ack.is_some() && !segment.rst());
        sides.tls += u64::from(matches!(segment.payload, [0x14..=0x17, 3, 0..=4, ..]));
    }

    /// Who is the server: a configured address, else the side with the watched port, else who is
    /// asked by a SYN, else the lower port.
    fn is_to_server(&self, segment: &Segment<'_>) -> bool {
        let FiveTuple { src, dst } = segment.tuple();
        let configured = |address| self.addresses.contains(&address);
        match (configured(src.ip()), configured(dst.ip())) {
            (true, false) => return false,
            (false, true) => return true,
            _ => {}
        }
        match (
            self.ports.contains(src.port()),
            self.ports.contains(dst.port()),
        ) {
            (true, false) => false,
            (false, true) => true,
            _ if segment.syn() => segment.ack.is_none(),
            _ => dst.port() < src.port(),
        }
    }
}

/// The lowest bit of an Ethernet address's first byte: for a group or for all (IEEE 802 §8.2.2).
fn is_flooded(frame: &Frame<'_>) -> bool {
    frame.link == LinkType::Ethernet && frame.bytes.first().is_some_and(|byte| byte & 1 == 1)
}

/// Whether an IP packet says that it is longer than what is there.
fn is_cut(frame: &Frame<'_>) -> bool {
    if (frame.wire_len as usize) > frame.bytes.len() {
        return true;
    }
    let Ok(payload) = decapsulate(frame.link, frame.bytes) else {
        return false;
    };
    let claimed = match payload.bytes {
        [first, _, high, low, ..] if first >> 4 == 4 => {
            usize::from(u16::from_be_bytes([*high, *low]))
        }
        [first, _, _, _, high, low, ..] if first >> 4 == 6 => {
            IPV6_HEADER + usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => 0,
    };
    claimed > payload.bytes.len()
}

/// IP protocol number.
const TCP: u8 = 6;
/// Bytes of the header that an IPv6 packet's own length leaves out (RFC 8200 §3).
const IPV6_HEADER: usize = 40;
/// Servers that are told apart; more than any home has.
const SERVERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::engine::frame::Timestamp;

    const CLIENT: [u8; 4] = [203, 0, 113, 9];
    const SERVER: [u8; 4] = [192, 168, 1, 10];

    struct Wire(Tally, u64);

    impl Wire {
        fn new(ports: PortSet) -> Self {
            Self(Tally::new(ports, Vec::new()), 0)
        }

        fn web() -> Self {
            Self::new(PortSet::Some(vec![80, 443]))
        }

        fn frame(&mut self, bytes: &[u8], wire_len: usize) {
            self.1 += 1;
            self.0.on_frame(&Frame {
                time: Timestamp::from_nanos(self.1 * 1000),
                link: LinkType::Ethernet,
                wire_len: u32::try_from(wire_len).unwrap(),
                bytes,
            });
        }

        fn see(&mut self, bytes: &[u8]) {
            self.frame(bytes, bytes.len());
        }

        fn server(self) -> Sides {
            self.0.finish().servers[&IpAddr::from(SERVER)]
        }
    }

    /// A segment whose flags are letters: S, A.
    fn segment(to: bool, port: u16, flags: &str, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = if to {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let (from_port, to_port) = if to { (50_000, port) } else { (port, 50_000) };
        let mut tcp = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(src, dst, 60)
            .tcp(from_port, to_port, 7, 1000);
        for flag in flags.chars() {
            tcp = match flag {
                'S' => tcp.syn(),
                _ => tcp.ack(9),
            };
        }
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).unwrap();
        bytes
    }

    #[test]
    fn the_side_with_the_watched_port_is_the_server() {
        let mut wire = Wire::web();
        wire.see(&segment(true, 80, "S", b""));
        wire.see(&segment(false, 80, "SA", b""));
        wire.see(&segment(true, 80, "A", b"GET / HTTP/1.1\r\n"));
        wire.see(&segment(true, 443, "A", b"\x16\x03\x01"));
        let expected = Sides {
            to: 3,
            acknowledging: 2,
            tls: 1,
            from: 1,
        };
        assert_eq!(wire.server(), expected);
    }

    #[test]
    fn with_all_ports_who_is_asked_is_the_server_and_then_the_lower_port() {
        let mut wire = Wire::new(PortSet::All);
        wire.see(&segment(true, 60_000, "S", b"")); // a server with a high port
        wire.see(&segment(false, 60_000, "SA", b""));
        wire.see(&segment(true, 80, "A", b"x"));
        wire.see(&segment(false, 80, "A", b"y"));
        let sides = wire.server();
        assert_eq!((sides.to, sides.from), (2, 2));
    }

    #[test]
    fn a_configured_address_is_the_server_whatever_the_ports_say() {
        let mut tally = Tally::new(PortSet::Some(vec![50_000]), vec![SERVER.into()]);
        let bytes = segment(true, 80, "A", b"x");
        tally.on_frame(&Frame {
            time: Timestamp::default(),
            link: LinkType::Ethernet,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            bytes: &bytes,
        });
        assert_eq!(tally.finish().servers[&IpAddr::from(SERVER)].to, 1);
    }

    #[test]
    fn connections_to_other_ports_are_counted_by_port() {
        let mut wire = Wire::web();
        wire.see(&segment(true, 8443, "S", b""));
        wire.see(&segment(false, 8443, "SA", b""));
        wire.see(&segment(true, 8443, "A", b"x"));
        let counts = wire.0.finish();
        assert_eq!(counts.segments, 0);
        assert_eq!(counts.other_ports, BTreeMap::from([(8443, 1)]));
    }

    #[test]
    fn a_frame_that_ends_before_its_packet_is_cut_and_padding_is_no_matter() {
        let whole = segment(true, 80, "A", b"GET / HTTP/1.1\r\n");
        let mut wire = Wire::web();
        wire.see(&whole);
        wire.see(&[&whole[..], &[0; 9]].concat());
        wire.see(&whole[..whole.len() - 4]); // by the mirror
        wire.frame(&whole[..40], whole.len()); // by the capture
        assert_eq!(wire.0.finish().cut, 2);
    }

    #[test]
    fn what_a_switch_sends_everywhere_is_counted_apart() {
        let mut wire = Wire::web();
        let mut everybody = segment(true, 80, "A", b"x");
        everybody[..6].fill(0xff);
        wire.see(&everybody);
        wire.see(&segment(true, 80, "A", b"x"));
        let counts = wire.0.finish();
        assert_eq!((counts.frames, counts.flooded), (2, 1));
    }

    #[test]
    fn a_packet_that_comes_twice_is_counted_once_more() {
        let mut wire = Wire::web();
        for payload in [b"a", b"b"] {
            let frame = segment(true, 80, "A", payload);
            wire.see(&frame);
            wire.see(&frame);
        }
        let counts = wire.0.finish();
        assert_eq!((counts.segments, counts.twice), (4, 2));
    }

    #[test]
    fn bytes_that_make_no_sense_are_counted_as_frames_only() {
        let mut wire = Wire::web();
        for length in 0..60 {
            wire.see(&vec![0x45; length]);
        }
        let counts = wire.0.finish();
        assert_eq!((counts.frames, counts.segments), (60, 0));
    }
}
