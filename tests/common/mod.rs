//! What several test binaries need.

#![allow(unused_imports, dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "tests may assert in the plainest way")]

mod entries;
pub mod rights;

pub use entries::*;
