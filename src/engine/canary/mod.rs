//! From requests to matches: which canary was visited, and from where.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

pub use matcher::{Match, Matcher};
pub use origin::{Home, Judgement, ProxyHeader, TrustedProxy};
pub use url::{NormalizedUrl, UrlError, normalize_host};

mod matcher;
pub mod mint;
mod origin;
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
    /// What a visit asks for.
    pub url: NormalizedUrl,
    /// A string that stands in its URL and nowhere else; None for a URL of the user's own that
    /// has nothing unique in it.
    pub token: Option<String>,
    /// Whether it was given to nobody.
    pub control: bool,
}

/// A watched host: its name, lower case, without trailing dot, or all names below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name only.
    Exact(String),
    /// `*.name`: every name that ends in `.name`, but not `name` itself.
    Subdomains(String),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Subdomains(parent) => write!(f, "*.{parent}"),
        }
    }
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
    /// Whether `port` is in the set.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Some(ports) => ports.binary_search(&port).is_ok(),
        }
    }
}

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
