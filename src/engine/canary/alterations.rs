//! What happened to a canary's URL on its way: scanners, chat programs and people alter links.

use crate::canary::percent::{Octet, octets};
use crate::canary::url::{NormalizedUrl, as_servers_read, split_target};
use crate::event::Alterations;

/// What was done to `canary`, written as `written`, when `target` was asked of `host`.
pub(super) fn alterations_between(
    written: &str,
    canary: &NormalizedUrl,
    host: &str,
    target: &[u8],
) -> Alterations {
    let Some(of_host) = of_host(&canary.host, host) else {
        return Alterations::NONE; // only the token came through
    };
    let written = as_sent(written.as_bytes());
    let pair = Pair::new(&written, canary, host, target);
    if pair.has_same_path() {
        return of_host.with(pair.alterations());
    }
    let plain = as_servers_read(target);
    let pair_of_plain = Pair::new(&written, canary, host, &plain);
    if !pair_of_plain.has_same_path() {
        return of_host.with(pair.alterations());
    }
    let set = of_host.with(pair_of_plain.alterations());
    match target.contains(&b'%') {
        true => set.with(Alterations::PERCENT_ENCODED),
        false => set, // only slashes were doubled
    }
}

/// A canary's URL and what was asked for, each as it was written and as it is compared.
struct Pair<'a> {
    written: (&'a [u8], Option<&'a [u8]>),
    canary: &'a NormalizedUrl,
    target: (&'a [u8], Option<&'a [u8]>),
    seen: NormalizedUrl,
}

impl<'a> Pair<'a> {
    fn new(written: &'a [u8], canary: &'a NormalizedUrl, host: &str, target: &'a [u8]) -> Self {
        let mut pair = Self {
            written: split_target(written),
            canary,
            target: split_target(target),
            seen: NormalizedUrl::from_request(host, target),
        };
        pair.overlook_encoding();
        pair
    }

    /// Where reserved characters were encoded or decoded, RFC 3986 calls it another URL. That is
    /// an alteration like those of unreserved ones, and not another path or query.
    fn overlook_encoding(&mut self) {
        if are_same_octets(self.written.0, self.target.0) {
            self.seen.path.clone_from(&self.canary.path);
        }
        if let (Some(written), Some(query)) = (self.written.1, self.target.1) {
            if are_same_octets(written, query) {
                self.seen.query.clone_from(&self.canary.query);
            }
        }
    }

    fn has_same_path(&self) -> bool {
        self.seen.path == self.canary.path
    }

    fn alterations(&self) -> Alterations {
        let mut set = of_target(self.canary, &self.seen);
        if self.has_same_path() {
            set = set.with(of_writing(self.written.0, self.target.0));
        }
        if let (Some(written), Some(query)) = (self.written.1, self.target.1) {
            set = set.with(of_writing(written, query));
        }
        set
    }
}

/// [`SCHEME_CHANGED`](Alterations::SCHEME_CHANGED) when `written` does not begin with `scheme`.
pub(super) fn of_scheme(written: &str, scheme: &str) -> Alterations {
    match written.split_once("://") {
        Some((own, _)) if !own.eq_ignore_ascii_case(scheme) => Alterations::SCHEME_CHANGED,
        _ => Alterations::NONE,
    }
}

/// None for a host that has nothing to do with the canary's.
fn of_host(canary: &str, seen: &str) -> Option<Alterations> {
    if seen == canary {
        Some(Alterations::NONE)
    } else if seen.strip_prefix("www.") == Some(canary) {
        Some(Alterations::WWW_ADDED)
    } else if canary.strip_prefix("www.") == Some(seen) {
        Some(Alterations::WWW_DROPPED)
    } else {
        None
    }
}

fn of_target(canary: &NormalizedUrl, seen: &NormalizedUrl) -> Alterations {
    if canary.path == seen.path {
        return of_query(canary.query.as_deref(), seen.query.as_deref());
    }
    if seen.query.is_none() && is_cut(&canary.target(), &seen.path) {
        return match ends_with_a_segment(&canary.path, &seen.path) {
            true => Alterations::CUT_SHORT.with(Alterations::PATH_PREFIX),
            false => Alterations::CUT_SHORT,
        };
    }
    match without_punctuation(&seen.target()) {
        Some(trimmed) if trimmed == canary.target() => Alterations::TRAILING_PUNCTUATION,
        Some(trimmed) if trimmed == canary.path => {
            Alterations::TRAILING_PUNCTUATION.with(Alterations::QUERY_DROPPED)
        }
        _ => Alterations::NONE,
    }
}

fn of_query(canary: Option<&str>, seen: Option<&str>) -> Alterations {
    match (canary, seen) {
        (canary, seen) if canary == seen => Alterations::NONE,
        (Some(_), None) => Alterations::QUERY_DROPPED,
        (None, _) => Alterations::PARAMETERS_ADDED,
        (Some(canary), Some(seen)) => of_other_query(canary, seen),
    }
}

fn of_other_query(canary: &str, seen: &str) -> Alterations {
    if without_punctuation(seen) == Some(canary) {
        Alterations::TRAILING_PUNCTUATION
    } else if queries_within(seen).any(|part| part == canary) {
        Alterations::PARAMETERS_ADDED
    } else if is_cut(canary, seen) {
        Alterations::CUT_SHORT
    } else {
        Alterations::QUERY_CHANGED
    }
}

/// Whether `seen`, which a path begins with, is one or more whole segments of it.
fn ends_with_a_segment(path: &str, seen: &str) -> bool {
    let rest = path.strip_prefix(seen).unwrap_or_default();
    rest.starts_with('/') || (seen.ends_with('/') && !rest.is_empty())
}

fn is_cut(whole: &str, seen: &str) -> bool {
    seen.len() < whole.len() && whole.starts_with(seen)
}

/// How two components were written that hold the same octets. Others may still be equal: by their
/// dot segments.
fn of_writing(written: &[u8], seen: &[u8]) -> Alterations {
    if !are_same_octets(written, seen) {
        return Alterations::NONE;
    }
    let mut set = Alterations::NONE;
    for (own, other) in octets(written).zip(octets(seen)) {
        set = set.with(match (own, other) {
            (Octet::Plain(_), Octet::Encoded(_)) => Alterations::PERCENT_ENCODED,
            (Octet::Encoded(_), Octet::Plain(_)) => Alterations::PERCENT_DECODED,
            _ => Alterations::NONE,
        });
        if own.value() != other.value() && other.value().is_ascii_lowercase() {
            set = set.with(Alterations::LOWER_CASED);
        }
    }
    set
}

/// Whether two components are equal but for case and percent-encoding, of whichever characters.
fn are_same_octets(written: &[u8], seen: &[u8]) -> bool {
    let lower = |octet: Octet| octet.value().to_ascii_lowercase();
    octets(written).map(lower).eq(octets(seen).map(lower))
}

/// What a client makes of a URL that was written with letters beyond ASCII: it encodes them, and
/// that is no alteration.
fn as_sent(written: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(written.len());
    for byte in written {
        if byte.is_ascii() {
            sent.push(*byte);
        } else {
            sent.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    sent
}

/// `text`, a normalised path or query, without the punctuation that text around a link leaves at
/// its end; None when there is none.
pub(super) fn without_punctuation(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| rest.strip_suffix(ending)) {
        rest = shorter;
    }
    (rest.len() < text.len() && !rest.is_empty()).then_some(rest)
}

/// Every query that stands in `query` when parameters before or behind it are taken away, from
/// the longest down; itself not.
pub(super) fn queries_within(query: &str) -> impl Iterator<Item = &str> {
    let heads = query
        .rmatch_indices('&')
        .filter_map(|(at, _)| query.get(..at));
    let tails = query
        .match_indices('&')
        .filter_map(|(at, _)| query.get(at + 1..));
    heads.take(PARAMETERS_MAX).chain(tails.take(PARAMETERS_MAX))
}

/// Parameters that are looked behind on each side; link trackers add fewer than ten.
const PARAMETERS_MAX: usize = 32;

/// Punctuation as it stands after normalisation: some of it is always percent-encoded there.
const ENDINGS: [&str; 24] = [
    ".",
    ",",
    ";",
    ":",
    "!",
    "?",
    ")",
    "]",
    "'",
    "*",
    "_",
    "%22",
    "%3e",
    "%7d",
    "%5d",
    "%29",
    "%2c",
    "%3b",
    "%3a",
    "%21",
    "%3f",
    "%27",
    "%e2%80%a6",
    "%e2%80%9d",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn between(written: &str, host: &str, target: &str) -> Vec<&'static str> {
        let canary = NormalizedUrl::parse(written).unwrap();
        alterations_between(written, &canary, host, target.as_bytes())
            .names()
            .collect()
    }

    fn of(target: &str) -> Vec<&'static str> {
        between(
            "https://a.org/X/Log~in.html?User=ab%20c&p=g",
            "a.org",
            target,
        )
    }

    #[test]
    fn a_url_as_it_was_given_away_was_not_altered() {
        assert!(of("/X/Log~in.html?User=ab%20c&p=g").is_empty());
    }

    #[test]
    fn each_alteration_has_its_name() {
        for (target, name) in [
            ("/x/log~in.html?user=ab%20c&p=g", "lower_cased"),
            ("/X/Log%7Ein.html?User=ab%20c&p=g", "percent_encoded"),
            ("/X/Log~in.html?User=ab c&p=g", "percent_decoded"),
            ("/X/Log~in.html?User=ab%20c%26p%3Dg", "percent_encoded"),
            ("/X%2FLog~in.html?User=ab%20c&p=g", "percent_encoded"),
            ("%2FX%2FLog~in.html%3FUser=ab%2520c&p=g", "percent_encoded"),
            ("/X/Log~in.html", "query_dropped"),
            ("/X/Log~in.html?other", "query_changed"),
            ("/X/Log~in.html?User=ab%20c&p=g&utm=1", "parameters_added"),
            ("/X/Log~in.html?utm=1&User=ab%20c&p=g", "parameters_added"),
            ("/X/Log~in.html?User=ab%20", "cut_short"),
            ("/X/Log~", "cut_short"),
            ("/X/Log~in.html?User=ab%20c&p=g).", "trailing_punctuation"),
            ("/X/Log~in.html?User=ab%20c&p=g%22", "trailing_punctuation"),
        ] {
            assert_eq!(of(target), [name], "{target}");
        }
    }

    #[test]
    fn whole_segments_of_the_path_are_told_from_a_cut_anywhere() {
        let both = ["cut_short", "path_prefix"];
        assert_eq!(of("/X"), both);
        assert_eq!(of("/X/"), both);
        assert_eq!(of("/X/Log"), ["cut_short"]);
        assert_eq!(of("/X/Log~in.html"), ["query_dropped"]);
    }

    #[test]
    fn several_alterations_stand_together() {
        assert_eq!(
            of("/x/log%7ein.html"),
            ["lower_cased", "percent_encoded", "query_dropped"]
        );
    }

    #[test]
    fn www_before_the_host_is_told_both_ways() {
        assert_eq!(between("http://a.org/x", "www.a.org", "/x"), ["www_added"]);
        assert_eq!(
            between("http://www.a.org/x", "a.org", "/x"),
            ["www_dropped"]
        );
    }

    #[test]
    fn reserved_characters_that_were_decoded_make_no_other_query() {
        let written = "http://a.org/go?to=http%3A%2F%2Fb.org%2Fx";
        assert_eq!(
            between(written, "a.org", "/go?to=http://b.org/x"),
            ["percent_decoded"]
        );
        assert_eq!(
            between(written, "a.org", "/go?to=http://b.org/y"),
            ["query_changed"]
        );
    }

    #[test]
    fn on_another_host_nothing_is_an_alteration() {
        assert!(between("http://a.org/x?y", "b.org", "/").is_empty());
    }

    #[test]
    fn a_client_that_encodes_letters_beyond_ascii_alters_nothing() {
        assert!(between("http://a.org/grün", "a.org", "/gr%C3%BCn").is_empty());
    }

    #[test]
    fn a_query_where_none_was_is_added_parameters() {
        assert_eq!(
            between("http://a.org/x", "a.org", "/x?utm=1"),
            ["parameters_added"]
        );
    }

    #[test]
    fn another_scheme_is_told() {
        assert_eq!(
            of_scheme("https://a.org/", "http"),
            Alterations::SCHEME_CHANGED
        );
        assert!(of_scheme("HTTPS://a.org/", "https").is_empty());
    }

    #[test]
    fn punctuation_alone_is_not_taken_off() {
        assert_eq!(without_punctuation("..."), None);
        assert_eq!(without_punctuation("/x"), None);
        assert_eq!(without_punctuation("/x.)"), Some("/x"));
    }
}
