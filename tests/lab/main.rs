//! The whole program on real traffic: visitors, a web server and a tap, each in a network
//! namespace of its own, behind a bridge that mirrors the server's port to the tap.
//!
//! Each test runs itself once more inside private namespaces (`namespaces`), so that tests need
//! no root and never meet. `network` lays the cables.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may assert in the plainest way"
)]

mod behind_haproxy;
mod behind_nginx;
mod blindness;
mod browser;
mod card;
mod clocks;
mod collectors;
mod disk;
mod doctor;
#[path = "../common/mod.rs"]
mod events;
mod faults;
mod floods;
mod http2;
mod http3;
mod https;
mod https_pairs;
mod idle;
mod installed;
mod kept_packets;
mod keys;
mod kills;
mod lights;
mod mint;
mod month;
mod namespaces;
mod network;
mod power;
mod privilege;
mod proxy;
mod pull;
mod quic;
mod reload;
#[path = "../common/rewrite.rs"]
mod rewriting;
mod router;
mod selftest;
mod servers;
mod setup;
mod sinks;
mod ssh;
mod tap;
mod timedated;
mod tls;
mod variants;
mod visits;
mod wear;
mod web;
