//! What proxies say about whom they speak for: `X-Forwarded-For`, `Forwarded` (RFC 7239) and
//! fields with a single address. Reading only; whom to believe is decided in `origin`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::str;

use crate::app::HeaderField;
use crate::event::wire_text;
use crate::limits::FORWARDED_FOR_CHARACTERS_MAX;

/// Fields by which proxies name one address or several.
const ADDRESS_FIELDS: [&str; 14] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "true-client-ip",
    "x-client-ip",
    "client-ip",
    "x-cluster-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "do-connecting-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
];

/// The names of those fields, for whoever must choose one.
pub fn proxy_fields() -> &'static [&'static str] {
    &ADDRESS_FIELDS
}

/// Whether a proxy must have had its hands on the request.
pub(super) fn bears_forwarding_fields(fields: &[HeaderField<'_>]) -> bool {
    fields.iter().any(|field| {
        let prefix = field.name.get(..X_FORWARDED.len());
        is_address_field(field)
            || prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(X_FORWARDED))
    })
}

/// `x-forwarded-proto`, `x-forwarded-host` and their like.
const X_FORWARDED: &[u8] = b"x-forwarded-";

fn is_address_field(field: &HeaderField<'_>) -> bool {
    ADDRESS_FIELDS.iter().any(|name| is_called(field, name))
}

fn is_called(field: &HeaderField<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name.as_bytes())
}

/// Everything that forwarding fields and a PROXY header said, believed or not, in at most
/// [`FORWARDED_FOR_CHARACTERS_MAX`] characters. One field's values stand alone, several fields
/// with their names.
pub(super) fn as_told<'a>(
    fields: &'a [HeaderField<'a>],
    proxied_for: Option<IpAddr>,
    also: impl Fn(&HeaderField<'_>) -> bool,
) -> Option<String> {
    let mut told: Vec<(String, String)> = Vec::new();
    if let Some(address) = proxied_for {
        told.push(("proxy-protocol".into(), address.to_string()));
    }
    for field in fields
        .iter()
        .filter(|field| is_address_field(field) || also(field))
    {
        add(
            &mut told,
            wire_text(field.name).to_ascii_lowercase(),
            text_of(field),
        );
    }
    let text = match told.as_slice() {
        [] => return None,
        [(_, value)] => value.clone(),
        several => several
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>()
            .join("; "),
    };
    Some(text.chars().take(FORWARDED_FOR_CHARACTERS_MAX).collect())
}

fn add(told: &mut Vec<(String, String)>, name: String, value: String) {
    match told.iter_mut().find(|(known, _)| *known == name) {
        Some((_, values)) => {
            values.push_str(", ");
            values.push_str(&value);
        }
        None => told.push((name, value)),
    }
}

fn text_of(field: &HeaderField<'_>) -> String {
    let end = field.value.len().min(FORWARDED_FOR_CHARACTERS_MAX);
    wire_text(field.value.get(..end).unwrap_or_default())
}

/// The elements of `X-Forwarded-For`, the nearest hop first. An element that is no address
/// (`unknown`, an obfuscated name, rubbish) is None.
pub(super) fn x_forwarded_for<'a>(
    fields: &'a [HeaderField<'a>],
) -> impl Iterator<Item = Option<IpAddr>> + 'a {
    lines_from_the_nearest(fields, "x-forwarded-for")
        .flat_map(|line| line.rsplit(|byte| *byte == b','))
        .map(node)
}

/// The `for` parameters of `Forwarded`, the nearest hop first. Lines are read one by one, so
/// that a quotation mark that a visitor left open cannot swallow what a proxy added in a line of
/// its own; within a line it makes the whole line say nothing.
pub(super) fn forwarded<'a>(
    fields: &'a [HeaderField<'a>],
) -> impl Iterator<Item = Option<IpAddr>> + 'a {
    lines_from_the_nearest(fields, "forwarded").flat_map(|line| match split_unquoted(line, b',') {
        Some(elements) => elements.into_iter().rev().map(for_parameter).collect(),
        None => vec![None],
    })
}

/// The one address of a field; None unless it stands in one line and is one.
pub(super) fn single(fields: &[HeaderField<'_>], name: &str) -> Option<IpAddr> {
    let mut lines = lines_from_the_nearest(fields, name);
    let address = node(lines.next()?)?;
    lines.next().is_none().then_some(address)
}

fn lines_from_the_nearest<'a>(
    fields: &'a [HeaderField<'a>],
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .rev()
        .filter(move |field| is_called(field, name))
        .map(|field| &*field.value)
}

/// The `for` of one element of `Forwarded`.
fn for_parameter(element: &[u8]) -> Option<IpAddr> {
    split_unquoted(element, b';')?.into_iter().find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=")
            .then(|| node(&unquoted(value)))?
    })
}

/// `text` cut at each `mark` outside quotation marks; None when one of those is left open.
fn split_unquoted(text: &[u8], mark: u8) -> Option<Vec<&[u8]>> {
    let mut quoted = false;
    let mut escaped = false;
    let parts = text
        .split(|byte| {
            let cut = *byte == mark && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            cut
        })
        .collect();
    (!quoted).then_some(parts)
}

/// A value without its quotation marks and backslashes (RFC 9110 §5.6.4).
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    match inner {
        Some(inner) => inner
            .iter()
            .copied()
            .filter(|byte| *byte != b'\\')
            .collect(),
        None => value.into(),
    }
}

/// An address with or without port, IPv6 with or without brackets and zone; IPv4-mapped IPv6 is
/// IPv4.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim().trim_matches('"');
    let address = match text.strip_prefix('[') {
        Some(bracketed) => IpAddr::V6(ipv6(bracketed.split_once(']')?.0)?),
        None => text
            .parse()
            .ok()
            .or_else(|| ipv6(text).map(IpAddr::V6))
            .or_else(|| ipv4_with_port(text))?,
    };
    Some(address.to_canonical())
}

fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.split('%').next()?.parse().ok()
}

fn ipv4_with_port(text: &str) -> Option<IpAddr> {
    let (address, port) = text.split_once(':')?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| address.parse().ok().map(IpAddr::V4))?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field<'a>(name: &'a str, value: &'a [u8]) -> HeaderField<'a> {
        HeaderField {
            name: name.as_bytes(),
            value: value.into(),
        }
    }

    fn list(read: impl Iterator<Item = Option<IpAddr>>) -> Vec<String> {
        read.map(|address| address.map_or("-".into(), |address| address.to_string()))
            .collect()
    }

    fn rfc7239(value: &str) -> Vec<String> {
        list(forwarded(&[field("Forwarded", value.as_bytes())]))
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_nearest_hop_over_all_lines() {
        let fields = [
            field("X-Forwarded-For", b"192.0.2.1, 192.0.2.2"),
            field("x-forwarded-for", b"192.0.2.3 ,[2001:db8::4]:80"),
        ];
        assert_eq!(
            list(x_forwarded_for(&fields)),
            ["2001:db8::4", "192.0.2.3", "192.0.2.2", "192.0.2.1"]
        );
    }

    #[test]
    fn each_way_of_writing_an_address_is_read() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1:4711 ", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:DB8::1]:4711", "2001:db8::1"),
            ("\"192.0.2.1\"", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(node(text.as_bytes()), address.parse().ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "unknown",
            "_hidden",
            "192.0.2.256",
            "192.0.2.1:x",
            "192.0.2",
            "[2001:db8::1",
            "http://192.0.2.1",
        ] {
            assert_eq!(node(text.as_bytes()), None, "{text}");
        }
        assert_eq!(node(b"\xff"), None);
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_shows_it() {
        assert_eq!(
            rfc7239("for=192.0.2.60;proto=http;by=203.0.113.43"),
            ["192.0.2.60"]
        );
        assert_eq!(
            rfc7239("For=\"[2001:db8:cafe::17]:4711\""),
            ["2001:db8:cafe::17"]
        );
        assert_eq!(
            rfc7239("for=192.0.2.43, for=198.51.100.17"),
            ["198.51.100.17", "192.0.2.43"]
        );
        assert_eq!(
            rfc7239("proto=http; FOR=\"192.0.2.43:47011\""),
            ["192.0.2.43"]
        );
    }

    #[test]
    fn obfuscated_and_missing_names_stand_for_a_hop_that_says_nothing() {
        assert_eq!(
            rfc7239("for=192.0.2.1, for=_gazonk, for=unknown, proto=http"),
            ["-", "-", "-", "192.0.2.1"]
        );
    }

    #[test]
    fn a_comma_within_quotation_marks_separates_nothing() {
        assert_eq!(
            rfc7239("for=192.0.2.1;x=\"a, for=192.0.2.9\""),
            ["192.0.2.1"]
        );
        assert_eq!(
            rfc7239("for=192.0.2.1;x=\"a\\\", for=192.0.2.9\""),
            ["192.0.2.1"]
        );
    }

    #[test]
    fn a_quotation_mark_left_open_makes_its_line_say_nothing_and_no_other() {
        assert_eq!(rfc7239("for=192.168.1.50;x=\", for=203.0.113.9"), ["-"]);
        let fields = [
            field("Forwarded", b"for=192.168.1.50;x=\""),
            field("Forwarded", b"for=203.0.113.9"),
        ];
        assert_eq!(list(forwarded(&fields)), ["203.0.113.9", "-"]);
    }

    #[test]
    fn a_field_for_one_address_says_nothing_when_it_stands_twice_or_lists_several() {
        let once = [field("CF-Connecting-IP", b"203.0.113.9")];
        assert_eq!(
            single(&once, "cf-connecting-ip"),
            "203.0.113.9".parse().ok()
        );
        let twice = [once[0].clone(), field("cf-connecting-ip", b"192.0.2.1")];
        assert_eq!(single(&twice, "cf-connecting-ip"), None);
        let several = [field("x-real-ip", b"203.0.113.9, 192.0.2.1")];
        assert_eq!(single(&several, "x-real-ip"), None);
        assert_eq!(single(&[], "x-real-ip"), None);
    }

    #[test]
    fn what_was_told_is_kept_with_names_only_where_several_told_it() {
        let told = |fields: &[HeaderField<'_>], proxied| as_told(fields, proxied, |_| false);
        let one = [
            field("X-Forwarded-For", b"192.0.2.1"),
            field("X-Forwarded-For", b"192.0.2.2"),
            field("X-Forwarded-Proto", b"https"),
        ];
        assert_eq!(told(&one, None).as_deref(), Some("192.0.2.1, 192.0.2.2"));
        let two = [
            field("X-Forwarded-For", b"192.0.2.1"),
            field("X-Real-IP", b"192.0.2.9\x1b"),
        ];
        assert_eq!(
            told(&two, None).as_deref(),
            Some("x-forwarded-for: 192.0.2.1; x-real-ip: 192.0.2.9%1B")
        );
        let proxied = "192.0.2.3".parse().ok();
        assert_eq!(told(&[], proxied).as_deref(), Some("192.0.2.3"));
        assert_eq!(told(&[], None), None);
    }

    #[test]
    fn what_is_kept_of_forwarding_headers_is_bounded() {
        let long = vec![b'x'; 100_000];
        let fields = [field("x-forwarded-for", &long), field("forwarded", &long)];
        let told = as_told(&fields, None, |_| false).unwrap();
        assert_eq!(told.chars().count(), FORWARDED_FOR_CHARACTERS_MAX);
    }

    #[test]
    fn fields_that_name_no_address_show_a_proxy_too() {
        assert!(bears_forwarding_fields(&[field(
            "X-Forwarded-Proto",
            b"https"
        )]));
        assert!(bears_forwarding_fields(&[field("Forwarded", b"")]));
        assert!(!bears_forwarding_fields(&[field("Accept", b"*/*")]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(value: Vec<u8>) {
            let fields = [field("forwarded", &value), field("x-forwarded-for", &value)];
            let elements = forwarded(&fields).count() + x_forwarded_for(&fields).count();
            prop_assert!(elements >= 2);
            let _address = single(&fields, "forwarded");
        }
    }
}
