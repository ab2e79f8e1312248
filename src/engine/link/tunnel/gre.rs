//! GRE (RFC 2784, RFC 2890), and what mirrors and old dial-up networks put into it: ERSPAN
//! (draft-foschiano-erspan) and PPP (RFC 2637).

use crate::link::tunnel::{Kind, announced};
use crate::link::{
    ETHERTYPE_PPP, LinkError, LinkResult, Scope, after, ethernet, ip, need, ppp, u16_at, u32_at,
};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

const ERSPAN_I_OR_II: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// The packet in a GRE header's care.
pub(super) fn open(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let (flags, protocol) = (need(u16_at(bytes, 0))?, need(u16_at(bytes, 2))?);
    match flags & VERSION {
        0 if flags & ROUTING == 0 => version_0(scope, flags, protocol, after(bytes, 4)?),
        1 if protocol == ETHERTYPE_PPP => version_1(scope, flags, after(bytes, 4)?),
        _ => Err(LinkError::NotIp),
    }
}

fn version_0(mut scope: Scope, flags: u16, protocol: u16, bytes: &[u8]) -> LinkResult<'_> {
    let bytes = skip_if(flags & CHECKSUM != 0, bytes)?;
    let key = if flags & KEY != 0 {
        need(u32_at(bytes, 0))?
    } else {
        0
    };
    let bytes = skip_if(flags & KEY != 0, bytes)?;
    let sequenced = flags & SEQUENCE != 0;
    let bytes = skip_if(sequenced, bytes)?;
    match protocol {
        ERSPAN_I_OR_II if sequenced => erspan(scope, 8, bytes),
        ERSPAN_I_OR_II => erspan(scope, 0, bytes),
        ERSPAN_III => erspan_iii(scope, bytes),
        _ => {
            scope.push_tunnel(Kind::Gre as u8, key);
            announced(scope, protocol, bytes)
        }
    }
}

/// PPTP. Its call numbers differ between the directions, so that they name no network.
fn version_1(mut scope: Scope, flags: u16, bytes: &[u8]) -> LinkResult<'_> {
    let bytes = after(bytes, 4)?; // length and call number
    let bytes = skip_if(flags & SEQUENCE != 0, bytes)?;
    let bytes = skip_if(flags & ACKNOWLEDGMENT != 0, bytes)?;
    scope.push_tunnel(Kind::Gre as u8, 0);
    ppp::frame(scope, bytes)
}

/// A mirrored Ethernet frame. Session numbers say by which port a copy was made and not to which
/// network it belongs: two copies of one frame are one frame.
fn erspan(mut scope: Scope, header: usize, bytes: &[u8]) -> LinkResult<'_> {
    scope.push_tunnel(Kind::Erspan as u8, 0);
    ethernet(scope, after(bytes, header)?)
}

/// Type III has 12 bytes, and 8 more where the last bit says so; what is mirrored may begin
/// with its IP header.
fn erspan_iii(mut scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let fields = need(u16_at(bytes, 10))?;
    let header = if fields & 1 == 1 { 20 } else { 12 };
    match (fields >> 10) & 0x1f {
        2 => {
            scope.push_tunnel(Kind::Erspan as u8, 0);
            ip(scope, after(bytes, header)?)
        }
        _ => erspan(scope, header, bytes),
    }
}

fn skip_if(present: bool, bytes: &[u8]) -> Result<&[u8], LinkError> {
    after(bytes, if present { 4 } else { 0 })
}
