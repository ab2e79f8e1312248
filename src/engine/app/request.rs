//! A request head of HTTP/2 or HTTP/3, gathered field by field as it is decompressed
//! (RFC 9113 §8.3, RFC 9114 §4.3).

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use crate::app::http1::is_token;
use crate::app::{HeaderField, HttpVersion, Observer, RequestHead};
use crate::event::Flags;
use crate::limits::{HEAD_BYTES_MAX, HEAD_FIELDS_MAX};

/// What was told of a request so far. Of a request that nobody wants, and of cookies, no more is
/// kept than must be.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    /// Name and value of each field that is kept, as places in `bytes`.
    fields: Vec<(Range<usize>, Range<usize>)>,
    method: Option<Range<usize>>,
    path: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    scheme: Option<Range<usize>>,
    protocol: Option<Range<usize>>,
    /// Whether a field came that is no pseudo header: those come first.
    has_fields: bool,
    is_unwanted: bool,
    is_malformed: bool,
    is_truncated: bool,
}

impl Gathered {
    /// Takes the next field.
    pub(super) fn on_field(&mut self, name: &[u8], value: &[u8], observer: &impl Observer) {
        match name.strip_prefix(b":") {
            Some(name) => self.on_pseudo_header(name, value),
            None => {
                if !self.has_fields {
                    self.has_fields = true;
                    self.is_unwanted = self
                        .text(self.authority.as_ref())
                        .is_some_and(|authority| !observer.is_watched(authority));
                }
                self.on_plain_field(name, value);
            }
        }
    }

    /// Whether any pseudo header came: trailers have none.
    pub(super) fn has_pseudo_headers(&self) -> bool {
        let all = [&self.method, &self.path, &self.authority, &self.scheme];
        self.is_malformed || all.into_iter().any(Option::is_some)
    }

    /// Whether it says enough to be a request, and nothing that contradicts it.
    pub(super) fn is_request(&self) -> bool {
        !self.is_malformed && self.method().is_some() && self.target().is_some()
    }

    /// The authority that the request is for: of `:authority`, else of the first `host` that names
    /// one.
    pub(super) fn authority(&self) -> Option<&[u8]> {
        let hosts = self
            .fields
            .iter()
            .filter(|(name, _)| self.slice(name).eq_ignore_ascii_case(b"host"))
            .map(|(_, value)| self.slice(value));
        self.text(self.authority.as_ref())
            .into_iter()
            .chain(hosts)
            .find(|authority| !authority.is_empty())
    }

    /// All of it; None when it [is no request](Self::is_request). `complete` says whether every
    /// field could be decompressed.
    pub(super) fn head(
        &self,
        version: HttpVersion,
        proxied_for: Option<IpAddr>,
        flags: Flags,
        complete: bool,
    ) -> Option<RequestHead<'_>> {
        if self.is_malformed {
            return None;
        }
        let cut = if self.is_truncated {
            Flags::TRUNCATED
        } else {
            Flags::NONE
        };
        Some(RequestHead {
            method: self.method()?,
            target: self.target()?,
            version,
            authority: self.authority(),
            fields: self.fields(),
            complete: complete && !self.is_truncated,
            tunnelled: false,
            proxied_for,
            flags: flags.with(cut),
        })
    }

    fn fields(&self) -> Vec<HeaderField<'_>> {
        self.fields
            .iter()
            .map(|(name, value)| HeaderField {
                name: self.slice(name),
                value: Cow::Borrowed(self.slice(value)),
            })
            .collect()
    }

    fn method(&self) -> Option<&[u8]> {
        self.text(self.method.as_ref())
            .filter(|method| is_token(method))
    }

    /// The path with its query; of CONNECT, which has none, the authority (RFC 9113 §8.5).
    fn target(&self) -> Option<&[u8]> {
        match self.text(self.path.as_ref()) {
            None if self.method() == Some(b"CONNECT") => self.authority(),
            path => path.filter(|path| !path.is_empty()),
        }
    }

    /// One that comes twice, or behind other fields, or is none of a request's makes the request
    /// malformed (RFC 9113 §8.3).
    fn on_pseudo_header(&mut self, name: &[u8], value: &[u8]) {
        let place = self.keep(value);
        let slot = match name {
            b"method" => &mut self.method,
            b"path" => &mut self.path,
            b"authority" => &mut self.authority,
            b"scheme" => &mut self.scheme,
            b"protocol" => &mut self.protocol,
            _ => {
                self.is_malformed = true;
                return;
            }
        };
        let is_second = slot.is_some();
        *slot = place;
        self.is_malformed |= is_second || self.has_fields;
    }

    fn on_plain_field(&mut self, name: &[u8], value: &[u8]) {
        if self.is_unwanted || name == b"cookie" {
            return;
        }
        if self.fields.len() == HEAD_FIELDS_MAX {
            self.is_truncated = true;
            return;
        }
        if let (Some(name), Some(value)) = (self.keep(name), self.keep(value)) {
            self.fields.push((name, value));
        }
    }

    /// Where a copy of `bytes` stands; None when there is no room for it.
    fn keep(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let start = self.bytes.len();
        if start + bytes.len() > HEAD_BYTES_MAX {
            self.is_truncated = true;
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    fn text(&self, place: Option<&Range<usize>>) -> Option<&[u8]> {
        place.map(|place| self.slice(place))
    }

    fn slice(&self, place: &Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }
}

/// The status in a response's `:status` (RFC 9113 §8.3.2): three digits, the first not 0.
pub(super) fn status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else {
        return None;
    };
    let [a, b, c] = [a, b, c].map(|digit| u16::from(digit - b'0'));
    Some(a * 100 + b * 10 + c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::Notes;

    fn gather(fields: &[(&str, &str)]) -> Gathered {
        let mut gathered = Gathered::default();
        for (name, value) in fields {
            gathered.on_field(name.as_bytes(), value.as_bytes(), &Notes::default());
        }
        gathered
    }

    fn told(fields: &[(&str, &str)]) -> Option<(String, String, Option<String>)> {
        let gathered = gather(fields);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let head = gathered.head(HttpVersion::Http2, None, Flags::NONE, true);
        assert_eq!(head.is_some(), gathered.is_request());
        let head = head?;
        Some((
            text(head.method),
            text(head.target),
            head.authority.map(text),
        ))
    }

    const GET: (&str, &str) = (":method", "GET");
    const PATH: (&str, &str) = (":path", "/x?y");

    #[test]
    fn the_authority_goes_before_the_host_field_unless_it_is_empty() {
        for (fields, authority) in [
            (
                &[GET, PATH, (":authority", "a"), ("host", "b")][..],
                Some("a"),
            ),
            (&[GET, PATH, (":authority", ""), ("host", "b")], Some("b")),
            (
                &[PATH, GET, ("host", ""), ("Host", "b"), ("host", "c")],
                Some("b"),
            ),
            (&[GET, (":scheme", "http"), PATH], None),
        ] {
            let expected = ("GET".into(), "/x?y".into(), authority.map(Into::into));
            assert_eq!(told(fields), Some(expected), "{fields:?}");
        }
    }

    #[test]
    fn connect_asks_for_an_authority_unless_it_names_a_protocol_inside() {
        let connect = (":method", "CONNECT");
        let (_, target, _) = told(&[connect, (":authority", "h:443")]).unwrap();
        assert_eq!(target, "h:443");
        let web_socket = [
            connect,
            (":protocol", "websocket"),
            PATH,
            (":authority", "h"),
        ];
        assert_eq!(told(&web_socket).unwrap().1, "/x?y");
    }

    #[test]
    fn what_contradicts_itself_or_says_too_little_is_no_request() {
        for fields in [
            &[GET][..],
            &[PATH],
            &[GET, (":path", "")],
            &[(":method", ""), PATH],
            &[(":method", "G T"), PATH],
            &[GET, GET, PATH],
            &[GET, PATH, PATH],
            &[GET, ("a", "b"), PATH],
            &[GET, PATH, (":status", "200")],
            &[GET, PATH, (":unheard-of", "")],
            &[(":method", "CONNECT")],
            &[("a", "b")],
            &[],
        ] {
            assert_eq!(told(fields), None, "{fields:?}");
        }
        assert!(!gather(&[("grpc-status", "0")]).has_pseudo_headers());
        assert!(gather(&[(":path", "")]).has_pseudo_headers());
    }

    #[test]
    fn cookies_and_the_fields_of_hosts_that_are_not_watched_are_not_kept() {
        let fields = [
            GET,
            PATH,
            (":authority", "h"),
            ("cookie", "c"),
            ("referer", "r"),
        ];
        let gathered = gather(&fields);
        let head = gathered
            .head(HttpVersion::Http2, None, Flags::NONE, true)
            .unwrap();
        assert_eq!(head.fields.len(), 1);
        assert_eq!(head.field("Referer"), Some(&b"r"[..]));
        let other = gather(&[GET, PATH, (":authority", "other"), ("referer", "r")]);
        assert!(other.is_request() && other.fields.is_empty());
    }

    #[test]
    fn fields_beyond_the_bounds_are_left_out_and_the_head_is_flagged() {
        let long = "x".repeat(HEAD_BYTES_MAX - 100);
        for more in [
            vec![("a", "b"); HEAD_FIELDS_MAX + 1],
            vec![("a", &*long), ("b", &*long)],
        ] {
            let fields = [&[GET, PATH][..], &more].concat();
            let gathered = gather(&fields);
            let head = gathered
                .head(HttpVersion::Http2, None, Flags::GAP, true)
                .unwrap();
            assert_eq!(head.flags, Flags::GAP.with(Flags::TRUNCATED));
            assert!(head.fields.len() < more.len() && !head.complete);
        }
    }

    #[test]
    fn a_status_has_three_digits() {
        assert_eq!(status(b"404"), Some(404));
        for wrong in [&b""[..], b"20", b"2000", b"099", b"+20", b"2 0"] {
            assert_eq!(status(wrong), None);
        }
    }
}
