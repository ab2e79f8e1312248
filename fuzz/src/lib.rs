//! What is fuzzed: one function for each target, which takes any bytes and panics when something
//! that must always hold does not.
//!
//! The fuzzers in `fuzz_targets` call them, and so does `tests/fuzz_corpus.rs`, with each file of
//! `corpus/TARGET`.

#[cfg(feature = "daemon")]
pub use config::config;
pub use frames::frames;
pub use hpack::hpack;
pub use key_log::key_log;
pub use quic::quic;
pub use segments::segments;
pub use talk::{http1, http2};
pub use tls_hello::tls_hello;
pub use url::url;

#[cfg(feature = "daemon")]
mod config;
mod frames;
mod hpack;
mod input;
mod key_log;
mod quic;
mod segments;
mod talk;
mod tls_hello;
mod url;
mod watch;

/// A target and the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them; `config` only with the feature `daemon`.
pub const TARGETS: &[Target] = &[
    #[cfg(feature = "daemon")]
    ("config", config),
    ("frames", frames),
    ("hpack", hpack),
    ("http1", http1),
    ("http2", http2),
    ("key_log", key_log),
    ("quic", quic),
    ("segments", segments),
    ("tls_hello", tls_hello),
    ("url", url),
];
