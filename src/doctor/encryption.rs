//! Whether requests come encrypted, and by which of three ways they can be known all the same:
//! the name in the hello, the web server's keys, the plain hop behind a proxy.

use std::net::IpAddr;
use std::time::Duration;

use crate::doctor::point::{Point, counted};
use crate::doctor::requests::{open_its_page, sum_of};
use crate::doctor::watch::{Blind, HostCount, Seen};
use crate::doctor::wire::unseen;
use crate::engine::canary::HostPattern;

/// What the point is judged by.
#[derive(Debug)]
pub(super) struct Encryption<'a> {
    pub(super) hosts: Vec<Host<'a>>,
    pub(super) seen: &'a Result<Seen, Blind>,
    /// Servers of watched hosts that the configuration names.
    pub(super) addresses: &'a [IpAddr],
    /// Whether a proxy is named whose word on the visitor is taken.
    pub(super) has_proxy: bool,
    /// Whether keys are to come, or came.
    pub(super) keys_expected: bool,
    /// Secrets that have come to the daemon.
    pub(super) secrets: u64,
    pub(super) how_long: Duration,
}

/// A watched host.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) pattern: &'a HostPattern,
    /// Whether a canary has a name of its own there.
    pub(super) has_named_canary: bool,
    /// When the daemon last read an encrypted request for it.
    pub(super) opened: Option<&'a str>,
}

/// How the encrypted connections to a host can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// Keys open them, at last at this time.
    Keys(String),
    /// A canary's name stands in the hello.
    Name,
    /// By none.
    None,
}

impl Encryption<'_> {
    pub(super) fn point(&self) -> Point {
        let seen = match self.seen {
            Ok(seen) => seen,
            Err(blind) => return unseen(ENCRYPTION, blind),
        };
        let asked: Vec<(&Host<'_>, HostCount)> = self
            .hosts
            .iter()
            .map(|host| (host, sum_of(Some(&seen.heard.hosts), host.pattern)))
            .filter(|(_, count)| count.hellos > 0)
            .collect();
        if asked.is_empty() {
            return self.without_hellos(seen);
        }
        let text = |(host, count): &(&Host<'_>, HostCount)| told(host, *count);
        let found: Vec<String> = asked.iter().map(text).collect();
        let found = found.join("; ") + &over_quic(seen);
        let mut lost = asked.iter().filter(|(host, _)| way(host) == Way::None);
        let is_read_in_part = |(_, count): &(&Host<'_>, HostCount)| count.requests > 0;
        if lost.clone().next().is_none() {
            Point::ok(ENCRYPTION, found)
        } else if lost.all(is_read_in_part) {
            Point::warning(ENCRYPTION, found, self.needs(seen))
        } else {
            Point::failed(ENCRYPTION, found, self.needs(seen))
        }
    }

    /// No hello to a watched host came in.
    fn without_hellos(&self, seen: &Seen) -> Point {
        let requests = seen.counters.requests;
        let tls = seen.counters.streams_tls + seen.counters.quic_connections;
        if requests > 0 {
            let behind = match self.has_proxy {
                true => " (the third way: behind a proxy)",
                false => "",
            };
            return Point::ok(
                ENCRYPTION,
                format!(
                    "{} in the clear{behind}, {}",
                    counted(requests, "request"),
                    counted(tls, "encrypted connection")
                ),
            );
        }
        if self.servers_speak_tls(seen) {
            return Point::failed(
                ENCRYPTION,
                "the watched hosts' servers are asked over TLS only, and no hello says the name",
                self.needs(seen),
            );
        }
        match tls {
            0 => Point::not_looked_at(
                ENCRYPTION,
                "no request came in, encrypted or not",
                open_its_page(self.how_long),
            ),
            _ => Point::warning(
                ENCRYPTION,
                format!(
                    "{}, none to a watched host by its name, and no request in the clear",
                    counted(tls, "encrypted connection")
                ),
                self.needs(seen),
            ),
        }
    }

    /// Whether the servers that the configuration names begin TLS records with their visitors.
    fn servers_speak_tls(&self, seen: &Seen) -> bool {
        let mut servers = seen.counts.servers.iter();
        servers.any(|(address, sides)| sides.tls > 0 && self.addresses.contains(address))
    }

    fn needs(&self, seen: &Seen) -> String {
        let ways = match seen.counters.quic_hellos {
            0 => THREE_WAYS.into(),
            _ => format!("{THREE_WAYS}; {KEYS_OF_QUIC}"),
        };
        if !self.keys_expected {
            return ways;
        }
        let came = match self.secrets {
            0 => "no key has come to the daemon",
            _ => "keys came, and opened no request for it in a week",
        };
        format!("{came}: `canarytap status` says under keys what is followed; {ways}")
    }
}

fn way(host: &Host<'_>) -> Way {
    match (host.opened, host.has_named_canary) {
        (Some(time), _) => Way::Keys(time.to_owned()),
        (None, true) => Way::Name,
        (None, false) => Way::None,
    }
}

fn told(host: &Host<'_>, count: HostCount) -> String {
    let clear = match count.requests {
        0 => String::new(),
        requests => format!("{} in the clear, ", counted(requests, "request")),
    };
    let hellos = counted(count.hellos, "encrypted connection");
    let known = match way(host) {
        Way::Keys(time) => format!("which keys open, last at {time} (the second way)"),
        Way::Name => "whose canary's name the hello tells (the first way)".into(),
        Way::None => "of which the hello alone is read".into(),
    };
    format!("{}: {clear}{hellos}, {known}", host.pattern)
}

/// How many hellos came over QUIC, if any did.
fn over_quic(seen: &Seen) -> String {
    match seen.counters.quic_hellos {
        0 => String::new(),
        hellos => format!("; {hellos} in all over QUIC (HTTP/3)"),
    }
}

const ENCRYPTION: &str = "encryption";
/// What must be so that encrypted requests can be known.
const THREE_WAYS: &str = "README, \"HTTPS, three ways\": give each canary a host name of its own \
                          (canarytap mint --subdomain), hand the web server's keys to the tap \
                          (canarytap keys), or mirror the plain hop behind a reverse proxy that is \
                          named under [[home.proxy]]";
/// What the second way needs besides where visitors come over QUIC.
const KEYS_OF_QUIC: &str = "some came over QUIC, which only the keys of a server open that logs those \
                            of HTTP/3 too, as Caddy does; a canary's own name is told there as well";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::point::State;
    use crate::doctor::tally::Sides;

    const TIME: &str = "2013-04-30T17:28:32.104512Z";

    /// What was heard of the watched host `www.example.org`.
    fn heard(requests: u64, hellos: u64) -> Result<Seen, Blind> {
        let mut seen = Seen::default();
        seen.counters.requests = requests;
        seen.counters.streams_tls = hellos;
        let count = HostCount { requests, hellos };
        seen.heard.hosts.insert("www.example.org".into(), count);
        Ok(seen)
    }

    fn judged(seen: &Result<Seen, Blind>, change: impl FnOnce(&mut Encryption<'_>)) -> Point {
        let pattern = HostPattern::parse("*.example.org").unwrap();
        let mut encryption = Encryption {
            hosts: vec![Host {
                pattern: &pattern,
                has_named_canary: false,
                opened: None,
            }],
            seen,
            addresses: &[[192, 168, 1, 10].into()],
            has_proxy: false,
            keys_expected: false,
            secrets: 0,
            how_long: Duration::from_secs(5),
        };
        change(&mut encryption);
        encryption.point()
    }

    #[test]
    fn requests_in_the_clear_are_well() {
        let point = judged(&heard(3, 0), |_| {});
        assert_eq!(point.state, State::Ok);
        assert_eq!(
            point.found,
            "3 requests in the clear, 0 encrypted connections"
        );
    }

    #[test]
    fn behind_a_proxy_that_is_named_is_the_third_way() {
        let point = judged(&heard(3, 0), |one| one.has_proxy = true);
        assert_eq!(point.state, State::Ok);
        assert!(
            point
                .found
                .contains("3 requests in the clear (the third way")
        );
    }

    #[test]
    fn what_came_over_quic_is_told_with_what_it_needs() {
        let mut seen = heard(0, 2);
        seen.as_mut().unwrap().counters.quic_hellos = 1;
        let point = judged(&seen, |_| {});
        assert!(point.found.ends_with("1 in all over QUIC (HTTP/3)"));
        assert!(point.cure.unwrap().contains("as Caddy does"));
    }

    #[test]
    fn a_watched_host_that_no_way_leads_to_fails_with_all_three() {
        let point = judged(&heard(0, 2), |_| {});
        assert_eq!(point.state, State::Failed);
        assert!(
            point
                .found
                .contains("2 encrypted connections, of which the hello alone")
        );
        let cure = point.cure.unwrap();
        for way in ["mint --subdomain", "canarytap keys", "[[home.proxy]]"] {
            assert!(cure.contains(way), "{way}: {cure}");
        }
    }

    #[test]
    fn a_host_that_speaks_both_ways_is_a_warning() {
        let point = judged(&heard(3, 2), |_| {});
        assert_eq!(point.state, State::Warning);
        assert!(point.found.contains("3 requests in the clear, 2 encrypted"));
    }

    #[test]
    fn keys_that_open_requests_and_names_that_tell_canaries_are_ways() {
        let by_keys = judged(&heard(0, 2), |one| one.hosts[0].opened = Some(TIME));
        assert_eq!(by_keys.state, State::Ok);
        assert!(by_keys.found.contains(TIME), "{by_keys:?}");
        let by_name = judged(&heard(0, 2), |one| one.hosts[0].has_named_canary = true);
        assert_eq!(by_name.state, State::Ok);
    }

    #[test]
    fn keys_that_do_not_come_or_open_nothing_are_told() {
        let none = judged(&heard(0, 2), |one| one.keys_expected = true);
        assert!(none.cure.unwrap().starts_with("no key has come"));
        let useless = judged(&heard(0, 2), |one| {
            one.keys_expected = true;
            one.secrets = 9;
        });
        assert!(useless.cure.unwrap().starts_with("keys came"));
    }

    #[test]
    fn encrypted_connections_without_a_name_warn_unless_the_server_is_known() {
        let mut nameless = heard(0, 0);
        let seen = nameless.as_mut().unwrap();
        seen.counters.streams_tls = 3;
        assert_eq!(judged(&nameless, |_| {}).state, State::Warning);
        let sides = Sides {
            tls: 2,
            ..Sides::default()
        };
        let seen = nameless.as_mut().unwrap();
        seen.counts.servers.insert([192, 168, 1, 10].into(), sides);
        assert_eq!(judged(&nameless, |_| {}).state, State::Failed);
    }

    #[test]
    fn where_nothing_came_in_nothing_can_be_told() {
        assert_eq!(judged(&heard(0, 0), |_| {}).state, State::NotLookedAt);
        let blind = Err(Blind::Forbidden(None));
        assert_eq!(judged(&blind, |_| {}).state, State::NotLookedAt);
    }
}
