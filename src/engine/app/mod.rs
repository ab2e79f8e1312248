//! From ordered bytes to observations: requests, their responses, hellos.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::app::tls::facts::TlsFacts;
use crate::app::tls::secrets::Secrets;
use crate::counters::Counters;
use crate::event::{EventId, Flags};
use crate::frame::Timestamp;
use crate::transport::StreamContext;

pub use session::Session;

mod adrift;
pub mod hpack;
mod http1;
mod http2;
pub mod http3;
mod opening;
mod probe;
mod proxy;
pub mod quic;
mod request;
mod session;
pub mod tls;
mod upgrade;

/// A header field: name as on the wire, value with folds undone and outer white space removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// Its name, in the sender's case.
    pub name: &'a [u8],
    /// Its value.
    pub value: Cow<'a, [u8]>,
}

/// The versions of HTTP that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0 (RFC 1945), and what names an older or no version.
    Http10,
    /// HTTP/1.1 (RFC 9112).
    Http11,
    /// HTTP/2 (RFC 9113).
    Http2,
    /// HTTP/3 (RFC 9114).
    Http3,
}

impl HttpVersion {
    /// As it is printed in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Http3 => "HTTP/3",
        }
    }
}

/// A request head, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The method, as on the wire.
    pub method: &'a [u8],
    /// The request target, as on the wire: origin form, absolute form, `*` or authority.
    pub target: &'a [u8],
    /// Version of HTTP.
    pub version: HttpVersion,
    /// The authority that the request is for: of an absolute target, else of the Host field or
    /// `:authority`. With port, in the sender's case. None when it names none.
    pub authority: Option<&'a [u8]>,
    /// The header fields, in order.
    pub fields: Vec<HeaderField<'a>>,
    /// Whether these are all of them: none is beyond a bound, and none was lost with the head's
    /// end.
    pub complete: bool,
    /// Whether it came behind an Upgrade (RFC 9110 §7.8): a proxy passes on what follows one as it
    /// is.
    pub tunnelled: bool,
    /// The client that a PROXY protocol header ahead of the connection's first request names.
    pub proxied_for: Option<IpAddr>,
    /// What is known against it: `GAP`, `MIDSTREAM`, `OVERLAP`, `TRUNCATED`.
    pub flags: Flags,
}

impl RequestHead<'_> {
    /// The value of the first field called `name` (ASCII case does not count).
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| &*field.value)
    }
}

/// The layer above: it says what is worth reading, and is told what was read.
pub trait Observer {
    /// Whether requests for this authority (host with or without port, any case; empty when a
    /// request names none) are wanted. Asked before a head is complete; requests for which the
    /// answer is no are only counted.
    fn is_watched(&self, authority: &[u8]) -> bool;
    /// A request was read: for an authority that is watched, or for one that was said in bytes
    /// that are missing. The observer's id for it, when it wants to hear of its response.
    fn on_request(&mut self, context: &StreamContext, head: &RequestHead<'_>) -> Option<EventId>;
    /// The final response to a request was seen.
    fn on_status(&mut self, time: Timestamp, request: EventId, status: u16);
    /// No response to a request will be seen.
    fn on_unanswered(&mut self, request: EventId);
    /// A request was read under TLS or QUIC. `visit` is the event by which its connection's hello
    /// was told as a visit and that still lacks its request: whoever gives it back has joined the
    /// two.
    fn on_tls_request(
        &mut self,
        context: &StreamContext,
        head: &RequestHead<'_>,
        facts: &TlsFacts,
        visit: Option<EventId>,
    ) -> Option<EventId> {
        let _ = (facts, visit);
        self.on_request(context, head)
    }
    /// A hello for a watched host will not be followed by its request, or not soon. The
    /// observer's id for it, to be settled by [`on_unanswered`](Self::on_unanswered) or by a
    /// request that is joined to it.
    fn on_hello(&mut self, context: &StreamContext, facts: &TlsFacts) -> Option<EventId> {
        let _ = (context, facts);
        None
    }
    /// Whether a connection to this host is a visit, whatever is asked for on it.
    fn is_canary_host(&self, host: &[u8]) -> bool {
        let _ = host;
        false
    }
    /// A hello for a watched host went to this server.
    fn on_watched_server(&mut self, server: IpAddr) {
        let _ = server;
    }
    /// Whether one did before.
    fn is_watched_server(&self, server: IpAddr) -> bool {
        let _ = server;
        false
    }
    /// The secrets that are known; None where no keys are looked for.
    fn secrets(&mut self) -> Option<&mut Secrets> {
        None
    }
    /// Where oddities are counted.
    fn counters(&mut self) -> &mut Counters;
}

#[cfg(test)]
mod tests;
