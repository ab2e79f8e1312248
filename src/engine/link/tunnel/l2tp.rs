//! L2TP, version 2, in which providers carry PPP sessions (RFC 2661 §3.1).

use crate::link::tunnel::Kind;
use crate::link::{LinkError, LinkResult, Scope, after, need, ppp, u16_at};

/// Set in the tunnel's own messages.
const CONTROL: u16 = 0x8000;
/// Announces a length, of two bytes.
const LENGTH: u16 = 0x4000;
/// Announces two numbers of two bytes each.
const SEQUENCE: u16 = 0x0800;
/// Announces the length of what stands between header and PPP frame.
const OFFSET: u16 = 0x0200;
const VERSION: u16 = 0x000f;

/// The packet of a session. Numbers of tunnels and sessions differ between the directions and name
/// no network.
pub(super) fn open(mut scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let flags = need(u16_at(bytes, 0))?;
    if flags & VERSION != 2 || flags & CONTROL != 0 {
        return Err(LinkError::NotIp);
    }
    let numbers = if flags & LENGTH == 0 { 2 } else { 4 };
    let mut header = numbers + 4;
    if flags & SEQUENCE != 0 {
        header += 4;
    }
    if flags & OFFSET != 0 {
        header += 2 + usize::from(need(u16_at(bytes, header))?);
    }
    scope.push_tunnel(Kind::L2tp as u8, 0);
    ppp::frame(scope, after(bytes, header)?)
}
