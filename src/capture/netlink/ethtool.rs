//! What the network card does to frames before anybody sees them (the kernel's
//! `networking/ethtool-netlink`, `ETHTOOL_MSG_FEATURES_GET`; Linux 5.7 and newer).

use std::io;

use super::{
    GENERIC, NESTED, Netlink, attribute, attributes, push_attribute, push_text, text_of, u16_at,
};

/// The names of the features that are switched on, as `ethtool -k` knows them in the kernel:
/// `rx-gro`, `rx-lro`, `rx-vlan-hw-parse`, …
pub(in crate::capture) fn features_on(interface: &str) -> io::Result<Vec<String>> {
    let netlink = Netlink::open(Some(GENERIC))?;
    let family = family(&netlink)?;
    let mut device = Vec::new();
    push_text(&mut device, HEADER_DEV_NAME, interface);
    let mut body = generic_header(FEATURES_GET);
    push_attribute(&mut body, FEATURES_HEADER | NESTED, &device);
    let answer = netlink.ask(family, &body)?;
    Ok(read_features(&answer))
}

/// The number that the kernel gave to the family `ethtool`.
fn family(netlink: &Netlink) -> io::Result<u16> {
    let mut body = generic_header(CTRL_GETFAMILY);
    push_text(&mut body, CTRL_FAMILY_NAME, "ethtool");
    let answer = netlink.ask(CTRL, &body)?;
    let attributes = answer.get(GENERIC_HEADER..).unwrap_or_default();
    let number = attribute(attributes, CTRL_FAMILY_ID).and_then(|value| u16_at(value, 0));
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn read_features(answer: &[u8]) -> Vec<String> {
    let attributes_of_all = answer.get(GENERIC_HEADER..).unwrap_or_default();
    let active = attribute(attributes_of_all, FEATURES_ACTIVE).unwrap_or_default();
    let bits = attribute(active, BITSET_BITS).unwrap_or_default();
    attributes(bits)
        .filter_map(|(_, bit)| attribute(bit, BIT_NAME).and_then(text_of))
        .map(str::to_owned)
        .collect()
}

/// `struct genlmsghdr`: the command and a version.
fn generic_header(command: u8) -> Vec<u8> {
    vec![command, 1, 0, 0]
}

const GENERIC_HEADER: usize = 4;
/// The controller's own message type, and what is asked of it.
const CTRL: u16 = 0x10;
const CTRL_GETFAMILY: u8 = 3;
const CTRL_FAMILY_ID: u16 = 1;
const CTRL_FAMILY_NAME: u16 = 2;

const FEATURES_GET: u8 = 11;
const FEATURES_HEADER: u16 = 1;
const HEADER_DEV_NAME: u16 = 2;
/// A list of the bits that are set.
const FEATURES_ACTIVE: u16 = 4;
const BITSET_BITS: u16 = 3;
const BIT_NAME: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_that_are_on_are_listed_by_name() {
        let mut bits = Vec::new();
        for name in ["rx-gro", "rx-lro"] {
            let mut bit = Vec::new();
            push_attribute(&mut bit, 1, &14u32.to_ne_bytes());
            push_text(&mut bit, BIT_NAME, name);
            push_attribute(&mut bits, 1 | NESTED, &bit);
        }
        let mut active = Vec::new();
        push_attribute(&mut active, BITSET_BITS | NESTED, &bits);
        let mut answer = generic_header(FEATURES_GET);
        push_attribute(&mut answer, FEATURES_ACTIVE | NESTED, &active);
        assert_eq!(read_features(&answer), ["rx-gro", "rx-lro"]);
        assert!(read_features(&answer[..20]).is_empty());
        assert!(read_features(&[]).is_empty());
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        assert!(features_on("canarytap-none").is_err());
    }
}
