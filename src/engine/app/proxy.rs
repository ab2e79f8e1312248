//! The PROXY protocol, versions 1 and 2: who connected to the proxy in front.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the first bytes of a stream say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyHeader {
    /// A header of so many bytes. They may be more than are there yet.
    Found {
        length: usize,
        /// The client; None when the proxy speaks for itself, or not of IP.
        client: Option<IpAddr>,
    },
    /// Too few bytes to tell.
    Unfinished,
    /// None.
    None,
}

/// Reads a header at the start of a stream.
pub(super) fn proxy_header(bytes: &[u8]) -> ProxyHeader {
    if SIGNATURE_2.starts_with(bytes) || SIGNATURE_1.starts_with(bytes) {
        return ProxyHeader::Unfinished;
    }
    if let Some(rest) = bytes.strip_prefix(SIGNATURE_2) {
        return version_2(rest);
    }
    if let Some(rest) = bytes.strip_prefix(SIGNATURE_1) {
        return version_1(rest);
    }
    ProxyHeader::None
}

/// One line: `TCP4 203.0.113.9 192.168.1.10 50000 80`.
fn version_1(rest: &[u8]) -> ProxyHeader {
    let longest = LINE_BYTES_MAX - SIGNATURE_1.len();
    let within = rest.get(..longest).unwrap_or(rest);
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if rest.len() < longest {
            ProxyHeader::Unfinished
        } else {
            ProxyHeader::None
        };
    };
    let line = rest.get(..end).unwrap_or_default();
    let mut words = line.split(u8::is_ascii_whitespace);
    let client = match words.next() {
        Some(b"TCP4" | b"TCP6") => words.next().and_then(parse_address),
        _ => None,
    };
    ProxyHeader::Found {
        length: SIGNATURE_1.len() + end + 1,
        client,
    }
}

fn parse_address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Version and command, family, length; then addresses by family, then what is not read.
fn version_2(rest: &[u8]) -> ProxyHeader {
    let Some((&[command, family, high, low], rest)) = rest.split_first_chunk() else {
        return ProxyHeader::Unfinished;
    };
    if command & 0xf0 != 0x20 {
        return ProxyHeader::None;
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let needed = match (command, family >> 4) {
        (0x21, 1) => 4,
        (0x21, 2) => 16,
        _ => 0,
    };
    if rest.len() < needed.min(length) {
        return ProxyHeader::Unfinished;
    }
    let client = match needed {
        4 if length >= needed => rest.first_chunk().map(|v4| Ipv4Addr::from(*v4).into()),
        16 if length >= needed => rest
            .first_chunk::<16>()
            .map(|v6| Ipv6Addr::from(*v6).to_canonical()),
        _ => None,
    };
    ProxyHeader::Found {
        length: SIGNATURE_2.len() + 4 + length,
        client,
    }
}

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its CRLF included.
const LINE_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(length: usize, client: &str) -> ProxyHeader {
        ProxyHeader::Found {
            length,
            client: client.parse().ok(),
        }
    }

    #[test]
    fn a_line_of_version_1_names_the_client() {
        for (line, client) in [
            (
                "PROXY TCP4 203.0.113.9 192.168.1.10 50000 80\r\n",
                "203.0.113.9",
            ),
            (
                "PROXY TCP6 2001:db8::9 2001:db8::1 50000 80\r\n",
                "2001:db8::9",
            ),
            ("PROXY UNKNOWN\r\n", ""),
            ("PROXY TCP4 nonsense\r\n", ""),
        ] {
            let bytes = format!("{line}GET");
            assert_eq!(proxy_header(bytes.as_bytes()), found(line.len(), client));
            for cut in 0..line.len() {
                let part = line.get(..cut).unwrap().as_bytes();
                assert_eq!(
                    proxy_header(part),
                    ProxyHeader::Unfinished,
                    "{line:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn a_line_without_end_is_no_header() {
        let endless = format!("PROXY {}", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(proxy_header(endless.as_bytes()), ProxyHeader::None);
        let too_long = format!("{endless}\r\nGET / HTTP/1.1\r\n");
        assert_eq!(proxy_header(too_long.as_bytes()), ProxyHeader::None);
    }

    #[test]
    fn version_2_names_the_client() {
        let four = [&[0x21, 0x11, 0, 12, 203, 0, 113, 9][..], &[0; 8]].concat();
        let six = [
            &[0x21, 0x21, 0, 36][..],
            &[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0; 20],
        ]
        .concat();
        let local = vec![0x20, 0, 0, 0];
        let unix = [&[0x21, 0x31, 0, 216][..], &[0; 216]].concat();
        for (rest, client) in [
            (four, "203.0.113.9"),
            (six, "2001:db8::9"),
            (local, ""),
            (unix, ""),
        ] {
            let bytes = [SIGNATURE_2, &rest].concat();
            assert_eq!(proxy_header(&bytes), found(bytes.len(), client));
            for cut in 0..16 {
                let part = bytes.get(..cut).unwrap();
                assert_eq!(proxy_header(part), ProxyHeader::Unfinished, "{cut}");
            }
        }
    }

    #[test]
    fn what_is_none_is_told_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            b"\r\nGET",
            b"P",
            b"PUT",
            b"\x16\x03",
        ] {
            let expected = match bytes {
                b"P" => ProxyHeader::Unfinished,
                _ => ProxyHeader::None,
            };
            assert_eq!(proxy_header(bytes), expected, "{bytes:?}");
        }
    }
}
