//! QUIC versions 1 and 2 (RFC 9000, 9001, 9369): hellos, and for whoever holds the keys the
//! streams inside.
//!
//! `packet` finds the packets of a datagram, `table` the connection that they belong to, `keys`
//! opens them, `frame` says what is in them, `ordered` puts together what came in pieces, and
//! `connection` makes hellos and requests of it.

mod connection;
mod early;
mod early_birds;
mod entry;
pub mod frame;
mod held;
mod identity;
mod initial;
pub(in crate::app) mod keys;
mod names;
pub mod ordered;
pub mod packet;
mod paths;
mod side;
mod table;
pub mod varint;
pub mod version;

pub use table::{Belongs, Connections};

#[cfg(test)]
pub(in crate::app) mod seal;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
