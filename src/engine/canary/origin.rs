//! Inside or outside: whose address the visitor has.

use std::net::IpAddr;

use ipnet::IpNet;

/// The home's networks, and who may speak for a visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Networks whose addresses are inside.
    pub networks: Vec<IpNet>,
    /// The home's own public addresses.
    pub public: Vec<IpAddr>,
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
