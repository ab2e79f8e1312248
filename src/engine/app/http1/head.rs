//! Request and response heads (RFC 9112 §2 to §5), as leniently as real servers read them.

use std::borrow::Cow;

use memchr::memchr;

use crate::engine::app::{HeaderField, HttpVersion};
use crate::engine::limits::HEAD_FIELDS_MAX;

/// How the body after a head is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Nothing says: none after a request, until the close after a response.
    Unsaid,
    /// Two lengths that contradict each other.
    Contradictory,
}

/// A request head, split but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: HttpVersion,
    pub(super) fields: Vec<HeaderField<'a>>,
}

impl<'a> Request<'a> {
    /// Splits a head; None when its first line is no request line.
    pub(super) fn parse(head: &'a [u8]) -> Option<Self> {
        let (line, rest) = split_line(head)?;
        let (method, target, version) = request_line(line)?;
        Some(Self {
            method,
            target,
            version,
            fields: fields(rest),
        })
    }

    /// The authority: an absolute target's (RFC 9112 §3.2.2), else the Host field's.
    pub(super) fn authority(&self) -> Option<&[u8]> {
        absolute_authority(self.target).or_else(|| self.field(b"host"))
    }

    pub(super) fn field(&self, name: &[u8]) -> Option<&[u8]> {
        field(&self.fields, name)
    }
}

/// A response head, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) framing: Framing,
}

impl Response {
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let (line, rest) = split_line(head)?;
        Some(Self {
            status: status_line(line)?,
            framing: framing(&fields(rest)),
        })
    }
}

/// Where a head ends: behind its first empty line, bare LF allowed (RFC 9112 §2.2).
pub(super) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let line_end = at + memchr(b'\n', bytes.get(at..)?)? + 1;
        match bytes.get(line_end..)? {
            [b'\n', ..] => return Some(line_end + 1),
            [b'\r', b'\n', ..] => return Some(line_end + 2),
            _ => at = line_end,
        }
    }
}

/// The authority of an absolute target.
pub(super) fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = (target.get(..4)?, target.get(4..)?);
    if !scheme.eq_ignore_ascii_case(b"http") {
        return None;
    }
    let rest = rest
        .strip_prefix(b"s")
        .or_else(|| rest.strip_prefix(b"S"))
        .unwrap_or(rest)
        .strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    rest.get(..end)
}

/// The value of the Host field of a head whose end is still missing.
pub(super) fn early_authority(head: &[u8]) -> Option<&[u8]> {
    let (line, mut rest) = split_line(head)?;
    if let Some((_, target, _)) = request_line(line) {
        if let Some(authority) = absolute_authority(target) {
            return Some(authority);
        }
    }
    while let Some((line, after)) = split_line(rest) {
        if let Some((name, value)) = split_field(line) {
            if name.eq_ignore_ascii_case(b"host") {
                return Some(value);
            }
        }
        rest = after;
    }
    None
}

/// The first line without its end, and what follows it.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// Method, target and version. Without a version it is HTTP/0.9, which a certain start of
/// stream alone makes likely: it is not read.
pub(super) fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], HttpVersion)> {
    let method_end = memchr(b' ', line)?;
    let (method, rest) = line.split_at_checked(method_end)?;
    let rest = rest.trim_ascii();
    let target_end = rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t'))?;
    let (target, version) = rest.split_at_checked(target_end)?;
    let target = target.trim_ascii_end();
    if !is_token(method) || target.is_empty() {
        return None;
    }
    Some((method, target, version_of(version.trim_ascii_start())?))
}

fn version_of(text: &[u8]) -> Option<HttpVersion> {
    match text.strip_prefix(b"HTTP/")? {
        b"1.0" | b"0.9" => Some(HttpVersion::Http10),
        [b'1', b'.', digit] if digit.is_ascii_digit() => Some(HttpVersion::Http11),
        _ => None,
    }
}

/// `HTTP/1.1 200 OK` and its three digits.
fn status_line(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?.get(1..)?.trim_ascii_start();
    let digits: &[u8; 3] = rest.first_chunk()?;
    let text = std::str::from_utf8(digits).ok()?;
    text.parse().ok().filter(|status| *status >= 100)
}

/// RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// The fields of a head after its first line; folds are undone (RFC 9112 §5.2).
fn fields(mut rest: &[u8]) -> Vec<HeaderField<'_>> {
    let mut fields: Vec<HeaderField<'_>> = Vec::new();
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t'))
        {
            if let Some(last) = fields.last_mut() {
                unfold(&mut last.value, line.trim_ascii());
            }
        } else if let Some((name, value)) = split_field(line) {
            if fields.len() < HEAD_FIELDS_MAX {
                let value = Cow::Borrowed(value);
                fields.push(HeaderField { name, value });
            }
        }
    }
    fields
}

fn unfold(value: &mut Cow<'_, [u8]>, more: &[u8]) {
    let value = value.to_mut();
    if !value.is_empty() && !more.is_empty() {
        value.push(b' ');
    }
    value.extend_from_slice(more);
}

fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii_end();
    is_token(name).then_some((name, value.get(1..)?.trim_ascii()))
}

fn field<'a>(fields: &'a [HeaderField<'_>], name: &[u8]) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))
        .map(|field| &*field.value)
}

/// RFC 9112 §6.3: chunked goes before a length; a list of equal lengths is one.
pub(super) fn framing(fields: &[HeaderField<'_>]) -> Framing {
    if field(fields, b"transfer-encoding").is_some_and(ends_in_chunked) {
        return Framing::Chunked;
    }
    let mut found = Framing::Unsaid;
    let lengths = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(b"content-length"))
        .flat_map(|field| field.value.split(|byte| *byte == b','));
    for length in lengths {
        let one = decimal(length.trim_ascii()).map_or(Framing::Contradictory, Framing::Length);
        found = match found {
            Framing::Unsaid => one,
            known if known == one => one,
            _ => Framing::Contradictory,
        };
    }
    found
}

fn ends_in_chunked(value: &[u8]) -> bool {
    value
        .rsplit(|byte| *byte == b',')
        .next()
        .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
