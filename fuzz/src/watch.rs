//! What the targets look for: every host on every port, and one canary.

use std::sync::{Arc, OnceLock};

use canarytap::engine::canary::{
    Canary, Home, Matcher, NormalizedUrl, PortSet, ProxyHeader, TrustedProxy, Watch, unique_token,
};

/// The matcher that all runs share: making it takes longer than most of them.
pub fn matcher() -> Arc<Matcher> {
    static MATCHER: OnceLock<Arc<Matcher>> = OnceLock::new();
    let written = "https://www.example.org/share/k7f3q2m9xw4tz/Plan%2D2.pdf?a=b";
    let canary = canary(written);
    let make = || Arc::new(Matcher::new(watch(canary.into_iter().collect())));
    Arc::clone(MATCHER.get_or_init(make))
}

/// A canary for a URL, if it is one.
pub fn canary(written: &str) -> Option<Canary> {
    let url = NormalizedUrl::parse(written).ok()?;
    Some(Canary {
        id: "k7f3q2m9".to_owned(),
        channel: "chat".to_owned(),
        label: None,
        written: written.to_owned(),
        token: unique_token(&url),
        url,
        control: false,
    })
}

/// Visitors come through every kind of proxy from one network.
pub fn watch(canaries: Vec<Canary>) -> Watch {
    let headers = [
        ProxyHeader::XForwardedFor,
        ProxyHeader::Forwarded,
        ProxyHeader::Single("x-real-ip".to_owned()),
        ProxyHeader::ProxyProtocol,
    ];
    let proxies = [
        "192.168.1.2/32",
        "192.168.1.3/32",
        "192.168.1.4/32",
        "203.0.113.0/24",
    ]
    .iter()
    .zip(headers)
    .filter_map(|(network, header)| {
        let networks = vec![network.parse().ok()?];
        Some(TrustedProxy { networks, header })
    });
    Watch {
        all_hosts: true,
        hosts: Vec::new(),
        ports: PortSet::All,
        canaries: canaries.into_iter().map(Arc::new).collect(),
        home: Home {
            proxies: proxies.collect(),
            ..Home::private()
        },
    }
}
