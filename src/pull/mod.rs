//! Heads outside: the store of a tap, copied over SSH to where whoever holds the tap cannot reach.
//!
//! Two programs talk over a pipe that SSH makes. The laptop's (`canarytap pull`) asks, one JSON
//! line for each question; the tap's (`canarytap serve-pull`) answers with one JSON line, behind
//! which stand the bytes of a file where it says so. Neither believes the other: every line, page
//! and piece is bounded, a file is known by a name that can be no path, and each link of the chain
//! is checked before it is kept.
//!
//! One directory for each tap, with a store like any other, so that every command reads it and
//! sqlite3 and sha256sum are enough to check it:
//!
//! ```text
//! STORE/NAME/events.db, STORE/NAME/evidence/   the copy
//! STORE/NAME.head                              the newest link that was ever seen of this tap
//! ```

pub use client::{Client, Pulled};
pub use error::PullError;
pub use home::{CopyHome, is_tap_name, remembered_beside, tap_name_of};
pub use server::serve;
pub use ssh::Ssh;

mod client;
mod error;
mod files;
mod home;
mod protocol;
mod server;
mod ssh;
