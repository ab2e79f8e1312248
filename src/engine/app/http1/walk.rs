//! A request head, or as much of it as is there, walked over once.

use memchr::memchr;

use crate::app::HeaderField;
use crate::app::http1::fields::{Fields, Next, RawField};
use crate::app::http1::framing::Framing;
use crate::app::http1::line::RequestLine;
use crate::limits::HEAD_FIELDS_MAX;

/// What a request head says that must be known in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk<'a> {
    /// Its first line, once that is complete.
    pub(super) line: Option<RequestLine<'a>>,
    /// The authority, once it is known: of the target, else of the first Host field that names one.
    pub(super) authority: Option<&'a [u8]>,
    /// What follows it, as far as was read.
    pub(super) framing: Framing,
    /// Bytes that were read: the head's length when it is complete, else where the first line or
    /// field begins that is not.
    pub(super) read: usize,
    /// Whether the head is complete.
    pub(super) complete: bool,
}

/// The first line is no request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRequestLine {
    /// Bytes of it, with its line end.
    pub(super) length: usize,
    /// Whether it names HTTP all the same.
    pub(super) names_http: bool,
    /// Whether it begins HTTP/2's connection preface.
    pub(super) is_http2: bool,
}

impl<'a> Walk<'a> {
    /// Walks over bytes that begin with a request line.
    pub(super) fn over(head: &'a [u8]) -> Result<Self, NoRequestLine> {
        let mut walk = Self {
            line: None,
            authority: None,
            framing: Framing::default(),
            read: 0,
            complete: false,
        };
        let Some(line_feed) = memchr(b'\n', head) else {
            return Ok(walk);
        };
        let length = line_feed + 1;
        let (line, rest) = head.split_at_checked(length).unwrap_or((head, &[]));
        let parsed = RequestLine::parse(line).filter(|_| !RequestLine::is_http2_preface(line));
        let Some(parsed) = parsed else {
            return Err(NoRequestLine {
                length,
                names_http: memchr::memmem::find(line, b"HTTP/").is_some(),
                is_http2: RequestLine::is_http2_preface(line),
            });
        };
        walk.line = Some(parsed);
        walk.read = length;
        walk.authority = parsed.authority();
        if parsed.version.is_some() {
            walk.over_fields(rest);
        } else {
            walk.complete = true;
        }
        Ok(walk)
    }

    /// Walks over the beginning of a head that was cut there; None when its target may go on.
    pub(super) fn over_cut(head: &'a [u8]) -> Option<Self> {
        let mut walk = Self::over(head).ok()?;
        if walk.line.is_none() {
            let line = RequestLine::parse_cut(head)?;
            walk.authority = line.authority();
            walk.line = Some(line);
        }
        Some(walk)
    }

    fn over_fields(&mut self, bytes: &'a [u8]) {
        let mut fields = Fields::new(bytes);
        self.complete = loop {
            match fields.next() {
                Next::Field(field) => {
                    if self.authority.is_none() {
                        self.authority = host(field);
                    }
                    self.framing.note(field);
                }
                Next::End => break true,
                Next::Unfinished => break false,
            }
        };
        if self.authority.is_none() && !self.complete {
            self.authority = fields.unfinished().and_then(host);
        }
        self.read += bytes.len() - fields.rest().len();
    }
}

/// Looks for the authority in the fields of a head's middle. With it, or without: how many bytes
/// were read, up to the first field that is not complete.
pub(super) fn find_host(bytes: &[u8]) -> (Option<&[u8]>, usize) {
    let mut fields = Fields::new(bytes);
    let mut found = None;
    while let (None, Next::Field(field)) = (found, fields.next()) {
        found = host(field);
    }
    let read = bytes.len() - fields.rest().len();
    (found.or_else(|| fields.unfinished().and_then(host)), read)
}

/// All fields of a head, and whether there were more than the bound.
pub(super) fn header_fields(head: &[u8]) -> (Vec<HeaderField<'_>>, bool) {
    let after_line = memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    let mut walk = Fields::new(head.get(after_line..).unwrap_or_default());
    let mut fields = Vec::with_capacity(16);
    while let Next::Field(raw) = walk.next() {
        if fields.len() == HEAD_FIELDS_MAX {
            return (fields, true);
        }
        fields.extend(raw.split().map(|(name, value)| HeaderField { name, value }));
    }
    (fields, false)
}

/// The value of a Host field that names something.
///
/// Its first line that is not empty is all that counts: no name goes on behind a blank. So it is
/// known at that line's end, before the next line shows whether it is folded.
fn host(field: RawField<'_>) -> Option<&[u8]> {
    if field.initial() != b'h' {
        return None;
    }
    let value = field.first_line_of(b"host")?;
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_tells_how_far_it_came() {
        let head = b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        let whole = Walk::over(head).unwrap();
        assert!(whole.complete);
        assert_eq!(whole.read, head.len() - 3);
        assert_eq!(whole.authority, Some(&b"h"[..]));
        let part = Walk::over(&head[..26]).unwrap();
        assert_eq!((part.complete, part.read), (false, 25));
        let part = Walk::over(&head[..25]).unwrap();
        assert_eq!((part.authority, part.read), (Some(&b"h"[..]), 16));
        let part = Walk::over(&head[..24]).unwrap();
        assert_eq!((part.authority, part.read), (None, 16));
        assert_eq!(Walk::over(&head[..9]).unwrap().line, None);
    }

    #[test]
    fn the_first_host_that_names_something_counts_and_a_target_before_it() {
        let authority = |head: &str| {
            let head = head.replace('|', "\r\n");
            let walk = Walk::over(head.as_bytes()).unwrap();
            walk.authority
                .map(|one| String::from_utf8(one.to_owned()).unwrap())
        };
        let one = Some("one".to_owned());
        assert_eq!(
            authority("GET / HTTP/1.1|Host:|hOST :\tone |Host: two||"),
            one
        );
        assert_eq!(authority("GET / HTTP/1.1|Host:| one||"), one);
        assert_eq!(authority("GET / HTTP/1.1|Host: one| two||"), one);
        assert_eq!(authority("GET http://one/ HTTP/1.1|Host: two||"), one);
        assert_eq!(authority("GET / HTTP/1.1|Hosts: two|X: y| Host: z||"), None);
    }

    #[test]
    fn a_simple_request_is_complete_with_its_line() {
        let walk = Walk::over(b"GET /x\r\nHost: h\r\n\r\n").unwrap();
        assert_eq!((walk.complete, walk.read), (true, 8));
    }

    #[test]
    fn no_request_line_is_told_with_what_it_may_be() {
        let refused = |line: &str| Walk::over(line.as_bytes()).unwrap_err();
        assert_eq!(refused("EHLO x\r\nMAIL").length, 8);
        assert!(!refused("EHLO x\r\n").names_http);
        assert!(refused("GET /\0 HTTP/1.1\r\n").names_http);
        assert!(refused("PRI * HTTP/2.0\r\n\r\nSM").is_http2);
    }

    #[test]
    fn fields_beyond_the_bound_are_left_out() {
        let head = format!("GET / HTTP/1.1\n{}\n", "a: b\n".repeat(HEAD_FIELDS_MAX + 1));
        let (fields, more) = header_fields(head.as_bytes());
        assert_eq!((fields.len(), more), (HEAD_FIELDS_MAX, true));
        let (fields, more) = header_fields(b"GET / HTTP/1.1\r\nA: b\r\nC");
        assert_eq!((fields.len(), more), (1, false));
    }
}
