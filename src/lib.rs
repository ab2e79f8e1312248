//! canarytap finds out who opens the links you send in private.
//!
//! This is the map of a packet's way through the program, top to bottom. Imports point one way
//! only: a module names the modules above it in its own block, never those below
//! (`tests/layering.rs` keeps it so).
//!
//! | room | what happens there |
//! |---|---|
//! | [`capture`] | frames come in: from the wire (libpcap) or from a capture file |
//! | [`engine`] | the pure core: frame → packet → segment → request → match → [`engine::event::Event`] |
//! | [`store`] | events are kept: SQLite, one chain of hashes over the visits |
//! | [`led`] | lights: drivers, and the patterns that they play |
//! | [`alert`] | an event that is on disk becomes light |
//! | [`pull`] | a store is copied over SSH to where its owner alone can reach |
//! | [`config`] | what the user wrote becomes what is valid |
//! | [`experiment`] | what was sent where, and how sure it is that it was opened |
//! | [`visitor`] | who a visitor probably is: reasons, from what lies on this machine |
//! | [`daemon`] | the graph of all of these, from start to stop |
//! | [`outbound`] | alerts leave the box, from a process of their own |
//! | [`doctor`] | whether this machine can tap: looks at everything, changes nothing |
//! | [`cli`] | one file for each subcommand |

// Unit tests and those in `tests` build their events in one place, which names this crate.
#[cfg(all(test, feature = "daemon"))]
extern crate self as canarytap;

#[cfg(all(test, feature = "daemon"))]
#[path = "../tests/common/entries.rs"]
mod entries;

#[cfg(feature = "daemon")]
pub mod capture;

/// The pure core, in a package of its own (`src/engine`) that depends on nothing that does I/O.
pub use canarytap_engine as engine;

#[cfg(feature = "daemon")]
pub mod store;

#[cfg(feature = "daemon")]
pub mod led;

#[cfg(feature = "daemon")]
pub mod alert;

#[cfg(feature = "daemon")]
pub mod pull;

#[cfg(feature = "daemon")]
pub mod config;

#[cfg(feature = "daemon")]
pub mod experiment;

#[cfg(feature = "daemon")]
pub mod visitor;

#[cfg(feature = "daemon")]
pub mod daemon;

#[cfg(feature = "daemon")]
pub mod outbound;

#[cfg(feature = "daemon")]
pub mod doctor;

#[cfg(feature = "daemon")]
pub mod cli;
