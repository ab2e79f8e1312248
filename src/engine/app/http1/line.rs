//! Request and status lines (RFC 9112 §3 and §4), as leniently as real servers read them.

use memchr::memrchr2;

use crate::app::HttpVersion;

/// A request line, split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// None for the simple request of HTTP/0.9, which is all there is to it.
    pub(super) version: Option<HttpVersion>,
}

impl<'a> RequestLine<'a> {
    /// Splits a line, whose end may still be on it; None when it is no request line.
    ///
    /// Blanks and tabs may part the words, and stand inside the target (older servers allow it);
    /// other control bytes may not.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        if let Some(plain) = Self::parse_plain(line) {
            return Some(plain);
        }
        let line = line.trim_ascii_end();
        let (method, rest) = split_at_blank(line)?;
        if !is_token(method) || has_control_bytes(line) {
            return None;
        }
        let rest = trim_blanks(rest);
        if let Some((target, version)) = split_version(rest) {
            return Some(Self {
                method,
                target,
                version: Some(version),
            });
        }
        is_simple(method, rest).then_some(Self {
            method,
            target: rest,
            version: None,
        })
    }

    /// The same for the line that nearly all are: a path and nothing odd.
    fn parse_plain(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b" HTTP/1.1\r\n")?;
        let (method, target) = match line {
            [b'G', b'E', b'T', b' ', target @ ..] => (&b"GET"[..], target),
            [b'H', b'E', b'A', b'D', b' ', target @ ..] => (&b"HEAD"[..], target),
            _ => return None,
        };
        let odd = |odd, byte: &u8| odd | (*byte <= b' ') | (*byte == 0x7f);
        let plain = target.first() == Some(&b'/') && !target.iter().fold(false, odd);
        plain.then_some(Self {
            method,
            target,
            version: Some(HttpVersion::Http11),
        })
    }

    /// Splits a line that was cut behind its target, in the blank or in the version.
    pub(super) fn parse_cut(start: &'a [u8]) -> Option<Self> {
        if let Some(whole) = Self::parse(start).filter(|line| line.version.is_some()) {
            return Some(whole);
        }
        let (method, rest) = split_at_blank(start)?;
        let rest = trim_blanks_start(rest);
        let blank = memrchr2(b' ', b'\t', rest)?;
        let (target, version) = rest.split_at_checked(blank)?;
        let version = version.get(1..)?.to_ascii_uppercase();
        let target = trim_blanks(target);
        let possible = is_token(method)
            && !target.is_empty()
            && !has_control_bytes(start)
            && (b"HTTP/1.".starts_with(&version) || version.starts_with(b"HTTP/"));
        possible.then_some(Self {
            method,
            target,
            version: Some(HttpVersion::Http11),
        })
    }

    /// Whether the beginning of a line that was cut may stand anywhere, as [`is_certain_request_line`].
    pub(super) fn is_certain_cut(start: &'a [u8]) -> bool {
        Self::parse_cut(start).is_some_and(|line| line.is_certain())
    }

    fn is_certain(&self) -> bool {
        self.version.is_some()
            && METHODS.contains(&self.method)
            && (matches!(self.target.first(), Some(b'/' | b'*')) || self.authority().is_some())
    }

    /// The authority that the target names (RFC 9112 §3.2): of the absolute form, or all of it
    /// after CONNECT.
    pub(super) fn authority(&self) -> Option<&'a [u8]> {
        if self.method == b"CONNECT" {
            return Some(self.target);
        }
        absolute_authority(self.target)
    }

    /// Whether it is the first line of HTTP/2's connection preface (RFC 9113 §3.4).
    pub(super) fn is_http2_preface(line: &[u8]) -> bool {
        line.trim_ascii_end() == b"PRI * HTTP/2.0"
    }
}

/// Whether a line that may stand anywhere is a request line beyond reasonable doubt: a method
/// that is in use, a target as targets are, a version.
pub(in crate::app) fn is_certain_request_line(line: &[u8]) -> bool {
    RequestLine::parse(line).is_some_and(|parsed| parsed.is_certain())
}

/// Whether a line that has begun so can still become one.
pub(in crate::app) fn may_become_request_line(start: &[u8]) -> bool {
    match split_at_blank(start) {
        Some((method, _)) => METHODS.contains(&method),
        None => METHODS.iter().any(|method| method.starts_with(start)),
    }
}

/// What the first bytes of a response say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum StatusLine {
    /// Its status.
    Status(u16),
    /// Too few bytes to tell.
    Unfinished,
    /// No status line.
    No,
}

/// Bytes within which a status must stand: `HTTP/1.1 200`, what follows it, blanks to spare.
pub(super) const STATUS_BYTES_MAX: usize = 16;

impl StatusLine {
    /// Reads `HTTP/1.x`, blanks and three digits that nothing but a blank or line end follows.
    pub(in crate::app) fn parse(start: &[u8]) -> Self {
        let start = start.get(..STATUS_BYTES_MAX).unwrap_or(start);
        let Some(rest) = start.strip_prefix(b"HTTP/1.") else {
            return Self::unless_full(b"HTTP/1.".starts_with(start));
        };
        let [minor, b' ' | b'\t', rest @ ..] = rest else {
            return Self::unless_full(rest.len() < 2);
        };
        if !minor.is_ascii_digit() {
            return Self::No;
        }
        let rest = trim_blanks_start(rest);
        match rest {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', after, ..] => {
                if after.is_ascii_digit() {
                    return Self::No;
                }
                let digits = [a, b, c].map(|digit| u16::from(digit - b'0'));
                Self::Status(digits.iter().fold(0, |status, digit| status * 10 + digit))
            }
            _ => Self::unless_full(
                start.len() < STATUS_BYTES_MAX
                    && rest.len() <= 3
                    && rest.iter().all(u8::is_ascii_digit),
            ),
        }
    }

    fn unless_full(may_go_on: bool) -> Self {
        if may_go_on {
            Self::Unfinished
        } else {
            Self::No
        }
    }
}

/// RFC 9110 §5.6.2.
pub(in crate::app) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || is_token_mark(*byte))
}

/// What may stand in a token besides letters and digits.
const fn is_token_mark(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
    ) || matches!(byte, b'|' | b'~')
}

/// The authority of a target in absolute form; None where the form is another or names none.
fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    if target.first() == Some(&b'/') {
        return None;
    }
    let colon = memchr::memchr(b':', target)?;
    let scheme = target.get(..colon)?;
    let rest = target.get(colon..)?.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    let host = match memchr::memrchr(b'@', authority) {
        Some(at) => authority.get(at + 1..)?,
        None => authority,
    };
    (is_token(scheme) && !host.is_empty()).then_some(host)
}

/// Parts target and version. A version above 1 in a request line is still HTTP/1 by its form.
fn split_version(rest: &[u8]) -> Option<(&[u8], HttpVersion)> {
    let blank = memrchr2(b' ', b'\t', rest)?;
    let (target, version) = rest.split_at_checked(blank)?;
    let (name, number) = version.get(1..)?.split_at_checked(b"HTTP/".len())?;
    let dot = number.iter().position(|byte| *byte == b'.')?;
    let (major, minor) = (number.get(..dot)?, number.get(dot + 1..)?);
    if !name.eq_ignore_ascii_case(b"HTTP/") || !is_number(major) || !is_number(minor) {
        return None;
    }
    let version = match (major, minor) {
        (b"0", _) | (b"1", b"0") => HttpVersion::Http10,
        _ => HttpVersion::Http11,
    };
    Some((trim_blanks(target), version)).filter(|(target, _)| !target.is_empty())
}

fn is_number(digits: &[u8]) -> bool {
    (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
}

/// HTTP/0.9 knows GET and a path, and nothing else.
fn is_simple(method: &[u8], target: &[u8]) -> bool {
    method == b"GET" && target.first() == Some(&b'/') && !target.contains(&b' ')
}

fn split_at_blank(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    bytes.split_at_checked(blank)
}

/// Without a branch for each byte, so that long targets are checked many bytes at a time.
fn has_control_bytes(line: &[u8]) -> bool {
    line.iter().fold(false, |found, byte| {
        found | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f)
    })
}

fn trim_blanks_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_blanks(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_blanks_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Methods that a request line found anywhere may begin with: RFC 9110 §9, PATCH, WebDAV and
/// its kin as they are registered with IANA.
const METHODS: [&[u8]; 26] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"QUERY",
    b"ACL",
    b"MKCALENDAR",
    b"MERGE",
    b"CHECKOUT",
    b"MKACTIVITY",
    b"PURGE",
    b"VERSION-CONTROL",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Option<(String, String, Option<HttpVersion>)> {
        let parsed = RequestLine::parse(line.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(parsed.method), text(parsed.target), parsed.version))
    }

    fn expect(line: &str, method: &str, target: &str, version: Option<HttpVersion>) {
        assert_eq!(
            split(line),
            Some((method.to_owned(), target.to_owned(), version)),
            "{line:?}"
        );
    }

    #[test]
    fn request_lines_are_split_as_real_servers_do() {
        let one = Some(HttpVersion::Http11);
        let nought = Some(HttpVersion::Http10);
        expect("GET / HTTP/1.1\r\n", "GET", "/", one);
        expect("HEAD /x?a=b HTTP/1.0\n", "HEAD", "/x?a=b", nought);
        expect("get /x HTTP/1.1", "get", "/x", one);
        expect("GET  \t/x\t HTTP/1.1 \t\r", "GET", "/x", one);
        expect("GET /a b HTTP/1.1", "GET", "/a b", one);
        expect("BREW /pot HTTP/1.1", "BREW", "/pot", one);
        expect("OPTIONS * HTTP/1.1", "OPTIONS", "*", one);
        expect("CONNECT h:443 HTTP/1.1", "CONNECT", "h:443", one);
        expect("GET / http/1.1", "GET", "/", one);
        expect("GET / HTTP/1.7", "GET", "/", one);
        expect("GET / HTTP/0.9", "GET", "/", nought);
        expect("GET / HTTP/2.0", "GET", "/", one);
        expect("GET /x", "GET", "/x", None);
    }

    #[test]
    fn a_line_that_was_cut_tells_its_target_once_that_is_complete() {
        for (start, target) in [
            ("GET /x HTTP/1.1\r", Some("/x")),
            ("GET /x HTTP/1.1", Some("/x")),
            ("GET /x HTTP/1.", Some("/x")),
            ("GET /x h", Some("/x")),
            ("GET /x ", Some("/x")),
            ("GET /x y HT", Some("/x y")),
            ("GET /x", None),
            ("GET /x y", None),
            ("GET /x HTTX", None),
            ("GET  ", None),
            ("GET", None),
        ] {
            let line = RequestLine::parse_cut(start.as_bytes());
            let found = line.map(|line| line.target);
            assert_eq!(found, target.map(str::as_bytes), "{start:?}");
        }
        assert!(RequestLine::is_certain_cut(b"GET /x HT"));
        assert!(!RequestLine::is_certain_cut(b"BREW /x HT"));
    }

    #[test]
    fn what_is_no_request_line_is_refused() {
        for line in [
            "",
            "GET",
            "GET ",
            "GET /\u{1}x HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "G\u{e4}T / HTTP/1.1",
            " GET / HTTP/1.1",
            "GET HTTP/1.1",
            "GET / HTTP/1",
            "GET / HTTP/a.b",
            "GET / HTTP/1.1 x",
            "POST /x",
            "GET key",
            "SSH-2.0-OpenSSH_9.2p1 Debian-2",
            "EHLO mail.example.org",
        ] {
            assert_eq!(split(line), None, "{line:?}");
        }
    }

    #[test]
    fn an_absolute_target_names_its_authority() {
        for (line, authority) in [
            ("GET http://h/x HTTP/1.1", Some("h")),
            ("GET HTTPS://user:pw@h:8443?x HTTP/1.1", Some("h:8443")),
            ("GET http:///x HTTP/1.1", None),
            ("GET /http://h/x HTTP/1.1", None),
            ("GET x:y HTTP/1.1", None),
            ("CONNECT h:443 HTTP/1.1", Some("h:443")),
        ] {
            let parsed = RequestLine::parse(line.as_bytes()).unwrap();
            assert_eq!(parsed.authority(), authority.map(str::as_bytes), "{line:?}");
        }
    }

    #[test]
    fn a_status_stands_in_the_first_bytes_of_a_response() {
        for (start, expected) in [
            ("HTTP/1.1 200 OK\r\n", StatusLine::Status(200)),
            ("HTTP/1.0 404\r\n", StatusLine::Status(404)),
            ("HTTP/1.1  503\n", StatusLine::Status(503)),
            ("HTTP/1.1 200", StatusLine::Unfinished),
            ("HTTP/1.1 20", StatusLine::Unfinished),
            ("HTTP/1.1", StatusLine::Unfinished),
            ("H", StatusLine::Unfinished),
            ("HTTP/1.1 2000", StatusLine::No),
            ("HTTP/1.1 20x", StatusLine::No),
            ("HTTP/1.1 020 ", StatusLine::No),
            ("HTTP/1.1x200 ", StatusLine::No),
            ("HTTP/2 200 ", StatusLine::No),
            ("HTTP/1.1            ", StatusLine::No),
            ("hello", StatusLine::No),
        ] {
            assert_eq!(StatusLine::parse(start.as_bytes()), expected, "{start:?}");
        }
    }

    #[test]
    fn a_line_found_anywhere_must_be_beyond_doubt() {
        for line in [
            "GET /x HTTP/1.1",
            "HEAD http://h/ HTTP/1.0",
            "OPTIONS * HTTP/1.1",
        ] {
            assert!(is_certain_request_line(line.as_bytes()), "{line:?}");
        }
        for line in [
            "BREW /x HTTP/1.1",
            "GET /x",
            "GET it done",
            "GET me HTTP/1.1",
        ] {
            assert!(!is_certain_request_line(line.as_bytes()), "{line:?}");
        }
        for start in ["", "G", "GET", "GET /x HTT", "VERSION-C"] {
            assert!(may_become_request_line(start.as_bytes()), "{start:?}");
        }
        for start in ["X", "GETS", "get "] {
            assert!(!may_become_request_line(start.as_bytes()), "{start:?}");
        }
    }
}
