//! From a network payload to a whole IP packet: headers read, fragments put together, tunnels
//! unwrapped.

use std::net::IpAddr;

use crate::counters::Counters;
use crate::frame::{Frame, Timestamp};
use crate::limits::ENCAPSULATION_DEPTH_MAX;
use crate::link::{LinkError, NetworkPayload, Scope, decapsulate, tunnel};
use crate::net::defrag::Pool;
use crate::net::ip::{Datagram, Ending};
use crate::net::partial::Whole;
use crate::net::senders::Senders;

mod defrag;
mod ip;
mod ipv4;
mod ipv6;
mod partial;
mod plain;
mod senders;

pub use plain::{Plain, WireEnds};

/// What the transport layer gets: one whole datagram.
#[derive(Clone, Copy, Debug)]
pub struct IpPacket<'a> {
    /// The network that it belongs to.
    pub scope: Scope,
    /// Sender.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// IP protocol number of `payload`, after all extension headers.
    pub protocol: u8,
    /// What the packet carries, link padding removed.
    pub payload: &'a [u8],
    /// Routers that it may still pass (TTL, hop limit).
    pub hops: u8,
    /// Bytes by which `payload` is shorter than the headers say (snap length).
    pub missing: u32,
}

/// Unwraps frames down to whole IP packets; owns the fragments that wait for others.
#[derive(Debug, Default)]
pub struct Decoder {
    pool: Pool,
    senders: Senders,
    /// Names the datagram that the frame brought a fragment of; 0 for none.
    fragments: u64,
}

/// An IP packet on its way in.
struct Step<'a> {
    found: NetworkPayload<'a>,
    ending: Ending,
    now: Timestamp,
    /// Tunnels around it.
    depth: usize,
}

impl Decoder {
    /// A decoder with no fragments waiting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Unwraps a frame; `handler` is called for the IP packet in it, if there is a whole one.
    pub fn on_frame(
        &mut self,
        frame: &Frame<'_>,
        counters: &mut Counters,
        handler: &mut impl FnMut(&IpPacket<'_>, &mut Counters),
    ) {
        let missing = (frame.wire_len as usize).saturating_sub(frame.bytes.len());
        counters.frames_cut += u64::from(missing > 0);
        match decapsulate(frame.link, frame.bytes) {
            Ok(found) => {
                let step = Step {
                    found,
                    ending: match missing {
                        0 => Ending::Whole,
                        _ => Ending::MayBeCut(missing),
                    },
                    now: frame.time,
                    depth: 0,
                };
                self.on_packet(&step, counters, handler);
            }
            Err(LinkError::Malformed) => counters.link_malformed += 1,
            Err(LinkError::NotIp) => counters.link_not_ip += 1,
            Err(LinkError::TooDeep) => counters.tunnel_too_deep += 1,
        }
    }

    /// Whether a frame of the plain kind is to be read: not when its header's checksum is wrong and
    /// its sender has shown right ones.
    #[inline]
    pub fn admits(&mut self, plain: &Plain<'_>, counters: &mut Counters) -> bool {
        let Some(addresses) = plain.addresses_ipv4() else {
            return true;
        };
        let right = plain.checksum_is_right();
        let admits = self.senders.admit_ipv4(addresses, plain.scope(), right);
        counters.ip_checksum_wrong += u64::from(!admits);
        admits
    }

    /// Names the datagram that the last frame brought a fragment of; 0 for none.
    pub fn take_fragments(&mut self) -> u64 {
        std::mem::take(&mut self.fragments)
    }

    /// Gives up fragments that waited too long, in capture time.
    pub fn on_tick(&mut self, now: Timestamp, counters: &mut Counters) {
        self.pool.expire(now, counters);
    }

    /// Bytes held: fragments that wait, and what is known of senders.
    pub fn heap_bytes(&self) -> usize {
        self.pool.heap_bytes() + self.senders.heap_bytes()
    }

    fn on_packet(
        &mut self,
        step: &Step<'_>,
        counters: &mut Counters,
        handler: &mut impl FnMut(&IpPacket<'_>, &mut Counters),
    ) {
        let Some(datagram) = ip::parse(step.found.bytes, step.ending) else {
            counters.ip_malformed += 1;
            counters.ip_cut += u64::from(ip::is_cut(step.found.bytes));
            return;
        };
        let Datagram { src, dst, .. } = datagram;
        let right = datagram.checksum_is_right;
        if !self.senders.admit(src, dst, step.found.scope, right) {
            counters.ip_checksum_wrong += 1;
            return;
        }
        if datagram.fragment.is_some() {
            self.on_fragment(step, datagram, counters, handler);
        } else {
            self.on_datagram(step, &datagram, counters, handler);
        }
    }

    fn on_fragment(
        &mut self,
        step: &Step<'_>,
        datagram: Datagram<'_>,
        counters: &mut Counters,
        handler: &mut impl FnMut(&IpPacket<'_>, &mut Counters),
    ) {
        let Some(fragment) = datagram.fragment else {
            return;
        };
        let (scope, now) = (step.found.scope, step.now);
        self.fragments = self.pool.name(&datagram, fragment, scope);
        let Some(whole) = self.pool.insert(&datagram, fragment, scope, now, counters) else {
            return;
        };
        match reassembled(&datagram, &whole) {
            Some(datagram) => self.on_datagram(step, &datagram, counters, handler),
            None => counters.ip_malformed += 1,
        }
    }

    fn on_datagram(
        &mut self,
        step: &Step<'_>,
        datagram: &Datagram<'_>,
        counters: &mut Counters,
        handler: &mut impl FnMut(&IpPacket<'_>, &mut Counters),
    ) {
        let scope = step.found.scope;
        match tunnel::open(scope, datagram.protocol, datagram.payload) {
            None => {}
            Some(_) if step.depth >= ENCAPSULATION_DEPTH_MAX => {
                counters.tunnel_too_deep += 1;
                return;
            }
            Some(Ok(found)) => {
                let step = Step {
                    found,
                    ending: Ending::MayBeCut(datagram.missing),
                    now: step.now,
                    depth: step.depth + 1,
                };
                return self.on_packet(&step, counters, handler);
            }
            // It goes on as what it is: only a port made it look like a tunnel, or there is
            // no IP packet inside.
            Some(Err(LinkError::NotIp)) => {}
            Some(Err(_)) => counters.tunnel_malformed += 1,
        }
        handler(&packet(datagram, scope), counters);
    }
}

/// A datagram of fragments, the headers between IP and transport skipped: in pieces nobody could
/// read them.
fn reassembled<'a>(last: &Datagram<'_>, whole: &'a Whole) -> Option<Datagram<'a>> {
    let mut datagram = Datagram {
        src: last.src,
        dst: last.dst,
        protocol: whole.protocol,
        payload: &whole.payload,
        missing: whole.missing,
        hops: last.hops,
        fragment: None,
        checksum_is_right: true,
    };
    if datagram.src.is_ipv4() {
        ipv4::skip_authentication(&mut datagram)?;
        return Some(datagram);
    }
    ipv6::skip_extensions(&mut datagram)?;
    // A fragment header in a fragment: no host sends it, and no bound is worth its while.
    datagram.fragment.is_none().then_some(datagram)
}

fn packet<'a>(datagram: &Datagram<'a>, scope: Scope) -> IpPacket<'a> {
    IpPacket {
        scope,
        src: datagram.src,
        dst: datagram.dst,
        protocol: datagram.protocol,
        payload: datagram.payload,
        hops: datagram.hops,
        missing: u32::try_from(datagram.missing).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
