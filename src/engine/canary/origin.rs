//! Inside or outside: whose address the visitor has, and who may say so.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::app::RequestHead;
use crate::engine::event::{Origin, wire_text};
use crate::engine::limits::FIELD_BYTES_MAX;

/// The home's networks, and who may speak for a visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Networks whose addresses are inside.
    pub networks: Vec<IpNet>,
    /// The home's own public addresses.
    pub public: Vec<IpAddr>,
    /// Addresses that stand for many: the router, which may translate sources.
    pub gateways: Vec<IpAddr>,
    /// Who may name the visitor.
    pub proxies: Vec<TrustedProxy>,
}

/// A proxy of the home that names the visitor in one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    /// Addresses that it speaks from.
    pub networks: Vec<IpNet>,
    /// The one header that is believed.
    pub header: ProxyHeader,
}

/// Where a trusted proxy names the visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: a list, the nearest hop last.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// A field with one address (`cf-connecting-ip`, `x-real-ip`, `true-client-ip`, …), lower case.
    Single(String),
    /// The PROXY protocol, version 1 or 2, ahead of the request.
    ProxyProtocol,
}

/// Where a request comes from, and by whose word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Inside, outside or unknown.
    pub origin: Origin,
    /// The address that it was judged on.
    pub client: IpAddr,
    /// What forwarding headers said, believed or not.
    pub forwarded_for: Option<String>,
}

/// Header fields in which proxies name a visitor.
const FORWARDING: [&str; 6] = [
    "x-forwarded-for",
    "forwarded",
    "cf-connecting-ip",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
];

/// Where container engines put their bridges unless told otherwise.
const CONTAINERS: &str = "172.17.0.0/16";

/// Judges a request by its sender and, where the sender is a trusted proxy, by its one header.
pub(super) fn judge(home: &Home, src: IpAddr, head: &RequestHead<'_>) -> Judgement {
    let src = src.to_canonical();
    let forwarded_for = forwarding_headers(head);
    let (client, origin) = match home.proxy(src) {
        Some(proxy) => match named_client(home, proxy, head) {
            Some(client) => (client, home.origin_of(client)),
            // The proxy is not the visitor, and does not say who is.
            None => (src, Origin::Unknown),
        },
        None if home.is_inside(src) && says_little(home, src, forwarded_for.is_some()) => {
            (src, Origin::Unknown)
        }
        None => (src, home.origin_of(src)),
    };
    Judgement {
        origin,
        client,
        forwarded_for,
    }
}

impl Home {
    fn is_inside(&self, address: IpAddr) -> bool {
        self.public.contains(&address)
            || self
                .networks
                .iter()
                .any(|network| network.contains(&address))
    }

    fn origin_of(&self, client: IpAddr) -> Origin {
        if !self.is_inside(client) {
            Origin::Outside
        } else if says_little(self, client, false) {
            Origin::Unknown
        } else {
            Origin::Inside
        }
    }

    fn proxy(&self, address: IpAddr) -> Option<&TrustedProxy> {
        self.proxies
            .iter()
            .find(|proxy| contains(&proxy.networks, address))
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Whether a private address may stand for a visitor from anywhere: the router, a container
/// network, or someone who forwards without being trusted to.
fn says_little(home: &Home, address: IpAddr, forwards: bool) -> bool {
    if home.public.contains(&address) {
        return false;
    }
    let containers = CONTAINERS
        .parse::<IpNet>()
        .is_ok_and(|network| network.contains(&address) && !home.networks.contains(&network));
    forwards || containers || home.gateways.contains(&address)
}

/// The visitor by a trusted proxy's word.
fn named_client(home: &Home, proxy: &TrustedProxy, head: &RequestHead<'_>) -> Option<IpAddr> {
    match &proxy.header {
        ProxyHeader::XForwardedFor => {
            let hops = list(head, "x-forwarded-for");
            nearest_untrusted(home, hops.iter().map(|hop| address(hop)))
        }
        ProxyHeader::Forwarded => {
            let hops = list(head, "forwarded");
            nearest_untrusted(home, hops.iter().map(|hop| forwarded_address(hop)))
        }
        ProxyHeader::Single(name) => address(std::str::from_utf8(head.field(name)?).ok()?),
        ProxyHeader::ProxyProtocol => head.proxied_for.map(|address| address.to_canonical()),
    }
}

/// From the nearest hop outwards: the first that is no trusted proxy. What cannot be read ends
/// the search: beyond it everything may be made up.
fn nearest_untrusted(
    home: &Home,
    hops: impl DoubleEndedIterator<Item = Option<IpAddr>>,
) -> Option<IpAddr> {
    for hop in hops.rev() {
        let hop = hop?;
        if home.proxy(hop).is_none() {
            return Some(hop);
        }
    }
    None
}

/// The members of a list field, over all its lines (RFC 9110 §5.3).
fn list(head: &RequestHead<'_>, name: &str) -> Vec<String> {
    head.fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .map(|member| String::from_utf8_lossy(member).trim().to_owned())
        .filter(|member| !member.is_empty())
        .collect()
}

/// An address with or without port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text,
    };
    let without_port = || {
        let (host, port) = bare.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        host.parse().ok()
    };
    let address: IpAddr = bare.parse().ok().or_else(without_port)?;
    Some(address.to_canonical())
}

/// The `for` parameter of one element (RFC 7239 §4).
fn forwarded_address(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| address(value))?
    })
}

/// All forwarding headers, as they stood.
fn forwarding_headers(head: &RequestHead<'_>) -> Option<String> {
    let values: Vec<String> = head
        .fields
        .iter()
        .filter(|field| {
            FORWARDING
                .iter()
                .any(|name| field.name.eq_ignore_ascii_case(name.as_bytes()))
        })
        .map(|field| wire_text(field.value.get(..FIELD_BYTES_MAX).unwrap_or(&field.value)))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::engine::app::{HeaderField, HttpVersion};
    use crate::engine::canary::private_ranges;
    use crate::engine::event::Flags;

    fn home(proxies: Vec<TrustedProxy>) -> Home {
        Home {
            networks: private_ranges(),
            public: vec!["198.51.100.7".parse().unwrap()],
            gateways: vec!["192.168.1.1".parse().unwrap()],
            proxies,
        }
    }

    fn proxy(header: ProxyHeader) -> Home {
        home(vec![TrustedProxy {
            networks: vec!["192.168.1.5/32".parse().unwrap()],
            header,
        }])
    }

    fn judged(home: &Home, src: &str, fields: &[(&str, &str)]) -> (Origin, String) {
        let head = RequestHead {
            method: b"GET",
            target: b"/",
            version: HttpVersion::Http11,
            authority: None,
            proxied_for: None,
            fields: fields
                .iter()
                .map(|(name, value)| HeaderField {
                    name: name.as_bytes(),
                    value: Cow::Borrowed(value.as_bytes()),
                })
                .collect(),
            flags: Flags::NONE,
        };
        let judgement = judge(home, src.parse().unwrap(), &head);
        (judgement.origin, judgement.client.to_string())
    }

    #[test]
    fn a_public_address_is_outside_and_a_private_one_inside() {
        let home = home(vec![]);
        assert_eq!(judged(&home, "203.0.113.9", &[]).0, Origin::Outside);
        assert_eq!(judged(&home, "192.168.1.50", &[]).0, Origin::Inside);
        assert_eq!(judged(&home, "2001:db8::1", &[]).0, Origin::Outside);
        assert_eq!(judged(&home, "::ffff:192.168.1.50", &[]).0, Origin::Inside);
    }

    #[test]
    fn a_visit_through_the_homes_own_public_address_is_inside() {
        assert_eq!(judged(&home(vec![]), "198.51.100.7", &[]).0, Origin::Inside);
    }

    #[test]
    fn the_router_and_container_networks_say_little() {
        let home = home(vec![]);
        assert_eq!(judged(&home, "192.168.1.1", &[]).0, Origin::Unknown);
        assert_eq!(judged(&home, "172.17.0.1", &[]).0, Origin::Unknown);
    }

    #[test]
    fn a_forged_header_from_outside_changes_nothing() {
        let forged = [("X-Forwarded-For", "192.168.1.50")];
        let judged = judged(&proxy(ProxyHeader::XForwardedFor), "203.0.113.9", &forged);
        assert_eq!(judged, (Origin::Outside, "203.0.113.9".into()));
    }

    #[test]
    fn a_private_sender_with_forwarding_headers_that_is_no_proxy_is_unknown() {
        let header = [("X-Forwarded-For", "203.0.113.9")];
        assert_eq!(
            judged(&home(vec![]), "192.168.1.77", &header).0,
            Origin::Unknown
        );
    }

    #[test]
    fn a_list_is_read_from_the_right_past_trusted_hops() {
        let home = proxy(ProxyHeader::XForwardedFor);
        let header = [("X-Forwarded-For", "10.0.0.1, 203.0.113.9, 192.168.1.5")];
        assert_eq!(
            judged(&home, "192.168.1.5", &header),
            (Origin::Outside, "203.0.113.9".into())
        );
    }

    #[test]
    fn an_element_that_cannot_be_read_ends_the_search() {
        let home = proxy(ProxyHeader::XForwardedFor);
        let header = [("X-Forwarded-For", "192.168.1.50, unknown")];
        assert_eq!(judged(&home, "192.168.1.5", &header).0, Origin::Unknown);
    }

    #[test]
    fn forwarded_is_read_with_quotes_brackets_and_port() {
        let home = proxy(ProxyHeader::Forwarded);
        let header = [("Forwarded", "for=\"[2001:db8::9]:4711\";proto=https;by=x")];
        assert_eq!(
            judged(&home, "192.168.1.5", &header),
            (Origin::Outside, "2001:db8::9".into())
        );
    }

    #[test]
    fn only_the_one_header_is_believed() {
        let home = proxy(ProxyHeader::Single("cf-connecting-ip".into()));
        let headers = [
            ("X-Forwarded-For", "192.168.1.50"),
            ("CF-Connecting-IP", "203.0.113.9"),
        ];
        assert_eq!(
            judged(&home, "192.168.1.5", &headers),
            (Origin::Outside, "203.0.113.9".into())
        );
    }

    #[test]
    fn a_proxy_that_names_nobody_is_unknown() {
        let home = proxy(ProxyHeader::XForwardedFor);
        assert_eq!(judged(&home, "192.168.1.5", &[]).0, Origin::Unknown);
    }
}
