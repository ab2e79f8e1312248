//! Inside or outside: whose address the visitor has.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::app::HeaderField;
use crate::canary::{container_ranges, forwarded, private_ranges};
use crate::event::Origin;

/// The home's networks, and who may speak for a visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Networks whose addresses are inside.
    pub networks: Vec<IpNet>,
    /// The home's own public addresses.
    pub public: Vec<IpAddr>,
    /// Who may name the visitor.
    pub proxies: Vec<TrustedProxy>,
    /// Routers that may stand for anyone behind them, because they translate source addresses.
    pub gateways: Vec<IpAddr>,
    /// Networks of containers, whose gateways stand for anyone. Where one of
    /// [`networks`](Self::networks) is as narrow or narrower, that one decides.
    pub containers: Vec<IpNet>,
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

impl fmt::Display for ProxyHeader {
    /// As it is written in a configuration.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::Single(name) => name,
            Self::ProxyProtocol => "proxy-protocol",
        })
    }
}

/// What was found out about where a visitor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Inside, outside or unknown.
    pub origin: Origin,
    /// The address that it was judged on.
    pub client: IpAddr,
    /// What forwarding headers said, believed or not.
    pub forwarded_for: Option<String>,
    /// Why the origin is unknown, when it is.
    pub doubt: Option<Doubt>,
}

/// What a request says about who sent it. Anyone may claim anything.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// The client that a PROXY header ahead of it names.
    pub proxied_for: Option<IpAddr>,
    /// Its header fields.
    pub fields: &'a [HeaderField<'a>],
    /// Whether these are all its fields. Who can make a head longer than what is read of it could
    /// hide behind its end what a proxy added there.
    pub complete: bool,
    /// Whether it came behind an Upgrade: then a proxy has passed it on unread, and what it says
    /// is the visitor's.
    pub tunnelled: bool,
}

/// Why an address says little about the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// It is a gateway's, which may translate source addresses.
    Gateway,
    /// It lies in a network of containers.
    Container,
    /// It is private and no trusted proxy's, and the request bears forwarding headers.
    UntrustedProxy,
    /// It is a trusted proxy's, which did not say for whom it speaks.
    SilentProxy,
    /// It is private or a trusted proxy's, and the request's head was not read to its end, where
    /// somebody else may be named.
    Unread,
}

impl Home {
    /// The home of anyone: private ranges are inside, except those that containers get.
    pub fn private() -> Self {
        Self {
            networks: private_ranges(),
            containers: container_ranges(),
            ..Self::default()
        }
    }

    /// Where the visitor stands whose request came from `src` and claims this.
    pub fn judge(&self, src: IpAddr, claims: &Claims<'_>) -> Judgement {
        let claims = Claims {
            proxied_for: claims.proxied_for.map(|address| address.to_canonical()),
            ..*claims
        };
        let client = self.effective_client(src.to_canonical(), &claims);
        let (origin, doubt) = match self.doubt_about(&client, &claims) {
            Some(doubt) => (Origin::Unknown, Some(doubt)),
            None => self.place(client.address),
        };
        let named = |field: &HeaderField<'_>| self.names(field);
        Judgement {
            origin,
            client: client.address,
            forwarded_for: forwarded::as_told(claims.fields, claims.proxied_for, named),
            doubt,
        }
    }

    /// Why somebody else may stand behind an address that would be inside.
    fn doubt_about(&self, client: &Client, claims: &Claims<'_>) -> Option<Doubt> {
        if client.silent {
            let doubt = match claims.complete {
                true => Doubt::SilentProxy,
                false => Doubt::Unread,
            };
            return self.is_private_or_inside(client.address).then_some(doubt);
        }
        if client.hops > 0 || !is_private(client.address) {
            return None;
        }
        let forwarded = || forwarded::bears_forwarding_fields(claims.fields);
        let doubt = if claims.proxied_for.is_some() || forwarded() {
            Doubt::UntrustedProxy
        } else if !claims.complete {
            Doubt::Unread
        } else {
            return None;
        };
        Some(self.doubt(client.address).unwrap_or(doubt))
    }

    /// Follows trusted proxies from `src` to the first address that is none. Each is believed in
    /// its own header only, and each element of a list speaks for one hop.
    fn effective_client(&self, src: IpAddr, claims: &Claims<'_>) -> Client {
        let mut client = Client {
            address: src,
            hops: 0,
            silent: false,
        };
        let mut said = Said::new(claims);
        while let Some(proxy) = self.proxy_at(client.address) {
            let Some(named) = said.next(&proxy.header) else {
                client.silent = true;
                break;
            };
            client.address = named;
            client.hops += 1;
        }
        client
    }

    fn proxy_at(&self, address: IpAddr) -> Option<&TrustedProxy> {
        self.proxies
            .iter()
            .find(|proxy| contains(&proxy.networks, address))
    }

    /// Whether a field is one that some trusted proxy is believed in.
    fn names(&self, field: &HeaderField<'_>) -> bool {
        self.proxies.iter().any(|proxy| match &proxy.header {
            ProxyHeader::Single(name) => field.name.eq_ignore_ascii_case(name.as_bytes()),
            _ => false, // looked for anyway
        })
    }

    /// Where an address lies that stands for its own host, or for anyone behind it.
    fn place(&self, address: IpAddr) -> (Origin, Option<Doubt>) {
        if self.is_public(address) {
            return (Origin::Inside, None);
        }
        match self.doubt(address) {
            Some(doubt) => (Origin::Unknown, Some(doubt)),
            None if contains(&self.networks, address) => (Origin::Inside, None),
            None => (Origin::Outside, None),
        }
    }

    fn doubt(&self, address: IpAddr) -> Option<Doubt> {
        let same = |gateway: &IpAddr| gateway.to_canonical() == address;
        if self.gateways.iter().any(same) {
            return Some(Doubt::Gateway);
        }
        let container = narrowest(&self.containers, address)?;
        let home = narrowest(&self.networks, address);
        (home < Some(container)).then_some(Doubt::Container)
    }

    fn is_public(&self, address: IpAddr) -> bool {
        self.public.iter().any(|own| own.to_canonical() == address)
    }

    fn is_private_or_inside(&self, address: IpAddr) -> bool {
        is_private(address) || self.is_public(address) || contains(&self.networks, address)
    }
}

/// Whom a request is from, as far as it can be told.
struct Client {
    address: IpAddr,
    /// Trusted proxies on the way.
    hops: usize,
    /// Whether the last of them named nobody.
    silent: bool,
}

/// What headers say, hop by hop. An address that was taken is not taken again.
struct Said<'a> {
    claims: Claims<'a>,
    x_forwarded_for: Box<dyn Iterator<Item = Option<IpAddr>> + 'a>,
    forwarded: Box<dyn Iterator<Item = Option<IpAddr>> + 'a>,
    singles: Vec<&'a str>,
}

impl<'a> Said<'a> {
    fn new(claims: &Claims<'a>) -> Self {
        // Where the head is incomplete the nearest hop's field may be missing, and in a tunnel
        // there is none.
        let fields = match claims.complete && !claims.tunnelled {
            true => claims.fields,
            false => &[],
        };
        Self {
            claims: Claims { fields, ..*claims },
            x_forwarded_for: Box::new(forwarded::x_forwarded_for(fields)),
            forwarded: Box::new(forwarded::forwarded(fields)),
            singles: Vec::new(),
        }
    }

    /// Whom the proxy that writes `header` named.
    fn next(&mut self, header: &'a ProxyHeader) -> Option<IpAddr> {
        match header {
            ProxyHeader::XForwardedFor => self.x_forwarded_for.next().flatten(),
            ProxyHeader::Forwarded => self.forwarded.next().flatten(),
            ProxyHeader::ProxyProtocol => self.claims.proxied_for.take(),
            ProxyHeader::Single(name) => {
                if self.singles.contains(&name.as_str()) {
                    return None;
                }
                self.singles.push(name);
                forwarded::single(self.claims.fields, name)
            }
        }
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Prefix length of the narrowest of `networks` around `address`.
fn narrowest(networks: &[IpNet], address: IpAddr) -> Option<u8> {
    networks
        .iter()
        .filter(|network| network.contains(&address))
        .map(IpNet::prefix_len)
        .max()
}

/// Whether an address says nothing outside its own network: the ranges of [`private_ranges`].
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b); // RFC 6598
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
