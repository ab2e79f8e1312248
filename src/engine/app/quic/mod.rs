//! QUIC versions 1 and 2 (RFC 9000, 9001, 9369): hellos, and for whoever holds the keys the
//! streams inside.
//!
//! `packet` finds the packets of a datagram, `keys` opens them, `frame` says what is in them, and
//! `ordered` puts together what came in pieces.

pub mod frame;
pub(in crate::engine::app) mod keys;
pub mod ordered;
pub mod packet;
pub mod varint;
pub mod version;

#[cfg(test)]
pub(in crate::engine::app) mod seal;
#[cfg(test)]
mod vectors;
