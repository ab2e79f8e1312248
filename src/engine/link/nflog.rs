//! Netfilter's log (`LINKTYPE_NFLOG`): a packet among attributes, each with its length and type.

use crate::link::{LinkError, LinkResult, Scope, after, ip_version, need};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// The attribute that is the packet.
const PAYLOAD: u16 = 9;
/// Attributes that are walked; the kernel writes about ten.
const ATTRIBUTES_MAX: usize = 32;

/// The packet of a log entry.
pub(super) fn payload(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let version = match *need(bytes.first())? {
        AF_INET => 4,
        AF_INET6 => 6,
        _ => return Err(LinkError::NotIp),
    };
    let mut attributes = after(bytes, 4)?;
    for _ in 0..ATTRIBUTES_MAX {
        // Both in the byte order of the machine that captured: nearly always little-endian.
        let &[low, high, kind, kind_high] = need(attributes.first_chunk())?;
        let length = usize::from(u16::from_le_bytes([low, high]));
        if u16::from_le_bytes([kind, kind_high]) == PAYLOAD {
            let end = length.min(attributes.len());
            return ip_version(scope, version, need(attributes.get(4..end))?);
        }
        attributes = after(attributes, length.max(4).next_multiple_of(4))?;
    }
    Err(LinkError::NotIp)
}
