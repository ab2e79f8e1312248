//! GTP-U, in which mobile networks carry their users' packets (3GPP TS 29.281 §5).

use crate::link::tunnel::Kind;
use crate::link::{LinkError, LinkResult, Scope, after, ip, need, u16_at};

/// A user's packet; the other messages are the network's own.
const USER_PACKET: u8 = 0xff;
/// Version 1 and the flag that tells GTP from GTP'.
const VERSION_1: u8 = 0x30;
/// Any of these announces four more bytes, the last of which names an extension header.
const OPTIONAL_FIELDS: u8 = 0x07;
const EXTENSION: u8 = 0x04;
/// Extension headers that are walked; real packets have one.
const EXTENSIONS_MAX: usize = 8;

/// The user's packet. Tunnel numbers differ between the directions and name no network.
pub(super) fn open(mut scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let &[flags, message] = need(bytes.first_chunk())?;
    if flags & 0xf0 != VERSION_1 {
        return Err(LinkError::Malformed);
    }
    if message != USER_PACKET {
        return Err(LinkError::NotIp);
    }
    scope.push_tunnel(Kind::Gtp as u8, 0);
    let packet = after(bytes, 8)?;
    if flags & OPTIONAL_FIELDS == 0 {
        return ip(scope, packet);
    }
    let extension = need(u16_at(packet, 2))? & 0x00ff;
    let extended = flags & EXTENSION != 0 && extension != 0;
    ip(scope, skip_extensions(extended, after(packet, 4)?)?)
}

/// Each begins with its length in words of four bytes and ends with the next one's type.
fn skip_extensions(mut extended: bool, mut bytes: &[u8]) -> Result<&[u8], LinkError> {
    for _ in 0..EXTENSIONS_MAX {
        if !extended {
            return Ok(bytes);
        }
        let length = usize::from(*need(bytes.first())?) * 4;
        let header = need(bytes.get(..length))?;
        extended = *need(header.last())? != 0;
        bytes = after(bytes, length)?;
    }
    Err(LinkError::TooDeep)
}
