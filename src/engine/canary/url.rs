//! URLs made comparable.

use std::fmt;

/// A URL after normalisation: without scheme; host without case, port and trailing dot;
/// percent-encoding and dot segments by RFC 3986 §6.2.2; path and query without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NormalizedUrl {
    /// Host name or address.
    pub host: String,
    /// Path, with its leading slash.
    pub path: String,
    /// Query without its question mark; None where there is none.
    pub query: Option<String>,
}

/// Why a text is no URL of a web page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It begins neither with `http://` nor with `https://`.
    Scheme,
    /// No host name, or none that can be one.
    Host,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "must begin with http:// or https://",
            Self::Host => "has no valid host name",
        })
    }
}

impl std::error::Error for UrlError {}

impl NormalizedUrl {
    /// Normalises a URL as its owner wrote it.
    ///
    /// # Errors
    /// [`UrlError`] when it is no http or https URL with a host.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (authority, target) = split(url.trim().as_bytes()).ok_or(UrlError::Scheme)?;
        let host = normalize_host(authority).ok_or(UrlError::Host)?;
        Ok(Self::from_request(&host, target))
    }

    /// Normalises what a request asked for: `host` is normalised already, `target` as on the wire
    /// (origin form or absolute form).
    pub fn from_request(host: &str, target: &[u8]) -> Self {
        let target = split(target).map_or(target, |(_, rest)| rest);
        let target = until(target, b'#');
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (
                target.get(..at).unwrap_or_default(),
                target.get(at + 1..).map(normalize),
            ),
            None => (target, None),
        };
        Self {
            host: host.to_owned(),
            path: remove_dot_segments(&normalize(path)),
            query,
        }
    }
}

/// Authority and target of an http or https URL.
fn split(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    })?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    rest.split_at_checked(end)
}

fn until(bytes: &[u8], end: u8) -> &[u8] {
    let at = bytes.iter().position(|byte| *byte == end);
    at.and_then(|at| bytes.get(..at)).unwrap_or(bytes)
}

/// The host of an authority: user information, port and trailing dot off, lower case. None when
/// nothing is left, or when it holds what no host can.
pub fn normalize_host(authority: &[u8]) -> Option<String> {
    let host = bare_host(authority);
    let text = std::str::from_utf8(host).ok()?;
    let bad = |c: char| c.is_control() || c.is_whitespace() || "/?#@\\\"<>".contains(c);
    (!text.is_empty() && !text.contains(bad)).then(|| text.to_lowercase())
}

/// The host of an authority, in the sender's case.
pub(super) fn bare_host(authority: &[u8]) -> &[u8] {
    let host = match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) => authority.get(at + 1..).unwrap_or_default(),
        None => authority,
    };
    if host.first() == Some(&b'[') {
        let end = host.iter().position(|byte| *byte == b']');
        return end.and_then(|end| host.get(1..end)).unwrap_or_default();
    }
    let host = until(host, b':');
    host.strip_suffix(b".").unwrap_or(host)
}

/// Unreserved characters are decoded, all others written as `%XX`; letters lower case. What
/// is not UTF-8 stays encoded.
fn normalize(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        let (byte, encoded, after) = match (byte, hex_pair(after)) {
            (b'%', Some((decoded, after))) => (decoded, true, after),
            _ => (*byte, false, after),
        };
        rest = after;
        push(&mut text, byte, encoded);
    }
    text
}

/// RFC 3986 §2.3: only unreserved characters mean the same encoded and plain.
fn push(text: &mut String, byte: u8, encoded: bool) {
    let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let plain = unreserved || (!encoded && byte.is_ascii_graphic());
    if plain {
        text.push(char::from(byte.to_ascii_lowercase()));
    } else {
        text.push('%');
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
}

fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = bytes.split_first_chunk()?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let value = digit(high)? * 16 + digit(low)?;
    Some((u8::try_from(value).ok()?, rest))
}

/// RFC 3986 §5.2.4, on a path that begins with a slash; any other gets one.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    let last = segments.len().saturating_sub(1);
    let from = usize::from(path.starts_with('/'));
    for (at, segment) in segments.iter().enumerate().skip(from) {
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if at == last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) {
        let (one, other) = (NormalizedUrl::parse(one), NormalizedUrl::parse(other));
        assert_eq!(one, other);
        assert!(one.is_ok());
    }

    #[test]
    fn scheme_case_port_and_trailing_dot_do_not_count() {
        same(
            "https://www.Example.org./A?B=C",
            "http://www.example.org:8080/a?b=c",
        );
    }

    #[test]
    fn encoded_letters_equal_plain_ones_and_encoded_slashes_do_not() {
        same("http://h.example/%7Eme/%61", "http://h.example/~me/a");
        let slash = NormalizedUrl::parse("http://h.example/a%2Fb").unwrap();
        assert_eq!(slash.path, "/a%2fb");
    }

    #[test]
    fn dot_segments_are_removed() {
        same("http://h.example/a/b/../c/./d", "http://h.example/a/c/d");
        same("http://h.example/a/..", "http://h.example/");
        same("http://h.example", "http://h.example/");
        same("http://h.example/../../x", "http://h.example/x");
    }

    #[test]
    fn a_fragment_is_no_part_of_what_is_asked() {
        same("http://h.example/a#top", "http://h.example/a");
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        let once = NormalizedUrl::parse("http://h.example/%41/../b c/%ff?Q=%2F").unwrap();
        let again = NormalizedUrl::from_request(&once.host, once.path.as_bytes());
        assert_eq!(once.path, again.path);
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        assert_eq!(
            NormalizedUrl::parse("ftp://h.example/"),
            Err(UrlError::Scheme)
        );
        assert_eq!(NormalizedUrl::parse("http:///a"), Err(UrlError::Host));
    }
}
