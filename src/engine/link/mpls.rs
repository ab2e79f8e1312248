//! MPLS (RFC 3032): a stack of labels that does not say what it carries.

use crate::limits::ENCAPSULATION_DEPTH_MAX;
use crate::link::{LinkError, LinkResult, Scope, after, ethernet, ip, need, u16_at, u32_at};

/// Set in the last entry of a label stack (RFC 3032 §2.1).
const BOTTOM_OF_STACK: u32 = 0x100;
/// Length of the control word of an Ethernet pseudo-wire (RFC 4448 §4.6).
const CONTROL_WORD: usize = 4;

/// What stands under a label stack.
pub(super) fn labelled(scope: Scope, mut bytes: &[u8]) -> LinkResult<'_> {
    for _ in 0..ENCAPSULATION_DEPTH_MAX {
        let entry = need(u32_at(bytes, 0))?;
        bytes = after(bytes, 4)?;
        if entry & BOTTOM_OF_STACK != 0 {
            return guess(scope, bytes);
        }
    }
    Err(LinkError::TooDeep)
}

/// Told by the first half byte (RFC 4928 §3): IP, a control word, or the address of an Ethernet
/// frame, which may begin with any of these. Whichever reading holds together wins.
fn guess(scope: Scope, bytes: &[u8]) -> LinkResult<'_> {
    let first = need(bytes.first())? >> 4;
    if is_plausible_ip(bytes) {
        return ip(scope, bytes);
    }
    if first == 0 {
        let with_control_word =
            after(bytes, CONTROL_WORD).and_then(|frame| pseudo_wire(scope, frame));
        if with_control_word.is_ok() {
            return with_control_word;
        }
    }
    pseudo_wire(scope, bytes).or(Err(LinkError::NotIp))
}

/// An Ethernet frame, if what it carries is IP that holds together.
fn pseudo_wire(scope: Scope, frame: &[u8]) -> LinkResult<'_> {
    let found = ethernet(scope, frame)?;
    if is_plausible_ip(found.bytes) {
        Ok(found)
    } else {
        Err(LinkError::NotIp)
    }
}

/// Whether the lengths in what looks like an IP header are possible.
fn is_plausible_ip(bytes: &[u8]) -> bool {
    match bytes.first().copied().unwrap_or(0) {
        first @ 0x45..=0x4f => {
            let header = u16::from(first & 0x0f) * 4;
            u16_at(bytes, 2).is_some_and(|total| total == 0 || total >= header)
        }
        0x60..=0x6f => bytes.len() >= 40,
        _ => false,
    }
}
