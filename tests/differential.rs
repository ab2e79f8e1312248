//! Holds what is read against tshark, with the same key logs: on some captures here, on all of
//! them with `make test-long` and `make differential`.

#![cfg(feature = "daemon")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may assert in the plainest way"
)]

use std::env;
use std::path::Path;
use std::process::Command;

/// One of each kind, and some that differ for a reason.
const SAMPLE: [&str; 24] = [
    "http1-pipelined",
    "http2-continuation",
    "http2-streams",
    "http2-table-resized",
    "http2-upgrade",
    "ip4-fragments-shuffled",
    "quic-chromium",
    "quic-early-data",
    "quic-key-update",
    "quic-many",
    "quic-migration",
    "quic-v2",
    "tcp-out-of-order",
    "tls-10-3des",
    "tls-11-aes128-sha-mac-first",
    "tls-12-dhe-rsa-aes256-ccm",
    "tls-12-renegotiation",
    "tls-12-resumed-ticket",
    "tls-13-chacha20-poly1305-sha256",
    "tls-13-early-data",
    "tls-13-key-update",
    "tls-13-many",
    "tls-late-keys",
    "tls-secrets-block",
];

#[test]
fn tshark_reads_the_same_requests_or_differs_for_a_reason_that_is_known() {
    let captures = Path::new("tests/captures");
    let mut differential = Command::new("python3");
    differential
        .args(["tests/differential", "--canarytap"])
        .arg(env!("CARGO_BIN_EXE_canarytap"))
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    match env::var_os("CANARYTAP_TEST_LONG") {
        Some(_) => differential.arg(captures),
        None => differential.args(SAMPLE.map(|name| captures.join(name))),
    };
    let output = differential.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "what differs has no reason");
    assert!(!said.contains("\nin all: 0 in both"), "nothing was read");
}
