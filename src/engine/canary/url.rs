//! URLs made comparable.

use std::fmt;

use crate::canary::host::{HostError, parse_host_name};
use crate::canary::percent::{Octet, is_unreserved, may_stand_plain, octets, push_encoded};

/// A URL after normalisation: without scheme; host without case, port and trailing dot;
/// percent-encoding and dot segments by RFC 3986 §6.2.2; path and query without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NormalizedUrl {
    /// Host name or address.
    pub host: String,
    /// Path, with its leading slash.
    pub path: String,
    /// Query without its question mark; None where there is none.
    pub query: Option<String>,
}

impl NormalizedUrl {
    /// Reads an http or https URL as its owner wrote it.
    ///
    /// # Errors
    /// When it is none: see [`UrlError`].
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(UrlError::OtherScheme);
        }
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(UrlError::Space);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let host = parse_host_name(host_as_written(authority)?).map_err(UrlError::Host)?;
        Ok(Self::from_request(&host, target.as_bytes()))
    }

    /// What a request asks for: its host in normal form, and its target as on the wire (origin
    /// form or absolute form). Never fails: a target that is no path becomes one.
    pub fn from_request(host: &str, target: &[u8]) -> Self {
        let (path, query) = split_target(target);
        Self {
            host: host.to_owned(),
            path: without_dot_segments(&normal_component(path)),
            query: query.map(normal_component),
        }
    }

    /// What follows the host: path and query as they are compared.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

impl fmt::Display for NormalizedUrl {
    /// Host, path and query; different URLs never print the same.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.host, self.path)?;
        match &self.query {
            Some(query) => write!(formatter, "?{query}"),
            None => Ok(()),
        }
    }
}

/// Path and query of a target, as on the wire: without the scheme and authority of an absolute
/// form and without a fragment.
pub(super) fn split_target(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let target = without_authority(target);
    let whole = cut_at(target, b'#').0;
    cut_at(whole, b'?')
}

/// A target in origin form, percent-encoding undone everywhere and slashes that follow each other
/// in the path made one: what many servers make of it.
pub(super) fn as_servers_read(target: &[u8]) -> Vec<u8> {
    let decoded = octets(without_authority(target)).map(Octet::value);
    let mut plain: Vec<u8> = Vec::with_capacity(target.len());
    let mut in_path = true;
    for byte in decoded {
        in_path &= byte != b'?';
        if !(in_path && byte == b'/' && plain.last() == Some(&b'/')) {
            plain.push(byte);
        }
    }
    plain
}

/// What follows the authority of `scheme://authority…`; a target in origin form as it is.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memmem::find(target, b"://") else {
        return target;
    };
    let (scheme, rest) = target.split_at_checked(colon).unwrap_or((target, b""));
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    if scheme.is_empty() || !scheme.iter().all(is_scheme) {
        return target;
    }
    let rest = rest.get(3..).unwrap_or_default();
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    end.and_then(|end| rest.get(end..)).unwrap_or_default()
}

/// What stands before the first `mark`, and what behind it.
fn cut_at(bytes: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(mark, bytes) {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..)),
        None => (bytes, None),
    }
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2, then lower case: unreserved characters stand as themselves,
/// what may not stand plainly is percent-encoded, everything else stays as it was.
pub(super) fn normal_component(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for octet in octets(bytes) {
        let byte = octet.value();
        let plain = match octet {
            Octet::Plain(_) => may_stand_plain(byte),
            Octet::Encoded(_) => is_unreserved(byte),
        };
        if plain {
            text.push(char::from(byte.to_ascii_lowercase()));
        } else {
            push_encoded(&mut text, byte);
        }
    }
    text
}

/// RFC 3986 §5.2.4, for a path that is taken to be absolute.
fn without_dot_segments(path: &str) -> String {
    let relative = path.strip_prefix('/').unwrap_or(path);
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in relative.split('/') {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if ends_in_folder || normal.is_empty() {
        normal.push('/');
    }
    normal
}

/// The host of a URL's authority, its port and user taken off.
fn host_as_written(authority: &str) -> Result<&str, UrlError> {
    let host_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host_port.is_empty() {
        return Err(UrlError::NoHost);
    }
    let after_address = host_port.rfind(']').map_or(0, |at| at + 1);
    let colon = host_port
        .get(after_address..)
        .and_then(|rest| rest.find(':'));
    let Some(colon) = colon else {
        return Ok(host_port);
    };
    let (host, port) = host_port
        .split_at_checked(after_address + colon)
        .unwrap_or((host_port, ""));
    let port = port.strip_prefix(':').unwrap_or(port);
    let good = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    good.then_some(host).ok_or(UrlError::Port)
}

/// Why a text is no URL that can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with a scheme.
    NoScheme,
    /// Its scheme is neither http nor https.
    OtherScheme,
    /// White space or control characters stand in it.
    Space,
    /// No host is named.
    NoHost,
    /// Its host is none.
    Host(HostError),
    /// Its port is none.
    Port,
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => formatter.write_str("a URL begins with http:// or https://"),
            Self::OtherScheme => formatter.write_str("only http and https URLs can be watched"),
            Self::Space => formatter.write_str("a URL has no white space; write a space as %20"),
            Self::NoHost => formatter.write_str("a URL names a host"),
            Self::Host(error) => write!(formatter, "its host is none: {error}"),
            Self::Port => formatter.write_str("its port is none: 1 to 65535"),
        }
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> NormalizedUrl {
        NormalizedUrl::parse(text).unwrap()
    }

    fn same(one: &str, other: &str) -> bool {
        url(one) == url(other)
    }

    #[test]
    fn scheme_port_case_of_host_and_trailing_dot_do_not_count() {
        let plain = "http://www.example.org/x";
        for other in [
            "https://www.example.org/x",
            "HTTP://WWW.EXAMPLE.ORG/x",
            "http://www.example.org:8080/x",
            "http://www.example.org.:80/x",
            "http://user@www.example.org/x",
        ] {
            assert!(same(plain, other), "{other}");
        }
    }

    #[test]
    fn case_of_path_and_query_does_not_count() {
        assert!(same("http://a.org/X/Login?U=A", "http://a.org/x/login?u=a"));
    }

    #[test]
    fn unreserved_characters_equal_their_encoding_and_reserved_ones_do_not() {
        assert!(same("http://a.org/%7Ex%2D%61", "http://a.org/~x-a"));
        assert!(!same("http://a.org/a%2Fb", "http://a.org/a/b"));
        assert!(!same("http://a.org/?a%26b", "http://a.org/?a&b"));
        assert!(same("http://a.org/?a%2fb", "http://a.org/?a%2Fb"));
    }

    #[test]
    fn letters_beyond_ascii_equal_their_encoding() {
        assert!(same("http://a.org/größe", "http://a.org/gr%C3%B6%c3%9fe"));
    }

    #[test]
    fn dot_segments_are_resolved_also_when_they_are_encoded() {
        for (path, normal) in [
            ("/a/b/../c", "/a/c"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a//b/", "/a//b/"),
            ("/", "/"),
            ("", "/"),
            ("/...", "/..."),
        ] {
            assert_eq!(
                NormalizedUrl::from_request("a.org", path.as_bytes()).path,
                normal,
                "{path}"
            );
        }
    }

    #[test]
    fn a_query_keeps_its_dots_and_question_marks_and_an_empty_one_is_one() {
        assert_eq!(url("http://a.org/x?a/../b?c").query.unwrap(), "a/../b?c");
        assert_eq!(url("http://a.org/x?").query.as_deref(), Some(""));
        assert_eq!(url("http://a.org/x").query, None);
        assert_eq!(url("http://a.org?q").path, "/");
    }

    #[test]
    fn a_fragment_never_counts() {
        assert!(same("http://a.org/x?y#part", "http://a.org/x?y"));
        let request = NormalizedUrl::from_request("a.org", b"/x?y#part");
        assert_eq!(request, url("http://a.org/x?y"));
    }

    #[test]
    fn a_target_in_absolute_form_is_its_path_and_query() {
        let absolute = NormalizedUrl::from_request("a.org", b"http://A.org:80/x?y");
        assert_eq!(absolute, url("http://a.org/x?y"));
        let bare = NormalizedUrl::from_request("a.org", b"https://a.org");
        assert_eq!(bare.path, "/");
        let in_path = NormalizedUrl::from_request("a.org", b"/go/http://b.org/x");
        assert_eq!(in_path.path, "/go/http://b.org/x");
    }

    #[test]
    fn a_target_that_is_no_path_becomes_one() {
        assert_eq!(NormalizedUrl::from_request("a.org", b"*").path, "/*");
        assert_eq!(NormalizedUrl::from_request("a.org", b"").path, "/");
    }

    #[test]
    fn servers_undo_encoding_and_doubled_slashes() {
        for (target, read) in [
            ("//a///b%2F/c?d//e", "/a/b/c?d//e"),
            ("/a%3Fb%3Dc%2F/", "/a?b=c//"),
            ("http://a.org//x", "/x"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(
                as_servers_read(target.as_bytes()),
                read.as_bytes(),
                "{target}"
            );
        }
    }

    #[test]
    fn each_way_of_writing_no_url_has_its_reason() {
        for (text, reason) in [
            ("www.example.org/x", UrlError::NoScheme),
            ("ftp://www.example.org/x", UrlError::OtherScheme),
            ("http://www.example.org/a b", UrlError::Space),
            ("http:///x", UrlError::NoHost),
            ("http://user@/x", UrlError::NoHost),
            ("http://www.example.org:0/x", UrlError::Port),
            ("http://www.example.org:80a/x", UrlError::Port),
            ("http://a..b/x", UrlError::Host(HostError::EmptyLabel)),
        ] {
            assert_eq!(NormalizedUrl::parse(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_url_with_an_ipv6_address_is_one() {
        assert_eq!(url("http://[2001:DB8::1]:8080/x").host, "[2001:db8::1]");
        assert_eq!(url("http://[2001:DB8::1]/x").host, "[2001:db8::1]");
    }

    proptest! {
        #[test]
        fn normalising_a_target_twice_changes_nothing_more(target: Vec<u8>) {
            let once = NormalizedUrl::from_request("a.org", &target);
            let again = NormalizedUrl::from_request("a.org", once.target().as_bytes());
            prop_assert_eq!(once, again);
        }

        #[test]
        fn normalising_is_idempotent_for_targets_full_of_marks(target in "[/.%2eE?#aA:\\-]{0,30}") {
            let once = NormalizedUrl::from_request("a.org", target.as_bytes());
            let again = NormalizedUrl::from_request("a.org", once.target().as_bytes());
            prop_assert_eq!(once, again);
        }

        #[test]
        fn what_is_compared_is_lower_case_ascii_that_prints(target: Vec<u8>) {
            let target = NormalizedUrl::from_request("a.org", &target).target();
            let good = |b: u8| b.is_ascii_graphic() && !b.is_ascii_uppercase();
            prop_assert!(target.bytes().all(good), "{}", target);
        }

        #[test]
        fn any_text_is_a_url_or_has_a_reason_not_to_be(text: String) {
            let _reason_or_url = NormalizedUrl::parse(&format!("http://{text}"));
        }
    }
}
