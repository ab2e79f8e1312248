//! Why the origin of a visitor was unknown, and what mends it: the engine's own judgement over
//! what is kept of the request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::doctor::point::Point;
use crate::engine::app::HeaderField;
use crate::engine::canary::{Claims, Doubt, Home, ProxyHeader};
use crate::store::EventRecord;

/// One point for each cause, or one that says there is none. `looked` says how far was looked,
/// or why nothing could be.
pub(super) fn points(
    home: &Home,
    unknown: &[EventRecord],
    looked: &Result<String, String>,
) -> Vec<Point> {
    let mut causes: BTreeMap<(Reason, IpAddr), Cause> = BTreeMap::new();
    for record in unknown {
        let (Some(client), told) = (record.client, told(record)) else {
            continue;
        };
        let reason = reason(home, record, &told);
        let cause = causes.entry((reason, client)).or_default();
        cause.count += 1;
        cause.last = record.time.clone().max(std::mem::take(&mut cause.last));
        cause.header = told.first().map(|(name, _)| name.clone());
    }
    let points: Vec<Point> = causes
        .iter()
        .map(|((reason, client), cause)| cause.point(*reason, *client, home))
        .collect();
    match (points.is_empty(), looked) {
        (false, _) => points,
        (true, Ok(looked)) => vec![Point::ok(ORIGIN, format!("no origin was unknown {looked}"))],
        (true, Err(why)) => vec![Point::not_looked_at(ORIGIN, why, "see the point store")],
    }
}

/// Why, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Gateway,
    Container,
    UntrustedProxy,
    SilentProxy,
    Unread,
    /// By the present configuration it would be known.
    NoMore,
}

impl From<Option<Doubt>> for Reason {
    fn from(doubt: Option<Doubt>) -> Self {
        match doubt {
            Some(Doubt::Gateway) => Self::Gateway,
            Some(Doubt::Container) => Self::Container,
            Some(Doubt::UntrustedProxy) => Self::UntrustedProxy,
            Some(Doubt::SilentProxy) => Self::SilentProxy,
            Some(Doubt::Unread) => Self::Unread,
            None => Self::NoMore,
        }
    }
}

/// The visits that have one reason and one address.
#[derive(Debug, Default)]
struct Cause {
    count: u64,
    /// Time of the newest.
    last: String,
    /// The header in which somebody was named, as far as that is known.
    header: Option<String>,
}

impl Cause {
    fn point(&self, reason: Reason, client: IpAddr, home: &Home) -> Point {
        let found = |why: &str| {
            format!(
                "unknown for {} of {client}, last at {}: {why}",
                super::point::counted(self.count, "request"),
                self.last
            )
        };
        let header = self.header.as_deref().unwrap_or("x-forwarded-for");
        match reason {
            Reason::Gateway => Point::warning(
                ORIGIN,
                found("this is a router that may stand for anyone"),
                "on the router switch source translation (masquerading) off for the forwarded \
                 port; if only visits from home come so, let home use the server's own address \
                 (split DNS), or translate them to the public address and add it to home.public",
            ),
            Reason::Container => Point::warning(
                ORIGIN,
                found("this is an address of a container network, behind which anyone may be"),
                format!(
                    "for Docker write \"userland-proxy\": false into /etc/docker/daemon.json, or \
                     give the web server's container the host's network; if a proxy in a container \
                     names visitors: {}",
                    proxy_lines(client, header)
                ),
            ),
            Reason::UntrustedProxy => Point::warning(
                ORIGIN,
                found(&format!(
                    "it speaks for others in {header} and is no trusted proxy"
                )),
                format!(
                    "if it is a proxy of yours, add {}",
                    proxy_lines(client, header)
                ),
            ),
            Reason::SilentProxy => Point::warning(
                ORIGIN,
                found("this trusted proxy did not say for whom it speaks"),
                format!(
                    "let it write {} on every request, or name the header that it writes under \
                     [[home.proxy]]",
                    believed_header(home, client)
                ),
            ),
            Reason::Unread => Point::warning(
                ORIGIN,
                found("its head was not read to the end, where somebody else may be named"),
                "nothing here mends it if the points packets and whole_frames are well: who sends \
                 heads of that length may have something to hide",
            ),
            Reason::NoMore => Point::ok(
                ORIGIN,
                found("by the present configuration a request like it would be known"),
            ),
        }
    }
}

fn proxy_lines(client: IpAddr, header: &str) -> String {
    let bits = if client.is_ipv4() { 32 } else { 128 };
    format!("[[home.proxy]] with networks = [\"{client}/{bits}\"] and header = \"{header}\"")
}

fn believed_header(home: &Home, client: IpAddr) -> String {
    let trusted = home.proxies.iter().find(|proxy| {
        let mut networks = proxy.networks.iter();
        networks.any(|network| network.contains(&client))
    });
    trusted.map_or_else(|| "its header".into(), |proxy| proxy.header.to_string())
}

fn reason(home: &Home, record: &EventRecord, told: &[(String, String)]) -> Reason {
    let Some(client) = record.client else {
        return Reason::NoMore;
    };
    if record.src != Some(client) {
        // A trusted proxy named it: nothing else speaks for it.
        return judge(home, client, None, &[], true);
    }
    let named_ahead = |(name, value): &(String, String)| {
        (name == PROXY_PROTOCOL)
            .then(|| value.parse().ok())
            .flatten()
    };
    let proxied_for = told.iter().find_map(named_ahead);
    let fields: Vec<HeaderField<'_>> = told
        .iter()
        .filter(|(name, _)| name != PROXY_PROTOCOL)
        .map(|(name, value)| HeaderField {
            name: name.as_bytes(),
            value: Cow::Borrowed(value.as_bytes()),
        })
        .collect();
    let complete = !record.flags.iter().any(|flag| flag == "truncated");
    judge(home, client, proxied_for, &fields, complete)
}

fn judge(
    home: &Home,
    src: IpAddr,
    proxied_for: Option<IpAddr>,
    fields: &[HeaderField<'_>],
    complete: bool,
) -> Reason {
    let claims = Claims {
        proxied_for,
        fields,
        complete,
        tunnelled: false, // which is not kept
    };
    home.judge(src, &claims).doubt.into()
}

/// What is kept of forwarding headers, by name. A single one is kept without its name, and is
/// guessed by its look.
fn told(record: &EventRecord) -> Vec<(String, String)> {
    let Some(told) = &record.forwarded_for else {
        return Vec::new();
    };
    let named: Option<Vec<_>> = told
        .split("; ")
        .map(|part| {
            let (name, value) = part.split_once(": ")?;
            is_header_name(name).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect();
    named.unwrap_or_else(|| {
        let is_forwarded = told.to_ascii_lowercase().contains("for=");
        let header = if is_forwarded {
            ProxyHeader::Forwarded
        } else {
            ProxyHeader::XForwardedFor
        };
        vec![(header.to_string(), told.clone())]
    })
}

fn is_header_name(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_name)
}

const ORIGIN: &str = "origin";
/// The name under which the PROXY protocol is kept among headers.
const PROXY_PROTOCOL: &str = "proxy-protocol";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::point::State;
    use crate::engine::canary::TrustedProxy;

    fn home() -> Home {
        Home {
            networks: vec!["192.168.1.0/24".parse().unwrap()],
            gateways: vec!["192.168.1.1".parse().unwrap()],
            proxies: vec![TrustedProxy {
                networks: vec!["192.168.1.6/32".parse().unwrap()],
                header: ProxyHeader::Single("x-real-ip".into()),
            }],
            ..Home::private()
        }
    }

    /// A visit whose origin was unknown.
    fn unknown(client: &str, told: Option<&str>) -> EventRecord {
        let forwarded = told.map(|told| format!(",\"forwarded_for\":\"{told}\""));
        let text = format!(
            r#"{{"time":"2013-04-30T17:28:32.104512Z","kind":"visit","alert":true,
            "origin":"unknown","client":"{client}","src":"{client}"{}}}"#,
            forwarded.unwrap_or_default()
        );
        serde_json::from_str(&text).unwrap()
    }

    fn judged(records: &[EventRecord]) -> Vec<Point> {
        points(&home(), records, &Ok("in the last 7 days".into()))
    }

    fn cure(point: &Point) -> &str {
        point.cure.as_deref().unwrap()
    }

    #[test]
    fn without_an_unknown_origin_all_is_well() {
        let points = judged(&[]);
        assert_eq!(points[0].state, State::Ok);
        assert_eq!(points[0].found, "no origin was unknown in the last 7 days");
    }

    #[test]
    fn a_store_that_cannot_be_read_tells_nothing() {
        let points = points(&home(), &[], &Err("no permission".into()));
        assert_eq!(points[0].state, State::NotLookedAt);
    }

    #[test]
    fn a_router_that_hides_visitors_is_named() {
        let points = judged(&[unknown("192.168.1.1", None), unknown("192.168.1.1", None)]);
        assert_eq!((points.len(), points[0].state), (1, State::Warning));
        assert!(points[0].found.contains("2 requests of 192.168.1.1"));
        assert!(cure(&points[0]).contains("masquerading"));
    }

    #[test]
    fn a_container_network_has_its_own_cure() {
        let points = judged(&[unknown("172.17.0.1", None)]);
        assert!(cure(&points[0]).contains("userland-proxy"), "{points:?}");
    }

    #[test]
    fn who_speaks_for_others_is_to_be_trusted_or_not() {
        let cases = [
            ("198.51.100.9", "x-forwarded-for"),
            ("for=198.51.100.9", "forwarded"),
            (
                "x-real-ip: 198.51.100.9; x-forwarded-for: 198.51.100.9",
                "x-real-ip",
            ),
            (
                "proxy-protocol: 198.51.100.9; x-real-ip: 192.0.2.1",
                "proxy-protocol",
            ),
        ];
        for (told, header) in cases {
            let points = judged(&[unknown("192.168.1.5", Some(told))]);
            let lines = format!(
                "[[home.proxy]] with networks = [\"192.168.1.5/32\"] and header = \"{header}\""
            );
            assert!(cure(&points[0]).contains(&lines), "{told}: {points:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_that_names_nobody_is_told_which_header_it_should_write() {
        let points = judged(&[unknown("192.168.1.6", None)]);
        assert!(
            cure(&points[0]).contains("let it write x-real-ip"),
            "{points:?}"
        );
    }

    #[test]
    fn a_head_that_was_not_read_to_its_end_has_its_own_reason() {
        let mut cut = unknown("192.168.1.44", None);
        cut.flags = vec!["truncated".into()];
        assert!(judged(&[cut])[0].found.contains("not read to the end"));
    }

    #[test]
    fn what_the_present_configuration_knows_is_mended() {
        let points = judged(&[unknown("192.168.1.44", None)]);
        assert_eq!(points[0].state, State::Ok);
    }

    #[test]
    fn each_cause_is_a_point_of_its_own() {
        let points = judged(&[
            unknown("172.17.0.1", None),
            unknown("192.168.1.1", None),
            unknown("192.168.1.5", Some("198.51.100.9")),
        ]);
        assert_eq!(points.len(), 3);
        assert!(points.iter().all(|point| point.point == "origin"));
    }

    #[test]
    fn the_address_that_a_proxy_named_is_judged_by_itself() {
        let mut record = unknown("192.168.1.1", Some("192.168.1.1"));
        record.src = "192.168.1.6".parse().ok();
        let points = judged(&[record]);
        assert!(points[0].found.contains("router"), "{points:?}");
    }

    #[test]
    fn whatever_was_told_is_printed_as_text_only() {
        let points = judged(&[unknown("192.168.1.5", Some("a; b: c; d"))]);
        assert!(cure(&points[0]).contains("x-forwarded-for"), "{points:?}");
    }
}
