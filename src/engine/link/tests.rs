//! Frames in every wrapping. What is unwrapped here is a header's worth of bytes that begins like
//! an IP packet; `net` reads the rest.

use super::*;

/// An IPv4 header that says 20 bytes.
const V4: [u8; 20] = [
    0x45, 0, 0, 20, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
];
/// An IPv6 header without payload.
const V6: [u8; 40] = {
    let mut bytes = [0x20; 40];
    bytes[0] = 0x60;
    bytes
};
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn unwrapped(link: LinkType, parts: &[&[u8]]) -> Result<(Vec<u8>, Option<u16>), LinkError> {
    let frame = parts.concat();
    let found = decapsulate(link, &frame)?;
    Ok((found.bytes.to_vec(), found.scope.vlan()))
}

/// An Ethernet frame: `parts` follow the addresses.
fn on_ethernet(parts: &[&[u8]]) -> Result<(Vec<u8>, Option<u16>), LinkError> {
    unwrapped(LinkType::Ethernet, &[&[&ADDRESSES[..]], parts].concat())
}

fn v4(vlan: Option<u16>) -> Result<(Vec<u8>, Option<u16>), LinkError> {
    Ok((V4.to_vec(), vlan))
}

#[test]
fn ethernet_carries_both_versions() {
    assert_eq!(on_ethernet(&[&[0x08, 0], &V4]), v4(None));
    assert_eq!(on_ethernet(&[&[0x86, 0xdd], &V6]), Ok((V6.to_vec(), None)));
}

#[test]
fn a_version_that_was_not_announced_is_malformed() {
    assert_eq!(on_ethernet(&[&[0x08, 0], &V6]), Err(LinkError::Malformed));
    assert_eq!(
        on_ethernet(&[&[0x86, 0xdd], &V4]),
        Err(LinkError::Malformed)
    );
}

#[test]
fn arp_is_not_ip() {
    assert_eq!(on_ethernet(&[&[0x08, 0x06, 0, 1]]), Err(LinkError::NotIp));
}

#[test]
fn a_frame_that_ends_in_a_header_is_malformed() {
    assert_eq!(on_ethernet(&[&[0x08]]), Err(LinkError::Malformed));
    assert_eq!(on_ethernet(&[&[0x08, 0]]), Err(LinkError::Malformed));
    assert_eq!(on_ethernet(&[&[0x81, 0, 0]]), Err(LinkError::Malformed));
    assert_eq!(
        on_ethernet(&[&[0x88, 0x64, 0x11]]),
        Err(LinkError::Malformed)
    );
}

#[test]
fn every_kind_of_tag_is_taken_off() {
    for tag in [[0x81, 0], [0x88, 0xa8], [0x91, 0], [0x92, 0]] {
        assert_eq!(on_ethernet(&[&tag, &[0xe0, 7, 8, 0], &V4]), v4(Some(7)));
    }
}

#[test]
fn of_stacked_tags_the_inner_one_is_the_vlan() {
    let tags = [0x88, 0xa8, 0, 100, 0x81, 0, 0, 10, 0x08, 0];
    assert_eq!(on_ethernet(&[&tags, &V4]), v4(Some(10)));
}

#[test]
fn a_priority_tag_is_taken_off_and_is_no_vlan() {
    assert_eq!(on_ethernet(&[&[0x81, 0, 0xe0, 0, 8, 0], &V4]), v4(None));
}

#[test]
fn eight_tags_are_taken_off_and_nine_are_too_many() {
    let tag = [0x81, 0, 0, 5];
    let eight = tag.repeat(8);
    assert_eq!(on_ethernet(&[&eight, &[0x08, 0], &V4]), v4(Some(5)));
    let nine = tag.repeat(9);
    assert_eq!(
        on_ethernet(&[&nine, &[0x08, 0], &V4]),
        Err(LinkError::TooDeep)
    );
}

#[test]
fn a_pppoe_session_carries_both_versions() {
    let session = [0x88, 0x64, 0x11, 0, 0, 1, 0, 22];
    assert_eq!(on_ethernet(&[&session, &[0, 0x21], &V4]), v4(None));
    assert_eq!(
        on_ethernet(&[&session, &[0, 0x57], &V6]),
        Ok((V6.to_vec(), None))
    );
}

#[test]
fn a_compressed_ppp_protocol_is_one_byte() {
    let session = [0x88, 0x64, 0x11, 0, 0, 1, 0, 21];
    assert_eq!(on_ethernet(&[&session, &[0x21], &V4]), v4(None));
    assert_eq!(
        on_ethernet(&[&session, &[0x57], &V6]),
        Ok((V6.to_vec(), None))
    );
}

#[test]
fn pppoe_discovery_and_link_control_are_not_ip() {
    let discovery = [0x88, 0x63, 0x11, 9, 0, 0, 0, 0];
    assert_eq!(on_ethernet(&[&discovery]), Err(LinkError::NotIp));
    let control = [0x88, 0x64, 0x11, 0, 0, 1, 0, 4, 0xc0, 0x21, 9, 0];
    assert_eq!(on_ethernet(&[&control]), Err(LinkError::NotIp));
}

#[test]
fn a_pppoe_session_in_a_tag_keeps_its_vlan() {
    let before = [0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0, 0x21];
    assert_eq!(on_ethernet(&[&before, &V4]), v4(Some(7)));
}

#[test]
fn a_label_stack_is_taken_off() {
    let one = [0x88, 0x47, 0, 0x10, 0x01, 64];
    assert_eq!(on_ethernet(&[&one, &V4]), v4(None));
    let three = [0x88, 0x47, 0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64];
    assert_eq!(on_ethernet(&[&three, &V6]), Ok((V6.to_vec(), None)));
}

#[test]
fn a_label_stack_without_end_is_too_deep() {
    let labels = [0, 1, 0, 64].repeat(40);
    assert_eq!(
        on_ethernet(&[&[0x88, 0x47], &labels]),
        Err(LinkError::TooDeep)
    );
}

#[test]
fn a_pseudo_wire_is_opened_with_and_without_its_control_word() {
    let label = [0x88, 0x47, 0, 0x10, 0x01, 64];
    let inner = [&ADDRESSES[..], &[0x08, 0], &V4].concat();
    assert_eq!(on_ethernet(&[&label, &[0; 4], &inner]), v4(None));
    assert_eq!(on_ethernet(&[&label, &inner]), v4(None));
}

#[test]
fn a_pseudo_wire_whose_address_begins_like_ip_is_opened() {
    let label = [0x88, 0x47, 0, 0x10, 0x01, 64];
    let inner = [&[0x40], &ADDRESSES[1..], &[0x08, 0], &V4].concat();
    assert_eq!(on_ethernet(&[&label, &inner]), v4(None));
}

#[test]
fn what_no_reading_of_a_label_stack_explains_is_not_ip() {
    let label = [0x88, 0x47, 0, 0x10, 0x01, 64];
    assert_eq!(on_ethernet(&[&label, &[0x20; 60]]), Err(LinkError::NotIp));
}

#[test]
fn snap_carries_an_ethernet_type() {
    let snap = [0, 28, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0];
    assert_eq!(on_ethernet(&[&snap, &V4]), v4(None));
    let tagged = [0, 32, 0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0, 0, 9, 0x08, 0];
    assert_eq!(on_ethernet(&[&tagged, &V4]), v4(Some(9)));
}

#[test]
fn an_organisation_of_its_own_has_no_ethernet_types() {
    let snap = [0, 28, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x08, 0];
    assert_eq!(on_ethernet(&[&snap, &V4]), Err(LinkError::NotIp));
}

#[test]
fn ip_has_a_service_access_point() {
    assert_eq!(on_ethernet(&[&[0, 23, 6, 6, 3], &V4]), v4(None));
}

#[test]
fn spanning_tree_is_not_ip() {
    let tree = [0, 38, 0x42, 0x42, 3, 0, 0, 0];
    assert_eq!(on_ethernet(&[&tree]), Err(LinkError::NotIp));
}

#[test]
fn a_raw_packet_has_no_wrapping() {
    assert_eq!(unwrapped(LinkType::RawIp, &[&V4]), v4(None));
    assert_eq!(
        unwrapped(LinkType::RawIp, &[&[0x12]]),
        Err(LinkError::NotIp)
    );
    assert_eq!(unwrapped(LinkType::RawIp, &[]), Err(LinkError::Malformed));
}

#[test]
fn loopback_has_an_address_family_in_either_byte_order() {
    assert_eq!(unwrapped(LinkType::Null, &[&[2, 0, 0, 0], &V4]), v4(None));
    assert_eq!(unwrapped(LinkType::Null, &[&[0, 0, 0, 2], &V4]), v4(None));
    assert_eq!(unwrapped(LinkType::Loop, &[&[0, 0, 0, 2], &V4]), v4(None));
}

#[test]
fn cooked_capture_announces_an_ethernet_type() {
    let cooked = [&[0; 14][..], &[0x08, 0]].concat();
    assert_eq!(unwrapped(LinkType::LinuxSll, &[&cooked, &V4]), v4(None));
    let cooked = [&[0x08, 0][..], &[0; 18]].concat();
    assert_eq!(unwrapped(LinkType::LinuxSll2, &[&cooked, &V4]), v4(None));
}

#[test]
fn cooked_capture_of_a_tagged_frame_keeps_its_vlan() {
    let cooked = [&[0; 14][..], &[0x81, 0, 0, 8, 0x08, 0]].concat();
    assert_eq!(unwrapped(LinkType::LinuxSll, &[&cooked, &V4]), v4(Some(8)));
}

#[test]
fn cooked_capture_of_snap_is_opened_and_of_netlink_is_not_ip() {
    let cooked = [&[0; 14][..], &[0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat();
    assert_eq!(unwrapped(LinkType::LinuxSll, &[&cooked, &V4]), v4(None));
    let netlink = [0; 40];
    assert_eq!(
        unwrapped(LinkType::LinuxSll, &[&netlink]),
        Err(LinkError::NotIp)
    );
}

#[test]
fn ppp_may_be_framed_or_bare() {
    let framed = [0xff, 0x03, 0, 0x21];
    assert_eq!(unwrapped(LinkType::Ppp, &[&framed, &V4]), v4(None));
    assert_eq!(unwrapped(LinkType::Ppp, &[&[0x21], &V4]), v4(None));
    let session = [0x11, 0, 0, 1, 0, 22, 0, 0x21];
    assert_eq!(unwrapped(LinkType::PppEther, &[&session, &V4]), v4(None));
}

#[test]
fn cisco_hdlc_announces_an_ethernet_type() {
    let header = [0x0f, 0, 0x08, 0];
    assert_eq!(unwrapped(LinkType::CiscoHdlc, &[&header, &V4]), v4(None));
}

#[test]
fn a_logged_packet_is_found_among_its_attributes() {
    let header = [2, 0, 0, 0];
    let prefix = [6, 0, 10, 0, b'x', 0, 0, 0]; // six bytes long, two of padding
    let payload = [24, 0, 9, 0];
    let found = unwrapped(LinkType::Nflog, &[&header, &prefix, &payload, &V4]);
    assert_eq!(found, v4(None));
    let endless = [0; 400];
    let found = unwrapped(LinkType::Nflog, &[&header, &endless]);
    assert_eq!(found, Err(LinkError::NotIp));
}
