//! TLS 1.0 to 1.3 over TCP: hellos, and the requests inside for whoever holds the keys.
//!
//! What QUIC needs of it too (hellos, JA4, key logs) knows nothing of TCP.

pub(in crate::app) mod cipher;
pub mod client_hello;
pub mod closed;
mod connection;
pub(in crate::app) mod derive;
pub mod extensions;
pub mod facts;
pub(in crate::app) mod hash;
mod held;
mod inflate;
pub mod ja4;
pub mod keylog;
pub(in crate::app) mod known;
pub(in crate::app) mod messages;
pub mod reader;
mod record;
pub mod secrets;
pub mod server_hello;
mod side;
pub(in crate::app) mod suite;
mod transcript;
pub mod under;

pub(in crate::app) use connection::{Outcome, Tls};
