//! An event as it is read back and shown.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::engine::event::{Event, EventKind, MatchKind, Origin};
use crate::store::Evidence;

/// One event with what was learned of it later: keys in the order in which they are printed, a
/// key without a value left out. Made from a record of the store, or from an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// The store's number; none in a replay without store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// RFC 3339, UTC, six decimals.
    pub time: String,
    /// `request`, `visit`, `hello`, `fold`, `health`.
    pub kind: Cow<'static, str>,
    /// Whether it is a visit whose origin is not inside.
    pub alert: bool,
    /// Id of the canary that was visited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// The channel that the canary was given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The owner's words for the canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `url`, `token`, `path`.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<Cow<'static, str>>,
    /// `inside`, `outside`, `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Cow<'static, str>>,
    /// The address that `origin` was judged on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Sender of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<IpAddr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_port: Option<u16>,
    /// Receiver of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst: Option<IpAddr>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<u16>,
    /// VLAN id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// `http`, `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Cow<'static, str>>,
    /// The method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The request target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `HTTP/1.1` and its like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Cow<'static, str>>,
    /// The response's status, known with the event or joined from a later detail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The User-Agent field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The Referer field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// What forwarding headers said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<String>,
    /// Server name of the hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Application protocol of the hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// JA4 fingerprint of the hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ja4: Option<String>,
    /// What makes it less than perfect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Cow<'static, str>>,
    /// What had been done to the canary's URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alterations: Vec<Cow<'static, str>>,
    /// Where its packets are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Of a fold: for how many visits it stands. What they do not have in common is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of a fold: time of its first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Of a fold: time of its last visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Of a fold: true while it may still grow, and then it has no number yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// Of a fault of the tap's own: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Of a fault: `begins`, `ends`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of a fault: what was wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a fault that ended: when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Of a fault that ended: how often it came and went, when more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Which boot of the tap's machine it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Microseconds from that boot to the event; of a fold, to its last visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_micros: Option<u64>,
    /// Of a fold: the same to its first visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_uptime_micros: Option<u64>,
    /// Of a fault that ended: the same to its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_uptime_micros: Option<u64>,
    /// Whether the clock was synchronised, where somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
    /// What the clock said then, where it was set later only and `time` is put right by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_said: Option<String>,
    /// The tap that saw it, where several are read together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<String>,
}

impl EventRecord {
    /// One that says no more than when it was and what it is.
    pub fn plain(time: &str, kind: &'static str) -> Self {
        Self {
            tap: None,
            seq: None,
            time: time.to_owned(),
            kind: kind.into(),
            alert: false,
            canary: None,
            channel: None,
            label: None,
            matched: None,
            origin: None,
            client: None,
            src: None,
            src_port: None,
            dst: None,
            dst_port: None,
            vlan: None,
            scheme: None,
            method: None,
            host: None,
            target: None,
            version: None,
            status: None,
            user_agent: None,
            referer: None,
            forwarded_for: None,
            sni: None,
            alpn: None,
            ja4: None,
            flags: Vec::new(),
            alterations: Vec::new(),
            count: None,
            first: None,
            last: None,
            open: None,
            fault: None,
            state: None,
            text: None,
            since: None,
            times: None,
            evidence: None,
            boot: None,
            uptime_micros: None,
            first_uptime_micros: None,
            since_uptime_micros: None,
            synchronised: None,
            clock_said: None,
        }
    }

    /// Whether a canary was visited: its status comes in a record of its own, a little later.
    pub fn is_visit(&self) -> bool {
        self.canary.is_some() && self.count.is_none()
    }

    /// For how many visits it stands.
    pub fn visits(&self) -> u64 {
        self.count.unwrap_or_else(|| self.canary.is_some().into())
    }
}

impl From<&Event> for EventRecord {
    fn from(event: &Event) -> Self {
        Self {
            seq: event.seq,
            time: event.time.to_string(),
            kind: kind(event.kind).into(),
            alert: event.alert,
            canary: event.canary.clone(),
            channel: event.channel.clone(),
            label: event.label.clone(),
            matched: event.matched.map(|found| matched(found).into()),
            origin: Some(origin(event.origin).into()),
            client: Some(event.client),
            src: Some(event.src),
            src_port: Some(event.src_port),
            dst: Some(event.dst),
            dst_port: Some(event.dst_port),
            vlan: event.vlan,
            scheme: Some(event.scheme.into()),
            method: event.method.clone(),
            host: event.host.clone(),
            target: event.target.clone(),
            version: event.version.map(Cow::from),
            status: event.status,
            user_agent: event.user_agent.clone(),
            referer: event.referer.clone(),
            forwarded_for: event.forwarded_for.clone(),
            sni: event.sni.clone(),
            alpn: event.alpn.clone(),
            ja4: event.ja4.clone(),
            flags: event.flags.names().map(Cow::from).collect(),
            alterations: event.alterations.names().map(Cow::from).collect(),
            evidence: None,
            count: None,
            first: None,
            last: None,
            open: None,
            fault: None,
            state: None,
            text: None,
            since: None,
            times: None,
            boot: event.clock.boot.clone(),
            uptime_micros: event.clock.uptime_micros,
            first_uptime_micros: None,
            since_uptime_micros: None,
            synchronised: event.clock.synchronised,
            clock_said: None,
            tap: None,
        }
    }
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Request => "request",
        EventKind::Visit => "visit",
        EventKind::Hello => "hello",
    }
}

const fn matched(matched: MatchKind) -> &'static str {
    match matched {
        MatchKind::Path => "path",
        MatchKind::Token => "token",
        MatchKind::Url => "url",
    }
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Inside => "inside",
        Origin::Outside => "outside",
        Origin::Unknown => "unknown",
    }
}
