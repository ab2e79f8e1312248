//! IEEE 802.2 logical link control: what carries IP in frames with a length in place of a type.

use crate::link::{ETHERTYPE_IPV4, LinkError, after, need, u16_at};

/// The Ethernet type that an LLC header stands for, and what follows it.
///
/// # Errors
/// [`LinkError`] when it announces something else (spanning tree, NetBIOS, …) or is cut.
pub(super) fn payload(bytes: &[u8]) -> Result<(u16, &[u8]), LinkError> {
    match need(bytes.first_chunk())? {
        // The sub-network access protocol (RFC 1042) with the organisation code of RFC 1042 or
        // of IEEE 802.1H; other organisations number their own protocols.
        [0xaa, 0xaa, 0x03] => match need(bytes.get(3..6))? {
            [0, 0, 0] | [0, 0, 0xf8] => Ok((need(u16_at(bytes, 6))?, after(bytes, 8)?)),
            _ => Err(LinkError::NotIp),
        },
        // The service access point of IP itself (RFC 948)
        [0x06, 0x06, 0x03] => Ok((ETHERTYPE_IPV4, after(bytes, 3)?)),
        _ => Err(LinkError::NotIp),
    }
}
