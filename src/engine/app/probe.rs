//! Which protocol a stream speaks, by its first bytes.

use memchr::memchr;

use crate::app::http1::{StatusLine, is_certain_request_line, is_token, may_become_request_line};
use crate::app::http2::{PREFACE, is_servers_start};
use crate::transport::Direction;

/// A protocol that streams are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2 in clear text, with prior knowledge.
    Http2,
    /// TLS.
    Tls,
}

/// What a probe makes of the first bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeResult {
    /// A client of this protocol speaks.
    Client,
    /// A server of this protocol speaks.
    Server,
    /// Too few bytes to tell.
    Unfinished,
    /// Another protocol.
    No,
}

/// Every protocol and its probe. A new protocol is one line here, and a state in `session`.
pub(super) const PROTOCOLS: [(Protocol, Probe); 3] = [
    (Protocol::Tls, probe_tls),
    (Protocol::Http2, probe_http2),
    (Protocol::Http1, probe_http1),
];

type Probe = fn(&[u8], Direction) -> ProbeResult;

/// The first protocol that does not say no.
pub(super) fn probe(bytes: &[u8], direction: Direction) -> (ProbeResult, Option<Protocol>) {
    PROTOCOLS
        .iter()
        .map(|(protocol, probe)| (probe(bytes, direction), Some(*protocol)))
        .find(|(result, _)| *result != ProbeResult::No)
        .unwrap_or((ProbeResult::No, None))
}

/// A handshake record (RFC 8446 §5.1) that begins with a ClientHello, or with a message of the
/// server's: its hello, or its request for one (RFC 5246 §7.4.1).
fn probe_tls(bytes: &[u8], _direction: Direction) -> ProbeResult {
    match bytes {
        [0x16, 0x03, 0..=4, _, _, 1, ..] => ProbeResult::Client,
        [0x16, 0x03, 0..=4, _, _, 0 | 2, ..] => ProbeResult::Server,
        [0x16, 0x03, 0..=4, _, _, _, ..] => ProbeResult::No,
        [0x16] | [0x16, 0x03] | [0x16, 0x03, 0..=4, ..] => ProbeResult::Unfinished,
        _ => ProbeResult::No,
    }
}

/// The client's preface, or the settings that a server begins with (RFC 9113 §3.4).
fn probe_http2(bytes: &[u8], direction: Direction) -> ProbeResult {
    if bytes.starts_with(PREFACE) {
        return ProbeResult::Client;
    }
    if PREFACE.starts_with(bytes) {
        return ProbeResult::Unfinished;
    }
    match is_servers_start(bytes) {
        _ if direction == Direction::ToServer => ProbeResult::No,
        Some(true) => ProbeResult::Server,
        Some(false) => ProbeResult::No,
        None => ProbeResult::Unfinished,
    }
}

/// A status line, or a request line, after empty lines.
fn probe_http1(bytes: &[u8], direction: Direction) -> ProbeResult {
    let start = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    let line = bytes.get(start..).unwrap_or_default();
    match (StatusLine::parse(line), direction) {
        (StatusLine::Status(_), _) => ProbeResult::Server,
        (StatusLine::Unfinished, _) => ProbeResult::Unfinished,
        (StatusLine::No, Direction::ToServer) => probe_client(line),
        (StatusLine::No, Direction::ToClient) => probe_supposed_server(line),
    }
}

/// From who opened the connection, a word and a blank are enough to begin with.
fn probe_client(line: &[u8]) -> ProbeResult {
    let blank = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
    match line.split_at_checked(blank.unwrap_or(line.len())) {
        Some((method, rest)) if is_token(method) && method.len() <= METHOD_BYTES_MAX => {
            if rest.is_empty() {
                ProbeResult::Unfinished
            } else {
                ProbeResult::Client
            }
        }
        _ => ProbeResult::No,
    }
}

/// From who is held to be the server, nothing less than a whole request line.
fn probe_supposed_server(line: &[u8]) -> ProbeResult {
    match memchr(b'\n', line).and_then(|end| line.get(..end)) {
        Some(line) if is_certain_request_line(line) => ProbeResult::Client,
        None if may_become_request_line(line) => ProbeResult::Unfinished,
        _ => ProbeResult::No,
    }
}

/// The longest registered method has 17 bytes; in the middle of a connection that is known to
/// be HTTP any length is read.
const METHOD_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_tell_what_a_stream_speaks() {
        for (bytes, expected) in [
            (&b"GET /"[..], (ProbeResult::Client, Some(Protocol::Http1))),
            (
                b"\r\n\r\nBREW ",
                (ProbeResult::Client, Some(Protocol::Http1)),
            ),
            (
                b"HTTP/1.1 200 OK",
                (ProbeResult::Server, Some(Protocol::Http1)),
            ),
            (
                b"\x16\x03\x01\x02\x00\x01",
                (ProbeResult::Client, Some(Protocol::Tls)),
            ),
            (
                b"\x16\x03\x03\x00\x40\x02",
                (ProbeResult::Server, Some(Protocol::Tls)),
            ),
            (b"\x16\x03\x03\x00\x40\x0b", (ProbeResult::No, None)),
            (b"", (ProbeResult::Unfinished, Some(Protocol::Http2))),
            (b"PR", (ProbeResult::Unfinished, Some(Protocol::Http2))),
            (b"PRO", (ProbeResult::Unfinished, Some(Protocol::Http1))),
            (PREFACE, (ProbeResult::Client, Some(Protocol::Http2))),
            (
                b"PRI * HTTP/2.0\r\n\r\nSN",
                (ProbeResult::Client, Some(Protocol::Http1)),
            ),
            (b"GE", (ProbeResult::Unfinished, Some(Protocol::Http1))),
            (
                b"\x16\x03\x01",
                (ProbeResult::Unfinished, Some(Protocol::Tls)),
            ),
            (b"\x16", (ProbeResult::Unfinished, Some(Protocol::Tls))),
            (b"\x16\x05", (ProbeResult::No, None)),
            (b"\0\0\0", (ProbeResult::No, None)),
            (b"QUIT\r\n", (ProbeResult::No, None)),
            (b"{\"a\": 1}", (ProbeResult::No, None)),
            (&[b'x'; 65], (ProbeResult::No, None)),
        ] {
            assert_eq!(probe(bytes, Direction::ToServer), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_server_that_begins_with_settings_speaks_http2() {
        let (http2, none) = (Some(Protocol::Http2), None);
        for (bytes, expected) in [
            (
                &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3][..],
                (ProbeResult::Server, http2),
            ),
            (&[0, 0, 0, 4, 0, 0, 0, 0, 0], (ProbeResult::Server, http2)),
            (&[0], (ProbeResult::Unfinished, http2)),
            (&[0, 0, 6, 4, 0, 0], (ProbeResult::Unfinished, http2)),
            (&[0, 0, 0, 4, 1, 0, 0, 0, 0], (ProbeResult::No, none)), // acknowledges
            (&[0, 0, 6, 4, 0, 0, 0, 0, 1], (ProbeResult::No, none)), // of a stream
            (&[0, 0, 7, 4, 0, 0, 0, 0, 0], (ProbeResult::No, none)), // no pairs
            (&[0, 0, 6, 5], (ProbeResult::No, none)),
            (&[0, 1], (ProbeResult::Unfinished, http2)),
            (&[0, 0x41], (ProbeResult::No, none)),
        ] {
            assert_eq!(probe(bytes, Direction::ToClient), expected, "{bytes:?}");
        }
    }
}
