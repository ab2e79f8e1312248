//! The first bytes of a connection whose start was seen: which protocol, and who asks.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::app::probe::{ProbeResult, Protocol, probe};
use crate::app::proxy::{ProxyHeader, proxy_header};
use crate::limits::PROBE_BYTES_MAX;
use crate::transport::Direction;

/// What is held until the protocol is known.
#[derive(Debug, Default)]
pub(super) struct Opening {
    to_server: Side,
    to_client: Side,
    /// Whether a PROXY protocol header was read.
    proxied: bool,
    /// Bytes of the last one that have not come yet.
    header_left: usize,
    /// The client that the first of them names.
    pub(super) proxied_for: Option<IpAddr>,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// First bytes that do not tell yet.
    pub(super) held: Vec<u8>,
    /// Whether bytes were lost or passed over: its start is no longer to be had.
    pub(super) missed: bool,
}

/// What first bytes come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Not enough of them.
    Undecided,
    /// A protocol that is read: the client's direction, and all that this side sent.
    Known {
        protocol: Protocol,
        client: Direction,
        bytes: Cow<'a, [u8]>,
    },
    /// A protocol that is not.
    Unknown,
}

impl Opening {
    /// Takes the next bytes of one direction.
    pub(super) fn feed<'a>(&mut self, direction: Direction, bytes: &'a [u8]) -> Verdict<'a> {
        let Some(bytes) = self.gather(direction, bytes) else {
            return Verdict::Undecided;
        };
        let bytes = match self.without_proxy_header(direction, bytes) {
            Ok(bytes) => bytes,
            Err(unfinished) => return self.hold(direction, unfinished),
        };
        let end = blank_bytes(&bytes) + PROBE_BYTES_MAX;
        match probe(bytes.get(..end).unwrap_or(&bytes), direction) {
            (ProbeResult::Client, Some(protocol)) => Verdict::Known {
                protocol,
                client: direction,
                bytes,
            },
            (ProbeResult::Server, Some(protocol)) => Verdict::Known {
                protocol,
                client: direction.reversed(),
                bytes,
            },
            (ProbeResult::Unfinished, _) if bytes.len() < end => self.hold(direction, bytes),
            _ => self.reject(direction),
        }
    }

    /// First bytes of a direction that do not tell yet.
    pub(super) fn held(&self, direction: Direction) -> &[u8] {
        match direction {
            Direction::ToServer => &self.to_server.held,
            Direction::ToClient => &self.to_client.held,
        }
    }

    /// Bytes of the server's are missing: its start is not to be had.
    pub(super) fn miss_server(&mut self) {
        self.to_client = Side {
            held: Vec::new(),
            missed: true,
        };
    }

    /// One direction, to go on elsewhere.
    pub(super) fn take(&mut self, direction: Direction) -> Side {
        std::mem::take(self.side(direction))
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.to_server.held.capacity() + self.to_client.held.capacity()
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    /// All bytes of a direction so far, but for those that nobody reads.
    fn gather<'a>(&mut self, direction: Direction, mut bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if direction == Direction::ToServer {
            let passed = self.header_left.min(bytes.len());
            self.header_left -= passed;
            bytes = bytes.get(passed..)?;
        }
        let side = self.side(direction);
        if side.missed || bytes.is_empty() {
            return None;
        }
        if side.held.is_empty() {
            return Some(Cow::Borrowed(bytes));
        }
        let mut all = std::mem::take(&mut side.held);
        all.extend_from_slice(bytes);
        Some(Cow::Owned(all))
    }

    /// Takes PROXY protocol headers off; an error when more bytes are needed to do so, or nothing
    /// follows them. The first is the nearest proxy's: what that passed on may begin with one that
    /// a visitor wrote, and names nobody.
    fn without_proxy_header<'a>(
        &mut self,
        direction: Direction,
        mut bytes: Cow<'a, [u8]>,
    ) -> Result<Cow<'a, [u8]>, Cow<'a, [u8]>> {
        if direction == Direction::ToClient {
            return Ok(bytes);
        }
        loop {
            let (length, client) = match proxy_header(&bytes) {
                ProxyHeader::None => return Ok(bytes),
                ProxyHeader::Unfinished => return Err(bytes),
                ProxyHeader::Found { length, client } => (length, client),
            };
            if !self.proxied {
                self.proxied = true;
                self.proxied_for = client;
            }
            self.header_left = length.saturating_sub(bytes.len());
            bytes = without_start(bytes, length);
            if bytes.is_empty() {
                return Err(bytes);
            }
        }
    }

    /// Of empty lines no more is held than a PROXY protocol header may begin with.
    fn hold<'a>(&mut self, direction: Direction, bytes: Cow<'a, [u8]>) -> Verdict<'a> {
        let surplus = blank_bytes(&bytes).saturating_sub(BLANK_BYTES_MAX);
        let bytes = without_start(bytes, surplus);
        self.side(direction).held = bytes.into_owned();
        Verdict::Undecided
    }

    /// The client decides; a server may greet with anything before it.
    fn reject<'a>(&mut self, direction: Direction) -> Verdict<'a> {
        match direction {
            Direction::ToServer => Verdict::Unknown,
            Direction::ToClient => {
                self.miss_server();
                Verdict::Undecided
            }
        }
    }
}

/// Empty lines before a request are skipped (RFC 9112 §2.2).
fn blank_bytes(bytes: &[u8]) -> usize {
    let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    bytes.iter().take_while(is_blank).count()
}

/// More than the signature of the PROXY protocol's version 2 begins with.
const BLANK_BYTES_MAX: usize = 8;

fn without_start(bytes: Cow<'_, [u8]>, length: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(length..).unwrap_or_default()),
        Cow::Owned(mut bytes) => {
            bytes.drain(..length.min(bytes.len()));
            Cow::Owned(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_SERVER: Direction = Direction::ToServer;
    const TO_CLIENT: Direction = Direction::ToClient;

    fn known(verdict: &Verdict<'_>) -> Option<(Direction, String)> {
        match verdict {
            Verdict::Known { client, bytes, .. } => {
                Some((*client, String::from_utf8(bytes.to_vec()).unwrap()))
            }
            _ => None,
        }
    }

    #[test]
    fn bytes_are_held_until_they_tell() {
        let mut opening = Opening::default();
        assert_eq!(opening.feed(TO_SERVER, b"G"), Verdict::Undecided);
        assert_eq!(opening.feed(TO_SERVER, b"ET"), Verdict::Undecided);
        let verdict = opening.feed(TO_SERVER, b" /");
        assert_eq!(known(&verdict), Some((TO_SERVER, "GET /".into())));
    }

    #[test]
    fn a_proxy_header_is_taken_off_however_it_is_cut() {
        let line = "PROXY TCP4 203.0.113.9 192.168.1.10 50000 80\r\n";
        let all = format!("{line}GET /");
        for cut in 1..line.len() {
            let (first, second) = all.as_bytes().split_at(cut);
            let mut opening = Opening::default();
            assert_eq!(opening.feed(TO_SERVER, first), Verdict::Undecided);
            let verdict = opening.feed(TO_SERVER, second);
            assert_eq!(known(&verdict), Some((TO_SERVER, "GET /".into())), "{cut}");
            assert_eq!(opening.proxied_for, "203.0.113.9".parse().ok());
        }
    }

    #[test]
    fn of_several_proxy_headers_the_first_names_the_client_however_they_are_cut() {
        let first = b"PROXY TCP4 203.0.113.9 192.168.1.10 50000 80\r\n";
        let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\xa8\x01\x14\0\0\0\0\0\0\0\0";
        let all = [&first[..], second, b"PROXY UNKNOWN\r\n", b"GET /"].concat();
        for cut in 1..all.len() - 5 {
            let (head, tail) = all.split_at(cut);
            let mut opening = Opening::default();
            assert_eq!(opening.feed(TO_SERVER, head), Verdict::Undecided, "{cut}");
            let verdict = opening.feed(TO_SERVER, tail);
            assert_eq!(known(&verdict), Some((TO_SERVER, "GET /".into())), "{cut}");
            assert_eq!(opening.proxied_for, "203.0.113.9".parse().ok());
        }
    }

    #[test]
    fn empty_lines_before_a_request_are_borne_however_many_and_however_they_are_cut() {
        let all = ["\r\n".repeat(PROBE_BYTES_MAX).as_str(), "GET /"].concat();
        for size in [1, 7, 200, all.len()] {
            let mut opening = Opening::default();
            let is_known = all.as_bytes().chunks(size).any(|piece| {
                let verdict = opening.feed(TO_SERVER, piece);
                let is_known = known(&verdict).is_some();
                assert!(opening.held(TO_SERVER).len() < PROBE_BYTES_MAX);
                is_known
            });
            assert!(is_known, "in pieces of {size}");
        }
    }

    #[test]
    fn the_rest_of_a_long_proxy_header_is_passed_over() {
        let header = [
            &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x00"[..],
            &[203, 0, 113, 9],
            &[b'G'; 252],
        ]
        .concat();
        let mut opening = Opening::default();
        for piece in header.chunks(50) {
            assert_eq!(opening.feed(TO_SERVER, piece), Verdict::Undecided);
        }
        let verdict = opening.feed(TO_SERVER, b"GET /");
        assert_eq!(known(&verdict), Some((TO_SERVER, "GET /".into())));
        assert_eq!(opening.proxied_for, "203.0.113.9".parse().ok());
    }

    #[test]
    fn a_server_may_greet_with_anything_and_the_client_decides() {
        let mut opening = Opening::default();
        assert_eq!(
            opening.feed(TO_CLIENT, b"220 mail ESMTP\r\n"),
            Verdict::Undecided
        );
        assert!(opening.take(TO_CLIENT).missed);
        assert_eq!(opening.feed(TO_SERVER, b"\0\0"), Verdict::Unknown);
    }

    #[test]
    fn whoever_sends_a_status_line_is_the_server() {
        let mut opening = Opening::default();
        let verdict = opening.feed(TO_SERVER, b"HTTP/1.1 200 OK\r\n");
        assert_eq!(known(&verdict).map(|(client, _)| client), Some(TO_CLIENT));
        let verdict = opening.feed(TO_CLIENT, b"GET / HTTP/1.1\r\n");
        assert_eq!(known(&verdict).map(|(client, _)| client), Some(TO_CLIENT));
    }
}
