//! Host names: as they stand in requests, read leniently, and as users write them, read strictly.

use std::fmt;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str;

use crate::canary::percent::{Octet, octets};
use crate::canary::punycode::to_a_label;
use crate::limits::HOST_BYTES_MAX;

/// A watched host: its name, lower case, without trailing dot, or all names below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name only.
    Exact(String),
    /// `*.name`: every name that ends in `.name`, but not `name` itself.
    Subdomains(String),
}

impl HostPattern {
    /// Reads `name` or `*.name`.
    ///
    /// # Errors
    /// When it is no host name.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.") {
            Some(parent) => parse_host_name(parent).map(Self::Subdomains),
            None => parse_host_name(text).map(Self::Exact),
        }
    }

    /// Whether `host`, in its normal form, is meant.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Subdomains(parent) => host
                .strip_suffix(parent.as_str())
                .and_then(|below| below.strip_suffix('.'))
                .is_some_and(|below| !below.is_empty()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => formatter.write_str(name),
            Self::Subdomains(parent) => write!(formatter, "*.{parent}"),
        }
    }
}

/// The host of an authority (`host`, `host:port`, `user@host`) in the form that is compared:
/// lower case, without user, port and trailing dot, percent-encoding undone, labels beyond ASCII
/// as `xn--…`, an IPv6 address in brackets and in its shortest form. None when there is none.
pub fn normalize_host(authority: &[u8]) -> Option<String> {
    NormalHost::read(authority).map(|host| host.as_str().to_owned())
}

/// A host in its normal form, on the stack: it is needed for every request head on the wire.
pub(super) struct NormalHost {
    bytes: [u8; HOST_BYTES_MAX],
    length: usize,
}

impl NormalHost {
    pub(super) fn read(authority: &[u8]) -> Option<Self> {
        let mut host = Self {
            bytes: [0; HOST_BYTES_MAX],
            length: 0,
        };
        if host.take_plain(authority).is_some() {
            return Some(host);
        }
        let name = without_user(authority);
        match name.strip_prefix(b"[") {
            Some(bracketed) => host.take_ipv6(bracketed)?,
            None => host.take_name(name)?,
        }
        Some(host)
    }

    pub(super) fn as_str(&self) -> &str {
        let taken = self.bytes.get(..self.length).unwrap_or_default();
        str::from_utf8(taken).unwrap_or_default() // only ASCII was pushed
    }

    fn take_plain(&mut self, name: &[u8]) -> Option<()> {
        if !is_normal(name) {
            return None;
        }
        self.bytes.get_mut(..name.len())?.copy_from_slice(name);
        self.length = name.len();
        Some(())
    }

    fn take_name(&mut self, name: &[u8]) -> Option<()> {
        let end = memchr::memchr(b':', name).unwrap_or(name.len());
        for octet in octets(name.get(..end)?) {
            let byte = octet.value().to_ascii_lowercase();
            if !byte.is_ascii() {
                return self.take_unicode(name.get(..end)?);
            }
            self.push(byte)?;
        }
        self.finish()
    }

    /// The rare name beyond ASCII, which costs an allocation.
    fn take_unicode(&mut self, name: &[u8]) -> Option<()> {
        if name.len() > 3 * HOST_BYTES_MAX {
            return None;
        }
        let decoded: Vec<u8> = octets(name).map(|octet| octet.value()).collect();
        let ascii = to_ascii(str::from_utf8(&decoded).ok()?)?;
        self.length = 0;
        for byte in ascii.bytes() {
            self.push(byte)?;
        }
        self.finish()
    }

    fn take_ipv6(&mut self, bracketed: &[u8]) -> Option<()> {
        let end = memchr::memchr(b']', bracketed)?;
        let text = str::from_utf8(bracketed.get(..end)?).ok()?;
        let address: Ipv6Addr = text.parse().ok()?;
        let mut free: &mut [u8] = &mut self.bytes;
        let room = free.len();
        write!(free, "[{address}]").ok()?;
        self.length = room - free.len();
        Some(())
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }

    /// Drops the trailing dot, and refuses what cannot be a name: what begins or ends other parts
    /// of a URL, which only percent-encoding brings in here, and what is encoded twice.
    fn finish(&mut self) -> Option<()> {
        if self.as_str().ends_with('.') {
            self.length -= 1;
        }
        let never = |byte: u8| byte <= b' ' || byte == 0x7F || b":/?#\\@[]".contains(&byte);
        let name = self.as_str().as_bytes();
        let encoded = |octet| matches!(octet, Octet::Encoded(_));
        let good = !name.is_empty() && !name.iter().copied().any(never);
        (good && !octets(name).any(encoded)).then_some(())
    }
}

/// Whether an authority is a name in its normal form as it stands, as nearly all are.
pub(super) fn is_normal(authority: &[u8]) -> bool {
    if authority.len() > HOST_BYTES_MAX || authority.last().is_none_or(|last| *last == b'.') {
        return false;
    }
    // All bytes are looked at, which is quicker than to stop at the first that is odd.
    authority.iter().fold(true, |plain, byte| {
        plain
            & (byte.is_ascii_lowercase()
                | byte.is_ascii_digit()
                | (*byte == b'-')
                | (*byte == b'.'))
    })
}

/// Servers that take user information look for the host behind the last `@`.
fn without_user(authority: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b'@', authority).map_or(0, |at| at + 1);
    authority.get(start..).unwrap_or_default()
}

/// A name with every label beyond ASCII as `xn--…` (RFC 5891 §4.4, after simple case folding;
/// the name has to be in normal form C already, as keyboards produce it).
fn to_ascii(name: &str) -> Option<String> {
    let lower = name.replace(['。', '．', '｡'], ".").to_lowercase();
    let labels: Option<Vec<String>> = lower
        .split('.')
        .map(|label| {
            if label.is_ascii() {
                Some(label.to_owned())
            } else {
                to_a_label(label)
            }
        })
        .collect();
    Some(labels?.join("."))
}

/// Reads a host name or address as a user writes it, into its normal form.
///
/// # Errors
/// When it is none: see [`HostError`].
pub fn parse_host_name(text: &str) -> Result<String, HostError> {
    if text.contains("://") || text.contains('/') {
        return Err(HostError::Url);
    }
    if text.starts_with('[') {
        return normalize_host(text.as_bytes()).ok_or(HostError::Address);
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(HostError::Brackets);
    }
    if text.contains(':') {
        return Err(HostError::Port);
    }
    let ascii = to_ascii(text).ok_or(HostError::TooLong)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    check_name(name).map(|()| name.to_owned())
}

/// RFC 1123 §2.1, and the underscore that real zones have.
fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > 253 {
        return Err(HostError::TooLong);
    }
    for label in name.split('.') {
        check_label(label)?;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    if numeric && name.parse::<Ipv4Addr>().is_err() {
        return Err(HostError::Address);
    }
    Ok(())
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::EmptyLabel);
    }
    if label.len() > 63 {
        return Err(HostError::TooLong);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Hyphen);
    }
    let wrong = |c: &char| !c.is_ascii_alphanumeric() && *c != '-' && *c != '_';
    match label.chars().find(wrong) {
        Some(character) => Err(HostError::Character(character)),
        None => Ok(()),
    }
}

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Nothing is there.
    Empty,
    /// It is a URL.
    Url,
    /// It names a port.
    Port,
    /// Two dots follow each other, or one stands first.
    EmptyLabel,
    /// A label begins or ends with a hyphen.
    Hyphen,
    /// A character that no host name has.
    Character(char),
    /// More than 63 characters between two dots, or 253 in all.
    TooLong,
    /// It looks like an IP address and is none.
    Address,
    /// An IPv6 address without its brackets.
    Brackets,
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("a host name is needed"),
            Self::Url => formatter.write_str("write the host name alone, without scheme and path"),
            Self::Port => formatter
                .write_str("a host name has no port; ports are set once, in [capture] ports"),
            Self::EmptyLabel => {
                formatter.write_str("a host name has letters or digits between its dots")
            }
            Self::Hyphen => {
                formatter.write_str("no part of a host name begins or ends with a hyphen")
            }
            Self::Character(character) => {
                write!(formatter, "a host name has no {character:?}")
            }
            Self::TooLong => formatter.write_str(
                "a host name has at most 63 characters between dots and 253 characters in all",
            ),
            Self::Address => formatter.write_str("this is no IP address"),
            Self::Brackets => formatter.write_str("write an IPv6 address in brackets"),
        }
    }
}

impl std::error::Error for HostError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(authority: &str) -> Option<String> {
        normalize_host(authority.as_bytes())
    }

    #[test]
    fn case_port_user_and_trailing_dot_do_not_count() {
        for authority in [
            "www.example.org",
            "WWW.Example.ORG",
            "www.example.org:8080",
            "www.example.org:",
            "www.example.org.",
            "www.example.org.:443",
            "user:secret@www.example.org:80",
            "%77ww%2Eexample.org",
        ] {
            assert_eq!(
                normal(authority).as_deref(),
                Some("www.example.org"),
                "{authority}"
            );
        }
    }

    #[test]
    fn a_name_beyond_ascii_equals_its_xn_form_raw_or_percent_encoded() {
        for authority in [
            "bücher.example",
            "BÜCHER.example:80",
            "b%C3%BCcher.example",
            "xn--bcher-kva.example",
            "XN--BCHER-KVA.example.",
        ] {
            assert_eq!(
                normal(authority).as_deref(),
                Some("xn--bcher-kva.example"),
                "{authority}"
            );
        }
    }

    #[test]
    fn an_ipv6_address_keeps_its_brackets_and_gets_its_shortest_form() {
        assert_eq!(
            normal("[2001:DB8:0:0::1]:8080").as_deref(),
            Some("[2001:db8::1]")
        );
        assert_eq!(normal("[2001:db8::1").as_deref(), None);
        assert_eq!(normal("[not an address]").as_deref(), None);
    }

    #[test]
    fn what_cannot_be_a_host_is_none() {
        for authority in ["", ".", ":80", "user@", "a b", "a/b", "a\nb", "a\0"] {
            assert_eq!(normal(authority), None, "{authority:?}");
        }
        assert_eq!(normal(&"a".repeat(300)), None);
        assert_eq!(normalize_host(b"\xff\xfe"), None);
    }

    #[test]
    fn a_pattern_of_subdomains_does_not_cover_the_name_itself() {
        let pattern = HostPattern::parse("*.Example.org").unwrap();
        assert!(pattern.covers("a.example.org"));
        assert!(pattern.covers("a.b.example.org"));
        assert!(!pattern.covers("example.org"));
        assert!(!pattern.covers(".example.org"));
        assert!(!pattern.covers("notexample.org"));
        assert_eq!(pattern.to_string(), "*.example.org");
    }

    #[test]
    fn each_way_of_writing_no_host_name_has_its_reason() {
        for (text, reason) in [
            ("", HostError::Empty),
            ("https://www.example.org/", HostError::Url),
            ("www.example.org:80", HostError::Port),
            ("www..example.org", HostError::EmptyLabel),
            (".example.org", HostError::EmptyLabel),
            ("-a.example.org", HostError::Hyphen),
            ("www example.org", HostError::Character(' ')),
            ("*.*.example.org", HostError::Character('*')),
            ("192.0.2.256", HostError::Address),
            ("2001:db8::1", HostError::Brackets),
            ("[2001:db8::g]", HostError::Address),
        ] {
            assert_eq!(HostPattern::parse(text), Err(reason), "{text}");
        }
        let long = format!("{}.example.org", "a".repeat(64));
        assert_eq!(parse_host_name(&long), Err(HostError::TooLong));
    }

    #[test]
    fn addresses_and_names_beyond_ascii_are_host_names() {
        for (text, name) in [
            ("192.0.2.10", "192.0.2.10"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("example.org.", "example.org"),
            ("my_host.lan", "my_host.lan"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(parse_host_name(text).as_deref(), Ok(name));
        }
    }

    proptest! {
        #[test]
        fn normalising_a_host_twice_changes_nothing_more(authority: Vec<u8>) {
            if let Some(once) = normalize_host(&authority) {
                // A percent sign may have been encoded itself; servers decode once, and so do we.
                prop_assume!(!once.contains('%'));
                let again = normalize_host(once.as_bytes());
                // A second trailing dot, or a port behind an encoded colon, comes off next time.
                if !once.ends_with('.') && !once.contains(':') {
                    prop_assert_eq!(again, Some(once));
                }
            }
        }

        #[test]
        fn what_a_user_may_write_is_its_own_normal_form(name in "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,3}\\.[a-z]{2,6}") {
            prop_assert_eq!(parse_host_name(&name), Ok(name.clone()));
            prop_assert_eq!(normalize_host(name.as_bytes()), Some(name));
        }
    }
}
