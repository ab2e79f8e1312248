//! What a connection's hellos say about everything that is read on it.

use std::net::IpAddr;

use crate::app::tls::client_hello::ClientHello;
use crate::app::tls::ja4::{Carrier, ja4};
use crate::app::tls::keylog::{KeyLabel, Secret};
use crate::app::tls::secrets::ClientRandom;
use crate::event::{Flags, wire_text};
use crate::limits::FIELD_BYTES_MAX;

/// What the layer above is told of a connection under TLS or QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The server name, as on the wire.
    pub sni: Option<String>,
    /// The application protocol that the server chose or, as far as that is not known, the one
    /// that the client offers first.
    pub alpn: Option<String>,
    /// The JA4 fingerprint of the client.
    pub ja4: String,
    /// `ECH`, where the hello bears an encrypted one, so that the name may be an outer one.
    pub flags: Flags,
    /// The client that a PROXY protocol header ahead of the hello names.
    pub proxied_for: Option<IpAddr>,
    /// What carried the hello.
    pub carrier: Carrier,
    /// What key logs name the connection by.
    pub random: ClientRandom,
    /// The secrets of the connection that were used so far, by label.
    pub secrets: [Option<Secret>; KeyLabel::COUNT],
}

impl TlsFacts {
    /// What a client's hello says.
    pub fn of(hello: &ClientHello<'_>, carrier: Carrier, proxied_for: Option<IpAddr>) -> Self {
        let flags = match hello.encrypted_hello() {
            Some(_) => Flags::ECH,
            None => Flags::NONE,
        };
        Self {
            sni: hello.server_name().map(text),
            alpn: hello.protocols().next().map(text),
            ja4: ja4(hello, carrier),
            flags,
            proxied_for,
            carrier,
            random: *hello.random,
            secrets: [None; KeyLabel::COUNT],
        }
    }

    /// The server chose this application protocol.
    pub fn choose_protocol(&mut self, name: &[u8]) {
        self.alpn = Some(text(name));
    }
}

fn text(name: &[u8]) -> String {
    wire_text(name.get(..FIELD_BYTES_MAX).unwrap_or(name))
}
