//! PPP (RFC 1661), in PPPoE sessions (RFC 2516), in HDLC framing (RFC 1662) and in GRE.

use crate::link::{LinkError, LinkResult, Scope, after, ip_version, mpls, need, u16_at};

/// Version 1, type 1, code 0: session data (RFC 2516 §4).
const PPPOE_SESSION: u16 = 0x1100;
/// Address and control field of HDLC framing, which links may leave out (RFC 1662 §3.1).
const HDLC: [u8; 2] = [0xff, 0x03];

/// The packet of a PPPoE session. Its length field is not needed: IP has its own.
pub(super) fn session(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    match need(u16_at(bytes, 0))? {
        PPPOE_SESSION => frame(scope, after(bytes, 6)?),
        _ => Err(LinkError::NotIp),
    }
}

/// A PPP frame, its framing left out or not.
pub(super) fn frame(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let bytes = bytes.strip_prefix(&HDLC).unwrap_or(bytes);
    let (protocol, bytes) = protocol(bytes)?;
    match protocol {
        0x0021 => ip_version(scope, 4, bytes),
        0x0057 => ip_version(scope, 6, bytes),
        0x0281 | 0x0283 => mpls::labelled(scope, bytes), // RFC 3032 §4.3
        _ => Err(LinkError::NotIp),
    }
}

/// The protocol number, and what follows it. It ends with its first odd byte: numbers below 256
/// may be sent as one byte (RFC 1661 §2).
fn protocol(bytes: &[u8]) -> Result<(u16, &[u8]), LinkError> {
    let first = *need(bytes.first())?;
    if first & 1 == 1 {
        Ok((u16::from(first), after(bytes, 1)?))
    } else {
        Ok((need(u16_at(bytes, 0))?, after(bytes, 2)?))
    }
}
