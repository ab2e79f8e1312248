//! The way was lost, or the start was not seen: the next first line is sought.

use memchr::memchr;

use crate::app::http1::line::{StatusLine, is_certain_request_line, may_become_request_line};
use crate::limits::HEAD_BYTES_MAX;

/// What is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Sought {
    /// A request line.
    Request,
    /// A status line.
    Response,
    /// Either: who is who is not known.
    Either,
}

/// Where the search stands.
#[derive(Debug, Default)]
pub(in crate::app) enum Hunt {
    /// A line may begin here.
    #[default]
    LineStart,
    /// Within a line that is none.
    WithinLine,
    /// The beginning of a line that may be one.
    Holding(Box<Line>),
}

/// The beginning of a line; apart, so that a search that holds none is small.
#[derive(Debug)]
pub(in crate::app) struct Line {
    bytes: Vec<u8>,
}

/// What came of searching.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) enum Found<'a> {
    /// Nothing in all of the bytes.
    Nothing,
    /// A line: it begins with bytes that were held and goes on with the rest.
    Line {
        held: Vec<u8>,
        rest: &'a [u8],
        /// Whether it is a request line.
        is_request: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Request,
    Response,
    /// The line's end is missing.
    Unfinished,
    No,
}

impl Hunt {
    /// The beginning of a line that may be one.
    pub(in crate::app) fn held(&self) -> &[u8] {
        match self {
            Self::Holding(line) => &line.bytes,
            Self::LineStart | Self::WithinLine => &[],
        }
    }

    /// Searches on, and tells whether bytes were passed over that belong to no such line, empty
    /// lines apart.
    pub(in crate::app) fn pass<'a>(
        &mut self,
        sought: Sought,
        bytes: &'a [u8],
    ) -> (Found<'a>, bool) {
        let before = self.held().len();
        let found = self.feed(sought, bytes);
        let kept = match &found {
            Found::Nothing => self.held().len(),
            Found::Line { held, rest, .. } => held.len() + rest.len(),
        };
        let passed = (before + bytes.len()).saturating_sub(kept);
        let start = bytes.get(..passed).unwrap_or(bytes);
        let blank = before == 0 && start.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        (found, passed > 0 && !blank)
    }

    /// Bytes on the heap.
    pub(in crate::app) fn heap_bytes(&self) -> usize {
        match self {
            Self::Holding(line) => size_of::<Line>() + line.bytes.capacity(),
            Self::LineStart | Self::WithinLine => 0,
        }
    }

    /// Searches on.
    pub(in crate::app) fn feed<'a>(&mut self, sought: Sought, mut bytes: &'a [u8]) -> Found<'a> {
        while !bytes.is_empty() {
            match std::mem::take(self) {
                Self::LineStart => match judge(sought, bytes, memchr(b'\n', bytes)) {
                    Likeness::Unfinished => {
                        *self = Self::holding(bytes.to_vec());
                        return Found::Nothing;
                    }
                    Likeness::No => *self = Self::WithinLine,
                    found => return found_line(found, Vec::new(), bytes),
                },
                Self::WithinLine => match memchr(b'\n', bytes) {
                    Some(end) => bytes = bytes.get(end + 1..).unwrap_or_default(),
                    None => {
                        *self = Self::WithinLine;
                        return Found::Nothing;
                    }
                },
                Self::Holding(line) => {
                    let (held, rest) = extended(line.bytes, bytes);
                    bytes = rest;
                    let line_end = held.len().checked_sub(1).filter(|_| held.ends_with(b"\n"));
                    match judge(sought, &held, line_end) {
                        Likeness::Unfinished => *self = Self::holding(held),
                        Likeness::No if held.ends_with(b"\n") => {}
                        Likeness::No => *self = Self::WithinLine,
                        found => return found_line(found, held, rest),
                    }
                }
            }
        }
        Found::Nothing
    }

    fn holding(bytes: Vec<u8>) -> Self {
        Self::Holding(Box::new(Line { bytes }))
    }
}

fn found_line(likeness: Likeness, held: Vec<u8>, rest: &[u8]) -> Found<'_> {
    Found::Line {
        held,
        rest,
        is_request: likeness == Likeness::Request,
    }
}

/// Takes bytes up to the line's end to those that are held.
fn extended(mut held: Vec<u8>, bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    let (line, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    held.extend_from_slice(line);
    (held, rest)
}

/// Judges a line by its first bytes, and a request line by all of it.
fn judge(sought: Sought, bytes: &[u8], line_end: Option<usize>) -> Likeness {
    if sought != Sought::Request {
        match StatusLine::parse(bytes) {
            StatusLine::Status(_) => return Likeness::Response,
            StatusLine::Unfinished => return Likeness::Unfinished,
            StatusLine::No => {}
        }
    }
    if sought == Sought::Response || !may_begin_request_line(bytes) {
        return Likeness::No;
    }
    match line_end.and_then(|end| bytes.get(..end)) {
        Some(line) if is_certain_request_line(line) => Likeness::Request,
        Some(_) => Likeness::No,
        None if bytes.len() > HEAD_BYTES_MAX => Likeness::No,
        None => Likeness::Unfinished,
    }
}

/// A cheap look first: nearly every line of a body fails it.
fn may_begin_request_line(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase) && may_become_request_line(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line that is found, its beginning at least, in bytes that come in such pieces.
    fn hunt(sought: Sought, text: &str, size: usize) -> Option<(String, bool)> {
        let mut hunt = Hunt::default();
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        for (at, piece) in pieces.iter().enumerate() {
            if let Found::Line {
                mut held,
                rest,
                is_request,
            } = hunt.feed(sought, piece)
            {
                held.extend_from_slice(rest);
                held.extend(pieces[at + 1..].concat());
                return Some((String::from_utf8(held).unwrap(), is_request));
            }
        }
        None
    }

    #[test]
    fn a_line_is_found_however_the_bytes_are_cut() {
        for (sought, text, expected) in [
            (
                Sought::Request,
                "x GET /a HTTP/1.1\r\nGET /b HTTP/1.1\r\nH",
                true,
            ),
            (
                Sought::Request,
                "GET on\nwith it\nGET /b HTTP/1.1\r\nH",
                true,
            ),
            (
                Sought::Request,
                "HTTP/1.1 200 OK\r\nGET /b HTTP/1.1\r\nH",
                true,
            ),
            (Sought::Either, "POST it\n\nGET /b HTTP/1.1\r\nH", true),
            (
                Sought::Response,
                "GET /a HTTP/1.1\nHTTP/1.1 200\r\nH",
                false,
            ),
            (Sought::Either, "<html>\nHTTP/1.1 200\r\nH", false),
        ] {
            let line = if expected {
                "GET /b HTTP/1.1\r\nH"
            } else {
                "HTTP/1.1 200\r\nH"
            };
            for size in 1..=text.len() {
                assert_eq!(
                    hunt(sought, text, size),
                    Some((line.to_owned(), expected)),
                    "{text:?} in pieces of {size}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_such_line_is_passed_over_and_not_held() {
        let text = "GET on with it\nGETTING\nPUT\n\nHTTP/2\nMOVE \u{1} HTTP/1.1\n";
        for size in 1..=text.len() {
            assert_eq!(
                hunt(Sought::Either, text, size),
                None,
                "in pieces of {size}"
            );
        }
        let mut hunt = Hunt::default();
        assert_eq!(hunt.feed(Sought::Either, &[b'x'; 4096]), Found::Nothing);
        assert_eq!(hunt.heap_bytes(), 0);
    }

    #[test]
    fn a_line_without_end_is_held_no_longer_than_the_bound() {
        let mut hunt = Hunt::default();
        let mut highest = 0;
        hunt.feed(Sought::Request, b"GET /");
        for _ in 0..HEAD_BYTES_MAX / 1024 + 2 {
            hunt.feed(Sought::Request, &[b'x'; 1024]);
            highest = highest.max(hunt.heap_bytes());
        }
        assert!(highest <= 3 * HEAD_BYTES_MAX, "{highest}");
        assert_eq!(hunt.heap_bytes(), 0);
    }
}
