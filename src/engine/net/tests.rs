//! Frames in every wrapping, fragments in every order.

use std::net::SocketAddr;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::frame::LinkType;

const PAYLOAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: Timestamp::from_secs_nanos(100, 0),
        link,
        wire_len: bytes.len() as u32,
        bytes,
    }
}

/// Protocol, payload and VLAN of a packet.
type Found = (u8, Vec<u8>, Option<u16>);

/// Every packet that frames come to.
fn decoded(link: LinkType, frames: &[Vec<u8>]) -> (Vec<Found>, Counters) {
    let (mut decoder, mut counters) = (Decoder::new(), Counters::default());
    let mut found = Vec::new();
    for bytes in frames {
        decoder.on_frame(&frame(link, bytes), &mut counters, &mut |packet, _| {
            found.push((
                packet.protocol,
                packet.payload.to_vec(),
                packet.scope.vlan(),
            ));
        });
    }
    (found, counters)
}

fn ethernet() -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([203, 0, 113, 9], [192, 168, 1, 10], 60)
        .tcp(50_000, 80, 1, 1000)
        .write(&mut bytes, PAYLOAD)
        .unwrap();
    bytes
}

fn ip() -> Vec<u8> {
    ethernet()[14..].to_vec()
}

fn wrapped(before: &[u8], rest: &[u8]) -> Vec<u8> {
    [&ethernet()[..12], before, rest].concat()
}

fn is_one_segment(link: LinkType, bytes: Vec<u8>) -> Option<u16> {
    let (found, counters) = decoded(link, &[bytes]);
    assert_eq!(found.len(), 1, "{counters:?}");
    assert_eq!(found[0].0, 6);
    assert!(found[0].1.ends_with(PAYLOAD));
    found[0].2
}

#[test]
fn every_wrapping_comes_off() {
    let ip = ip();
    assert_eq!(is_one_segment(LinkType::Ethernet, ethernet()), None);
    assert_eq!(is_one_segment(LinkType::RawIp, ip.clone()), None);
    let tag = [0x81, 0, 0, 10];
    let outer = [0x88, 0xa8, 0, 20];
    let plain = &ethernet()[12..];
    assert_eq!(
        is_one_segment(LinkType::Ethernet, wrapped(&tag, plain)),
        Some(10)
    );
    let both = [outer, tag].concat();
    assert_eq!(
        is_one_segment(LinkType::Ethernet, wrapped(&both, plain)),
        Some(10)
    );
    let pppoe = [0x88, 0x64, 0x11, 0, 0, 1, 0, 60, 0, 0x21];
    is_one_segment(LinkType::Ethernet, wrapped(&pppoe, &ip));
    let mpls = [0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64];
    is_one_segment(LinkType::Ethernet, wrapped(&mpls, &ip));
    let snap = [0, 60, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    is_one_segment(LinkType::Ethernet, wrapped(&snap, &ip));
    is_one_segment(LinkType::Null, [&[2, 0, 0, 0][..], &ip].concat());
    let mut cooked = vec![0; 14];
    cooked.extend([8, 0]);
    is_one_segment(LinkType::LinuxSll, [cooked, ip.clone()].concat());
    let mut cooked = vec![8, 0];
    cooked.resize(20, 0);
    is_one_segment(LinkType::LinuxSll2, [cooked, ip].concat());
}

fn in_ip(protocol: u8, inner: &[u8]) -> Vec<u8> {
    let length = (20 + inner.len()) as u16;
    let mut bytes = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes.extend([198, 51, 100, 1, 198, 51, 100, 2]);
    bytes.extend(inner);
    bytes
}

fn in_udp(port: u16, inner: &[u8]) -> Vec<u8> {
    let mut udp = 5000u16.to_be_bytes().to_vec();
    udp.extend(port.to_be_bytes());
    udp.extend([0; 4]);
    udp.extend(inner);
    in_ip(17, &udp)
}

#[test]
fn every_tunnel_is_unwrapped() {
    let (ip, frame) = (ip(), ethernet());
    let gre = |protocol: u16, flags: u16, inner: &[u8]| {
        let head = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
        in_ip(47, &[&head, inner].concat())
    };
    let cases = [
        in_ip(4, &ip),
        gre(0x0800, 0, &ip),
        gre(0x0800, 0xb000, &[&[0; 12][..], &ip].concat()),
        gre(0x6558, 0, &frame),
        gre(0x88be, 0, &frame),
        gre(0x88be, 0x1000, &[&[0; 12][..], &frame].concat()),
        gre(0x22eb, 0x1000, &[&[0; 16][..], &frame].concat()),
        in_udp(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &frame].concat()),
        in_udp(
            6081,
            &[&[1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 0][..], &frame].concat(),
        ),
    ];
    for (at, case) in cases.into_iter().enumerate() {
        let (found, counters) = decoded(LinkType::RawIp, &[case]);
        assert_eq!(found.len(), 1, "case {at}: {counters:?}");
        assert!(found[0].1.ends_with(PAYLOAD), "case {at}");
    }
}

#[test]
fn tunnels_in_tunnels_end_at_a_bound() {
    let mut bytes = ip();
    for _ in 0..20 {
        bytes = in_ip(4, &bytes);
    }
    let (found, counters) = decoded(LinkType::RawIp, &[bytes]);
    assert!(found.is_empty());
    assert_eq!(counters.tunnel_too_deep, 1);
}

#[test]
fn padding_behind_the_packet_is_no_payload() {
    let mut bytes = ethernet();
    bytes.extend([0; 30]);
    is_one_segment(LinkType::Ethernet, bytes);
}

/// Fragments of one datagram: offset in the payload, and where each ends.
fn fragments(payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    payload
        .chunks(size)
        .enumerate()
        .map(|(at, piece)| {
            let mut bytes = in_ip(6, piece);
            let more = (at + 1) * size < payload.len();
            let position = (at * size / 8) as u16 | if more { 0x2000 } else { 0 };
            bytes[6..8].copy_from_slice(&position.to_be_bytes());
            bytes
        })
        .collect()
}

#[test]
fn a_datagram_that_is_never_finished_is_given_up_after_its_time() {
    let (mut decoder, mut counters) = (Decoder::new(), Counters::default());
    let first = &fragments(&[7; 64], 32)[0];
    decoder.on_frame(
        &frame(LinkType::RawIp, first),
        &mut counters,
        &mut |_, _| {},
    );
    assert!(decoder.heap_bytes() > 0);
    decoder.on_tick(Timestamp::from_secs_nanos(131, 0), &mut counters);
    assert_eq!(counters.fragments_expired, 1);
}

#[test]
fn a_flood_of_first_fragments_stays_within_its_bounds() {
    let (mut decoder, mut counters) = (Decoder::new(), Counters::default());
    for id in 0..5_000u16 {
        let mut bytes = fragments(&[7; 1600], 800).remove(0);
        bytes[4..6].copy_from_slice(&id.to_be_bytes());
        decoder.on_frame(
            &frame(LinkType::RawIp, &bytes),
            &mut counters,
            &mut |_, _| {},
        );
        assert!(decoder.heap_bytes() < 8 << 20);
    }
    assert!(counters.fragments_dropped > 4_000);
}

proptest! {
    #[test]
    fn any_order_and_duplication_of_fragments_gives_the_datagram(
        length in 1usize..600,
        size in (1usize..20).prop_map(|eights| eights * 8),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let pieces = fragments(&payload, size);
        prop_assume!(pieces.len() > 1 && pieces.len() < 60);
        let mut frames: Vec<Vec<u8>> = order.iter().map(|at| at.get(&pieces).clone()).collect();
        frames.extend(pieces);
        let (found, _) = decoded(LinkType::RawIp, &frames);
        prop_assert!(!found.is_empty());
        prop_assert!(found.iter().all(|(_, bytes, _)| *bytes == payload));
    }

    #[test]
    fn arbitrary_bytes_of_every_link_type_do_no_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        number in prop::sample::select(vec![0u16, 1, 101, 108, 113, 276]),
        ethertype in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x8864, 0x8847, 0x0040]),
    ) {
        let link = LinkType::from_number(number).unwrap();
        let mut typed = bytes.clone();
        if let Some(place) = typed.get_mut(12..14) {
            place.copy_from_slice(&ethertype.to_be_bytes());
        }
        decoded(link, &[bytes, typed]);
    }
}

/// A plain frame with some of its bytes changed, or cut, or longer on the wire.
fn nearly_plain() -> impl Strategy<Value = (Vec<u8>, u32)> {
    (
        prop::sample::select(vec![None, Some(0x2007_u16), Some(0)]),
        any::<bool>(),
        prop::collection::vec((0..80_usize, any::<u8>()), 0..3),
        0..90_usize,
        -2..3_i32,
    )
        .prop_map(|(tag, six, changes, length, more)| {
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
            let tcp = match six {
                true => builder
                    .ipv6([0x20; 16], [0x21; 16], 60)
                    .tcp(50_000, 80, 1, 1000),
                false => builder
                    .ipv4([203, 0, 113, 9], [192, 168, 1, 10], 60)
                    .tcp(50_000, 80, 1, 1000),
            };
            let mut bytes = Vec::new();
            tcp.write(&mut bytes, PAYLOAD).unwrap();
            if let Some(tag) = tag {
                let tag = [&[0x81, 0][..], &tag.to_be_bytes()].concat();
                bytes.splice(12..12, tag);
            }
            for (at, byte) in changes {
                bytes[at % 72] = byte;
            }
            bytes.truncate(length.max(10));
            let wire_len = bytes.len().saturating_add_signed(more as isize) as u32;
            (bytes, wire_len)
        })
}

proptest! {
    #[test]
    fn a_glance_says_what_the_long_way_says((bytes, wire_len) in nearly_plain()) {
        let frame = Frame { wire_len, ..frame(LinkType::Ethernet, &bytes) };
        if let Some(plain) = Plain::of(&frame) {
            let (mut decoder, mut counters) = (Decoder::new(), Counters::default());
            let mut long = Vec::new();
            decoder.on_frame(&frame, &mut counters, &mut |packet, _| {
                long.push(format!("{packet:?}"));
            });
            prop_assert!(Decoder::new().admits(&plain, &mut counters));
            let (src, dst) = plain.ends();
            let packet = IpPacket {
                scope: plain.scope(),
                src: src.ip(),
                dst: dst.ip(),
                protocol: 6,
                payload: plain.segment(),
                hops: plain.hops(),
                missing: 0,
            };
            prop_assert_eq!(long, vec![format!("{packet:?}")]);
            let expected = match (src, dst) {
                (SocketAddr::V4(src), SocketAddr::V4(dst)) => {
                    let [src, dst] = [src, dst]
                        .map(|end| u64::from(end.ip().to_bits()) << 16 | u64::from(end.port()));
                    WireEnds::V4(src, dst)
                }
                (SocketAddr::V6(src), SocketAddr::V6(dst)) => {
                    let [src, dst] = [src, dst].map(|end| (end.ip().to_bits(), end.port()));
                    WireEnds::V6(src, dst)
                }
                mixed => panic!("{mixed:?}"),
            };
            prop_assert_eq!(plain.wire_ends(), expected);
            prop_assert_eq!(&packet.payload[..20], plain.tcp_header());
            let behind = &packet.payload[usize::from(packet.payload[12] >> 4) * 4..];
            prop_assert_eq!(behind, plain.payload());
            let right = ip::parse(
                &bytes[if bytes[12] == 0x81 { 18 } else { 14 }..],
                Ending::Whole,
            );
            prop_assert_eq!(Some(plain.checksum_is_right()), right.map(|one| one.checksum_is_right));
            prop_assert_eq!(&packet.payload[..2], &plain.src_port().to_be_bytes()[..]);
            prop_assert_eq!(&packet.payload[2..4], &plain.dst_port().to_be_bytes()[..]);
        }
    }
}
