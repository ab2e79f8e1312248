//! From requests to matches: which canary was visited, and from where.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use forwarded::proxy_fields;
pub use host::{HostError, HostPattern, normalize_host, parse_host_name};
pub use matcher::{Match, Matcher};
pub use origin::{Claims, Doubt, Home, Judgement, ProxyHeader, TrustedProxy};
pub use token::{TOKEN_LENGTH, unique_token};
pub use url::{NormalizedUrl, UrlError};

mod alterations;
mod forwarded;
mod host;
mod index;
mod matcher;
pub mod mint;
mod origin;
mod own_host;
mod percent;
mod punycode;
mod redirector;
mod token;
mod url;

/// A URL that its owner gave to one channel only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Its id: lower-case letters and digits.
    pub id: String,
    /// The channel that it was given to.
    pub channel: String,
    /// The owner's words for it.
    pub label: Option<String>,
    /// Its URL as it was given away.
    pub written: String,
    /// What a visit asks for: `written` after normalisation.
    pub url: NormalizedUrl,
    /// A string that stands in its URL and nowhere else; None for a URL of the user's own that
    /// has nothing unique in it.
    pub token: Option<String>,
    /// Whether it was given to nobody.
    pub control: bool,
}

/// TCP ports that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSet {
    /// All of them.
    All,
    /// These; sorted.
    Some(Vec<u16>),
}

impl PortSet {
    /// Whether `port` is in the set. Asked for every frame: of few ports, each is looked at.
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Some(ports) if ports.len() <= FEW_PORTS => ports.contains(&port),
            Self::Some(ports) => ports.binary_search(&port).is_ok(),
        }
    }
}

/// Up to this many, a search by halves is slower.
const FEW_PORTS: usize = 8;

/// Everything that the engine is to look for; replaced as a whole when it changes.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Whether every host is watched.
    pub all_hosts: bool,
    /// The watched hosts.
    pub hosts: Vec<HostPattern>,
    /// Ports whose segments are read, on either side.
    pub ports: PortSet,
    /// The canaries.
    pub canaries: Vec<Arc<Canary>>,
    /// Who counts as inside.
    pub home: Home,
}

/// The private ranges that stand for `auto` where the machine's own prefixes must not count:
/// RFC 1918, RFC 6598, loopback, link-local, and unique local IPv6 (RFC 4193).
pub fn private_ranges() -> Vec<IpNet> {
    [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    ]
    .iter()
    .filter_map(|range| range.parse().ok())
    .collect()
}

/// Networks that container engines hand out by default, behind whose gateways stands anyone:
/// Docker's first ones and Podman's as a whole; of Docker's later ones, which few machines reach
/// and homes use too, the gateways.
pub fn container_ranges() -> Vec<IpNet> {
    let whole = [
        "172.17.0.0/16",
        "172.18.0.0/15",
        "172.20.0.0/14",
        "10.88.0.0/16",
    ];
    let gateways = (24..32).map(|second| IpNet::from(IpAddr::from([172, second, 0, 1])));
    whole
        .iter()
        .filter_map(|range| range.parse().ok())
        .chain(gateways)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A canary with a URL and nothing unique in it.
    pub(super) fn canary(id: &str, url: &str) -> Arc<Canary> {
        Arc::new(Canary {
            id: id.to_owned(),
            channel: "chat".to_owned(),
            label: None,
            written: url.to_owned(),
            url: NormalizedUrl::parse(url).unwrap(),
            token: None,
            control: false,
        })
    }

    /// The same with a token.
    pub(super) fn canary_with_token(id: &str, url: &str, token: &str) -> Arc<Canary> {
        let plain = canary(id, url);
        Arc::new(Canary {
            token: Some(token.to_owned()),
            ..(*plain).clone()
        })
    }

    #[test]
    fn ports_are_looked_up_in_a_sorted_list_or_all_are_meant() {
        let some = PortSet::Some(vec![80, 443]);
        assert!(some.contains(443));
        assert!(!some.contains(8080));
        assert!(PortSet::All.contains(8080));
    }

    #[test]
    fn every_range_that_is_written_here_is_one() {
        assert_eq!(private_ranges().len(), 9);
        assert_eq!(container_ranges().len(), 4 + 8);
    }
}
