//! From a network payload to a whole IP packet: headers read, fragments put together, tunnels
//! unwrapped.

use std::net::IpAddr;

use crate::engine::counters::Counters;
use crate::engine::frame::{Frame, Timestamp};
use crate::engine::limits::ENCAPSULATION_DEPTH_MAX;
use crate::engine::link::{LinkError, NetworkPayload, Scope, decapsulate, tunnel};
use crate::engine::net::defrag::Pool;
use crate::engine::net::ip::Datagram;

mod defrag;
mod ip;

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
    /// Whether `payload` is shorter than the headers say (snap length).
    pub cut: bool,
}

/// Unwraps frames down to whole IP packets; owns the fragments that wait for others.
#[derive(Debug, Default)]
pub struct Decoder {
    pool: Pool,
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
        counters.frames_cut += u64::from(frame.bytes.len() < frame.wire_len as usize);
        match decapsulate(frame.link, frame.bytes) {
            Ok(found) => self.on_packet(found, frame.time, 0, counters, handler),
            Err(error) => count(error, counters),
        }
    }

    /// Gives up fragments that waited too long, in capture time.
    pub fn on_tick(&mut self, now: Timestamp, counters: &mut Counters) {
        self.pool.expire(now, counters);
    }

    /// Bytes held by fragments that wait.
    pub fn heap_bytes(&self) -> usize {
        self.pool.heap_bytes()
    }

    fn on_packet(
        &mut self,
        found: NetworkPayload<'_>,
        now: Timestamp,
        depth: usize,
        counters: &mut Counters,
        handler: &mut impl FnMut(&IpPacket<'_>, &mut Counters),
    ) {
        let scope = found.scope;
        let Some(datagram) = ip::parse(found.bytes) else {
            counters.ip_malformed += 1;
            return;
        };
        let Some(fragment) = datagram.fragment else {
            return self.on_datagram(&datagram, scope, now, depth, counters, handler);
        };
        let whole = self.pool.insert(&datagram, fragment, scope, now, counters);
        let Some(payload) = whole else { return };
        let mut datagram = Datagram {
            payload: &payload,
            fragment: None,
            ..datagram
        };
        if datagram.src.is_ipv6() && ip::walk_extensions(&mut datagram).is_none() {
            counters.ip_malformed += 1;
            return;
        }
        self.on_datagram(&datagram, scope, now, depth, counters, handler);
    }

    fn on_datagram(
        &mut self,
        datagram: &Datagram<'_>,
        scope: Scope,
        now: Timestamp,
        depth: usize,
        counters: &mut Counters,
        handler: &mut impl FnMut(&IpPacket<'_>, &mut Counters),
    ) {
        match tunnel::open(scope, datagram.protocol, datagram.payload) {
            None => handler(&packet(datagram, scope), counters),
            Some(_) if depth >= ENCAPSULATION_DEPTH_MAX => counters.tunnel_too_deep += 1,
            Some(Ok(inner)) => self.on_packet(inner, now, depth + 1, counters, handler),
            Some(Err(error)) => count(error, counters),
        }
    }
}

fn packet<'a>(datagram: &Datagram<'a>, scope: Scope) -> IpPacket<'a> {
    IpPacket {
        scope,
        src: datagram.src,
        dst: datagram.dst,
        protocol: datagram.protocol,
        payload: datagram.payload,
        cut: datagram.cut,
    }
}

fn count(error: LinkError, counters: &mut Counters) {
    match error {
        LinkError::Malformed => counters.link_malformed += 1,
        LinkError::NotIp => counters.link_not_ip += 1,
        LinkError::TooDeep => counters.tunnel_too_deep += 1,
    }
}

#[cfg(test)]
mod tests;
