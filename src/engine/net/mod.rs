//! From a network payload to a whole IP packet: headers read, fragments put together.

use std::net::IpAddr;

use crate::engine::link::Scope;

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
