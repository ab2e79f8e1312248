//! Geneve (RFC 8926 §3.4), its options skipped.

use crate::link::tunnel::{Kind, announced};
use crate::link::{LinkError, LinkResult, Scope, after, need, u16_at, u32_at};

/// The packet behind a Geneve header of version 0.
pub(super) fn open(mut scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let first = need(u16_at(bytes, 0))?;
    if first >> 14 != 0 {
        return Err(LinkError::Malformed);
    }
    let options = usize::from((first >> 8) & 0x3f) * 4;
    let carried = need(u16_at(bytes, 2))?;
    scope.push_tunnel(Kind::Geneve as u8, need(u32_at(bytes, 4))? >> 8);
    announced(scope, carried, after(bytes, 8 + options)?)
}
