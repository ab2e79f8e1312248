//! Which canary a request is for, at a cost that does not grow with their number.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::app::RequestHead;
use crate::engine::canary::origin::{Judgement, judge};
use crate::engine::canary::url::bare_host;
use crate::engine::canary::{Canary, HostPattern, NormalizedUrl, PortSet, Watch};
use crate::engine::event::MatchKind;

/// Longest host name (RFC 1035 §2.3.4); a longer one is no watched host.
const HOST_BYTES_MAX: usize = 255;
/// Shortest run of letters and digits that may be a token.
const TOKEN_BYTES_MIN: usize = 8;

/// A canary that a request met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The canary.
    pub canary: Arc<Canary>,
    /// How it was met.
    pub kind: MatchKind,
}

/// What to look for, made quick to ask.
#[derive(Debug)]
pub struct Matcher {
    watch: Watch,
    exact: HashSet<String>,
    parents: HashSet<String>,
    /// Canaries by host and path.
    places: HashMap<(String, String), Vec<Arc<Canary>>>,
    tokens: HashMap<String, Arc<Canary>>,
}

impl Matcher {
    /// A matcher for everything in `watch`.
    pub fn new(watch: Watch) -> Self {
        let (mut exact, mut parents) = (HashSet::new(), HashSet::new());
        for host in &watch.hosts {
            match host {
                HostPattern::Exact(name) => exact.insert(name.clone()),
                HostPattern::Subdomains(name) => parents.insert(name.clone()),
            };
        }
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        let mut tokens = HashMap::new();
        for canary in &watch.canaries {
            let place = (canary.url.host.clone(), canary.url.path.clone());
            places.entry(place).or_default().push(Arc::clone(canary));
            if let Some(token) = &canary.token {
                tokens
                    .entry(token.clone())
                    .or_insert_with(|| Arc::clone(canary));
            }
        }
        Self {
            watch,
            exact,
            parents,
            places,
            tokens,
        }
    }

    /// The ports that are read.
    pub fn ports(&self) -> &PortSet {
        &self.watch.ports
    }

    /// Whether requests for this authority are wanted. Does not allocate.
    pub fn is_watched(&self, authority: &[u8]) -> bool {
        if self.watch.all_hosts {
            return true;
        }
        let host = bare_host(authority);
        let mut buffer = [0; HOST_BYTES_MAX];
        let Some(lower) = buffer.get_mut(..host.len()) else {
            return false;
        };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        std::str::from_utf8(lower).is_ok_and(|name| self.is_watched_name(name))
    }

    fn is_watched_name(&self, name: &str) -> bool {
        if self.exact.contains(name) {
            return true;
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if self.parents.contains(parent) {
                return true;
            }
            rest = parent;
        }
        false
    }

    /// The canary that a request is for: the one whose URL agrees, else the one whose token
    /// stands in it, else the one whose path agrees.
    pub fn find(&self, host: &str, target: &[u8], referer: Option<&[u8]>) -> Option<Match> {
        let url = NormalizedUrl::from_request(host, target);
        let here = (url.host, url.path);
        let places = self.places.get(&here).map(Vec::as_slice).unwrap_or(&[]);
        let whole = places.iter().find(|canary| canary.url.query == url.query);
        if let Some(canary) = whole {
            return Some(found(canary, MatchKind::Url));
        }
        let (host, path) = (&here.0, &here.1);
        let query = url.query.as_deref().unwrap_or_default();
        let referer = referer.map(|referer| String::from_utf8_lossy(referer).to_lowercase());
        let referer = referer.as_deref().unwrap_or_default();
        if let Some(canary) = self.find_token([host, path, query, referer]) {
            return Some(found(canary, MatchKind::Token));
        }
        places.first().map(|canary| found(canary, MatchKind::Path))
    }

    fn find_token(&self, texts: [&str; 4]) -> Option<&Arc<Canary>> {
        if self.tokens.is_empty() {
            return None;
        }
        texts
            .into_iter()
            .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
            .filter(|run| run.len() >= TOKEN_BYTES_MIN)
            .find_map(|run| self.tokens.get(run))
    }

    /// Where a request comes from.
    pub fn judge(&self, src: IpAddr, head: &RequestHead<'_>) -> Judgement {
        judge(&self.watch.home, src, head)
    }
}

fn found(canary: &Arc<Canary>, kind: MatchKind) -> Match {
    Match {
        canary: Arc::clone(canary),
        kind,
    }
}
