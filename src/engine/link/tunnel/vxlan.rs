//! VXLAN (RFC 7348) and its generic extension (draft-ietf-nvo3-vxlan-gpe).

use crate::link::tunnel::{Kind, announced};
use crate::link::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, LinkError, LinkResult, Scope, after, ethernet, need, u16_at,
    u32_at,
};

/// Set when the network's number is there, as it always is.
const NETWORK_VALID: u16 = 0x0800;
/// Set when the fourth byte says what is carried.
const NEXT_PROTOCOL: u16 = 0x0400;

/// The packet in the Ethernet frame behind a VXLAN header.
pub(super) fn open(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let (scope, frame) = header(scope, bytes)?;
    ethernet(scope, frame)
}

/// The same where the header says what it carries.
pub(super) fn open_generic(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let (scope, inner) = header(scope, bytes)?;
    if need(u16_at(bytes, 0))? & NEXT_PROTOCOL == 0 {
        return ethernet(scope, inner);
    }
    match need(bytes.get(3))? {
        1 => announced(scope, ETHERTYPE_IPV4, inner),
        2 => announced(scope, ETHERTYPE_IPV6, inner),
        3 => ethernet(scope, inner),
        _ => Err(LinkError::NotIp),
    }
}

fn header(mut scope: Scope, bytes: &[u8]) -> Result<(Scope, &[u8]), LinkError> {
    if need(u16_at(bytes, 0))? & NETWORK_VALID == 0 {
        return Err(LinkError::Malformed);
    }
    scope.push_tunnel(Kind::Vxlan as u8, need(u32_at(bytes, 4))? >> 8);
    Ok((scope, after(bytes, 8)?))
}
