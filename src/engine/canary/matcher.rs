//! Which canary a request is for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::app::RequestHead;
use crate::canary::alterations::{
    alterations_between, of_scheme, queries_within, without_punctuation,
};
use crate::canary::host::{NormalHost, is_normal};
use crate::canary::index::{HostIndex, UrlIndex, Wanted, at, host_and_path, whole};
use crate::canary::origin::{Claims, Home, Judgement};
use crate::canary::own_host::own_hosts;
use crate::canary::redirector::wraps;
use crate::canary::token::TokenIndex;
use crate::canary::url::{NormalizedUrl, as_servers_read, normal_component};
use crate::canary::{Canary, PortSet, Watch};
use crate::event::{Alterations, MatchKind};

/// Everything that is watched, ready to be asked. Built once from a [`Watch`], never changed:
/// what it costs to ask does not grow with the number of canaries or hosts.
#[derive(Debug)]
pub struct Matcher {
    all_hosts: bool,
    hosts: HostIndex,
    ports: PortSet,
    home: Home,
    canaries: Vec<Arc<Canary>>,
    /// Canaries by host, path and query.
    urls: UrlIndex,
    /// The first canary of each host and path.
    paths: UrlIndex,
    tokens: TokenIndex,
    /// Hosts that belong to one canary each.
    own_hosts: HashMap<Box<str>, u32>,
}

/// A canary that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The canary.
    pub canary: Arc<Canary>,
    /// How the request met it.
    pub kind: MatchKind,
    /// What had been done to its URL.
    pub alterations: Alterations,
    /// Whether another page was asked for, and the canary stands in its Referer only.
    pub by_referer: bool,
}

impl Match {
    fn redirected(mut self) -> Self {
        self.alterations = self.alterations.with(Alterations::REDIRECTED);
        self
    }

    /// Notes by which scheme (`http` or `https`) the request came.
    #[must_use]
    pub fn seen_by(mut self, scheme: &str) -> Self {
        if self.by_referer {
            return self; // by which scheme the canary itself was asked for is not known
        }
        let of_scheme = of_scheme(&self.canary.written, scheme);
        self.alterations = self.alterations.with(of_scheme);
        self
    }
}

impl Matcher {
    /// Makes what `watch` names ready to be asked for.
    pub fn new(watch: Watch) -> Self {
        let mut matcher = Self {
            all_hosts: watch.all_hosts,
            hosts: HostIndex::new(&watch.hosts),
            ports: watch.ports,
            home: watch.home,
            urls: UrlIndex::new(whole, watch.canaries.len()),
            paths: UrlIndex::new(host_and_path, watch.canaries.len()),
            tokens: TokenIndex::default(),
            own_hosts: HashMap::new(),
            canaries: watch.canaries,
        };
        matcher.own_hosts = own_hosts(&matcher.canaries, &matcher.hosts);
        for (number, canary) in (0..).zip(&matcher.canaries) {
            matcher.urls.insert(number, &matcher.canaries);
            matcher.paths.insert(number, &matcher.canaries);
            if let Some(token) = &canary.token {
                matcher.tokens.insert(token, number);
            }
        }
        matcher
    }

    /// Whether requests for this authority (host with or without port, any case) are read.
    /// Allocates nothing, unless the name has letters beyond ASCII.
    pub fn is_watched(&self, authority: &[u8]) -> bool {
        self.all_hosts
            || if is_normal(authority) {
                self.hosts.contains(authority)
            } else {
                NormalHost::read(authority).is_some_and(|host| self.hosts.contains(host.as_str()))
            }
    }

    /// The canary that a request is for: of several, the one whose URL agrees entirely; else one
    /// whose token stands in host or target, else in the Referer; else one whose path agrees.
    /// The first in their order among equals. `host` is in its normal form, `target` and
    /// `referer` are as on the wire.
    pub fn find(&self, host: &str, target: &[u8], referer: Option<&[u8]>) -> Option<Match> {
        if self.canaries.is_empty() {
            return None;
        }
        let seen = NormalizedUrl::from_request(host, target);
        let found = self
            .find_url(&seen, target)
            .or_else(|| self.find_token(host, target, referer))
            .or_else(|| self.find_path(&seen, target))
            .or_else(|| self.find_host(host))?;
        Some(match referer {
            Some(referer) if wraps(referer, &found.canary) => found.redirected(),
            _ => found,
        })
    }

    /// The canary that a host (in its normal form) belongs to, or whose token stands in it:
    /// whatever is asked for there, it is a visit.
    pub fn find_host(&self, host: &str) -> Option<Match> {
        let by_token = self.tokens.find(host);
        let number = by_token.or_else(|| self.own_hosts.get(host).copied())?;
        Some(Match {
            canary: at(&self.canaries, number)?.clone(),
            kind: MatchKind::Token,
            alterations: Alterations::NONE, // the rest of its URL was not seen
            by_referer: false,
        })
    }

    /// Ports whose segments are read, on either side.
    pub fn ports(&self) -> &PortSet {
        &self.ports
    }

    /// Where the visitor stands who sent `head` from `src`.
    pub fn judge(&self, src: IpAddr, head: &RequestHead<'_>) -> Judgement {
        let claims = Claims {
            proxied_for: head.proxied_for,
            fields: &head.fields,
            complete: head.complete,
            tunnelled: head.tunnelled,
        };
        self.home.judge(src, &claims)
    }

    /// Where the sender of a hello stands, whose request could not be read.
    pub fn judge_hello(&self, src: IpAddr, proxied_for: Option<IpAddr>) -> Judgement {
        let claims = Claims {
            proxied_for,
            fields: &[],
            complete: true,
            tunnelled: false,
        };
        self.home.judge(src, &claims)
    }

    fn find_url(&self, seen: &NormalizedUrl, target: &[u8]) -> Option<Match> {
        let number = self.urls.get(&whole(seen), &self.canaries)?;
        self.found(number, MatchKind::Url, &seen.host, target)
    }

    fn find_token(&self, host: &str, target: &[u8], referer: Option<&[u8]>) -> Option<Match> {
        let in_host = self.tokens.find(host);
        let in_target = self.tokens.find(&normal_component(target));
        if let Some(number) = in_host.into_iter().chain(in_target).min() {
            return self.found(number, MatchKind::Token, host, target);
        }
        let number = self.tokens.find(&normal_component(referer?))?;
        Some(Match {
            canary: at(&self.canaries, number)?.clone(),
            kind: MatchKind::Token,
            alterations: Alterations::NONE,
            by_referer: true,
        })
    }

    fn find_path(&self, seen: &NormalizedUrl, target: &[u8]) -> Option<Match> {
        let number = self
            .find_on_host(&seen.host, seen)
            .or_else(|| self.find_on_host(seen.host.strip_prefix("www.")?, seen))
            .or_else(|| self.find_on_host(&format!("www.{}", seen.host), seen));
        match number {
            Some(number) => self.found(number, MatchKind::Path, &seen.host, target),
            None => self.find_encoded_path(&seen.host, target),
        }
    }

    /// A target whose reserved characters were percent-encoded too (`%3Fuser%3D`), or whose
    /// slashes were doubled, as a lenient server reads it.
    fn find_encoded_path(&self, host: &str, target: &[u8]) -> Option<Match> {
        let plain = as_servers_read(target);
        if plain == target {
            return None;
        }
        let number = self.find_on_host(host, &NormalizedUrl::from_request(host, &plain))?;
        self.found(number, MatchKind::Path, host, target)
    }

    /// The canary on `host` that comes nearest to what was asked for.
    fn find_on_host(&self, host: &str, seen: &NormalizedUrl) -> Option<u32> {
        let path = Wanted::path_of(host, &seen.path);
        let Some(first) = self.paths.get(&path, &self.canaries) else {
            return self.find_trimmed_path(host, seen);
        };
        let url = |query| self.urls.get(&Wanted { query, ..path }, &self.canaries);
        let query = seen.query.as_deref();
        let trimmed = query.and_then(without_punctuation);
        url(query)
            .or_else(|| trimmed.and_then(|query| url(Some(query))))
            .or_else(|| queries_within(query?).find_map(|part| url(Some(part))))
            .or_else(|| url(None))
            .or(Some(first))
    }

    /// The same for a path that ends in punctuation of the text around the link.
    fn find_trimmed_path(&self, host: &str, seen: &NormalizedUrl) -> Option<u32> {
        if seen.query.is_some() {
            return None; // then the punctuation would stand behind the query
        }
        let path = Wanted::path_of(host, without_punctuation(&seen.path)?);
        let url = self.urls.get(&path, &self.canaries);
        url.or_else(|| self.paths.get(&path, &self.canaries))
    }

    fn found(&self, number: u32, kind: MatchKind, host: &str, target: &[u8]) -> Option<Match> {
        let canary = at(&self.canaries, number)?.clone();
        let alterations = alterations_between(&canary.written, &canary.url, host, target);
        Some(Match {
            canary,
            kind,
            alterations,
            by_referer: false,
        })
    }
}

#[cfg(test)]
mod tests;
