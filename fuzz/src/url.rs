//! URLs: as an owner writes them, and as a request brings them.

use canarytap::engine::canary::{Matcher, NormalizedUrl, normalize_host};
use canarytap::engine::event::MatchKind;

use super::watch::{canary, matcher, watch};

/// Host, target and Referer of a request, parted by line feeds. Normalisation twice is
/// normalisation once, and a canary is found in a request for it.
pub fn url(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (authority, target, referer) = (line(), line(), line());
    as_written(&String::from_utf8_lossy(target));
    if let Some(host) = normalize_host(authority) {
        as_requested(&host, target, referer);
    }
}

fn as_written(written: &str) {
    let Some(canary) = canary(written) else {
        return;
    };
    let url = canary.url.clone();
    check_stable(&url);
    let matcher = Matcher::new(watch(vec![canary]));
    let found = matcher.find(&url.host, url.target().as_bytes(), None);
    let kind = found.map(|found| found.kind);
    assert_eq!(
        kind,
        Some(MatchKind::Url),
        "{written:?} is not found by {url}"
    );
}

fn as_requested(host: &str, target: &[u8], referer: &[u8]) {
    if !host.ends_with('.') {
        // Of several dots at the end one is taken off each time, as servers do.
        assert_eq!(normalize_host(host.as_bytes()).as_deref(), Some(host));
    }
    check_stable(&NormalizedUrl::from_request(host, target));
    assert!(matcher().is_watched(host.as_bytes()));
    let _ = matcher().find(host, target, Some(referer));
}

fn check_stable(url: &NormalizedUrl) {
    let again = NormalizedUrl::from_request(&url.host, url.target().as_bytes());
    assert_eq!(again, *url);
}
