//! Redirectors: a message's link leads to them first, and their Referer says so.

use crate::canary::Canary;
use crate::canary::percent::{Octet, octets};

/// Whether `referer`, as on the wire, is a page of another host than the canary's that bears the
/// canary's link within itself, or one of a known redirector, which sends its name only.
pub(super) fn wraps(referer: &[u8], canary: &Canary) -> bool {
    let decoded: Vec<u8> = octets(referer).map(Octet::value).collect();
    let text = String::from_utf8_lossy(&decoded).to_ascii_lowercase();
    let Some((host, rest)) = split(&text) else {
        return false;
    };
    let own = canary.url.host.as_str();
    if host.trim_start_matches("www.") == own.trim_start_matches("www.") {
        return false;
    }
    let is_known = KNOWN.iter().any(|known| is_below(host, known));
    let bears_token =
        (canary.token.as_deref()).is_some_and(|token| rest.contains(&token.to_ascii_lowercase()));
    let link = format!("{}{}", canary.url.host, canary.url.path);
    is_known || bears_token || rest.contains(&link)
}

/// Host and what follows it.
fn split(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    Some((host.split(':').next().unwrap_or(host), rest))
}

/// Whether a host is `name`, or lies below it.
fn is_below(host: &str, name: &str) -> bool {
    let above = host.strip_suffix(name);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// Hosts of chat services, networks and mail gateways that do nothing but lead elsewhere.
const KNOWN: [&str; 16] = [
    "away.vk.com",
    "clicktime.symantec.com",
    "deref-gmx.net",
    "deref-mail.com",
    "deref-web.de",
    "l.facebook.com",
    "l.instagram.com",
    "l.messenger.com",
    "linkprotect.cudasvc.com",
    "lm.facebook.com",
    "out.reddit.com",
    "safelinks.protection.outlook.com",
    "secure-web.cisco.com",
    "slack-redir.net",
    "t.co",
    "urldefense.com",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::url::NormalizedUrl;

    fn canary() -> Canary {
        let written = "https://www.example.org/s/K7f3q2m9xw4tz/a?b=c";
        Canary {
            id: "k".into(),
            url: NormalizedUrl::parse(written).unwrap(),
            written: written.into(),
            channel: "mail".into(),
            label: None,
            token: Some("k7f3q2m9xw4tz".into()),
            control: false,
        }
    }

    #[test]
    fn a_link_within_another_hosts_is_wrapped() {
        for referer in [
            "https://go.example.net/?url=https%3A%2F%2Fwww.example.org%2Fs%2Fk7f3q2m9xw4tz%2Fa",
            "https://go.example.net/https://www.example.org/s/K7F3Q2M9XW4TZ/a",
            "https://go.example.net?k7f3q2m9xw4tz",
            "https://l.facebook.com/",
            "http://T.co/abc",
            "https://nam02.safelinks.protection.outlook.com",
        ] {
            assert!(wraps(referer.as_bytes(), &canary()), "{referer}");
        }
    }

    #[test]
    fn own_pages_strangers_and_nonsense_are_not() {
        for referer in [
            "https://www.example.org/s/k7f3q2m9xw4tz/a",
            "https://www.example.org:443/?k7f3q2m9xw4tz",
            "https://other.example.net/",
            "https://not-t.co/",
            "l.facebook.com",
            "",
            "://",
            "https://",
        ] {
            assert!(!wraps(referer.as_bytes(), &canary()), "{referer}");
        }
        let mut plain = canary();
        plain.token = None;
        assert!(!wraps(b"https://go.example.net/k7f3q2m9xw4tz", &plain));
    }
}
