//! What a look at the wire says of the watched hosts: asked for or not.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::doctor::point::{Point, counted};
use crate::doctor::watch::{Blind, HostCount, Seen};
use crate::doctor::wire::unseen;
use crate::engine::canary::HostPattern;

/// What the points are judged by.
#[derive(Debug)]
pub(super) struct Requests<'a> {
    pub(super) watched: &'a [HostPattern],
    pub(super) seen: &'a Result<Seen, Blind>,
    /// Hosts that stand in the store lately, with the time of the newest event of each.
    pub(super) kept: &'a BTreeMap<String, String>,
    pub(super) how_long: Duration,
}

/// What is known of one watched host.
struct Known<'a> {
    pattern: &'a HostPattern,
    now: HostCount,
    /// Time of the newest event that is kept.
    last: Option<&'a str>,
}

impl Requests<'_> {
    /// The point of the watched hosts.
    pub(super) fn point(&self) -> Point {
        if self.watched.is_empty() {
            return Point::not_looked_at(HOSTS, "no host is watched", "see the point config");
        }
        let known = self.known();
        let texts: Vec<String> = known.iter().map(|host| self.text(host)).collect();
        let found = texts.join("; ");
        let was_seen =
            |host: &&Known<'_>| host.now.requests + host.now.hellos > 0 || host.last.is_some();
        match known.iter().filter(was_seen).count() {
            0 => self.none(found),
            some if some < known.len() => Point::warning(HOSTS, found, self.cure()),
            _ => Point::ok(HOSTS, found),
        }
    }

    fn known(&self) -> Vec<Known<'_>> {
        let heard = self.seen.as_ref().ok().map(|seen| &seen.heard.hosts);
        let known = |pattern| Known {
            pattern,
            now: sum_of(heard, pattern),
            last: self
                .kept
                .iter()
                .filter(|(host, _)| HostPattern::covers(pattern, host))
                .map(|(_, time)| time.as_str())
                .max(),
        };
        self.watched.iter().map(known).collect()
    }

    fn text(&self, host: &Known<'_>) -> String {
        let Known { pattern, now, last } = host;
        match (now.requests, now.hellos, last) {
            (0, 0, None) => format!("{pattern}: not asked for {}", self.meanwhile()),
            (0, 0, Some(last)) => {
                format!(
                    "{pattern}: not asked for {}, last at {last}",
                    self.meanwhile()
                )
            }
            (0, hellos, _) => format!("{pattern}: {}", counted(hellos, "encrypted connection")),
            (requests, ..) => format!("{pattern}: {}", counted(requests, "request")),
        }
    }

    /// No watched host was seen, now or lately.
    fn none(&self, found: String) -> Point {
        let seen = match self.seen {
            Ok(seen) => seen,
            Err(blind) => return unseen(HOSTS, blind),
        };
        if seen.counts.segments == 0 {
            return Point::not_looked_at(HOSTS, found, self.cure());
        }
        let others: Vec<&str> = seen
            .heard
            .hosts
            .keys()
            .take(HOSTS_SHOWN)
            .map(String::as_str)
            .collect();
        if seen.counters.requests == 0 {
            return Point::warning(HOSTS, format!("{found}; no request was read"), self.cure());
        }
        let others = match others.as_slice() {
            [] => "without a host".to_owned(),
            hosts => format!("for {}", hosts.join(", ")),
        };
        Point::failed(
            HOSTS,
            format!(
                "{found}; {} read, all {others}",
                counted(seen.counters.requests, "request")
            ),
            format!(
                "see that [[host]] has the name that visitors' browsers show; {}",
                self.cure()
            ),
        )
    }

    fn meanwhile(&self) -> String {
        match self.seen {
            Ok(_) => format!("in these {} s", self.how_long.as_secs()),
            Err(_) => "lately".into(),
        }
    }

    fn cure(&self) -> String {
        open_its_page(self.how_long)
    }
}

/// How the hosts of a pattern were asked for.
pub(super) fn sum_of(
    heard: Option<&BTreeMap<String, HostCount>>,
    pattern: &HostPattern,
) -> HostCount {
    let hosts = heard.into_iter().flatten();
    let counts = hosts.filter(|(host, _)| pattern.covers(host));
    counts.fold(HostCount::default(), |sum, (_, count)| HostCount {
        requests: sum.requests + count.requests,
        hellos: sum.hellos + count.hellos,
    })
}

/// What to do so that something can be seen.
pub(super) fn open_its_page(how_long: Duration) -> String {
    let longer = (how_long.as_secs() * 6).clamp(30, 600);
    format!("open its page in a browser while `canarytap doctor --seconds {longer}` looks")
}

const HOSTS: &str = "hosts";
/// Other hosts that are named.
const HOSTS_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::point::State;

    struct Case {
        watched: Vec<HostPattern>,
        seen: Result<Seen, Blind>,
        kept: BTreeMap<String, String>,
    }

    /// `www.example.org` is watched; so many requests were read, by host.
    fn case(requests: &[(&str, u64)]) -> Case {
        let mut seen = Seen::default();
        seen.counts.segments = 40;
        for (host, count) in requests {
            let count = HostCount {
                requests: *count,
                hellos: 0,
            };
            seen.counters.requests += count.requests;
            seen.heard.hosts.insert((*host).to_owned(), count);
        }
        Case {
            watched: vec![HostPattern::parse("www.example.org").unwrap()],
            seen: Ok(seen),
            kept: BTreeMap::new(),
        }
    }

    impl Case {
        fn seen(&mut self) -> &mut Seen {
            self.seen.as_mut().unwrap()
        }

        fn point(&self) -> Point {
            Requests {
                watched: &self.watched,
                seen: &self.seen,
                kept: &self.kept,
                how_long: Duration::from_secs(5),
            }
            .point()
        }
    }

    #[test]
    fn a_watched_host_that_is_asked_for_in_the_clear_is_well() {
        let hosts = case(&[("www.example.org", 4)]).point();
        assert_eq!(hosts.state, State::Ok);
        assert_eq!(hosts.found, "www.example.org: 4 requests");
    }

    #[test]
    fn requests_for_others_only_are_a_failure_that_names_them() {
        let hosts = case(&[("other.example.net", 4)]).point();
        assert_eq!(hosts.state, State::Failed);
        assert!(hosts.found.contains("for other.example.net"), "{hosts:?}");
    }

    #[test]
    fn a_host_that_stands_in_the_store_was_seen() {
        let mut case = case(&[("other.example.net", 4)]);
        let time = "2013-04-30T17:28:32.104512Z".to_owned();
        case.kept.insert("www.example.org".into(), time.clone());
        let hosts = case.point();
        assert_eq!(hosts.state, State::Ok);
        assert!(hosts.found.contains(&format!("last at {time}")));
    }

    #[test]
    fn one_of_several_hosts_that_was_not_seen_is_a_warning() {
        let mut case = case(&[("a.example.org", 1)]);
        case.watched = vec![
            HostPattern::parse("*.example.org").unwrap(),
            HostPattern::parse("example.net").unwrap(),
        ];
        let hosts = case.point();
        assert_eq!(hosts.state, State::Warning);
        assert_eq!(
            hosts.found,
            "*.example.org: 1 request; example.net: not asked for in these 5 s"
        );
    }

    #[test]
    fn an_encrypted_connection_shows_its_host_too() {
        let mut case = case(&[]);
        assert_eq!(case.point().state, State::Warning);
        let hello = HostCount {
            requests: 0,
            hellos: 1,
        };
        let hosts = &mut case.seen().heard.hosts;
        hosts.insert("www.example.org".into(), hello);
        let point = case.point();
        assert_eq!(point.state, State::Ok);
        assert_eq!(point.found, "www.example.org: 1 encrypted connection");
    }

    #[test]
    fn where_nothing_came_in_nothing_can_be_told() {
        let mut silent = case(&[]);
        silent.seen().counts.segments = 0;
        assert_eq!(silent.point().state, State::NotLookedAt);
        silent.seen = Err(Blind::Forbidden(None));
        assert_eq!(silent.point().state, State::NotLookedAt);
    }
}
