//! Tunnels, opened one at a time.

use super::*;

/// An IPv4 header that says 20 bytes.
const V4: [u8; 20] = [
    0x45, 0, 0, 20, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
];
const V6: [u8; 40] = [0x60; 40];
const GRE: u8 = 47;
const UDP: u8 = 17;

fn opened(protocol: u8, parts: &[&[u8]]) -> Option<Result<(Vec<u8>, Scope), LinkError>> {
    let payload = parts.concat();
    let result = open(Scope::default(), protocol, &payload)?;
    Some(result.map(|found| (found.bytes.to_vec(), found.scope)))
}

fn scope_of(protocol: u8, parts: &[&[u8]]) -> Scope {
    opened(protocol, parts).unwrap().unwrap().1
}

fn finds(protocol: u8, parts: &[&[u8]], packet: &[u8]) -> bool {
    matches!(opened(protocol, parts), Some(Ok((found, _))) if found == packet)
}

fn fails(protocol: u8, parts: &[&[u8]], with: LinkError) -> bool {
    matches!(opened(protocol, parts), Some(Err(error)) if error == with)
}

fn frame() -> Vec<u8> {
    [&[2; 12][..], &[0x08, 0], &V4].concat()
}

fn udp(port: u16) -> Vec<u8> {
    [
        &5000_u16.to_be_bytes()[..],
        &port.to_be_bytes(),
        &[0, 0, 0, 0],
    ]
    .concat()
}

#[test]
fn tcp_is_no_tunnel() {
    assert_eq!(opened(6, &[&V4]), None);
    assert_eq!(opened(UDP, &[&udp(53), &frame()]), None);
    assert_eq!(opened(UDP, &[&[0; 7]]), None);
}

#[test]
fn ip_in_ip_is_of_the_announced_version() {
    assert!(finds(4, &[&V4], &V4));
    assert!(finds(41, &[&V6], &V6));
    assert!(fails(4, &[&V6], LinkError::Malformed));
}

#[test]
fn ethernet_in_ip_is_opened() {
    assert!(finds(97, &[&[0x30, 0], &frame()], &V4));
    assert!(fails(97, &[&[0x20, 0], &frame()], LinkError::Malformed));
}

#[test]
fn every_optional_field_of_gre_is_skipped() {
    for (flags, length) in [(0x00, 0), (0x80, 4), (0x20, 4), (0x10, 4), (0xb0, 12)] {
        let fields = vec![7; length];
        assert!(finds(GRE, &[&[flags, 0, 0x08, 0], &fields, &V4], &V4));
    }
}

#[test]
fn gre_carries_ethernet_labels_and_tags() {
    assert!(finds(GRE, &[&[0, 0, 0x65, 0x58], &frame()], &V4));
    assert!(finds(GRE, &[&[0, 0, 0x88, 0x47, 0, 1, 1, 64], &V4], &V4));
    assert!(finds(GRE, &[&[0, 0, 0x81, 0, 0, 9, 0x08, 0], &V4], &V4));
}

#[test]
fn gre_that_ends_in_its_header_is_malformed() {
    assert!(fails(
        GRE,
        &[&[0xb0, 0, 8, 0, 1, 2, 3, 4]],
        LinkError::Malformed
    ));
    assert!(fails(GRE, &[&[0, 0, 8]], LinkError::Malformed));
}

#[test]
fn gre_with_source_routes_is_not_read() {
    assert!(fails(
        GRE,
        &[&[0x40, 0, 8, 0, 0, 0, 0, 0], &V4],
        LinkError::NotIp
    ));
}

#[test]
fn keys_tell_tunnels_apart() {
    let keyed = |key: u8| scope_of(GRE, &[&[0x20, 0, 0x08, 0, 0, 0, 0, key], &V4]);
    assert_ne!(keyed(1), keyed(2));
    assert_eq!(keyed(1), keyed(1));
    assert_ne!(keyed(1), Scope::default());
}

#[test]
fn dial_up_packets_in_gre_are_opened() {
    let header = [0x30, 0x81, 0x88, 0x0b, 0, 24, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2];
    assert!(finds(GRE, &[&header, &[0xff, 0x03, 0, 0x21], &V4], &V4));
    assert!(finds(GRE, &[&header, &[0x21], &V4], &V4));
}

#[test]
fn erspan_of_every_type_is_opened() {
    let one = [0, 0, 0x88, 0xbe];
    assert!(finds(GRE, &[&one, &frame()], &V4));
    let two = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 5, 0, 0, 0, 0];
    assert!(finds(GRE, &[&two, &frame()], &V4));
    let three = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1];
    let plain = [0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(finds(GRE, &[&three, &plain, &frame()], &V4));
    let extended = [0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1];
    assert!(finds(GRE, &[&three, &extended, &[0; 8], &frame()], &V4));
    let bare_ip = [0x20, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0x08, 0];
    assert!(finds(GRE, &[&three, &bare_ip, &V4], &V4));
}

#[test]
fn copies_of_two_mirror_sessions_are_one_network() {
    let session = |number: u8| {
        let header = [
            0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, number, 0, 0, 0, 0,
        ];
        scope_of(GRE, &[&header, &frame()])
    };
    assert_eq!(session(1), session(2));
}

#[test]
fn vxlan_is_opened_on_both_ports_and_its_networks_are_kept_apart() {
    let header = |network: u8| [8, 0, 0, 0, 0, 0, network, 0];
    for port in [4789, 8472] {
        assert!(finds(UDP, &[&udp(port), &header(5), &frame()], &V4));
    }
    let network = |number: u8| scope_of(UDP, &[&udp(4789), &header(number), &frame()]);
    assert_ne!(network(5), network(6));
}

#[test]
fn what_only_bears_the_port_of_vxlan_is_malformed() {
    let query = [0, 0, 0, 0, 0, 0, 0, 0];
    assert!(fails(UDP, &[&udp(4789), &query], LinkError::Malformed));
    assert!(fails(UDP, &[&udp(4789), b"x"], LinkError::Malformed));
}

#[test]
fn generic_vxlan_says_what_it_carries() {
    let header = |next: u8| [0x0c, 0, 0, next, 0, 0, 5, 0];
    assert!(finds(UDP, &[&udp(4790), &header(1), &V4], &V4));
    assert!(finds(UDP, &[&udp(4790), &header(2), &V6], &V6));
    assert!(finds(UDP, &[&udp(4790), &header(3), &frame()], &V4));
    assert!(fails(UDP, &[&udp(4790), &header(9), &V4], LinkError::NotIp));
}

#[test]
fn geneve_carries_ethernet_and_ip_behind_its_options() {
    let plain = [0, 0, 0x65, 0x58, 0, 0, 5, 0];
    assert!(finds(UDP, &[&udp(6081), &plain, &frame()], &V4));
    let options = [0x02, 0, 0x08, 0, 0, 0, 5, 0, 1, 2, 3, 1, 9, 9, 9, 9];
    assert!(finds(UDP, &[&udp(6081), &options, &V4], &V4));
    let cut = [0x3f, 0, 0x08, 0, 0, 0, 5, 0];
    assert!(fails(UDP, &[&udp(6081), &cut, &V4], LinkError::Malformed));
}

#[test]
fn a_mobile_users_packet_is_opened_with_and_without_extensions() {
    let plain = [0x30, 0xff, 0, 20, 0, 0, 0, 1];
    assert!(finds(UDP, &[&udp(2152), &plain, &V4], &V4));
    let sequenced = [0x32, 0xff, 0, 24, 0, 0, 0, 1, 0, 1, 0, 0];
    assert!(finds(UDP, &[&udp(2152), &sequenced, &V4], &V4));
    let extended = [0x34, 0xff, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 16, 1, 0];
    assert!(finds(UDP, &[&udp(2152), &extended, &V4], &V4));
    let endless = [0x34, 0xff, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0x85, 0, 0];
    assert!(fails(
        UDP,
        &[&udp(2152), &endless, &V4],
        LinkError::Malformed
    ));
}

#[test]
fn arp_in_a_tunnel_is_not_ip() {
    let header = [8, 0, 0, 0, 0, 0, 5, 0];
    let arp = [&[2; 12][..], &[0x08, 0x06, 0, 1]].concat();
    assert!(fails(UDP, &[&udp(4789), &header, &arp], LinkError::NotIp));
}
