//! What the engine says: events, what is learned about them later, and who listens.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::frame::Timestamp;

pub use kept::{Ending, Kept, KeptFrame, RecordingId, Source};

mod kept;

/// Names an event within one run of the engine, so that later details find it. The store's
/// `seq` is another number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// HEAD or GET for a watched host, no canary.
    Request,
    /// Any method on a canary.
    Visit,
    /// A TLS or QUIC hello to a watched host whose request could not be read.
    Hello,
}

/// What a request was carried in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text.
    #[default]
    Http,
    /// TLS or QUIC.
    Https,
}

impl Scheme {
    /// As it is printed in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// How a request met a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchKind {
    /// The path agrees; the query differs or is gone.
    Path,
    /// The canary's token stands in host, path, query or Referer.
    Token,
    /// Host, path and query agree after normalisation.
    Url,
}

/// Where a visitor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The effective client lies in the home's networks.
    Inside,
    /// It does not.
    Outside,
    /// The address is private but says little about the visitor.
    Unknown,
}

/// What makes an event less than perfect. Each is explained in the manual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Nothing to say.
    pub const NONE: Self = Self(0);
    /// The connection's start was not seen.
    pub const MIDSTREAM: Self = Self(1);
    /// Bytes are missing before the request.
    pub const GAP: Self = Self(1 << 1);
    /// Retransmitted bytes differed.
    pub const OVERLAP: Self = Self(1 << 2);
    /// A bound was reached, or the snap length cut frames.
    pub const TRUNCATED: Self = Self(1 << 3);
    /// The key came after the packets.
    pub const LATE_KEY: Self = Self(1 << 4);
    /// The clock was not synchronised.
    pub const CLOCK_UNSYNCED: Self = Self(1 << 5);
    /// The hello bears an encrypted one: its name may be an outer one.
    pub const ECH: Self = Self(1 << 6);
    /// Data that came with the hello could not be opened, though the rest of the connection was: a
    /// request that nobody has read.
    pub const EARLY_UNREAD: Self = Self(1 << 7);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::MIDSTREAM, "midstream"),
        (Self::GAP, "gap"),
        (Self::OVERLAP, "overlap"),
        (Self::TRUNCATED, "truncated"),
        (Self::LATE_KEY, "late_key"),
        (Self::CLOCK_UNSYNCED, "clock_unsynced"),
        (Self::ECH, "ech"),
        (Self::EARLY_UNREAD, "early_unread"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether none is set.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The names of the flags that are set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| name)
    }
}

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// What was done to a canary's URL on its way into a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Alterations(u16);

impl Alterations {
    /// The URL came as it was given away.
    pub const NONE: Self = Self(0);
    /// Capital letters became small ones.
    pub const LOWER_CASED: Self = Self(1);
    /// Characters that were percent-encoded stand plainly.
    pub const PERCENT_DECODED: Self = Self(1 << 1);
    /// Characters that stood plainly are percent-encoded.
    pub const PERCENT_ENCODED: Self = Self(1 << 2);
    /// The query is gone.
    pub const QUERY_DROPPED: Self = Self(1 << 3);
    /// The query is another one.
    pub const QUERY_CHANGED: Self = Self(1 << 4);
    /// Parameters stand before or behind those that belong there.
    pub const PARAMETERS_ADDED: Self = Self(1 << 5);
    /// The end is missing.
    pub const CUT_SHORT: Self = Self(1 << 6);
    /// Punctuation of the surrounding text hangs at the end.
    pub const TRAILING_PUNCTUATION: Self = Self(1 << 7);
    /// `www.` was put before the host.
    pub const WWW_ADDED: Self = Self(1 << 8);
    /// `www.` was taken off the host.
    pub const WWW_DROPPED: Self = Self(1 << 9);
    /// https became http, or http became https.
    pub const SCHEME_CHANGED: Self = Self(1 << 10);

    /// What is left of it ends where a segment of its path does.
    pub const PATH_PREFIX: Self = Self(1 << 11);
    /// It was wrapped in a redirector's, which the Referer names.
    pub const REDIRECTED: Self = Self(1 << 12);

    const NAMES: [(Self, &'static str); 13] = [
        (Self::LOWER_CASED, "lower_cased"),
        (Self::PERCENT_DECODED, "percent_decoded"),
        (Self::PERCENT_ENCODED, "percent_encoded"),
        (Self::QUERY_DROPPED, "query_dropped"),
        (Self::QUERY_CHANGED, "query_changed"),
        (Self::PARAMETERS_ADDED, "parameters_added"),
        (Self::CUT_SHORT, "cut_short"),
        (Self::TRAILING_PUNCTUATION, "trailing_punctuation"),
        (Self::WWW_ADDED, "www_added"),
        (Self::WWW_DROPPED, "www_dropped"),
        (Self::SCHEME_CHANGED, "scheme_changed"),
        (Self::PATH_PREFIX, "path_prefix"),
        (Self::REDIRECTED, "redirected"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// The names of what is in the set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(alteration, _)| self.contains(*alteration))
            .map(|(_, name)| name)
    }
}

impl Serialize for Alterations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

/// One event, as it is printed and kept: keys in this order, a key without a value left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The engine's own number for it; never printed.
    #[serde(skip)]
    pub id: EventId,
    /// The store's number; none before it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Time stamp of the packet that completed the request head or hello.
    #[serde(serialize_with = "display")]
    pub time: Timestamp,
    /// What it is.
    pub kind: EventKind,
    /// Whether it is a visit whose origin is not inside.
    pub alert: bool,
    /// Id of the canary that was visited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// The channel that the canary was given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The owner's words for the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How the request met the canary.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchKind>,
    /// Where the visitor stands.
    pub origin: Origin,
    /// The address that `origin` was judged on.
    pub client: IpAddr,
    /// Sender of the request.
    pub src: IpAddr,
    /// Its port.
    pub src_port: u16,
    /// Receiver of the request.
    pub dst: IpAddr,
    /// Its port.
    pub dst_port: u16,
    /// VLAN id of the frame that completed the request; the innermost of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The method, as on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Lower case, without port and trailing dot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// As on the wire; control bytes and invalid UTF-8 percent-encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`, `HTTP/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
    /// The response's status, where it was seen in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The User-Agent field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The Referer field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// What forwarding headers said, believed or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// Server name of the TLS or QUIC hello.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Application protocol that the hello offered first or the server chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// JA4 fingerprint of the hello.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ja4: Option<String>,
    /// What makes it less than perfect.
    #[serde(skip_serializing_if = "Flags::is_empty")]
    pub flags: Flags,
    /// What had been done to the canary's URL.
    #[serde(skip_serializing_if = "Alterations::is_empty")]
    pub alterations: Alterations,
    /// How the clock was then: said by who runs the engine, which has none.
    #[serde(flatten)]
    pub clock: ClockState,
}

/// How a machine's clock was when something happened, so that it can be dated later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockState {
    /// Names the boot of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Microseconds from that boot, sleep included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_micros: Option<u64>,
    /// Whether the clock was synchronised, where somebody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
}

/// Something learned about an event after it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The event it is about.
    pub of: EventId,
    /// When it was learned.
    pub time: Timestamp,
    /// What was learned.
    pub learned: Learned,
}

/// What can be learned about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Learned {
    /// The response's final status.
    Status {
        /// Its number.
        status: u16,
    },
    /// The request of a visit that was told by its hello.
    Request(Box<LateRequest>),
}

/// A request that was read after its connection's hello had been told as a visit. Keys as in an
/// [`Event`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LateRequest {
    /// How the request met the canary, which may be more than its host did.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchKind>,
    /// The method.
    pub method: String,
    /// The host that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The request target.
    pub target: String,
    /// `HTTP/1.1` and its like.
    pub version: &'static str,
    /// The User-Agent field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The Referer field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// What forwarding headers said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// Application protocol, by now perhaps the server's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// What makes the request less than perfect.
    #[serde(skip_serializing_if = "Flags::is_empty")]
    pub flags: Flags,
    /// What was done to the canary's URL.
    #[serde(skip_serializing_if = "Alterations::is_empty")]
    pub alterations: Alterations,
}

impl Event {
    /// Puts what was learned later into it.
    pub fn learn(&mut self, learned: &Learned) {
        match learned {
            Learned::Status { status } => self.status = Some(*status),
            Learned::Request(request) => self.learn_request(request),
        }
    }

    fn learn_request(&mut self, request: &LateRequest) {
        self.matched = request.matched.or(self.matched);
        self.method = Some(request.method.clone());
        self.host = request.host.clone().or_else(|| self.host.take());
        self.target = Some(request.target.clone());
        self.version = Some(request.version);
        self.user_agent.clone_from(&request.user_agent);
        self.referer.clone_from(&request.referer);
        self.forwarded_for = request
            .forwarded_for
            .clone()
            .or_else(|| self.forwarded_for.take());
        self.alpn = request.alpn.clone().or_else(|| self.alpn.take());
        self.flags = self.flags.with(request.flags);
        self.alterations = request.alterations;
    }
}

/// Who listens to the engine.
///
/// For each event: one [`on_event`](Self::on_event), any number of
/// [`on_detail`](Self::on_detail), then exactly one [`on_settled`](Self::on_settled).
pub trait EventSink {
    /// An event was found.
    fn on_event(&mut self, event: Event);
    /// Something more was learned about an earlier event.
    fn on_detail(&mut self, detail: Detail);
    /// Nothing more will be learned about an earlier event.
    fn on_settled(&mut self, id: EventId);
    /// Packets of an event's connection, where they are kept.
    fn on_kept(&mut self, kept: Kept<'_>) {
        let _ = kept;
    }
}

/// Within the core, who listens is one pointer wide.
impl EventSink for &mut dyn EventSink {
    fn on_event(&mut self, event: Event) {
        (**self).on_event(event);
    }
    fn on_detail(&mut self, detail: Detail) {
        (**self).on_detail(detail);
    }
    fn on_settled(&mut self, id: EventId) {
        (**self).on_settled(id);
    }
    fn on_kept(&mut self, kept: Kept<'_>) {
        (**self).on_kept(kept);
    }
}

fn display<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Text for an event out of bytes from the wire: control bytes and what is not UTF-8 are
/// percent-encoded, everything else stays as it was.
pub fn wire_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push_escaped(&mut text, character);
        }
        for byte in chunk.invalid() {
            push_percent(&mut text, *byte);
        }
    }
    text
}

fn push_escaped(text: &mut String, character: char) {
    if character.is_control() {
        let mut buffer = [0; 4];
        for byte in character.encode_utf8(&mut buffer).bytes() {
            push_percent(text, byte);
        }
    } else {
        text.push(character);
    }
}

fn push_percent(text: &mut String, byte: u8) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    text.push('%');
    text.extend(HEX.get(usize::from(byte >> 4)));
    text.extend(HEX.get(usize::from(byte & 15)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_and_invalid_utf8_are_percent_encoded() {
        assert_eq!(wire_text(b"/a\x1b[2J\xff\xc3\xa4"), "/a%1B[2J%FFä");
    }

    #[test]
    fn flags_are_named_in_a_fixed_order() {
        let flags = Flags::GAP.with(Flags::MIDSTREAM);
        assert_eq!(flags.names().collect::<Vec<_>>(), ["midstream", "gap"]);
    }
}
