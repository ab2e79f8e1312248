//! Teredo, IPv6 through translating routers (RFC 4380 §5.1.1).

use crate::link::tunnel::Kind;
use crate::link::{ETHERTYPE_IPV6, LinkResult, Scope, after, ether_payload, need, u16_at};

/// Begins an authentication header: the lengths of two fields follow.
const AUTHENTICATION: u16 = 0x0001;
/// Begins an origin indication of eight bytes.
const ORIGIN: u16 = 0x0000;

/// The IPv6 packet.
pub(super) fn open(mut scope: Scope, mut bytes: &[u8]) -> LinkResult<'_> {
    if need(u16_at(bytes, 0))? == AUTHENTICATION {
        let lengths = need(u16_at(bytes, 2))?;
        let fields = usize::from(lengths >> 8) + usize::from(lengths & 0xff);
        // The two fields stand between the lengths and a nonce with its confirmation.
        bytes = after(bytes, 4 + fields + 9)?;
    }
    if need(u16_at(bytes, 0))? == ORIGIN {
        bytes = after(bytes, 8)?;
    }
    scope.push_tunnel(Kind::Teredo as u8, 0);
    ether_payload(scope, ETHERTYPE_IPV6, bytes)
}
